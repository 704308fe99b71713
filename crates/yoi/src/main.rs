//! The `yoi` command.

mod answer;
mod backend_client;
mod backend_error;
mod cli;
mod commands;
mod confine;
mod data_dir;
mod dir_arg;
mod exit;
mod grants;
mod models;
mod output;
mod runtime_setup;
mod signals;
mod worker_host;

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{Cli, Command},
    exit::Exit,
    output::Output,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // They limit their own processes, so nothing is to be started before.
    if let Command::Compile { job } = cli.command {
        return worker_runtime::compile_helper(job);
    }
    #[cfg(target_os = "linux")]
    if matches!(cli.command, Command::Launcher) {
        return worker_runtime::serve_launcher([runtime_setup::COMPILE]);
    }
    #[cfg(unix)]
    raise_open_files();
    let output = Output::new(cli.json);
    let log_filter = cli.command.log_filter();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| log_filter.into()))
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    let ended = commands::run(cli, output).unwrap_or_else(|error| {
        if !exit::is_broken_pipe(&error) {
            let message = format!("{error:#}");
            let code = exit::code(&error);
            // A program knows whom it started.
            let prefix = if output.is_json() { "" } else { "yoi: " };
            output.error(&format!("{prefix}{message}"), code);
        }
        Exit::of(&error)
    });
    ended.into()
}

/// Lets this process open as many files as it may: systems begin with few, for programs that cannot
/// count beyond, and the directories of many Workers are open at once.
#[cfg(unix)]
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "the limit on open files stays what it is");
    }
}

//! The command line of yoi: the `yoi` command, and the program `worker-runtime`, which is `yoi serve` by
//! itself.

mod answer;
mod asked;
mod backend_client;
mod backend_error;
mod cli;
mod commands;
mod confine;
mod data_dir;
mod dir_arg;
mod exit;
mod logging;
mod models;
mod output;
mod pinned;
mod remotes;
mod runtime_setup;
mod signals;
mod worker_host;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    cli::{Cli, Command, RuntimeCli},
    exit::Exit,
    output::Output,
};

/// Does what the command line of this process says, as the `yoi` command.
#[must_use]
pub fn yoi() -> ExitCode {
    run("yoi", Cli::parse())
}

/// Serves a Runtime as the command line of this process says.
#[must_use]
pub fn worker_runtime() -> ExitCode {
    run("worker-runtime", RuntimeCli::parse().into())
}

fn run(program: &str, cli: Cli) -> ExitCode {
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
    let log_format = cli.command.log_format();
    logging::start(log_format, cli.command.log_filter());
    let output = Output::new(cli.json, log_format);
    let ended = commands::run(cli, output).unwrap_or_else(|error| {
        if !exit::is_broken_pipe(&error) {
            let message = format!("{error:#}");
            let code = exit::code(&error);
            // A program knows whom it started.
            let prefix = if output.has_json_remarks() { "" } else { &format!("{program}: ") };
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

//! The commands, one module each.

mod attach;
mod component;
mod doctor;
mod exec;
mod host;
mod password;
mod run;
mod runtime;
mod serve;
#[cfg(unix)]
mod shell;
mod show;
mod store;
mod talk;
mod tls;
mod token;
mod transcript;
mod up;
mod url;
mod worker;

use std::{io::Read as _, time::Duration};

use anyhow::Context as _;
use clap::CommandFactory as _;
use yoi_config::Config;

use crate::{
    cli::{Cli, Command},
    confine,
    exit::Exit,
    output::Output,
};

/// The most that is read from standard input: more than any Runtime takes as an input by default.
const MAX_STDIN_BYTES: u64 = 8 << 20;

/// How long blocking work that nobody waits for any more may hold the program up: whoever asked
/// twice to end it means now.
pub(crate) const STRAGGLERS_GRACE: Duration = Duration::from_millis(200);

/// Does what the command line asks for.
pub(crate) fn run(cli: Cli, output: Output) -> anyhow::Result<Exit> {
    let load = || match &cli.config {
        Some(file) => Config::load(file),
        None => Config::discover(),
    };
    // Completions are made before there is a configuration, and the doctor looks into a bad one.
    if let Command::Completions { shell } = cli.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "yoi", &mut script);
        output.bytes(&script)?;
        return Ok(Exit::Done);
    }
    // These confine their own processes, which is done before there are threads.
    match &cli.command {
        Command::ConfineProbe { inside, outside, files } => {
            return confine::probe(inside, outside, files, output);
        }
        Command::Up(args) => {
            let config = load()?;
            let prepared = up::prepare(args, &config, output)?;
            return on_threads(up::run(prepared, &config, output));
        }
        Command::Serve(args) => {
            let config = load()?;
            let prepared = serve::prepare(args, &config, output)?;
            return on_threads(serve::run(prepared, &config, output));
        }
        _ => {}
    }
    on_threads(async {
        match cli.command {
            Command::Doctor(args) => doctor::run(&args, load(), output).await,
            Command::Url(args) => url::run(&args, &load()?, output).await,
            Command::Exec(args) => exec::run(args, &load()?, output).await,
            #[cfg(unix)]
            Command::Shell(args) => shell::run(args, &load()?, output).await,
            Command::Runtime(command) => runtime::run(command, &load()?, output).await,
            Command::Store(command) => store::run(&command, &load()?, output),
            Command::Token(command) => token::run(command, &load()?, output),
            Command::Password(command) => password::run(command, &load()?, output).await,
            Command::Component(command) => component::run(command, &load()?, output).await,
            Command::Run(args) => run::run(args, &load()?, output).await,
            Command::Worker(command) => worker::run(command, &load()?, output).await,
            // These were served before.
            #[cfg(target_os = "linux")]
            Command::Launcher => Ok(Exit::Done),
            Command::Up(_)
            | Command::Serve(_)
            | Command::Completions { .. }
            | Command::Compile { .. }
            | Command::ConfineProbe { .. } => Ok(Exit::Done),
        }
    })
}

/// Does what takes threads.
fn on_threads(command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the threads of the program")?;
    let ended = threads.block_on(command);
    threads.shutdown_timeout(STRAGGLERS_GRACE);
    ended
}

/// An input as it was written: itself, or standard input where it is `-`.
fn read_input(argument: String) -> anyhow::Result<String> {
    let text = if argument == "-" { read_stdin()? } else { argument };
    anyhow::ensure!(!text.is_empty(), "the input is empty");
    Ok(text)
}

/// The variables with their values; one that is not set here is left out.
fn environment(variables: Vec<(String, Option<String>)>) -> Vec<(String, String)> {
    let valued = |(name, value): (String, Option<String>)| {
        let value = value.or_else(|| std::env::var(&name).ok())?;
        Some((name, value))
    };
    variables.into_iter().filter_map(valued).collect()
}

fn read_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MAX_STDIN_BYTES + 1)
        .read_to_string(&mut text)
        .context("failed to read standard input as text")?;
    anyhow::ensure!(
        u64::try_from(text.len()).is_ok_and(|bytes| bytes <= MAX_STDIN_BYTES),
        "standard input is longer than {MAX_STDIN_BYTES} bytes"
    );
    Ok(text)
}

//! `yoi exec`: any WASI command, with only the directories it is given.

use std::path::Path;

use anyhow::Context as _;
use worker_runtime::{CommandEnd, CommandRequest, Exec, ExecError};
use worker_types::Grants;
use yoi_config::Config;

use crate::{
    cli::ExecArgs,
    commands::environment,
    dir_arg::Dirs,
    exit::Exit,
    output::Output,
    runtime_setup::{compiler, read_component},
    signals::EndSignals,
};

/// What shells give to a program that ended itself for a fault of its own (SIGABRT).
const TRAPPED: u8 = 134;

/// What shells give to a program that wrote where nobody reads (SIGPIPE).
const READER_GONE: u8 = 141;

pub(crate) async fn run(args: ExecArgs, config: &Config, output: Output) -> anyhow::Result<Exit> {
    let mut signals = EndSignals::listen()?;
    let (file, dirs) = (args.command.first().cloned().unwrap_or_default(), args.dirs);
    let dirs = Dirs::find(&dirs, &Default::default())?;
    let request = CommandRequest {
        component: read_component(Path::new(&file), config.limits.component_bytes)
            .with_context(|| format!("failed to read {file}"))?,
        arguments: arguments(args.command),
        environment: environment(args.env),
        grants: Grants { preopens: dirs.preopens.clone(), ..Grants::none() },
    };
    let mut exec = Exec::new(config.limits.clone()).compiler(compiler()?);
    for (name, root) in &dirs.roots {
        exec = exec.root(name.clone(), root.clone());
    }
    let ended = tokio::select! {
        ended = exec.run(request) => ended,
        // The command is not asked: it would have to be one that listens.
        () = signals.next() => return Ok(Exit::Interrupted),
    };
    match ended {
        Ok(CommandEnd::Exited(code)) => Ok(Exit::Code(code)),
        Ok(CommandEnd::ReaderGone) => Ok(Exit::Code(READER_GONE)),
        Ok(CommandEnd::Trapped(reason)) => {
            Ok(trapped(&file, &format!("it trapped: {reason}"), output))
        }
        Ok(CommandEnd::Limit(limit)) => Ok(trapped(&file, &limit, output)),
        Ok(_) => Ok(Exit::Failed),
        Err(ExecError::Directory(error)) => Err(dirs.explain(error)),
        Err(error) => Err(anyhow::Error::new(error).context(format!("failed to run {file}"))),
    }
}

fn trapped(file: &str, reason: &str, output: Output) -> Exit {
    output.error(&format!("yoi: {file}: {reason}"), None);
    Exit::Code(TRAPPED)
}

/// The arguments of a command, whose first is its own name by custom.
fn arguments(mut command: Vec<String>) -> Vec<String> {
    if let Some(file) = command.first_mut() {
        let name = Path::new(file).file_name().map(|name| name.to_string_lossy().into_owned());
        *file = name.unwrap_or_default();
    }
    command
}

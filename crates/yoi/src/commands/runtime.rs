//! `yoi runtime`: what an operator does with a Runtime process that runs.

use std::time::Duration;

use runtime_client::{AuthToken, RuntimeClient};
use worker_types::DrainProgress;

use crate::{
    backend_client::token_from_environment,
    backend_error::BackendError,
    cli::{DrainArgs, RuntimeCommand},
    exit::Exit,
    output::Output,
};

/// How long one question waits for the end of all work. The next one goes on.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn run(command: RuntimeCommand, output: Output) -> anyhow::Result<Exit> {
    match command {
        RuntimeCommand::Drain(args) => drain(args, output).await,
    }
}

/// The Runtime process at `url`, for `command`, with the token of the environment.
pub(super) fn client(command: &str, url: &str) -> anyhow::Result<RuntimeClient> {
    let token = token_from_environment(command, "the Runtime's")?;
    Ok(RuntimeClient::new(url, AuthToken::new(token.reveal()))?)
}

async fn drain(args: DrainArgs, output: Output) -> anyhow::Result<Exit> {
    let client = client("`yoi runtime`", &args.runtime.url)?;
    let ask = async |wait| client.drain(wait).await.map_err(BackendError::from);
    let mut progress = ask(Duration::ZERO).await?;
    let mut told = None;
    while !progress.drained && !args.no_wait {
        if told.replace(progress.busy) != Some(progress.busy) {
            output.note(&words(progress));
        }
        progress = ask(PATIENCE).await?;
    }
    if output.is_json() {
        output.json(&progress)?;
    } else {
        output.line(&words(progress))?;
    }
    Ok(Exit::Done)
}

fn words(progress: DrainProgress) -> String {
    match progress {
        DrainProgress { drained: true, .. } => "drained: no turn runs or waits".to_owned(),
        DrainProgress { busy, .. } => {
            format!("no new work is taken; Workers with something left to do: {busy}")
        }
    }
}

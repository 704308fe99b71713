//! `yoi run`: one Worker, one turn, in this process; nothing is kept.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use worker_runtime::{Events, Runtime};
use worker_types::{
    CreateWorker, Cursor, Input, InputOptions, ModelAlias, Outcome, ProfileName, RuntimeError,
    TurnId, WorkerId,
};
use yoi_config::Config;

use crate::{
    answer::{self, AnswerPrinter},
    cli::RunArgs,
    commands::read_input,
    exit::{Exit, ExplainedError},
    models::{self, DEFAULT_ALIAS},
    output::Output,
    runtime_setup::{self, Setup},
    signals::EndSignals,
};

/// The one turn has ended by then, or is not to be waited for.
const SHUTDOWN_GRACE: Duration = Duration::ZERO;

pub(crate) async fn run(args: RunArgs, config: &Config, output: Output) -> anyhow::Result<Exit> {
    let setup = Setup::new(config)?.only(&args.profile)?;
    let grants = setup.grants(&args.profile);
    let models = models::models(config, &setup.granted_aliases()).await?;
    match runtime_setup::describe(&grants) {
        Some(granted) => output.note(&format!("grants: {granted}")),
        None => output.note("no grants"),
    }
    for alias in grants.llm.iter().flat_map(|llm| &llm.models).map(ModelAlias::as_str) {
        if let Some(model) = models.get(alias) {
            output.note(&format!("model {alias}: {}", models::describe(&model.info())));
        }
    }
    let input = Input::text(read_input(args.input)?);
    let runtime = setup.build(models).await?;
    let worker = CreateWorker::profile(args.profile.clone()).grants(grants);
    let ended = match runtime.create(worker).await {
        Ok(worker) => one_turn(&runtime, worker.worker_id, input, output).await,
        Err(error) => Err(with_cure(error, &args.profile, config)),
    };
    runtime.shutdown(SHUTDOWN_GRACE).await;
    ended
}

/// The same error, and where it is a missing grant, what grants it.
fn with_cure(error: RuntimeError, profile: &ProfileName, config: &Config) -> anyhow::Error {
    let key = match &error {
        RuntimeError::MissingGrant { capability: Some(capability), .. } => capability.name(),
        _ => return error.into(),
    };
    let file = config.file.as_deref().unwrap_or(Path::new("yoi.toml")).display();
    let message = format!(
        "{error}: write `[policy.{profile}]` and below it `{key} = [\"{DEFAULT_ALIAS}\"]` in {file}"
    );
    ExplainedError { message, error }.into()
}

async fn one_turn(
    runtime: &Runtime,
    worker: WorkerId,
    input: Input,
    output: Output,
) -> anyhow::Result<Exit> {
    let mut signals = EndSignals::listen()?;
    let events = runtime.events(worker, Cursor::START)?;
    let turn = runtime.input(worker, input, InputOptions::default()).await?.turn_id;
    let mut interrupted = false;
    let mut answer = std::pin::pin!(print_answer(events, turn, output));
    loop {
        tokio::select! {
            outcome = &mut answer => {
                return Ok(answer::report(output, &outcome?, interrupted));
            }
            () = signals.next() => {
                if interrupted {
                    return Ok(Exit::Interrupted);
                }
                interrupted = true;
                cancel(runtime, worker, turn).await?;
            }
        }
    }
}

async fn cancel(runtime: &Runtime, worker: WorkerId, turn: TurnId) -> anyhow::Result<()> {
    runtime.cancel(worker, Some(turn)).await.context("failed to cancel the turn")
}

async fn print_answer(mut events: Events, turn: TurnId, output: Output) -> anyhow::Result<Outcome> {
    let mut printer = AnswerPrinter::new(output, turn);
    while let Some(event) = events.next().await {
        if let Some(outcome) = printer.event(&event?)? {
            return Ok(outcome);
        }
    }
    printer.end_line()?;
    Ok(Outcome::Interrupted)
}

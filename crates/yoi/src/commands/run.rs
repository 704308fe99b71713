//! `yoi run`: one Worker, one turn, in this process; nothing is kept.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use tokio::runtime::Handle;
use worker_runtime::{Events, Runtime};
use worker_types::{
    Capability, CreateWorker, Cursor, Grants, Input, InputOptions, ModelAlias, Outcome, Preopen,
    ProfileName, RuntimeError, TurnId, WorkerId,
};
use yoi_config::Config;

use crate::{
    answer::{self, AnswerPrinter},
    cli::RunArgs,
    commands::read_input,
    data_dir::cache_dir,
    dir_arg::Dirs,
    exit::{Exit, ExplainedError},
    models::{self, DEFAULT_ALIAS},
    output::Output,
    runtime_setup::Setup,
    signals::EndSignals,
};

/// The one turn has ended by then, or is not to be waited for.
const SHUTDOWN_GRACE: Duration = Duration::ZERO;

/// How long what a cancelled turn said may take to be printed: whoever reads takes it at once.
const UNREAD_GRACE: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: RunArgs, config: &Config, output: Output) -> anyhow::Result<Exit> {
    let setup = Setup::new(config)?.only(&args.profile)?;
    let dirs = Dirs::find(&args.dirs, &setup.root_names())?;
    let mut setup = setup.dirs(&args.profile, &dirs);
    let granted = setup.grants(&args.profile);
    granted.validate()?;
    let models = models::models(config, &setup.granted_aliases()).await?;
    let place = |preopen: &Preopen| match dirs.written(&preopen.guest_path) {
        Some(written) => written.to_owned(),
        None => preopen.place(),
    };
    let model = |alias: &ModelAlias| {
        models.get(alias.as_str()).map(|model| models::describe(&model.info()))
    };
    let lines = granted.in_words(place, model);
    if lines.is_empty() {
        output.note("no grants");
    }
    for line in lines {
        output.note(&line);
    }
    let input = Input::text(read_input(args.input)?);
    // The shell takes seconds to compile; what takes less is compiled anew.
    if let Some(cache) = cache_dir().filter(|_| granted.shell.is_some()) {
        setup = setup.component_cache(cache);
    }
    let scratch = own_directory(&granted)?;
    if let Some(dir) = &scratch {
        setup = setup.scratch(dir.path().to_owned());
    }
    let runtime = setup.build(models).await.map_err(|error| dirs.explain_start(error))?;
    let worker = CreateWorker::profile(args.profile.clone()).grants(granted);
    let ended = match runtime.create(worker).await {
        Ok(worker) => {
            let ended = one_turn(&runtime, worker.worker_id, input, output).await;
            if scratch.is_some() {
                remove(&runtime, worker.worker_id).await;
            }
            ended
        }
        Err(error @ RuntimeError::MissingGrant { .. }) => {
            Err(with_cure(error, &args.profile, config))
        }
        Err(error) => Err(dirs.explain(error)),
    };
    runtime.shutdown(SHUTDOWN_GRACE).await;
    ended
}

/// A place for the Worker's private directory, if it is granted one. It goes when the result is
/// dropped.
fn own_directory(granted: &Grants) -> anyhow::Result<Option<tempfile::TempDir>> {
    let is_granted = granted.preopens.iter().any(|preopen| preopen.root.is_scratch());
    let made = is_granted.then(|| tempfile::Builder::new().prefix("yoi-").tempdir()).transpose();
    made.context("failed to make a temporary directory for the Worker's own")
}

/// Deletes the Worker, with its private directory: the Runtime knows how to remove what a guest made
/// there, however deep.
async fn remove(runtime: &Runtime, worker: WorkerId) {
    let removed = async {
        runtime.stop(worker).await?;
        runtime.delete(worker).await
    };
    if let Err(error) = removed.await {
        tracing::warn!(%error, "the Worker's own directory is not removed");
    }
}

/// The same error, and where it is a missing grant, what grants it.
fn with_cure(error: RuntimeError, profile: &ProfileName, config: &Config) -> anyhow::Error {
    let line = match &error {
        RuntimeError::MissingGrant { capability: Some(Capability::Llm), .. } => {
            format!("llm = [\"{DEFAULT_ALIAS}\"]")
        }
        RuntimeError::MissingGrant { capability: Some(Capability::Shell), .. } => {
            "shell = true".to_owned()
        }
        _ => return error.into(),
    };
    let file = config.file.as_deref().unwrap_or(Path::new("yoi.toml")).display();
    let message = format!("{error}: write `[policy.{profile}]` and below it `{line}` in {file}");
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
    // Where nobody reads, printing waits, and a signal is not to.
    let printing = move || Handle::current().block_on(print_answer(events, turn, output));
    let mut answer = tokio::task::spawn_blocking(printing);
    tokio::select! {
        outcome = &mut answer => return Ok(answer::report(output, &outcome??, false)),
        () = signals.next() => cancel(runtime, worker, turn).await?,
    }
    tokio::select! {
        outcome = &mut answer => Ok(answer::report(output, &outcome??, true)),
        () = signals.next() => Ok(Exit::Interrupted),
        () = tokio::time::sleep(UNREAD_GRACE) => Ok(Exit::Interrupted),
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

//! `yoi worker`: the Workers of a running Backend.

use std::cell::Cell;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use worker_types::{
    Cursor, Diagnostic, EventBody, Input, InputAccepted, InputDisposition, InputOptions, InputPart,
    ItemBody, Labels, LiveEvent, LogStream, Outcome, RuntimeError, StopReason, TokenUsage, TurnId,
    TurnUsage, WorkerView,
};
use yoi_config::Config;

use crate::{
    answer::{self, AnswerPrinter},
    backend_client::{BackendClient, BackendError, NewWorker, WorkerAddress, pick},
    cli::{WorkerArgs, WorkerCommand, own_name},
    commands::{read_input, transcript},
    exit::{Exit, ExplainedError},
    output::Output,
    runtime_setup,
    signals::EndSignals,
};

/// The fewest characters of an id that `ls` prints: enough that two rarely share them.
const SHORTEST_ID: usize = 8;

/// How many turns `show` lists: enough to see how the Worker fares, on half a screen.
const SHOWN_TURNS: usize = 5;

pub(crate) async fn run(
    command: WorkerCommand,
    config: &Config,
    output: Output,
) -> anyhow::Result<Exit> {
    match command {
        WorkerCommand::Ls { status, labels, backend } => {
            let client = BackendClient::find(&backend, config)?;
            let found = client.workers(status.as_deref(), &labels).await?;
            list(&found.workers, output)?;
            note_missing(&found.diagnostics, output);
            Ok(Exit::Done)
        }
        WorkerCommand::Create { profile, input, name, labels, runtime, backend } => {
            let client = BackendClient::find(&backend, config)?;
            let new = NewWorker {
                profile,
                display_name: name,
                labels: labels.into_iter().collect::<Labels>(),
            };
            let input = input.map(read_input).transpose()?;
            let runtime = client.runtime(runtime.as_ref()).await?;
            let view = client.create(&runtime, &new).await?;
            if output.is_json() {
                output.json(&view)?;
            } else {
                // With an answer to come, standard output is for the answer.
                let created = view.worker_id.to_string();
                if input.is_some() { output.note(&created) } else { output.line(&created)? }
            }
            match input {
                Some(input) => {
                    let sending = Sending::default();
                    talk(&client, (&view).into(), Input::text(input), sending, output).await
                }
                None => Ok(Exit::Done),
            }
        }
        WorkerCommand::Show(args) => {
            let (client, view) = find(&args, config, output).await?;
            show(&client, &client.worker(&(&view).into()).await?, output).await?;
            Ok(Exit::Done)
        }
        WorkerCommand::Send { worker, input, if_busy, idempotency_key, no_wait } => {
            let input = Input::text(read_input(input)?);
            let options = InputOptions { if_busy: if_busy.into(), idempotency_key };
            let (client, view) = find(&worker, config, output).await?;
            talk(&client, (&view).into(), input, Sending { options, no_wait }, output).await
        }
        WorkerCommand::Transcript { worker, item } => {
            let (client, view) = find(&worker, config, output).await?;
            match item {
                Some(item) => transcript::print_whole(&client, &view, item, output).await?,
                None => transcript::print(&client, &view, output).await?,
            }
            Ok(Exit::Done)
        }
        WorkerCommand::Logs { worker, turn } => {
            let (client, view) = find(&worker, config, output).await?;
            let lines = client.logs(&(&view).into(), turn).await?.lines;
            if lines.is_empty() {
                output.note(&match turn {
                    Some(turn) => format!("no lines of turn {turn} are kept"),
                    None => "no lines are kept".to_owned(),
                });
            }
            for line in lines {
                if output.is_json() {
                    output.json(&line)?;
                    continue;
                }
                let stream = match line.stream {
                    LogStream::Stdout => "out",
                    LogStream::Stderr => "err",
                    LogStream::Host => "yoi",
                };
                output.line(&format!("{} {stream} {}", line.turn_id, line.text))?;
            }
            Ok(Exit::Done)
        }
        WorkerCommand::Cancel(args) => {
            let (client, view) = find(&args, config, output).await?;
            client.cancel(&(&view).into(), None).await?;
            after_command(&client, &view, output).await
        }
        WorkerCommand::Stop(args) => {
            let (client, view) = find(&args, config, output).await?;
            client.stop(&(&view).into()).await?;
            after_command(&client, &view, output).await
        }
        WorkerCommand::Start(args) => {
            let (client, view) = find(&args, config, output).await?;
            client.start(&(&view).into()).await?;
            after_command(&client, &view, output).await
        }
        WorkerCommand::Rm(args) => {
            let (client, view) = find(&args, config, output).await?;
            client.delete(&(&view).into()).await.map_err(|error| not_deleted(error, &view))?;
            if output.is_json() {
                output.json(&json!({ "worker_id": view.worker_id, "deleted": true }))?;
            } else {
                output.note(&format!("{} is deleted", view.worker_id));
            }
            Ok(Exit::Done)
        }
    }
}

/// The same error, and where the Worker is not stopped, how to stop it.
fn not_deleted(error: BackendError, view: &WorkerView) -> anyhow::Error {
    let stopped_first = RuntimeError::WorkerNotStopped;
    match &error {
        BackendError::Refused(refusal) if refusal.code() == Some(stopped_first.code()) => {
            let (yoi, id) = (own_name(), view.worker_id);
            let message = format!("{error}: run `{yoi} worker stop {id}`, and then this again");
            ExplainedError { message, error: stopped_first }.into()
        }
        _ => error.into(),
    }
}

async fn find(
    args: &WorkerArgs,
    config: &Config,
    output: Output,
) -> anyhow::Result<(BackendClient, WorkerView)> {
    let client = BackendClient::find(&args.backend, config)?;
    let found = client.workers(None, &[]).await?;
    note_missing(&found.diagnostics, output);
    let view = pick(&found.workers, &args.id)?.clone();
    Ok((client, view))
}

/// Says what a list of Workers lacks. Without it, a Worker of a Runtime that does not answer would
/// look as if it were gone.
fn note_missing(diagnostics: &[Diagnostic], output: Output) {
    for diagnostic in diagnostics {
        output.note(&format!("warning: {}", diagnostic.message));
    }
}

/// Says what a command made of the Worker.
async fn after_command(
    client: &BackendClient,
    view: &WorkerView,
    output: Output,
) -> anyhow::Result<Exit> {
    let view = client.worker(&view.into()).await?;
    if output.is_json() {
        output.json(&view)?;
    } else {
        output.note(&format!("{} is {}", view.worker_id, view.status.name()));
    }
    Ok(Exit::Done)
}

/// How an input is given.
#[derive(Debug, Default)]
struct Sending {
    options: InputOptions,
    no_wait: bool,
}

/// Gives an input, and prints the answer unless nobody waits for it.
async fn talk(
    client: &BackendClient,
    at: WorkerAddress,
    input: Input,
    Sending { options, no_wait }: Sending,
    output: Output,
) -> anyhow::Result<Exit> {
    // Before the input: from then on an interruption means the turn.
    let mut signals = EndSignals::listen()?;
    let accepted = client.input(&at, &input, &options).await?;
    let turn = accepted.turn_id;
    let disposition = match accepted.status {
        InputDisposition::Queued => Some(format!("queued: it will be turn {turn}")),
        InputDisposition::Steered => Some(format!("given to turn {turn}, which runs")),
        InputDisposition::Running | InputDisposition::Unknown => None,
    };
    if no_wait {
        if output.is_json() {
            output.json(&accepted)?;
        } else {
            output.note(&disposition.unwrap_or_else(|| format!("turn {turn} is accepted")));
        }
        return Ok(Exit::Done);
    }
    if let Some(disposition) = disposition {
        output.note(&disposition);
    }
    let answer = Answer {
        client,
        at: &at,
        input: &input.parts,
        turn: Cell::new(turn),
        interrupted: Cell::new(false),
        output,
    };
    let mut printed = std::pin::pin!(answer.print(accepted));
    loop {
        tokio::select! {
            ended = &mut printed => {
                return Ok(answer::report(output, &ended?, answer.interrupted.get()));
            }
            () = signals.next() => {
                if answer.interrupted.replace(true) {
                    return Ok(Exit::Interrupted);
                }
                client.cancel(&at, Some(answer.turn.get())).await?;
            }
        }
    }
}

/// What is waited for after an input.
struct Answer<'a> {
    client: &'a BackendClient,
    at: &'a WorkerAddress,
    input: &'a [InputPart],
    /// The turn that has the input.
    turn: Cell<TurnId>,
    /// Whether somebody wants no answer any more.
    interrupted: Cell<bool>,
    output: Output,
}

impl Answer<'_> {
    /// Prints the turn that has the input to its end. Where a turn was given the input and ended
    /// without taking it in, the input has another one.
    async fn print(&self, accepted: InputAccepted) -> anyhow::Result<Outcome> {
        let after = Cursor { log_id: None, seq: accepted.seq };
        let mut events = self.client.events(self.at.clone(), after);
        let mut printer = AnswerPrinter::new(self.output, accepted.turn_id);
        let mut is_steering = accepted.status == InputDisposition::Steered;
        let mut next = None;
        loop {
            let event = match events.next().await {
                Ok(event) => event,
                Err(error) => {
                    printer.end_line()?;
                    return Err(self.lost(error));
                }
            };
            if is_steering && let LiveEvent::Durable(event) = &event {
                match &event.body {
                    EventBody::ItemCompleted { turn_id, item } if *turn_id == self.turn.get() => {
                        is_steering = !self.is_input(&item.body);
                    }
                    EventBody::InputQueued { turn_id, parts } if parts == self.input => {
                        next = Some(*turn_id);
                    }
                    _ => {}
                }
            }
            if let Some(outcome) = printer.event(&event)? {
                let Some(turn) = next.filter(|_| std::mem::take(&mut is_steering)) else {
                    return Ok(outcome);
                };
                self.output.note(&format!("that turn ended without it: it is turn {turn} now"));
                self.turn.set(turn);
                if self.interrupted.get() {
                    self.client.cancel(self.at, Some(turn)).await?;
                }
                printer = AnswerPrinter::new(self.output, turn);
            }
        }
    }

    fn is_input(&self, body: &ItemBody) -> bool {
        matches!(body, ItemBody::UserMessage { parts } if parts == self.input)
    }

    /// Why the answer cannot be printed any more, and where it is if it is that old.
    fn lost(&self, error: BackendError) -> anyhow::Error {
        let is_trimmed = matches!(
            &error,
            BackendError::Refused(refusal) if refusal.code() == Some("cursor_gap")
        );
        let error = anyhow::Error::new(error);
        if !is_trimmed {
            return error;
        }
        let (yoi, id) = (own_name(), self.at.worker);
        error.context(format!("look for the answer with `{yoi} worker transcript {id}`"))
    }
}

fn list(workers: &[WorkerView], output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        for view in workers {
            output.json(view)?;
        }
        return Ok(());
    }
    if workers.is_empty() {
        output.note("no Workers: `yoi worker create companion` makes one");
        return Ok(());
    }
    let now = Timestamp::now();
    let length = id_length(workers);
    let rows: Vec<[String; 6]> = workers
        .iter()
        .map(|view| {
            let id = view.worker_id.to_string();
            [
                id[id.len() - length..].to_owned(),
                view.status.name().to_owned(),
                view.profile.to_string(),
                view.usage.turns.to_string(),
                age(view.created_at, now),
                view.display_name.clone().unwrap_or_default(),
            ]
        })
        .collect();
    output.table(["ID", "STATUS", "PROFILE", "TURNS", "AGE", "NAME"], &rows)?;
    Ok(())
}

/// How many characters at the end of the ids keep all of them apart. A UUIDv7 begins with the time,
/// so its end is what differs.
fn id_length(workers: &[WorkerView]) -> usize {
    let ids: Vec<String> = workers.iter().map(|view| view.worker_id.to_string()).collect();
    let whole = ids.first().map_or(0, String::len);
    (SHORTEST_ID..whole)
        .find(|length| {
            let mut ends: Vec<&str> = ids.iter().map(|id| &id[whole - length..]).collect();
            ends.sort_unstable();
            ends.windows(2).all(|pair| pair[0] != pair[1])
        })
        .unwrap_or(whole)
}

/// The time from `then` to `now` in its largest unit.
fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

async fn show(client: &BackendClient, view: &WorkerView, output: Output) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Shown<'a> {
        #[serde(flatten)]
        view: &'a WorkerView,
        /// The newest turns that ended.
        turns: &'a [TurnUsage],
    }
    let turns = match client.usage(&view.into(), None, SHOWN_TURNS).await {
        Ok(usage) => usage.turns,
        // What cannot be read is what the Worker's diagnostics are about.
        Err(BackendError::Refused(_)) if !view.diagnostics.is_empty() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    if output.is_json() {
        return Ok(output.json(&Shown { view, turns: &turns })?);
    }
    let labels: Vec<String> =
        view.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let usage = &view.usage;
    let took = took(usage.wall_us, usage.cpu_us, usage.model_calls, usage.tokens);
    let mut rows = vec![
        ("worker".to_owned(), view.worker_id.to_string()),
        ("runtime".to_owned(), view.runtime_id.to_string()),
        ("status".to_owned(), view.status.name().to_owned()),
        ("profile".to_owned(), view.profile.to_string()),
        ("component".to_owned(), view.component.to_string()),
        (
            "grants".to_owned(),
            runtime_setup::describe(&view.grants).unwrap_or_else(|| "none".to_owned()),
        ),
        ("created".to_owned(), view.created_at.to_string()),
        ("turns".to_owned(), format!("{} in {took}", usage.turns)),
    ];
    if let Some(name) = &view.display_name {
        rows.insert(1, ("name".to_owned(), name.clone()));
    }
    if !labels.is_empty() {
        rows.push(("labels".to_owned(), labels.join(", ")));
    }
    rows.extend(turns.iter().map(|turn| {
        let receipt = &turn.receipt;
        let took = self::took(receipt.wall_us, receipt.cpu_us, receipt.model_calls, receipt.tokens);
        (format!("turn {}", turn.turn_id), format!("{} in {took}", ended(&turn.outcome)))
    }));
    for diagnostic in &view.diagnostics {
        rows.push(("look at".to_owned(), diagnostic.message.clone()));
    }
    for (name, value) in rows {
        output.line(&format!("{name:12} {value}"))?;
    }
    Ok(())
}

/// What turns took, in a few words.
fn took(wall_us: u64, cpu_us: u64, model_calls: u64, tokens: TokenUsage) -> String {
    let count = |count: Option<u64>| count.map_or("unknown".to_owned(), |count| count.to_string());
    let mut took = format!("{} ms, {} ms of them computing", wall_us / 1_000, cpu_us / 1_000);
    if model_calls > 0 {
        let (input, output) = (count(tokens.input), count(tokens.output));
        took += &format!("; model calls {model_calls}, tokens in {input}, out {output}");
    }
    took
}

/// How a turn ended, in a word or two.
fn ended(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Failed { .. } => "failed",
        Outcome::Cancelled { reason: StopReason::Stop } => "cancelled by the stop",
        Outcome::Cancelled { .. } => "cancelled",
        Outcome::Interrupted => "interrupted",
        Outcome::Unknown => "ended",
    }
}

//! `yoi worker`: the Workers of a running Backend.

use jiff::Timestamp;
use serde_json::json;
use worker_types::{
    Cursor, Diagnostic, Input, InputAccepted, InputPart, Item, ItemBody, ItemStatus, Labels,
    LogStream, Outcome, ToolOutcome, TurnId, WorkerView,
};
use yoi_config::Config;

use crate::{
    answer::{self, AnswerPrinter},
    backend_client::{BackendClient, BrokenTurns, NewWorker, WorkerAddress, pick},
    cli::{WorkerArgs, WorkerCommand},
    commands::read_input,
    exit::Exit,
    output::Output,
    runtime_setup,
    signals::EndSignals,
};

/// The fewest characters of an id that `ls` prints: enough that two rarely share them.
const SHORTEST_ID: usize = 8;

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
                Some(input) => talk(&client, (&view).into(), &input, false, output).await,
                None => Ok(Exit::Done),
            }
        }
        WorkerCommand::Show(args) => {
            let (client, view) = find(&args, config, output).await?;
            show(&client.worker(&(&view).into()).await?, output)?;
            Ok(Exit::Done)
        }
        WorkerCommand::Send { worker, input, no_wait } => {
            let input = read_input(input)?;
            let (client, view) = find(&worker, config, output).await?;
            talk(&client, (&view).into(), &input, no_wait, output).await
        }
        WorkerCommand::Transcript(args) => {
            let (client, view) = find(&args, config, output).await?;
            transcript(&client, &view, output).await?;
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

/// Gives an input, and prints the answer unless nobody waits for it.
async fn talk(
    client: &BackendClient,
    at: WorkerAddress,
    input: &str,
    no_wait: bool,
    output: Output,
) -> anyhow::Result<Exit> {
    // Before the input: from then on an interruption means the turn.
    let mut signals = EndSignals::listen()?;
    let accepted = client.input(&at, &Input::text(input)).await?;
    if no_wait {
        if output.is_json() {
            output.json(&accepted)?;
        } else {
            output.note(&format!("turn {} is accepted", accepted.turn_id));
        }
        return Ok(Exit::Done);
    }
    let mut interrupted = false;
    let mut answer = std::pin::pin!(print_answer(client, at.clone(), accepted, output));
    loop {
        tokio::select! {
            ended = &mut answer => return Ok(answer::report(output, &ended?, interrupted)),
            () = signals.next() => {
                if interrupted {
                    return Ok(Exit::Interrupted);
                }
                interrupted = true;
                client.cancel(&at, Some(accepted.turn_id)).await?;
            }
        }
    }
}

async fn print_answer(
    client: &BackendClient,
    at: WorkerAddress,
    accepted: InputAccepted,
    output: Output,
) -> anyhow::Result<worker_types::Outcome> {
    let after = Cursor { log_id: None, seq: accepted.seq };
    let mut events = client.events(at, after);
    let mut printer = AnswerPrinter::new(output, accepted.turn_id);
    loop {
        match events.next().await {
            Ok(event) => {
                if let Some(outcome) = printer.event(&event)? {
                    return Ok(outcome);
                }
            }
            Err(error) => {
                printer.end_line()?;
                return Err(error.into());
            }
        }
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

fn show(view: &WorkerView, output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        return Ok(output.json(view)?);
    }
    let labels: Vec<String> =
        view.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let usage = &view.usage;
    let tokens = |count: Option<u64>| count.map_or("unknown".to_owned(), |count| count.to_string());
    let mut rows = vec![
        ("worker", view.worker_id.to_string()),
        ("runtime", view.runtime_id.to_string()),
        ("status", view.status.name().to_owned()),
        ("profile", view.profile.to_string()),
        ("component", view.component.to_string()),
        ("grants", runtime_setup::describe(&view.grants).unwrap_or_else(|| "none".to_owned())),
        ("created", view.created_at.to_string()),
        ("turns", format!("{} in {} ms", usage.turns, usage.wall_us / 1_000)),
    ];
    if let Some(name) = &view.display_name {
        rows.insert(1, ("name", name.clone()));
    }
    if !labels.is_empty() {
        rows.push(("labels", labels.join(", ")));
    }
    if usage.model_calls > 0 {
        rows.push((
            "model calls",
            format!(
                "{}; tokens in {}, out {}",
                usage.model_calls,
                tokens(usage.tokens.input),
                tokens(usage.tokens.output)
            ),
        ));
    }
    for diagnostic in &view.diagnostics {
        rows.push(("look at", diagnostic.message.clone()));
    }
    for (name, value) in rows {
        output.line(&format!("{name:12} {value}"))?;
    }
    Ok(())
}

async fn transcript(
    client: &BackendClient,
    view: &WorkerView,
    output: Output,
) -> anyhow::Result<()> {
    let at = view.into();
    let BrokenTurns { mut outcomes, is_complete } = client.broken_turns(&at, view.last_seq).await?;
    if !is_complete {
        output.note("the log is long: how its newest turns ended is not shown");
    }
    let mut after = "0".to_owned();
    loop {
        let page = client.transcript(&at, &after).await?;
        for item in &page.items {
            // A Worker's turns follow one another: what came before this one is over.
            while let Some(ended) = outcomes.first_entry()
                && *ended.key() < item.turn_id
            {
                let (turn, outcome) = ended.remove_entry();
                print_outcome(turn, &outcome, output)?;
            }
            if output.is_json() {
                output.json(item)?;
            } else {
                print_item(item, output)?;
            }
        }
        match page.last_item {
            Some(last) if page.more_after => after = last.to_string(),
            _ => break,
        }
    }
    for (turn, outcome) in outcomes {
        print_outcome(turn, &outcome, output)?;
    }
    Ok(())
}

/// Prints how a turn ended that did not complete.
fn print_outcome(turn: TurnId, outcome: &Outcome, output: Output) -> std::io::Result<()> {
    if output.is_json() {
        let ended = json!({ "type": "turn.ended", "turn_id": turn, "outcome": outcome });
        return output.json(&ended);
    }
    match outcome {
        Outcome::Completed => Ok(()),
        Outcome::Failed { message, .. } => print_block("turn failed: ", message, output),
        Outcome::Cancelled { .. } => output.line("turn cancelled"),
        Outcome::Interrupted => output.line("turn interrupted"),
        Outcome::Unknown => output.line("turn ended in a way that this version does not know"),
    }
}

/// Prints an item: who, then what, with every further line indented so that nobody's text looks
/// like somebody else's.
fn print_item(item: &Item, output: Output) -> std::io::Result<()> {
    let (who, text) = match &item.body {
        ItemBody::UserMessage { parts } => ("you".to_owned(), input_text(parts)),
        ItemBody::AssistantMessage { text, model } => {
            let who =
                model.as_ref().map_or("worker".to_owned(), |model| format!("worker ({model})"));
            (who, text.clone())
        }
        ItemBody::Reasoning { text } => ("reasoning".to_owned(), text.clone()),
        ItemBody::ToolCall { name, arguments, .. } => {
            ("tool call".to_owned(), format!("{name} {arguments}"))
        }
        ItemBody::ToolResult { outcome, text, .. } => {
            let who = match outcome {
                ToolOutcome::Ok => "tool result",
                ToolOutcome::Error => "tool error",
                ToolOutcome::Interrupted => "tool interrupted",
            };
            (who.to_owned(), text.clone())
        }
        ItemBody::Notice { text, .. } => ("notice".to_owned(), text.clone()),
        ItemBody::Unknown => {
            ("unknown".to_owned(), "an item of a kind that this version does not know".to_owned())
        }
    };
    let unfinished = match item.status {
        ItemStatus::Completed => "",
        ItemStatus::InProgress => " (not finished)",
        ItemStatus::Incomplete => " (cut off)",
    };
    print_block(&format!("{who}{unfinished}: "), &text, output)
}

fn print_block(head: &str, text: &str, output: Output) -> std::io::Result<()> {
    let mut lines = text.lines();
    output.line(&format!("{head}{}", lines.next().unwrap_or_default()))?;
    lines.try_for_each(|line| output.line(&format!("    {line}")))
}

fn input_text(parts: &[InputPart]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .map(|part| match part {
            InputPart::Text { text } => text.clone(),
            InputPart::Json { json } => json.to_string(),
            InputPart::Image { media_type, .. } => format!("[{media_type}]"),
        })
        .collect();
    parts.join("\n")
}

//! `yoi worker`: the Workers of a running Backend.

use jiff::Timestamp;
use serde_json::json;
use worker_types::{
    Diagnostic, Grants, Input, InputOptions, Labels, LogStream, Seq, Upgraded, WorkerStatus,
    WorkerView,
};
use yoi_config::Config;

use crate::{
    backend_error::BackendError,
    cli::{WorkerArgs, WorkerCommand},
    commands::{
        attach::{Attaching, attach},
        read_input,
        show::show,
        talk::{Sending, talk},
        transcript,
    },
    exit::Exit,
    output::Output,
    runtime_setup::Setup,
    worker_host::{FoundWorkers, NewWorker, WorkerAddress, WorkerHost, pick},
};

/// The fewest characters of an id that `ls` prints: enough that two rarely share them.
const SHORTEST_ID: usize = 8;

pub(crate) async fn run(
    command: WorkerCommand,
    config: &Config,
    output: Output,
) -> anyhow::Result<Exit> {
    match command {
        WorkerCommand::Ls { status, labels, host } => {
            let client = WorkerHost::find(&host, config, output)?;
            let found = client.workers(host.runtime_id(), status.as_deref(), &labels).await?;
            list(&found.workers, output)?;
            note_missing(&found.diagnostics, output);
            Ok(Exit::Done)
        }
        WorkerCommand::Create { profile, input, name, workspace, labels, host } => {
            let client = WorkerHost::find(&host, config, output)?;
            let grants = match client {
                WorkerHost::Runtime(..) if workspace.is_some() => {
                    anyhow::bail!("--workspace: a Runtime by itself has none, only a Backend has")
                }
                WorkerHost::Runtime(..) => Setup::new(config)?.grants(&profile),
                // That is for the Backend to say.
                WorkerHost::Backend(_) => Grants::none(),
            };
            let new = NewWorker {
                profile,
                workspace,
                display_name: name,
                labels: labels.into_iter().collect::<Labels>(),
            };
            let input = input.map(read_input).transpose()?;
            let view = client.create(&host, new, grants).await?;
            if output.is_json() {
                output.json(&view)?;
            } else {
                // With an answer to come, standard output is for the answer.
                let created = view.worker_id.to_string();
                if input.is_some() {
                    output.note(&created)
                } else {
                    output.line(&created)?
                }
                for line in view.grants.in_plain_words() {
                    output.note(&format!("it {line}"));
                }
            }
            match input {
                Some(input) => {
                    let sending = Sending::default();
                    talk(&client, (&view).into(), Input::text(input), sending, output).await
                }
                None => Ok(Exit::Done),
            }
        }
        WorkerCommand::Show { worker, turns } => {
            let (client, view) = find(&worker, config, output).await?;
            let view = client.worker(&(&view).into()).await?;
            show(&client, &view, turns.into(), output).await?;
            Ok(Exit::Done)
        }
        WorkerCommand::Send { worker, input, if_busy, idempotency_key, no_wait } => {
            let input = Input::text(read_input(input)?);
            let options = InputOptions { if_busy: if_busy.into(), idempotency_key };
            let (client, Target { at, last_seq }) =
                find_to_command(&worker, config, output).await?;
            let sending = Sending { options, no_wait, last_seq };
            talk(&client, at, input, sending, output).await
        }
        WorkerCommand::Attach { worker, begin, if_busy } => {
            let (client, view) = find(&worker, config, output).await?;
            let attaching = Attaching { host: worker.host, begin, if_busy };
            attach(client, view, attaching, config, output).await
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
            let (client, Target { at, .. }) = find_to_command(&args, config, output).await?;
            client.cancel(&at, None).await.map_err(explain(&at))?;
            after_command(&client, &at, output).await
        }
        WorkerCommand::Stop(args) => {
            let (client, Target { at, .. }) = find_to_command(&args, config, output).await?;
            client.stop(&at).await.map_err(explain(&at))?;
            after_command(&client, &at, output).await
        }
        WorkerCommand::Revoke { worker, grants } => {
            let (client, Target { at, .. }) = find_to_command(&worker, config, output).await?;
            client.revoke(&at, &grants).await.map_err(explain(&at))?;
            after_command(&client, &at, output).await
        }
        WorkerCommand::Upgrade { worker, component } => {
            let (client, Target { at, .. }) = find_to_command(&worker, config, output).await?;
            let upgraded = client.upgrade(&at, &component).await.map_err(explain(&at))?;
            if output.is_json() {
                output.json(&upgraded)?;
            } else {
                let Upgraded { from, to, gained, lost } = upgraded;
                output.note(&format!("from {from} to {to}"));
                let all = |imports: &[String]| match imports {
                    [] => "nothing".to_owned(),
                    imports => imports.join(", "),
                };
                output.note(&format!("can ask now for: {}", all(&gained)));
                output.note(&format!("asks no more for: {}", all(&lost)));
            }
            Ok(Exit::Done)
        }
        WorkerCommand::Start(args) => {
            let (client, Target { at, .. }) = find_to_command(&args, config, output).await?;
            client.start(&at).await.map_err(explain(&at))?;
            after_command(&client, &at, output).await
        }
        WorkerCommand::Rm(args) => {
            let (client, Target { at, .. }) = find_to_command(&args, config, output).await?;
            client.delete(&at).await.map_err(explain(&at))?;
            if output.is_json() {
                output.json(&json!({ "worker_id": at.worker, "deleted": true }))?;
            } else {
                output.note(&format!("{} is deleted", at.worker));
            }
            Ok(Exit::Done)
        }
    }
}

/// Adds to an error how to change the Worker's state, where that is why.
fn explain(at: &WorkerAddress) -> impl Fn(BackendError) -> BackendError {
    let worker = at.worker;
    move |error| error.with_way_out(worker)
}

async fn find(
    args: &WorkerArgs,
    config: &Config,
    output: Output,
) -> anyhow::Result<(WorkerHost, WorkerView)> {
    let client = WorkerHost::find(&args.host, config, output)?;
    let found = client.workers(args.host.runtime_id(), None, &[]).await?;
    let view = picked(&found, &args.id, output)?.clone();
    Ok((client, view))
}

/// The Worker that `id` means. Only where there is none it matters which Runtimes are missing.
fn picked<'a>(found: &'a FoundWorkers, id: &str, output: Output) -> anyhow::Result<&'a WorkerView> {
    let picked = pick(&found.workers, id);
    if picked.is_err() {
        note_missing(&found.diagnostics, output);
    }
    match picked {
        Err(error) if !found.diagnostics.is_empty() => {
            Err(error.context("it may be in a Runtime that is missing"))
        }
        picked => picked,
    }
}

/// The Worker that a command is for.
struct Target {
    at: WorkerAddress,
    /// The end of its log before the command, where that may be looked at.
    last_seq: Option<Seq>,
}

/// The same for a command, which a token may be good for that may not look: then it takes the whole id.
async fn find_to_command(
    args: &WorkerArgs,
    config: &Config,
    output: Output,
) -> anyhow::Result<(WorkerHost, Target)> {
    let client = WorkerHost::find(&args.host, config, output)?;
    let target = match client.workers(args.host.runtime_id(), None, &[]).await {
        Ok(found) => {
            let view = picked(&found, &args.id, output)?;
            Target { at: view.into(), last_seq: Some(view.last_seq) }
        }
        Err(refused) if refused.is_forbidden() => match args.id.trim().to_lowercase().parse() {
            Ok(worker) => Target { at: WorkerAddress::of_asked_runtime(worker)?, last_seq: None },
            Err(_) => {
                return Err(anyhow::Error::new(refused).context(format!(
                    "`{}` is a part of an id, and who looks for the Worker has to be allowed to; with all of its id, \
                     this command does without",
                    args.id
                )));
            }
        },
        Err(error) => return Err(error.into()),
    };
    Ok((client, target))
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
    client: &WorkerHost,
    at: &WorkerAddress,
    output: Output,
) -> anyhow::Result<Exit> {
    let view = match client.worker(at).await {
        Ok(view) => view,
        // The command was carried out all the same.
        Err(refused) if refused.is_forbidden() => {
            if output.is_json() {
                output.json(&json!({ "worker_id": at.worker }))?;
            } else {
                output
                    .note(&format!("done; how {} is now is not to be seen: {refused}", at.worker));
            }
            return Ok(Exit::Done);
        }
        Err(error) => return Err(error.into()),
    };
    if output.is_json() {
        output.json(&view)?;
    } else {
        output.note(&format!("{} is {}", view.worker_id, view.status.name()));
    }
    Ok(Exit::Done)
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
    let row = |view: &WorkerView| {
        let id = view.worker_id.to_string();
        [
            id[id.len() - length..].to_owned(),
            view.status.name().to_owned(),
            view.profile.to_string(),
            turns(view).map_or("?".to_owned(), |turns| turns.to_string()),
            age(view.created_at, now),
            view.display_name.clone().unwrap_or_default(),
        ]
    };
    let head = ["ID", "STATUS", "PROFILE", "TURNS", "AGE", "NAME"];
    // Where all are in one place, nobody asks in which.
    if workers.windows(2).all(|pair| pair[0].runtime_id == pair[1].runtime_id) {
        output.table(head, &workers.iter().map(row).collect::<Vec<_>>())?;
        return Ok(());
    }
    let row = |view: &WorkerView| {
        let [id, status, profile, turns, age, name] = row(view);
        [id, view.runtime_id.to_string(), status, profile, turns, age, name]
    };
    let [id, status, profile, turns, age, name] = head;
    let head = [id, "RUNTIME", status, profile, turns, age, name];
    output.table(head, &workers.iter().map(row).collect::<Vec<_>>())?;
    Ok(())
}

/// How many turns of a Worker ended, where that is known: of a log that was never read it is not.
pub(super) fn turns(view: &WorkerView) -> Option<u64> {
    let unread = view.status == WorkerStatus::Unavailable && view.last_seq == Seq::ZERO;
    (!unread).then_some(view.usage.turns)
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

//! Cancelling, stopping, starting and deleting.

use worker_types::{
    Cursor, EventBody, FailureKind, IfBusy, Input, InputOptions, LiveEvent, Outcome, RuntimeError,
    StopReason, TurnId, WorkerQuery, WorkerStatus,
};

use super::{
    Setting,
    guest::{begin, give, log, next, run, said, sound, status, until_event, worker},
};
use crate::{
    invariants::Fate,
    operations::{EventStream, Operations},
};

const CANCELLED: Outcome = Outcome::Cancelled { reason: StopReason::Cancel };
const STOPPED: Outcome = Outcome::Cancelled { reason: StopReason::Stop };

/// The host of these tests.
#[must_use]
pub fn setting() -> Setting {
    Setting::default()
}

/// Whatever the guest is at; the end is in the log when the cancel is answered.
pub async fn a_cancelled_turn_ends_and_the_worker_takes_the_next_input(host: &impl Operations) {
    let id = worker(host, "base").await;
    for command in ["spin", "spin-in-host-calls", "sleep: 600000", "utter-hang"] {
        let turn_id = begin(host, id, command).await;
        host.cancel(id, Some(turn_id)).await.expect("cancelled");
        let log = log(host, id).await;
        assert!(log.last().is_some_and(|event| event.body.ends(turn_id)), "{log:?}");
        assert_eq!(host.outcome(id, turn_id).await, Ok(CANCELLED), "{command}");
        assert_eq!(run(host, id, "print: next").await, Outcome::Completed, "{command}");
    }
    sound(host, id).await;
}

/// Neither is an error.
pub async fn cancel_of_another_turn_or_of_none_changes_nothing(host: &impl Operations) {
    let id = worker(host, "base").await;
    host.cancel(id, None).await.expect("nothing to cancel");
    host.cancel(id, Some(TurnId::new(7))).await.expect("nothing to cancel");
    assert_eq!(run(host, id, "print: one").await, Outcome::Completed);
    let turn_id = begin(host, id, "spin").await;
    let before = log(host, id).await;
    for other in [1, 99, 0] {
        host.cancel(id, Some(TurnId::new(other))).await.expect("not the running turn");
    }
    assert_eq!(log(host, id).await, before);
    assert_eq!(status(host, id).await, WorkerStatus::Running { turn_id });
    assert_eq!(host.outcome(id, TurnId::new(1)).await, Ok(Outcome::Completed));
    host.cancel(id, None).await.expect("cancelled");
    assert_eq!(host.outcome(id, turn_id).await, Ok(CANCELLED));
    sound(host, id).await;
}

/// The others keep their turns.
pub async fn cancel_of_a_queued_input_ends_that_one_alone(host: &impl Operations) {
    let id = worker(host, "base").await;
    let running = begin(host, id, "spin").await;
    let mut queued = Vec::new();
    for text in ["one", "two", "three"] {
        queued.push(give(host, id, text, IfBusy::Queue).await.turn_id);
    }
    host.cancel(id, Some(queued[1])).await.expect("cancelled");
    assert_eq!(host.outcome(id, queued[1]).await, Ok(CANCELLED));
    assert_eq!(status(host, id).await, WorkerStatus::Running { turn_id: running });
    host.cancel(id, Some(running)).await.expect("cancelled");
    let report = sound(host, id).await;
    assert_eq!(said(host, id).await, ["one", "three"]);
    assert_eq!(report.inputs[2].fate, Fate::Cancelled(queued[1]));
    assert_eq!(host.outcome(id, queued[2]).await, Ok(Outcome::Completed));
}

/// No accepted input disappears: each has its end.
pub async fn a_stop_ends_what_runs_and_cancels_what_waits(host: &impl Operations) {
    let id = worker(host, "base").await;
    let running = begin(host, id, "spin").await;
    let queued = give(host, id, "never", IfBusy::Queue).await.turn_id;
    host.stop(id).await.expect("stopped");
    assert_eq!(host.outcome(id, running).await, Ok(STOPPED));
    assert_eq!(host.outcome(id, queued).await, Ok(STOPPED));
    assert_eq!(status(host, id).await, WorkerStatus::Stopped);
    let report = sound(host, id).await;
    assert_eq!(report.inputs[1].fate, Fate::Cancelled(queued));
    host.start(id).await.expect("started");
    assert_eq!(status(host, id).await, WorkerStatus::Idle);
    assert_eq!(said(host, id).await, [""; 0]);
}

/// Stopping and starting twice is nothing new.
pub async fn a_stopped_worker_takes_nothing_until_it_is_started(host: &impl Operations) {
    let id = worker(host, "base").await;
    host.stop(id).await.expect("stopped");
    host.stop(id).await.expect("a second stop is nothing new");
    for if_busy in [IfBusy::Reject, IfBusy::Queue, IfBusy::Steer] {
        let refused = host.input(id, Input::text("x"), InputOptions::if_busy(if_busy)).await;
        assert_eq!(refused, Err(RuntimeError::WorkerStopped));
    }
    assert!(!RuntimeError::WorkerStopped.is_retryable());
    host.start(id).await.expect("started");
    host.start(id).await.expect("a second start is nothing new");
    assert_eq!(run(host, id, "print: again").await, Outcome::Completed);
    let log = log(host, id).await;
    let count = |body: &EventBody| log.iter().filter(|event| event.body == *body).count();
    assert_eq!((count(&EventBody::WorkerStopped), count(&EventBody::WorkerStarted)), (1, 1));
    sound(host, id).await;
}

/// Whether it has work or not.
pub async fn only_a_stopped_worker_can_be_deleted(host: &impl Operations) {
    let id = worker(host, "base").await;
    assert_eq!(host.delete(id).await, Err(RuntimeError::WorkerNotStopped));
    let turn_id = begin(host, id, "spin").await;
    assert_eq!(host.delete(id).await, Err(RuntimeError::WorkerNotStopped));
    assert_eq!(status(host, id).await, WorkerStatus::Running { turn_id });
    host.stop(id).await.expect("stopped");
    sound(host, id).await;
    host.delete(id).await.expect("deleted");
}

/// For everybody, at once.
pub async fn a_deleted_worker_is_unknown_as_soon_as_that_is_answered(host: &impl Operations) {
    for _ in 0..50 {
        let id = worker(host, "base").await;
        assert_eq!(run(host, id, "print: one").await, Outcome::Completed);
        host.stop(id).await.expect("stopped");
        host.delete(id).await.expect("deleted");
        let unknown = Err(RuntimeError::UnknownWorker { worker_id: id });
        assert_eq!(host.worker(id).await.map(drop), unknown);
        assert_eq!(host.delete(id).await, unknown);
        assert_eq!(host.start(id).await, unknown);
        let listed = host.workers(WorkerQuery::default()).await.expect("a page").workers;
        assert!(listed.is_empty(), "{listed:?}");
        let overview = host.summary().await.expect("a summary").overview;
        assert_eq!((overview.idle, overview.running, overview.stopped), (0, 0, 0));
    }
}

/// Who has kept up gets the end; who has not is told that there is nothing to catch up with. Nobody is
/// left waiting.
pub async fn readers_of_a_deleted_worker_are_told(host: &impl Operations) {
    let id = worker(host, "base").await;
    assert_eq!(run(host, id, "print: one").await, Outcome::Completed);
    let mut late = host.events(id, Cursor::START).await.expect("a stream");
    let mut events = host.events(id, Cursor::START).await.expect("a stream");
    host.stop(id).await.expect("stopped");
    until_event(&mut events, |event| event.body == EventBody::WorkerStopped).await;
    host.delete(id).await.expect("deleted");
    let LiveEvent::Durable(last) = next(&mut events).await else { panic!("no text is open") };
    assert_eq!(last.body, EventBody::WorkerDeleted);
    assert_eq!(events.next().await, None);

    // Who comes late has of it what was on its way, and then what it missed is said.
    let unknown = RuntimeError::UnknownWorker { worker_id: id };
    let mut seq = 0;
    while let Some(event) = late.next().await {
        match event {
            Ok(LiveEvent::Durable(event)) => {
                seq += 1;
                assert_eq!(event.seq.get(), seq);
                if event.body == EventBody::WorkerDeleted {
                    assert_eq!(late.next().await, None);
                    return;
                }
            }
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error, unknown);
                return;
            }
        }
    }
    panic!("it ended in silence");
}

/// A guest's failure is its own.
pub async fn every_way_a_guest_fails_ends_its_turn_with_a_reason(host: &impl Operations) {
    let id = worker(host, "base").await;
    for (command, kind, reason) in [
        ("fail: no such luck", FailureKind::Guest, "no such luck"),
        ("panic: at the disco", FailureKind::Trap, "at the disco"),
        ("trap", FailureKind::Trap, "unreachable"),
        ("tool-trap", FailureKind::Trap, "unreachable"),
    ] {
        let outcome = run(host, id, command).await;
        let Outcome::Failed { kind: found, message } = &outcome else {
            panic!("{command}: {outcome:?}")
        };
        assert_eq!(*found, kind, "{command}: {message}");
        assert!(message.contains(reason), "{command}: {message}");
    }
    assert_eq!(run(host, id, "tool-drop").await, Outcome::Completed);
    sound(host, id).await;
}

/// And in nobody else's.
pub async fn what_a_guest_prints_is_in_the_logs_of_its_turn(host: &impl Operations) {
    let id = worker(host, "base").await;
    run(host, id, "print: one").await;
    run(host, id, "print: two").await;
    let texts = async |turn| -> Vec<String> {
        let page = host.logs(id, turn).await.expect("logs");
        page.lines.into_iter().map(|line| line.text).collect()
    };
    assert_eq!(texts(None).await, ["one", "two"]);
    assert_eq!(texts(Some(TurnId::new(2))).await, ["two"]);
}

//! Commands against one another, a few hundred times each.

use futures_util::future::{join, join_all};
use worker_types::{
    IfBusy, Input, InputAccepted, InputOptions, Limits, Outcome, RuntimeError, StopReason, WorkerId,
};

use super::{
    Setting,
    guest::{give, sound, text, worker},
};
use crate::{
    invariants::{Fate, LogReport},
    operations::{Answer, Operations},
};

const ROUNDS: usize = 200;

/// The host of these tests.
#[must_use]
pub fn setting() -> Setting {
    // Guests may be slower than those who command them.
    let limits = Limits { queue: 10 * ROUNDS as u64, ..Limits::default() };
    Setting { limits, ..Setting::default() }
}

/// What was accepted is in the log once, as it was promised; what was refused is not.
fn accounted(report: &LogReport, answers: &[(String, Answer<InputAccepted>)]) {
    for (sent, answer) in answers {
        let found: Vec<_> =
            report.inputs.iter().filter(|input| text(&input.parts) == sent).collect();
        match answer {
            Ok(accepted) => {
                assert_eq!(found.len(), 1, "{sent}: {found:?}");
                assert_eq!(found[0].seq, accepted.seq, "{sent}");
                assert_eq!(found[0].turn_id, accepted.turn_id, "{sent}");
                assert_eq!(found[0].status, accepted.status, "{sent}");
                assert_ne!(found[0].fate, Fate::Waiting, "{sent}");
            }
            Err(
                RuntimeError::Busy { .. }
                | RuntimeError::WorkerStopped
                | RuntimeError::Capacity { .. },
            ) => assert!(found.is_empty(), "{sent} was refused: {found:?}"),
            Err(other) => panic!("{sent}: {other:?}"),
        }
    }
}

async fn send(
    host: &impl Operations,
    id: WorkerId,
    text: String,
    if_busy: IfBusy,
) -> (String, Answer<InputAccepted>) {
    let answer = host.input(id, Input::text(text.clone()), InputOptions::if_busy(if_busy)).await;
    (text, answer)
}

/// Whether the input comes first or the cancel.
pub async fn input_against_cancel_loses_nothing_that_was_accepted(host: &impl Operations) {
    let id = worker(host, "base").await;
    let mut answers = Vec::new();
    for round in 0..ROUNDS {
        let running = give(host, id, &format!("spin: {round}"), IfBusy::Queue).await.turn_id;
        let if_busy = [IfBusy::Reject, IfBusy::Queue, IfBusy::Steer][round % 3];
        let input = send(host, id, format!("print: {round}"), if_busy);
        let (answer, cancelled) = if round % 2 == 0 {
            join(input, host.cancel(id, Some(running))).await
        } else {
            let (cancelled, answer) = join(host.cancel(id, Some(running)), input).await;
            (answer, cancelled)
        };
        cancelled.expect("cancelled");
        answers.push(answer);
    }
    accounted(&sound(host, id).await, &answers);
}

/// A turn that ends by itself is not ended again.
pub async fn cancel_against_the_end_of_a_turn_leaves_one_end(host: &impl Operations) {
    let id = worker(host, "base").await;
    let mut outcomes = [0, 0];
    for round in 0..ROUNDS {
        let turn_id = give(host, id, &format!("print: {round}"), IfBusy::Reject).await.turn_id;
        for _ in 0..round % 8 {
            tokio::task::yield_now().await;
        }
        let (ended, cancelled) =
            join(host.outcome(id, turn_id), host.cancel(id, Some(turn_id))).await;
        cancelled.expect("cancelled, or over");
        match ended.expect("an outcome") {
            Outcome::Completed => outcomes[0] += 1,
            Outcome::Cancelled { reason: StopReason::Cancel } => outcomes[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    let report = sound(host, id).await;
    assert_eq!(report.turns.len(), ROUNDS, "{outcomes:?}");
}

/// The Worker is stopped either way, and what ran has an end.
pub async fn stop_against_the_end_of_a_turn_leaves_one_end(host: &impl Operations) {
    let id = worker(host, "base").await;
    let mut answers = Vec::new();
    for round in 0..ROUNDS {
        let (first, second) = join(
            send(host, id, format!("print: {round}"), IfBusy::Queue),
            send(host, id, format!("tool: {round}"), IfBusy::Queue),
        )
        .await;
        for _ in 0..round % 8 {
            tokio::task::yield_now().await;
        }
        let late = send(host, id, format!("late {round}"), IfBusy::Queue);
        let (stopped, third) = join(host.stop(id), late).await;
        stopped.expect("stopped");
        let report_stopped = host.worker(id).await.expect("the Worker").status;
        assert_eq!(report_stopped, worker_types::WorkerStatus::Stopped);
        host.start(id).await.expect("started");
        answers.extend([first, second, third]);
    }
    accounted(&sound(host, id).await, &answers);
}

/// Everything at once, on one Worker.
pub async fn commands_of_every_kind_at_once_leave_a_sound_log(host: &impl Operations) {
    let id = worker(host, "base").await;
    let mut answers = Vec::new();
    for round in 0..ROUNDS / 8 {
        let modes = [IfBusy::Queue, IfBusy::Steer, IfBusy::Reject];
        let texts = ["spin", "tool", "print", "state-set", "utter", "tool-trap", "sleep", "fail"];
        let inputs = texts.iter().enumerate().map(|(place, command)| {
            let argument = if *command == "state-set" { "k=" } else { "" };
            let text = format!("{command}: {argument}{round}");
            send(host, id, text, modes[(place + round) % 3])
        });
        let others = async {
            let cancel = host.cancel(id, None);
            let stop = async { if round % 4 == 0 { host.stop(id).await } else { Ok(()) } };
            let (cancelled, stopped, started) =
                futures_util::future::join3(cancel, stop, host.start(id)).await;
            cancelled.and(stopped).and(started).expect("commands that nothing stands against");
        };
        let (sent, ()) = join(join_all(inputs), others).await;
        answers.extend(sent);
        // What spins now is ended, and with it the queue behind it goes on.
        while let worker_types::WorkerStatus::Running { .. } =
            host.worker(id).await.expect("the Worker").status
        {
            host.cancel(id, None).await.expect("cancelled");
            tokio::task::yield_now().await;
        }
        host.start(id).await.expect("started");
    }
    accounted(&sound(host, id).await, &answers);
}

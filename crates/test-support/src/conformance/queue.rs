//! One turn at a time, and what waits for its own.

use futures_util::future::join_all;
use worker_types::{
    IfBusy, Input, InputDisposition, InputOptions, Limits, Outcome, RuntimeError, TurnId,
    WorkerStatus,
};

use super::{
    Setting,
    guest::{begin, give, said, sound, status, text, worker},
};
use crate::{invariants::Fate, operations::Operations};

/// Inputs that may wait for a Worker of this host.
const QUEUE: usize = 100;

/// The host of these tests.
#[must_use]
pub fn setting() -> Setting {
    let limits = Limits { queue: QUEUE as u64, ..Limits::default() };
    Setting { limits, ..Setting::default() }
}

/// The refusal names what to wait for or to cancel.
pub async fn a_busy_worker_refuses_with_the_turn_that_runs(host: &impl Operations) {
    let id = worker(host, "base").await;
    let turn_id = begin(host, id, "spin").await;
    assert_eq!(status(host, id).await, WorkerStatus::Running { turn_id });
    let refused = host.input(id, Input::text("x"), InputOptions::default()).await;
    assert_eq!(refused, Err(RuntimeError::Busy { turn_id }));
    assert!(RuntimeError::Busy { turn_id }.is_retryable());
    host.cancel(id, None).await.expect("cancelled");
    assert_eq!(sound(host, id).await.inputs.len(), 1);
}

/// Single flight.
pub async fn of_a_hundred_inputs_at_once_exactly_one_runs(host: &impl Operations) {
    let id = worker(host, "base").await;
    let inputs = (0..100).map(|_| host.input(id, Input::text("spin"), InputOptions::default()));
    let answers = join_all(inputs).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for refused in answers.into_iter().filter_map(Result::err) {
        assert_eq!(refused, RuntimeError::Busy { turn_id: TurnId::new(1) });
    }
    host.cancel(id, None).await.expect("cancelled");
    assert_eq!(sound(host, id).await.inputs.len(), 1);
}

/// The turns are the ones that were promised.
pub async fn queued_inputs_have_their_turns_in_order(host: &impl Operations) {
    let id = worker(host, "base").await;
    let first = begin(host, id, "spin").await;
    let mut promised = Vec::new();
    for text in ["one", "two", "three"] {
        let accepted = give(host, id, text, IfBusy::Queue).await;
        assert_eq!(accepted.status, InputDisposition::Queued);
        promised.push(accepted.turn_id);
    }
    host.cancel(id, Some(first)).await.expect("cancelled");
    for turn_id in &promised {
        assert_eq!(host.outcome(id, *turn_id).await, Ok(Outcome::Completed));
    }
    assert_eq!(said(host, id).await, ["one", "two", "three"]);
    let report = sound(host, id).await;
    let turns: Vec<Fate> = report.inputs[1..].iter().map(|input| input.fate).collect();
    assert_eq!(turns, promised.into_iter().map(Fate::Turn).collect::<Vec<_>>());
}

/// Whoever came first is served first, by the order in the log.
pub async fn a_hundred_inputs_queued_at_once_all_run_in_order(host: &impl Operations) {
    let id = worker(host, "base").await;
    let inputs = (0..QUEUE).map(|number| {
        host.input(id, Input::text(number.to_string()), InputOptions::if_busy(IfBusy::Queue))
    });
    let mut accepted: Vec<_> = join_all(inputs)
        .await
        .into_iter()
        .enumerate()
        .map(|(number, answer)| (answer.expect("accepted"), number.to_string()))
        .collect();
    accepted.sort_by_key(|(accepted, _)| accepted.seq);
    for (accepted, _) in &accepted {
        assert_eq!(host.outcome(id, accepted.turn_id).await, Ok(Outcome::Completed));
    }
    let order: Vec<&str> = accepted.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(said(host, id).await, order);
    let report = sound(host, id).await;
    let inputs: Vec<&str> = report.inputs.iter().map(|input| text(&input.parts)).collect();
    assert_eq!(inputs, order);
}

/// The bound is per Worker, and gives way when something ran.
pub async fn a_full_queue_refuses_and_can_be_tried_again(host: &impl Operations) {
    let id = worker(host, "base").await;
    let first = begin(host, id, "spin").await;
    for _ in 0..QUEUE {
        give(host, id, "print: waits", IfBusy::Queue).await;
    }
    for if_busy in [IfBusy::Queue, IfBusy::Steer] {
        let refused = host.input(id, Input::text("x"), InputOptions::if_busy(if_busy)).await;
        let refused = refused.expect_err("the queue is full");
        assert!(matches!(refused, RuntimeError::Capacity { .. }), "{refused:?}");
        assert!(refused.is_retryable());
    }
    let other = worker(host, "echo").await;
    give(host, other, "not mine", IfBusy::Reject).await;
    host.cancel(id, Some(first)).await.expect("cancelled");
    sound(host, id).await;
    give(host, id, "print: again", IfBusy::Queue).await;
    assert_eq!(sound(host, id).await.inputs.len(), QUEUE + 2);
}

//! The same request with the same key is carried out once.

use futures_util::future::join_all;
use worker_types::{
    IdempotencyKey, IfBusy, Input, InputOptions, Outcome, RuntimeError, WorkerQuery,
};

use super::{
    Setting,
    guest::{begin, of, said, sound, worker},
};
use crate::operations::Operations;

/// The host of these tests.
#[must_use]
pub fn setting() -> Setting {
    Setting::default()
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).expect("a valid key")
}

fn keyed(if_busy: IfBusy, text: &str) -> InputOptions {
    InputOptions::if_busy(if_busy).idempotency_key(key(text))
}

/// A hundred times at once, and again.
pub async fn a_creation_with_a_key_happens_once_however_often_it_is_asked_for(
    host: &impl Operations,
) {
    let request = of("echo").input(Input::text("hello")).idempotency_key(key("create"));
    let created = join_all((0..100).map(|_| host.create(request.clone()))).await;
    let id = created[0].as_ref().expect("a Worker").worker_id;
    for answer in created {
        assert_eq!(answer.expect("a Worker").worker_id, id);
    }
    let again = host.create(request).await.expect("the first acceptance");
    assert_eq!(again.worker_id, id);
    let listed = host.workers(WorkerQuery::default()).await.expect("a page").workers;
    assert_eq!(listed.len(), 1);
    assert_eq!(sound(host, id).await.inputs.len(), 1);
    assert_eq!(said(host, id).await, ["hello"]);
}

/// Every caller gets the first acceptance.
pub async fn an_input_with_a_key_happens_once_however_often_it_is_asked_for(
    host: &impl Operations,
) {
    let id = worker(host, "echo").await;
    for if_busy in [IfBusy::Reject, IfBusy::Queue, IfBusy::Steer] {
        let name = format!("{if_busy:?}");
        let ask = || host.input(id, Input::text(name.clone()), keyed(if_busy, &name));
        let answers = join_all((0..100).map(|_| ask())).await;
        let first = *answers[0].as_ref().expect("an acceptance");
        for answer in answers {
            assert_eq!(answer, Ok(first));
        }
        assert_eq!(host.outcome(id, first.turn_id).await, Ok(Outcome::Completed));
        assert_eq!(ask().await, Ok(first), "also when it is long over");
    }
    assert_eq!(sound(host, id).await.inputs.len(), 3);
}

/// Also while the first is on its way.
pub async fn a_key_with_another_request_is_a_conflict(host: &impl Operations) {
    let id = worker(host, "echo").await;
    let inputs = (0..100)
        .map(|number| host.input(id, Input::text(number.to_string()), keyed(IfBusy::Queue, "one")));
    let answers = join_all(inputs).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for refused in answers.into_iter().filter_map(Result::err) {
        assert_eq!(refused, RuntimeError::IdempotencyConflict);
    }
    assert_eq!(sound(host, id).await.inputs.len(), 1);

    let created = host.create(of("echo").idempotency_key(key("two"))).await.expect("a Worker");
    let other = of("echo").label("k", "v").idempotency_key(key("two"));
    assert_eq!(host.create(other).await, Err(RuntimeError::IdempotencyConflict));
    let again = host.create(of("echo").idempotency_key(key("two"))).await.expect("the same");
    assert_eq!(again.worker_id, created.worker_id);
}

/// The same word can be a key for many things.
pub async fn keys_of_other_principals_operations_and_workers_do_not_meet(host: &impl Operations) {
    let create = |principal: &str| of("echo").idempotency_key(key("k").of(principal));
    let mut ids = Vec::new();
    for principal in ["", "alice", "bob"] {
        ids.push(host.create(create(principal)).await.expect("a Worker").worker_id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
    for id in &ids {
        for principal in ["", "alice"] {
            let options = InputOptions::if_busy(IfBusy::Queue);
            let options = options.idempotency_key(key("k").of(principal));
            host.input(*id, Input::text(format!("of {principal}")), options)
                .await
                .expect("accepted");
        }
        assert_eq!(sound(host, *id).await.inputs.len(), 2);
        assert_eq!(said(host, *id).await, ["of ", "of alice"]);
    }
}

/// A refused request may be made again with the same key, and be accepted then.
pub async fn a_refusal_is_not_remembered(host: &impl Operations) {
    let id = worker(host, "base").await;
    let turn_id = begin(host, id, "spin").await;
    let ask = |text: &'static str| host.input(id, Input::text(text), keyed(IfBusy::Reject, "k"));
    assert_eq!(ask("first").await, Err(RuntimeError::Busy { turn_id }));
    host.cancel(id, None).await.expect("cancelled");
    let accepted = ask("second").await.expect("accepted");
    assert_eq!(host.outcome(id, accepted.turn_id).await, Ok(Outcome::Completed));
    assert_eq!(ask("first").await, Err(RuntimeError::IdempotencyConflict));
    assert_eq!(sound(host, id).await.inputs.len(), 2);
}

/// What was accepted before stays so; what is new is refused.
pub async fn a_key_holds_while_its_worker_is_stopped(host: &impl Operations) {
    let id = worker(host, "echo").await;
    let ask = |text: &'static str, name: &'static str| {
        host.input(id, Input::text(text), keyed(IfBusy::Queue, name))
    };
    let accepted = ask("hello", "k").await.expect("accepted");
    host.outcome(id, accepted.turn_id).await.expect("an outcome");
    host.stop(id).await.expect("stopped");
    assert_eq!(ask("hello", "k").await, Ok(accepted));
    assert_eq!(ask("hello", "new").await, Err(RuntimeError::WorkerStopped));
    assert_eq!(ask("other", "k").await, Err(RuntimeError::IdempotencyConflict));
    assert_eq!(sound(host, id).await.inputs.len(), 1);
}

use std::{borrow::Cow, pin::pin};

use tokio::sync::oneshot;
use worker_types::{ComponentRef, CreateWorker, Cursor, Input, LiveEvent, Profile, WorkerId};

use super::*;
use crate::Runtime;

/// A Runtime, and a Worker of it whose first turn spins.
async fn spinning() -> (Runtime, WorkerId) {
    let component = ComponentRef::Builtin("base".parse().expect("a valid name"));
    let profile = Profile {
        name: "base".parse().expect("a valid name"),
        description: String::new(),
        component: component.clone(),
        optional: Default::default(),
        resume: false,
        commands: Default::default(),
        config: Default::default(),
    };
    let name = profile.name.clone();
    let runtime = Runtime::builder("test".parse().expect("a valid id"))
        .components([(component, Cow::Borrowed(test_guests::HOSTILE_BASE))])
        .profiles([profile])
        .build()
        .await
        .expect("a Runtime");
    let spin = CreateWorker::profile(name).input(Input::text("spin"));
    let id = runtime.create(spin).await.expect("a Worker").worker_id;
    (runtime, id)
}

#[tokio::test]
async fn a_task_that_panics_leaves_a_worker_that_goes_on() {
    let (runtime, id) = spinning().await;
    let turn_id = TurnId::ZERO.next();
    let (reply, lost) = oneshot::channel();
    runtime.0.workers.send(&runtime.0, id, Request::End { turn_id, reply }).expect("sent");
    runtime.0.workers.send(&runtime.0, id, Request::Panic).expect("sent");
    lost.await.expect_err("the task is gone, and with it whoever it knew");

    let next = runtime.input(id, Input::text("next"), Default::default()).await;
    let next = next.expect("the Worker is not busy for ever").turn_id;
    assert_eq!(runtime.outcome(id, next).await, Ok(Outcome::Completed));
    let outcome = runtime.outcome(id, turn_id).await;
    assert_eq!(outcome, Ok(Outcome::Interrupted), "the turn has its one end");
    assert_eq!(runtime.overview().idle, 1);
}

#[tokio::test]
async fn a_task_that_panics_is_mended_also_when_nobody_asks_for_anything() {
    let (runtime, id) = spinning().await;
    runtime.0.workers.send(&runtime.0, id, Request::Panic).expect("sent");
    let mut events = runtime.events(id, Cursor::START).expect("the events");
    loop {
        let event = events.next().await.expect("more events").expect("an event");
        if let LiveEvent::Durable(event) = event
            && let EventBody::TurnEnded { outcome, .. } = event.body
        {
            assert_eq!(outcome, Outcome::Interrupted);
            return;
        }
    }
}

#[tokio::test]
async fn a_reader_is_told_once_when_its_worker_becomes_unavailable() {
    let (runtime, id) = spinning().await;
    let mut events = runtime.events(id, Cursor::START).expect("the events");
    // What was committed comes first.
    for _ in 0..3 {
        assert!(matches!(events.next().await, Some(Ok(LiveEvent::Durable(_)))));
    }
    let cell = runtime.0.workers.cell(id).expect("it");
    assert!(futures_util::poll!(pin!(events.next())).is_pending(), "nothing follows");
    runtime.0.count(cell.set_unavailable(Some("a reason".to_owned())));
    let reason = "a reason".to_owned();
    assert_eq!(events.next().await, Some(Err(RuntimeError::WorkerUnavailable { reason })));
    assert!(futures_util::poll!(pin!(events.next())).is_pending(), "it is said once");
}

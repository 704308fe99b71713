//! What a Runtime finds again in its store.

use std::{path::Path, time::Duration};

use llm_engine::{Gate, Models, ScriptedModel, Step};
use worker_runtime::{Runtime, RuntimeBuilder, Store};
use worker_types::{
    CreateWorker, Cursor, Event, EventBody, FeedCursor, IfBusy, Input, InputOptions, ItemStatus,
    LiveEvent, Outcome, Profile, RuntimeError, TranscriptQuery, TurnId, WorkerId, WorkerQuery,
    WorkerStatus,
};

use crate::harness::*;

fn store(dir: &Path) -> Store {
    Store::sqlite(dir).expect("a store")
}

async fn open(dir: &Path) -> Runtime {
    build(builder().store(store(dir))).await
}

async fn build(builder: RuntimeBuilder) -> Runtime {
    builder.build().await.expect("a Runtime")
}

/// Ends a Runtime, and whatever runs in it at once.
async fn close(runtime: Runtime) {
    runtime.shutdown(Duration::ZERO).await;
}

async fn outcome(runtime: &Runtime, id: WorkerId, turn: u64) -> Outcome {
    let outcome = tokio::time::timeout(PATIENCE, runtime.outcome(id, TurnId::new(turn))).await;
    outcome.expect("the turn ends").expect("an outcome")
}

#[tokio::test]
async fn workers_and_all_that_is_known_of_them_are_found_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = open(dir.path()).await;
    let request = CreateWorker::profile(name("base")).display_name("One").label("user", "42");
    let id = runtime.create(request).await.expect("a Worker").worker_id;
    assert_eq!(turn(&runtime, id, "state-set: k=v").await, Outcome::Completed);
    let stopped = worker(&runtime, "echo").await;
    runtime.stop(stopped).await.expect("stopped");
    let before = (
        runtime.workers(&WorkerQuery::default()).expect("a page"),
        runtime.transcript(id, TranscriptQuery::default()).await.expect("a transcript"),
        log(&runtime, id).await,
        runtime.usage(id, None, 10).await.expect("usage"),
        runtime.overview(),
    );
    close(runtime).await;

    let runtime = open(dir.path()).await;
    let after = (
        runtime.workers(&WorkerQuery::default()).expect("a page"),
        runtime.transcript(id, TranscriptQuery::default()).await.expect("a transcript"),
        log(&runtime, id).await,
        runtime.usage(id, None, 10).await.expect("usage"),
        runtime.overview(),
    );
    assert_eq!(after, before);
    assert_eq!(outcome(&runtime, id, 1).await, Outcome::Completed);
    assert_eq!(turn(&runtime, id, "state-get: k").await, Outcome::Completed);
    assert_eq!(said(&runtime, id).await.pop().as_deref(), Some("v"));
    let refused = runtime.input(stopped, Input::text("x"), InputOptions::default()).await;
    assert_eq!(refused, Err(RuntimeError::WorkerStopped), "stopped stays stopped");
}

#[tokio::test]
async fn a_turn_that_the_shutdown_interrupted_has_ended_and_what_waited_runs() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = open(dir.path()).await;
    let id = worker(&runtime, "base").await;
    send(&runtime, id, "utter-hang").await;
    let queue = InputOptions::if_busy(IfBusy::Queue);
    let queued = runtime.input(id, Input::text("say: 1"), queue).await.expect("it waits");
    let mut events = runtime.events(id, Cursor::START).expect("a stream");
    until(&mut events, |event| {
        matches!(event, LiveEvent::Delta(_) | LiveEvent::Snapshot(_)).then_some(())
    })
    .await;
    drop(events);
    close(runtime).await;

    let runtime = open(dir.path()).await;
    assert_eq!(outcome(&runtime, id, queued.turn_id.get()).await, Outcome::Completed);
    assert_eq!(outcome(&runtime, id, 1).await, Outcome::Interrupted);
    let items = runtime.transcript(id, TranscriptQuery::default()).await.expect("a page").items;
    assert_eq!(items[1].status, ItemStatus::Incomplete);
    assert_eq!(said(&runtime, id).await, ["before the hang", "x"]);
}

#[tokio::test]
async fn a_profile_that_resumes_goes_on_from_its_history() {
    let dir = tempfile::tempdir().expect("a directory");
    let resuming = Profile { resume: true, ..profile("hostile") };
    let gate = Gate::closed();
    let held = ScriptedModel::new().call([Step::text("half"), Step::Gate(gate), Step::stop()]);
    let with_model = |model: ScriptedModel| {
        let models = Models::none().with("default", std::sync::Arc::new(model));
        builder().store(store(dir.path())).models(models).profiles([resuming.clone()])
    };
    let runtime = build(with_model(held)).await;
    let id = llm_worker(&runtime, "hostile").await;
    let mut events = runtime.events(id, Cursor::START).expect("a stream");
    send(&runtime, id, "llm: question").await;
    until(&mut events, |event| {
        matches!(event, LiveEvent::Delta(_) | LiveEvent::Snapshot(_)).then_some(())
    })
    .await;
    drop(events);
    close(runtime).await;

    let answers = ScriptedModel::new().call([Step::text("whole"), Step::stop()]);
    let runtime = build(with_model(answers)).await;
    assert_eq!(outcome(&runtime, id, 2).await, Outcome::Completed);
    assert_eq!(outcome(&runtime, id, 1).await, Outcome::Interrupted);
    let resumes = log(&runtime, id).await.into_iter().find_map(|event| match event.body {
        EventBody::TurnStarted { turn_id, resumes } if turn_id == TurnId::new(2) => resumes,
        _ => None,
    });
    assert_eq!(resumes, Some(TurnId::new(1)));
    let said = said(&runtime, id).await;
    assert_eq!(said, ["half", "whole", "model said: whole"]);
}

#[tokio::test]
async fn a_worker_runs_on_its_own_component_when_its_profile_is_gone_or_another() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = open(dir.path()).await;
    let id = worker(&runtime, "base").await;
    close(runtime).await;

    let without = Runtime::builder("test".parse().expect("a valid id")).store(store(dir.path()));
    let runtime = build(without).await;
    assert_eq!(turn(&runtime, id, "say: 3").await, Outcome::Completed);
    assert_eq!(said(&runtime, id).await, ["xxx"]);
    let view = runtime.worker(id).expect("the Worker");
    assert_eq!((view.profile, view.status), (name("base"), WorkerStatus::Idle));
}

#[tokio::test]
async fn a_damaged_log_makes_its_worker_unavailable_and_no_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = open(dir.path()).await;
    let damaged = worker(&runtime, "base").await;
    let other = worker(&runtime, "base").await;
    let rest = send(&runtime, damaged, "sleep: 600000").await;
    assert_eq!(rest, TurnId::new(1));
    close(runtime).await;
    let database = rusqlite::Connection::open(dir.path().join("log.sqlite3")).expect("it opens");
    // Its turn is not ended, so that its log will have to be read.
    let changed = database.execute_batch(
        "UPDATE workers SET active = 1, rest_seq = 0, rest = NULL WHERE key = 1;
         UPDATE events SET body = x'7b' WHERE worker = 1 AND seq = 2;",
    );
    changed.expect("damaged");
    drop(database);

    let runtime = open(dir.path()).await;
    let view = runtime.worker(damaged).expect("it is listed");
    assert_eq!(view.status, WorkerStatus::Unavailable);
    assert_eq!(view.diagnostics.len(), 1, "{view:?}");
    assert_eq!(runtime.overview().unavailable, 1);
    let refused = runtime.input(damaged, Input::text("x"), InputOptions::default()).await;
    assert!(matches!(refused, Err(RuntimeError::WorkerUnavailable { .. })), "{refused:?}");
    assert_eq!(turn(&runtime, other, "say: 1").await, Outcome::Completed);

    // The feed says what it does not have, once, and goes on.
    let mut feed = runtime.feed(FeedCursor::START).expect("the feed");
    let (mut events, mut errors) = (Vec::new(), Vec::new());
    let is_last = |event: &Event| {
        event.worker_id == other && matches!(event.body, EventBody::TurnEnded { .. })
    };
    while !events.iter().any(is_last) {
        match feed.next().await.expect("more of the feed") {
            Ok(event) => events.push(event),
            Err(error) => errors.push(error),
        }
    }
    assert!(matches!(errors[..], [RuntimeError::WorkerUnavailable { .. }]), "{errors:?}");
    let (mut cursor, mut paged, mut diagnostics) = (FeedCursor::START, 0, Vec::new());
    loop {
        let page = runtime.feed_page(cursor, 2).await.expect("a page");
        if page.next == cursor {
            break;
        }
        cursor = page.next;
        paged += page.events.len();
        diagnostics.extend(page.diagnostics);
    }
    assert_eq!(paged, events.len());
    assert_eq!(diagnostics.len(), 1, "{diagnostics:?}");
}

#[tokio::test]
async fn readers_that_outlive_their_runtime_do_not_keep_the_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = open(dir.path()).await;
    let id = worker(&runtime, "echo").await;
    assert_eq!(turn(&runtime, id, "one").await, Outcome::Completed);
    let mut unread = runtime.events(id, Cursor::START).expect("a stream");
    let mut feed = runtime.feed(FeedCursor::START).expect("a feed");
    let cursor = log(&runtime, id).await.last().map(|event| event.seq).expect("events");
    let cursor = Cursor::new(unread.cursor().log_id.expect("a log"), cursor);
    let mut waiting = runtime.events(id, cursor).expect("a stream");
    close(runtime).await;

    let runtime = open(dir.path()).await;
    assert_eq!(unread.next().await, None);
    assert_eq!(waiting.next().await, None);
    assert_eq!(feed.next().await, None);
    // Whoever has a cursor goes on where the reader was.
    let mut events = runtime.events(id, unread.cursor()).expect("a stream");
    assert!(matches!(next(&mut events).await, LiveEvent::Durable(_)));
}

#[tokio::test]
async fn a_reader_of_a_runtime_that_nobody_shut_down_is_not_left_waiting() {
    let runtime = runtime().await;
    let id = worker(&runtime, "echo").await;
    let mut events = runtime.events(id, Cursor::START).expect("a stream");
    next(&mut events).await;
    drop(runtime);
    let end = tokio::time::timeout(PATIENCE, events.next()).await;
    assert_eq!(end.expect("in time"), None);
}

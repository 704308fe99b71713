//! What a Runtime makes of a store in which somebody, or a disk, has damaged something.

use std::{path::Path, time::Duration};

use worker_runtime::{Runtime, Store};
use worker_types::{
    CreateWorker, Cursor, EventBody, FeedCursor, IdempotencyKey, Input, InputOptions, Outcome,
    RuntimeError, TranscriptQuery, WorkerId, WorkerQuery, WorkerStatus,
};

use crate::harness::*;

async fn open(dir: &Path) -> Runtime {
    let store = Store::sqlite(dir).expect("a store");
    builder().store(store).build().await.expect("a Runtime")
}

/// A store with two Workers of two turns each, in which `sql` was done to the first.
async fn damaged(dir: &Path, sql: &str) -> (WorkerId, WorkerId) {
    let runtime = open(dir).await;
    let (first, second) = (worker(&runtime, "base").await, worker(&runtime, "base").await);
    for id in [first, second, first, second] {
        assert_eq!(turn(&runtime, id, "say: 1").await, Outcome::Completed);
    }
    runtime.shutdown(Duration::ZERO).await;
    drop(runtime);
    let database = rusqlite::Connection::open(dir.join("log.sqlite3")).expect("it opens");
    database.execute_batch(sql).expect("damaged");
    (first, second)
}

async fn input(runtime: &Runtime, id: WorkerId) -> Result<(), RuntimeError> {
    runtime.input(id, Input::text("say: 1"), InputOptions::default()).await.map(drop)
}

fn is_unavailable<T: std::fmt::Debug>(result: &Result<T, RuntimeError>) {
    assert!(matches!(result, Err(RuntimeError::WorkerUnavailable { .. })), "{result:?}");
}

fn codes(runtime: &Runtime) -> Vec<String> {
    runtime.summary().diagnostics.into_iter().map(|diagnostic| diagnostic.code).collect()
}

/// Whether the feed ends with the end of the Worker, and nothing else is left of it.
async fn is_gone(runtime: &Runtime, id: WorkerId) {
    assert!(matches!(runtime.worker(id), Err(RuntimeError::UnknownWorker { .. })));
    let mut feed = runtime.feed(FeedCursor::START).expect("the feed");
    loop {
        let event = tokio::time::timeout(PATIENCE, feed.next()).await.expect("in time");
        let event = event.expect("more of the feed").expect("nothing of it is damaged any more");
        if event.worker_id == id {
            assert!(matches!(event.body, EventBody::WorkerDeleted), "{event:?}");
            return;
        }
    }
}

#[tokio::test]
async fn a_worker_whose_creation_is_damaged_is_listed_and_can_be_read_stopped_and_deleted() {
    let dir = tempfile::tempdir().expect("a directory");
    let (id, other) = damaged(dir.path(), "UPDATE workers SET created = x'7b' WHERE key = 1").await;
    let runtime = open(dir.path()).await;
    let listed = runtime.workers(&WorkerQuery::default()).expect("a page").workers;
    assert_eq!(listed.iter().map(|view| view.worker_id).collect::<Vec<_>>(), [id, other]);
    assert_eq!(listed[0].status, WorkerStatus::Unavailable);
    assert_eq!(listed[0].diagnostics.len(), 1, "{:?}", listed[0]);
    assert_eq!(said(&runtime, id).await, ["x", "x"]);
    is_unavailable(&input(&runtime, id).await);
    assert_eq!(runtime.delete(id).await, Err(RuntimeError::WorkerNotStopped));
    runtime.stop(id).await.expect("stopped");
    assert_eq!(runtime.worker(id).expect("it").status, WorkerStatus::Unavailable);
    runtime.delete(id).await.expect("deleted");
    is_gone(&runtime, id).await;
    assert_eq!(runtime.overview().unavailable, 0);
    assert_eq!(turn(&runtime, other, "say: 1").await, Outcome::Completed);
}

#[tokio::test]
async fn a_worker_whose_id_is_damaged_hides_no_other() {
    for id in ["x'01'", "x''", "zeroblob(17)"] {
        let dir = tempfile::tempdir().expect("a directory");
        let sql = format!("UPDATE workers SET id = {id} WHERE key = 1");
        let (_, other) = damaged(dir.path(), &sql).await;
        let runtime = open(dir.path()).await;
        assert!(codes(&runtime).contains(&"worker_damaged".to_owned()), "{id}");
        let listed = runtime.workers(&WorkerQuery::default()).expect("a page").workers;
        assert_eq!(listed.iter().map(|view| view.worker_id).collect::<Vec<_>>(), [other]);
        assert_eq!(turn(&runtime, other, "say: 1").await, Outcome::Completed);
        runtime.enforce_retention().await.expect("it is passed over");
    }
}

#[tokio::test]
async fn damaged_components_do_not_keep_a_runtime_from_its_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let (id, _) = damaged(dir.path(), "").await;
    let path = dir.path().join("log.sqlite3");
    let database = rusqlite::Connection::open(&path).expect("it opens");
    let root = |name: &str| -> usize {
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        let root: u32 = database.query_row(sql, [name], |row| row.get(0)).expect("a root");
        root as usize
    };
    let roots = ["components", "sqlite_autoindex_components_1"].map(root);
    drop(database);
    let mut bytes = std::fs::read(&path).expect("the database");
    for root in roots {
        bytes[(root - 1) * 4_096..root * 4_096].fill(0xff);
    }
    std::fs::write(path, bytes).expect("written");

    let runtime = open(dir.path()).await;
    assert!(codes(&runtime).contains(&"store_damaged".to_owned()));
    assert_eq!(turn(&runtime, id, "say: 1").await, Outcome::Completed, "it is given anew");
    runtime.shutdown(Duration::ZERO).await;
    drop(runtime);
    let without = Runtime::builder("test".parse().expect("a valid id"));
    let store = Store::sqlite(dir.path()).expect("a store");
    let runtime = without.store(store).build().await.expect("a Runtime");
    is_unavailable(&input(&runtime, id).await);
    assert_eq!(said(&runtime, id).await, ["x"; 3]);
}

#[tokio::test]
async fn a_log_without_its_end_is_not_taken_for_a_shorter_one_and_can_be_deleted() {
    let dir = tempfile::tempdir().expect("a directory");
    let (id, other) = damaged(dir.path(), "DELETE FROM events WHERE worker = 1 AND seq > 6").await;
    let runtime = open(dir.path()).await;
    is_unavailable(&runtime.event_page(id, Cursor::START, 1_000).await);
    let first = runtime.event_page(id, Cursor::START, 3).await.expect("what is there");
    assert_eq!(first.events.len(), 3);
    is_unavailable(&runtime.transcript(id, TranscriptQuery::default()).await);
    let mut events = runtime.events(id, Cursor::START).expect("a stream");
    is_unavailable(
        &tokio::time::timeout(PATIENCE, events.next()).await.expect("in time").expect("it"),
    );
    is_unavailable(&input(&runtime, id).await);
    is_unavailable(&runtime.stop(id).await);
    assert_eq!(runtime.worker(id).expect("it").status, WorkerStatus::Unavailable);
    let last = runtime.worker(id).expect("it").last_seq;
    let cursor = Cursor::new(first.next.log_id.expect("a log"), last);
    let mut reader = runtime.events(id, cursor).expect("a stream");
    runtime.delete(id).await.expect("deleted");
    let end = next(&mut reader).await;
    assert!(
        matches!(&end, worker_types::LiveEvent::Durable(event)
            if event.seq == last.next() && event.body == EventBody::WorkerDeleted),
        "{end:?}"
    );
    is_gone(&runtime, id).await;
    assert_eq!(turn(&runtime, other, "say: 1").await, Outcome::Completed);
}

#[tokio::test]
async fn a_worker_whose_log_cannot_be_read_can_be_deleted_for_ever() {
    let dir = tempfile::tempdir().expect("a directory");
    let sql = "UPDATE workers SET active = 1, rest_seq = 0, rest = NULL WHERE key = 1;
         UPDATE events SET body = x'7b' WHERE worker = 1 AND seq = 2;";
    let (id, other) = damaged(dir.path(), sql).await;
    let runtime = open(dir.path()).await;
    is_unavailable(&runtime.stop(id).await);
    runtime.delete(id).await.expect("deleted");
    assert_eq!(runtime.overview().unavailable, 0);
    is_gone(&runtime, id).await;
    let again = runtime.delete(id).await;
    assert!(matches!(again, Err(RuntimeError::UnknownWorker { .. })), "{again:?}");
    runtime.shutdown(Duration::ZERO).await;
    drop(runtime);
    let runtime = open(dir.path()).await;
    is_gone(&runtime, id).await;
    assert_eq!(turn(&runtime, other, "say: 1").await, Outcome::Completed);
}

#[tokio::test]
async fn a_damaged_idempotency_key_is_no_reason_to_try_again() {
    for column in ["answer = x'7b'", "request = x'00'", "at = 9223372036854775807"] {
        let dir = tempfile::tempdir().expect("a directory");
        let runtime = open(dir.path()).await;
        let create = || {
            let key = IdempotencyKey::new("key").expect("a key");
            CreateWorker::profile(name("echo")).idempotency_key(key)
        };
        runtime.create(create()).await.expect("a Worker");
        runtime.shutdown(Duration::ZERO).await;
        drop(runtime);
        let database = rusqlite::Connection::open(dir.path().join("log.sqlite3"));
        let update = format!("UPDATE keys SET {column}");
        database.expect("it opens").execute_batch(&update).expect("damaged");

        let runtime = open(dir.path()).await;
        let refused = runtime.create(create()).await.expect_err("nobody knows");
        assert!(matches!(refused, RuntimeError::StoreDamaged { .. }), "{refused:?}");
        assert!(!refused.is_retryable());
        worker(&runtime, "echo").await;
    }
}

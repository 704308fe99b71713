//! What is special about logs on disk. What every store does is in the contract tests.

mod backup;
mod check;
mod damage;
mod failures;
pub(super) mod faults;
mod files;
mod measurements;
mod torn_log;

use std::path::Path;

use worker_types::Seq;

use super::{SqliteStore, schema, writer::Shared};
use crate::store::{Kind, Store, test_support::TestWorker};

/// A store for tests: faults reach it where `prepare` says so.
fn open(directory: &Path, prepare: impl FnOnce(&Shared)) -> Store {
    let store = SqliteStore::open_with(directory, schema::STEPS, prepare);
    Store(Kind::Sqlite(store.expect("a store")))
}

fn inner(store: &Store) -> &SqliteStore {
    match &store.0 {
        Kind::Sqlite(store) => store,
        Kind::Memory(_) => panic!("not on disk"),
    }
}

/// How many of the Worker's events are there, which are those it wrote.
async fn held(store: &Store, worker: &TestWorker) -> usize {
    let last = store.last_seq(worker.id).await.expect("an answer");
    let log = store.read(worker.id, Seq::ZERO, last, usize::MAX).await.expect("the log");
    assert!(log.iter().eq(worker.log.iter().take(log.len())));
    assert_eq!(log.len() as u64, last.get());
    log.len()
}

//! A log that ends where a crash left it.

use std::{fs, path::Path};

use tempfile::TempDir;
use worker_types::Seq;

use super::{super::database::Files, held};
use crate::store::{Store, test_support::*};

const HEADER: usize = 32;
const FRAME: usize = 24 + 4_096;

/// The files as they are now, with `bytes` of the log.
fn copy(from: &Path, bytes: usize) -> TempDir {
    let at = tempfile::tempdir().expect("a directory");
    let (from, to) = (Files::new(from), Files::new(at.path()));
    fs::copy(from.database(), to.database()).expect("copied");
    let log = fs::read(from.wal()).expect("the log");
    fs::write(to.wal(), &log[..bytes]).expect("written");
    at
}

#[tokio::test]
async fn a_log_cut_anywhere_holds_a_prefix_of_the_commits() {
    let at = tempfile::tempdir().expect("a directory");
    let store = Store::sqlite(at.path()).expect("a store");
    let mut worker = TestWorker::create(&store).await;
    let mut ends = vec![0, worker.log.len()];
    for turn in 0..6 {
        worker.turn(&store, &"x".repeat(turn * 2_000)).await;
        ends.push(worker.log.len());
    }
    let log = fs::metadata(Files::new(at.path()).wal()).expect("the log").len() as usize;
    let mut last = 0;
    let boundaries = (HEADER..=log).step_by(FRAME);
    let cuts = boundaries.flat_map(|end| [end, end + 1, end + FRAME / 2, end + FRAME - 1]);
    for cut in [0, 1, HEADER - 1].into_iter().chain(cuts).filter(|cut| *cut <= log) {
        let copied = copy(at.path(), cut);
        let store = Store::sqlite(copied.path()).expect("it opens");
        let held = held(&store, &worker).await;
        assert!(ends.contains(&held), "{held} events are no whole number of commits");
        assert!(held >= last, "a longer log holds less");
        last = held;
        // It goes on from there.
        let mut worker = worker.clone();
        worker.log.truncate(held);
        if held > 0 {
            worker.state.last_seq = Seq::new(held as u64);
            worker.append(&store, vec![notice("on")], false).await;
        }
    }
    assert_eq!(last, worker.log.len());
}

#[tokio::test]
async fn a_frame_that_was_torn_ends_the_log_before_its_commit() {
    let at = tempfile::tempdir().expect("a directory");
    let store = Store::sqlite(at.path()).expect("a store");
    let mut worker = TestWorker::create(&store).await;
    worker.turn(&store, "one").await;
    let length = || fs::metadata(Files::new(at.path()).wal()).expect("the log").len() as usize;
    let (before, whole) = (length(), worker.log.len());
    worker.turn(&store, "two").await;
    for offset in [before + 1, before + 24, before + FRAME - 1] {
        let copied = copy(at.path(), length());
        let path = Files::new(copied.path()).wal();
        let mut log = fs::read(&path).expect("the log");
        log[offset] ^= 0x10;
        fs::write(&path, log).expect("written");
        let store = Store::sqlite(copied.path()).expect("it opens");
        assert_eq!(held(&store, &worker).await, whole);
    }
}

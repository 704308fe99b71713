//! Copies of a store that nobody has open. Those of one that a process has are tested with processes.

use std::fs;

use worker_types::Seq;

use super::{
    super::BackupStoreError,
    check::{bytes, filled},
    held,
};
use crate::store::Store;

#[tokio::test]
async fn a_backup_is_a_whole_store_of_its_own() {
    let at = tempfile::tempdir().expect("a directory");
    let (from, to) = (at.path().join("from"), at.path().join("50% of it?#/log"));
    let mut workers = filled(&from, 3).await;
    let before = bytes(&from);
    let mut progress = Vec::new();
    Store::backup(&from, &to, |step| progress.push(step)).expect("a backup");
    assert_eq!(bytes(&from), before, "the original is left as it is");
    assert!(progress.last().is_some_and(|last| last.copied == last.total && last.total > 0));
    assert_eq!(bytes(&to).into_keys().collect::<Vec<_>>(), ["log.sqlite3"]);
    assert!(!Store::check(&to, |_| {}).expect("it is checked").is_damaged());

    let (original, copy) =
        (Store::sqlite(&from).expect("the original"), Store::sqlite(&to).expect("the copy"));
    assert_ne!(original.log_id(), copy.log_id(), "cursors of one are none of the other");
    for worker in &mut workers {
        assert_eq!(held(&copy, worker).await, worker.log.len());
        worker.turn(&copy, "it goes its own way").await;
        let last = original.last_seq(worker.id).await.expect("an answer");
        assert_eq!(last, Seq::new(worker.log.len() as u64 - 5));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_backup_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let at = tempfile::tempdir().expect("a directory");
    let (from, to) = (at.path().join("from"), at.path().join("to"));
    filled(&from, 1).await;
    Store::backup(&from, &to, |_| {}).expect("a backup");
    let mode = |path| fs::metadata(path).expect("it").permissions().mode() & 0o777;
    assert_eq!((mode(to.clone()), mode(to.join("log.sqlite3"))), (0o700, 0o600));
}

#[tokio::test]
async fn a_backup_goes_where_nothing_is_and_what_failed_leaves_nothing() {
    let at = tempfile::tempdir().expect("a directory");
    let (from, to) = (at.path().join("from"), at.path().join("to"));
    let missing = Store::backup(&from, &to, |_| {});
    assert!(matches!(missing, Err(BackupStoreError::Read(_))), "{missing:?}");
    filled(&from, 1).await;
    fs::create_dir(&to).expect("a directory");
    fs::write(to.join("theirs"), "text").expect("a file");
    let refused = Store::backup(&from, &to, |_| {});
    assert!(matches!(refused, Err(BackupStoreError::NotEmpty { .. })), "{refused:?}");
    assert_eq!(bytes(&to).len(), 1);
    let file = to.join("theirs");
    let refused = Store::backup(&from, &file, |_| {});
    assert!(matches!(refused, Err(BackupStoreError::Directory { .. })), "{refused:?}");

    // What is not as we made it could do anything when it is written to.
    fs::remove_file(&file).expect("removed");
    let path = from.join("log.sqlite3");
    let connection = rusqlite::Connection::open(path).expect("the database");
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON meta BEGIN SELECT raise(ABORT, 'no'); END";
    connection.execute_batch(refuse).expect("a trigger");
    drop(connection);
    let corrupt = Store::backup(&from, &to, |_| {}).expect_err("tables that are not ours");
    assert!(matches!(corrupt, BackupStoreError::Read(error) if error.is_damage()));
    assert_eq!(bytes(&to).len(), 0);
}

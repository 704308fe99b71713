//! Damage in what is not one Worker's alone: tables that all of them share.

use std::{fs, path::Path};

use rusqlite::Connection;
use sha2::{Digest, Sha256};
use worker_types::ComponentDigest;

use super::{
    super::{
        database::Files,
        writer::{Answer, Job},
    },
    held, inner, open,
};
use crate::store::{
    Commit, KeyRecord, KeyScope, KeyedOperation, Store, StoreError, StoreHealth,
    test_support::*,
};

/// Makes nonsense of the first page of each of these tables and indexes.
fn damage(at: &Path, names: &[&str]) {
    let path = Files::new(at).database();
    let connection = Connection::open(&path).expect("the database");
    let root = |name: &&str| -> usize {
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        let root: u32 = connection.query_row(sql, [name], |row| row.get(0)).expect("a root");
        root as usize
    };
    let roots: Vec<usize> = names.iter().map(root).collect();
    drop(connection);
    let mut bytes = fs::read(&path).expect("the database");
    for root in roots {
        bytes[(root - 1) * 4_096..root * 4_096].fill(0xff);
    }
    fs::write(path, bytes).expect("written");
}

fn a_key() -> KeyRecord {
    let (principal, key) = ("somebody".to_owned(), "key".to_owned());
    let operation = KeyedOperation::Create;
    let scope = KeyScope { principal, operation, worker_id: None, key };
    KeyRecord { scope, request: [0; 32], answer: b"{}".to_vec(), at: second(1) }
}

/// Hands all of them to the writer while it is held: they are one group.
async fn in_one_group(store: &Store, jobs: Vec<Job>) -> Vec<Answer> {
    let (release, is_held) = std::sync::mpsc::channel();
    let mut jobs: Vec<_> = jobs.into_iter().map(|job| Box::pin(inner(store).write(job))).collect();
    let mut hold = Box::pin(inner(store).write(Job::Hold(is_held)));
    // Each is queued when it is first polled.
    assert!(futures_util::poll!(&mut hold).is_pending());
    for job in &mut jobs {
        assert!(futures_util::poll!(job).is_pending());
    }
    drop(release);
    hold.await.expect("held");
    futures_util::future::join_all(jobs).await
}

#[tokio::test]
async fn damaged_keys_and_components_fail_nothing_but_what_needs_them() {
    let at = tempfile::tempdir().expect("a directory");
    let mut worker = {
        let store = Store::sqlite(at.path()).expect("a store");
        TestWorker::create(&store).await
    };
    damage(at.path(), &["components", "sqlite_autoindex_components_1", "keys", "keys_by_age"]);
    let store = open(at.path(), |_| {});

    let mut keyed = TestWorker::new();
    let (events, key) = (keyed.events([created()]), a_key());
    let with_key = Commit { key: Some(&key), ..commit(keyed.id, &events) };
    let plain = worker.events([notice("one among others")]);
    let commits = [with_key, commit(worker.id, &plain)];
    let [with_key, plain] = commits.map(|commit| {
        let commit = super::super::encoding::EncodedCommit::new(&commit).expect("encoded");
        Job::Commit(Box::new(commit))
    });
    let bytes = b"\0asm".to_vec();
    let digest = ComponentDigest::from_sha256(Sha256::digest(&bytes).into());
    let component = Job::PutComponent { digest, bytes };
    let forget = Job::ForgetKeys { before: i64::MAX };
    let answers = in_one_group(&store, vec![with_key, component, forget, plain]).await;
    let [with_key, component, forget, plain] = answers.try_into().expect("four answers");

    assert!(matches!(with_key, Err(StoreError::Damaged { .. })), "{with_key:?}");
    assert!(matches!(component, Err(StoreError::Unreadable { .. })), "{component:?}");
    assert!(matches!(forget, Err(StoreError::Unreadable { .. })), "{forget:?}");
    plain.expect("what has nothing to do with them");
    assert_eq!(held(&store, &worker).await, 2);
    // All of the commit with the key was taken back, its position in the feed too.
    assert_eq!(store.last_seq(keyed.id).await.expect("an answer").get(), 0);
    assert_eq!(*store.feed_head().borrow(), 2);
    assert_eq!(*store.health().borrow(), StoreHealth::Healthy);
}

//! Damage in what is not one Worker's alone: tables that all of them share, and their feed.

use std::{fs, path::Path};

use rusqlite::Connection;
use sha2::{Digest, Sha256};
use worker_types::{ComponentDigest, WorkerId};

use super::{
    super::{
        database::Files,
        writer::{Answer, Job},
    },
    held, inner, open,
};
use crate::store::{
    Commit, FeedEvent, KeyRecord, KeyScope, KeyedOperation, Store, StoreError, StoreHealth,
    sqlite::OpenStoreError, test_support::*,
};

/// Makes nonsense of the first page of each of these tables and indexes.
pub(super) fn damage(at: &Path, names: &[&str]) {
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
    let forget = Job::ForgetKeys { ids: vec![1] };
    let answers = in_one_group(&store, vec![with_key, component, forget, plain]).await;
    let [with_key, component, forget, plain] = answers.try_into().expect("four answers");

    assert!(matches!(with_key, Err(StoreError::TableDamaged { .. })), "{with_key:?}");
    assert!(matches!(component, Err(StoreError::TableDamaged { .. })), "{component:?}");
    assert!(matches!(forget, Err(StoreError::TableDamaged { .. })), "{forget:?}");
    plain.expect("what has nothing to do with them");
    assert_eq!(held(&store, &worker).await, 2);
    // All of the commit with the key was taken back, its position in the feed too.
    assert_eq!(store.last_seq(keyed.id).await.expect("an answer").get(), 0);
    assert_eq!(*store.feed_head().borrow(), 2);
    assert_eq!(*store.health().borrow(), StoreHealth::Healthy);
}

#[tokio::test]
async fn keys_on_a_damaged_page_stay_and_others_are_forgotten() {
    const KEYS: usize = 300;
    let at = tempfile::tempdir().expect("a directory");
    {
        let store = Store::sqlite(at.path()).expect("a store");
        let mut worker = TestWorker::create(&store).await;
        for number in 0..KEYS {
            let key = KeyRecord { answer: format!("answer {number};").into(), ..a_key() };
            let scope = KeyScope { key: format!("key {number}"), ..key.scope };
            let (key, events) = (KeyRecord { scope, ..key }, worker.events([notice("n")]));
            let commit = Commit { key: Some(&key), ..commit(worker.id, &events) };
            store.append(commit).await.expect("committed");
        }
    }
    let path = Files::new(at.path()).database();
    let mut bytes = fs::read(&path).expect("the database");
    let holds = |page: &[u8], text: &str| page.windows(text.len()).any(|at| at == text.as_bytes());
    let page = bytes.chunks_mut(4_096).find(|page| holds(page, "answer 150;")).expect("a page");
    let lost = (0..KEYS).filter(|number| holds(page, &format!("answer {number};"))).count();
    page[..8].fill(0xff);
    fs::write(path, bytes).expect("written");

    let store = open(at.path(), |_| {});
    let forgotten = store.forget_keys(second(2)).await;
    assert!(matches!(forgotten, Err(StoreError::TableDamaged { .. })), "{forgotten:?}");
    let scope = |number: usize| KeyScope { key: format!("key {number}"), ..a_key().scope };
    let (mut damaged, mut left) = (0, 0);
    for number in 0..KEYS {
        match store.key(&scope(number)).await {
            Ok(key) => left += usize::from(key.is_some()),
            Err(error) => {
                assert!(matches!(error, StoreError::TableDamaged { .. }), "{error:?}");
                damaged += 1;
            }
        }
    }
    assert!(lost > 1);
    assert_eq!(damaged, lost);
    // SQLite cannot empty the pages beside it, since it would have to join them with it.
    assert!(left < 2 * lost, "{left} of {lost}");
    assert_eq!(store.forget_keys(second(2)).await.expect("it is said once"), 0);
}

/// The events of the feed and, for each time that it was damaged, the Worker that was named.
async fn whole_feed(store: &Store) -> (Vec<FeedEvent>, Vec<Option<WorkerId>>) {
    let (mut events, mut damaged, mut after) = (Vec::new(), Vec::new(), 0);
    let head = *store.feed_head().borrow();
    while after < head {
        match store.feed(after, 100).await {
            Ok(page) => {
                after = page.last().map_or(head, |event| event.position);
                events.extend(page);
            }
            Err(StoreError::FeedDamaged { through, worker_id, .. }) => {
                assert!(through > after && through <= head, "it goes on: {through}");
                after = through;
                damaged.push(worker_id);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    (events, damaged)
}

#[tokio::test]
async fn the_feed_names_the_worker_of_a_damaged_event_and_goes_on_behind_it() {
    let at = tempfile::tempdir().expect("a directory");
    let mut worker = {
        let store = Store::sqlite(at.path()).expect("a store");
        let mut worker = TestWorker::create(&store).await;
        worker.turn(&store, "text").await;
        worker
    };
    let path = Files::new(at.path()).database();
    let connection = Connection::open(path).expect("the database");
    let update = "UPDATE events SET body = x'7b' WHERE seq IN (1, 3)";
    assert_eq!(connection.execute(update, []).expect("updated"), 2);
    drop(connection);
    let store = open(at.path(), |_| {});
    worker.turn(&store, "and on").await;
    let (events, damaged) = whole_feed(&store).await;
    assert_eq!(damaged, [Some(worker.id); 2]);
    let positions: Vec<_> = events.iter().map(|event| event.position).collect();
    assert_eq!(positions, [2, 4, 5, 6, 7, 8, 9, 10, 11]);
}

#[tokio::test]
async fn the_feed_passes_over_a_damaged_page_of_events_and_no_more() {
    let at = tempfile::tempdir().expect("a directory");
    {
        let store = Store::sqlite(at.path()).expect("a store");
        let mut worker = TestWorker::create(&store).await;
        for number in 0..300 {
            worker.append(&store, vec![notice(&format!("number {number};"))], true).await;
        }
    }
    let path = Files::new(at.path()).database();
    let mut bytes = fs::read(&path).expect("the database");
    let holds = |page: &[u8], text: &str| page.windows(text.len()).any(|at| at == text.as_bytes());
    let page = bytes.chunks_mut(4_096).find(|page| holds(page, "number 150;")).expect("a page");
    let lost = (0..300).filter(|number| holds(page, &format!("number {number};"))).count();
    page[..8].fill(0xff);
    fs::write(path, bytes).expect("written");

    let store = open(at.path(), |_| {});
    let (events, damaged) = whole_feed(&store).await;
    assert_eq!(damaged, [None]);
    assert_eq!(events.len(), 301 - lost);
    assert!(lost > 1);
}

#[tokio::test]
async fn a_position_at_the_end_of_all_numbers_is_damage() {
    let at = tempfile::tempdir().expect("a directory");
    TestWorker::create(&Store::sqlite(at.path()).expect("a store")).await;
    let connection = Connection::open(Files::new(at.path()).database()).expect("the database");
    let update = "UPDATE events SET position = 9223372036854775807";
    assert_eq!(connection.execute(update, []), Ok(1));
    drop(connection);
    let refused = Store::sqlite(at.path());
    assert!(matches!(refused, Err(OpenStoreError::Corrupt { .. })), "{refused:?}");
}

//! What a check finds, and that it changes nothing.

use std::{collections::BTreeMap, fs, path::Path};

use rusqlite::Connection;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use worker_types::{ComponentDigest, EventBody};

use super::super::{DamagedPart, OpenStoreError, ReadStoreError, database::Files};
use crate::store::{Commit, KeyRecord, KeyScope, KeyedOperation, Store, test_support::*};

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A store of some Workers with three turns each, a component and a key.
pub(super) async fn filled(at: &Path, workers: usize) -> Vec<TestWorker> {
    let store = Store::sqlite(at).expect("a store");
    let mut filled = Vec::new();
    for _ in 0..workers {
        let mut worker = TestWorker::create(&store).await;
        for _ in 0..3 {
            worker.turn(&store, &format!("({}) ", worker.id).repeat(40)).await;
        }
        filled.push(worker);
    }
    let bytes = b"\0asm";
    let digest = ComponentDigest::from_sha256(Sha256::digest(bytes).into());
    store.put_component(digest, bytes).await.expect("kept");
    let (principal, key) = ("somebody".to_owned(), "key".to_owned());
    let operation = KeyedOperation::Create;
    let scope = KeyScope { principal, operation, worker_id: None, key };
    let key = KeyRecord { scope, request: [0; 32], answer: b"{}".to_vec(), at: second(1) };
    let last = filled.last_mut().expect("a Worker");
    let events = last.events([notice("keyed")]);
    let (rest, key) = (Some(&last.state), Some(&key));
    store.append(Commit { rest, key, ..commit(last.id, &events) }).await.expect("committed");
    filled
}

/// Every file of a directory, whole.
pub(super) fn bytes(at: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(at).expect("a directory").map(|entry| entry.expect("an entry"));
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read(entry.path()).expect("a file"))
    };
    entries.map(file).collect()
}

/// What a check says is damaged: of what Workers share, and of Workers by their place in `workers`.
fn damaged(at: &Path, workers: &[TestWorker]) -> (Vec<DamagedPart>, Vec<(usize, DamagedPart)>) {
    let before = bytes(at);
    let found = Store::check(at, |_| {}).expect("it is checked");
    assert_eq!(bytes(at), before, "a check changes nothing");
    let mut shared: Vec<_> = found.damage.iter().map(|damage| damage.part).collect();
    shared.dedup();
    let place = |id| workers.iter().position(|worker| worker.id == id).expect("one of them");
    let of_workers = found.workers.iter().flat_map(|worker| {
        worker.damage.iter().map(move |damage| (place(worker.worker_id), damage.part))
    });
    (shared, of_workers.collect())
}

fn change(at: &Path, sql: &str) {
    let connection = Connection::open(Files::new(at).database()).expect("the database");
    connection.execute_batch(sql).expect("changed");
    // As the store leaves it: nothing in the log.
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("copied");
}

#[tokio::test]
async fn of_a_whole_store_everything_is_read_and_nothing_is_damaged() {
    let at = directory();
    let workers = filled(at.path(), 3).await;
    let mut told = 0;
    let before = bytes(at.path());
    let found = Store::check(at.path(), |_| told += 1).expect("it is checked");
    assert_eq!(bytes(at.path()), before);
    assert_eq!(told, 4);
    assert!(!found.is_damaged(), "{found:?}");
    assert_eq!(found.workers.len(), 3);
    let last = workers[2].id;
    for worker in found.workers {
        let keyed = u64::from(worker.worker_id == last);
        assert_eq!((worker.events, worker.items), (16 + keyed, 6));
    }
}

#[tokio::test]
async fn what_a_killed_process_left_is_checked_as_it_is() {
    let (at, copy) = (directory(), directory());
    let workers = filled(at.path(), 1).await;
    let store = Store::sqlite(at.path()).expect("the store");
    let mut worker = workers[0].clone();
    worker.turn(&store, "only in the log").await;
    for (name, bytes) in bytes(at.path()) {
        fs::write(copy.path().join(name), bytes).expect("written");
    }
    drop(store);
    fs::remove_file(copy.path().join("log.sqlite3-shm")).expect("a new machine has none");
    assert!(fs::metadata(Files::new(copy.path()).wal()).expect("a log").len() > 0);
    let before = bytes(copy.path());
    let found = Store::check(copy.path(), |_| {}).expect("it is checked");
    assert_eq!(bytes(copy.path()), before);
    assert!(!found.is_damaged(), "{found:?}");
    assert_eq!(found.workers[0].events, 22);
}

#[tokio::test]
async fn what_is_damaged_of_a_worker_is_named_and_the_others_are_not() {
    use DamagedPart::{Creation, Feed, Items, Keys, Log, Snapshot, Texts, Workers};
    let of = |worker: usize, column: &str| {
        format!("{column} (SELECT key FROM workers ORDER BY key LIMIT 1 OFFSET {worker})")
    };
    let row = of(1, "WHERE key =");
    let log = of(1, "WHERE worker =");
    let others: [(String, &[DamagedPart], &[DamagedPart]); 12] = [
        (format!("UPDATE workers SET created = x'7b' {row}"), &[], &[Creation]),
        (format!("UPDATE workers SET rest = x'7b' {row}"), &[], &[Snapshot]),
        (format!("DELETE FROM events {log} AND seq = 4"), &[], &[Log]),
        (format!("DELETE FROM events {log} AND seq = 16"), &[], &[Log]),
        (format!("UPDATE events SET body = x'7b' {log} AND seq = 4"), &[], &[Log]),
        (format!("UPDATE events SET item = 99 {log} AND seq = 15"), &[], &[Items]),
        (
            format!(
                "UPDATE workers SET rest = CAST(replace(CAST(rest AS TEXT), '\"turns\":3', '\"turns\":4') AS BLOB) {row}"
            ),
            &[],
            &[Snapshot],
        ),
        (
            format!(
                "INSERT INTO texts (worker, item, start, text) SELECT key, 1, 7, x'61' FROM workers {row}"
            ),
            &[],
            &[Texts],
        ),
        (
            "INSERT INTO events (worker, seq, at, body) VALUES (99, 1, 1, x'7b7d')".to_owned(),
            &[Feed],
            &[],
        ),
        ("UPDATE keys SET answer = x'7b'".to_owned(), &[Keys], &[]),
        ("UPDATE components SET bytes = x'7b'".to_owned(), &[DamagedPart::Components], &[]),
        (
            "INSERT INTO workers (id, active, created_at, created) VALUES (x'01', 0, 0, x'7b')"
                .to_owned(),
            &[Workers],
            &[],
        ),
    ];
    for (sql, shared, own) in others {
        let at = directory();
        let workers = filled(at.path(), 3).await;
        assert_eq!(damaged(at.path(), &workers), (vec![], vec![]), "before");
        change(at.path(), &sql);
        let own: Vec<_> = own.iter().map(|part| (1, *part)).collect();
        assert_eq!(damaged(at.path(), &workers), (shared.to_vec(), own), "{sql}");
    }
}

#[tokio::test]
async fn a_flipped_page_is_found_in_the_database_and_in_the_log_that_is_on_it() {
    let at = directory();
    let workers = filled(at.path(), 5).await;
    let path = Files::new(at.path()).database();
    let mut file = fs::read(&path).expect("the database");
    let text = format!("({}) (", workers[2].id);
    let mut flipped = 0;
    for page in file.chunks_mut(4_096).skip(1) {
        if page.windows(text.len()).any(|window| window == text.as_bytes()) {
            page.iter_mut().for_each(|byte| *byte = !*byte);
            flipped += 1;
        }
    }
    assert!(flipped > 0);
    fs::write(&path, file).expect("written");
    let (shared, own) = damaged(at.path(), &workers);
    assert!(shared.contains(&DamagedPart::Database), "{shared:?}");
    assert!(own.contains(&(2, DamagedPart::Log)), "{own:?}");
    // A page at the border of two Workers belongs to both.
    assert!(own.iter().all(|(worker, _)| worker.abs_diff(2) <= 1), "{own:?}");
}

#[tokio::test]
async fn a_deleted_worker_whose_end_is_gone_is_damage_of_the_feed() {
    let at = directory();
    let mut workers = filled(at.path(), 2).await;
    let store = Store::sqlite(at.path()).expect("the store");
    let bodies = vec![EventBody::WorkerStopped, EventBody::WorkerDeleted];
    workers[0].append(&store, bodies, true).await;
    drop(store);
    assert_eq!(damaged(at.path(), &workers), (vec![], vec![]));
    change(at.path(), "DELETE FROM events WHERE seq = 18 AND worker = 1");
    assert_eq!(damaged(at.path(), &workers), (vec![DamagedPart::Feed], vec![]));
}

#[tokio::test]
async fn a_trimmed_log_is_checked_from_what_is_left_of_it() {
    let at = directory();
    let workers = filled(at.path(), 2).await;
    let store = Store::sqlite(at.path()).expect("the store");
    let mut worker = workers[0].clone();
    let through = worker.last();
    worker.append(&store, vec![EventBody::WorkerTrimmed { through }], false).await;
    worker.turn(&store, "after it").await;
    drop(store);
    assert_eq!(damaged(at.path(), &workers), (vec![], vec![]));
    change(at.path(), "UPDATE workers SET rest = NULL WHERE key = 1");
    let (_, own) = damaged(at.path(), &workers);
    assert_eq!(own, [(0, DamagedPart::Log)]);
}

#[tokio::test]
async fn of_what_is_no_store_nothing_is_said_but_why() {
    let at = directory();
    let missing = Store::check(at.path(), |_| {});
    assert!(matches!(missing, Err(ReadStoreError::Missing { .. })), "{missing:?}");
    assert_eq!(bytes(at.path()), BTreeMap::new());

    let path = Files::new(at.path()).database();
    fs::write(&path, "nothing that anybody knows".repeat(400)).expect("written");
    let corrupt = Store::check(at.path(), |_| {}).expect_err("no database");
    assert!(corrupt.is_damage(), "{corrupt:?}");

    fs::remove_file(&path).expect("removed");
    change(at.path(), "CREATE TABLE theirs (text TEXT)");
    let foreign = Store::check(at.path(), |_| {}).expect_err("another program's");
    assert!(matches!(foreign, ReadStoreError::Open(OpenStoreError::Foreign { .. })), "{foreign:?}");

    fs::remove_file(&path).expect("removed");
    filled(at.path(), 1).await;
    change(at.path(), "PRAGMA user_version = 99");
    let newer = Store::check(at.path(), |_| {}).expect_err("a newer one");
    assert!(
        matches!(newer, ReadStoreError::Open(OpenStoreError::Newer { found: 99, .. })),
        "{newer:?}"
    );
    change(at.path(), "PRAGMA user_version = 1; DROP INDEX events_by_item");
    assert!(Store::check(at.path(), |_| {}).expect_err("an index is missing").is_damage());
}

//! What a start makes of the files that it finds.

use std::{fs, path::Path};

use rusqlite::Connection;
use tempfile::TempDir;
use worker_types::{EventBody, Seq, TurnId, WorkerId};

use super::{super::database::Files, held, open};
use crate::store::{
    Kind, Store, StoreError,
    sqlite::{OpenStoreError, SqliteStore, schema},
    test_support::*,
    worker_id,
};

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A store of some Workers with three turns each.
async fn filled(at: &Path, workers: usize, text: &str) -> Vec<TestWorker> {
    let store = Store::sqlite(at).expect("a store");
    let mut filled = Vec::new();
    for _ in 0..workers {
        let mut worker = TestWorker::create(&store).await;
        for _ in 0..3 {
            worker.turn(&store, &text.replace('#', &worker.id.to_string())).await;
        }
        filled.push(worker);
    }
    filled
}

fn change(at: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let path = Files::new(at).database();
    let mut bytes = fs::read(&path).expect("the database");
    change(&mut bytes);
    fs::write(&path, bytes).expect("written");
}

#[tokio::test]
async fn a_store_that_is_opened_again_has_everything() {
    let at = directory();
    let at = at.path().join("below/it");
    let store = Store::sqlite(&at).expect("a store");
    let log_id = store.log_id();
    drop(store);
    let workers = filled(&at, 3, "text").await;
    let store = Store::sqlite(&at).expect("the store");
    assert_eq!(store.log_id(), log_id);
    assert_eq!(*store.feed_head().borrow(), 48);
    for worker in &workers {
        assert_eq!(held(&store, worker).await, 16);
        let snapshot = store.snapshot(worker.id).await.expect("it");
        assert_eq!(snapshot, Some(worker.state.clone()));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_directory_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let at = directory();
    let at = at.path().join("new");
    let store = Store::sqlite(&at).expect("a store");
    let mode = |path| fs::metadata(path).expect("it").permissions().mode() & 0o777;
    assert_eq!(mode(at.clone()), 0o700);
    TestWorker::create(&store).await;
    for file in [Files::new(&at).database(), Files::new(&at).wal()] {
        assert_eq!(mode(file.clone()), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_directory_has_one_owner_at_a_time() {
    let at = directory();
    let store = Store::sqlite(at.path()).expect("a store");
    let second = Store::sqlite(at.path());
    assert!(matches!(second, Err(OpenStoreError::Locked { .. })), "{second:?}");
    drop(store);
    Store::sqlite(at.path()).expect("the store, now that it is free");
}

#[tokio::test]
async fn a_directory_keeps_its_owner_whatever_is_removed_beside_the_database() {
    let at = directory();
    let _store = Store::sqlite(at.path()).expect("a store");
    for entry in fs::read_dir(at.path()).expect("the directory") {
        let path = entry.expect("a file").path();
        let of_database = |name: &str| name.starts_with("log.sqlite3");
        if !path.file_name().and_then(|name| name.to_str()).is_some_and(of_database) {
            fs::remove_file(path).expect("removed");
        }
    }
    let second = Store::sqlite(at.path());
    assert!(matches!(second, Err(OpenStoreError::Locked { .. })), "{second:?}");
}

#[tokio::test]
async fn a_file_in_the_way_of_the_directory_is_named() {
    let at = directory();
    let file = at.path().join("file");
    fs::write(&file, "text").expect("a file");
    let opened = Store::sqlite(&file);
    assert!(matches!(opened, Err(OpenStoreError::Directory { .. })), "{opened:?}");
}

#[tokio::test]
async fn another_programs_database_is_left_as_it_is() {
    let at = directory();
    let path = Files::new(at.path()).database();
    let connection = Connection::open(&path).expect("a database");
    connection.execute_batch("CREATE TABLE theirs (text TEXT)").expect("a table");
    drop(connection);
    let before = fs::read(&path).expect("the file");
    let opened = Store::sqlite(at.path());
    assert!(matches!(opened, Err(OpenStoreError::Foreign { .. })), "{opened:?}");
    assert_eq!(fs::read(&path).expect("the file"), before);
}

fn set_version(at: &Path, version: u32) {
    change(at, |bytes| bytes[60..64].copy_from_slice(&version.to_be_bytes()));
}

#[tokio::test]
async fn a_newer_and_a_too_old_version_are_named() {
    let at = directory();
    filled(at.path(), 1, "text").await;
    set_version(at.path(), 99);
    let opened = Store::sqlite(at.path());
    let supported = schema::STEPS.len() as i32;
    assert!(
        matches!(opened, Err(OpenStoreError::Newer { found: 99, supported: s, .. }) if s == supported),
        "{opened:?}"
    );
    set_version(at.path(), 0);
    let opened = Store::sqlite(at.path());
    assert!(matches!(opened, Err(OpenStoreError::Older { found: 0, .. })), "{opened:?}");
}

#[tokio::test]
async fn an_older_version_is_brought_up_to_date_step_by_step() {
    let at = directory();
    let workers = filled(at.path(), 1, "text").await;
    let later = [
        schema::STEPS[0],
        "CREATE TABLE second (text TEXT) STRICT;",
        "ALTER TABLE second ADD COLUMN third INTEGER;",
    ];
    let broken = [later[0], later[1], "CREATE TABLE half (text TEXT); CREATE NONSENSE;"];
    SqliteStore::open_with(at.path(), &broken, |_| {}).expect_err("a step that fails");
    for _ in 0..2 {
        let store = SqliteStore::open_with(at.path(), &later, |_| {}).expect("the store");
        let store = Store(Kind::Sqlite(store));
        assert_eq!(held(&store, &workers[0]).await, 16);
    }
    let connection = Connection::open(Files::new(at.path()).database()).expect("it");
    assert_eq!(schema::version(&connection).expect("a version"), 3);
    connection.execute_batch("SELECT text, third FROM second").expect("what the steps made");
    drop(connection);
    let opened = Store::sqlite(at.path());
    assert!(matches!(opened, Err(OpenStoreError::Newer { found: 3, .. })), "{opened:?}");
}

#[tokio::test]
async fn a_database_without_its_end_is_truncated_wherever_it_was_cut() {
    let whole = directory();
    filled(whole.path(), 3, &"x".repeat(9_000)).await;
    let bytes = fs::read(Files::new(whole.path()).database()).expect("the database");
    for length in [0, 1, 99, 100, 4_096, 5_000, bytes.len() / 2, bytes.len() - 1] {
        let at = directory();
        fs::write(Files::new(at.path()).database(), &bytes[..length]).expect("written");
        let opened = Store::sqlite(at.path());
        assert!(matches!(opened, Err(OpenStoreError::Truncated { .. })), "{length}: {opened:?}");
    }
}

#[tokio::test]
async fn a_log_without_its_database_is_no_reason_to_begin_anew() {
    let at = directory();
    fs::write(Files::new(at.path()).wal(), "frames").expect("written");
    let opened = Store::sqlite(at.path());
    assert!(matches!(opened, Err(OpenStoreError::Truncated { .. })), "{opened:?}");
}

#[tokio::test]
async fn a_damaged_beginning_or_schema_is_corrupt() {
    let garbage: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes[..100].fill(0xa5),
        |bytes| bytes[..16].fill(0),
        |bytes| bytes[100..4_096].fill(0xa5),
    ];
    for damage in garbage {
        let at = directory();
        filled(at.path(), 1, "text").await;
        change(at.path(), damage);
        let opened = Store::sqlite(at.path());
        assert!(matches!(opened, Err(OpenStoreError::Corrupt { .. })), "{opened:?}");
    }
    let at = directory();
    filled(at.path(), 1, "text").await;
    let connection = Connection::open(Files::new(at.path()).database()).expect("it");
    connection.execute_batch("DROP INDEX events_by_item").expect("dropped");
    drop(connection);
    let opened = Store::sqlite(at.path());
    assert!(matches!(opened, Err(OpenStoreError::Corrupt { .. })), "{opened:?}");
}

/// Turns over every bit of the pages that contain `text`.
fn flip_pages_with(at: &Path, text: &str) -> usize {
    let mut flipped = 0;
    change(at, |bytes| {
        for page in bytes.chunks_mut(4_096).skip(1) {
            if page.windows(text.len()).any(|window| window == text.as_bytes()) {
                page.iter_mut().for_each(|byte| *byte = !*byte);
                flipped += 1;
            }
        }
    });
    flipped
}

#[tokio::test]
async fn a_damaged_page_in_the_middle_is_one_workers_damage() {
    let at = directory();
    // Texts of several pages each.
    let mut workers = filled(at.path(), 5, &"(#) ".repeat(500)).await;
    assert!(flip_pages_with(at.path(), &format!("({}) (", workers[2].id)) > 0);
    let store = Store::sqlite(at.path()).expect("it opens");
    assert_eq!(all_workers(&store).await.len(), 5);
    for (index, worker) in workers.iter_mut().enumerate() {
        let read = store.read(worker.id, Seq::ZERO, worker.last(), 99).await;
        if index == 2 {
            let Err(StoreError::Damaged { worker_id, .. }) = read else { panic!("{read:?}") };
            assert_eq!(worker_id, worker.id);
        } else if read.is_ok() {
            worker.turn(&store, "on").await;
            assert_eq!(held(&store, worker).await, 21);
        } else {
            // A page at the border of two Workers belongs to both.
            assert!(matches!(read, Err(StoreError::Damaged { .. })) && index.abs_diff(2) == 1);
        }
    }
    assert!(matches!(*store.health().borrow(), crate::store::StoreHealth::Healthy));
}

#[tokio::test]
async fn a_worker_whose_row_is_damaged_does_not_hide_the_others() {
    let at = directory();
    let workers = filled(at.path(), 200, "text").await;
    let path = Files::new(at.path()).database();
    let connection = Connection::open(&path).expect("it");
    let update = "UPDATE workers SET created = x'7b' WHERE id = ?1";
    connection.execute(update, [workers[7].id.as_bytes()]).expect("updated");
    let update = "UPDATE workers SET rest = x'7b' WHERE id = ?1";
    connection.execute(update, [workers[8].id.as_bytes()]).expect("updated");
    drop(connection);
    let store = open(at.path(), |_| {});
    let stored = all_workers(&store).await;
    let failed = |worker: &Result<_, (WorkerId, StoreError)>| match worker {
        Ok(_) => None,
        Err((id, StoreError::Damaged { worker_id, .. })) if id == worker_id => Some(*id),
        Err(other) => panic!("{other:?}"),
    };
    let failed: Vec<_> = stored.iter().filter_map(failed).collect();
    assert_eq!(failed, [workers[7].id]);
    assert_eq!(stored.len(), 200);
    // Its log is whole: it is listed, and who loads it is told.
    assert!(matches!(&stored[8], Ok(worker) if worker.rest.is_none()), "{:?}", stored[8]);
    assert!(matches!(store.snapshot(workers[8].id).await, Err(StoreError::Damaged { .. })));
}

#[tokio::test]
async fn a_damaged_page_of_worker_rows_is_the_damage_of_those_on_it() {
    let at = directory();
    let workers = filled(at.path(), 200, "text").await;
    // The table's own pages have the rows' snapshots; the index of ids has not.
    let mut damaged = 0;
    change(at.path(), |bytes| {
        let needle = workers[100].id.as_bytes();
        for page in bytes.chunks_mut(4_096).skip(1) {
            let is_row = page.windows(needle.len()).any(|window| window == needle)
                && page.windows(9).any(|window| window == b"last_seq\"");
            if is_row && damaged == 0 {
                page[..8].fill(0xff);
                damaged += 1;
            }
        }
    });
    assert_eq!(damaged, 1);
    let store = Store::sqlite(at.path()).expect("it opens");
    let stored = all_workers(&store).await;
    let failed = stored.iter().filter(|worker| worker.is_err()).count();
    assert_eq!(stored.len(), 200);
    assert!((1..40).contains(&failed), "{failed}");
}

#[tokio::test]
async fn a_start_reads_long_snapshots_a_page_at_a_time() {
    let at = directory();
    let store = Store::sqlite(at.path()).expect("a store");
    let mut workers = Vec::new();
    for _ in 0..3 {
        let mut worker = TestWorker::create(&store).await;
        let (turn_id, key) = (TurnId::new(1), "k".to_owned());
        let value = Some("x".repeat(700 << 10));
        worker.append(&store, vec![EventBody::StateSet { turn_id, key, value }], true).await;
        workers.push(worker.id);
    }
    let first = store.workers(None, 99).await.expect("a page");
    assert_eq!(first.iter().map(worker_id).collect::<Vec<_>>(), workers[..1]);
    let all = all_workers(&store).await;
    assert_eq!(all.iter().map(worker_id).collect::<Vec<_>>(), workers);
}

#[tokio::test]
async fn with_a_damaged_index_of_ids_workers_are_paged_from_their_table() {
    let at = directory();
    let workers = filled(at.path(), 40, "text").await;
    super::damage::damage(at.path(), &["sqlite_autoindex_workers_1"]);
    let connection = Connection::open(Files::new(at.path()).database()).expect("the database");
    let mut listed = Vec::new();
    loop {
        let after = listed.last().copied();
        let page = super::super::queries::workers(&connection, after, 7).expect("a page");
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 7);
        listed.extend(page.into_iter().map(|(id, row)| row.map(|_| id).expect("a row")));
    }
    assert!(listed.iter().eq(workers.iter().map(|worker| &worker.id)));
}

#[tokio::test]
async fn a_removal_that_was_interrupted_is_finished_by_the_next_start() {
    let at = directory();
    let mut worker = filled(at.path(), 1, "text").await.remove(0);
    let connection = Connection::open(Files::new(at.path()).database()).expect("it");
    connection.execute_batch("UPDATE workers SET deleted = 1, trimmed = 15").expect("marked");
    drop(connection);
    let store = open(at.path(), |_| {});
    assert_eq!(store.feed(0, 99).await.expect("the feed").len(), 1);
    // After any group the writer sweeps, before it looks whether the store was dropped.
    let refused = worker.try_append(&store, vec![notice("a ghost")], false).await;
    assert!(matches!(refused, Err(StoreError::Gap { .. })));
    drop(store);
    let connection = Connection::open(Files::new(at.path()).database()).expect("it");
    let count = "SELECT count(*) FROM events";
    let left: i64 = connection.query_row(count, [], |row| row.get(0)).expect("a count");
    assert_eq!(left, 1);
}

#[test]
fn no_read_of_one_worker_goes_through_the_events_of_others() {
    let connection = Connection::open_in_memory().expect("a database");
    connection.execute_batch(schema::STEPS[0]).expect("tables");
    for (sql, index) in [
        ("worker = 1 AND seq > 2 AND seq <= 3 ORDER BY seq", "events_by_seq"),
        ("worker = 1 AND ended_turn = 2 AND +seq > 3", "events_by_ended_turn"),
        (
            "worker = 1 AND ended_turn < 2 AND +seq > 3 ORDER BY ended_turn DESC",
            "events_by_ended_turn",
        ),
        (
            "worker = 1 AND item < 2 AND item IS NOT NULL AND seq <= 3 ORDER BY item DESC, seq DESC",
            "COVERING INDEX events_by_item",
        ),
        (
            "worker = 1 AND item > 2 AND item IS NOT NULL AND seq <= 3 GROUP BY item ORDER BY item",
            "COVERING INDEX events_by_item",
        ),
        ("worker = 1 AND seq > 2 AND item IS NULL ORDER BY seq LIMIT 1", "events_by_seq"),
    ] {
        let columns = if index.starts_with("COVERING") { "item, seq, position" } else { "body" };
        let sql = format!("EXPLAIN QUERY PLAN SELECT {columns} FROM events WHERE {sql}");
        let mut statement = connection.prepare(&sql).expect("a statement");
        let plan = statement.query_map([], |row| row.get::<_, String>(3)).expect("a plan");
        let plan: Vec<_> = plan.map(|line| line.expect("a line")).collect();
        assert!(
            plan.len() == 1 && plan[0].contains("SEARCH") && plan[0].contains(index),
            "{plan:?}"
        );
    }
}

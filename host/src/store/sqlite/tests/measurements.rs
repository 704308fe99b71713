//! Numbers, not tests: `cargo test --release -p worker-runtime store::sqlite::tests::measurements --
//! --ignored --nocapture --test-threads 1`.

use std::{sync::Arc, time::Instant};

use rusqlite::Connection;
use tokio::task::JoinSet;

use crate::store::{Store, test_support::*};

#[ignore = "measures"]
#[tokio::test(flavor = "multi_thread")]
async fn one_commit_and_many() {
    const COMMITS: u32 = 2_000;
    let at = tempfile::tempdir_in(".").expect("a directory");
    let bare = Connection::open(at.path().join("bare")).expect("a database");
    bare.pragma_update(None, "journal_mode", "wal").expect("a log");
    bare.pragma_update(None, "synchronous", "FULL").expect("synced");
    bare.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)").expect("a table");
    let store = Arc::new(Store::sqlite(at.path().join("store")).expect("a store"));
    let mut worker = TestWorker::create(&store).await;
    for round in 0..3 {
        let begun = Instant::now();
        for _ in 0..COMMITS {
            let insert = "INSERT INTO t (body) VALUES (zeroblob(100))";
            bare.prepare_cached(insert).expect("prepared").execute([]).expect("committed");
        }
        let bare_each = begun.elapsed() / COMMITS;
        let begun = Instant::now();
        for _ in 0..COMMITS {
            worker.append(&store, vec![notice(&"x".repeat(60))], false).await;
        }
        println!("round {round}: bare {bare_each:?}, append {:?}", begun.elapsed() / COMMITS);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut worker = TestWorker::create(&store).await;
            for _ in 0..1_000 {
                worker.append(&store, vec![notice(&"x".repeat(60))], false).await;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("no panic");
    }
    let per_second = 64_064.0 / begun.elapsed().as_secs_f64();
    let transactions =
        super::inner(&store).shared.transactions.load(std::sync::atomic::Ordering::Relaxed);
    println!("64 appenders: {per_second:.0} events/s in {transactions} transactions over all");
}

#[ignore = "measures"]
#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_million_events() {
    let at = tempfile::tempdir_in(".").expect("a directory");
    {
        let store = Store::sqlite(at.path()).expect("a store");
        let begun = Instant::now();
        for _ in 0..10_000 {
            let mut worker = TestWorker::new();
            let mut bodies = vec![created()];
            bodies.extend((0..99).map(|_| notice(&"x".repeat(100))));
            let events = worker.events(bodies);
            let all =
                crate::store::Commit { rest: Some(&worker.state), ..commit(worker.id, &events) };
            store.append(all).await.expect("committed");
        }
        println!("1,000,000 events written in {:?}", begun.elapsed());
    }
    let begun = Instant::now();
    let store = Store::sqlite(at.path()).expect("a store");
    let opened = begun.elapsed();
    let workers = all_workers(&store).await;
    println!("opened in {opened:?}, {} Workers after {:?}", workers.len(), begun.elapsed());
    let begun = Instant::now();
    let retention = worker_types::Retention { max_bytes: Some(1 << 40), ..Default::default() };
    let found = store.trimmable(&retention, second(0)).await.expect("an answer").len();
    println!("a look for {found} trimmable Workers took {:?}", begun.elapsed());
}

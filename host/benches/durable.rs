//! What durability costs: a whole turn against one bare SQLite transaction, the events per second of
//! many Workers, and a restart.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

mod common;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use common::Sorted;
use futures_util::future::join_all;
use worker_runtime::{Runtime, Store};
use worker_types::{Input, InputOptions, Outcome, TurnId, WorkerId};

const SAMPLES: usize = 2_000;
/// The promises.
const MAX_RATIO: f64 = 3.0;
const MIN_EVENTS_PER_SECOND: f64 = 20_000.0;
const MAX_RESTART: Duration = Duration::from_secs(2);

const WORKERS: usize = 64;
/// Within what a guest may record at once.
const MESSAGES: usize = 900;
const ROUNDS: usize = 4;

const RESTART_WORKERS: usize = 10_000;
const RESTART_MESSAGES: usize = 96;

async fn open(dir: &Path) -> Runtime {
    let store = Store::sqlite(dir).expect("a store");
    common::builder().store(store).build().await.expect("a Runtime")
}

#[tokio::main]
async fn main() {
    // On a worker thread, as a handler of a backend: the main thread is none.
    let measured = tokio::runtime::Handle::current().spawn(measure());
    measured.await.expect("measured");
}

async fn measure() {
    let dir = tempfile::tempdir().expect("a directory");
    let ratio = one_caller(dir.path()).await;
    let rate = many_workers(dir.path()).await;
    let restart = restart().await;
    assert!(ratio <= MAX_RATIO, "a durable turn costs {ratio:.2} transactions");
    assert!(rate >= MIN_EVENTS_PER_SECOND, "{rate:.0} events/s");
    assert!(restart <= MAX_RESTART, "a restart took {restart:?}");
}

/// Alternates the two, so that both see the same disk.
async fn one_caller(dir: &Path) -> f64 {
    let runtime = open(&dir.join("turns")).await;
    let mut bare = bare_database(&dir.join("bare.sqlite3"));
    let (mut turns, mut transactions) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        let begun = Instant::now();
        let id = common::create(&runtime, "echo", "hello").await;
        let outcome = runtime.outcome(id, TurnId::new(1)).await;
        assert_eq!(outcome, Ok(Outcome::Completed));
        turns.push(begun.elapsed());

        let begun = Instant::now();
        let transaction = bare.transaction().expect("a transaction");
        transaction
            .execute("INSERT INTO events (body) VALUES (?1)", [[b'x'; 200].as_slice()])
            .expect("a row");
        transaction.commit().expect("committed");
        transactions.push(begun.elapsed());
    }
    runtime.shutdown(Duration::from_secs(1)).await;
    let (turns, transactions) = (Sorted::new(turns), Sorted::new(transactions));
    let ratio = turns.at(500) / transactions.at(500);
    println!(
        "create + first echo turn + outcome, durable: median {:.3} ms (p99 {:.3}); one SQLite \
         transaction (WAL, FULL): median {:.3} ms (p99 {:.3}); ratio {ratio:.2} (limit {MAX_RATIO})",
        turns.at(500),
        turns.at(990),
        transactions.at(500),
        transactions.at(990)
    );
    ratio
}

fn bare_database(path: &Path) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(path).expect("a database");
    database
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE events (position INTEGER PRIMARY KEY, body BLOB NOT NULL);",
        )
        .expect("a table");
    database
}

async fn many_workers(dir: &Path) -> f64 {
    let runtime = open(&dir.join("many")).await;
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let id = common::create(&runtime, "hostile", "print: ready").await;
        assert_eq!(runtime.outcome(id, TurnId::new(1)).await, Ok(Outcome::Completed));
        workers.push(id);
    }
    let before = events(&runtime, &workers);
    let begun = Instant::now();
    let say_many = format!("say-many: {MESSAGES}");
    let turns = workers.iter().map(async |id| {
        for _ in 0..ROUNDS {
            let input = Input::text(say_many.clone());
            let accepted = runtime.input(*id, input, InputOptions::default()).await;
            let turn_id = accepted.expect("an accepted input").turn_id;
            assert_eq!(runtime.outcome(*id, turn_id).await, Ok(Outcome::Completed));
        }
    });
    join_all(turns).await;
    let took = begun.elapsed();
    let written = events(&runtime, &workers) - before;
    let rate = written as f64 / took.as_secs_f64();
    println!(
        "{WORKERS} Workers at once: {written} durable events in {:.2} s: {rate:.0} events/s \
         (at least {MIN_EVENTS_PER_SECOND})",
        took.as_secs_f64()
    );
    runtime.shutdown(Duration::from_secs(1)).await;
    rate
}

fn events(runtime: &Runtime, workers: &[WorkerId]) -> u64 {
    workers.iter().map(|id| runtime.worker(*id).expect("it").last_seq.get()).sum()
}

async fn restart() -> Duration {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = open(dir.path()).await;
    let say_many = format!("say-many: {RESTART_MESSAGES}");
    let mut events = 0;
    let mut last = None;
    // Some at once: the disk has room for many commits in one transaction.
    for _ in 0..RESTART_WORKERS / 50 {
        let creations = (0..50).map(async |_| {
            let id = common::create(&runtime, "hostile", &say_many).await;
            assert_eq!(runtime.outcome(id, TurnId::new(1)).await, Ok(Outcome::Completed));
            id
        });
        for id in join_all(creations).await {
            events += runtime.worker(id).expect("it").last_seq.get();
            last = Some(id);
        }
    }
    runtime.shutdown(Duration::from_secs(1)).await;
    drop(runtime);

    let begun = Instant::now();
    let runtime = open(dir.path()).await;
    let ready = begun.elapsed();
    let id = last.expect("a Worker");
    let begun = Instant::now();
    let accepted = runtime.input(id, Input::text("print: hello"), InputOptions::default()).await;
    let turn_id = accepted.expect("an accepted input").turn_id;
    assert_eq!(runtime.outcome(id, turn_id).await, Ok(Outcome::Completed));
    println!(
        "restart with {RESTART_WORKERS} Workers and {events} events: ready after {:.0} ms (limit \
         {MAX_RESTART:?}, compiling the guests included), a first turn of one of them {:.2} ms",
        ready.as_secs_f64() * 1e3,
        begun.elapsed().as_secs_f64() * 1e3
    );
    ready
}

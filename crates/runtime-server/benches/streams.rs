//! Event streams: how fast a long log is replayed from SQLite to one reader, and whether a thousand readers of
//! one busy Worker miss anything.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::{Client, Served, stream_request};
use http_api::ServeOptions;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    runtime::Runtime as Threads,
    task::JoinSet,
};
use worker_runtime::Store;
use worker_types::{Input, InputOptions, Outcome, WorkerId};

/// Events of the log that is replayed, at least.
const EVENTS: u64 = 200_000;

/// What a guest may say in one turn.
const MESSAGES: usize = 900;

const MIN_EVENTS_PER_SECOND: f64 = 100_000.0;

const SUBSCRIBERS: usize = 1_000;

/// Turns that they watch.
const BUSY_TURNS: usize = 5;

/// What each of them says.
const BUSY_MESSAGES: usize = 40;

fn main() {
    let threads = Threads::new().expect("threads");
    replay(&threads);
    threads.block_on(subscribers());
}

fn sqlite(directory: &TempDir) -> Store {
    Store::sqlite(directory.path().join("log")).expect("a store")
}

async fn turn(served: &Served, worker: WorkerId, input: &str) {
    let accepted = served.runtime.input(worker, Input::text(input), InputOptions::default()).await;
    let turn_id = accepted.expect("an accepted input").turn_id;
    assert_eq!(served.runtime.outcome(worker, turn_id).await, Ok(Outcome::Completed));
}

fn last_seq(served: &Served, worker: WorkerId) -> u64 {
    served.runtime.worker(worker).expect("the Worker").last_seq.get()
}

fn replay(threads: &Threads) {
    let served = threads.block_on(Served::new(ServeOptions::default(), sqlite));
    let (worker, last) = threads.block_on(async {
        let worker = served.worker("hostile").await;
        while last_seq(&served, worker) < EVENTS {
            turn(&served, worker, &format!("say-many: {MESSAGES}")).await;
        }
        (worker, last_seq(&served, worker))
    });
    // A thread of its own, so that the server has its own.
    let request = stream_request(&served, worker);
    let address = served.address;
    let read = thread::spawn(move || {
        let mut client = Client::connect(address);
        let begun = Instant::now();
        client.send(&request);
        let (mut events, mut bytes) = (0, 0);
        let mut end_of_last = Vec::new();
        while events < last {
            let mut piece = std::mem::take(&mut end_of_last);
            let before = piece.len();
            piece.extend(client.piece());
            bytes += piece.len() - before;
            events += piece.windows(4).filter(|window| window == b"\nid:").count() as u64;
            // What stands across two pieces.
            end_of_last = piece.split_off(piece.len().saturating_sub(3));
        }
        (begun.elapsed(), bytes)
    });
    let (took, bytes) = read.join().expect("it read");
    let rate = last as f64 / took.as_secs_f64();
    println!(
        "replay of {last} events ({} MiB) from SQLite to one reader: {took:.2?}, {rate:.0} events/s (at \
         least {MIN_EVENTS_PER_SECOND:.0})",
        bytes >> 20
    );
    assert!(rate >= MIN_EVENTS_PER_SECOND, "too slow");
}

async fn subscribers() {
    let options = ServeOptions {
        max_connections: 2 * SUBSCRIBERS + 20,
        // One token has half at most.
        max_event_streams: 2 * SUBSCRIBERS,
        ..ServeOptions::default()
    };
    let served = Served::new(options, sqlite).await;
    let worker = served.worker("hostile").await;
    let mut readers = JoinSet::new();
    for _ in 0..SUBSCRIBERS {
        let mut stream = TcpStream::connect(served.address).await.expect("a connection");
        stream.write_all(&stream_request(&served, worker)).await.expect("sent");
        // It has said what there was to say: from here on it watches.
        let mut stream = BufReader::new(stream);
        while !line(&mut stream).await.contains("worker.created") {}
        readers.spawn(places(stream));
    }
    let begun = Instant::now();
    for _ in 0..BUSY_TURNS {
        turn(&served, worker, &format!("say-many: {BUSY_MESSAGES}")).await;
    }
    let worked = begun.elapsed();
    served.runtime.stop(worker).await.expect("stopped");
    // That is the last.
    let last = last_seq(&served, worker);
    let all: Vec<u64> = (1..=last).collect();
    while let Some(seen) = readers.join_next().await {
        assert_eq!(seen.expect("it read"), all, "something is missing or twice");
    }
    let took: Duration = begun.elapsed();
    println!(
        "{SUBSCRIBERS} readers of one busy Worker: each saw all {last} events; the Worker took {worked:.2?}, \
         the last reader had all after {took:.2?}"
    );
}

async fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    assert!(stream.read_line(&mut line).await.expect("a line") > 0, "the stream ended");
    line
}

/// The places in the log that a stream names, until the Worker is stopped.
async fn places(mut stream: BufReader<TcpStream>) -> Vec<u64> {
    let mut places = Vec::new();
    loop {
        let line = line(&mut stream).await;
        if let Some(id) = line.strip_prefix("id:") {
            let place = id.rsplit('.').next().and_then(|place| place.trim().parse().ok());
            places.push(place.expect("a place"));
        }
        if line.starts_with("data:") && line.contains("worker.stopped") {
            return places;
        }
    }
}

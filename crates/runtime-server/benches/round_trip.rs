//! How long a whole turn takes over HTTP: an input that is answered with the outcome, on one connection,
//! beside `wasmtime serve` with a component that says hello, and beside one transaction of SQLite.
//!
//! `YOI_WASMTIME` names the program; `cargo xtask bench` builds it.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use common::{Client, Served, median};
use http_api::ServeOptions;
use tempfile::TempDir;
use tokio::runtime::Runtime as Threads;
use worker_runtime::Store;

const SAMPLES: usize = 3_000;

/// Turns of one Worker, before another has its place: its log in memory is bounded.
const TURNS: usize = 250;

/// At most this share of what `wasmtime serve` takes.
const MAX_RATIO: f64 = 0.6;

/// A durable turn takes at most two transactions and this.
const MAX_BESIDE: Duration = Duration::from_micros(150);

fn main() {
    let threads = Threads::new().expect("threads");
    let is_fast = [in_memory(&threads), durable(&threads)];
    assert_eq!(is_fast, [true, true], "too slow");
}

/// Inputs for one Worker after the other.
struct Inputs<'a> {
    threads: &'a Threads,
    served: &'a Served,
    client: Client,
    request: Vec<u8>,
    left: usize,
}

impl<'a> Inputs<'a> {
    fn new(threads: &'a Threads, served: &'a Served) -> Self {
        let client = Client::connect(served.address);
        Self { threads, served, client, request: Vec::new(), left: 0 }
    }

    /// One turn.
    fn one(&mut self) -> Duration {
        if self.left == 0 {
            let worker = self.threads.block_on(self.served.worker("echo"));
            let body = r#"{"text":"hello"}"#;
            let Served { address, token, .. } = self.served;
            self.request = format!(
                "POST /v1/workers/{worker}/input?wait_ms=60000 HTTP/1.1\r\nHost: {address}\r\n\
                 Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes();
            self.left = TURNS;
        }
        self.left -= 1;
        let begun = Instant::now();
        let (status, body) = self.client.ask(&self.request);
        let took = begun.elapsed();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        took
    }
}

/// Alternates the two, so that both see the same machine.
fn in_memory(threads: &Threads) -> bool {
    let served = threads.block_on(Served::new(ServeOptions::default(), |_| Store::memory()));
    let Some(wasmtime) = WasmtimeServe::start() else {
        println!("POST input?wait_ms: not measured, since YOI_WASMTIME names no `wasmtime`");
        return true;
    };
    let mut peer = Client::connect(wasmtime.address);
    let hello = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", wasmtime.address);
    let mut inputs = Inputs::new(threads, &served);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for sample in 0..SAMPLES + TURNS {
        let ours_took = inputs.one();
        let begun = Instant::now();
        let (status, body) = peer.ask(hello.as_bytes());
        let theirs_took = begun.elapsed();
        assert_eq!((status, body.as_slice()), (200, b"hello".as_slice()));
        // The first are for warming up.
        if sample >= TURNS {
            ours.push(ours_took);
            theirs.push(theirs_took);
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!(
        "POST input?wait_ms of echo, memory store, p50: {ours:.1?}; wasmtime serve, hello: {theirs:.1?}; \
         ratio {ratio:.2} (limit {MAX_RATIO})"
    );
    ratio <= MAX_RATIO
}

fn durable(threads: &Threads) -> bool {
    let store = |directory: &TempDir| Store::sqlite(directory.path().join("log")).expect("a store");
    let served = threads.block_on(Served::new(ServeOptions::default(), store));
    let mut bare = bare_database(&served.directory.path().join("bare.sqlite3"));
    let mut inputs = Inputs::new(threads, &served);
    let (mut ours, mut transactions) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        ours.push(inputs.one());
        let begun = Instant::now();
        let transaction = bare.transaction().expect("a transaction");
        let row = [[b'x'; 200].as_slice()];
        transaction.execute("INSERT INTO events (body) VALUES (?1)", row).expect("a row");
        transaction.commit().expect("committed");
        transactions.push(begun.elapsed());
    }
    let (ours, transaction) = (median(ours), median(transactions));
    let limit = transaction * 2 + MAX_BESIDE;
    println!(
        "POST input?wait_ms of echo, durable, p50: {ours:.1?}; one SQLite transaction (WAL, FULL): \
         {transaction:.1?}; limit {limit:.1?}"
    );
    ours <= limit
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

/// The peer, ended with this.
struct WasmtimeServe {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl WasmtimeServe {
    fn start() -> Option<Self> {
        let program = std::env::var_os("YOI_WASMTIME")?;
        let directory = tempfile::tempdir().expect("a directory");
        let component = directory.path().join("hello.wasm");
        fs::write(&component, test_guests::HELLO_HTTP).expect("written");
        let mut child = Command::new(program)
            .args(["serve", "--addr", "127.0.0.1:0", "-Scli"])
            .arg(component)
            .stderr(Stdio::piped())
            .spawn()
            .expect("wasmtime");
        let mut line = String::new();
        BufReader::new(child.stderr.take().expect("a pipe")).read_line(&mut line).expect("a line");
        // `Serving HTTP on http://127.0.0.1:41234/`
        let address = line.split("http://").nth(1).and_then(|url| url.trim_end().strip_suffix('/'));
        let address = address.and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("not an address: {line}"));
        Some(Self { child, address, _directory: directory })
    }
}

impl Drop for WasmtimeServe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

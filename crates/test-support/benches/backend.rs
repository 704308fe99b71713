//! What a Backend adds to a call: to the Runtime that it embeds, beside a direct call, and to one in another
//! process, beside a call over HTTP without the Backend. And how long its lists take over an embedded Runtime and
//! ten remote ones, of which one never answers.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use runtime_client::{AuthToken, RuntimeClient};
use test_support::{
    conformance::Setting,
    embedded,
    operations::Operations,
    remote::{self, Remote},
};
use tokio::{runtime::Runtime as Threads, task::JoinSet};
use worker_types::{CreateWorker, Input, InputOptions, RuntimeId, WorkerId, WorkerQuery};
use yoi_workspace_server::{Registration, RemoteRuntime, RuntimeRegistry, RuntimeSource};

const PROGRAM: &str = env!("CARGO_BIN_EXE_runtime-process");

const SAMPLES: usize = 2_000;

/// Turns of one Worker, before another has its place.
const TURNS: usize = 250;

/// What the Backend may add to a call, embedded and remote.
const MAX_ADDED: [Duration; 2] = [Duration::from_micros(300), Duration::from_micros(600)];

/// Remote Runtimes that answer.
const REMOTES: usize = 9;

const LISTS: usize = 50;

/// How long a list may take.
const MAX_LIST: Duration = Duration::from_millis(300);

fn main() {
    let threads = Threads::new().expect("threads");
    let is_fast = [on_a_worker(&threads, added()), on_a_worker(&threads, lists())];
    assert_eq!(is_fast, [true, true], "too slow");
}

/// As whoever calls does: the thread that only waits would have to be woken for every answer.
fn on_a_worker<T: Send + 'static>(
    threads: &Threads,
    measured: impl Future<Output = T> + Send + 'static,
) -> T {
    let mut measuring = JoinSet::new();
    measuring.spawn_on(measured, threads.handle());
    let measured = threads.block_on(measuring.join_next());
    measured.expect("it was begun").expect("it comes to its end")
}

/// Alternates the hosts, so that all see the same machine.
async fn added() -> bool {
    let mut direct = Caller::new(embedded::in_sqlite(Setting::default()).await);
    let mut embedding = Caller::new(remote::embedding_backend(Setting::default()).await);
    let mut process = Caller::new(process().await);
    let mut behind = Caller::new(remote::remote_backend(PROGRAM, Setting::default()).await);
    for _ in 0..SAMPLES + TURNS {
        direct.call().await;
        embedding.call().await;
        process.call().await;
        behind.call().await;
    }
    let [direct, embedding] = [direct.medians(), embedding.medians()];
    let [process, behind] = [process.medians(), behind.medians()];
    let pairs = [("embedded", direct, embedding), ("remote", process, behind)];
    let mut is_fast = true;
    for ((kind, without, with), limit) in pairs.into_iter().zip(MAX_ADDED) {
        for (what, without, with) in
            [("GET worker", without.0, with.0), ("POST input", without.1, with.1)]
        {
            let added = with.saturating_sub(without);
            println!(
                "{what}, {kind}, p50: {with:.1?} through the Backend, {without:.1?} without it; it adds \
                 {added:.1?} (limit {limit:.1?})"
            );
            is_fast &= added <= limit;
        }
    }
    is_fast
}

async fn process() -> Remote {
    let start = || remote::start(PROGRAM, &Setting::default());
    tokio::task::spawn_blocking(start).await.expect("it starts")
}

/// Calls one host, for one Worker after the other.
struct Caller<H> {
    host: H,
    worker: Option<(WorkerId, usize)>,
    reads: Vec<Duration>,
    inputs: Vec<Duration>,
}

impl<H: Operations> Caller<H> {
    fn new(host: H) -> Self {
        Self { host, worker: None, reads: Vec::new(), inputs: Vec::new() }
    }

    async fn call(&mut self) {
        let (worker, left) = match self.worker {
            Some((worker, left)) if left > 0 => (worker, left),
            _ => {
                let request = CreateWorker::profile("echo".parse().expect("a name"));
                (self.host.create(request).await.expect("a Worker").worker_id, TURNS)
            }
        };
        self.worker = Some((worker, left - 1));

        let begun = Instant::now();
        self.host.worker(worker).await.expect("the Worker");
        self.reads.push(begun.elapsed());
        let begun = Instant::now();
        let accepted = self.host.input(worker, Input::text("hello"), InputOptions::default()).await;
        self.inputs.push(begun.elapsed());
        let turn = accepted.expect("an input").turn_id;
        assert!(self.host.outcome(worker, turn).await.expect("an end").is_completed());
    }

    /// Of reading a Worker, and of giving it an input; the first calls were for warming up.
    fn medians(mut self) -> (Duration, Duration) {
        let median = |times: &mut Vec<Duration>| {
            let times = &mut times[TURNS..];
            times.sort_unstable();
            times[times.len() / 2]
        };
        (median(&mut self.reads), median(&mut self.inputs))
    }
}

/// Nobody watches the Runtimes, so that each list waits for the one that never answers.
async fn lists() -> bool {
    let registry = RuntimeRegistry::new();
    let here = embedded::in_sqlite(Setting::default()).await;
    let embedded = RuntimeSource::embedded(here.runtime.clone());
    registry.register(Registration::new(embedded)).expect("the first");
    let mut processes = Vec::new();
    for number in 0..REMOTES {
        let process = process().await;
        let far = process.source(id(&format!("far-{number}")));
        registry.register(Registration::new(far)).expect("another");
        processes.push(process);
    }
    // The kernel takes connections, and nobody answers.
    let silence = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silence.local_addr().expect("an address"));
    let client = RuntimeClient::new(&url, AuthToken::new("sesame")).expect("a client");
    let dead = RuntimeSource::remote(RemoteRuntime::new(id("dead"), client));
    registry.register(Registration::new(dead)).expect("the last");

    let (mut runtimes, mut workers) = (Vec::new(), Vec::new());
    for _ in 0..LISTS {
        let begun = Instant::now();
        let listed = registry.list().await;
        runtimes.push(begun.elapsed());
        assert_eq!(listed.iter().filter(|one| one.details.is_some()).count(), REMOTES + 1);
        let begun = Instant::now();
        let page = registry.workers(&WorkerQuery::default()).await.expect("a page");
        workers.push(begun.elapsed());
        assert_eq!(page.diagnostics.len(), 1, "{:?}", page.diagnostics);
    }
    let mut is_fast = true;
    for (what, mut times) in [("Runtimes", runtimes), ("Workers", workers)] {
        times.sort_unstable();
        let (median, longest) = (times[LISTS / 2], times[LISTS - 1]);
        println!(
            "list of {what}, 1 embedded, {REMOTES} remote, 1 dead: p50 {median:.1?}, at most {longest:.1?} \
             (limit {MAX_LIST:.1?})"
        );
        is_fast &= longest <= MAX_LIST;
    }
    is_fast
}

fn id(text: &str) -> RuntimeId {
    text.parse().expect("an id")
}

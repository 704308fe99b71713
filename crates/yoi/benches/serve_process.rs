//! How long `yoi serve` takes from its start until it serves, with 1,000 Workers in its store, and how much
//! memory it has then.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

const WORKERS: usize = 1_000;
/// Starts.
const RUNS: usize = 20;
/// The longest that it may take at p50.
const MAX_READY: Duration = Duration::from_millis(150);
/// The most memory of a process that does nothing.
const MAX_IDLE_KIB: u64 = 40 << 10;
/// When it counts as doing nothing.
const REST: Duration = Duration::from_secs(2);

struct Serve {
    child: Child,
    url: String,
    ready_after: Duration,
}

impl Serve {
    fn start(home: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_yoi"));
        command.env_clear().env("HOME", home).args(["serve", "--listen", "127.0.0.1:0"]);
        let begun = Instant::now();
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("yoi starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let ready_after = begun.elapsed();
        let url = line.trim_end().strip_prefix("yoi serves a Runtime: ").expect("a URL").to_owned();
        Self { child, url, ready_after }
    }

    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        line.trim().strip_suffix(" kB").and_then(|kib| kib.parse().ok()).expect("a number")
    }

    fn end(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
        self.child.wait().expect("it ends");
    }
}

/// Each has had one turn.
fn create_workers(serve: &Serve, token: &str) {
    let threads = tokio::runtime::Runtime::new().expect("threads");
    threads.block_on(async {
        let client = reqwest::Client::new();
        for _ in 0..WORKERS {
            let new = json!({ "profile": "echo", "input": { "text": "hello" } });
            let request = client.post(format!("{}/v1/workers", serve.url)).bearer_auth(token);
            let answer = request.json(&new).send().await.expect("an answer");
            assert_eq!(answer.status(), 201);
        }
        let idle = format!("{}/v1/workers?status=running&limit=1", serve.url);
        while client
            .get(&idle)
            .bearer_auth(token)
            .send()
            .await
            .expect("an answer")
            .text()
            .await
            .expect("text")
            .contains("worker_id")
        {}
    });
}

fn main() {
    let home = tempfile::tempdir().expect("a directory");
    let config = home.path().join(".config/yoi");
    fs::create_dir_all(&config).expect("a directory");
    fs::write(config.join("yoi.toml"), "[models.default]\nprovider = \"offline\"\n")
        .expect("written");
    let first = Serve::start(home.path());
    let token = home.path().join(".local/share/yoi/first-token");
    let token = fs::read_to_string(token).expect("a token");
    create_workers(&first, token.trim());
    first.end();

    let mut ready = Vec::new();
    for _ in 0..RUNS {
        let serve = Serve::start(home.path());
        ready.push(serve.ready_after);
        serve.end();
    }
    ready.sort_unstable();
    let idle = Serve::start(home.path());
    thread::sleep(REST);
    let resident = idle.resident_kib();
    idle.end();
    let p50 = ready[ready.len() / 2];
    println!(
        "yoi serve with {WORKERS} Workers: ready after {p50:.1?} at p50, {:.1?} at most (p50 at most \
         {MAX_READY:.0?}); idle {} MiB (at most {})",
        ready[ready.len() - 1],
        resident >> 10,
        MAX_IDLE_KIB >> 10
    );
    assert!(p50 <= MAX_READY, "too slow");
    assert!(resident <= MAX_IDLE_KIB, "too large");
}

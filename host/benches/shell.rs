//! What the shell inside WebAssembly takes beside native programs, in one run: a script that says a word, a
//! search in many files, and a pipeline through which much flows.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use worker_runtime::{Root, Runtime, Script, ScriptEnd, ScriptPiece, Shell, ShellSession};
use worker_types::{
    Access, ComponentRef, CreateWorker, Grants, Input, InputOptions, Limits, Outcome, Preopen,
    Profile, ProfileName, RootName, ShellGrant,
};

mod common;

use common::Sorted;

/// Scripts that say a word.
const WORDS: usize = 300;
/// The longest that one may take at p50, in milliseconds.
const WORD_MS: f64 = 10.0;

/// Files to search, and bytes in each: 60 MB in all.
const FILES: usize = 10_000;
const FILE_BYTES: usize = 6_000;
/// Runs of each search, in turn; the fastest counts.
const SEARCHES: usize = 7;
/// How many times the time of GNU grep a search may take.
const SEARCH_BOUND: f64 = 5.0;

/// Bytes that flow through the pipeline, and how many a second should, in MB.
const FLOW_BYTES: usize = 100_000_000;
const FLOW_MB: f64 = 60.0;
/// Memory that ten times as much flow may take more, in bytes.
const FLOW_MEMORY: u64 = 4 << 20;
/// The pipeline.
const FLOW: &str = "cat FILE | tr a-z A-Z | grep -v ZZZZ | wc -l";

fn root() -> RootName {
    "work".parse().expect("a name")
}

fn grants() -> Grants {
    let preopen = Preopen::new(root(), "/workspace".parse().expect("a guest path"));
    Grants::none().with_shell(ShellGrant::default()).with_preopen(preopen.access(Access::ReadWrite))
}

fn limits() -> Limits {
    Limits { turn_cpu_ms: 600_000, ..Limits::default() }
}

/// Runs a script to its end; what it wrote to standard output.
async fn run(session: &ShellSession, script: &str) -> Vec<u8> {
    let script = Script { text: script.to_owned(), ..Script::default() };
    let running = session.start(script).await.expect("a script that starts");
    running.close_stdin();
    let mut written = Vec::new();
    loop {
        match running.next().await.expect("a piece") {
            ScriptPiece::Stdout(bytes) => written.extend(bytes),
            ScriptPiece::Ended(ScriptEnd::Exited { code: 0, .. }) => return written,
            other => panic!("{other:?}"),
        }
    }
}

/// Lines of lower-case words, none of which the pipeline drops.
fn lines(bytes: usize) -> Vec<u8> {
    let line = b"the quick brown fox jumps over the lazy dog and goes on for a while\n";
    line.iter().copied().cycle().take(bytes / line.len() * line.len()).collect()
}

fn prepare(dir: &Path) {
    for (name, bytes) in [("small", FLOW_BYTES / 10), ("big", FLOW_BYTES)] {
        fs::write(dir.join(name), lines(bytes)).expect("a file");
    }
    for directory in 0..100 {
        let directory = dir.join(format!("tree/{directory}"));
        fs::create_dir_all(&directory).expect("a directory");
        for file in 0..FILES / 100 {
            let mut text = lines(FILE_BYTES);
            text.extend(format!("needle {file}\n").bytes());
            fs::write(directory.join(file.to_string()), text).expect("a file");
        }
    }
}

async fn words(session: &ShellSession) -> bool {
    let mut times = Vec::new();
    for _ in 0..WORDS {
        let begun = Instant::now();
        assert_eq!(run(session, "echo hi").await, b"hi\n");
        times.push(begun.elapsed());
    }
    let times = Sorted::new(times);
    let (half, most) = (times.at(500), times.at(990));
    println!("echo hi: p50 {half:.2} ms, p99 {most:.2} ms (at p50 at most {WORD_MS} ms)");
    half <= WORD_MS
}

/// A search that finds one line in a hundred files, and one that finds something in all.
async fn searches(session: &ShellSession, dir: &Path) -> bool {
    let mut all_within = true;
    for pattern in ["needle 7$", "needle [0-9]", "fo[xy] j"] {
        let script = format!("grep -rn '{pattern}' tree | wc -l");
        let (mut ours, mut natives) = (Vec::new(), Vec::new());
        for _ in 0..SEARCHES {
            let begun = Instant::now();
            let counted = run(session, &script).await;
            ours.push(begun.elapsed());
            let begun = Instant::now();
            let native = Command::new("sh").arg("-c").arg(&script).current_dir(dir).output();
            let native = native.expect("a native shell").stdout;
            natives.push(begun.elapsed());
            let number = |text: &[u8]| String::from_utf8_lossy(text).trim().to_owned();
            assert_eq!(number(&counted), number(&native), "{script}");
        }
        let fastest = |times: Vec<Duration>| times.into_iter().min().expect("there are some");
        let (ours, native) = (fastest(ours), fastest(natives));
        let times = ours.as_secs_f64() / native.as_secs_f64();
        println!(
            "grep -rn '{pattern}' in {FILES} files: {ours:.0?}, GNU grep {native:.0?}: {times:.1} times \
             (at most {SEARCH_BOUND})"
        );
        all_within &= times <= SEARCH_BOUND;
    }
    all_within
}

/// A turn's peak of memory, and how long its script took.
async fn flow(runtime: &Runtime, file: &str) -> (u64, Duration) {
    let request = CreateWorker::profile(profile().name).grants(grants());
    let worker = runtime.create(request).await.expect("a Worker").worker_id;
    let script = FLOW.replace("FILE", file);
    let begun = Instant::now();
    let input = Input::text(format!("run: {script}"));
    let turn = runtime.input(worker, input, InputOptions::default()).await.expect("accepted");
    let outcome = runtime.outcome(worker, turn.turn_id).await.expect("an outcome");
    let time = begun.elapsed();
    assert_eq!(outcome, Outcome::Completed);
    let usage = runtime.usage(worker, None, 1).await.expect("usage");
    runtime.stop(worker).await.expect("stopped");
    (usage.turns[0].receipt.peak_memory_bytes, time)
}

fn profile() -> Profile {
    let name: ProfileName = "scripts".parse().expect("a name");
    Profile {
        component: ComponentRef::Builtin(name.clone()),
        name,
        description: String::new(),
        optional: Default::default(),
        commands: Default::default(),
        resume: false,
        config: Default::default(),
    }
}

async fn flows(cache: &Path, dir: &Path) -> bool {
    let runtime = Runtime::builder("bench".parse().expect("a valid id"))
        .components([(profile().component, test_guests::SCRIPTS.into())])
        .profiles([profile()])
        .shell(builtin_workers::SHELL_COMPONENT)
        .component_cache(cache)
        .root(root(), Root::new(dir).access(Access::ReadWrite))
        .ceiling(grants())
        .limits(limits())
        .build()
        .await
        .expect("a Runtime");
    let (small, _) = flow(&runtime, "small").await;
    let mut fastest = Duration::MAX;
    let mut big = 0;
    for _ in 0..3 {
        let (memory, time) = flow(&runtime, "big").await;
        fastest = fastest.min(time);
        big = big.max(memory);
    }
    let rate = FLOW_BYTES as f64 / 1e6 / fastest.as_secs_f64();
    println!(
        "{FLOW} over {} MB: {rate:.0} MB/s (at least {FLOW_MB}); memory {:.1} MB, with a tenth of it \
         {:.1} MB (at most {:.1} MB more)",
        FLOW_BYTES / 1_000_000,
        big as f64 / 1e6,
        small as f64 / 1e6,
        FLOW_MEMORY as f64 / 1e6,
    );
    runtime.shutdown(Duration::ZERO).await;
    rate >= FLOW_MB && big <= small + FLOW_MEMORY
}

fn main() {
    let tokio = tokio::runtime::Runtime::new().expect("a tokio runtime");
    let place = tempfile::tempdir().expect("a directory");
    let (dir, cache) = (place.path().join("work"), place.path().join("cache"));
    fs::create_dir(&dir).expect("a directory");
    prepare(&dir);
    let shell = Shell::new(builtin_workers::SHELL_COMPONENT, limits())
        .component_cache(&cache)
        .root(root(), Root::new(&dir).access(Access::ReadWrite));
    tokio.block_on(async {
        let begun = Instant::now();
        let session = shell.open(grants(), Vec::new()).await.expect("a session");
        session.compile().await.expect("a shell that compiles");
        println!("the shell compiles in {:.1?}, in this process", begun.elapsed());
        let within =
            [words(&session).await, searches(&session, &dir).await, flows(&cache, &dir).await];
        assert!(within.into_iter().all(|within| within), "a bound is missed: see above");
    });
}

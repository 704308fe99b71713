//! How fast a guest writes and reads a file through the wrapper, beside the same guest under plain
//! wasmtime-wasi, in turn in one run.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use wasmtime::{
    Config, Engine, Store,
    component::{Component, Linker, ResourceTable},
};
use wasmtime_wasi::{
    FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, p2::bindings::Command,
};
use worker_runtime::{CommandEnd, CommandRequest, Exec, Root};
use worker_types::{Access, Grants, Limits, Preopen, RootName};

/// What is written and read. Large enough that starting the command does not matter.
const MIB: u64 = 256;
/// Runs of each kind, in turn; the fastest counts: what else the disk does meanwhile slows the others,
/// by a factor of two and more.
const RUNS: usize = 15;
/// The least share of the plain throughput.
const BOUND: f64 = 0.9;

struct Plain {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Plain {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

fn arguments(what: &str) -> Vec<String> {
    let mib = MIB.to_string();
    let more: &[&str] = if what == "fill" { &[&mib] } else { &[] };
    ["tool", what, "/files/file"]
        .into_iter()
        .chain(more.iter().copied())
        .map(str::to_owned)
        .collect()
}

async fn plain(engine: &Engine, component: &Component, dir: &Path, what: &str) -> Duration {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("linked");
    let mut wasi = WasiCtxBuilder::new();
    wasi.args(&arguments(what));
    wasi.preopened_dir(dir, "/files", FsPerms::ReadWrite).expect("a directory");
    let state = Plain { wasi: wasi.build(), table: ResourceTable::new() };
    let mut store = Store::new(engine, state);
    let begun = Instant::now();
    let command = Command::instantiate_async(&mut store, component, &linker).await;
    let run = command.expect("an instance").wasi_cli_run().call_run(&mut store).await;
    run.expect("it ran").expect("it succeeded");
    begun.elapsed()
}

async fn wrapped(dir: &Path, cache: &Path, what: &str) -> Duration {
    let root: RootName = "work".parse().expect("a name");
    let preopen = Preopen::new(root.clone(), "/files".parse().expect("a guest path"));
    let request = CommandRequest {
        component: test_guests::TOOL.to_vec(),
        arguments: arguments(what),
        environment: Vec::new(),
        grants: Grants::none().with_preopen(preopen.access(Access::ReadWrite)),
    };
    let exec = Exec::new(Limits::default())
        .component_cache(cache)
        .root(root, Root::new(dir).access(Access::ReadWrite));
    let begun = Instant::now();
    let end = exec.run(request).await.expect("it ran");
    assert_eq!(end, CommandEnd::Exited(0));
    begun.elapsed()
}

fn main() {
    let tokio = tokio::runtime::Runtime::new().expect("a tokio runtime");
    let place = tempfile::tempdir().expect("a directory");
    let (dir, cache) = (place.path().join("work"), place.path().join("cache"));
    fs::create_dir(&dir).expect("a directory");
    // Guests of ours are made to yield; what that costs is another matter.
    let engine = Engine::new(&Config::new()).expect("an engine");
    let component = Component::new(&engine, test_guests::TOOL).expect("a component");
    let mut missed = Vec::new();
    for what in ["fill", "drain"] {
        let (mut plains, mut wrappeds) = (Vec::new(), Vec::new());
        for run in 0..=RUNS {
            let wrapped = tokio.block_on(wrapped(&dir, &cache, what));
            let (engine, component, dir) = (engine.clone(), component.clone(), dir.clone());
            // On a worker thread, as a handler of a backend.
            let plain = tokio.spawn(async move { plain(&engine, &component, &dir, what).await });
            let plain = tokio.block_on(plain).expect("measured");
            // The first fills the caches.
            if run > 0 {
                plains.push(plain);
                wrappeds.push(wrapped);
            }
        }
        let rate = |time: Duration| MIB as f64 / time.as_secs_f64();
        let fastest = |times: Vec<Duration>| rate(times.into_iter().min().expect("there are some"));
        let (plain, wrapped) = (fastest(plains), fastest(wrappeds));
        let share = wrapped / plain;
        println!(
            "{what}: {wrapped:.0} MiB/s through the wrapper, {plain:.0} MiB/s under plain \
             wasmtime-wasi: {share:.2} (at least {BOUND})"
        );
        if share < BOUND {
            missed.push(what);
        }
    }
    assert!(missed.is_empty(), "too slow: {missed:?}");
}

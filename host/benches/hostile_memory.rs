//! How much memory the process takes while all kinds of hostile guests run, with a store on disk:
//! what the limits allow them together, and little more.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use worker_runtime::Store;
use worker_types::{Input, InputOptions, Limits};

const MEBIBYTE: u64 = 1 << 20;
/// What the host itself may take beyond the limits.
const HOST: u64 = 64 * MEBIBYTE;
/// Turns that run at once, by the limit on their memory.
const TURNS: u64 = 4;
const WORKERS: usize = 8;

const CORPUS: [&str; 24] = [
    "spin",
    "spin-in-host-calls",
    "sleep: 600000",
    "utter-hang",
    "grow: 1000",
    "hog: 1000",
    "fill: 60",
    "recurse",
    "flood",
    "flood-text",
    "flood-state",
    "flood-tools",
    "flood-stdout",
    "handles: 100000",
    "say: 100000000",
    "say: 1000000",
    "say-many: 1000000",
    "utter-many: 1000000",
    "state-big: 100000000",
    "state-get-big: 100000000",
    "stdout: 100000000",
    "tool-big: 100000000",
    "random: 100000000",
    "history: 1000",
];

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    let turn_memory_bytes = 64 * MEBIBYTE;
    let limits = Limits {
        turn_wall_ms: 400,
        turn_memory_bytes,
        memory_total: TURNS * turn_memory_bytes,
        ..Limits::default()
    };
    let store = Store::sqlite(dir.path()).expect("a store");
    let builder = common::builder().store(store).limits(limits.clone());
    let runtime = builder.build().await.expect("a Runtime");
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(common::create(&runtime, "hostile", "print: ready").await);
    }

    let before = resident();
    let watch = Watch::start();
    let mut worst = ("", 0);
    for command in CORPUS {
        let turns = workers.iter().map(async |id| {
            let queue = InputOptions::if_busy(worker_types::IfBusy::Queue);
            let accepted = runtime.input(*id, Input::text(command), queue).await;
            let turn_id = accepted.expect("an accepted input").turn_id;
            runtime.outcome(*id, turn_id).await.expect("the turn ends");
        });
        futures_util::future::join_all(turns).await;
        let peak = watch.take();
        if peak > worst.1 {
            worst = (command, peak);
        }
    }
    let (command, peak) = worst;
    let taken = peak.saturating_sub(before);
    let limit = limits.memory_total + HOST;
    println!(
        "memory over the hostile corpus, {TURNS} of {WORKERS} turns at once: at most {} MiB more than \
         before (in `{command}`); the limits allow {} MiB, and {} MiB for the host",
        taken / MEBIBYTE,
        limits.memory_total / MEBIBYTE,
        HOST / MEBIBYTE
    );
    assert!(taken <= limit, "hostile guests take more memory than their limits");
}

/// Watches the memory of this process.
struct Watch {
    peak: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    fn start() -> Self {
        let watch = Self { peak: Arc::default(), stop: Arc::default() };
        let (peak, stop) = (Arc::clone(&watch.peak), Arc::clone(&watch.stop));
        thread::spawn(move || {
            while !stop.load(Relaxed) {
                peak.fetch_max(resident(), Relaxed);
                thread::sleep(Duration::from_millis(2));
            }
        });
        watch
    }

    /// The peak since the last call, in bytes.
    fn take(&self) -> u64 {
        self.peak.swap(0, Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// The memory of this process that is resident, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes * 1_024
}

//! How long a cancel and a stop take to be committed, while eight guests of a kind do their worst on
//! all cores, with a store on disk.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

mod common;

use std::time::{Duration, Instant};

use common::Sorted;
use worker_runtime::{Runtime, Store};
use worker_types::{Input, InputOptions, WorkerId};

const GUESTS: usize = 8;
/// Ends of each kind, over all guests.
const ROUNDS: usize = 16;
/// The promise, at the 99th percentile.
const LIMIT_MS: f64 = 100.0;

const HOSTILE: [&str; 11] = [
    "spin",
    "spin-in-host-calls",
    "sleep: 600000",
    "utter-hang",
    "grow: 200",
    "fill: 200",
    "flood",
    "flood-text",
    "flood-state",
    "flood-tools",
    "flood-stdout",
];

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::sqlite(dir.path()).expect("a store");
    let runtime = common::builder().store(store).build().await.expect("a Runtime");
    println!("from the call to the committed end, {GUESTS} guests of a kind at once:");
    let mut slow = Vec::new();
    for command in HOSTILE {
        let mut workers = Vec::new();
        for _ in 0..GUESTS {
            workers.push(common::create(&runtime, "hostile", command).await);
        }
        let (cancels, stops) = measure(&runtime, &workers, command).await;
        for (what, times) in [("cancel", cancels), ("stop", stops)] {
            let p99 = times.at(990);
            println!("  {command:<20} {what:<6} p50 {:>6.2} ms, p99 {p99:>6.2} ms", times.at(500));
            if p99 > LIMIT_MS {
                slow.push(format!("{command}: {what}"));
            }
        }
        for id in workers {
            runtime.stop(id).await.expect("stopped");
        }
    }
    assert!(slow.is_empty(), "these took longer than {LIMIT_MS} ms: {slow:?}");
}

/// Ends every guest in turn while the others go on, and starts it again.
async fn measure(runtime: &Runtime, workers: &[WorkerId], command: &str) -> (Sorted, Sorted) {
    let (mut cancels, mut stops) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for id in workers {
            // Long enough to be in the middle of it.
            tokio::time::sleep(Duration::from_millis(5)).await;
            let asked = Instant::now();
            if round % 2 == 0 {
                runtime.cancel(*id, None).await.expect("cancelled");
                cancels.push(asked.elapsed());
            } else {
                runtime.stop(*id).await.expect("stopped");
                stops.push(asked.elapsed());
                runtime.start(*id).await.expect("started");
            }
            // One that ended by itself, at a limit, has nothing to cancel: it begins anew.
            let again = runtime.input(*id, Input::text(command), InputOptions::default());
            again.await.expect("an accepted input");
        }
    }
    (Sorted::new(cancels), Sorted::new(stops))
}

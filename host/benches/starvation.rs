//! How late a timer of the embedder fires while eight guests spin.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

mod common;

use std::time::{Duration, Instant};

use worker_types::TurnId;

const GUESTS: usize = 8;
const SAMPLES: usize = 5_000;
const PERIOD: Duration = Duration::from_millis(1);

#[tokio::main]
async fn main() {
    let runtime = common::builder().build().await.expect("a Runtime");
    println!("timer lateness over {SAMPLES} sleeps of 1 ms:");
    measure("no guest").await;
    let mut workers = Vec::new();
    for _ in 0..GUESTS {
        workers.push(common::create(&runtime, "hostile", "spin").await);
    }
    let p99 = measure("eight guests spin").await;
    for id in workers {
        let asked = Instant::now();
        runtime.cancel(id, Some(TurnId::new(1))).await.expect("cancelled");
        println!("  cancel took {:.1} ms", asked.elapsed().as_secs_f64() * 1e3);
    }
    assert!(p99 <= Duration::from_millis(10), "guests starve the embedder");
}

/// Prints and returns the 99th percentile. The sleeper is a task, as an embedder's would be.
async fn measure(what: &str) -> Duration {
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async {
        let mut late = Vec::with_capacity(SAMPLES);
        for _ in 0..SAMPLES {
            let due = Instant::now() + PERIOD;
            tokio::time::sleep_until(due.into()).await;
            late.push(due.elapsed());
        }
        late.sort();
        late
    });
    let late = tasks.join_next().await.expect("one task").expect("it does not panic");
    let at = |quantile: usize| late[SAMPLES * quantile / 1_000 - 1];
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    println!(
        "  {what}: p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms",
        ms(at(500)),
        ms(at(990)),
        ms(at(1_000))
    );
    at(990)
}

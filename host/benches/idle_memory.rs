//! What an idle Worker costs after one completed turn: bytes of heap, counted by the allocator
//! over 100,000 of them, their logs in the memory store included.
#![expect(unsafe_code, reason = "an allocator is unsafe to implement; this one only counts")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use worker_runtime::Runtime;
use worker_types::{CreateWorker, Input, TurnId, WorkerStatus};

const WORKERS: usize = 100_000;
/// The promise: invariant 10.
const LIMIT_BYTES: usize = 1_024;

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        HELD.fetch_add(new_size, Relaxed);
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

async fn run_one(runtime: &Runtime) {
    let echo = CreateWorker::profile("echo".parse().expect("a valid name"));
    let worker = runtime.create(echo.input(Input::text("hello"))).await.expect("a Worker");
    let outcome = runtime.outcome(worker.worker_id, TurnId::new(1)).await;
    assert!(outcome.expect("an outcome").is_completed());
    assert_eq!(runtime.worker(worker.worker_id).expect("it").status, WorkerStatus::Idle);
}

#[tokio::main]
async fn main() {
    let runtime = Runtime::builder("bench".parse().expect("a valid id"))
        .components(builtin_workers::components())
        .profiles(builtin_workers::profiles())
        .build()
        .await
        .expect("a Runtime");
    for _ in 0..1_000 {
        run_one(&runtime).await;
    }
    let before = HELD.load(Relaxed);
    for _ in 0..WORKERS {
        run_one(&runtime).await;
    }
    let each = (HELD.load(Relaxed) - before) / WORKERS;
    println!(
        "idle Worker after one completed echo turn: {each} bytes of heap (limit {LIMIT_BYTES})"
    );
    assert!(each <= LIMIT_BYTES, "an idle Worker costs too much");
}

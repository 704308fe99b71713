//! A Runtime that takes no new work.

use std::time::Duration;

use worker_types::{
    CreateWorker, IfBusy, Input, InputOptions, Outcome, RuntimeError, RuntimeStatus, TurnId,
    WorkerStatus,
};

use crate::harness::*;

#[track_caller]
fn is_draining<T: std::fmt::Debug>(refused: Result<T, RuntimeError>) {
    let Err(RuntimeError::RuntimeUnavailable { reason }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("draining"), "{reason}");
}

#[tokio::test]
async fn a_drain_refuses_new_work_and_finishes_what_was_accepted() {
    let runtime = runtime().await;
    let busy = worker(&runtime, "base").await;
    let idle = worker(&runtime, "echo").await;
    let stopped = worker(&runtime, "echo").await;
    runtime.stop(stopped).await.expect("stopped");
    let running = send(&runtime, busy, "spin").await;
    let queue = InputOptions { if_busy: IfBusy::Queue, ..InputOptions::default() };
    let queued = runtime.input(busy, Input::text("turn"), queue.clone()).await;
    let queued = queued.expect("a place").turn_id;

    let progress = runtime.drain(Duration::ZERO).await;
    assert_eq!((progress.drained, progress.busy), (false, 1));
    assert_eq!(runtime.status(), RuntimeStatus::Draining);
    is_draining(runtime.input(busy, Input::text("x"), queue).await);
    is_draining(runtime.input(idle, Input::text("x"), InputOptions::default()).await);
    is_draining(runtime.create(CreateWorker::profile(name("echo"))).await);
    is_draining(runtime.start(stopped).await);
    assert_eq!(runtime.worker(idle).expect("a Worker").status, WorkerStatus::Idle);
    assert_eq!(runtime.worker(idle).expect("a Worker").usage.turns, 0);

    runtime.cancel(busy, Some(running)).await.expect("cancelled");
    let progress = runtime.drain(PATIENCE).await;
    assert_eq!((progress.drained, progress.busy), (true, 0));
    assert_eq!(runtime.outcome(busy, queued).await, Ok(Outcome::Completed));
    // What needs no turn is still done.
    runtime.stop(idle).await.expect("stopped");
    runtime.delete(idle).await.expect("deleted");
    runtime.shutdown(Duration::ZERO).await;
    assert_eq!(runtime.status(), RuntimeStatus::Draining);
}

#[tokio::test]
async fn a_runtime_without_work_is_drained_at_once() {
    let runtime = runtime().await;
    let id = worker(&runtime, "echo").await;
    assert_eq!(turn(&runtime, id, "hi").await, Outcome::Completed);
    for _ in 0..2 {
        assert!(runtime.drain(PATIENCE).await.drained);
    }
    assert_eq!(runtime.outcome(id, TurnId::new(1)).await, Ok(Outcome::Completed));
}

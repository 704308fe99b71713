//! What a turn costs in process, with a store in memory.

use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use worker_runtime::Runtime;
use worker_types::{CreateWorker, Input, TurnId};

async fn runtime() -> Runtime {
    Runtime::builder("bench".parse().expect("a valid id"))
        .components(builtin_workers::components())
        .profiles(builtin_workers::profiles())
        .build()
        .await
        .expect("a Runtime")
}

fn echo() -> CreateWorker {
    CreateWorker::profile("echo".parse().expect("a valid name"))
}

async fn turn(runtime: &Runtime) {
    let worker = runtime.create(echo().input(Input::text("hello"))).await;
    let id = worker.expect("a Worker").worker_id;
    let outcome = runtime.outcome(id, TurnId::new(1)).await.expect("an outcome");
    assert!(outcome.is_completed(), "{outcome:?}");
}

fn turns(criterion: &mut Criterion) {
    let tokio = tokio::runtime::Runtime::new().expect("a tokio runtime");
    let runtime = tokio.block_on(runtime());

    criterion.bench_function("create + first echo turn + outcome", |bencher| {
        bencher.to_async(&tokio).iter_custom(async |times| {
            let runtime = runtime.clone();
            // On a worker thread, as a handler of a backend: the thread that blocks on a future is
            // none.
            let measured = tokio.spawn(async move {
                let begun = Instant::now();
                for _ in 0..times {
                    turn(&runtime).await;
                }
                begun.elapsed()
            });
            measured.await.expect("measured")
        });
    });
}

criterion_group!(benches, turns);
criterion_main!(benches);

//! What it costs to start a Runtime with one component: compiled in process, in the helper, and
//! taken from the cache.

use criterion::{Criterion, criterion_group, criterion_main};
use worker_runtime::{Compiler, Runtime, RuntimeBuilder};

fn builder() -> RuntimeBuilder {
    Runtime::builder("bench".parse().expect("a valid id"))
}

fn echo() -> RuntimeBuilder {
    let name = "echo".parse().expect("a valid name");
    let echo = builtin_workers::profiles().into_iter().filter(|profile| profile.name == name);
    builder().components(builtin_workers::components()).profiles(echo)
}

fn loads(criterion: &mut Criterion) {
    let tokio = tokio::runtime::Runtime::new().expect("a tokio runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let helper = || Compiler::helper(env!("CARGO_BIN_EXE_runtime-helper"), ["compile"]);
    tokio.block_on(echo().component_cache(dir.path()).build()).expect("a filled cache");

    let mut measure = |what, builder: &dyn Fn() -> RuntimeBuilder| {
        criterion.bench_function(what, |bencher| {
            bencher.to_async(&tokio).iter(async || builder().build().await.expect("a Runtime"));
        });
    };
    measure("start without a component", &builder);
    measure("start with echo, compiled in process", &echo);
    measure("start with echo, compiled in the helper", &|| echo().compiler(helper()));
    measure("start with echo, from the cache", &|| echo().component_cache(dir.path()));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = loads
}
criterion_main!(benches);

//! What it costs to create a Worker that may write to three directories, beside one that may write to
//! none: within a Runtime, and where two Runtimes share a record.

use std::{fs, path::Path, time::Duration, time::Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use tempfile::TempDir;
use worker_runtime::{Root, Runtime, RuntimeBuilder};
use worker_types::{Access, CreateWorker, Grants, Preopen, RootName};

fn root_name() -> RootName {
    "project".parse().expect("a name")
}

/// Three directories of a kind that is not looked through for git directories: that is another cost.
fn grants(access: Access) -> Grants {
    ["one", "two", "three"].into_iter().fold(Grants::none(), |grants, name| {
        let guest_path = format!("/{name}").parse().expect("a guest path");
        let path = format!("src/services/{name}").parse().expect("a path");
        grants.with_preopen(Preopen::new(root_name(), guest_path).path(path).access(access))
    })
}

fn builder(id: &str, root: &Path) -> RuntimeBuilder {
    let all = Preopen::new(root_name(), "/project".parse().expect("a guest path"));
    Runtime::builder(id.parse().expect("a valid id"))
        .components(builtin_workers::components())
        .profiles(builtin_workers::profiles())
        .root(root_name(), Root::new(root).access(Access::ReadWrite).expose_git())
        .ceiling(Grants::none().with_preopen(all.access(Access::ReadWrite)))
}

/// Creates Workers one after the other, and takes the time of that alone.
async fn create(runtime: &Runtime, grants: &Grants, times: u64) -> Duration {
    let mut taken = Duration::ZERO;
    for _ in 0..times {
        let request = CreateWorker::profile("echo".parse().expect("a valid name"));
        let request = request.grants(grants.clone());
        let begun = Instant::now();
        let created = runtime.create(request).await;
        taken += begun.elapsed();
        let id = created.expect("a Worker").worker_id;
        runtime.stop(id).await.expect("stopped");
        runtime.delete(id).await.expect("deleted");
    }
    taken
}

fn place() -> TempDir {
    let place = tempfile::tempdir().expect("a directory");
    for name in ["one", "two", "three"] {
        fs::create_dir_all(place.path().join("root/src/services").join(name)).expect("made");
    }
    place
}

fn scopes(criterion: &mut Criterion) {
    let tokio = tokio::runtime::Runtime::new().expect("a tokio runtime");
    let place = place();
    let (root, record) = (place.path().join("root"), place.path().join("allocations"));
    let build = |builder: RuntimeBuilder| tokio.block_on(builder.build()).expect("a Runtime");
    let alone = build(builder("alone", &root));
    let one = build(builder("one", &root).allocations(&record));
    let mut measure = |name: &str, runtime: &Runtime, grants: &Grants| {
        criterion.bench_function(name, |bencher| {
            bencher.to_async(&tokio).iter_custom(async |times| {
                let (runtime, grants) = (runtime.clone(), grants.clone());
                // On a worker thread, as a handler of a backend.
                let created = tokio.spawn(async move { create(&runtime, &grants, times).await });
                created.await.expect("measured")
            });
        });
    };
    let (none, look) = (Grants::none(), grants(Access::ReadOnly));
    let write = grants(Access::ReadWrite);
    measure("create, no directory", &alone, &none);
    measure("create, three to look at", &alone, &look);
    measure("create, three to write to", &alone, &write);
    measure("create, three to write to, with a record", &one, &write);
    let other = build(builder("other", &root).allocations(&record));
    measure("create, three to write to, with a record of two Runtimes", &one, &write);
    drop(other);
}

criterion_group!(benches, scopes);
criterion_main!(benches);

//! How often components are compiled: a compiler that writes down each time it is started.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use worker_runtime::{Compiler, Runtime, RuntimeBuilder};
use worker_types::{ComponentRef, Outcome};

use crate::{components::worker_with, harness::*};

/// A compiler in a directory of its own, with what it wrote down.
struct Counting {
    dir: TempDir,
}

impl Counting {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    fn starts(&self) -> PathBuf {
        self.dir.path().join("starts")
    }

    fn count(&self) -> usize {
        fs::read_to_string(self.starts()).map_or(0, |starts| starts.lines().count())
    }

    /// Each start is written down, and goes on with `then`.
    fn compiler(&self, then: &str) -> Compiler {
        let script = self.dir.path().join("compiler.sh");
        let lines = format!("echo started >> '{}'\n{then}\n", self.starts().display());
        fs::write(&script, lines).expect("a script");
        Compiler::helper("/bin/sh", [script])
    }
}

/// A Runtime with these profiles, all of the same component.
fn with_profiles(profiles: &[&str]) -> RuntimeBuilder {
    let component =
        |profile: &&str| (ComponentRef::Builtin(name(profile)), Cow::Owned(worker_with(1, 10)));
    Runtime::builder("test".parse().expect("a valid id"))
        .components(profiles.iter().map(component))
        .profiles(profiles.iter().map(|name| profile(name)))
}

#[tokio::test]
async fn a_component_that_several_profiles_need_is_compiled_once() {
    let counting = Counting::new();
    let compile = format!("exec '{}' compile \"$@\"", env!("CARGO_BIN_EXE_runtime-helper"));
    let runtime = with_profiles(&["one", "two", "three"])
        .compiler(counting.compiler(&compile))
        .build()
        .await
        .expect("it compiles");
    assert_eq!(counting.count(), 1);
    for profile in ["one", "two", "three"] {
        let id = worker(&runtime, profile).await;
        assert_eq!(turn(&runtime, id, "x").await, Outcome::Completed);
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_component_that_does_not_compile_is_not_compiled_for_each_who_asks() {
    use std::time::Duration;

    use worker_runtime::Store;
    use worker_types::{Input, InputOptions, RuntimeError};

    let store = |dir: &Path| Store::sqlite(dir).expect("a store");
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = with_profiles(&["one", "two"]).store(store(dir.path())).build().await;
    let runtime = runtime.expect("a Runtime");
    let workers = [worker(&runtime, "one").await, worker(&runtime, "two").await];
    runtime.shutdown(Duration::ZERO).await;
    drop(runtime);

    let counting = Counting::new();
    let runtime = Runtime::builder("test".parse().expect("a valid id"))
        .store(store(dir.path()))
        .compiler(counting.compiler("exit 1"))
        .build()
        .await
        .expect("a Runtime");
    let mut refusals = Vec::new();
    for id in [workers, workers].concat() {
        let refused = runtime.input(id, Input::text("x"), InputOptions::default()).await;
        refusals.push(refused.expect_err("there is no compiler"));
    }
    let RuntimeError::WorkerUnavailable { reason } = &refusals[0] else { panic!("{refusals:?}") };
    assert!(reason.contains("compile helper failed"), "{reason}");
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
    assert_eq!(counting.count(), 1);
}

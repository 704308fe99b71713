//! No two Workers write to the same directories, whatever they are called.

use std::{fs, os::unix::fs::symlink, path::PathBuf, time::Duration};

use tempfile::TempDir;
use worker_runtime::{Root, Runtime, RuntimeBuilder};
use worker_types::{
    Access, CreateWorker, FailureKind, Grants, Limits, Outcome, Preopen, RuntimeError, ScopeHolder,
    WorkerId,
};

use crate::{files::grants, harness::*};

/// A directory with `a/b/c` and `d` in it, `link`, which leads to `a`, and Runtimes with the roots
/// `top`, which is all of that, `same`, by another name, and `a`, by the link.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().expect("a directory") };
        for path in ["top/a/b/c", "top/d"] {
            fs::create_dir_all(place.path(path)).expect("a directory");
        }
        symlink("a", place.path("top/link")).expect("a link");
        symlink("top", place.path("same")).expect("a link");
        place
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn builder(&self, id: &str) -> RuntimeBuilder {
        let writable = |path| Root::new(self.path(path)).access(Access::ReadWrite);
        builder_called(id, ["base"])
            .root("top".parse().expect("a name"), writable("top"))
            .root("same".parse().expect("a name"), writable("same"))
            .root("a".parse().expect("a name"), writable("top/link"))
            .scratch(self.path(&format!("scratch-{id}")))
            .ceiling(grants(&[
                ("top", "/t", Access::ReadWrite),
                ("same", "/s", Access::ReadWrite),
                ("a", "/a", Access::ReadWrite),
                ("scratch", "/x", Access::ReadWrite),
            ]))
    }

    async fn runtime(&self) -> Runtime {
        self.builder("test").build().await.expect("a Runtime")
    }
}

/// A directory of a root, to be written to.
fn scope(root: &str, path: &str) -> Preopen {
    let guest_path = "/work".parse().expect("a guest path");
    let preopen = Preopen::new(root.parse().expect("a root"), guest_path);
    preopen.path(path.parse().expect("a path")).access(Access::ReadWrite)
}

async fn create(runtime: &Runtime, preopen: Preopen) -> Result<WorkerId, RuntimeError> {
    let grants = Grants::none().with_preopen(preopen);
    let request = CreateWorker::profile(name("base")).grants(grants);
    Ok(runtime.create(request).await?.worker_id)
}

/// Who holds what a Worker was refused.
fn holder(refused: Result<WorkerId, RuntimeError>) -> ScopeHolder {
    match refused {
        Err(RuntimeError::ScopeConflict { preopen, holder }) => {
            assert_eq!(preopen.as_str(), "/work");
            holder
        }
        other => panic!("nobody holds it: {other:?}"),
    }
}

fn held_by(runtime: &Runtime, worker_id: WorkerId) -> ScopeHolder {
    ScopeHolder { runtime_id: runtime.id().clone(), worker_id }
}

#[tokio::test]
async fn a_directory_is_one_workers_whatever_leads_to_it_until_it_is_stopped() {
    let place = Place::new();
    let runtime = place.runtime().await;
    let first = create(&runtime, scope("top", "a/b")).await.expect("free");
    let told = held_by(&runtime, first);
    // Itself, what it lies in and what lies in it, by links that lead to roots.
    for (root, path) in [
        ("top", "a/b"),
        ("same", "a/b"),
        ("same", "a/b/c"),
        ("a", "b"),
        ("a", "."),
        ("top", "."),
        ("a", "b/c"),
    ] {
        assert_eq!(holder(create(&runtime, scope(root, path)).await), told, "{root} {path}");
    }
    let refused = create(&runtime, scope("a", "b")).await.expect_err("held");
    assert_eq!((refused.code(), refused.is_retryable()), ("scope_conflict", false));
    let words = refused.to_string();
    assert!(words.contains(&first.to_string()) && words.contains("`test`"), "{words}");
    create(&runtime, scope("top", "d")).await.expect("beside it");

    runtime.stop(first).await.expect("stopped");
    let second = create(&runtime, scope("a", "b/c")).await.expect("free");
    let refused = runtime.start(first).await.map(|()| first);
    assert_eq!(holder(refused), held_by(&runtime, second));
    assert!(matches!(
        runtime.input(first, worker_types::Input::text("x"), Default::default()).await,
        Err(RuntimeError::WorkerStopped)
    ));
    runtime.stop(second).await.expect("stopped");
    runtime.delete(second).await.expect("deleted");
    runtime.start(first).await.expect("started");
    runtime.start(first).await.expect("it has started");
    assert_eq!(holder(create(&runtime, scope("a", "b")).await), told);
    assert_eq!(turn(&runtime, first, "files: preopens").await, Outcome::Completed);
}

#[tokio::test]
async fn a_directory_is_shared_if_both_say_so_and_to_look_needs_nobodys_leave() {
    let place = Place::new();
    let runtime = place.runtime().await;
    let one = create(&runtime, scope("top", "a").shared()).await.expect("free");
    create(&runtime, scope("same", "a/b").shared()).await.expect("shared");
    create(&runtime, scope("top", ".").shared()).await.expect("shared");
    holder(create(&runtime, scope("top", "a")).await);
    create(&runtime, scope("top", "d")).await.expect_err("it lies in a shared one");
    create(&runtime, scope("top", "a").access(Access::ReadOnly)).await.expect("to look at");
    for _ in 0..2 {
        create(&runtime, scope("scratch", ".")).await.expect("its own");
    }
    // What one Worker has twice is no conflict.
    runtime.stop(one).await.expect("stopped");
    let runtime = Place::new();
    let runtime = runtime.runtime().await;
    let twice = grants(&[("top", "/one", Access::ReadWrite), ("a", "/two", Access::ReadWrite)]);
    let request = CreateWorker::profile(name("base")).grants(twice);
    let id = runtime.create(request).await.expect("a Worker").worker_id;
    assert_eq!(turn(&runtime, id, "files: preopens").await, Outcome::Completed);
}

#[tokio::test]
async fn a_creation_that_fails_holds_nothing() {
    let place = Place::new();
    let limits = Limits { workers: 1, ..Limits::default() };
    let runtime = place.builder("test").limits(limits).build().await.expect("a Runtime");
    let first = create(&runtime, scope("top", "d")).await.expect("free");
    let refused = create(&runtime, scope("top", "a")).await.expect_err("no room");
    assert_eq!(refused.code(), "capacity");
    runtime.stop(first).await.expect("stopped");
    runtime.delete(first).await.expect("deleted");
    create(&runtime, scope("top", "a")).await.expect("nobody holds it");
}

#[tokio::test]
async fn a_turn_fails_by_name_while_its_directory_is_another_one() {
    let place = Place::new();
    let runtime = place.runtime().await;
    let worker = create(&runtime, scope("top", "a/b")).await.expect("free");
    let moved = create(&runtime, scope("top", "d")).await.expect("free");
    let fails = async |worker, words: &str| {
        let failed = turn(&runtime, worker, "files: preopens").await;
        let Outcome::Failed { kind: FailureKind::PreopenUnavailable, message } = failed else {
            panic!("{failed:?}")
        };
        assert!(message.contains("/work") && message.contains(words), "{message}");
        assert!(!message.contains(&*place.dir.path().to_string_lossy()), "{message}");
    };
    // Another directory in its place, at the same path of the same file system, is what it holds; one
    // that lies elsewhere is not, whoever led there.
    fs::rename(place.path("top/a"), place.path("top/away")).expect("renamed");
    symlink("d", place.path("top/a")).expect("a link");
    fs::create_dir_all(place.path("top/d/b")).expect("a directory");
    fails(worker, "a link lies on the way").await;
    let refused = create(&runtime, scope("top", "a/b")).await.expect_err("a link");
    assert_eq!(refused.code(), "preopen_unavailable");
    runtime.stop(worker).await.expect("stopped");
    let refused = runtime.start(worker).await.expect_err("a link");
    assert_eq!(refused.code(), "preopen_unavailable");
    let view = runtime.worker(worker).expect("a Worker");
    assert_eq!(view.status, worker_types::WorkerStatus::Stopped, "what cannot start stays stopped");
    assert_eq!(turn(&runtime, moved, "files: preopens").await, Outcome::Completed);

    fs::remove_file(place.path("top/a")).expect("removed");
    fs::rename(place.path("top/away"), place.path("top/a")).expect("put back");
    runtime.start(worker).await.expect("started");
    assert_eq!(turn(&runtime, worker, "files: preopens").await, Outcome::Completed);
}

#[cfg(feature = "sqlite")]
mod across {
    use worker_runtime::{RuntimeBuildError, Store};
    use worker_types::{Input, InputOptions, WorkerStatus};

    use super::*;

    impl Place {
        async fn one_of_many(&self, id: &str) -> Runtime {
            let store = Store::sqlite(self.path(id)).expect("a store");
            let builder = self.builder(id).store(store).allocations(self.path("allocations"));
            builder.build().await.expect("a Runtime")
        }
    }

    async fn close(runtime: Runtime) {
        runtime.shutdown(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn a_restart_takes_up_what_is_held_and_a_worker_that_lost_its_directory_gets_it_back() {
        let place = Place::new();
        let one = place.one_of_many("one").await;
        let two = place.one_of_many("two").await;
        let held = create(&one, scope("top", "a")).await.expect("free");
        let stopped = create(&one, scope("top", "d")).await.expect("free");
        one.stop(stopped).await.expect("stopped");
        let told = held_by(&one, held);
        assert_eq!(holder(create(&two, scope("a", "b")).await), told);
        close(one).await;
        let one = place.one_of_many("one").await;
        assert_eq!(holder(create(&two, scope("a", "b")).await), told, "it is held again");
        create(&two, scope("top", "d")).await.expect("a stopped one holds nothing");

        close(one).await;
        let taker = create(&two, scope("a", "b")).await.expect("nobody lives who holds it");
        let one = place.one_of_many("one").await;
        let view = one.worker(held).expect("a Worker");
        assert_eq!(view.status, WorkerStatus::Unavailable);
        let input = || one.input(held, Input::text("files: preopens"), InputOptions::default());
        let Err(RuntimeError::WorkerUnavailable { reason }) = input().await else {
            panic!("its directory is held")
        };
        assert!(reason.contains(&taker.to_string()) && reason.contains("`two`"), "{reason}");
        two.stop(taker).await.expect("stopped");
        assert_eq!(turn(&one, held, "files: preopens").await, Outcome::Completed);
        assert_eq!(one.worker(held).expect("a Worker").status, WorkerStatus::Idle);
        assert_eq!(holder(create(&two, scope("a", "b")).await), told);
    }

    #[tokio::test]
    async fn a_worker_without_its_directory_can_be_stopped() {
        let place = Place::new();
        let one = place.one_of_many("one").await;
        let worker = create(&one, scope("top", "a")).await.expect("free");
        close(one).await;
        let two = place.one_of_many("two").await;
        let taker = create(&two, scope("top", "a")).await.expect("free");
        let one = place.one_of_many("one").await;
        one.stop(worker).await.expect("stopped");
        assert_eq!(one.worker(worker).expect("a Worker").status, WorkerStatus::Stopped);
        assert_eq!(holder(one.start(worker).await.map(|()| worker)), held_by(&two, taker));
        one.delete(worker).await.expect("deleted");
    }

    #[tokio::test]
    async fn a_start_makes_a_worker_available_that_gets_its_directory_by_it() {
        let place = Place::new();
        let one = place.one_of_many("one").await;
        let worker = create(&one, scope("top", "a")).await.expect("free");
        close(one).await;
        let two = place.one_of_many("two").await;
        let taker = create(&two, scope("top", "a")).await.expect("free");
        let one = place.one_of_many("one").await;
        let status = || one.worker(worker).expect("a Worker").status;
        assert_eq!(holder(one.start(worker).await.map(|()| worker)), held_by(&two, taker));
        assert_eq!(status(), WorkerStatus::Unavailable);
        two.stop(taker).await.expect("stopped");
        one.start(worker).await.expect("free");
        assert_eq!(status(), WorkerStatus::Idle);
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_used_is_refused_at_the_start_where_it_is_needed() {
        let place = Place::new();
        let at = place.path("allocations");
        fs::write(&at, "no directory").expect("a file");
        let refused = place.builder("one").allocations(&at).build().await.expect_err("no record");
        assert!(matches!(refused, RuntimeBuildError::Allocations(_)), "{refused:?}");
        let reader = builder_of(["base"])
            .root("top".parse().expect("a name"), Root::new(place.path("top")))
            .allocations(&at);
        reader.build().await.expect("nobody writes, so nobody needs it");
        let refused = place.builder("one").allocations(place.path("top/d/own")).build().await;
        assert!(matches!(refused, Err(RuntimeBuildError::RootHoldsData { .. })), "{refused:?}");
    }
}

/// Directories that are mounted twice. This takes a mount namespace of its own: the test starts itself
/// again in one.
#[cfg(target_os = "linux")]
mod mounted {
    use std::process::{Command, Stdio};

    use super::*;

    const INSIDE: &str = "YOI_TEST_IN_A_MOUNT_NAMESPACE";

    /// Whether this is the process that may mount. Where none may, the test says so and is over.
    #[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
    fn may_mount(test: &str) -> bool {
        if std::env::var_os(INSIDE).is_some() {
            return true;
        }
        let inside = |program: &std::ffi::OsStr| {
            let mut command = Command::new("unshare");
            command.args(["--map-root-user", "--mount", "--"]).arg(program);
            command
        };
        let probe = tempfile::tempdir().expect("a directory");
        let mounts = inside("mount".as_ref())
            .args(["--bind".as_ref(), probe.path(), probe.path()])
            .stderr(Stdio::null())
            .status();
        if !mounts.is_ok_and(|status| status.success()) {
            eprintln!("skipped: nothing can be mounted here");
            return false;
        }
        let this = std::env::current_exe().expect("this program");
        let ran = inside(this.as_os_str())
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, "1")
            .output()
            .expect("it runs");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        assert!(String::from_utf8_lossy(&ran.stdout).contains("1 passed"), "it ran {test}");
        false
    }

    fn mount(place: &Place, what: &str, on: &str) {
        let (what, on) = (place.path(what), place.path(on));
        let mounted = Command::new("mount").arg("--bind").args([what, on]).status();
        assert!(mounted.expect("mount runs").success());
    }

    #[tokio::test]
    async fn a_bind_mount_and_one_of_a_directory_below_fool_nobody() {
        if !may_mount("scopes::mounted::a_bind_mount_and_one_of_a_directory_below_fool_nobody") {
            return;
        }
        let place = Place::new();
        for path in ["top/whole", "top/part", "top/d/deep"] {
            fs::create_dir_all(place.path(path)).expect("a directory");
        }
        mount(&place, "top/a", "top/whole");
        mount(&place, "top/a/b", "top/part");
        let runtime = place.runtime().await;
        let first = create(&runtime, scope("top", "a/b")).await.expect("free");
        let told = held_by(&runtime, first);
        for path in ["whole", "whole/b", "whole/b/c", "part", "part/c"] {
            assert_eq!(holder(create(&runtime, scope("top", path)).await), told, "{path}");
        }
        // What is mounted while the Runtime runs is noticed, too.
        let other = create(&runtime, scope("top", "d/deep")).await.expect("free");
        mount(&place, "top/a/b/c", "top/d/deep");
        assert_eq!(holder(create(&runtime, scope("same", "d/deep")).await), told);
        let failed = turn(&runtime, other, "files: preopens").await;
        assert!(
            matches!(&failed, Outcome::Failed { kind: FailureKind::PreopenUnavailable, message }
                if message.contains("mounted there")),
            "{failed:?}"
        );
        runtime.stop(first).await.expect("stopped");
        create(&runtime, scope("top", "part")).await.expect("free");
        holder(create(&runtime, scope("a", "b")).await);
        // Whoever has a directory has what is mounted in it.
        fs::create_dir_all(place.path("top/more/on")).expect("a directory");
        mount(&place, "top/a/b/c", "top/more/on");
        holder(create(&runtime, scope("top", "more")).await);
        create(&runtime, scope("top", "d")).await.expect_err("`deep` is mounted in it");
    }
}

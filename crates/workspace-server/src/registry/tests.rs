use std::{net::TcpListener, time::Duration};

use runtime_client::{AuthToken, RuntimeClient};
use serde_json::json;
use tokio::time::Instant;
use worker_runtime::Runtime;
use worker_types::{CreateWorker, Input, InputOptions, RuntimeStatus, WorkerId};

use super::*;
use crate::{RemoteRuntime, SourceKind, hints::RuntimeChanged};

/// What lists may take that wait for nobody longer than they say.
const IN_TIME: Duration = Duration::from_millis(1_500);

fn id(text: &str) -> RuntimeId {
    text.parse().expect("an id")
}

async fn runtime(name: &str) -> Runtime {
    Runtime::builder(id(name))
        .components(builtin_workers::components())
        .profiles(builtin_workers::profiles())
        .build()
        .await
        .expect("a Runtime")
}

fn embedded(runtime: &Runtime) -> Registration {
    Registration::new(RuntimeSource::embedded(runtime.clone()))
}

fn remote(name: &str, listener: &TcpListener) -> Registration {
    let address = listener.local_addr().expect("an address");
    let client = RuntimeClient::new(&format!("http://{address}"), AuthToken::new("sesame"));
    let remote = RemoteRuntime::new(id(name), client.expect("a client"));
    Registration::new(RuntimeSource::remote(remote))
}

/// Where the kernel takes connections and nobody ever answers.
fn silence() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

/// A Runtime whose port nobody listens at.
fn gone(name: &str) -> Registration {
    remote(name, &silence())
}

async fn echo(runtime: &Runtime) -> WorkerId {
    let request = CreateWorker::profile("echo".parse().expect("a name"));
    runtime.create(request).await.expect("a Worker").worker_id
}

/// One Runtime that answers, with one Worker, between two that are silent and one that is gone.
async fn with_missing_ones(silence: &TcpListener) -> (RuntimeRegistry, Runtime, WorkerId) {
    let here = runtime("here").await;
    let worker = echo(&here).await;
    let registry = RuntimeRegistry::new();
    for runtime in [remote("far", silence), gone("gone"), embedded(&here), remote("mute", silence)]
    {
        registry.register(runtime).expect("ids of their own");
    }
    (registry, here, worker)
}

#[tokio::test]
async fn runtimes_that_fail_or_are_late_are_listed_as_unavailable() {
    let silence = silence();
    let (registry, here, _) = with_missing_ones(&silence).await;
    let begun = Instant::now();
    let listings = registry.list().await;
    let took = begun.elapsed();
    assert!(took < IN_TIME, "asked at once: {took:?}");

    let found: Vec<(&str, RuntimeStatus)> =
        listings.iter().map(|listing| (listing.runtime_id.as_str(), listing.status)).collect();
    assert_eq!(
        found,
        [
            ("far", RuntimeStatus::Unavailable),
            ("gone", RuntimeStatus::Unavailable),
            ("here", RuntimeStatus::Ready),
            ("mute", RuntimeStatus::Unavailable),
        ]
    );
    assert_eq!(
        serde_json::to_value(&listings[1]).expect("JSON"),
        json!({
            "runtime_id": "gone",
            "source_kind": "remote",
            "managed_by": "config",
            "status": "unavailable",
            "diagnostics": [{
                "code": "runtime_unavailable",
                "message": "the Runtime `gone` is missing: it cannot be reached",
            }],
        })
    );
    assert_eq!(listings[0].diagnostics[0].code, "remote_timeout");

    let mut embedded = serde_json::to_value(here.summary()).expect("JSON");
    embedded["source_kind"] = json!("embedded");
    embedded["managed_by"] = json!("config");
    assert_eq!(serde_json::to_value(&listings[2]).expect("JSON"), embedded);
    for listing in listings {
        let json = serde_json::to_value(&listing).expect("JSON");
        assert_eq!(serde_json::from_value::<RuntimeListing>(json).expect("and back"), listing);
        assert_eq!(registry.listing(&listing.runtime_id).await, Ok(listing));
    }
}

#[tokio::test]
async fn the_workers_of_others_are_listed_without_those_of_a_missing_runtime() {
    let silence = silence();
    let (registry, _, worker) = with_missing_ones(&silence).await;
    let begun = Instant::now();
    let page = registry.workers(&WorkerQuery::default()).await.expect("a page");
    assert!(begun.elapsed() < IN_TIME);
    assert_eq!(page.workers.iter().map(|view| view.worker_id).collect::<Vec<_>>(), [worker]);
    assert_eq!(page.next, None);
    let codes: Vec<&str> = page.diagnostics.iter().map(|found| found.code.as_str()).collect();
    assert_eq!(codes, ["remote_timeout", "runtime_unavailable", "remote_timeout"]);
    for diagnostic in &page.diagnostics {
        let message = &diagnostic.message;
        assert!(!message.contains("127.0.0.1") && !message.contains("sesame"), "{message}");
    }
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused_whoever_is_missing() {
    let silence = silence();
    let (registry, ..) = with_missing_ones(&silence).await;
    let query = WorkerQuery { status: Some("asleep".to_owned()), ..WorkerQuery::default() };
    let refused = registry.workers(&query).await;
    assert!(matches!(refused, Err(RuntimeError::InvalidInput { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_registry_that_is_shared_takes_more_runtimes_and_loses_them() {
    let registry = Arc::new(RuntimeRegistry::new());
    let shared = Arc::clone(&registry);
    let unknown = |answer: Result<Registration, _>| {
        matches!(answer, Err(RuntimeError::UnknownRuntime { .. }))
    };
    assert!(unknown(shared.lookup(&id("far"))));
    registry.register(gone("far")).expect("the first");
    let found = shared.lookup(&id("far")).expect("the new one");
    assert_eq!((found.source().id(), found.source().kind()), (&id("far"), SourceKind::Remote));
    let refused = registry.register(gone("far"));
    assert_eq!(refused, Err(RuntimeError::RuntimeExists { runtime_id: id("far") }));
    let before = registry.replace(gone("far")).expect("it was there");
    assert!(Arc::ptr_eq(before.source(), found.source()));
    registry.unregister(&id("far"), true).await.expect("it goes");
    assert!(unknown(shared.lookup(&id("far"))));
    assert!(unknown(registry.unregister(&id("far"), true).await));
}

#[tokio::test]
async fn a_runtime_stays_that_has_work_or_does_not_say_so_unless_it_is_forced() {
    let silence = silence();
    let (registry, here, worker) = with_missing_ones(&silence).await;
    for name in ["here", "far", "gone"] {
        let refused = registry.unregister(&id(name), false).await;
        assert!(matches!(refused, Err(RuntimeError::RuntimeInUse { .. })), "{name}: {refused:?}");
        assert!(registry.lookup(&id(name)).is_ok());
    }
    registry.unregister(&id("far"), true).await.expect("it goes");
    here.stop(worker).await.expect("stopped");
    registry.unregister(&id("here"), false).await.expect("nothing goes on in it");
    assert!(here.worker(worker).is_ok(), "it is where it was");
}

#[tokio::test]
async fn workers_that_are_not_visible_are_not_there() {
    let here = runtime("here").await;
    let hidden = echo(&here).await;
    let request = CreateWorker::profile("echo".parse().expect("a name"));
    let shown = here.create(request.label("workspace", "site")).await.expect("a Worker").worker_id;
    let registry = RuntimeRegistry::new();
    let labels = Labels::from([("workspace".to_owned(), "site".to_owned())]);
    registry.register(embedded(&here).visible(labels)).expect("the first");
    let ids = async |query: WorkerQuery| {
        let page = registry.workers(&query).await.expect("a page");
        page.workers.iter().map(|worker| worker.worker_id).collect::<Vec<_>>()
    };
    assert_eq!(ids(WorkerQuery::default()).await, [shown]);
    let others = Labels::from([("workspace".to_owned(), "other".to_owned())]);
    assert_eq!(ids(WorkerQuery { labels: others, ..WorkerQuery::default() }).await, []);
    assert!(registry.of_worker(&id("here"), shown).await.is_ok());
    let refused = registry.of_worker(&id("here"), hidden).await;
    assert_eq!(refused.err(), Some(RuntimeError::UnknownWorker { worker_id: hidden }));
    let details = registry.list().await.remove(0).details.expect("it answers");
    assert_eq!(details.overview, None, "its numbers tell of Workers that are not there");
}

#[tokio::test]
async fn nobody_learns_of_a_worker_that_is_not_visible() {
    let here = runtime("here").await;
    let registry = Arc::new(RuntimeRegistry::new());
    let labels = Labels::from([("workspace".to_owned(), "site".to_owned())]);
    registry.register(embedded(&here).visible(labels)).expect("the first");
    let mut hints = registry.hints();
    let mut tasks = tokio::task::JoinSet::new();
    let watched = Arc::clone(&registry);
    tasks.spawn(async move { watched.watch().await });
    assert!(matches!(hints.recv().await, Ok(Hint::Runtime(_))));

    let hidden = echo(&here).await;
    here.input(hidden, Input::text("psst"), InputOptions::default()).await.expect("a turn");
    let request = CreateWorker::profile("echo".parse().expect("a name"));
    let shown = here.create(request.label("workspace", "site")).await.expect("a Worker").worker_id;
    let Ok(Hint::Worker(changed)) = hints.recv().await else { panic!("a Worker was created") };
    assert_eq!((changed.worker_id, changed.r#type), (shown, "worker.created"));
}

#[tokio::test]
async fn who_watches_learns_of_runtimes_and_of_what_changes_in_them() {
    let here = runtime("here").await;
    let registry = Arc::new(RuntimeRegistry::new());
    registry.register(embedded(&here)).expect("the first");
    let mut hints = registry.hints();
    let mut tasks = tokio::task::JoinSet::new();
    let watched = Arc::clone(&registry);
    tasks.spawn(async move { watched.watch().await });
    let ready = RuntimeChanged { runtime_id: id("here"), status: Some(RuntimeStatus::Ready) };
    assert_eq!(hints.recv().await, Ok(Hint::Runtime(ready)));
    let worker = echo(&here).await;
    let Ok(Hint::Worker(changed)) = hints.recv().await else { panic!("a Worker was created") };
    assert_eq!((changed.worker_id, changed.r#type), (worker, "worker.created"));

    registry.register(gone("gone")).expect("another");
    let lost = RuntimeChanged { runtime_id: id("gone"), status: Some(RuntimeStatus::Unavailable) };
    assert_eq!(hints.recv().await, Ok(Hint::Runtime(lost)));
    // What is known to be lost is not waited for.
    assert!(registry.lookup(&id("gone")).expect("it").source().known_failure().is_some());
    registry.unregister(&id("gone"), true).await.expect("it goes");
    let removed = RuntimeChanged { runtime_id: id("gone"), status: None };
    loop {
        // It may have been tried once more.
        match hints.recv().await.expect("a hint") {
            Hint::Runtime(changed) if changed == removed => break,
            other => assert!(matches!(other, Hint::Runtime(_)), "{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_short_page_of_one_runtime_hides_no_worker_of_it_behind_those_of_another() {
    let here = runtime("here").await;
    let mut views = Vec::new();
    for _ in 0..4 {
        let request = CreateWorker::profile("echo".parse().expect("a name"));
        views.push(here.create(request).await.expect("a Worker"));
    }
    let page = |workers: &[usize], next: Option<usize>| WorkerPage {
        workers: workers.iter().map(|place| views[*place].clone()).collect(),
        next: next.map(|place| views[place].worker_id),
        diagnostics: Vec::new(),
    };
    // The first Runtime has more after its Worker 1: what is newer waits for the next page.
    assert_eq!(
        merge_pages(vec![page(&[1], Some(1)), page(&[0, 3], None)], 10),
        page(&[0, 1], Some(1))
    );
    assert_eq!(merge_pages(vec![page(&[1, 2], None), page(&[0], None)], 2), page(&[0, 1], Some(1)));
    assert_eq!(merge_pages(vec![page(&[1], None), page(&[0], None)], 2), page(&[0, 1], None));
    assert_eq!(merge_pages(Vec::new(), 2), page(&[], None));
}

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use worker_runtime::Runtime;
use worker_types::{CreateWorker, RuntimeStatus, WorkerId};

use super::*;
use crate::{SourceKind, source::fake::FakeRuntime};

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

fn failing(name: &str, error: RuntimeError) -> RuntimeSource {
    RuntimeSource::Fake(FakeRuntime::failing(id(name), error))
}

fn silent(name: &str) -> RuntimeSource {
    RuntimeSource::Fake(FakeRuntime::silent(id(name)))
}

fn unavailable() -> RuntimeError {
    RuntimeError::RuntimeUnavailable { reason: "nobody at 192.0.2.1:9".to_owned() }
}

/// One Runtime that answers, with one Worker, between two that are silent and one that fails.
async fn with_missing_ones() -> (RuntimeRegistry, Runtime, WorkerId) {
    let here = runtime("here").await;
    let request = CreateWorker::profile("echo".parse().expect("a name"));
    let worker = here.create(request).await.expect("a Worker").worker_id;
    let registry = RuntimeRegistry::new();
    for source in [
        silent("far"),
        failing("gone", unavailable()),
        RuntimeSource::embedded(here.clone()),
        silent("mute"),
    ] {
        registry.register(source).expect("ids of their own");
    }
    (registry, here, worker)
}

#[tokio::test]
async fn runtimes_that_fail_or_are_late_are_listed_as_unavailable() {
    let (registry, here, _) = with_missing_ones().await;
    tokio::time::pause();
    let begun = Instant::now();
    let listings = registry.list().await;
    let took = begun.elapsed();
    assert!(took < ANSWER_DEADLINE + Duration::from_millis(50), "asked at once: {took:?}");

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
            "source_kind": "unknown",
            "status": "unavailable",
            "diagnostics": [{
                "code": "runtime_unavailable",
                "message": "the Runtime `gone` is missing: it failed to answer, and the log of the \
                            Backend says why",
            }],
        })
    );
    assert_eq!(listings[0].diagnostics[0].code, "remote_timeout");

    let mut embedded = serde_json::to_value(here.summary()).expect("JSON");
    embedded["source_kind"] = json!("embedded");
    assert_eq!(serde_json::to_value(&listings[2]).expect("JSON"), embedded);
    for listing in listings {
        let json = serde_json::to_value(&listing).expect("JSON");
        assert_eq!(serde_json::from_value::<RuntimeListing>(json).expect("and back"), listing);
        assert_eq!(registry.listing(&listing.runtime_id).await, Ok(listing));
    }
}

#[tokio::test]
async fn the_workers_of_others_are_listed_without_those_of_a_missing_runtime() {
    let (registry, _, worker) = with_missing_ones().await;
    tokio::time::pause();
    let begun = Instant::now();
    let page = registry.workers(&WorkerQuery::default()).await.expect("a page");
    assert!(begun.elapsed() < ANSWER_DEADLINE + Duration::from_millis(50));
    assert_eq!(page.workers.iter().map(|view| view.worker_id).collect::<Vec<_>>(), [worker]);
    assert_eq!(page.next, None);
    let codes: Vec<&str> = page.diagnostics.iter().map(|found| found.code.as_str()).collect();
    assert_eq!(codes, ["remote_timeout", "runtime_unavailable", "remote_timeout"]);
    for diagnostic in &page.diagnostics {
        assert!(!diagnostic.message.contains("192.0.2.1"), "{diagnostic:?}");
    }
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused_whoever_is_missing() {
    let (registry, ..) = with_missing_ones().await;
    tokio::time::pause();
    let query = WorkerQuery { status: Some("asleep".to_owned()), ..WorkerQuery::default() };
    let refused = registry.workers(&query).await;
    assert!(matches!(refused, Err(RuntimeError::InvalidInput { .. })), "{refused:?}");
    // One Runtime that refuses what the others understand takes nothing from their answers.
    let odd = RuntimeError::InvalidInput { reason: "no".to_owned() };
    registry.register(failing("odd", odd)).expect("an id of its own");
    let page = registry.workers(&WorkerQuery::default()).await.expect("a page");
    assert_eq!((page.workers.len(), page.diagnostics.len()), (1, 4));
}

#[tokio::test]
async fn a_registry_that_is_shared_takes_more_runtimes() {
    let registry = Arc::new(RuntimeRegistry::new());
    let shared = Arc::clone(&registry);
    assert!(matches!(shared.lookup(&id("far")), Err(RuntimeError::UnknownRuntime { .. })));
    registry.register(silent("far")).expect("the first");
    let found = shared.lookup(&id("far")).expect("the new one");
    assert_eq!((found.id(), found.kind()), (&id("far"), SourceKind::Unknown));
    let refused = registry.register(failing("far", unavailable()));
    assert_eq!(refused, Err(RegisterRuntimeError::DuplicateId { runtime_id: id("far") }));
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

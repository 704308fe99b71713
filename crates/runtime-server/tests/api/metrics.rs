//! `GET /metrics`: what Prometheus may believe of counters.

use std::{collections::BTreeMap, time::Duration};

use axum::body::Body;
use http::{Request, StatusCode, header};
use runtime_server::Scope;
use tower::ServiceExt as _;
use worker_runtime::{OpenStoreError, Store};
use worker_types::{Input, InputOptions, WorkerId};

use crate::support::{ADDRESS, Server};

/// The counters, by their names.
async fn counters(server: &Server) -> BTreeMap<String, f64> {
    let request = Request::get("/metrics")
        .header(header::HOST, ADDRESS)
        .header(header::AUTHORIZATION, format!("Bearer {}", server.scoped(Scope::Observe)))
        .body(Body::empty());
    let answer = server.app.clone().oneshot(request.expect("a request")).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let text = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("all of it");
    let text = String::from_utf8(text.to_vec()).expect("text");
    let counters = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .map(|name| {
            // With several labels, all together; without any, nobody has told one yet.
            let of_it = |line: &&str| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
            };
            let values = text.lines().filter(of_it).filter_map(|line| line.rsplit(' ').next());
            let sum = values.map(|value| value.parse::<f64>().expect("a number")).sum();
            (name.to_owned(), sum)
        })
        .collect();
    assert!(text.contains("yoi_turns_total"), "{text}");
    counters
}

/// Asserts that every counter has at least what it had, and returns the new ones.
async fn grown(server: &Server, before: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let after = counters(server).await;
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    for (name, value) in &after {
        assert!(value >= &before[name], "{name}: {before:?}, then {after:?}");
    }
    after
}

async fn turn(server: &Server, worker: WorkerId) {
    let runtime = &server.runtime;
    let accepted = runtime.input(worker, Input::text("hi"), InputOptions::default()).await;
    let turn = accepted.expect("a turn").turn_id;
    runtime.outcome(worker, turn).await.expect("its end");
}

async fn delete(server: &Server, worker: WorkerId) {
    server.runtime.stop(worker).await.expect("stopped");
    server.runtime.delete(worker).await.expect("deleted");
}

/// The store in `at`, which another Runtime is about to let go of.
async fn reopened(at: &std::path::Path) -> Store {
    loop {
        match Store::sqlite(at) {
            Err(OpenStoreError::Locked { .. }) => tokio::task::yield_now().await,
            opened => return opened.expect("the store"),
        }
    }
}

#[tokio::test]
async fn counters_begin_at_zero_with_each_process_and_a_deletion_lowers_none() {
    let logs = tempfile::tempdir().expect("a directory");
    let server = Server::on(Store::sqlite(logs.path()).expect("a store")).await;
    let worker = async |server: &Server| server.worker("a").await.parse().expect("an id");
    let new = counters(&server).await;
    assert!(new.values().all(|value| *value == 0.0), "{new:?}");
    let (deleted, kept) = (worker(&server).await, worker(&server).await);
    for id in [deleted, kept] {
        turn(&server, id).await;
    }
    let used = grown(&server, &new).await;
    assert_eq!(used["yoi_turns_total"], 2.0);
    delete(&server, deleted).await;
    let used = grown(&server, &used).await;
    assert_eq!(used["yoi_turns_total"], 2.0);
    server.runtime.shutdown(Duration::ZERO).await;
    drop(server);

    // What was used before is known, and does not count.
    let server = Server::on(reopened(logs.path()).await).await;
    assert_eq!(server.runtime.overview().usage.turns, 1);
    let new = counters(&server).await;
    assert!(new.values().all(|value| *value == 0.0), "{new:?}");
    let other = worker(&server).await;
    turn(&server, other).await;
    let used = grown(&server, &new).await;
    assert_eq!(used["yoi_turns_total"], 1.0);
    delete(&server, kept).await;
    delete(&server, other).await;
    let used = grown(&server, &used).await;
    assert_eq!(used["yoi_turns_total"], 1.0);
}

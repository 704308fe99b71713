//! A Runtime of which callers see only some Workers: for them there are no others.

use llm_engine::OfflineModel;
use serde_json::json;
use worker_types::{CreateWorker, Grants, Labels};
use yoi_workspace_server::{Registration, RuntimeSource};

use crate::support::{Bench, WORKERS, runtime};

#[tokio::test]
async fn workers_without_the_labels_are_not_there() {
    let runtime = runtime("backend-internal", OfflineModel::instant()).await;
    let team = Labels::from([("team".to_owned(), "one".to_owned())]);
    let hidden = CreateWorker::profile("companion".parse().expect("a name"))
        .grants(Grants::none().with_llm(["default".parse().expect("an alias")]));
    let hidden = runtime.create(hidden).await.expect("a Worker").worker_id;
    let source = RuntimeSource::embedded(runtime);
    let bench = Bench::registered([Registration::new(source).visible(team)]);

    let seen = bench.post(WORKERS, r#"{"profile":"companion"}"#).await.created();
    assert_eq!(seen["labels"], json!({ "team": "one" }), "new ones get them");
    for list in [WORKERS, "/api/workers", "/api/workers?label=team:one"] {
        let listed = bench.get(list).await.ok();
        let ids: Vec<_> = listed["workers"].as_array().expect("a list").iter().collect();
        assert!(ids.len() == 1 && ids[0]["worker_id"] == seen["worker_id"], "{list}: {listed}");
    }
    let other = bench.get("/api/workers?label=team:two").await.ok();
    assert_eq!(other["workers"], json!([]));
    let taken = json!({ "profile": "companion", "labels": { "team": "two" } }).to_string();
    bench.post(WORKERS, taken).await.problem(400, "invalid_input");

    let path = format!("{WORKERS}/{hidden}");
    for part in ["", "/events", "/transcript", "/usage"] {
        bench.get(&format!("{path}{part}")).await.problem(404, "unknown_worker");
    }
    bench.post(&format!("{path}/input"), r#"{"text":"hi"}"#).await.problem(404, "unknown_worker");
    for what in ["cancel", "stop", "start"] {
        bench.command(&format!("{path}/{what}")).await.problem(404, "unknown_worker");
    }
    bench.delete(&path).await.problem(404, "unknown_worker");
    let followed = format!("/api/events?follow=backend-internal/{hidden}/");
    let told = bench.stream(&followed, None).await.next().await.expect("a message");
    assert_eq!(
        (told.name.as_str(), &told.data["problem"]["code"]),
        ("follow.failed", &json!("unknown_worker"))
    );
    let summary = bench.get("/api/runtimes/backend-internal").await.ok();
    assert!(summary.get("overview").is_none_or(serde_json::Value::is_null), "{summary}");
}

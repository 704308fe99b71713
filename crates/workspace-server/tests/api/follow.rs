//! The one stream of a browser, and what it shows before a Worker is created.

use http::header;
use serde_json::json;

use crate::support::{Bench, NOBODY, WORKERS};

#[tokio::test]
async fn one_stream_follows_several_workers_each_from_its_own_cursor() {
    let bench = Bench::start().await;
    let (one, two) = (bench.companion().await, bench.companion().await);
    bench.say(&one, "first").await;
    let id = |worker: &str| worker.rsplit('/').next().expect("an id").to_owned();
    let seen = bench.get(&format!("{one}/transcript")).await.ok();
    let cursor = seen["cursor"].as_str().expect("a cursor");
    let path = format!(
        "/api/events?follow=backend-internal/{}/{cursor}&follow=backend-internal/{}/",
        id(&one),
        id(&two)
    );
    let mut stream = bench.stream(&path, None).await;
    bench.say(&one, "second").await;
    bench.say(&two, "third").await;
    let (mut of_one, mut of_two) = (Vec::new(), Vec::new());
    while of_one.len() < 4 || !of_two.iter().any(|name| name == "turn.ended") {
        let message = stream.next().await.expect("the stream goes on");
        assert_eq!(message.data["runtime_id"], "backend-internal", "{message:?}");
        assert!(message.id.is_none(), "a place in one log is none in another: {message:?}");
        let durable = message.data.get("seq").is_some();
        assert_eq!(durable, message.data.get("cursor").is_some(), "{message:?}");
        let names = if message.data["worker_id"] == id(&one) { &mut of_one } else { &mut of_two };
        names.push(message.name);
    }
    assert_eq!(of_one[0], "input.accepted", "what was seen is not sent again: {of_one:?}");
    assert_eq!(of_two[0], "worker.created", "an empty cursor is the start: {of_two:?}");
}

#[tokio::test]
async fn a_worker_that_cannot_be_followed_ends_no_other() {
    let bench = Bench::start().await;
    let worker = bench.companion().await;
    let id = worker.rsplit('/').next().expect("an id");
    let path = format!(
        "/api/events?follow=backend-internal/{NOBODY}/&follow=nowhere/{id}/&follow=backend-internal/{id}/"
    );
    let mut stream = bench.stream(&path, None).await;
    let mut failed = Vec::new();
    let mut created = false;
    while failed.len() < 2 || !created {
        let message = stream.next().await.expect("the stream goes on");
        created |= message.name == "worker.created";
        if message.name == "follow.failed" {
            failed.push(message.data["problem"]["code"].as_str().expect("a code").to_owned());
        }
    }
    failed.sort();
    assert_eq!(failed, ["unknown_runtime", "unknown_worker"]);
}

#[tokio::test]
async fn a_stream_that_makes_no_sense_is_refused() {
    let bench = Bench::start().await;
    let many = "follow=backend-internal/01890a5d-ac96-774b-bcce-b302099a8057/&".repeat(33);
    for query in ["follow=x", "follow=a/b/", "colour=red", many.trim_end_matches('&')] {
        let request = bench.request(http::Method::GET, &format!("/api/events?{query}"));
        let request = request.header(header::ACCEPT, "text/event-stream");
        bench.ask(crate::support::bare(request)).await.problem(400, "invalid_input");
    }
    bench.get("/api/events").await.problem(400, "invalid_input");
    let cursor = format!("/api/events?follow=backend-internal/{NOBODY}/nowhere");
    let request = bench.request(http::Method::GET, &cursor);
    let request = request.header(header::ACCEPT, "text/event-stream");
    bench.ask(crate::support::bare(request)).await.problem(400, "invalid_cursor");
}

#[tokio::test]
async fn what_would_be_granted_is_shown_before_it_is_given() {
    let bench = Bench::start().await;
    assert_eq!(
        bench.get("/api/workspaces").await.ok(),
        json!({ "workspaces": [{ "workspace": "site" }] })
    );
    let launch = async |query: &str| {
        bench.get(&format!("/api/runtimes/backend-internal/launch?{query}")).await
    };
    let talk = launch("profile=companion").await.ok();
    assert_eq!(talk["authority"], json!(["may ask the model default"]));
    let nothing = launch("profile=echo").await.ok();
    assert_eq!((&nothing["authority"], &nothing["workspace"]), (&json!([]), &json!(null)));
    let site = launch("profile=echo&workspace=site").await.ok();
    assert_eq!(site["authority"], json!(["may read /workspace (root project)"]));
    launch("profile=echo&workspace=nowhere").await.problem(400, "invalid_input");
    launch("profile=echo&colour=red").await.problem(400, "invalid_input");
    // It is what a Worker gets, and the Runtime says where it cannot be had.
    let refused = bench.post(WORKERS, r#"{"profile":"echo","workspace":"site"}"#).await;
    refused.problem(403, "grant_exceeds_ceiling");
    let talker =
        bench.post(WORKERS, r#"{"profile":"companion","workspace":"site"}"#).await.created();
    assert_eq!(talker["labels"], json!({ "workspace": "site" }));
    assert_eq!(talker["authority"], talk["authority"]);
    let found = bench.get("/api/workers?label=workspace:site").await.ok();
    assert_eq!(found["workers"].as_array().expect("Workers").len(), 1);
}

//! Creating, commanding and reading Workers.

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use http::{StatusCode, header};
use llm_engine::OfflineModel;
use serde_json::{Value, json};
use worker_types::RuntimeError;
use yoi_workspace_server::{Registration, RuntimeRegistry, RuntimeSource};

use crate::support::{Bench, NOBODY, WORKERS, runtime, silent};

#[tokio::test]
async fn runtimes_are_listed_with_their_source() {
    let bench = Bench::start().await;
    let list = bench.get("/api/runtimes").await.ok();
    let listed = &list["runtimes"][0];
    assert_eq!(listed["runtime_id"], "backend-internal");
    assert_eq!(listed["source_kind"], "embedded");
    assert_eq!(listed["status"], "ready");
    assert_eq!(listed["models"][0]["provider"], "offline");
    assert_eq!(&bench.get("/api/runtimes/backend-internal").await.ok(), listed);
}

#[tokio::test]
async fn a_companion_is_created_with_the_grants_of_the_policy() {
    let bench = Bench::start().await;
    let body = json!({
        "profile": "companion", "display_name": "Ada", "labels": {"user": "42"},
    });
    let answer = bench.post(WORKERS, body.to_string()).await;
    let worker = answer.created();
    assert_eq!(worker["runtime_id"], "backend-internal");
    assert_eq!(worker["display_name"], "Ada");
    assert_eq!(worker["labels"], json!({"user": "42"}));
    assert_eq!(worker["grants"], json!({"llm": {"models": ["default"]}}));
    assert_eq!(worker["status"], "idle");

    let id = worker["worker_id"].as_str().expect("an id");
    let path = format!("{WORKERS}/{id}");
    assert_eq!(answer.headers[header::LOCATION], path);
    assert_eq!(bench.get(&path).await.ok(), worker);
}

#[tokio::test]
async fn a_profile_without_a_policy_gets_no_grants() {
    let bench = Bench::start().await;
    let worker = bench.post(WORKERS, r#"{"profile":"echo"}"#).await.created();
    assert_eq!(worker["grants"], json!({}));
}

#[tokio::test]
async fn a_conversation_is_in_the_transcript_in_order() {
    let bench = Bench::start().await;
    let worker = bench.companion().await;
    let result = bench.say(&worker, "hello").await;
    assert_eq!(result["turn_id"], 1);
    assert_eq!(result["outcome"], json!({"status": "completed"}));
    assert!(result["seq"].as_u64().expect("a number") > 1);
    assert_eq!(result["runtime_id"], "backend-internal");
    bench.say(&worker, "and again").await;

    let page = bench.get(&format!("{worker}/transcript")).await.ok();
    let kinds: Vec<&Value> =
        page["items"].as_array().expect("items").iter().map(|item| &item["kind"]).collect();
    assert_eq!(kinds, ["user_message", "assistant_message", "user_message", "assistant_message"]);
    assert!(page["cursor"].is_string());
    assert_eq!(page["more_before"], false);

    let newest = bench.get(&format!("{worker}/transcript?limit=1")).await.ok();
    assert_eq!(newest["items"].as_array().expect("items").len(), 1);
    assert_eq!(newest["items"][0], page["items"][3]);
    assert_eq!(newest["more_before"], true);
    let before = format!("{worker}/transcript?limit=2&before={}", newest["first_item"]);
    let earlier = bench.get(&before).await.ok();
    assert_eq!(earlier["items"][1], page["items"][2]);
    assert_eq!(earlier["more_after"], true);
}

#[tokio::test]
async fn a_first_input_comes_with_the_creation() {
    let bench = Bench::start().await;
    let body = r#"{"profile":"echo","input":{"parts":[{"type":"text","text":"hi"}]}}"#;
    let created = bench.post(WORKERS, body).await.created();
    let worker = format!("{WORKERS}/{}", created["worker_id"].as_str().expect("an id"));
    let mut events = bench.stream(&format!("{worker}/events"), None).await;
    events.until("turn.ended").await;
    let page = bench.get(&format!("{worker}/transcript")).await.ok();
    assert_eq!(page["items"][0]["parts"], json!([{"type": "text", "text": "hi"}]));
    assert_eq!(page["items"][1]["text"], "hi");
}

#[tokio::test]
async fn a_busy_worker_refuses_input_until_it_is_cancelled() {
    let bench = Bench::with_model(silent()).await;
    let worker = bench.companion().await;
    let input = format!("{worker}/input");
    let accepted = bench.post(&input, r#"{"text":"a"}"#).await.expect(StatusCode::ACCEPTED);
    assert_eq!(accepted["status"], "running");
    assert_eq!(accepted["turn_id"], 1);
    let shown = bench.get(&worker).await.ok();
    assert_eq!((&shown["status"], &shown["turn"]), (&json!("running"), &json!(1)));

    let busy = bench.post(&input, r#"{"text":"b","if_busy":"reject"}"#).await;
    let problem = busy.problem(409, "busy");
    assert_eq!(problem["turn_id"], 1);
    assert_eq!(problem["retryable"], true);

    let cancel = format!("{worker}/cancel");
    // Another turn than the running one: nothing happens.
    let other = bench.post(&cancel, r#"{"turn_id":9}"#).await;
    assert_eq!(other.status, StatusCode::ACCEPTED);
    assert_eq!(bench.get(&worker).await.ok()["status"], "running");

    let mut events = bench.stream(&format!("{worker}/events"), None).await;
    let cancelled = bench.post(&cancel, r#"{"turn_id":1}"#).await;
    assert_eq!(cancelled.status, StatusCode::ACCEPTED);
    let ended = events.until("turn.ended").await.pop().expect("an event");
    assert_eq!(ended.data["outcome"], json!({"status": "cancelled", "reason": "cancel"}));
}

#[tokio::test]
async fn waiting_for_a_turn_that_does_not_end_gives_the_acceptance() {
    let bench = Bench::with_model(silent()).await;
    let worker = bench.companion().await;
    let input = format!("{worker}/input?wait_ms=50");
    let accepted = bench.post(&input, r#"{"text":"a"}"#).await.expect(StatusCode::ACCEPTED);
    assert_eq!(accepted["status"], "running");
    assert_eq!(bench.get(&worker).await.ok()["status"], "running", "waiting cancels nothing");

    bench.command(&format!("{worker}/cancel")).await;
    let mut events = bench.stream(&format!("{worker}/events"), None).await;
    events.until("turn.ended").await;
    bench.shutdown.cancel();
    let input = format!("{worker}/input?wait_ms=60000");
    bench.post(&input, r#"{"text":"b"}"#).await.expect(StatusCode::ACCEPTED);
}

#[tokio::test]
async fn an_answer_that_cannot_be_held_any_more_comes_at_once() {
    /// How many a Backend holds.
    const HELD: usize = 128;
    let bench = Bench::with_model(silent()).await;
    let worker = bench.companion().await;
    bench.post(&format!("{worker}/input"), r#"{"text":"a"}"#).await.expect(StatusCode::ACCEPTED);
    let turn = format!("{worker}/turns/1?wait_ms=60000");
    let mut asked: FuturesUnordered<_> = (0..=HELD).map(|_| bench.get(&turn)).collect();
    let at_once = asked.next().await.expect("one that is not held").ok();
    assert_eq!(at_once.get("outcome"), None, "the turn has not ended: {at_once}");
    assert_eq!(asked.len(), HELD);

    let cancel = format!("{worker}/cancel");
    let (cancelled, ended) = tokio::join!(bench.command(&cancel), asked.collect::<Vec<_>>());
    assert_eq!(cancelled.status, StatusCode::ACCEPTED);
    for answer in ended {
        assert_eq!(answer.ok()["outcome"]["status"], "cancelled");
    }
}

#[tokio::test]
async fn a_stopped_worker_takes_no_input_until_it_is_started() {
    let bench = Bench::start().await;
    let worker = bench.companion().await;
    assert_eq!(bench.command(&format!("{worker}/stop")).await.status, StatusCode::ACCEPTED);
    assert_eq!(bench.get(&worker).await.ok()["status"], "stopped");
    let refused = bench.post(&format!("{worker}/input"), r#"{"text":"a"}"#).await;
    refused.problem(409, "worker_stopped");
    assert_eq!(bench.command(&format!("{worker}/start")).await.status, StatusCode::ACCEPTED);
    assert_eq!(bench.say(&worker, "a").await["outcome"]["status"], "completed");
}

#[tokio::test]
async fn grants_are_revoked_and_never_given_back() {
    let bench = Bench::start().await;
    let worker = bench.companion().await;
    let revoke = format!("{worker}/revoke");
    for bad in [r#"{"grants":[]}"#, r#"{"grants":["preopen:/w"]}"#] {
        bench.post(&revoke, bad).await.problem(400, "invalid_input");
    }
    bench.post(&revoke, r#"{"grants":["everything"]}"#).await.problem(400, "invalid_input");
    let revoked = bench.post(&revoke, r#"{"grants":["llm"]}"#).await;
    assert_eq!(revoked.status, StatusCode::ACCEPTED);
    let view = bench.get(&worker).await.ok();
    assert_eq!((&view["grants"], &view["revoked"]), (&json!({}), &json!(["llm"])));
    assert_eq!(bench.say(&worker, "a").await["outcome"]["status"], "failed");
}

#[tokio::test]
async fn a_worker_is_upgraded_to_what_its_grants_allow() {
    let bench = Bench::start().await;
    let worker = bench.companion().await;
    let upgrade = format!("{worker}/upgrade");
    let unknown = bench.post(&upgrade, r#"{"component":"builtin:nobody"}"#).await;
    unknown.problem(404, "unknown_component");
    let upgraded = bench.post(&upgrade, r#"{"component":"builtin:echo"}"#).await;
    let upgraded = upgraded.expect(StatusCode::ACCEPTED);
    assert_eq!(upgraded["lost"], json!(["yoi:worker/llm@0.1.0"]));
    assert_eq!(bench.get(&worker).await.ok()["component"], upgraded["to"]);
    assert_eq!(bench.say(&worker, "a").await["outcome"]["status"], "completed");

    let body = json!({"profile": "echo"});
    let echo = bench.post(WORKERS, body.to_string()).await.created();
    let echo = format!("{WORKERS}/{}", echo["worker_id"].as_str().expect("an id"));
    let more = bench.post(&format!("{echo}/upgrade"), r#"{"component":"builtin:companion"}"#).await;
    more.problem(422, "missing_grant");
}

#[tokio::test]
async fn logs_are_answered_per_worker_and_per_turn() {
    let bench = Bench::start().await;
    let worker = bench.companion().await;
    bench.say(&worker, "hello").await;
    for path in [format!("{worker}/logs"), format!("{worker}/logs?turn=1")] {
        let logs = bench.get(&path).await.ok();
        assert!(logs["lines"].is_array());
        assert_eq!(logs["runtime_id"], "backend-internal");
    }
}

fn ids(page: &Value) -> Vec<&str> {
    let workers = page["workers"].as_array().expect("workers");
    workers.iter().map(|worker| worker["worker_id"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn workers_are_found_by_label_and_status_and_in_pages() {
    let bench = Bench::start().await;
    for user in ["1", "2", "1"] {
        let body = json!({"profile": "companion", "labels": {"user": user, "kind": "a:b"}});
        bench.post(WORKERS, body.to_string()).await.created();
    }
    let all = bench.get(WORKERS).await.ok();
    assert_eq!(ids(&all).len(), 3);
    assert_eq!(all["next"], Value::Null);
    let ones = bench.get(&format!("{WORKERS}?label=user:1&label=kind:a:b")).await.ok();
    assert_eq!(ids(&ones), [ids(&all)[0], ids(&all)[2]]);
    assert_eq!(ids(&bench.get(&format!("{WORKERS}?label=user:3")).await.ok()).len(), 0);

    bench.command(&format!("{WORKERS}/{}/stop", ids(&all)[1])).await;
    let stopped = bench.get(&format!("{WORKERS}?status=stopped")).await.ok();
    assert_eq!(ids(&stopped), [ids(&all)[1]]);

    let first = bench.get(&format!("{WORKERS}?limit=2")).await.ok();
    let next = first["next"].as_str().expect("another page");
    let second = bench.get(&format!("{WORKERS}?limit=2&after={next}")).await.ok();
    assert_eq!([ids(&first), ids(&second)].concat(), ids(&all));
}

#[tokio::test]
async fn a_page_of_nothing_is_a_page_of_one_with_more_to_come() {
    let bench = Bench::start().await;
    bench.companion().await;
    bench.companion().await;
    for path in [WORKERS, "/api/workers"] {
        let page = bench.get(&format!("{path}?limit=0")).await.ok();
        assert_eq!(ids(&page).len(), 1, "{path}");
        assert_eq!(page["next"], page["workers"][0]["worker_id"]);
        bench.get(&format!("{path}?status=asleep")).await.problem(400, "invalid_input");
    }
}

#[tokio::test]
async fn workers_of_all_runtimes_come_in_one_order_and_in_pages() {
    let bench = Bench::of([
        runtime("backend-internal", OfflineModel::instant()).await,
        runtime("other", OfflineModel::instant()).await,
    ]);
    let mut created = Vec::new();
    for runtime in ["other", "backend-internal", "other", "other", "backend-internal"] {
        let path = format!("/api/runtimes/{runtime}/workers");
        let worker = bench.post(&path, r#"{"profile":"companion"}"#).await.created();
        assert_eq!(worker["runtime_id"], runtime);
        created.push(worker["worker_id"].as_str().expect("an id").to_owned());
    }
    assert_eq!(ids(&bench.get("/api/workers").await.ok()), created);

    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = bench.get(&format!("/api/workers?limit=2{after}")).await.ok();
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, created);
    // A Worker lives in one Runtime: the other does not know it.
    let elsewhere = format!("{WORKERS}/{}", created[0]);
    bench.get(&elsewhere).await.problem(404, "unknown_worker");
    assert_eq!(ids(&bench.get(&format!("/api/workers?after={NOBODY}")).await.ok()), created);
}

#[tokio::test]
async fn a_second_runtime_with_the_same_id_is_refused() {
    let one = runtime("same", OfflineModel::instant()).await;
    let registry = RuntimeRegistry::new();
    registry.register(Registration::new(RuntimeSource::embedded(one.clone()))).expect("the first");
    let refused = registry.register(Registration::new(RuntimeSource::embedded(one)));
    let runtime_id = "same".parse().expect("an id");
    assert_eq!(refused, Err(RuntimeError::RuntimeExists { runtime_id }));
    assert_eq!(registry.list().await.len(), 1);
}

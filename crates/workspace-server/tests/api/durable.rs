//! What a log that lasts brings: queued and steered inputs, idempotency keys, deleting, retention.

use axum::body::Body;
use http::{Method, StatusCode, header};
use llm_engine::{Gate, OfflineModel, ScriptedModel, Step};
use serde_json::{Value, json};
use worker_types::Retention;

use crate::support::{Bench, HOST, WORKERS, bare, builder, request, silent};

/// Cancels what runs until the Worker has nothing left to do.
async fn cancel_all(bench: &Bench, worker: &str) {
    while bench.get(worker).await.ok()["status"] == "running" {
        bench.command(&format!("{worker}/cancel")).await;
    }
}

#[tokio::test]
async fn waiting_for_a_queued_input_is_waiting_for_its_own_turn() {
    let gate = Gate::closed();
    let model = ScriptedModel::new()
        .call([Step::Gate(gate.clone()), Step::text("one"), Step::stop()])
        .call([Step::text("two"), Step::stop()]);
    let bench = Bench::with_model(model).await;
    let worker = bench.companion().await;
    let mut events = bench.stream(&format!("{worker}/events"), None).await;
    let input = format!("{worker}/input");
    bench.post(&input, r#"{"text":"a"}"#).await.expect(StatusCode::ACCEPTED);

    let waiting = format!("{input}?wait_ms=60000");
    let answer = bench.post(&waiting, r#"{"text":"b","if_busy":"queue"}"#);
    let open_when_queued = async {
        let queued = events.until("input.queued").await.pop().expect("an event");
        assert_eq!(queued.data["turn_id"], 2);
        gate.open();
    };
    let (answer, ()) = tokio::join!(answer, open_when_queued);
    let answer = answer.ok();
    assert_eq!(
        (&answer["turn_id"], &answer["outcome"]["status"]),
        (&json!(2), &json!("completed"))
    );
    let page = bench.get(&format!("{worker}/transcript")).await.ok();
    assert_eq!(
        (&page["items"][3]["text"], &page["items"][3]["turn_id"]),
        (&json!("two"), &json!(2))
    );
}

#[tokio::test]
async fn an_input_for_a_busy_worker_is_refused_queued_or_steered_as_its_sender_says() {
    let bench = Bench::with_model(silent()).await;
    let worker = bench.companion().await;
    let input = format!("{worker}/input");
    let mut events = bench.stream(&format!("{worker}/events"), None).await;
    bench.post(&input, r#"{"text":"a"}"#).await.expect(StatusCode::ACCEPTED);
    events.until("turn.started").await;
    bench.post(&input, r#"{"text":"b"}"#).await.problem(409, "busy");
    let queued = bench.post(&input, r#"{"text":"c","if_busy":"queue"}"#).await;
    let queued = queued.expect(StatusCode::ACCEPTED);
    assert_eq!((&queued["status"], &queued["turn_id"]), (&json!("queued"), &json!(2)));
    let steered = bench.post(&input, r#"{"text":"d","if_busy":"steer"}"#).await;
    let steered = steered.expect(StatusCode::ACCEPTED);
    assert_eq!((&steered["status"], &steered["turn_id"]), (&json!("steered"), &json!(1)));
    // What waits can be cancelled by its turn; what the turn did not take in has one of its own.
    let cancelled = bench.post(&format!("{worker}/cancel"), r#"{"turn_id":2}"#).await;
    assert_eq!(cancelled.status, StatusCode::ACCEPTED);
    cancel_all(&bench, &worker).await;
    let page = bench.get(&format!("{worker}/transcript")).await.ok();
    let said: Vec<(&Value, &Value)> = page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| (&item["turn_id"], &item["parts"][0]["text"]))
        .collect();
    assert_eq!(said, [(&json!(1), &json!("a")), (&json!(3), &json!("d"))]);
}

#[tokio::test]
async fn a_request_with_a_key_is_carried_out_once() {
    let bench = Bench::start().await;
    let body = r#"{"profile":"companion","display_name":"Ada"}"#;
    let created = bench.post_keyed(WORKERS, "k", body).await.created();
    assert_eq!(bench.post_keyed(WORKERS, "k", body).await.created(), created);
    let other = bench.post_keyed(WORKERS, "k", r#"{"profile":"companion"}"#).await;
    other.problem(409, "idempotency_conflict");
    let all = bench.get(WORKERS).await.ok();
    assert_eq!(all["workers"].as_array().expect("workers").len(), 1);

    let worker = format!("{WORKERS}/{}", created["worker_id"].as_str().expect("an id"));
    let input = format!("{worker}/input?wait_ms=60000");
    let first = bench.post_keyed(&input, "k", r#"{"text":"hi"}"#).await.ok();
    assert_eq!(bench.post_keyed(&input, "k", r#"{"text":"hi"}"#).await.ok(), first);
    bench.post_keyed(&input, "k", r#"{"text":"ho"}"#).await.problem(409, "idempotency_conflict");
    assert_eq!(bench.get(&worker).await.ok()["usage"]["turns"], 1);

    // What a browser chose is not what a program chose.
    let link = bench.ask(bare(request(Method::GET, &bench.backend.login_link()))).await;
    let cookie = link.headers[header::SET_COOKIE].to_str().expect("text");
    let by_browser = request(Method::POST, WORKERS)
        .header(header::COOKIE, cookie.split(';').next().expect("a pair"))
        .header(header::ORIGIN, format!("http://{HOST}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", "k")
        .body(Body::from(body));
    let by_browser = bench.ask(by_browser.expect("a request")).await.created();
    assert_ne!(by_browser["worker_id"], created["worker_id"]);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_and_nothing_happens() {
    let bench = Bench::start().await;
    let worker = bench.companion().await;
    for key in ["", "two words", &"x".repeat(256)] {
        let created = bench.post_keyed(WORKERS, key, r#"{"profile":"companion"}"#).await;
        created.problem(400, "invalid_input");
        let input = bench.post_keyed(&format!("{worker}/input"), key, r#"{"text":"hi"}"#).await;
        input.problem(400, "invalid_input");
    }
    let all = bench.get(WORKERS).await.ok();
    assert_eq!(all["workers"].as_array().expect("workers").len(), 1);
    assert_eq!(all["workers"][0]["last_seq"], 1);
}

#[tokio::test]
async fn a_stopped_worker_is_deleted_and_gone() {
    let bench = Bench::start().await;
    let worker = bench.companion().await;
    let mut events = bench.stream(&format!("{worker}/events"), None).await;
    bench.delete(&worker).await.problem(409, "worker_not_stopped");
    bench.command(&format!("{worker}/stop")).await;
    // Who has seen all that is removed hears of the end; others that it is gone.
    events.until("worker.stopped").await;
    let mut late = bench.stream(&format!("{worker}/events"), None).await;
    let deleted = bench.delete(&worker).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (StatusCode::NO_CONTENT, ""));
    events.until("worker.deleted").await;
    assert_eq!(events.next().await, None, "nothing follows");
    let gone = late.until("problem").await.pop().expect("a message");
    assert_eq!((gone.id, &gone.data["code"]), (None, &json!("unknown_worker")));
    assert_eq!(late.next().await, None);
    bench.get(&worker).await.problem(404, "unknown_worker");
    bench.delete(&worker).await.problem(404, "unknown_worker");
    assert_eq!(bench.get(WORKERS).await.ok()["workers"], json!([]));
}

#[tokio::test]
async fn an_item_that_a_page_cuts_is_whole_by_itself() {
    let bench = Bench::start().await;
    let worker = bench.companion().await;
    let long = "word ".repeat(20 << 10);
    bench.say(&worker, &long).await;
    let page = bench.get(&format!("{worker}/transcript")).await.ok();
    assert_eq!(page["cut"][0], json!({"item_id": 1, "bytes": long.len()}));
    let shown = page["items"][0]["parts"][0]["text"].as_str().expect("text");
    assert!(long.starts_with(shown) && shown.len() == 64 << 10, "{}", shown.len());
    let whole = bench.get(&format!("{worker}/items/1")).await.ok();
    assert_eq!(whole["parts"][0]["text"], long.as_str());
    assert_eq!((&whole["kind"], &whole["id"]), (&json!("user_message"), &json!(1)));
    assert_eq!(whole["runtime_id"], "backend-internal");
    let uncut = bench.get(&format!("{worker}/transcript?max_item_bytes=1000000")).await.ok();
    assert_eq!((&uncut["items"][0]["parts"], &uncut["cut"]), (&whole["parts"], &Value::Null));
    bench.get(&format!("{worker}/items/99")).await.problem(404, "unknown_item");
}

#[tokio::test]
async fn usage_tells_what_each_turn_took_in_pages() {
    let bench = Bench::start().await;
    let worker = bench.companion().await;
    for text in ["one", "two", "three"] {
        bench.say(&worker, text).await;
    }
    let ids = |page: &Value| -> Vec<u64> {
        let turns = page["turns"].as_array().expect("turns");
        turns.iter().map(|turn| turn["turn_id"].as_u64().expect("a number")).collect()
    };
    let all = bench.get(&format!("{worker}/usage")).await.ok();
    assert_eq!((ids(&all), &all["more_before"]), (vec![1, 2, 3], &json!(false)));
    assert_eq!(all["total"]["turns"], 3);
    assert_eq!(all["turns"][0]["outcome"]["status"], "completed");
    assert!(all["turns"][0]["receipt"]["wall_us"].as_u64().expect("a number") > 0);
    assert!(all["worker_id"].is_string());
    let newest = bench.get(&format!("{worker}/usage?limit=2")).await.ok();
    assert_eq!((ids(&newest), &newest["more_before"]), (vec![2, 3], &json!(true)));
    let rest = bench.get(&format!("{worker}/usage?limit=2&before=2")).await.ok();
    assert_eq!((ids(&rest), &rest["more_before"]), (vec![1], &json!(false)));
    assert_eq!(rest["total"], all["total"]);
}

#[tokio::test]
async fn a_cursor_whose_events_are_gone_is_told_where_the_log_begins() {
    let retention = Retention { max_events: Some(1), ..Retention::default() };
    let runtime = builder("backend-internal", OfflineModel::instant()).retention(retention);
    let runtime = runtime.build().await.expect("a Runtime");
    let bench = Bench::of([runtime.clone()]);
    assert_eq!(bench.get("/api/runtimes").await.ok()["runtimes"][0]["retention"]["max_events"], 1);
    let worker = bench.companion().await;
    bench.say(&worker, "hello").await;
    let before = bench.get(&format!("{worker}/transcript")).await.ok();
    runtime.enforce_retention().await.expect("old events are removed");

    let events = format!("{worker}/events");
    let gone = bench.get(&format!("{events}?after=0")).await.problem(410, "cursor_gap");
    let stream = bench.request(Method::GET, &events).header(header::ACCEPT, "text/event-stream");
    assert_eq!(bench.ask(bare(stream)).await.problem(410, "cursor_gap")["oldest"], gone["oldest"]);
    let oldest = gone["oldest"].as_str().expect("a cursor");
    let kept = bench.get(&format!("{events}?after={oldest}")).await.ok();
    let kept = kept["events"].as_array().expect("events");
    assert_eq!(kept.last().expect("an event")["type"], "worker.trimmed");
    // What was said stays, and so does a cursor to go on from.
    let after = bench.get(&format!("{worker}/transcript")).await.ok();
    assert_eq!(after["items"], before["items"]);
    let cursor = after["cursor"].as_str().expect("a cursor");
    let mut stream = bench.stream(&format!("{events}?after={cursor}"), None).await;
    bench.say(&worker, "and now?").await;
    stream.until("turn.ended").await;
}

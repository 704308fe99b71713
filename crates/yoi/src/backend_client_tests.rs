use insta::assert_snapshot;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_json, header, method, path, query_param},
};
use worker_types::{IdempotencyKey, InputDisposition, Seq};

use super::*;
use crate::worker_host::WorkerHost;
use crate::{cli::own_name, logging::LogFormat};
use worker_types::Outcome;

const WORKER: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const SIBLING: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

fn client(server: &MockServer) -> BackendClient {
    client_at(&server.uri())
}

fn client_at(url: &str) -> BackendClient {
    let token = Token::new("sesame".into());
    BackendClient::new(url, token, false, Output::new(true, LogFormat::Text)).expect("a client")
}

fn address() -> WorkerAddress {
    WorkerAddress {
        runtime: "here".parse().expect("an id"),
        worker: WORKER.parse().expect("an id"),
    }
}

fn view(id: &str) -> WorkerView {
    serde_json::from_value(serde_json::json!({
        "runtime_id": "here", "worker_id": id, "implementation": "component",
        "profile": "echo", "component": format!("sha256:{}", "ab".repeat(32)), "labels": {},
        "status": "idle", "grants": {}, "last_seq": 1,
        "usage": { "turns": 0, "wall_us": 0, "cpu_us": 0, "model_calls": 0 },
        "created_at": "2026-01-01T00:00:00Z", "diagnostics": [],
    }))
    .expect("a Worker")
}

async fn input(
    client: &BackendClient,
    options: InputOptions,
) -> Result<InputAccepted, BackendError> {
    client.input(&address(), &Input::text("hi"), &options).await
}

#[test]
fn a_worker_is_found_by_any_end_of_its_id_that_is_its_own() {
    let workers = [view(WORKER), view(SIBLING)];
    for id in [WORKER, "8057", "099A8057"] {
        assert_eq!(pick(&workers, id).expect("one").worker_id.to_string(), WORKER);
    }
    assert_snapshot!(
        pick(&workers, "01890a").expect_err("two"),
        @"more than one Worker's id begins or ends with `01890a`: write more of it"
    );
    assert_snapshot!(
        pick(&workers, "ffff").expect_err("none"),
        @"there is no Worker `ffff`: `yoi worker ls` lists those there are"
    );
    assert!(pick(&workers, "").is_err());
}

#[test]
fn a_token_goes_to_this_machine_only() {
    for url in ["http://127.0.0.1:1", "http://localhost:1/", "http://[::1]:1"] {
        assert!(loopback_url(url).is_ok(), "{url}");
    }
    for url in ["http://192.0.2.1:1", "https://127.0.0.1:1", "http://127.0.0.1.example.com", "x"] {
        assert!(loopback_url(url).is_err(), "{url}");
    }
}

#[tokio::test]
async fn a_refusal_speaks_in_its_own_words() {
    let server = MockServer::start().await;
    let problem = |body: &str| {
        ResponseTemplate::new(409).set_body_raw(body.to_owned(), "application/problem+json")
    };
    Mock::given(method("POST"))
        .and(path(format!("/api/runtimes/here/workers/{WORKER}/input")))
        .and(header("authorization", "Bearer sesame"))
        .respond_with(problem(r#"{"code":"busy","status":409,"detail":"x","turn_id":7}"#))
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path(format!("/api/runtimes/here/workers/{WORKER}/stop")))
        .respond_with(problem(r#"{"code":"new_in_2030","detail":"not on a Sunday"}"#))
        .mount(&server)
        .await;
    let client = client(&server);
    let busy = input(&client, InputOptions::default()).await.expect_err("busy");
    assert_snapshot!(busy, @"the Worker is busy with turn 7: wait for its end or cancel it");
    let unknown = client.stop(&address()).await.expect_err("refused");
    assert_snapshot!(unknown, @"not on a Sunday");
}

#[tokio::test]
async fn what_was_asked_of_a_backend_that_went_away_is_in_doubt() {
    // It takes one request, and goes away in the middle of it.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = client_at(&format!("http://{}", listener.local_addr().expect("an address")));
    let gone = async {
        let (mut connection, _) = listener.accept().await.expect("a client");
        let mut some = [0; 16];
        tokio::io::AsyncReadExt::read(&mut connection, &mut some).await.expect("a request");
        drop((connection, listener));
    };
    let (asked, ()) = tokio::join!(input(&client, InputOptions::default()), gone);
    assert!(matches!(asked, Err(BackendError::InDoubt { .. })), "{asked:?}");
    // Now nobody takes it.
    let asked = input(&client, InputOptions::default()).await;
    assert!(matches!(asked, Err(BackendError::Unreachable { .. })), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_person_is_told_once_what_takes_long_and_nothing_of_the_rest() {
    let told = std::cell::Cell::new(0);
    let notice = || told.set(told.get() + 1);
    patiently(PATIENCE, std::future::ready(()), notice).await;
    assert_eq!(told.get(), 0);
    patiently(PATIENCE, tokio::time::sleep(10 * PATIENCE), notice).await;
    assert_eq!(told.get(), 1);
}

#[tokio::test]
async fn a_refusal_for_the_state_of_a_worker_names_the_command_that_changes_it() {
    let server = MockServer::start().await;
    for (what, problem) in [
        ("input", r#"{"code":"worker_stopped"}"#),
        ("stop", r#"{"code":"worker_unavailable","reason":"a page is damaged"}"#),
    ] {
        Mock::given(path(format!("/api/runtimes/here/workers/{WORKER}/{what}")))
            .respond_with(ResponseTemplate::new(409).set_body_raw(problem, "application/json"))
            .mount(&server)
            .await;
    }
    let client = client(&server);
    let worker = address().worker;
    let said =
        |error: BackendError| error.with_way_out(worker).to_string().replace(&own_name(), "yoi");
    let stopped = input(&client, InputOptions::default()).await.expect_err("stopped");
    assert_snapshot!(said(stopped), @"the Worker is stopped: start it before giving it work: run `yoi worker start 01890a5d-ac96-774b-bcce-b302099a8057`, and then this again");
    let damaged = client.stop(&address()).await.expect_err("damaged");
    assert_snapshot!(said(damaged), @"the Worker is unavailable: a page is damaged; `yoi worker rm 01890a5d-ac96-774b-bcce-b302099a8057` deletes it");
}

#[tokio::test]
async fn all_pages_of_workers_are_read() {
    let server = MockServer::start().await;
    let missing = serde_json::json!([{ "code": "runtime_unavailable", "message": "far is away" }]);
    let page = |id: &str, next: Option<&str>| {
        ResponseTemplate::new(200).set_body_json(serde_json::json!({
            "workers": [view(id)], "next": next, "diagnostics": missing,
        }))
    };
    Mock::given(path("/api/workers"))
        .and(query_param("after", WORKER))
        .and(query_param("label", "team:a&b"))
        .respond_with(page(SIBLING, None))
        .mount(&server)
        .await;
    Mock::given(path("/api/workers"))
        .respond_with(page(WORKER, Some(WORKER)))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    let labels = [("team".to_owned(), "a&b".to_owned())];
    let found = client(&server).workers(Some("idle"), &labels).await.expect("two pages");
    assert_eq!(found.workers, [view(WORKER), view(SIBLING)]);
    assert_eq!(found.diagnostics.len(), 1, "said once: {:?}", found.diagnostics);
}

#[tokio::test]
async fn how_turns_ended_is_read_from_all_pages_of_usage() {
    let server = MockServer::start().await;
    let page = |turn: u64, outcome: serde_json::Value, more_before: bool| {
        ResponseTemplate::new(200).set_body_json(serde_json::json!({
            "total": { "turns": 3, "wall_us": 3, "cpu_us": 3, "model_calls": 0 },
            "turns": [{
                "turn_id": turn, "ended_at": "2026-01-01T00:00:00Z", "outcome": outcome,
                "receipt": { "wall_us": 1, "cpu_us": 1 },
            }],
            "more_before": more_before,
        }))
    };
    let failed = serde_json::json!({ "status": "failed", "kind": "guest", "message": "no" });
    let of_worker = || Mock::given(path(format!("/api/runtimes/here/workers/{WORKER}/usage")));
    for (before, answer) in [
        ("2", page(1, failed, false)),
        ("3", page(2, serde_json::json!({ "status": "completed" }), true)),
    ] {
        let asked = of_worker().and(query_param("before", before));
        asked.respond_with(answer).expect(1).mount(&server).await;
    }
    let newest = page(3, serde_json::json!({ "status": "interrupted" }), true);
    of_worker().respond_with(newest).expect(1).mount(&server).await;
    let found =
        WorkerHost::Backend(client(&server)).broken_turns(&address()).await.expect("three pages");
    let turns: Vec<TurnId> = found.keys().copied().collect();
    assert_eq!(turns, [TurnId::new(1), TurnId::new(3)]);
    assert_eq!(found[&TurnId::new(3)], Outcome::Interrupted);
}

#[tokio::test]
async fn an_input_says_how_it_is_to_be_taken_and_its_key() {
    let server = MockServer::start().await;
    let accepted = serde_json::json!({ "turn_id": 2, "seq": 5, "status": "queued" });
    Mock::given(path(format!("/api/runtimes/here/workers/{WORKER}/input")))
        .and(header("idempotency-key", "a-key"))
        .and(body_json(serde_json::json!({
            "parts": [{ "type": "text", "text": "hi" }], "if_busy": "queue",
        })))
        .respond_with(ResponseTemplate::new(202).set_body_json(accepted))
        .mount(&server)
        .await;
    let key = IdempotencyKey::new("a-key").expect("a key");
    let options = InputOptions::if_busy(IfBusy::Queue).idempotency_key(key);
    let accepted = input(&client(&server), options).await.expect("accepted");
    assert_eq!(accepted.status, InputDisposition::Queued);
}

#[tokio::test]
async fn a_stream_that_breaks_goes_on_after_the_last_event() {
    let server = MockServer::start().await;
    let event = |seq: u64| {
        format!(
            "id: log.{seq}\nevent: worker.stopped\ndata: {{\"seq\":{seq},\
             \"at\":\"2026-01-01T00:00:00Z\",\"worker_id\":\"{WORKER}\",\
             \"type\":\"worker.stopped\"}}\n\n"
        )
    };
    let stream = |body: String| ResponseTemplate::new(200).set_body_raw(body, "text/event-stream");
    for (after, body) in [("3", event(4)), ("log.4", event(5))] {
        Mock::given(path(format!("/api/runtimes/here/workers/{WORKER}/events")))
            .and(header("accept", "text/event-stream"))
            .and(query_param("after", after))
            .respond_with(stream(body))
            .mount(&server)
            .await;
    }
    let after = Cursor { log_id: None, seq: Seq::new(3) };
    let mut events = client(&server).events(address(), after);
    for seq in [4, 5] {
        match events.next().await.expect("an event") {
            LiveEvent::Durable(event) => assert_eq!(event.seq, Seq::new(seq)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn silence_is_another_error_than_a_refusal() {
    let server = MockServer::start().await;
    let mut client = client(&server);
    drop(server);
    // A port that nobody has any more.
    client.base.set_port(Some(1)).expect("a port");
    assert!(matches!(client.login_link().await, Err(BackendError::Unreachable { .. })));
    client.from_file = true;
    assert_snapshot!(
        client.login_link().await.expect_err("nobody"),
        @"no Backend is running: start one with `yoi up`"
    );
}

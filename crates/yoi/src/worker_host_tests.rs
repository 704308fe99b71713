use insta::assert_snapshot;
use runtime_client::{AuthToken, ClientOptions};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path, query_param},
};

use super::*;
use crate::{cli::own_name, logging::LogFormat};

const WORKER: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const SIBLING: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

fn client(server: &MockServer) -> WorkerHost {
    WorkerHost::Backend(client_at(&server.uri(), false))
}

fn client_at(url: &str, is_announced: bool) -> BackendClient {
    let asked = Asked::backend(url, is_announced, Output::new(true, LogFormat::Text));
    let token = AuthToken::new("sesame");
    BackendClient::new(url, token, ClientOptions::default(), asked).expect("a client")
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

async fn input(client: &WorkerHost, options: InputOptions) -> Result<InputAccepted, BackendError> {
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
        @"more than one Worker's id begins or ends with `01890a`: write more of it, or name its Runtime with --runtime"
    );
    assert_snapshot!(
        pick(&workers, "ffff").expect_err("none"),
        @"there is no Worker `ffff`: `yoi worker ls` lists those there are"
    );
    assert!(pick(&workers, "").is_err());
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
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let client = WorkerHost::Backend(client_at(&url, false));
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
    let found = client(&server).workers(None, Some("idle"), &labels).await.expect("two pages");
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
    let found = client(&server).broken_turns(&address()).await.expect("three pages");
    let turns: Vec<TurnId> = found.keys().copied().collect();
    assert_eq!(turns, [TurnId::new(1), TurnId::new(3)]);
    assert_eq!(found[&TurnId::new(3)], Outcome::Interrupted);
}

#[tokio::test]
async fn silence_is_another_error_than_a_refusal() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    // A port that nobody has any more.
    drop(listener);
    let named = client_at(&url, false).login_link().await.expect_err("nobody");
    assert!(matches!(named, BackendError::Unreachable { .. }), "{named:?}");
    assert_eq!(named.to_string(), format!("the Backend at {url} does not answer"));
    let announced = client_at(&url, true).login_link().await.expect_err("nobody");
    assert_snapshot!(announced, @"no Backend is running: start one with `yoi up`");
}

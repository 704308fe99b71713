//! `POST /v1/runtime/drain`: what is refused from then on, and when nothing is left to do.

use http::{Method, StatusCode};
use runtime_server::Scope;
use serde_json::{Value, json};
use worker_types::{CreateWorker, Input};

use crate::support::Server;

#[tokio::test]
async fn a_runtime_that_drains_is_not_ready_and_says_when_nothing_is_left_to_do() {
    let server = Server::new().await;
    let token = server.scoped(Scope::Admin);
    let get = async |path: &str| server.ask(Some(&token), &Method::GET, path, None).await;
    let post = async |path: &str, body: Option<Value>| {
        server.ask(Some(&token), &Method::POST, path, body.as_ref()).await
    };
    let spin = CreateWorker::profile("base".parse().expect("a name")).input(Input::text("spin"));
    let busy = server.runtime.create(spin).await.expect("a Worker").worker_id;
    assert_eq!(get("/readyz").await.0, StatusCode::NO_CONTENT);

    for path in ["/v1/runtime/drain", "/v1/runtime/drain?wait_ms=1"] {
        let (status, progress) = post(path, None).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{progress}");
        assert_eq!(progress, json!({ "drained": false, "busy": 1 }), "{path}");
    }
    assert_eq!(get("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get("/healthz").await.0, StatusCode::NO_CONTENT);
    assert_eq!(get("/v1/runtime").await.1["status"], "draining");
    let (status, problem) = post("/v1/workers", Some(json!({ "profile": "echo" }))).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem["code"], "runtime_unavailable");
    assert!(problem["detail"].as_str().is_some_and(|why| why.contains("draining")), "{problem}");
    assert_eq!(get(&format!("/v1/workers/{busy}/transcript")).await.0, StatusCode::OK);

    let (drained, cancelled) = tokio::join!(
        post("/v1/runtime/drain?wait_ms=60000", None),
        server.runtime.cancel(busy, None)
    );
    cancelled.expect("cancelled");
    assert_eq!(drained, (StatusCode::ACCEPTED, json!({ "drained": true, "busy": 0 })));
}

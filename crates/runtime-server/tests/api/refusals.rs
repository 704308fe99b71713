//! Whatever is wrong with a request, the answer is a problem with a code, and nothing has changed.

use axum::body::Body;
use futures_util::{FutureExt as _, stream};
use http::{Method, Request, StatusCode, header};
use runtime_server::Scope;
use serde_json::{Value, json};
use worker_types::{CreateWorker, Input, WorkerQuery};

use crate::support::{ADDRESS, Server, of_worker};

const NOBODY: &str = "01a229fe-e583-723b-ae89-303fad1dcc78";

/// A body as somebody sends it who does not mean well.
async fn send(server: &Server, path: &str, kind: &str, body: Body) -> (StatusCode, Value) {
    let token = server.scoped(Scope::Admin);
    let request = Request::post(path)
        .header(header::HOST, ADDRESS)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, kind);
    server.answer(request.body(body).expect("a request")).await
}

#[tokio::test]
async fn ids_that_are_unknown_or_malformed_are_refused_by_every_route() {
    let server = Server::new().await;
    let token = server.scoped(Scope::Admin);
    for (method, path, _, body) in of_worker(NOBODY) {
        let (status, problem) = server.ask(Some(&token), &method, &path, body.as_ref()).await;
        let expected = (StatusCode::NOT_FOUND, &json!("unknown_worker"));
        assert_eq!((status, &problem["code"]), expected, "{method} {path}");
    }
    for worker in ["1", "x", "%00", "..%2f..", &"9".repeat(1_000)] {
        for (method, path, _, body) in of_worker(worker) {
            let (status, problem) = server.ask(Some(&token), &method, &path, body.as_ref()).await;
            let expected = (StatusCode::BAD_REQUEST, &json!("invalid_input"));
            assert_eq!((status, &problem["code"]), expected, "{method} {path}");
        }
    }
    let worker = server.worker("a").await;
    for below in ["items/x", "items/-1", "turns/18446744073709551616", "turns/x"] {
        let path = format!("/v1/workers/{worker}/{below}");
        let (status, _) = server.ask(Some(&token), &Method::GET, &path, None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn the_largest_numbers_are_numbers_as_others_are() {
    let server = Server::new().await;
    let token = server.scoped(Scope::Admin);
    let worker = server.worker("a").await;
    let most = u64::MAX;
    for (of_worker, status, field) in [
        (format!("transcript?after={most}"), StatusCode::OK, "items"),
        (format!("transcript?before={most}"), StatusCode::OK, "items"),
        (format!("transcript?after={most}&before={most}"), StatusCode::OK, "items"),
        (format!("usage?before={most}&limit={most}"), StatusCode::OK, "turns"),
        (format!("logs?turn={most}"), StatusCode::OK, "lines"),
        (format!("events?limit={most}"), StatusCode::OK, "events"),
        (format!("items/{most}"), StatusCode::NOT_FOUND, "code"),
        (format!("turns/{most}"), StatusCode::BAD_REQUEST, "code"),
        (format!("events?after={most}"), StatusCode::BAD_REQUEST, "code"),
    ] {
        let path = format!("/v1/workers/{worker}/{of_worker}");
        let (found, answer) = server.ask(Some(&token), &Method::GET, &path, None).await;
        assert_eq!(found, status, "{path}: {answer}");
        assert!(!answer[field].is_null(), "{path}: {answer}");
    }
}

#[tokio::test]
async fn one_worker_has_one_id_in_one_form() {
    let server = Server::new().await;
    let token = server.scoped(Scope::Admin);
    let worker = server.worker("a").await;
    for other in [worker.replace('-', ""), format!("urn:uuid:{worker}"), format!("%7B{worker}%7D")]
    {
        let path = format!("/v1/workers/{other}");
        let (status, _) = server.ask(Some(&token), &Method::GET, &path, None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn an_input_in_two_forms_is_refused_also_where_one_is_null() {
    let server = Server::new().await;
    let worker = server.worker("a").await;
    let path = format!("/v1/workers/{worker}/input");
    for body in [r#"{"text":"a","parts":null}"#, r#"{"text":null}"#, r#"{"text":"a","parts":[]}"#] {
        let body = Body::from(body.to_owned());
        let (status, _) = send(&server, &path, "application/json", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused_and_change_nothing() {
    let server = Server::new().await;
    let worker = server.worker("a").await;
    let before = server.runtime.workers(&WorkerQuery::default()).expect("Workers");
    let deep = "[".repeat(100_000);
    for path in [
        "/v1/workers".to_owned(),
        format!("/v1/workers/{worker}/input"),
        format!("/v1/workers/{worker}/revoke"),
        format!("/v1/workers/{worker}/upgrade"),
    ] {
        for body in ["", "{", "null", "[]", "7", r#"{"nothing":1}"#, r#"{"a":1,"a":1}"#, &deep] {
            let body = Body::from(body.to_owned());
            let (status, problem) = send(&server, &path, "application/json", body).await;
            let expected = (StatusCode::BAD_REQUEST, &json!("invalid_input"));
            assert_eq!((status, &problem["code"]), expected, "{path}: {problem}");
        }
        let (status, problem) = send(&server, &path, "text/plain", Body::from("{}")).await;
        let expected = (StatusCode::UNSUPPORTED_MEDIA_TYPE, &json!("unsupported_media_type"));
        assert_eq!((status, &problem["code"]), expected, "{path}");
        // One that says how long it is, and one that does not.
        let too_long = vec![b' '; (8 << 20) + 1];
        let pieces = stream::iter(
            too_long
                .chunks(1 << 16)
                .map(|piece| Ok::<_, String>(piece.to_vec()))
                .collect::<Vec<_>>(),
        );
        for body in [Body::from(too_long.clone()), Body::from_stream(pieces)] {
            let (status, problem) = send(&server, &path, "application/json", body).await;
            let expected = (StatusCode::PAYLOAD_TOO_LARGE, &json!("payload_too_large"));
            assert_eq!((status, &problem["code"]), expected, "{path}");
        }
    }
    assert_eq!(server.runtime.workers(&WorkerQuery::default()).expect("Workers"), before);
}

#[tokio::test]
async fn cursors_that_are_none_of_this_log_are_refused_and_never_a_gap_in_silence() {
    let server = Server::new().await;
    let token = server.scoped(Scope::Admin);
    let worker = server.worker("a").await;
    for events in [format!("/v1/workers/{worker}/events"), "/v1/events".to_owned()] {
        for after in [
            "-1",
            "18446744073709551616",
            "999999",
            "x",
            "01a229fe-e583-723b-ae89-303fad1dcc78.1",
            "01a229fe-e583-723b-ae89-303fad1dcc78.r1",
        ] {
            let path = format!("{events}?after={after}");
            let (status, problem) = server.ask(Some(&token), &Method::GET, &path, None).await;
            let expected = (StatusCode::BAD_REQUEST, &json!("invalid_cursor"));
            assert_eq!((status, &problem["code"]), expected, "{path}: {problem}");
        }
    }
    for query in ["?nothing=1", "?limit=-1", "?limit=x", "?after=1&after=2"] {
        let path = format!("/v1/workers/{worker}/events{query}");
        let (status, _) = server.ask(Some(&token), &Method::GET, &path, None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_told_apart() {
    let server = Server::new().await;
    let token = server.scoped(Scope::Admin);
    for (method, path, status, code) in [
        (Method::GET, "/v1/nothing", StatusCode::NOT_FOUND, "not_found"),
        (Method::GET, "/nothing", StatusCode::NOT_FOUND, "not_found"),
        (Method::GET, "/v1", StatusCode::NOT_FOUND, "not_found"),
        (Method::PUT, "/v1/workers", StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
        (Method::POST, "/v1/runtime", StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
        (Method::POST, "/healthz", StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
    ] {
        let (found, problem) = server.ask(Some(&token), &method, path, None).await;
        assert_eq!((found, &problem["code"]), (status, &json!(code)), "{method} {path}");
    }
}

#[tokio::test]
async fn a_key_asked_with_a_hundred_times_at_once_has_one_effect() {
    let server = Server::new().await;
    let token = server.scoped(Scope::Command);
    let create = async |profile: &str| {
        let request = Request::post("/v1/workers")
            .header(header::HOST, ADDRESS)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", "once")
            .body(Body::from(json!({ "profile": profile, "labels": { "a": "b" } }).to_string()));
        server.answer(request.expect("a request")).await
    };
    let all = futures_util::future::join_all((0..100).map(|_| create("echo"))).await;
    let (_, first) = &all[0];
    for (status, worker) in &all {
        assert_eq!((*status, &worker["worker_id"]), (StatusCode::CREATED, &first["worker_id"]));
    }
    let workers = server.runtime.workers(&WorkerQuery::default()).expect("Workers").workers;
    assert_eq!(workers.len(), 1);
    let (status, problem) = create("companion").await;
    let expected = (StatusCode::CONFLICT, &json!("idempotency_conflict"));
    assert_eq!((status, &problem["code"]), expected);
}

/// As many answers as the server holds back at once until a turn ends.
const HELD: usize = 128;

#[tokio::test]
async fn answers_beyond_those_that_are_held_come_at_once_and_without_the_outcome() {
    let server = Server::new().await;
    // Each has its share, which is half of them.
    let tokens = [(); 3].map(|()| server.scoped(Scope::Observe));
    // From here on the tokens are known, and nobody waits for the disk.
    server.ask(Some(&tokens[0]), &Method::GET, "/v1/runtime", None).await;
    let request = CreateWorker::profile("base".parse().expect("a name"));
    let request = request.input(Input::text("sleep: 600000"));
    let id = server.runtime.create(request).await.expect("a Worker").worker_id;
    let path = format!("/v1/workers/{id}/turns/1?wait_ms=60000");
    let ask = |token| server.ask(Some(token), &Method::GET, &path, None);
    let mut held: Vec<_> = (0..HELD).map(|n| Box::pin(ask(&*tokens[n % 2]))).collect();
    for answer in &mut held {
        assert!(answer.now_or_never().is_none(), "it is held back");
    }
    let waiting = std::time::Instant::now();
    assert_eq!(ask(&tokens[2]).await, (StatusCode::OK, json!({ "turn_id": 1 })));
    assert!(
        waiting.elapsed() < std::time::Duration::from_secs(60),
        "it was not held as it asked for"
    );

    server.runtime.cancel(id, None).await.expect("cancelled");
    for (status, turn) in futures_util::future::join_all(held).await {
        assert_eq!((status, &turn["outcome"]["status"]), (StatusCode::OK, &json!("cancelled")));
    }
}

//! Whatever is wrong with a request, the answer is a problem with a code.

use axum::body::Body;
use http::{Method, header};
use serde_json::json;

use crate::support::{Bench, NOBODY, WORKERS, bare};

/// The paths below a Worker, and how each is asked.
const OF_WORKER: [(&str, Method); 14] = [
    ("", Method::GET),
    ("", Method::DELETE),
    ("/input", Method::POST),
    ("/cancel", Method::POST),
    ("/stop", Method::POST),
    ("/revoke", Method::POST),
    ("/upgrade", Method::POST),
    ("/start", Method::POST),
    ("/transcript", Method::GET),
    ("/items/1", Method::GET),
    ("/usage", Method::GET),
    ("/events", Method::GET),
    ("/logs", Method::GET),
    ("/events?after=0", Method::GET),
];

impl Bench {
    async fn ask_worker(
        &self,
        worker: &str,
        (path, method): &(&str, Method),
    ) -> crate::support::Answer {
        let path = format!("{worker}{path}");
        if *method == Method::POST {
            let body = match path.as_str() {
                path if path.ends_with("/revoke") => r#"{"grants":["llm"]}"#,
                path if path.ends_with("/upgrade") => r#"{"component":"builtin:echo"}"#,
                _ => r#"{"text":"hi"}"#,
            };
            self.post(&path, body).await
        } else {
            self.ask(bare(self.request(method.clone(), &path))).await
        }
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_told_apart() {
    let bench = Bench::start().await;
    for path in
        ["/nothing", "/api", "/api/", "/api/nothing", "/assets/nothing", "/assets/../console.js"]
    {
        bench.get(path).await.problem(404, "not_found");
    }
    for (method, path) in [
        (Method::POST, "/"),
        (Method::DELETE, "/api/runtimes"),
        (Method::PUT, WORKERS),
        (Method::GET, "/api/login-links"),
        (Method::GET, &format!("{WORKERS}/{NOBODY}/input")),
    ] {
        let answer = bench.ask(bare(bench.request(method, path))).await;
        answer.problem(405, "method_not_allowed");
        assert!(answer.headers.contains_key(header::ALLOW), "{path}");
    }
}

#[tokio::test]
async fn every_route_refuses_ids_that_are_unknown_or_malformed() {
    let bench = Bench::start().await;
    for route in &OF_WORKER {
        // A cancel body names no text, and its error would come first.
        if route.0 == "/cancel" {
            continue;
        }
        let unknown = bench.ask_worker(&format!("{WORKERS}/{NOBODY}"), route).await;
        assert_eq!(unknown.problem(404, "unknown_worker")["worker_id"], NOBODY);
        let elsewhere = format!("/api/runtimes/elsewhere/workers/{NOBODY}");
        let answer = bench.ask_worker(&elsewhere, route).await;
        assert_eq!(answer.problem(404, "unknown_runtime")["runtime_id"], "elsewhere");
        for malformed in [
            format!("{WORKERS}/1"),
            format!("{WORKERS}/{NOBODY}0"),
            format!("{WORKERS}/%00"),
            format!("{WORKERS}/%ff"),
            format!("/api/runtimes/UPPER/workers/{NOBODY}"),
            format!("/api/runtimes/a%2Fb/workers/{NOBODY}"),
        ] {
            bench.ask_worker(&malformed, route).await.problem(400, "invalid_input");
        }
    }
    bench.command(&format!("{WORKERS}/{NOBODY}/cancel")).await.problem(404, "unknown_worker");
    bench.get("/api/runtimes/elsewhere").await.problem(404, "unknown_runtime");
    bench.get("/api/runtimes/elsewhere/workers").await.problem(404, "unknown_runtime");
    bench.get("/api/runtimes/UPPER").await.problem(400, "invalid_input");
}

#[tokio::test]
async fn bodies_that_are_no_input_are_refused() {
    let bench = Bench::start().await;
    let input = format!("{}/input", bench.companion().await);
    let deep = format!(
        r#"{{"parts":[{{"type":"json","json":{}{}}}]}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    for body in [
        "",
        "{",
        "nul",
        "[]",
        "{}",
        "\u{feff}{}",
        r#"{"text":1}"#,
        r#"{"text":""}"#,
        r#"{"text":"a"} {"text":"b"}"#,
        r#"{"text":"a","text":"b"}"#,
        r#"{"text":"a","parts":[]}"#,
        r#"{"text":"a","txet":"b"}"#,
        r#"{"text":"a","if_busy":"whatever"}"#,
        r#"{"parts":[]}"#,
        r#"{"parts":[{"type":"smell","text":"a"}]}"#,
        r#"{"parts":[{"type":"text","text":"a","extra":1}]}"#,
        r#"{"parts":[{"type":"json","json":{"a":1,"a":2}}]}"#,
        &deep,
    ] {
        bench.post(&input, body.to_owned()).await.problem(400, "invalid_input");
    }
    let not_text = bench.post(&input, vec![b'"', 0xff, b'"']).await;
    not_text.problem(400, "invalid_input");
    bench.post(&input, r#"{"text":"fine"}"#).await.expect(http::StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_body_says_that_it_is_json() {
    let bench = Bench::start().await;
    let input = format!("{}/input", bench.companion().await);
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("")] {
        let mut request = bench.request(Method::POST, &input);
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(Body::from(r#"{"text":"hi"}"#)).expect("a request");
        bench.ask(request).await.problem(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let bench = Bench::start().await;
    let input = format!("{}/input", bench.companion().await);
    let body = json!({ "text": "x".repeat(8 << 20) }).to_string();
    let problem = bench.post(&input, body).await.problem(413, "payload_too_large");
    assert_eq!(problem["limit_bytes"], 8 << 20);
    // Under the body's limit, over that of one input.
    let body = json!({ "text": "x".repeat(2 << 20) }).to_string();
    bench.post(&input, body).await.problem(413, "payload_too_large");
}

#[tokio::test]
async fn creation_is_by_profile_and_names_what_there_is() {
    let bench = Bench::start().await;
    for body in [
        "{}",
        r#"{"profile":"Companion"}"#,
        r#"{"profile":"companion","grants":{},"workspace":"site"}"#,
        r#"{"profile":"companion","workspace":"nowhere"}"#,
        r#"{"profile":"companion","component":"builtin:echo"}"#,
        r#"{"profile":"companion","labels":{"a":"1","a":"2"}}"#,
    ] {
        bench.post(WORKERS, body).await.problem(400, "invalid_input");
    }
    // A program may say itself what it grants: here, too little for what the profile needs.
    let grants_none = r#"{"profile":"companion","grants":{}}"#;
    bench.post(WORKERS, grants_none).await.problem(422, "missing_grant");
    let unknown = bench.post(WORKERS, r#"{"profile":"nobody"}"#).await;
    let known = &unknown.problem(404, "unknown_profile")["known"];
    assert!(known.as_array().expect("names").iter().any(|name| name == "companion"));
    let greedy = bench.post(WORKERS, r#"{"profile":"greedy"}"#).await;
    greedy.problem(403, "grant_exceeds_ceiling");
}

#[tokio::test]
async fn parameters_that_make_no_sense_are_refused() {
    let bench = Bench::start().await;
    let worker = bench.companion().await;
    for path in [
        format!("{WORKERS}?limit=x"),
        format!("{WORKERS}?after=x"),
        format!("{WORKERS}?colour=red"),
        format!("{WORKERS}?label=x"),
        format!("{WORKERS}?status=idle&status=idle"),
        "/api/workers?limit=-1".to_owned(),
        format!("{worker}/transcript?before=x"),
        format!("{worker}/transcript?limit=-1"),
        format!("{worker}/transcript?colour=red"),
        format!("{worker}/events?limit=x"),
        format!("{worker}/events?colour=red"),
        format!("{worker}/logs?turn=x"),
        format!("{worker}/usage?before=x"),
        format!("{worker}/usage?limit=-1"),
        format!("{worker}/usage?after=1"),
        format!("{worker}/items/x"),
    ] {
        bench.get(&path).await.problem(400, "invalid_input");
    }
    let input = format!("{worker}/input?wait_ms=-1");
    bench.post(&input, r#"{"text":"hi"}"#).await.problem(400, "invalid_input");
    let cancel = format!("{worker}/cancel");
    bench.post(&cancel, r#"{"turn":1}"#).await.problem(400, "invalid_input");
}

#[tokio::test]
async fn cursors_that_are_none_are_refused() {
    let bench = Bench::start().await;
    let events = format!("{}/events", bench.companion().await);
    for cursor in ["x", "-1", "%2B1", "1.1", "18446744073709551616", NOBODY, ""] {
        let answer = bench.get(&format!("{events}?after={cursor}")).await;
        answer.problem(400, "invalid_cursor");
        let stream = bench
            .request(Method::GET, &format!("{events}?after={cursor}"))
            .header(header::ACCEPT, "text/event-stream");
        bench.ask(bare(stream)).await.problem(400, "invalid_cursor");
    }
    let of_another_log = format!("{}.1", NOBODY.replace('-', ""));
    let answer = bench.get(&format!("{events}?after={of_another_log}")).await;
    answer.problem(400, "invalid_cursor");
    let reconnecting = bench
        .request(Method::GET, &events)
        .header(header::ACCEPT, "text/event-stream")
        .header("last-event-id", "nowhere");
    bench.ask(bare(reconnecting)).await.problem(400, "invalid_cursor");
}

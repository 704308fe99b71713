//! The tokens and certificates of remote Runtimes: where they are, what they are for, and what goes wrong.

use std::{net::TcpListener, os::unix::fs::PermissionsExt as _};

use http::{Method, Request, header};
use http_api::{ServeOptions, ServerTls};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use runtime_server::{NewToken, Scope};
use serde_json::json;
use yoi_workspace_server::{RemoteDefinition, RemoteDefinitions, TokenPlace};

use crate::{
    remotes::{Far, definition, keep},
    support::{Bench, HOST, request},
};

/// What a page of this Backend asks, with the session of `cookie`.
fn browser(cookie: &str, method: Method, path: &str, body: String) -> Request<axum::body::Body> {
    let request = request(method, path)
        .header(header::COOKIE, cookie)
        .header(header::ORIGIN, format!("http://{HOST}"))
        .header(header::CONTENT_TYPE, "application/json");
    request.body(body.into()).expect("a request")
}

#[tokio::test]
async fn a_runtime_whose_token_was_rotated_is_reached_with_the_new_one() {
    let far = Far::start().await;
    let bench = far.bench().await;
    bench.post("/api/runtimes", definition("far", &far.url, "far.token")).await.created();
    let path = "/api/runtimes/far";
    let how = |endpoint: &str, file: &str| {
        json!({ "endpoint": endpoint, "token": { "file": file } }).to_string()
    };
    keep(far.path(), "wrong.token", "sesame");
    let lost = bench.put(path, how(&far.url, "wrong.token")).await.ok();
    assert_eq!(lost["diagnostics"][0]["code"], "remote_auth_failed");
    bench.put(path, how(&far.url, "none.token")).await.problem(400, "invalid_input");

    let admin = NewToken { scopes: [Scope::Admin].into(), ..Default::default() };
    far.keep_token("wrong.token", admin);
    bench.get(&format!("{path}/workers")).await.problem(502, "remote_auth_failed");
    let found = bench.put(path, how(&far.url, "wrong.token")).await.ok();
    assert_eq!((&found["status"], &found["managed_by"]), (&json!("ready"), &json!("api")));
    // Also for who starts anew.
    far.bench().await.command("/api/runtimes/far/test").await.ok();

    bench
        .put("/api/runtimes/nowhere", how(&far.url, "far.token"))
        .await
        .problem(404, "unknown_runtime");
    let of_configuration = "/api/runtimes/backend-internal";
    bench.put(of_configuration, how(&far.url, "far.token")).await.problem(409, "runtime_in_use");
}

#[tokio::test]
async fn a_runtime_whose_token_is_lost_is_still_there_to_be_seen_replaced_and_removed() {
    let far = Far::start().await;
    let bench = far.bench().await;
    bench.post("/api/runtimes", definition("far", &far.url, "far.token")).await.created();
    let token = far.path().join("tokens/far.token");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).expect("set");
    let bench = far.bench().await;
    let listed = bench.get("/api/runtimes/far").await.ok();
    let told = listed["diagnostics"][0]["message"].to_string();
    assert!(
        told.contains("chmod 600") && !told.contains(&far.path().display().to_string()),
        "{told}"
    );
    bench.get("/api/runtimes/far/workers").await.problem(502, "remote_auth_failed");
    bench.command("/api/runtimes/far/test").await.problem(502, "remote_auth_failed");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).expect("set");
    // A test looks for it anew.
    bench.command("/api/runtimes/far/test").await.ok();
    assert_eq!(bench.get("/api/runtimes/far").await.ok()["status"], "ready");
    assert_eq!(bench.delete("/api/runtimes/far").await.status, 204);
}

#[tokio::test]
async fn a_browser_sends_the_token_of_one_runtime_to_no_other_address() {
    let far = Far::start().await;
    let bench = far.bench().await;
    bench.post("/api/runtimes", definition("far", &far.url, "far.token")).await.created();
    let thief = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", thief.local_addr().expect("an address"));
    let cookie = bench.session().await;
    let stolen = definition("thief", &url, "far.token");
    let how = json!({ "endpoint": url, "token": { "file": "far.token" } }).to_string();
    for asked in [
        browser(&cookie, Method::POST, "/api/connection-tests", stolen.clone()),
        browser(&cookie, Method::POST, "/api/runtimes", stolen),
        browser(&cookie, Method::PUT, "/api/runtimes/far", how),
    ] {
        bench.ask(asked).await.problem(403, "forbidden");
    }
    thief.set_nonblocking(true).expect("set");
    assert!(thief.accept().is_err(), "nobody came");
    let same = definition("again", &far.url, "far.token");
    bench.ask(browser(&cookie, Method::POST, "/api/connection-tests", same)).await.ok();
}

#[tokio::test]
async fn a_token_that_is_wrong_or_too_small_is_told_apart_from_a_wrong_request() {
    let far = Far::start().await;
    let bench = far.bench().await;
    keep(far.path(), "wrong.token", "sesame");
    let small = NewToken { scopes: [Scope::Observe].into(), ..Default::default() };
    far.keep_token("small.token", small);
    let wrong = definition("wrong", &far.url, "wrong.token");
    bench.post("/api/connection-tests", wrong.clone()).await.problem(502, "remote_auth_failed");
    let added = bench.post("/api/runtimes", wrong).await.created();
    assert_eq!(
        (&added["status"], &added["diagnostics"][0]["code"]),
        (&json!("unavailable"), &json!("remote_auth_failed"))
    );
    bench.post("/api/runtimes", definition("small", &far.url, "small.token")).await.created();
    let refused = bench.post("/api/runtimes/small/workers", r#"{"profile":"echo"}"#).await;
    refused.problem(502, "remote_auth_failed");
    let unknown = bench.post("/api/runtimes/small/workers", r#"{"profile":"nobody"}"#).await;
    assert_ne!(unknown.status, 401, "the browser is signed in");
    for body in [
        definition("far", "ftp://host", "far.token"),
        definition("far", "http://192.0.2.1:1", "far.token"),
        definition("far", "https://user:sesame@host", "far.token"),
        definition("far", &far.url, "../tokens.json"),
        definition("far", &far.url, "none"),
        json!({ "runtime_id": "far", "endpoint": far.url, "token": { "env": "HOME" } }).to_string(),
        json!({ "runtime_id": "far", "endpoint": far.url, "token": "sesame" }).to_string(),
        json!({ "runtime_id": "far", "endpoint": far.url, "token": { "sesame": "x" } }).to_string(),
    ] {
        let problem = bench.post("/api/runtimes", body).await;
        assert!(!problem.text.contains("sesame"), "{}", problem.text);
        problem.problem(400, "invalid_input");
    }
}

#[tokio::test]
async fn a_browser_sends_no_token_of_the_configuration_elsewhere_either() {
    let far = Far::start().await;
    let remotes = RemoteDefinitions::open(far.path()).expect("definitions");
    let configured = RemoteDefinition {
        runtime_id: "configured".parse().expect("an id"),
        endpoint: far.url.clone(),
        token: TokenPlace::File("far.token".to_owned()),
        certificates: None,
    };
    let bench = Bench::start().await.keeping(remotes.beside(vec![configured]));
    let cookie = bench.session().await;
    let tests = "/api/connection-tests";
    let stolen = definition("thief", "http://127.0.0.1:1", "far.token");
    let refused = bench.ask(browser(&cookie, Method::POST, tests, stolen.clone())).await;
    refused.problem(403, "forbidden");
    // Nor to who shows another certificate at the same address.
    let posing = json!({
        "runtime_id": "thief",
        "endpoint": far.url,
        "token": { "file": "far.token" },
        "certificates": "anything",
    });
    let refused = bench.ask(browser(&cookie, Method::POST, tests, posing.to_string())).await;
    refused.problem(403, "forbidden");
    // Who has the access token is asked for no reason.
    bench.post(tests, stolen).await.problem(503, "runtime_unavailable");
    let same = definition("same", &far.url, "far.token");
    bench.ask(browser(&cookie, Method::POST, tests, same)).await.ok();
}

#[tokio::test]
async fn a_runtime_with_a_certificate_of_its_own_is_reached_by_who_is_told_of_it() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let tls = ServerTls::from_pem(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes());
    let options = ServeOptions { tls: Some(tls.expect("TLS")), ..ServeOptions::default() };
    let far = Far::serving(options).await;
    assert!(far.url.starts_with("https://"));
    let bench = far.bench().await;
    let with = |certificates: &str| {
        json!({
            "runtime_id": "far",
            "endpoint": far.url,
            "token": { "file": "far.token" },
            "certificates": certificates,
        })
        .to_string()
    };
    let unknown = definition("far", &far.url, "far.token");
    let tests = "/api/connection-tests";
    bench.post(tests, unknown.clone()).await.problem(502, "remote_incompatible");
    let other = generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    bench.post(tests, with(&other.cert.pem())).await.problem(502, "remote_incompatible");
    let long = format!("{}{}", cert.pem(), " ".repeat(64 << 10));
    let with_key = format!("{}{}", cert.pem(), signing_key.serialize_pem());
    for refused in ["", " ", &long, &with_key] {
        bench.post(tests, with(refused)).await.problem(400, "invalid_input");
    }
    for none in ["sesame", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        let told = bench.post(tests, with(none)).await.problem(400, "invalid_input");
        let told = told["detail"].to_string();
        assert!(told.contains("PEM") && !told.contains("sesame"), "{told}");
    }
    bench.post(tests, with(&cert.pem())).await.ok();
    bench.post("/api/runtimes", with(&cert.pem())).await.created();
    // Also for who starts anew.
    far.bench().await.command("/api/runtimes/far/test").await.ok();
    let how = json!({ "endpoint": far.url, "token": { "file": "far.token" } });
    let without = bench.put("/api/runtimes/far", how.to_string()).await.ok();
    assert_eq!(without["diagnostics"][0]["code"], "remote_incompatible");
}

#[tokio::test]
async fn a_token_stays_with_the_address_that_it_was_for_after_its_runtime_was_removed_or_replaced()
{
    let far = Far::start().await;
    keep(far.path(), "other.token", "sesame");
    let thief = TcpListener::bind("127.0.0.1:0").expect("a free port");
    thief.set_nonblocking(true).expect("set");
    let stolen = definition(
        "thief",
        &format!("http://{}", thief.local_addr().expect("an address")),
        "far.token",
    );
    let (path, list, tests) = ("/api/runtimes/far", "/api/runtimes", "/api/connection-tests");
    let bench = far.bench().await;
    bench.post(list, definition("far", &far.url, "far.token")).await.created();
    let cookie = bench.session().await;
    let other = json!({ "endpoint": far.url, "token": { "file": "other.token" } }).to_string();
    bench.ask(browser(&cookie, Method::PUT, path, other)).await.ok();
    bench
        .ask(browser(&cookie, Method::POST, tests, stolen.clone()))
        .await
        .problem(403, "forbidden");
    let removed = browser(&cookie, Method::DELETE, "/api/runtimes/far?force=true", String::new());
    assert_eq!(bench.ask(removed).await.status, 204);
    // Also for who starts anew.
    let bench = far.bench().await;
    let cookie = bench.session().await;
    for path in [tests, list] {
        bench
            .ask(browser(&cookie, Method::POST, path, stolen.clone()))
            .await
            .problem(403, "forbidden");
    }
    assert!(thief.accept().is_err(), "nobody came");
    let again = definition("far", &far.url, "far.token");
    bench.ask(browser(&cookie, Method::POST, list, again)).await.created();
    // Who has the access token says anew whom it is for.
    bench.post(list, stolen).await.created();
}

#[tokio::test]
async fn as_many_runtimes_are_added_as_are_asked_how_they_fare() {
    let far = Far::start().await;
    let bench = far.bench().await;
    let add = async |number: usize| {
        let asked = definition(&format!("far-{number}"), "http://127.0.0.1:1", "far.token");
        bench.post("/api/runtimes", asked).await
    };
    for number in 0..64 {
        add(number).await.created();
    }
    add(64).await.problem(503, "capacity");
    assert_eq!(bench.delete("/api/runtimes/far-0?force=true").await.status, 204);
    add(64).await.created();
}

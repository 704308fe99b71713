//! Who may use which route: each of them, with each kind of token that must not.

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use http_api::Peer;
use jiff::Timestamp;
use runtime_server::{NewToken, Scope};
use serde_json::{Value, json};
use worker_runtime::{Runtime, Store};
use worker_types::{CreateWorker, Grants, RuntimeStatus, WorkerQuery};

use crate::support::{ADDRESS, Server, all_routes, of_worker, project, scratch};

#[tokio::test]
async fn every_route_refuses_who_has_no_token_or_one_that_counts_for_nothing() {
    let server = Server::new().await;
    let worker = server.worker("a").await;
    let admin = NewToken { scopes: [Scope::Admin].into(), ..NewToken::default() };
    let expired = server.token(NewToken { expires_at: Some(Timestamp::now()), ..admin.clone() });
    let (removed, secret) = server.tokens.add(admin).expect("a token");
    assert!(server.tokens.remove(removed.id.as_str()).expect("removed"));
    let before = server.runtime.workers(&WorkerQuery::default()).expect("Workers");
    for (method, path, ..) in all_routes(&worker) {
        for token in [None, Some(""), Some("wrong"), Some(&*expired), Some(secret.reveal())] {
            let (status, problem) = server.ask(token, &method, &path, None).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path} {token:?}");
            assert_eq!(problem["code"], "unauthorized", "{method} {path} {token:?}");
        }
    }
    let (status, _) = server.ask(None, &Method::GET, "/v1/nothing", None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "what is not there is not told either");
    assert_eq!(server.runtime.workers(&WorkerQuery::default()).expect("Workers"), before);
}

#[tokio::test]
async fn every_route_takes_its_scope_and_no_smaller_one() {
    let server = Server::new().await;
    for scope in [Scope::Observe, Scope::Command, Scope::Admin] {
        let token = server.scoped(scope);
        let worker = server.worker("a").await;
        for (method, path, needed, body) in all_routes(&worker) {
            let (status, problem) = server.ask(Some(&token), &method, &path, body.as_ref()).await;
            let may = needed == scope || scope == Scope::Admin;
            assert_eq!(status == StatusCode::FORBIDDEN, !may, "{method} {path}: {problem}");
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{method} {path}: {problem}");
            assert!(may || problem["code"] == "forbidden", "{method} {path}: {problem}");
        }
    }
}

#[tokio::test]
async fn a_token_with_labels_reaches_its_own_workers_and_no_others() {
    let server = Server::new().await;
    let token = server.token(NewToken {
        scopes: [Scope::Admin].into(),
        labels: [("team".to_owned(), "a".to_owned())].into(),
        ..NewToken::default()
    });
    let (own, foreign) = (server.worker("a").await, server.worker("b").await);
    for (method, path, _, body) in of_worker(&foreign) {
        let (status, problem) = server.ask(Some(&token), &method, &path, body.as_ref()).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}");
        assert_eq!(problem["code"], "unknown_worker", "{method} {path}");
    }
    let get = async |path: &str| server.ask(Some(&token), &Method::GET, path, None).await;
    let (_, listed) = get("/v1/workers").await;
    let ids = listed["workers"].as_array().expect("a list").iter();
    assert_eq!(ids.map(|worker| &worker["worker_id"]).collect::<Vec<_>>(), [own.as_str()]);
    let (_, listed) = get("/v1/workers?label=team:b").await;
    assert_eq!(listed["workers"], json!([]));
    let (_, runtime) = get("/v1/runtime").await;
    assert_eq!(runtime["overview"]["idle"], 1, "the other team's is not counted");
    assert_eq!(get("/v1/events").await.0, StatusCode::FORBIDDEN, "the feed tells of all");
    let (status, _) = server.ask(Some(&token), &Method::POST, "/v1/components", None).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "components are for all");
    let (status, _) = server.ask(Some(&token), &Method::POST, "/v1/runtime/drain", None).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "the Runtime is everybody's");
    assert_eq!(server.runtime.status(), RuntimeStatus::Ready);

    let create = async |body: Value| {
        server.ask(Some(&token), &Method::POST, "/v1/workers", Some(&body)).await
    };
    let (status, made) = create(json!({ "profile": "echo" })).await;
    assert_eq!((status, &made["labels"]), (StatusCode::CREATED, &json!({ "team": "a" })));
    let (status, _) = create(json!({ "profile": "echo", "labels": { "team": "b" } })).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_token_with_labels_is_told_who_holds_a_directory_only_where_it_may_see_it() {
    let server = Server::new().await;
    let labels = |team: &str| [("team".to_owned(), team.to_owned())].into();
    let new = NewToken { scopes: [Scope::Command].into(), ..NewToken::default() };
    let bound = server.token(NewToken { labels: labels("a"), ..new.clone() });
    let free = server.token(new);
    let hold = async |runtime: &Runtime, team: &str, path: &str| {
        let request = CreateWorker::profile("echo".parse().expect("a name")).label("team", team);
        let held = runtime.create(request.grants(project(path))).await;
        held.expect("a free directory").worker_id.to_string()
    };
    let elsewhere = server.beside("elsewhere").await;
    let (own, foreign) =
        (hold(&server.runtime, "a", "a").await, hold(&server.runtime, "b", "b").await);
    let far = hold(&elsewhere, "a", "c").await;

    let create = async |token: &str, path: &str| {
        let body = json!({ "profile": "echo", "grants": project(path) });
        server.ask(Some(token), &Method::POST, "/v1/workers", Some(&body)).await
    };
    for (token, path, holder) in
        [(&bound, "a", &own), (&free, "a", &own), (&free, "b", &foreign), (&free, "c", &far)]
    {
        let (status, problem) = create(token, path).await;
        let expected = (StatusCode::CONFLICT, &json!("scope_conflict"));
        assert_eq!((status, &problem["code"]), expected, "{path}: {problem}");
        assert!(problem.to_string().contains(holder.as_str()), "{path}: {problem}");
    }
    // One of its Runtime that it does not see, and one of another Runtime, whatever its labels are.
    for (path, holder) in [("b", &foreign), ("c", &far)] {
        let (_, problem) = create(&bound, path).await;
        assert_eq!(problem["code"], "preopen_unavailable", "{path}: {problem}");
        let text = problem.to_string();
        assert!(!text.contains(holder.as_str()) && !text.contains("elsewhere"), "{problem}");
    }

    // The same for a Worker that is to start again.
    server.runtime.stop(own.parse().expect("an id")).await.expect("stopped");
    let start = async || {
        let path = format!("/v1/workers/{own}/start");
        server.ask(Some(&bound), &Method::POST, &path, Some(&json!({}))).await.1
    };
    let thief = hold(&server.runtime, "b", "a").await;
    let problem = start().await;
    assert_eq!(problem["code"], "preopen_unavailable", "{problem}");
    assert!(!problem.to_string().contains(&thief), "{problem}");
    server.runtime.stop(thief.parse().expect("an id")).await.expect("stopped");
    let heir = hold(&server.runtime, "a", "a").await;
    let problem = start().await;
    assert_eq!(problem["code"], "scope_conflict", "{problem}");
    assert!(problem.to_string().contains(&heir), "{problem}");
}

#[tokio::test]
async fn a_token_with_a_ceiling_grants_no_more_than_that() {
    let server = Server::new().await;
    let new = NewToken { scopes: [Scope::Command].into(), ..NewToken::default() };
    let free = server.token(new.clone());
    let bound = server.token(NewToken { ceiling: Some(Grants::none()), ..new });
    let body = json!({ "profile": "echo", "grants": scratch() });
    let create = async |token: &str| {
        server.ask(Some(token), &Method::POST, "/v1/workers", Some(&body)).await
    };
    assert_eq!(create(&free).await.0, StatusCode::CREATED);
    let (status, problem) = create(&bound).await;
    let expected = (StatusCode::FORBIDDEN, &json!("grant_exceeds_ceiling"));
    assert_eq!((status, &problem["code"]), expected);
}

#[tokio::test]
async fn requests_of_pages_and_for_other_hosts_are_refused() {
    let server = Server::new().await;
    let token = server.scoped(Scope::Admin);
    for (host, origin) in [
        (ADDRESS, Some("http://127.0.0.1:38800")),
        (ADDRESS, Some("null")),
        ("evil.example:38800", None),
        ("127.0.0.1:1", None),
    ] {
        let mut request = Request::get("/v1/runtime").header(header::HOST, host);
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        let (status, _) = server.answer(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{host} {origin:?}");
    }
}

#[tokio::test]
async fn whether_it_is_there_is_open_and_whether_it_is_ready_ends_with_the_shutdown() {
    let server = Server::new().await;
    let get = async |path: &str| server.ask(None, &Method::GET, path, None).await.0;
    assert_eq!(get("/healthz").await, StatusCode::NO_CONTENT);
    assert_eq!(get("/readyz").await, StatusCode::NO_CONTENT);
    server.runtime.shutdown(std::time::Duration::ZERO).await;
    assert_eq!(get("/healthz").await, StatusCode::NO_CONTENT);
    assert_eq!(get("/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_component_that_comes_twice_at_once_is_kept_once_and_both_are_told_so() {
    let logs = tempfile::tempdir().expect("a directory");
    let server = Server::on(Store::sqlite(logs.path()).expect("a store")).await;
    let token = server.scoped(Scope::Admin);
    let request = |method: Method, path: &str, body: Body| {
        let request = Request::builder().method(method).uri(path).header(header::HOST, ADDRESS);
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        request.body(body).expect("a request")
    };
    let upload = || {
        let bytes = Body::from(builtin_workers::COMPANION.to_vec());
        server.answer(request(Method::POST, "/v1/components", bytes))
    };
    let (one, other) = tokio::join!(upload(), upload());
    assert_eq!(one.0, StatusCode::CREATED, "{}", one.1);
    assert_eq!(one, other);
    let path = format!("/v1/components/{}", one.1["digest"].as_str().expect("a digest"));
    for expected in [StatusCode::NO_CONTENT, StatusCode::NOT_FOUND] {
        let (status, problem) = server.answer(request(Method::DELETE, &path, Body::empty())).await;
        assert_eq!(status, expected, "{problem}");
    }
}

#[tokio::test]
async fn a_component_is_kept_and_what_is_none_is_refused() {
    let server = Server::new().await;
    let token = server.scoped(Scope::Admin);
    let upload = async |bytes: Vec<u8>| {
        let request = Request::post("/v1/components")
            .header(header::HOST, ADDRESS)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::from(bytes));
        server.answer(request.expect("a request")).await
    };
    let (status, kept) = upload(builtin_workers::COMPANION.to_vec()).await;
    assert_eq!((status, &kept["capabilities"]), (StatusCode::CREATED, &json!(["llm"])), "{kept}");
    let (status, problem) = upload(b"junk".to_vec()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    let limit = server.runtime.summary().limits.component_bytes;
    let (status, problem) = upload(vec![0; usize::try_from(limit).expect("a length") + 1]).await;
    let expected = (StatusCode::PAYLOAD_TOO_LARGE, &json!("payload_too_large"));
    assert_eq!((status, &problem["code"]), expected);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_of_tokens_that_is_broken_makes_no_token_wrong() {
    let server = Server::new().await;
    let token = server.scoped(Scope::Observe);
    let path = server.token_path();
    let good = std::fs::read(&path).expect("the file");
    std::fs::write(&path, "{\"tokens\": 7}").expect("written");
    // Wrong ones would be refused as too many after ten.
    for token in [&*token, "wrong"].repeat(10) {
        let mut request = Request::get("/v1/runtime").header(header::HOST, ADDRESS);
        request = request.extension(Peer(([192, 0, 2, 7], 1).into()));
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        let (status, problem) =
            server.answer(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
        let expected = (&json!("runtime_unavailable"), &json!(true));
        assert_eq!((&problem["code"], &problem["retryable"]), expected);
    }
    std::fs::write(&path, good).expect("mended");
    let get = async |token| server.ask(Some(token), &Method::GET, "/v1/runtime", None).await.0;
    assert_eq!(get(&token).await, StatusCode::OK);
    assert_eq!(get("wrong").await, StatusCode::UNAUTHORIZED);
}

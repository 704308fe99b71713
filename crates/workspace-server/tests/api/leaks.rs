//! Every route, error and stream of a Backend over an embedded Runtime, a remote one and one that is gone, searched
//! for what nobody is to learn.

use std::{cell::RefCell, collections::BTreeSet};

use http::{Method, header};
use serde_json::{Value, json};

use crate::{
    remotes::{Far, definition},
    support::{Answer, Bench, NOBODY, bare},
};

/// Asks, and keeps all that is answered.
struct Walk<'a> {
    bench: &'a Bench,
    /// Each answer, with its headers.
    answers: RefCell<Vec<String>>,
    /// The operations of the document that were asked, each as `get /path/{of}/it`.
    asked: RefCell<BTreeSet<String>>,
}

impl Walk<'_> {
    /// Asks for `path`, where each `{…}` of `template` has a value.
    async fn ask(&self, method: Method, template: &str, path: &str, body: Option<Value>) -> Answer {
        let operation = format!("{} {template}", method.as_str().to_lowercase());
        self.asked.borrow_mut().insert(operation);
        let request = self.bench.request(method, path);
        let answer = match body {
            Some(body) => {
                let request = request.header(header::CONTENT_TYPE, "application/json");
                self.bench.ask(request.body(body.to_string().into()).expect("a request")).await
            }
            None => self.bench.ask(bare(request)).await,
        };
        self.answers.borrow_mut().push(format!("{:?}\n{}", answer.headers, answer.text));
        answer
    }

    /// Reads what a stream says until a turn has ended, or the stream has.
    async fn stream(&self, path: &str) {
        let request = self.bench.request(Method::GET, path);
        let request = request.header(header::ACCEPT, "text/event-stream");
        let response = self.bench.send(bare(request)).await;
        let headers = format!("{:?}", response.headers());
        self.answers.borrow_mut().push(headers);
        if !response.status().is_success() {
            return;
        }
        let mut stream = self.bench.stream(path, None).await;
        while let Some(message) = stream.next().await {
            self.answers.borrow_mut().push(format!("{message:?}"));
            if ["turn.ended", "follow.failed", "problem"].contains(&message.name.as_str()) {
                return;
            }
        }
    }

    /// Everything that can be asked of one Runtime and of a Worker in it, which is told `text`.
    async fn runtime(&self, id: &str, text: &str) {
        let of = |path: &str| format!("/api/runtimes/{{runtime_id}}{path}");
        let at = |path: &str| format!("/api/runtimes/{id}{path}");
        let body = json!({ "profile": "companion" });
        let created =
            self.ask(Method::POST, &of("/workers"), &at("/workers"), Some(body)).await.json();
        let worker = created["worker_id"].as_str().unwrap_or(NOBODY).to_owned();
        let of_worker = |path: &str| of(&format!("/workers/{{worker_id}}{path}"));
        let at_worker = |path: &str| at(&format!("/workers/{worker}{path}"));
        let input = at_worker("/input?wait_ms=60000");
        let said = Some(json!({ "text": text }));
        self.ask(Method::POST, &of_worker("/input"), &input, said).await;

        for path in ["", "/workers", "/events"] {
            self.ask(Method::GET, &of(path), &at(path), None).await;
        }
        let launch = at("/launch?profile=companion");
        self.ask(Method::GET, &of("/launch"), &launch, None).await;
        for path in ["", "/transcript", "/events", "/usage", "/logs"] {
            self.ask(Method::GET, &of_worker(path), &at_worker(path), None).await;
        }
        for (template, path) in [
            ("/items/{item_id}", "/items/1"),
            ("/items/{item_id}", "/items/999"),
            ("/turns/{turn_id}", "/turns/1"),
        ] {
            self.ask(Method::GET, &of_worker(template), &at_worker(path), None).await;
        }
        self.ask(Method::GET, &of_worker(""), &at("/workers/x"), None).await;
        self.stream(&at_worker("/events")).await;
        self.stream(&format!("/api/events?follow={id}/{worker}/")).await;

        for path in ["/cancel", "/stop", "/start", "/stop", "/revoke", "/upgrade", "/input"] {
            self.ask(Method::POST, &of_worker(path), &at_worker(path), None).await;
        }
        self.ask(Method::POST, &of("/test"), &at("/test"), None).await;
        self.ask(Method::POST, &of("/components"), &at("/components"), None).await;
        let digest = format!("/components/sha256:{}", "0".repeat(64));
        self.ask(Method::DELETE, &of("/components/{digest}"), &at(&digest), None).await;
        self.ask(Method::DELETE, &of_worker(""), &at_worker(""), None).await;
        let how = json!({ "endpoint": "ftp://host", "token": { "file": "far.token" } });
        self.ask(Method::PUT, &of(""), &at(""), Some(how)).await;
        self.ask(Method::DELETE, &of(""), &at(""), None).await;
    }

    async fn backend(&self, far: &Far) {
        for path in ["/openapi.json", "/runtimes", "/workers", "/workspaces", "/events", "/login"] {
            let path = format!("/api{path}");
            self.ask(Method::GET, &path, &path, None).await;
        }
        for path in ["/api/nothing", "/", "/assets/x"] {
            self.ask(Method::GET, path, path, None).await;
        }
        for path in ["/api/connection-tests", "/api/runtimes"] {
            for (id, url) in [("far", far.url.as_str()), ("none", "http://127.0.0.1:1")] {
                for file in ["far.token", "none.token"] {
                    let asked: Value =
                        serde_json::from_str(&definition(id, url, file)).expect("JSON");
                    self.ask(Method::POST, path, path, Some(asked)).await;
                }
            }
        }
        let wrong = Some(json!({ "password": "none of these words" }));
        self.ask(Method::POST, "/api/login", "/api/login", wrong).await;
        self.ask(Method::POST, "/api/logout", "/api/logout", None).await;
        // It is made to be shown: a secret that works once.
        self.asked.borrow_mut().insert("post /api/login-links".to_owned());
    }
}

/// All answers, where a Worker is told `text` in each Runtime; and what must be in none of them.
async fn walk(text: impl Fn(&[String]) -> String) -> (Vec<String>, Vec<String>) {
    let far = Far::start().await;
    let bench = far.bench().await;
    bench.post("/api/runtimes", definition("far", &far.url, "far.token")).await.created();
    let gone = definition("gone", "http://127.0.0.1:1", "far.token");
    bench.post("/api/runtimes", gone).await.created();
    let secrets = vec![
        std::fs::read_to_string(far.path().join("tokens/far.token")).expect("a token"),
        bench.access_token.reveal().to_owned(),
        far.path().display().to_string(),
        far.url.trim_start_matches("http://").to_owned(),
        "127.0.0.1:1".to_owned(),
        env!("CARGO_MANIFEST_DIR").to_owned(),
    ];
    let walk = Walk { bench: &bench, answers: RefCell::default(), asked: RefCell::default() };
    let text = text(&secrets);
    for runtime in ["backend-internal", "far", "gone", "nowhere"] {
        walk.runtime(runtime, &text).await;
    }
    walk.backend(&far).await;

    let document = bench.get("/api/openapi.json").await.ok();
    let asked = walk.asked.into_inner();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys() {
            let operation = format!("{method} {path}");
            assert!(asked.contains(&operation), "nobody asked `{operation}`: {asked:#?}");
        }
    }
    (walk.answers.into_inner(), secrets)
}

fn leaked<'a>(answers: &'a [String], secrets: &[String]) -> Vec<&'a String> {
    let leaks = |answer: &&String| secrets.iter().any(|secret| answer.contains(secret.as_str()));
    answers.iter().filter(leaks).collect()
}

#[tokio::test]
async fn no_answer_has_a_path_an_address_or_a_token() {
    let (answers, secrets) = walk(|_| "hi".to_owned()).await;
    assert_eq!(leaked(&answers, &secrets), Vec::<&String>::new());
}

#[tokio::test]
async fn a_secret_that_a_person_tells_a_worker_is_found_so_the_search_finds_what_is_there() {
    let (answers, secrets) = walk(|secrets| format!("it is {}", secrets[0])).await;
    let found = leaked(&answers, &secrets);
    // In the embedded Runtime and in the remote one: transcript, item, page of the log, feed, and two streams.
    assert!(found.len() >= 12, "{found:#?}");
    let is_message = |answer: &&&String| answer.starts_with("Message");
    assert!(found.iter().filter(is_message).count() >= 4, "{found:#?}");
}

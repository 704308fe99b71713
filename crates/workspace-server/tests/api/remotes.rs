//! Remote Runtimes: added, tried, used and removed by requests, and what goes wrong with them.

use std::{io::Write as _, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path};

use http_api::ServeOptions;
use llm_engine::OfflineModel;
use runtime_server::{NewToken, RuntimeServer, Scope, TokenFile};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, runtime};

/// A Runtime behind HTTP in this process, and the data directory of a Backend that has its token.
pub(crate) struct Far {
    pub(crate) url: String,
    tokens: TokenFile,
    directory: TempDir,
    #[expect(dead_code, reason = "it ends with this")]
    serving: JoinSet<()>,
}

impl Far {
    pub(crate) async fn start() -> Self {
        Self::serving(ServeOptions::default()).await
    }

    pub(crate) async fn serving(options: ServeOptions) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let tokens = TokenFile::new(directory.path().join("tokens.json"));
        let runtime = runtime("what-it-calls-itself", OfflineModel::instant()).await;
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let server = RuntimeServer::new(runtime, tokens.clone()).with_serve_options(options);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("{scheme}://{}", listener.local_addr().expect("an address"));
        std::fs::create_dir(directory.path().join("tokens")).expect("a directory");
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            server.serve(listener, CancellationToken::new()).await.expect("it serves");
        });
        let far = Self { url, tokens, directory, serving };
        far.keep_token(
            "far.token",
            NewToken { scopes: [Scope::Admin].into(), ..Default::default() },
        );
        far
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn keep_token(&self, name: &str, token: NewToken) -> String {
        let (_, secret) = self.tokens.add(token).expect("a token");
        keep(self.path(), name, secret.reveal());
        secret.reveal().to_owned()
    }

    pub(crate) async fn bench(&self) -> Bench {
        Bench::start().await.keeping_remotes(self.path())
    }
}

pub(crate) fn keep(directory: &Path, name: &str, token: &str) {
    let path = directory.join("tokens").join(name);
    std::fs::write(&path, token).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
}

pub(crate) fn definition(id: &str, endpoint: &str, file: &str) -> String {
    json!({ "runtime_id": id, "endpoint": endpoint, "token": { "file": file } }).to_string()
}

#[tokio::test]
async fn a_remote_runtime_is_added_used_and_removed_as_if_it_were_here() {
    let far = Far::start().await;
    let bench = far.bench().await;
    let asked = definition("far", &far.url, "far.token");
    let tried = bench.post("/api/connection-tests", asked.clone()).await.ok();
    assert_eq!(tried["runtime_id"], "what-it-calls-itself");
    let added = bench.post("/api/runtimes", asked.clone()).await.created();
    assert_eq!(
        (&added["runtime_id"], &added["source_kind"], &added["managed_by"], &added["status"]),
        (&json!("far"), &json!("remote"), &json!("api"), &json!("ready"))
    );
    bench.post("/api/runtimes", asked).await.problem(409, "runtime_exists");
    bench.command("/api/runtimes/far/test").await.ok();

    let workers = "/api/runtimes/far/workers";
    let worker = bench.post(workers, r#"{"profile":"companion"}"#).await.created();
    assert_eq!(
        (&worker["runtime_id"], &worker["authority"]),
        (&json!("far"), &json!(["may ask the model default"]))
    );
    let path = format!("{workers}/{}", worker["worker_id"].as_str().expect("an id"));
    let said = bench.say(&path, "hello").await;
    assert_eq!(
        (&said["outcome"]["status"], &said["runtime_id"]),
        (&json!("completed"), &json!("far"))
    );
    let streamed = bench.stream(&format!("{path}/events"), None).await.until("turn.ended").await;
    let log = bench.get(&format!("{path}/events")).await.ok();
    let replayed: Vec<Value> = streamed.into_iter().map(|message| message.data).collect();
    assert_eq!(log["events"].as_array().expect("events"), &replayed);
    let all = bench.get("/api/workers").await.ok();
    assert_eq!(all["workers"][0]["runtime_id"], "far");

    // Who starts anew finds it, and it stays while it has work, unless it is forced out.
    let bench = far.bench().await;
    bench.delete("/api/runtimes/far").await.problem(409, "runtime_in_use");
    bench.command(&format!("{path}/stop")).await;
    assert_eq!(bench.delete("/api/runtimes/far").await.status, 204);
    bench.get("/api/runtimes/far").await.problem(404, "unknown_runtime");
    assert_eq!(
        far.bench().await.get("/api/runtimes").await.ok()["runtimes"].as_array().map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn a_runtime_that_cannot_be_forgotten_stays() {
    let far = Far::start().await;
    let bench = far.bench().await;
    bench.post("/api/runtimes", definition("far", &far.url, "far.token")).await.created();
    // A directory where the new file is to be written.
    std::fs::create_dir(far.path().join("remotes.json.new")).expect("a directory");
    bench.delete("/api/runtimes/far").await.problem(503, "runtime_unavailable");
    bench.get("/api/runtimes/far").await.ok();
    let another = definition("another", &far.url, "far.token");
    bench.post("/api/runtimes", another).await.problem(503, "runtime_unavailable");
    bench.get("/api/runtimes/another").await.problem(404, "unknown_runtime");
    std::fs::remove_dir(far.path().join("remotes.json.new")).expect("removed");
    assert_eq!(bench.delete("/api/runtimes/far").await.status, 204);
}

#[tokio::test]
async fn a_runtime_of_the_configuration_is_removed_by_no_request_and_not_tried_where_it_is_embedded()
 {
    let far = Far::start().await;
    let bench = far.bench().await;
    bench.delete("/api/runtimes/backend-internal").await.problem(409, "runtime_in_use");
    bench.delete("/api/runtimes/backend-internal?force=true").await.problem(409, "runtime_in_use");
    bench.command("/api/runtimes/backend-internal/test").await.problem(501, "unsupported");
    let nothing_kept = Bench::start().await;
    let asked = definition("far", &far.url, "far.token");
    nothing_kept.post("/api/runtimes", asked).await.problem(501, "unsupported");
}

/// What answers like this, whatever it is asked.
fn answering(answer: impl Into<String>) -> String {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            let mut head = [0; 4_096];
            let _ = std::io::Read::read(&mut connection, &mut head);
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    url
}

#[tokio::test]
async fn what_is_no_runtime_of_this_version_is_told_so() {
    let far = Far::start().await;
    let bench = far.bench().await;
    for (name, answer, status, code) in [
        ("page", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n<html", 502, "remote_incompatible"),
        (
            "moved",
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            502,
            "remote_incompatible",
        ),
        (
            "gateway",
            "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
            503,
            "runtime_unavailable",
        ),
        ("broken", "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{", 503, "runtime_unavailable"),
        ("noise", "\u{1}\u{2}\r\n\r\n", 503, "runtime_unavailable"),
    ] {
        let url = answering(answer);
        let tried = bench.post("/api/connection-tests", definition(name, &url, "far.token")).await;
        let told = tried.problem(status, code)["detail"].to_string();
        assert!(!told.contains(&url) && !told.contains("127.0.0.1"), "{told}");
    }
    let gone = definition("gone", "http://127.0.0.1:1", "far.token");
    bench.post("/api/connection-tests", gone).await.problem(503, "runtime_unavailable");
}

/// What another JSON answers to everything.
fn lying(body: &str) -> String {
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    answering(format!("{head}content-length: {length}\r\n\r\n{body}"))
}

#[tokio::test]
async fn a_runtime_that_lies_hides_no_worker_of_another() {
    let far = Far::start().await;
    let bench = far.bench().await;
    let worker = bench.companion().await;
    let next = "00000000-0000-7000-8000-000000000000";
    let url = lying(&json!({ "workers": [], "next": next }).to_string());
    bench.post("/api/runtimes", definition("evil", &url, "far.token")).await.created();
    let page = bench.get("/api/workers").await.ok();
    assert_eq!(page["workers"].as_array().map(Vec::len), Some(1), "{page}");
    assert!(worker.ends_with(page["workers"][0]["worker_id"].as_str().expect("an id")));
    assert_eq!(page["diagnostics"][0]["code"], "remote_incompatible");
    bench.get("/api/runtimes/evil/workers").await.problem(502, "remote_incompatible");
}

#[tokio::test]
async fn a_runtime_of_another_release_is_listed_as_one_that_is_not_understood() {
    let far = Far::start().await;
    let bench = far.bench().await;
    let mut summary = bench.get("/api/runtimes/backend-internal").await.ok();
    summary["version"] = "0.9.0".into();
    let url = lying(&summary.to_string());
    let added = bench.post("/api/runtimes", definition("newer", &url, "far.token")).await.created();
    assert_eq!(added["status"], "unavailable");
    let told = &added["diagnostics"][0];
    assert_eq!(told["code"], "remote_incompatible");
    assert!(told["message"].as_str().is_some_and(|message| message.contains("0.9.0")), "{told}");
}

#[tokio::test]
async fn a_runtime_that_never_answers_holds_up_no_stream() {
    let far = Far::start().await;
    let bench = far.bench().await;
    // The kernel takes the connection, and nobody answers.
    let silence = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", silence.local_addr().expect("an address"));
    bench.post("/api/runtimes", definition("mute", &url, "far.token")).await.created();
    let worker = bench.companion().await;
    let id = worker.rsplit('/').next().expect("an id");
    let path = format!("/api/events?follow=mute/{id}/&follow=backend-internal/{id}/");
    let first = bench.stream(&path, None).await.next().await.expect("an event");
    assert_eq!((first.name.as_str(), &first.data["worker_id"]), ("worker.created", &json!(id)));
    drop(silence);
}

#[tokio::test]
async fn what_a_runtime_says_of_itself_is_short_and_plain_or_nothing() {
    let far = Far::start().await;
    let bench = far.bench().await;
    let summary = bench.get("/api/runtimes/backend-internal").await.ok();
    for (field, text) in [
        ("version", "9.9\u{1b}[31m\r\n2026 ERROR forged".to_owned()),
        ("version", "0".repeat(65)),
        ("display_name", "x".repeat(2 << 10)),
        ("display_name", "x".repeat(2 << 20)),
    ] {
        let mut lying_summary = summary.clone();
        lying_summary[field] = text.clone().into();
        let url = lying(&lying_summary.to_string());
        let tried =
            bench.post("/api/connection-tests", definition("evil", &url, "far.token")).await;
        tried.problem(502, "remote_incompatible");
        assert!(tried.text.len() < 1_000, "{field}: {} bytes", tried.text.len());
    }
}

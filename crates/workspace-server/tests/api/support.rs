//! A Backend over a real Runtime, and a client that speaks to its routes without a socket.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, BodyDataStream, to_bytes},
};
use futures_util::StreamExt as _;
use http::{HeaderMap, Method, Request, Response, StatusCode, header, request};
use llm_engine::{ModelProvider, Models, OfflineModel, ScriptedModel, Step};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use worker_runtime::{Runtime, RuntimeBuilder, Store};
use worker_types::{Access, Grants, ProfileName, RuntimeId};
use yoi_workspace_server::{
    AccessToken, Backend, LaunchPolicy, PasswordFile, ProfilePolicy, Registration,
    RemoteDefinitions, RuntimeRegistry, RuntimeSource, ServeOptions,
};

/// Long enough for a machine under load; a test that waits this long has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The host that requests without a socket name.
pub(crate) const HOST: &str = "127.0.0.1:38080";

/// Where the Workers of the first Runtime are.
pub(crate) const WORKERS: &str = "/api/runtimes/backend-internal/workers";

/// A well-formed id that no Worker has.
pub(crate) const NOBODY: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A Backend without a socket.
pub(crate) struct Bench {
    pub(crate) backend: Backend,
    pub(crate) access_token: AccessToken,
    pub(crate) shutdown: CancellationToken,
    app: Router,
}

impl Bench {
    /// One Runtime, `backend-internal`, with a model that answers at once.
    pub(crate) async fn start() -> Self {
        Self::with_model(OfflineModel::instant()).await
    }

    /// One Runtime whose model plays a script.
    pub(crate) async fn with_model(model: impl ModelProvider + 'static) -> Self {
        Self::of([runtime("backend-internal", model).await])
    }

    pub(crate) fn of(runtimes: impl IntoIterator<Item = Runtime>) -> Self {
        let sources = runtimes.into_iter().map(RuntimeSource::embedded);
        Self::registered(sources.map(Registration::new))
    }

    pub(crate) fn registered(runtimes: impl IntoIterator<Item = Registration>) -> Self {
        let registry = RuntimeRegistry::new();
        for runtime in runtimes {
            registry.register(runtime).expect("ids of their own");
        }
        let access_token = AccessToken::generate();
        // `greedy` is granted more than the Runtime gives, and `echo` nothing outside of a workspace.
        let profiles = BTreeMap::from([
            (name("companion"), llm("default").into()),
            (name("greedy"), llm("dear").into()),
            (
                name("echo"),
                ProfilePolicy { workspace: Some(Access::ReadOnly), ..Default::default() },
            ),
        ]);
        let workspaces =
            BTreeMap::from([("site".parse().expect("a name"), "project".parse().expect("a root"))]);
        let policy = LaunchPolicy::new(profiles, workspaces);
        let options = ServeOptions {
            header_read_timeout: Duration::from_secs(1),
            max_connections: 4,
            ..ServeOptions::default()
        };
        let backend = Backend::new(registry, policy, &access_token).with_serve_options(options);
        let shutdown = CancellationToken::new();
        let address: SocketAddr = HOST.parse().expect("an address");
        let app = backend.app(address, shutdown.clone());
        Self { backend, access_token, shutdown, app }
    }

    /// The same, keeping in `directory` what requests add.
    pub(crate) fn keeping_remotes(self, directory: &Path) -> Self {
        self.keeping(RemoteDefinitions::open(directory).expect("definitions"))
    }

    pub(crate) fn keeping(mut self, remotes: RemoteDefinitions) -> Self {
        self.backend = self.backend.with_remotes(remotes);
        let address: SocketAddr = HOST.parse().expect("an address");
        self.app = self.backend.app(address, self.shutdown.clone());
        self
    }

    /// The same, at which browsers also sign in with a password.
    pub(crate) fn with_password(mut self, file: PasswordFile) -> Self {
        self.backend = self.backend.with_password(file);
        let address: SocketAddr = HOST.parse().expect("an address");
        self.app = self.backend.app(address, self.shutdown.clone());
        self
    }

    /// The same, serving at most `max` event streams at once.
    pub(crate) fn with_event_streams(mut self, max: usize) -> Self {
        let options = ServeOptions { max_event_streams: max, ..ServeOptions::default() };
        self.backend = self.backend.with_serve_options(options);
        let address: SocketAddr = HOST.parse().expect("an address");
        self.app = self.backend.app(address, self.shutdown.clone());
        self
    }

    /// Sends a request exactly as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.app.clone().oneshot(request).await.expect("the app never fails")
    }

    /// Sends a request and reads all of the answer.
    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.send(request).await.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.into()).expect("text"),
        }
    }

    /// The start of a request with the access token.
    pub(crate) fn request(&self, method: Method, path: &str) -> request::Builder {
        let bearer = format!("Bearer {}", self.access_token.reveal());
        request(method, path).header(header::AUTHORIZATION, bearer)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(bare(self.request(Method::GET, path))).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.into());
        self.ask(request.expect("a request")).await
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<Body>) -> Answer {
        let request = self
            .request(Method::PUT, path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.into())
            .expect("a request");
        self.ask(request).await
    }

    /// A POST with an idempotency key.
    pub(crate) async fn post_keyed(&self, path: &str, key: &str, body: &str) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(body.to_owned().into());
        self.ask(request.expect("a request")).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask(bare(self.request(Method::DELETE, path))).await
    }

    /// A POST without a body.
    pub(crate) async fn command(&self, path: &str) -> Answer {
        self.ask(bare(self.request(Method::POST, path))).await
    }

    /// Creates a companion and gives its path.
    pub(crate) async fn companion(&self) -> String {
        let worker = self.post(WORKERS, r#"{"profile":"companion"}"#).await.created();
        format!("{WORKERS}/{}", worker["worker_id"].as_str().expect("an id"))
    }

    /// Sends an input and waits for its turn to end.
    pub(crate) async fn say(&self, worker: &str, text: &str) -> Value {
        let path = format!("{worker}/input?wait_ms=60000");
        let answer = self.post(&path, json!({ "text": text }).to_string()).await;
        answer.expect(StatusCode::OK)
    }

    /// Opens a stream of events.
    pub(crate) async fn stream(&self, path: &str, last_event_id: Option<&str>) -> SseReader {
        let mut request =
            self.request(Method::GET, path).header(header::ACCEPT, "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = self.send(bare(request)).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        SseReader { body: response.into_body().into_data_stream(), unread: String::new() }
    }
}

/// A model whose calls never end.
pub(crate) fn silent() -> ScriptedModel {
    ScriptedModel::new().otherwise([Step::Hang])
}

pub(crate) async fn runtime(id: &str, model: impl ModelProvider + 'static) -> Runtime {
    builder(id, model).build().await.expect("a Runtime")
}

/// A Runtime that is still to be built.
pub(crate) fn builder(id: &str, model: impl ModelProvider + 'static) -> RuntimeBuilder {
    let mut greedy = builtin_workers::profiles()
        .into_iter()
        .find(|profile| profile.name.as_str() == "companion")
        .expect("a companion");
    greedy.name = name("greedy");
    Runtime::builder(id.parse::<RuntimeId>().expect("an id"))
        .store(Store::memory())
        .models(Models::none().with("default", Arc::new(model)))
        .components(builtin_workers::components())
        .profiles(builtin_workers::profiles())
        .profiles([greedy])
        .ceiling(llm("default"))
}

fn name(text: &str) -> ProfileName {
    text.parse().expect("a name")
}

fn llm(alias: &str) -> Grants {
    Grants::none().with_llm([alias.parse().expect("an alias")])
}

/// The start of a request without credentials.
pub(crate) fn request(method: Method, path: &str) -> request::Builder {
    Request::builder().method(method).uri(path).header(header::HOST, HOST)
}

pub(crate) fn bare(request: request::Builder) -> Request<Body> {
    request.body(Body::empty()).expect("a request")
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(&self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        self.expect(StatusCode::OK)
    }

    #[track_caller]
    pub(crate) fn created(&self) -> Value {
        self.expect(StatusCode::CREATED)
    }

    /// Checks that this is a whole problem with this status and code.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{}", self.text);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].is_string() && problem["retryable"].is_boolean());
        assert!(!problem["detail"].as_str().expect("a detail").is_empty());
        problem
    }
}

/// What a stream of events says.
pub(crate) struct SseReader {
    body: BodyDataStream,
    unread: String,
}

/// One message of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

impl SseReader {
    /// The next message; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let message = parse(block);
                self.unread = rest.to_owned();
                if message.is_some() {
                    return message;
                }
                continue;
            }
            let chunk = tokio::time::timeout(DEADLINE, self.body.next())
                .await
                .expect("the stream says something in time")?
                .expect("the stream does not break");
            self.unread.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    /// The next piece as it was sent, comments included.
    pub(crate) async fn raw(&mut self) -> String {
        let chunk = self.body.next().await.expect("the stream goes on").expect("and is whole");
        String::from_utf8(chunk.into()).expect("text")
    }

    /// Every message up to and including the first with this name.
    pub(crate) async fn until(&mut self, name: &str) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let message = self.next().await.expect("the stream goes on");
            let found = message.name == name;
            messages.push(message);
            if found {
                return messages;
            }
        }
    }
}

/// A message, unless the block holds comments only.
fn parse(block: &str) -> Option<Message> {
    let field =
        |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let data = field("data")?;
    Some(Message {
        name: field("event").expect("every message has a name").to_owned(),
        id: field("id").map(str::to_owned),
        data: serde_json::from_str(data).expect("JSON"),
    })
}

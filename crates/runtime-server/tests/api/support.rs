//! A served Runtime, and the routes it has.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::Path,
};

use axum::{Router, body::Body};
use http::{Method, Request, StatusCode, header};
use runtime_server::{NewToken, RuntimeServer, Scope, TokenFile};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use worker_runtime::{Root, Runtime, Store};
use worker_types::{Access, ComponentRef, CreateWorker, Grants, Preopen, Profile, RootName};

pub(crate) const ADDRESS: &str = "127.0.0.1:38800";

/// A served Runtime that runs `echo`, and grants a private directory, and the root `project`, to whoever asks.
pub(crate) struct Server {
    pub(crate) runtime: Runtime,
    pub(crate) app: Router,
    pub(crate) tokens: TokenFile,
    directory: TempDir,
}

/// A route: its method and path, the scope that it takes, and a body that makes sense.
pub(crate) type Route = (Method, String, Scope, Option<Value>);

/// A guest that does what it is told.
fn base() -> ComponentRef {
    ComponentRef::Builtin("base".parse().expect("a name"))
}

pub(crate) fn scratch() -> Grants {
    let path = "/tmp".parse().expect("a guest path");
    Grants::none().with_preopen(Preopen::new(RootName::scratch(), path))
}

/// What lies at `path` in the root `project`, to be written to.
pub(crate) fn project(path: &str) -> Grants {
    let preopen =
        Preopen::new("project".parse().expect("a root"), "/work".parse().expect("a guest path"));
    let preopen = preopen.path(path.parse().expect("a path")).access(Access::ReadWrite);
    Grants::none().with_preopen(preopen)
}

impl Server {
    pub(crate) async fn new() -> Self {
        Self::on(Store::memory()).await
    }

    /// The same, with its logs in `store`.
    pub(crate) async fn on(store: Store) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let runtime = Self::runtime("far", store, directory.path()).await;
        let tokens = TokenFile::new(directory.path().join("tokens.json"));
        let app = app(&runtime, &tokens);
        Self { runtime, app, tokens, directory }
    }

    /// One more Runtime, in the same directories.
    pub(crate) async fn beside(&self, id: &str) -> Runtime {
        Self::runtime(id, Store::memory(), self.directory.path()).await
    }

    async fn runtime(id: &str, store: Store, directory: &Path) -> Runtime {
        let project_dir = directory.join("project");
        for name in ["a", "b", "c"] {
            fs::create_dir_all(project_dir.join(name)).expect("a directory");
        }
        let ceiling = project(".").preopens.into_iter().fold(scratch(), Grants::with_preopen);
        let profiles = builtin_workers::profiles();
        let runtime = Runtime::builder(id.parse().expect("an id"))
            .store(store)
            .components(builtin_workers::components())
            .components([(base(), Cow::Borrowed(test_guests::HOSTILE_BASE))])
            .profiles(profiles.into_iter().filter(|profile| profile.name.as_str() == "echo"))
            .profiles([Profile {
                name: "base".parse().expect("a name"),
                description: String::new(),
                component: base(),
                optional: BTreeSet::new(),
                resume: false,
                commands: BTreeMap::new(),
                config: Default::default(),
            }])
            .root(
                "project".parse().expect("a root"),
                Root::new(project_dir).access(Access::ReadWrite),
            )
            .scratch(directory.join(format!("scratch-{id}")))
            .allocations(directory.join("allocations"))
            .ceiling(ceiling)
            .build();
        runtime.await.expect("a Runtime")
    }

    #[cfg(unix)]
    pub(crate) fn token_path(&self) -> std::path::PathBuf {
        self.directory.path().join("tokens.json")
    }

    pub(crate) fn token(&self, token: NewToken) -> String {
        self.tokens.add(token).expect("a token").1.reveal().to_owned()
    }

    pub(crate) fn scoped(&self, scope: Scope) -> String {
        self.token(NewToken { scopes: [scope].into(), ..NewToken::default() })
    }

    pub(crate) async fn worker(&self, label: &str) -> String {
        let request = CreateWorker::profile("echo".parse().expect("a name")).label("team", label);
        self.runtime.create(request).await.expect("a Worker").worker_id.to_string()
    }

    pub(crate) async fn ask(
        &self,
        token: Option<&str>,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let request = request.header(header::HOST, ADDRESS).body(body);
        self.answer(request.expect("a request")).await
    }

    pub(crate) async fn answer(&self, request: Request<Body>) -> (StatusCode, Value) {
        let answer = self.app.clone().oneshot(request).await.expect("an answer");
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("all of it");
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

/// The routes of a Runtime whose server is made now.
pub(crate) fn app(runtime: &Runtime, tokens: &TokenFile) -> Router {
    let address: SocketAddr = ADDRESS.parse().expect("an address");
    RuntimeServer::new(runtime.clone(), tokens.clone()).app(address, CancellationToken::new())
}

/// The routes of one Worker.
pub(crate) fn of_worker(worker: &str) -> Vec<Route> {
    let path = |what: &str| format!("/v1/workers/{worker}{what}");
    let look = |what: &str| (Method::GET, path(what), Scope::Observe, None);
    let tell = |what: &str, body| (Method::POST, path(what), Scope::Command, Some(body));
    vec![
        look(""),
        look("/transcript"),
        look("/items/1"),
        look("/turns/1"),
        look("/usage"),
        look("/logs"),
        look("/events"),
        tell("/input", json!({ "text": "hi" })),
        tell("/cancel", json!({})),
        tell("/stop", json!({})),
        tell("/start", json!({})),
        tell("/revoke", json!({ "grants": ["llm"] })),
        tell("/upgrade", json!({ "component": "builtin:echo" })),
        (Method::DELETE, path(""), Scope::Command, None),
    ]
}

pub(crate) fn all_routes(worker: &str) -> Vec<Route> {
    let look = |path: &str| (Method::GET, path.to_owned(), Scope::Observe, None);
    let new = json!({ "profile": "echo" });
    let mut routes = vec![
        look("/v1/runtime"),
        look("/v1/usage"),
        look("/v1/events"),
        look("/v1/workers"),
        look("/metrics"),
        (Method::POST, "/v1/workers".to_owned(), Scope::Command, Some(new)),
        (Method::POST, "/v1/components".to_owned(), Scope::Admin, Some(json!({}))),
        (Method::DELETE, format!("/v1/components/sha256:{}", "7".repeat(64)), Scope::Admin, None),
    ];
    routes.extend(of_worker(worker));
    // Last: nothing is created any more after it.
    routes.push((Method::POST, "/v1/runtime/drain".to_owned(), Scope::Admin, None));
    routes
}

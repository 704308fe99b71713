//! The Browser API: every handler takes its request apart, makes one call, and converts the answer. What it
//! takes and answers stands above it, and is told to clients as OpenAPI.

mod components;
mod description;
mod events;
mod hints;
mod launch;
mod login;
mod runtimes;
mod workers;

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::FromRequestParts,
    middleware,
    routing::{MethodRouter, any},
};
use http::request::Parts;
use http_api::{ApiPath, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema, openapi::OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};
use worker_types::{RuntimeId, WorkerId};

use crate::{Registration, RuntimeSource, backend::AppState, guard};

/// Everything under `/api`. All of it, also a path that does not exist, asks for credentials first; but for how one
/// gets them.
pub(crate) fn routes(state: &AppState) -> Router<AppState> {
    let (routes, described) = described().split_for_parts();
    let (open, open_described) = open().split_for_parts();
    let mut openapi = description::begun().nest("/api", described);
    openapi.merge(OpenApi::default().nest("/api", open_described));
    routes
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(Extension(description::finished(openapi)))
        .layer(middleware::from_fn_with_state(state.clone(), guard::check_principal))
        .merge(open.method_not_allowed_fallback(async || Problem::MethodNotAllowed))
}

/// What takes no credentials.
fn open() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(login::state, login::sign_in))
}

fn described() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(description::openapi))
        .routes(routes!(login::create_link))
        .routes(routes!(login::sign_out))
        .routes(routes!(runtimes::list, runtimes::add))
        .routes(routes!(runtimes::test_new))
        .routes(routes!(runtimes::show, runtimes::replace, runtimes::remove))
        .routes(routes!(runtimes::test))
        .routes(routes!(launch::workspaces))
        .routes(routes!(launch::preview))
        .routes(routes!(hints::events))
        .routes(routes!(events::of_runtime))
        .routes(routes!(components::upload))
        .routes(routes!(components::remove))
        .routes(routes!(workers::list_all))
        .routes(routes!(workers::list, workers::create))
        .routes(routes!(workers::show, workers::delete))
        .routes(routes!(workers::input))
        .routes(routes!(workers::cancel))
        .routes(routes!(workers::stop))
        .routes(routes!(workers::start))
        .routes(routes!(workers::revoke))
        .routes(routes!(workers::upgrade))
        .routes(routes!(workers::transcript))
        .routes(routes!(workers::item))
        .routes(routes!(workers::turn))
        .routes(routes!(workers::usage))
        .routes(routes!(workers::logs))
        .routes(routes!(events::of_worker))
}

/// A path under `/api` where nothing is; it asks for credentials like the others.
pub(crate) fn nothing(state: &AppState) -> MethodRouter<AppState> {
    any(async || Problem::NotFound)
        .layer(middleware::from_fn_with_state(state.clone(), guard::check_principal))
}

/// The path of a Runtime.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct RuntimePath {
    /// The Runtime.
    runtime_id: RuntimeId,
}

/// The path of a Worker.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct WorkerPath {
    /// The Worker's Runtime.
    runtime_id: RuntimeId,
    /// The Worker.
    worker_id: WorkerId,
}

/// The Runtime that the path names.
struct AtRuntime(Registration);

impl FromRequestParts<AppState> for AtRuntime {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let ApiPath(path) = ApiPath::<RuntimePath>::from_request_parts(parts, state).await?;
        Ok(Self(state.registry.lookup(&path.runtime_id)?))
    }
}

/// The Worker that the path names, and its Runtime, if both are there for callers.
struct AtWorker {
    source: Arc<RuntimeSource>,
    path: WorkerPath,
}

impl FromRequestParts<AppState> for AtWorker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let ApiPath(path) = ApiPath::<WorkerPath>::from_request_parts(parts, state).await?;
        let source = state.registry.of_worker(&path.runtime_id, path.worker_id).await?;
        Ok(Self { source, path })
    }
}

impl AtWorker {
    fn id(&self) -> WorkerId {
        self.path.worker_id
    }

    /// An answer about it.
    fn json<T>(self, body: T) -> Json<OfWorker<T>> {
        let WorkerPath { runtime_id, worker_id } = self.path;
        Json(OfWorker { runtime_id, worker_id, body })
    }
}

/// An answer about one Worker, with both halves of its identity.
#[derive(Debug, Serialize, ToSchema)]
struct OfWorker<T> {
    runtime_id: RuntimeId,
    worker_id: WorkerId,
    #[serde(flatten)]
    body: T,
}

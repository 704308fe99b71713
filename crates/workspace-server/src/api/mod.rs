//! The Browser API: every handler takes its request apart, makes one call, and converts the answer.

mod events;
mod login;
mod runtimes;
mod workers;

use axum::{
    Json, Router, middleware,
    routing::{MethodRouter, any, get, post},
};
use http_api::Problem;
use serde::Serialize;
use worker_types::{RuntimeId, WorkerId};

use crate::{backend::AppState, guard};

/// Everything under `/api`. All of it, also a path that does not exist, asks for credentials first.
pub(crate) fn routes(state: &AppState) -> Router<AppState> {
    let worker = Router::new()
        .route("/", get(workers::show).delete(workers::delete))
        .route("/input", post(workers::input))
        .route("/cancel", post(workers::cancel))
        .route("/stop", post(workers::stop))
        .route("/revoke", post(workers::revoke))
        .route("/upgrade", post(workers::upgrade))
        .route("/start", post(workers::start))
        .route("/transcript", get(workers::transcript))
        .route("/items/{item_id}", get(workers::item))
        .route("/usage", get(workers::usage))
        .route("/events", get(events::events))
        .route("/logs", get(workers::logs));
    Router::new()
        .route("/login-links", post(login::create_link))
        .route("/runtimes", get(runtimes::list))
        .route("/runtimes/{runtime_id}", get(runtimes::show))
        .route("/runtimes/{runtime_id}/workers", get(workers::list).post(workers::create))
        .nest("/runtimes/{runtime_id}/workers/{worker_id}", worker)
        .route("/workers", get(workers::list_all))
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(middleware::from_fn_with_state(state.clone(), guard::check_principal))
}

/// A path under `/api` where nothing is; it asks for credentials like the others.
pub(crate) fn nothing(state: &AppState) -> MethodRouter<AppState> {
    any(async || Problem::NotFound)
        .layer(middleware::from_fn_with_state(state.clone(), guard::check_principal))
}

/// The path of one Worker.
type WorkerPath = (RuntimeId, WorkerId);

/// An answer about one Worker, with both halves of its identity.
#[derive(Debug, Serialize)]
struct OfWorker<T> {
    runtime_id: RuntimeId,
    worker_id: WorkerId,
    #[serde(flatten)]
    body: T,
}

impl<T> OfWorker<T> {
    fn json((runtime_id, worker_id): WorkerPath, body: T) -> Json<Self> {
        Json(Self { runtime_id, worker_id, body })
    }
}

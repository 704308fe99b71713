//! The routes: every handler takes its request apart, makes one call, and converts the answer.

mod commands;
mod components;
mod events;
mod metrics;
mod observation;

use axum::{
    Router, middleware,
    routing::{delete, get, post},
};
use http_api::Problem;

use crate::{guard, server::ServerState};

/// What is open to everybody who reaches the server: whether it is there, and nothing else.
pub(crate) fn open() -> Router<ServerState> {
    Router::new()
        .route("/healthz", get(observation::is_alive))
        .route("/readyz", get(observation::is_ready))
}

/// Figures for an operator's own systems, at the place where they look.
pub(crate) fn figures(state: &ServerState) -> Router<ServerState> {
    Router::new()
        .route("/metrics", get(metrics::metrics))
        .layer(middleware::from_fn_with_state(state.clone(), guard::admit))
}

/// Everything under `/v1`. All of it, also a path that does not exist, asks for a token first.
pub(crate) fn routes(state: &ServerState) -> Router<ServerState> {
    let worker = Router::new()
        .route("/", get(observation::worker).delete(commands::delete))
        .route("/input", post(commands::input))
        .route("/cancel", post(commands::cancel))
        .route("/stop", post(commands::stop))
        .route("/start", post(commands::start))
        .route("/revoke", post(commands::revoke))
        .route("/upgrade", post(commands::upgrade))
        .route("/transcript", get(observation::transcript))
        .route("/items/{item_id}", get(observation::item))
        .route("/turns/{turn_id}", get(observation::turn))
        .route("/usage", get(observation::worker_usage))
        .route("/logs", get(observation::logs))
        .route("/events", get(events::of_worker));
    Router::new()
        .route("/runtime", get(observation::runtime))
        .route("/runtime/drain", post(commands::drain))
        .route("/usage", get(observation::usage))
        .route("/events", get(events::of_runtime))
        .route("/components", components::route())
        .route("/components/{digest}", delete(components::remove))
        .route("/workers", get(observation::workers).post(commands::create))
        .nest("/workers/{worker_id}", worker)
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(middleware::from_fn_with_state(state.clone(), guard::admit))
}

//! The routes: every handler takes its request apart, makes one call, and converts the answer. What it takes
//! and answers stands above it, and is told to clients as OpenAPI.

mod commands;
mod components;
mod description;
mod events;
mod metrics;
mod observation;

use axum::{Extension, Router, middleware};
use http_api::{Problem, openapi::Document};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{guard, server::ServerState};

/// All routes.
pub(crate) fn router(state: &ServerState) -> Router<ServerState> {
    let admit = middleware::from_fn_with_state(state.clone(), guard::admit);
    let (open, mut openapi) = open().split_for_parts();
    let (figures, figures_described) = figures().split_for_parts();
    let (routes, routes_described) = routes().split_for_parts();
    openapi.merge(figures_described);
    let openapi = openapi.nest("/v1", routes_described);
    // All of it, also a path that does not exist, asks for a token first.
    let routes = routes
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(admit.clone());
    open.merge(figures.layer(admit)).nest("/v1", routes).layer(Extension(Document::of(&openapi)))
}

/// What is open to everybody who reaches the server: whether it is there, and how to talk to it.
fn open() -> OpenApiRouter<ServerState> {
    OpenApiRouter::with_openapi(description::begun())
        .routes(routes!(observation::is_alive))
        .routes(routes!(observation::is_ready))
        .routes(routes!(description::openapi))
}

/// Figures for an operator's own systems, at the place where they look.
fn figures() -> OpenApiRouter<ServerState> {
    OpenApiRouter::new().routes(routes!(metrics::metrics))
}

/// Everything under `/v1`.
fn routes() -> OpenApiRouter<ServerState> {
    OpenApiRouter::new()
        .routes(routes!(observation::runtime))
        .routes(routes!(commands::drain))
        .routes(routes!(observation::usage))
        .routes(routes!(events::of_runtime))
        .routes(routes!(components::upload))
        .routes(routes!(components::remove))
        .routes(routes!(observation::workers, commands::create))
        .routes(routes!(observation::worker, commands::delete))
        .routes(routes!(commands::input))
        .routes(routes!(commands::cancel))
        .routes(routes!(commands::stop))
        .routes(routes!(commands::start))
        .routes(routes!(commands::revoke))
        .routes(routes!(commands::upgrade))
        .routes(routes!(observation::transcript))
        .routes(routes!(observation::item))
        .routes(routes!(observation::turn))
        .routes(routes!(observation::worker_usage))
        .routes(routes!(observation::logs))
        .routes(routes!(events::of_worker))
}

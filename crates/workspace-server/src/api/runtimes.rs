//! The Runtimes of this Backend.

use axum::{Json, extract::State};
use http_api::{ApiPath, Problem};
use serde::Serialize;
use worker_types::RuntimeId;

use crate::{RuntimeListing, backend::AppState};

#[derive(Debug, Serialize)]
pub(super) struct RuntimeList {
    runtimes: Vec<RuntimeListing>,
}

pub(super) async fn list(State(state): State<AppState>) -> Json<RuntimeList> {
    Json(RuntimeList { runtimes: state.registry.list().await })
}

pub(super) async fn show(
    State(state): State<AppState>,
    ApiPath(runtime_id): ApiPath<RuntimeId>,
) -> Result<Json<RuntimeListing>, Problem> {
    Ok(Json(state.registry.listing(&runtime_id).await?))
}

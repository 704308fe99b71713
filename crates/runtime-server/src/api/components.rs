//! Components: to upgrade Workers to.

use axum::{
    Json,
    extract::{DefaultBodyLimit, Request, State},
    routing::{MethodRouter, post},
};
use http::StatusCode;
use http_api::{ApiPath, Problem, read_body};
use serde::{Deserialize, Serialize};
use worker_runtime::{Takes, inspect_component};
use worker_types::{Capability, ComponentDigest, RuntimeError};

use crate::{access::Administrator, server::ServerState};

/// A component that is kept.
#[derive(Debug, Serialize)]
struct KeptComponent {
    digest: ComponentDigest,
    /// What it imports, as it names it.
    imports: Vec<String>,
    /// What a Worker has to be granted that goes by it, unless its profile says that it can do without.
    capabilities: Vec<Capability>,
}

/// Takes more than others do: a component is larger than any JSON.
pub(super) fn route() -> MethodRouter<ServerState> {
    post(upload).layer(DefaultBodyLimit::disable())
}

async fn upload(
    State(state): State<ServerState>,
    _: Administrator,
    request: Request,
) -> Result<(StatusCode, Json<KeptComponent>), Problem> {
    let limits = state.runtime.summary().limits;
    // Whoever waits here holds nothing yet.
    let _upload = state.uploads.acquire().await;
    let bytes = read_body(request, "the component", limits.component_bytes).await?;
    let kept = {
        let bytes = bytes.clone();
        let inspected = tokio::task::spawn_blocking(move || inspect_component(&bytes, &limits));
        inspected.await.map_err(|error| invalid(error.to_string()))?
    };
    let found = kept.map_err(|error| invalid(worker_runtime::error_chain(&error)))?;
    let digest = state.runtime.add_component(bytes).await?;
    let mut capabilities: Vec<Capability> = found
        .imports
        .iter()
        .filter_map(|import| match import.takes {
            Takes::Grant(capability) => Some(capability),
            _ => None,
        })
        .collect();
    capabilities.sort_unstable();
    capabilities.dedup();
    let imports = found.imports.into_iter().map(|import| import.name).collect();
    Ok((StatusCode::CREATED, Json(KeptComponent { digest, imports, capabilities })))
}

#[derive(Deserialize)]
pub(super) struct OfComponent {
    digest: ComponentDigest,
}

pub(super) async fn remove(
    State(state): State<ServerState>,
    _: Administrator,
    ApiPath(OfComponent { digest }): ApiPath<OfComponent>,
) -> Result<StatusCode, Problem> {
    state.runtime.remove_component(digest).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn invalid(reason: String) -> RuntimeError {
    RuntimeError::InvalidComponent { reason }
}

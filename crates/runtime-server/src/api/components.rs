//! Components: to upgrade Workers to.

use axum::{
    Json,
    extract::{DefaultBodyLimit, Request, State},
};
use http::StatusCode;
use http_api::{
    ApiPath, Problem,
    openapi::{NameRefusals, StateRefusals, StoreRefusals, TokenRefusals, UploadRefusals},
    read_body,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{
    router::{UtoipaMethodRouter, UtoipaMethodRouterExt as _},
    routes,
};
use worker_runtime::{Takes, inspect_component};
use worker_types::{Capability, ComponentDigest, KeptComponent, RuntimeError};

use crate::{access::Administrator, server::ServerState};

/// Takes more than others do: a component is larger than any JSON.
pub(super) fn upload_route() -> UtoipaMethodRouter<ServerState> {
    routes!(upload).layer(DefaultBodyLimit::disable())
}

/// Keeps a component, to upgrade Workers to.
///
/// Its bytes are the body, whatever it says of their type; at most `component_bytes` of the limits. Not for a
/// token with labels.
#[utoipa::path(
    post,
    path = "/components",
    operation_id = "keep_component",
    tag = "Components",
    request_body(content(("application/octet-stream"), ("application/wasm"))),
    responses(
        TokenRefusals,
        UploadRefusals,
        StoreRefusals,
        (status = 201, description = "It is kept.", body = KeptComponent),
    ),
    security(("token" = ["admin"]))
)]
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

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfComponent {
    /// What the component is named by.
    digest: ComponentDigest,
}

/// Removes a component that no profile and no Worker goes by.
///
/// Not for a token with labels.
#[utoipa::path(
    delete,
    path = "/components/{digest}",
    operation_id = "remove_component",
    tag = "Components",
    params(OfComponent),
    responses(
        TokenRefusals,
        NameRefusals,
        StateRefusals,
        StoreRefusals,
        (status = 204, description = "It is gone."),
    ),
    security(("token" = ["admin"]))
)]
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

//! Components: to upgrade Workers to.

use axum::{
    Extension, Json,
    extract::{Request, State},
};
use http::StatusCode;
use http_api::{
    ApiPath, Problem,
    openapi::{NameRefusals, StateRefusals, StoreRefusals, TokenRefusals, UploadRefusals},
    read_body,
};
use serde::Deserialize;
use utoipa::IntoParams;
use worker_types::{ComponentDigest, KeptComponent, RuntimeError};

use crate::{access::Administrator, guard::KeptDigest, server::ServerState};

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
pub(super) async fn upload(
    State(state): State<ServerState>,
    _: Administrator,
    request: Request,
) -> Result<(StatusCode, Extension<KeptDigest>, Json<KeptComponent>), Problem> {
    let limits = state.runtime.summary().limits;
    let _upload = state.uploads.try_acquire().map_err(|_| {
        let reason = "as many components are on their way as this server has room for".to_owned();
        RuntimeError::Capacity { reason }
    })?;
    let bytes = read_body(request, "the component", limits.component_bytes).await?;
    let kept = state.runtime.add_component(bytes).await?;
    Ok((StatusCode::CREATED, Extension(KeptDigest(kept.digest)), Json(kept)))
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

//! Components: to upgrade Workers to.

use axum::{Extension, Json, extract::Request};
use http::StatusCode;
use http_api::{
    ApiPath, Problem,
    openapi::{RegistryRefusals, StateRefusals, TokenRefusals, UploadRefusals},
    read_body,
};
use serde::Deserialize;
use utoipa::IntoParams;
use worker_types::{ComponentDigest, KeptComponent, Limits};

use super::{AtRuntime, RuntimePath};
use crate::auth::Principal;

/// Keeps a component, to upgrade Workers to.
///
/// Its bytes are the body. For programs with the access token: a page of a browser brings no code.
#[utoipa::path(
    post,
    path = "/runtimes/{runtime_id}/components",
    operation_id = "keep_component",
    tag = "Components",
    params(RuntimePath),
    request_body(content(("application/octet-stream"), ("application/wasm"))),
    responses(
        TokenRefusals,
        RegistryRefusals,
        UploadRefusals,
        (status = 201, description = "It is kept.", body = KeptComponent),
    ),
    security(("token" = []))
)]
pub(super) async fn upload(
    AtRuntime(runtime): AtRuntime,
    Extension(principal): Extension<Principal>,
    request: Request,
) -> Result<(StatusCode, Json<KeptComponent>), Problem> {
    principal.must_be_bearer("components are uploaded with the access token only")?;
    // What the Runtime takes, it says itself; this is what the Backend holds.
    let most = Limits::default().component_bytes;
    let bytes = read_body(request, "the component", most).await?;
    let kept = runtime.source().add_component(bytes).await?;
    Ok((StatusCode::CREATED, Json(kept)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfComponent {
    /// What the component is named by.
    digest: ComponentDigest,
}

/// Removes a component that no profile and no Worker goes by.
#[utoipa::path(
    delete,
    path = "/runtimes/{runtime_id}/components/{digest}",
    operation_id = "remove_component",
    tag = "Components",
    params(RuntimePath, OfComponent),
    responses(
        TokenRefusals,
        RegistryRefusals,
        StateRefusals,
        (status = 204, description = "It is gone."),
    ),
    security(("token" = []))
)]
pub(super) async fn remove(
    AtRuntime(runtime): AtRuntime,
    ApiPath(OfComponent { digest }): ApiPath<OfComponent>,
    Extension(principal): Extension<Principal>,
) -> Result<StatusCode, Problem> {
    principal.must_be_bearer("components are removed with the access token only")?;
    runtime.source().remove_component(digest).await?;
    Ok(StatusCode::NO_CONTENT)
}

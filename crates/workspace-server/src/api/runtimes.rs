//! The Runtimes of this Backend.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use http::StatusCode;
use http_api::{
    ApiJson, ApiPath, ApiQuery, Problem,
    openapi::{BodyRefusals, QueryRefusals, RegistryRefusals, StateRefusals, TokenRefusals},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use worker_types::RuntimeError;

use super::{AtRuntime, RuntimePath};
use crate::{
    ConnectionTest, RemoteDefinition, RemoteDefinitions, RuntimeListing, RuntimeSource, TokenPlace,
    auth::Principal, backend::AppState,
};

/// The Runtimes of this Backend.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuntimeList {
    /// In the order of their ids.
    runtimes: Vec<RuntimeListing>,
}

/// All Runtimes. One that does not answer in time is listed as unavailable, with the reason.
#[utoipa::path(
    get,
    path = "/runtimes",
    operation_id = "runtimes",
    tag = "Runtimes",
    responses(TokenRefusals, (status = 200, description = "All of them.", body = RuntimeList)),
    security(("token" = []))
)]
pub(super) async fn list(State(state): State<AppState>) -> Json<RuntimeList> {
    Json(RuntimeList { runtimes: state.registry.list().await })
}

/// One Runtime, as it stands in the list.
#[utoipa::path(
    get,
    path = "/runtimes/{runtime_id}",
    operation_id = "runtime",
    tag = "Runtimes",
    params(RuntimePath),
    responses(
        TokenRefusals,
        RegistryRefusals,
        (status = 200, description = "The Runtime.", body = RuntimeListing),
    ),
    security(("token" = []))
)]
pub(super) async fn show(
    State(state): State<AppState>,
    ApiPath(RuntimePath { runtime_id }): ApiPath<RuntimePath>,
) -> Result<Json<RuntimeListing>, Problem> {
    Ok(Json(state.registry.listing(&runtime_id).await?))
}

/// Adds a remote Runtime, whether it answers now or not.
///
/// Its token crosses no API: the Backend reads it where the request says that it is.
#[utoipa::path(
    post,
    path = "/runtimes",
    operation_id = "add_runtime",
    tag = "Runtimes",
    request_body = RemoteDefinition,
    responses(
        TokenRefusals,
        BodyRefusals,
        StateRefusals,
        RegistryRefusals,
        (status = 201, description = "It is there.", body = RuntimeListing),
    ),
    security(("token" = []))
)]
pub(super) async fn add(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    ApiJson(definition): ApiJson<RemoteDefinition>,
) -> Result<(StatusCode, Json<RuntimeListing>), Problem> {
    check_token(&state, principal, &definition).await?;
    let runtime_id = definition.runtime_id.clone();
    remotes(&state)?.add(&state.registry, definition).await?;
    Ok((StatusCode::CREATED, Json(state.registry.listing(&runtime_id).await?)))
}

/// How a remote Runtime is reached.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplaceBody {
    /// Where it is, such as `https://host:38800`.
    endpoint: String,
    /// Where its token is.
    token: TokenPlace,
    /// Certificates, as PEM, that are trusted besides those of the system: for one that made its own.
    certificates: Option<String>,
}

/// Reaches a remote Runtime that the API added in another way from now on, such as with the token that its
/// file holds since the last rotation. Streams that are open go on as they were opened.
#[utoipa::path(
    put,
    path = "/runtimes/{runtime_id}",
    operation_id = "replace_runtime",
    tag = "Runtimes",
    params(RuntimePath),
    request_body = ReplaceBody,
    responses(
        TokenRefusals,
        BodyRefusals,
        StateRefusals,
        RegistryRefusals,
        (status = 200, description = "It is reached so.", body = RuntimeListing),
    ),
    security(("token" = []))
)]
pub(super) async fn replace(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    AtRuntime(runtime): AtRuntime,
    ApiJson(body): ApiJson<ReplaceBody>,
) -> Result<Json<RuntimeListing>, Problem> {
    let runtime_id = runtime.source().id();
    let ReplaceBody { endpoint, token, certificates } = body;
    let definition =
        RemoteDefinition { runtime_id: runtime_id.clone(), endpoint, token, certificates };
    check_token(&state, principal, &definition).await?;
    remotes(&state)?.replace(&state.registry, definition).await?;
    Ok(Json(state.registry.listing(runtime_id).await?))
}

/// Tries a remote Runtime that is not added.
#[utoipa::path(
    post,
    path = "/connection-tests",
    operation_id = "test_connection",
    tag = "Runtimes",
    request_body = RemoteDefinition,
    responses(
        TokenRefusals,
        BodyRefusals,
        RegistryRefusals,
        (status = 200, description = "It answers, and takes the token.", body = ConnectionTest),
    ),
    security(("token" = []))
)]
pub(super) async fn test_new(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    ApiJson(definition): ApiJson<RemoteDefinition>,
) -> Result<Json<ConnectionTest>, Problem> {
    check_token(&state, principal, &definition).await?;
    Ok(Json(remotes(&state)?.connect(&definition)?.test().await?))
}

/// Tries a remote Runtime. One that could not be asked, since its token was not there, is asked if it is now.
#[utoipa::path(
    post,
    path = "/runtimes/{runtime_id}/test",
    operation_id = "test_runtime",
    tag = "Runtimes",
    params(RuntimePath),
    responses(
        TokenRefusals,
        RegistryRefusals,
        (status = 200, description = "It answers, and takes the token.", body = ConnectionTest),
    ),
    security(("token" = []))
)]
pub(super) async fn test(
    State(state): State<AppState>,
    AtRuntime(mut runtime): AtRuntime,
) -> Result<Json<ConnectionTest>, Problem> {
    if let RuntimeSource::Remote(remote) = &**runtime.source()
        && remote.lacks_token()
    {
        let runtime_id = remote.id();
        match remotes(&state)?.read_token_again(&state.registry, runtime_id).await {
            Ok(()) => runtime = state.registry.lookup(runtime_id)?,
            // Of which the test tells.
            Err(error) => tracing::warn!(%runtime_id, %error, "a Runtime's token is not there"),
        }
    }
    match &**runtime.source() {
        RuntimeSource::Remote(remote) => Ok(Json(remote.test().await?)),
        RuntimeSource::Embedded(_) => {
            let what = "a connection test of a Runtime in the Backend's own process, to which there is no \
                        connection"
                .to_owned();
            Err(RuntimeError::Unsupported { what }.into())
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveQuery {
    /// Also where it has Workers that are not stopped, or does not say whether it has.
    #[serde(default)]
    force: bool,
}

/// Removes a Runtime that the API added. Its Workers stay where they are.
#[utoipa::path(
    delete,
    path = "/runtimes/{runtime_id}",
    operation_id = "remove_runtime",
    tag = "Runtimes",
    params(RuntimePath, RemoveQuery),
    responses(
        TokenRefusals,
        QueryRefusals,
        StateRefusals,
        RegistryRefusals,
        (status = 204, description = "It is not there any more."),
    ),
    security(("token" = []))
)]
pub(super) async fn remove(
    State(state): State<AppState>,
    AtRuntime(runtime): AtRuntime,
    ApiQuery(RemoveQuery { force }): ApiQuery<RemoveQuery>,
) -> Result<StatusCode, Problem> {
    let runtime_id = runtime.source().id();
    runtime.changeable()?;
    let remotes = remotes(&state)?;
    if !force {
        state.registry.unused(runtime_id).await?;
    }
    remotes.remove(&state.registry, runtime_id.clone()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A token with which one Runtime is asked is sent to no other address because a browser says so: who sits at it
/// for a moment would have the token for good.
async fn check_token(
    state: &AppState,
    principal: Principal,
    definition: &RemoteDefinition,
) -> Result<(), Problem> {
    if principal == Principal::Session && remotes(state)?.is_token_of_another(definition).await {
        return Err(Problem::forbidden(
            "a Runtime at another address is asked with this token: take a token of its own, or use `yoi runtime`",
        ));
    }
    Ok(())
}

fn remotes(state: &AppState) -> Result<&Arc<RemoteDefinitions>, Problem> {
    state.remotes.as_ref().ok_or_else(|| {
        let what = "to add remote Runtimes at this Backend: it keeps nothing".to_owned();
        RuntimeError::Unsupported { what }.into()
    })
}

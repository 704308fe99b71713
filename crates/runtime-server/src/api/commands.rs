//! What changes Workers, and the Runtime.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};
use http_api::{
    ApiJson, ApiQuery, CancelBody, InputBody, Keyed, OptionalJson, Problem, RevokeBody, TurnResult,
    UpgradeBody, WaitQuery,
    openapi::{
        BodyRefusals, ComponentRefusals, NameRefusals, QueryRefusals, StateRefusals, StoreRefusals,
        TokenRefusals,
    },
};
use worker_types::{CreateWorker, DrainProgress, InputAccepted, Upgraded, WorkerView};

use crate::{
    access::{Administrator, Commanded, Commander, OfWorker},
    api::observation::outcome,
    server::ServerState,
};

/// Creates a Worker.
///
/// It is granted no more than the ceilings of the Runtime and of the token allow.
#[utoipa::path(
    post,
    path = "/workers",
    operation_id = "create_worker",
    tag = "Workers",
    params(Keyed),
    request_body(content = CreateWorker, example = json!({ "profile": "echo" })),
    responses(
        TokenRefusals,
        NameRefusals,
        BodyRefusals,
        StateRefusals,
        ComponentRefusals,
        StoreRefusals,
        (
            status = 201,
            description = "The Worker; of a request that was carried out before, as it is now.",
            body = WorkerView,
            headers(("Location" = String, description = "Where the Worker is.")),
        ),
    ),
    security(("token" = ["command"]))
)]
pub(super) async fn create(
    State(state): State<ServerState>,
    Commander(caller): Commander,
    Keyed(key): Keyed,
    ApiJson(mut request): ApiJson<CreateWorker>,
) -> Result<Response, Problem> {
    caller.bound(&mut request)?;
    request.idempotency_key = key;
    let runtime = &state.runtime;
    let worker = runtime.create(request).await.map_err(|refused| caller.told(refused, runtime))?;
    let location = format!("/v1/workers/{}", worker.worker_id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(worker)).into_response())
}

/// Gives a Worker an input.
///
/// It is in the log before it is answered. A client that goes away cancels nothing.
#[utoipa::path(
    post,
    path = "/workers/{worker_id}/input",
    operation_id = "give_input",
    tag = "Workers",
    params(OfWorker, WaitQuery, Keyed),
    request_body = InputBody,
    responses(
        TokenRefusals,
        NameRefusals,
        BodyRefusals,
        StateRefusals,
        StoreRefusals,
        (status = 200, description = "The turn ended within `wait_ms`.", body = TurnResult),
        (status = 202, description = "The input is in the log.", body = InputAccepted),
    ),
    security(("token" = ["command"]))
)]
pub(super) async fn input(
    State(state): State<ServerState>,
    Commanded(worker, caller): Commanded,
    ApiQuery(wait): ApiQuery<WaitQuery>,
    Keyed(key): Keyed,
    ApiJson(body): ApiJson<InputBody>,
) -> Result<Response, Problem> {
    let (input, options) = body.into_input(key)?;
    let accepted = state.runtime.input(worker, input, options).await?;
    // Whatever keeps the outcome from being known must not look like a refusal of the input.
    Ok(match outcome(&state, &caller, (worker, accepted.turn_id), wait.at_most()).await {
        Ok(Some(outcome)) => Json(TurnResult::new(&accepted, outcome)).into_response(),
        Ok(None) | Err(_) => (StatusCode::ACCEPTED, Json(accepted)).into_response(),
    })
}

/// Cancels the running turn, or the one that is named.
#[utoipa::path(
    post,
    path = "/workers/{worker_id}/cancel",
    operation_id = "cancel_turn",
    tag = "Workers",
    params(OfWorker),
    request_body = Option<CancelBody>,
    responses(
        TokenRefusals,
        NameRefusals,
        BodyRefusals,
        StoreRefusals,
        (status = 202, description = "Nothing of it runs on."),
    ),
    security(("token" = ["command"]))
)]
pub(super) async fn cancel(
    State(state): State<ServerState>,
    Commanded(worker, _): Commanded,
    OptionalJson(CancelBody { turn_id }): OptionalJson<CancelBody>,
) -> Result<StatusCode, Problem> {
    state.runtime.cancel(worker, turn_id).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Stops a Worker: no more turns, until it is started.
#[utoipa::path(
    post,
    path = "/workers/{worker_id}/stop",
    operation_id = "stop_worker",
    tag = "Workers",
    params(OfWorker),
    responses(
        TokenRefusals,
        NameRefusals,
        StoreRefusals,
        (status = 202, description = "It is stopped."),
    ),
    security(("token" = ["command"]))
)]
pub(super) async fn stop(
    State(state): State<ServerState>,
    Commanded(worker, _): Commanded,
) -> Result<StatusCode, Problem> {
    state.runtime.stop(worker).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Starts a Worker that was stopped.
#[utoipa::path(
    post,
    path = "/workers/{worker_id}/start",
    operation_id = "start_worker",
    tag = "Workers",
    params(OfWorker),
    responses(
        TokenRefusals,
        NameRefusals,
        StateRefusals,
        StoreRefusals,
        (status = 202, description = "It takes inputs."),
    ),
    security(("token" = ["command"]))
)]
pub(super) async fn start(
    State(state): State<ServerState>,
    Commanded(worker, caller): Commanded,
) -> Result<StatusCode, Problem> {
    let runtime = &state.runtime;
    runtime.start(worker).await.map_err(|refused| caller.told(refused, runtime))?;
    Ok(StatusCode::ACCEPTED)
}

/// Deletes a Worker that was stopped, with all it had.
#[utoipa::path(
    delete,
    path = "/workers/{worker_id}",
    operation_id = "delete_worker",
    tag = "Workers",
    params(OfWorker),
    responses(
        TokenRefusals,
        NameRefusals,
        StateRefusals,
        StoreRefusals,
        (status = 204, description = "It is gone."),
    ),
    security(("token" = ["command"]))
)]
pub(super) async fn delete(
    State(state): State<ServerState>,
    Commanded(worker, _): Commanded,
) -> Result<StatusCode, Problem> {
    state.runtime.delete(worker).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes grants of a Worker away, for ever.
///
/// A turn that runs ends.
#[utoipa::path(
    post,
    path = "/workers/{worker_id}/revoke",
    operation_id = "revoke_grants",
    tag = "Workers",
    params(OfWorker),
    request_body = RevokeBody,
    responses(
        TokenRefusals,
        NameRefusals,
        BodyRefusals,
        StoreRefusals,
        (status = 202, description = "They are gone."),
    ),
    security(("token" = ["command"]))
)]
pub(super) async fn revoke(
    State(state): State<ServerState>,
    Commanded(worker, _): Commanded,
    ApiJson(RevokeBody { grants }): ApiJson<RevokeBody>,
) -> Result<StatusCode, Problem> {
    state.runtime.revoke(worker, grants).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Lets a Worker go by another component, from its next turn on.
#[utoipa::path(
    post,
    path = "/workers/{worker_id}/upgrade",
    operation_id = "upgrade_worker",
    tag = "Workers",
    params(OfWorker),
    request_body = UpgradeBody,
    responses(
        TokenRefusals,
        NameRefusals,
        BodyRefusals,
        StateRefusals,
        ComponentRefusals,
        StoreRefusals,
        (status = 202, description = "What it went by and goes by.", body = Upgraded),
    ),
    security(("token" = ["command"]))
)]
pub(super) async fn upgrade(
    State(state): State<ServerState>,
    Commanded(worker, _): Commanded,
    ApiJson(UpgradeBody { component }): ApiJson<UpgradeBody>,
) -> Result<(StatusCode, Json<Upgraded>), Problem> {
    let upgraded = state.runtime.upgrade(worker, &component).await?;
    Ok((StatusCode::ACCEPTED, Json(upgraded)))
}

/// Lets the Runtime take no new work from now on.
///
/// Only a restart lets it take work again. Asking again does no harm. Not for a token with labels.
#[utoipa::path(
    post,
    path = "/runtime/drain",
    operation_id = "drain_runtime",
    tag = "Process",
    params(WaitQuery),
    responses(
        TokenRefusals,
        QueryRefusals,
        (status = 202, description = "How far it is, within `wait_ms` or once nothing is left to do.", body = DrainProgress),
    ),
    security(("token" = ["admin"]))
)]
pub(super) async fn drain(
    State(state): State<ServerState>,
    Administrator(caller): Administrator,
    ApiQuery(wait): ApiQuery<WaitQuery>,
) -> (StatusCode, Json<DrainProgress>) {
    let held = state.held.take(&caller.name());
    let wait = wait.at_most().filter(|_| held.is_ok()).unwrap_or_default();
    let progress = tokio::select! {
        biased;
        progress = state.runtime.drain(wait) => progress,
        () = state.shutdown.cancelled() => state.runtime.drain(Duration::ZERO).await,
    };
    (StatusCode::ACCEPTED, Json(progress))
}

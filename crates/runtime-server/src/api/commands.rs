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
};
use worker_types::{CreateWorker, DrainProgress, Upgraded};

use crate::{
    access::{Administrator, Commanded, Commander},
    api::observation::outcome,
    server::ServerState,
};

pub(super) async fn create(
    State(state): State<ServerState>,
    Commander(caller): Commander,
    Keyed(key): Keyed,
    ApiJson(mut request): ApiJson<CreateWorker>,
) -> Result<Response, Problem> {
    caller.bound(&mut request)?;
    request.idempotency_key = key;
    let worker = state.runtime.create(request).await?;
    let location = format!("/v1/workers/{}", worker.worker_id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(worker)).into_response())
}

pub(super) async fn input(
    State(state): State<ServerState>,
    Commanded(worker): Commanded,
    ApiQuery(wait): ApiQuery<WaitQuery>,
    Keyed(key): Keyed,
    ApiJson(body): ApiJson<InputBody>,
) -> Result<Response, Problem> {
    let (input, options) = body.into_input(key)?;
    let accepted = state.runtime.input(worker, input, options).await?;
    // Whatever keeps the outcome from being known must not look like a refusal of the input.
    Ok(match outcome(&state, worker, accepted.turn_id, wait.at_most()).await {
        Ok(Some(outcome)) => Json(TurnResult::new(&accepted, outcome)).into_response(),
        Ok(None) | Err(_) => (StatusCode::ACCEPTED, Json(accepted)).into_response(),
    })
}

pub(super) async fn cancel(
    State(state): State<ServerState>,
    Commanded(worker): Commanded,
    OptionalJson(CancelBody { turn_id }): OptionalJson<CancelBody>,
) -> Result<StatusCode, Problem> {
    state.runtime.cancel(worker, turn_id).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn stop(
    State(state): State<ServerState>,
    Commanded(worker): Commanded,
) -> Result<StatusCode, Problem> {
    state.runtime.stop(worker).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn start(
    State(state): State<ServerState>,
    Commanded(worker): Commanded,
) -> Result<StatusCode, Problem> {
    state.runtime.start(worker).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn delete(
    State(state): State<ServerState>,
    Commanded(worker): Commanded,
) -> Result<StatusCode, Problem> {
    state.runtime.delete(worker).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn revoke(
    State(state): State<ServerState>,
    Commanded(worker): Commanded,
    ApiJson(RevokeBody { grants }): ApiJson<RevokeBody>,
) -> Result<StatusCode, Problem> {
    state.runtime.revoke(worker, grants).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn upgrade(
    State(state): State<ServerState>,
    Commanded(worker): Commanded,
    ApiJson(UpgradeBody { component }): ApiJson<UpgradeBody>,
) -> Result<(StatusCode, Json<Upgraded>), Problem> {
    let upgraded = state.runtime.upgrade(worker, &component).await?;
    Ok((StatusCode::ACCEPTED, Json(upgraded)))
}

/// Takes no new work from now on. Like an outcome, the answer may be held back, until nothing is left to do.
pub(super) async fn drain(
    State(state): State<ServerState>,
    _: Administrator,
    ApiQuery(wait): ApiQuery<WaitQuery>,
) -> (StatusCode, Json<DrainProgress>) {
    let held = state.held.try_acquire();
    let wait = wait.at_most().filter(|_| held.is_ok()).unwrap_or_default();
    let progress = tokio::select! {
        biased;
        progress = state.runtime.drain(wait) => progress,
        () = state.shutdown.cancelled() => state.runtime.drain(Duration::ZERO).await,
    };
    (StatusCode::ACCEPTED, Json(progress))
}

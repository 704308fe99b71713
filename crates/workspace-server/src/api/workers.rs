//! Workers: creating, commanding and reading them.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use http_api::{
    ApiJson, ApiPath, ApiQuery, CancelBody, InputBody, Keyed, LogQuery, OptionalJson, Problem,
    RevokeBody, TurnResult, UpgradeBody, UsageQuery, WaitQuery, WorkerFilter,
};
use serde::Deserialize;
use worker_types::{
    CreateWorker, IdempotencyKey, Input, Item, ItemId, Labels, LogPage, ProfileName, RuntimeId,
    TranscriptPage, TranscriptQuery, WorkerId, WorkerPage, WorkerUsage, WorkerView,
};

use super::{OfWorker, WorkerPath};
use crate::{OutcomeWait, backend::AppState, policy::LaunchPolicy};

pub(super) async fn list(
    State(state): State<AppState>,
    ApiPath(runtime_id): ApiPath<RuntimeId>,
    WorkerFilter(query): WorkerFilter,
) -> Result<Json<WorkerPage>, Problem> {
    Ok(Json(state.registry.lookup(&runtime_id)?.workers(&query).await?))
}

pub(super) async fn list_all(
    State(state): State<AppState>,
    WorkerFilter(query): WorkerFilter,
) -> Result<Json<WorkerPage>, Problem> {
    Ok(Json(state.registry.workers(&query).await?))
}

/// What a browser asks for. It cannot ask for grants: the launch policy has them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateBody {
    profile: ProfileName,
    display_name: Option<String>,
    #[serde(default)]
    labels: Labels,
    input: Option<Input>,
}

impl CreateBody {
    fn into_request(
        self,
        policy: &LaunchPolicy,
        idempotency_key: Option<IdempotencyKey>,
    ) -> CreateWorker {
        let Self { profile, display_name, labels, input } = self;
        let grants = policy.grants_for(&profile);
        let profile = Some(profile);
        CreateWorker { profile, display_name, labels, grants, input, idempotency_key }
    }
}

pub(super) async fn create(
    State(state): State<AppState>,
    ApiPath(runtime_id): ApiPath<RuntimeId>,
    Keyed(key): Keyed,
    ApiJson(body): ApiJson<CreateBody>,
) -> Result<Response, Problem> {
    let request = body.into_request(&state.policy, key);
    let worker = state.registry.lookup(&runtime_id)?.create(request).await?;
    let location = format!("/api/runtimes/{runtime_id}/workers/{}", worker.worker_id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(worker)).into_response())
}

pub(super) async fn show(
    State(state): State<AppState>,
    ApiPath((runtime_id, worker_id)): ApiPath<WorkerPath>,
) -> Result<Json<WorkerView>, Problem> {
    Ok(Json(state.registry.lookup(&runtime_id)?.worker(worker_id).await?))
}

pub(super) async fn delete(
    State(state): State<AppState>,
    ApiPath((runtime_id, worker_id)): ApiPath<WorkerPath>,
) -> Result<StatusCode, Problem> {
    state.registry.lookup(&runtime_id)?.delete(worker_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn input(
    State(state): State<AppState>,
    ApiPath(path): ApiPath<WorkerPath>,
    ApiQuery(wait): ApiQuery<WaitQuery>,
    Keyed(key): Keyed,
    ApiJson(body): ApiJson<InputBody>,
) -> Result<Response, Problem> {
    let (input, options) = body.into_input(key)?;
    // Held answers must not hold the shutdown.
    let give_up = state.shutdown.clone();
    let wait = wait.at_most().map(|at_most| OutcomeWait { at_most, give_up });
    let source = state.registry.lookup(&path.0)?;
    let (accepted, outcome) = source.input(path.1, input, options, wait).await?;
    Ok(match outcome {
        Some(outcome) => {
            let result = TurnResult::new(&accepted, outcome);
            (StatusCode::OK, OfWorker::json(path, result)).into_response()
        }
        None => (StatusCode::ACCEPTED, OfWorker::json(path, accepted)).into_response(),
    })
}

pub(super) async fn cancel(
    State(state): State<AppState>,
    ApiPath((runtime_id, worker_id)): ApiPath<WorkerPath>,
    OptionalJson(CancelBody { turn_id }): OptionalJson<CancelBody>,
) -> Result<StatusCode, Problem> {
    state.registry.lookup(&runtime_id)?.cancel(worker_id, turn_id).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn stop(
    State(state): State<AppState>,
    ApiPath((runtime_id, worker_id)): ApiPath<WorkerPath>,
) -> Result<StatusCode, Problem> {
    state.registry.lookup(&runtime_id)?.stop(worker_id).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn revoke(
    State(state): State<AppState>,
    ApiPath((runtime_id, worker_id)): ApiPath<WorkerPath>,
    ApiJson(RevokeBody { grants }): ApiJson<RevokeBody>,
) -> Result<StatusCode, Problem> {
    state.registry.lookup(&runtime_id)?.revoke(worker_id, grants).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn upgrade(
    State(state): State<AppState>,
    ApiPath((runtime_id, worker_id)): ApiPath<WorkerPath>,
    ApiJson(UpgradeBody { component }): ApiJson<UpgradeBody>,
) -> Result<Response, Problem> {
    let upgraded = state.registry.lookup(&runtime_id)?.upgrade(worker_id, &component).await?;
    Ok((StatusCode::ACCEPTED, Json(upgraded)).into_response())
}

pub(super) async fn start(
    State(state): State<AppState>,
    ApiPath((runtime_id, worker_id)): ApiPath<WorkerPath>,
) -> Result<StatusCode, Problem> {
    state.registry.lookup(&runtime_id)?.start(worker_id).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn transcript(
    State(state): State<AppState>,
    ApiPath(path): ApiPath<WorkerPath>,
    ApiQuery(query): ApiQuery<TranscriptQuery>,
) -> Result<Json<OfWorker<TranscriptPage>>, Problem> {
    let page = state.registry.lookup(&path.0)?.transcript(path.1, query).await?;
    Ok(OfWorker::json(path, page))
}

pub(super) async fn item(
    State(state): State<AppState>,
    ApiPath((runtime_id, worker_id, item_id)): ApiPath<(RuntimeId, WorkerId, ItemId)>,
) -> Result<Json<OfWorker<Item>>, Problem> {
    let item = state.registry.lookup(&runtime_id)?.item(worker_id, item_id).await?;
    Ok(OfWorker::json((runtime_id, worker_id), item))
}

pub(super) async fn usage(
    State(state): State<AppState>,
    ApiPath(path): ApiPath<WorkerPath>,
    ApiQuery(query): ApiQuery<UsageQuery>,
) -> Result<Json<OfWorker<WorkerUsage>>, Problem> {
    let source = state.registry.lookup(&path.0)?;
    let usage = source.usage(path.1, query.before, query.limit()).await?;
    Ok(OfWorker::json(path, usage))
}

pub(super) async fn logs(
    State(state): State<AppState>,
    ApiPath(path): ApiPath<WorkerPath>,
    ApiQuery(LogQuery { turn }): ApiQuery<LogQuery>,
) -> Result<Json<OfWorker<LogPage>>, Problem> {
    let page = state.registry.lookup(&path.0)?.logs(path.1, turn).await?;
    Ok(OfWorker::json(path, page))
}

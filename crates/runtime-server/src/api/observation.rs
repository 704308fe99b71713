//! What is shown of the Runtime and of its Workers.

use std::time::Duration;

use axum::{Json, extract::State};
use http::StatusCode;
use http_api::{ApiPath, ApiQuery, LogQuery, Problem, UsageQuery, WaitQuery, WorkerFilter};
use serde::{Deserialize, Serialize};
use worker_runtime::Runtime;
use worker_types::{
    Item, ItemId, LogPage, MAX_WORKERS, Outcome, Overview, RuntimeError, RuntimeStatus,
    RuntimeSummary, TranscriptPage, TranscriptQuery, TurnId, Usage, WorkerId, WorkerPage,
    WorkerQuery, WorkerStatus, WorkerUsage, WorkerView,
};

use crate::{
    access::{Caller, Observed, Observer},
    server::ServerState,
};

/// The longest that it takes to look up how a turn ended long ago, on however slow a disk.
const FROM_DISK: Duration = Duration::from_millis(500);

/// The process serves; more is not asked.
pub(super) async fn is_alive() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Whether it takes work.
pub(super) async fn is_ready(State(state): State<ServerState>) -> Result<StatusCode, Problem> {
    match state.runtime.status() {
        RuntimeStatus::Ready => Ok(StatusCode::NO_CONTENT),
        RuntimeStatus::Draining => Err(unavailable("it drains or shuts down")),
        _ => Err(unavailable("its diagnostics say why")),
    }
}

fn unavailable(reason: &str) -> Problem {
    RuntimeError::RuntimeUnavailable { reason: reason.to_owned() }.into()
}

pub(super) async fn runtime(
    State(state): State<ServerState>,
    Observer(caller): Observer,
) -> Result<Json<RuntimeSummary>, Problem> {
    let mut summary = state.runtime.summary();
    summary.overview = overview(&state.runtime, &caller)?;
    Ok(Json(summary))
}

pub(super) async fn usage(
    State(state): State<ServerState>,
    Observer(caller): Observer,
) -> Result<Json<Usage>, Problem> {
    Ok(Json(overview(&state.runtime, &caller)?.usage))
}

/// The Workers that are there for the caller, in numbers.
pub(super) fn overview(runtime: &Runtime, caller: &Caller) -> Result<Overview, RuntimeError> {
    if !caller.is_bound() {
        return Ok(runtime.overview());
    }
    let mut overview = Overview::default();
    let mut query = WorkerQuery { limit: Some(MAX_WORKERS), ..WorkerQuery::default() };
    caller.narrow(&mut query);
    loop {
        let page = runtime.workers(&query)?;
        for worker in &page.workers {
            *match worker.status {
                WorkerStatus::Running { .. } => &mut overview.running,
                WorkerStatus::Stopped => &mut overview.stopped,
                WorkerStatus::Unavailable => &mut overview.unavailable,
                _ => &mut overview.idle,
            } += 1;
            overview.usage.add(worker.usage);
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(overview),
        }
    }
}

pub(super) async fn workers(
    State(state): State<ServerState>,
    Observer(caller): Observer,
    WorkerFilter(mut query): WorkerFilter,
) -> Result<Json<WorkerPage>, Problem> {
    if !caller.narrow(&mut query) {
        return Ok(Json(WorkerPage { workers: Vec::new(), next: None, diagnostics: Vec::new() }));
    }
    Ok(Json(state.runtime.workers(&query)?))
}

pub(super) async fn worker(
    State(state): State<ServerState>,
    Observed(worker): Observed,
) -> Result<Json<WorkerView>, Problem> {
    Ok(Json(state.runtime.worker(worker)?))
}

pub(super) async fn transcript(
    State(state): State<ServerState>,
    Observed(worker): Observed,
    ApiQuery(query): ApiQuery<TranscriptQuery>,
) -> Result<Json<TranscriptPage>, Problem> {
    Ok(Json(state.runtime.transcript(worker, query).await?))
}

#[derive(Deserialize)]
pub(super) struct OfItem {
    item_id: ItemId,
}

pub(super) async fn item(
    State(state): State<ServerState>,
    Observed(worker): Observed,
    ApiPath(OfItem { item_id }): ApiPath<OfItem>,
) -> Result<Json<Item>, Problem> {
    Ok(Json(state.runtime.item(worker, item_id).await?))
}

#[derive(Deserialize)]
pub(super) struct OfTurn {
    turn_id: TurnId,
}

/// A turn, and its outcome once it has ended.
#[derive(Debug, Serialize)]
pub(super) struct TurnView {
    turn_id: TurnId,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

pub(super) async fn turn(
    State(state): State<ServerState>,
    Observed(worker): Observed,
    ApiPath(OfTurn { turn_id }): ApiPath<OfTurn>,
    ApiQuery(wait): ApiQuery<WaitQuery>,
) -> Result<Json<TurnView>, Problem> {
    let wait = wait.at_most().unwrap_or(FROM_DISK);
    let outcome = outcome(&state, worker, turn_id, Some(wait)).await?;
    Ok(Json(TurnView { turn_id, outcome }))
}

/// The outcome of a turn, if it is known within `wait`; nothing where nobody waits. Answers that are held
/// back must not hold back the shutdown.
pub(super) async fn outcome(
    state: &ServerState,
    worker: WorkerId,
    turn_id: TurnId,
    wait: Option<Duration>,
) -> Result<Option<Outcome>, RuntimeError> {
    let Some(wait) = wait else { return Ok(None) };
    // Whoever cannot be held any more is answered as soon as it is looked up.
    let held = state.held.try_acquire();
    let wait = if held.is_ok() { wait } else { wait.min(FROM_DISK) };
    tokio::select! {
        biased;
        outcome = state.runtime.outcome(worker, turn_id) => outcome.map(Some),
        () = tokio::time::sleep(wait) => Ok(None),
        () = state.shutdown.cancelled() => Ok(None),
    }
}

pub(super) async fn worker_usage(
    State(state): State<ServerState>,
    Observed(worker): Observed,
    ApiQuery(query): ApiQuery<UsageQuery>,
) -> Result<Json<WorkerUsage>, Problem> {
    Ok(Json(state.runtime.usage(worker, query.before, query.limit()).await?))
}

pub(super) async fn logs(
    State(state): State<ServerState>,
    Observed(worker): Observed,
    ApiQuery(LogQuery { turn }): ApiQuery<LogQuery>,
) -> Result<Json<LogPage>, Problem> {
    Ok(Json(state.runtime.logs(worker, turn).await?))
}

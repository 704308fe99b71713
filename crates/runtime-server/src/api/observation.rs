//! What is shown of the Runtime and of its Workers.

use std::time::Duration;

use axum::{Json, extract::State};
use http::StatusCode;
use http_api::{
    ApiPath, ApiQuery, LogQuery, Problem, TurnView, UsageQuery, WaitQuery, WorkerFilter,
    openapi::{
        ForeignRefusals, NameRefusals, QueryRefusals, ReadinessRefusals, StoreRefusals,
        TokenRefusals,
    },
};
use serde::Deserialize;
use utoipa::IntoParams;
use worker_runtime::Runtime;
use worker_types::{
    Item, ItemId, LogPage, MAX_WORKERS, Outcome, Overview, RuntimeError, RuntimeStatus,
    RuntimeSummary, TranscriptPage, TranscriptQuery, TurnId, Usage, WorkerId, WorkerPage,
    WorkerQuery, WorkerStatus, WorkerUsage, WorkerView,
};

use crate::{
    access::{Caller, Observed, Observer, OfWorker},
    server::ServerState,
};

/// The longest that it takes where that is in memory.
const FROM_MEMORY: Duration = Duration::from_millis(20);

/// The longest that it takes to look up how a turn ended long ago, on however slow a disk.
const FROM_DISK: Duration = Duration::from_millis(500);

/// Whether the process serves.
///
/// More is not asked.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "is_alive",
    tag = "Process",
    responses(ForeignRefusals, (status = 204, description = "It serves.")),
)]
pub(super) async fn is_alive() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Whether it takes work.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "is_ready",
    tag = "Process",
    responses(ForeignRefusals, ReadinessRefusals, (status = 204, description = "It takes work.")),
)]
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

/// What the Runtime is and how it fares.
///
/// A token with labels is shown the numbers of its own Workers.
#[utoipa::path(
    get,
    path = "/runtime",
    operation_id = "runtime",
    tag = "Runtime",
    responses(TokenRefusals, (status = 200, description = "The Runtime.", body = RuntimeSummary)),
    security(("token" = ["observe"]))
)]
pub(super) async fn runtime(
    State(state): State<ServerState>,
    Observer(caller): Observer,
) -> Result<Json<RuntimeSummary>, Problem> {
    let mut summary = state.runtime.summary();
    summary.overview = overview(&state.runtime, &caller)?;
    Ok(Json(summary))
}

/// What all turns took together.
///
/// With a token that has labels: those of its own Workers.
#[utoipa::path(
    get,
    path = "/usage",
    operation_id = "runtime_usage",
    tag = "Runtime",
    responses(TokenRefusals, (status = 200, description = "The sum.", body = Usage)),
    security(("token" = ["observe"]))
)]
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

/// Workers, oldest first, page by page.
///
/// Only those that are there for the token.
#[utoipa::path(
    get,
    path = "/workers",
    operation_id = "workers",
    tag = "Workers",
    params(WorkerFilter),
    responses(
        TokenRefusals,
        QueryRefusals,
        (status = 200, description = "A page of Workers.", body = WorkerPage),
    ),
    security(("token" = ["observe"]))
)]
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

/// A Worker.
#[utoipa::path(
    get,
    path = "/workers/{worker_id}",
    operation_id = "worker",
    tag = "Workers",
    params(OfWorker),
    responses(
        TokenRefusals,
        NameRefusals,
        (status = 200, description = "The Worker.", body = WorkerView),
    ),
    security(("token" = ["observe"]))
)]
pub(super) async fn worker(
    State(state): State<ServerState>,
    Observed(worker): Observed,
) -> Result<Json<WorkerView>, Problem> {
    Ok(Json(state.runtime.worker(worker)?))
}

/// A piece of what a Worker and its callers said and did.
///
/// Without `before` and `after` the newest.
#[utoipa::path(
    get,
    path = "/workers/{worker_id}/transcript",
    operation_id = "transcript",
    tag = "Workers",
    params(OfWorker, TranscriptQuery),
    responses(
        TokenRefusals,
        NameRefusals,
        StoreRefusals,
        (status = 200, description = "A page of items.", body = TranscriptPage),
    ),
    security(("token" = ["observe"]))
)]
pub(super) async fn transcript(
    State(state): State<ServerState>,
    Observed(worker): Observed,
    ApiQuery(query): ApiQuery<TranscriptQuery>,
) -> Result<Json<TranscriptPage>, Problem> {
    Ok(Json(state.runtime.transcript(worker, query).await?))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfItem {
    /// The item.
    item_id: ItemId,
}

/// An item of the transcript, whole.
#[utoipa::path(
    get,
    path = "/workers/{worker_id}/items/{item_id}",
    operation_id = "item",
    tag = "Workers",
    params(OfWorker, OfItem),
    responses(
        TokenRefusals,
        NameRefusals,
        StoreRefusals,
        (status = 200, description = "The item.", body = Item),
    ),
    security(("token" = ["observe"]))
)]
pub(super) async fn item(
    State(state): State<ServerState>,
    Observed(worker): Observed,
    ApiPath(OfItem { item_id }): ApiPath<OfItem>,
) -> Result<Json<Item>, Problem> {
    Ok(Json(state.runtime.item(worker, item_id).await?))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfTurn {
    /// The turn.
    turn_id: TurnId,
}

/// A turn, and its outcome once it has ended.
///
/// With `wait_ms` the answer is held until then, or for as long as that.
#[utoipa::path(
    get,
    path = "/workers/{worker_id}/turns/{turn_id}",
    operation_id = "turn",
    tag = "Workers",
    params(OfWorker, OfTurn, WaitQuery),
    responses(
        TokenRefusals,
        NameRefusals,
        StoreRefusals,
        (status = 200, description = "The turn; without an outcome it has not ended.", body = TurnView),
    ),
    security(("token" = ["observe"]))
)]
pub(super) async fn turn(
    State(state): State<ServerState>,
    Observer(caller): Observer,
    Observed(worker): Observed,
    ApiPath(OfTurn { turn_id }): ApiPath<OfTurn>,
    ApiQuery(wait): ApiQuery<WaitQuery>,
) -> Result<Json<TurnView>, Problem> {
    let wait = wait.at_most().unwrap_or(FROM_DISK);
    let outcome = outcome(&state, &caller, (worker, turn_id), Some(wait)).await?;
    Ok(Json(TurnView { turn_id, outcome }))
}

/// The outcome of a turn, if it is known within `wait`; nothing where nobody waits. Answers that are held
/// back must not hold back the shutdown.
pub(super) async fn outcome(
    state: &ServerState,
    caller: &Caller,
    (worker, turn_id): (WorkerId, TurnId),
    wait: Option<Duration>,
) -> Result<Option<Outcome>, RuntimeError> {
    let Some(wait) = wait else { return Ok(None) };
    // Whoever cannot be held any more is answered at once.
    let held = state.held.take(&caller.name());
    let wait = if held.is_ok() { wait } else { FROM_MEMORY };
    tokio::select! {
        biased;
        outcome = state.runtime.outcome(worker, turn_id) => outcome.map(Some),
        () = tokio::time::sleep(wait) => Ok(None),
        () = state.shutdown.cancelled() => Ok(None),
    }
}

/// What a Worker's turns took.
#[utoipa::path(
    get,
    path = "/workers/{worker_id}/usage",
    operation_id = "worker_usage",
    tag = "Workers",
    params(OfWorker, UsageQuery),
    responses(
        TokenRefusals,
        NameRefusals,
        StoreRefusals,
        (status = 200, description = "All turns together, and the newest one by one.", body = WorkerUsage),
    ),
    security(("token" = ["observe"]))
)]
pub(super) async fn worker_usage(
    State(state): State<ServerState>,
    Observed(worker): Observed,
    ApiQuery(query): ApiQuery<UsageQuery>,
) -> Result<Json<WorkerUsage>, Problem> {
    Ok(Json(state.runtime.usage(worker, query.before, query.limit()).await?))
}

/// What a Worker's guests printed.
#[utoipa::path(
    get,
    path = "/workers/{worker_id}/logs",
    operation_id = "logs",
    tag = "Workers",
    params(OfWorker, LogQuery),
    responses(
        TokenRefusals,
        NameRefusals,
        (status = 200, description = "The lines that are kept.", body = LogPage),
    ),
    security(("token" = ["observe"]))
)]
pub(super) async fn logs(
    State(state): State<ServerState>,
    Observed(worker): Observed,
    ApiQuery(LogQuery { turn }): ApiQuery<LogQuery>,
) -> Result<Json<LogPage>, Problem> {
    Ok(Json(state.runtime.logs(worker, turn).await?))
}

//! Workers: creating, commanding and reading them.

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use http_api::{
    ApiJson, ApiPath, ApiQuery, CallerName, CancelBody, InputBody, Keyed, LogQuery, OptionalJson,
    Problem, RevokeBody, TurnResult, TurnView, UpgradeBody, UsageQuery, WaitQuery, WorkerFilter,
    openapi::{
        BodyRefusals, ComponentRefusals, QueryRefusals, RegistryRefusals, StateRefusals,
        TokenRefusals,
    },
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use worker_types::{
    CreateWorker, Diagnostic, Grants, IdempotencyKey, Input, InputAccepted, Item, ItemId, Labels,
    LogPage, ProfileName, TranscriptPage, TranscriptQuery, TurnId, Upgraded, WorkerId, WorkerPage,
    WorkerUsage, WorkerView, WorkspaceName,
};

use super::{AtRuntime, AtWorker, OfWorker, RuntimePath, WorkerPath};
use crate::{
    OutcomeWait, Registration, WORKSPACE_LABEL, auth::Principal, backend::AppState, policy::Launch,
};

/// The longest that it takes to look up how a turn ended.
const LOOK_UP: std::time::Duration = std::time::Duration::from_millis(500);

/// A Worker, and what it may do in plain words.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WorkerInWords {
    #[serde(flatten)]
    view: WorkerView,
    /// What it may do, a line for each grant.
    authority: Vec<String>,
}

impl From<WorkerView> for WorkerInWords {
    fn from(view: WorkerView) -> Self {
        Self { authority: view.grants.in_plain_words(), view }
    }
}

/// Some Workers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WorkersInWords {
    /// The Workers, oldest first.
    workers: Vec<WorkerInWords>,
    /// What to pass as `after` for the next page; absent on the last.
    next: Option<WorkerId>,
    /// What is missing from the page and why: such as a Runtime that did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<Diagnostic>,
}

impl From<WorkerPage> for WorkersInWords {
    fn from(WorkerPage { workers, next, diagnostics }: WorkerPage) -> Self {
        let workers = workers.into_iter().map(WorkerInWords::from).collect();
        Self { workers, next, diagnostics }
    }
}

/// The Workers of one Runtime, oldest first.
#[utoipa::path(
    get,
    path = "/runtimes/{runtime_id}/workers",
    operation_id = "runtime_workers",
    tag = "Workers",
    params(RuntimePath, WorkerFilter),
    responses(
        TokenRefusals,
        QueryRefusals,
        RegistryRefusals,
        (status = 200, description = "A page of them.", body = WorkersInWords),
    ),
    security(("token" = []))
)]
pub(super) async fn list(
    AtRuntime(runtime): AtRuntime,
    WorkerFilter(query): WorkerFilter,
) -> Result<Json<WorkersInWords>, Problem> {
    Ok(Json(runtime.workers(&query).await?.into()))
}

/// The Workers of all Runtimes, oldest first. What a Runtime does not tell in time is a diagnostic.
///
/// Those of a workspace have its name as the label `workspace`.
#[utoipa::path(
    get,
    path = "/workers",
    operation_id = "workers",
    tag = "Workers",
    params(WorkerFilter),
    responses(
        TokenRefusals,
        QueryRefusals,
        RegistryRefusals,
        (status = 200, description = "A page of them.", body = WorkersInWords),
    ),
    security(("token" = []))
)]
pub(super) async fn list_all(
    State(state): State<AppState>,
    WorkerFilter(query): WorkerFilter,
) -> Result<Json<WorkersInWords>, Problem> {
    Ok(Json(state.registry.workers(&query).await?.into()))
}

/// What is asked for. A browser cannot ask for grants: the launch policy has them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateBody {
    /// How it behaves; absent means the Runtime's default profile, for programs that give grants.
    profile: Option<ProfileName>,
    /// Where it works; absent for nowhere in particular.
    workspace: Option<WorkspaceName>,
    /// A name for eyes only, at most 256 bytes.
    display_name: Option<String>,
    /// What to file it under.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    labels: Labels,
    /// The first input, accepted in the same commit.
    input: Option<Input>,
    /// What it may do instead of what the launch policy says; from programs with the access token only.
    grants: Option<Grants>,
}

impl CreateBody {
    fn into_request(
        self,
        state: &AppState,
        runtime: &Registration,
        principal: Principal,
        idempotency_key: Option<IdempotencyKey>,
    ) -> Result<CreateWorker, Problem> {
        let Self { profile, workspace, display_name, mut labels, input, grants } = self;
        if workspace.is_none() && labels.contains_key(WORKSPACE_LABEL) {
            principal.must_be_bearer("name the `workspace`: its label follows from that")?;
        }
        if grants.is_some() {
            principal.must_be_bearer("the launch policy says what a Worker may do")?;
        }
        let launch = match (&profile, grants) {
            (_, Some(grants)) if workspace.is_none() => Launch { grants, labels: Labels::new() },
            (Some(profile), None) => state.policy.launch(profile, workspace.as_ref())?,
            (_, Some(_)) => {
                return Err(Problem::invalid_input("give either `grants` or a `workspace`"));
            }
            (None, None) => return Err(Problem::invalid_input("give the `profile`")),
        };
        for (key, value) in launch.labels.iter().chain(runtime.visible_labels()) {
            if labels.insert(key.clone(), value.clone()).is_some_and(|asked| asked != *value) {
                let reason = format!("the label `{key}` is `{value}` here");
                return Err(Problem::invalid_input(reason));
            }
        }
        let grants = launch.grants;
        Ok(CreateWorker { profile, display_name, labels, grants, input, idempotency_key })
    }
}

/// Creates a Worker, with what the launch policy grants its profile in its workspace.
#[utoipa::path(
    post,
    path = "/runtimes/{runtime_id}/workers",
    operation_id = "create_worker",
    tag = "Workers",
    params(RuntimePath, Keyed),
    request_body = CreateBody,
    responses(
        TokenRefusals,
        BodyRefusals,
        StateRefusals,
        ComponentRefusals,
        RegistryRefusals,
        (status = 201, description = "It is there.", body = WorkerInWords),
    ),
    security(("token" = []))
)]
pub(super) async fn create(
    State(state): State<AppState>,
    AtRuntime(runtime): AtRuntime,
    Extension(principal): Extension<Principal>,
    Keyed(key): Keyed,
    ApiJson(body): ApiJson<CreateBody>,
) -> Result<Response, Problem> {
    let request = body.into_request(&state, &runtime, principal, key)?;
    let worker = runtime.source().create(request).await?;
    let location = format!("/api/runtimes/{}/workers/{}", worker.runtime_id, worker.worker_id);
    let worker = Json(WorkerInWords::from(worker));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], worker).into_response())
}

/// One Worker.
#[utoipa::path(
    get,
    path = "/runtimes/{runtime_id}/workers/{worker_id}",
    operation_id = "worker",
    tag = "Workers",
    params(WorkerPath),
    responses(
        TokenRefusals,
        RegistryRefusals,
        (status = 200, description = "The Worker.", body = WorkerInWords),
    ),
    security(("token" = []))
)]
pub(super) async fn show(at: AtWorker) -> Result<Json<WorkerInWords>, Problem> {
    Ok(Json(at.source.worker(at.id()).await?.into()))
}

/// Deletes a stopped Worker, with its log.
#[utoipa::path(
    delete,
    path = "/runtimes/{runtime_id}/workers/{worker_id}",
    operation_id = "delete_worker",
    tag = "Workers",
    params(WorkerPath),
    responses(
        TokenRefusals,
        RegistryRefusals,
        StateRefusals,
        (status = 204, description = "It is gone."),
    ),
    security(("token" = []))
)]
pub(super) async fn delete(at: AtWorker) -> Result<StatusCode, Problem> {
    at.source.delete(at.id()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a Worker an input.
///
/// It is in the log before it is answered. A client that goes away cancels nothing.
#[utoipa::path(
    post,
    path = "/runtimes/{runtime_id}/workers/{worker_id}/input",
    operation_id = "give_input",
    tag = "Workers",
    params(WorkerPath, WaitQuery, Keyed),
    request_body = InputBody,
    responses(
        TokenRefusals,
        RegistryRefusals,
        BodyRefusals,
        StateRefusals,
        (status = 200, description = "The turn ended within `wait_ms`.", body = OfWorker<TurnResult>),
        (status = 202, description = "The input is in the log.", body = OfWorker<InputAccepted>),
    ),
    security(("token" = []))
)]
pub(super) async fn input(
    State(state): State<AppState>,
    (Extension(caller), Keyed(key)): (Extension<CallerName>, Keyed),
    at: AtWorker,
    ApiQuery(wait): ApiQuery<WaitQuery>,
    ApiJson(body): ApiJson<InputBody>,
) -> Result<Response, Problem> {
    let (input, options) = body.into_input(key)?;
    // Whoever cannot be held any more is answered at once.
    let held = state.held.take(&caller);
    // Held answers must not hold the shutdown.
    let give_up = state.shutdown.clone();
    let wait = wait.at_most().filter(|_| held.is_ok());
    let wait = wait.map(|at_most| OutcomeWait { at_most, give_up });
    let (accepted, outcome) = at.source.input(at.id(), input, options, wait).await?;
    Ok(match outcome {
        Some(outcome) => {
            let result = TurnResult::new(&accepted, outcome);
            (StatusCode::OK, at.json(result)).into_response()
        }
        None => (StatusCode::ACCEPTED, at.json(accepted)).into_response(),
    })
}

/// Cancels the running turn, or the one that is named.
#[utoipa::path(
    post,
    path = "/runtimes/{runtime_id}/workers/{worker_id}/cancel",
    operation_id = "cancel_turn",
    tag = "Workers",
    params(WorkerPath),
    request_body = Option<CancelBody>,
    responses(
        TokenRefusals,
        RegistryRefusals,
        BodyRefusals,
        (status = 202, description = "Nothing of it runs on."),
    ),
    security(("token" = []))
)]
pub(super) async fn cancel(
    at: AtWorker,
    OptionalJson(CancelBody { turn_id }): OptionalJson<CancelBody>,
) -> Result<StatusCode, Problem> {
    at.source.cancel(at.id(), turn_id).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Stops a Worker: no more turns, until it is started.
#[utoipa::path(
    post,
    path = "/runtimes/{runtime_id}/workers/{worker_id}/stop",
    operation_id = "stop_worker",
    tag = "Workers",
    params(WorkerPath),
    responses(
        TokenRefusals,
        RegistryRefusals,
        StateRefusals,
        (status = 202, description = "It is stopped."),
    ),
    security(("token" = []))
)]
pub(super) async fn stop(at: AtWorker) -> Result<StatusCode, Problem> {
    at.source.stop(at.id()).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Starts a stopped Worker.
#[utoipa::path(
    post,
    path = "/runtimes/{runtime_id}/workers/{worker_id}/start",
    operation_id = "start_worker",
    tag = "Workers",
    params(WorkerPath),
    responses(
        TokenRefusals,
        RegistryRefusals,
        StateRefusals,
        (status = 202, description = "It takes input."),
    ),
    security(("token" = []))
)]
pub(super) async fn start(at: AtWorker) -> Result<StatusCode, Problem> {
    at.source.start(at.id()).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Takes grants away from a Worker, and ends the turn that runs with them.
#[utoipa::path(
    post,
    path = "/runtimes/{runtime_id}/workers/{worker_id}/revoke",
    operation_id = "revoke_grants",
    tag = "Workers",
    params(WorkerPath),
    request_body = RevokeBody,
    responses(
        TokenRefusals,
        RegistryRefusals,
        BodyRefusals,
        (status = 202, description = "Nothing has them any more."),
    ),
    security(("token" = []))
)]
pub(super) async fn revoke(
    at: AtWorker,
    ApiJson(RevokeBody { grants }): ApiJson<RevokeBody>,
) -> Result<StatusCode, Problem> {
    at.source.revoke(at.id(), grants).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Moves a Worker to another component, between two turns.
#[utoipa::path(
    post,
    path = "/runtimes/{runtime_id}/workers/{worker_id}/upgrade",
    operation_id = "upgrade_worker",
    tag = "Workers",
    params(WorkerPath),
    request_body = UpgradeBody,
    responses(
        TokenRefusals,
        RegistryRefusals,
        BodyRefusals,
        StateRefusals,
        ComponentRefusals,
        (status = 202, description = "It goes by the other one.", body = Upgraded),
    ),
    security(("token" = []))
)]
pub(super) async fn upgrade(
    at: AtWorker,
    ApiJson(UpgradeBody { component }): ApiJson<UpgradeBody>,
) -> Result<Response, Problem> {
    let upgraded = at.source.upgrade(at.id(), &component).await?;
    Ok((StatusCode::ACCEPTED, Json(upgraded)).into_response())
}

/// A piece of a Worker's transcript, always bounded.
#[utoipa::path(
    get,
    path = "/runtimes/{runtime_id}/workers/{worker_id}/transcript",
    operation_id = "transcript",
    tag = "Workers",
    params(WorkerPath, TranscriptQuery),
    responses(
        TokenRefusals,
        RegistryRefusals,
        (status = 200, description = "The items.", body = OfWorker<TranscriptPage>),
    ),
    security(("token" = []))
)]
pub(super) async fn transcript(
    at: AtWorker,
    ApiQuery(query): ApiQuery<TranscriptQuery>,
) -> Result<Json<OfWorker<TranscriptPage>>, Problem> {
    let page = at.source.transcript(at.id(), query).await?;
    Ok(at.json(page))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OfItem {
    /// The item.
    item_id: ItemId,
}

/// One item of a Worker's transcript, whole.
#[utoipa::path(
    get,
    path = "/runtimes/{runtime_id}/workers/{worker_id}/items/{item_id}",
    operation_id = "item",
    tag = "Workers",
    params(WorkerPath, OfItem),
    responses(
        TokenRefusals,
        RegistryRefusals,
        (status = 200, description = "The item.", body = OfWorker<Item>),
    ),
    security(("token" = []))
)]
pub(super) async fn item(
    at: AtWorker,
    ApiPath(OfItem { item_id }): ApiPath<OfItem>,
) -> Result<Json<OfWorker<Item>>, Problem> {
    let item = at.source.item(at.id(), item_id).await?;
    Ok(at.json(item))
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
    path = "/runtimes/{runtime_id}/workers/{worker_id}/turns/{turn_id}",
    operation_id = "turn",
    tag = "Workers",
    params(WorkerPath, OfTurn, WaitQuery),
    responses(
        TokenRefusals,
        RegistryRefusals,
        (status = 200, description = "The turn.", body = OfWorker<TurnView>),
    ),
    security(("token" = []))
)]
pub(super) async fn turn(
    State(state): State<AppState>,
    Extension(caller): Extension<CallerName>,
    at: AtWorker,
    ApiPath(OfTurn { turn_id }): ApiPath<OfTurn>,
    ApiQuery(wait): ApiQuery<WaitQuery>,
) -> Result<Json<OfWorker<TurnView>>, Problem> {
    let held = state.held.take(&caller);
    let at_most = wait.at_most().filter(|_| held.is_ok()).unwrap_or(LOOK_UP);
    let wait = OutcomeWait { at_most, give_up: state.shutdown.clone() };
    let outcome = at.source.outcome(at.id(), turn_id, wait).await?;
    Ok(at.json(TurnView { turn_id, outcome }))
}

/// What a Worker's turns took.
#[utoipa::path(
    get,
    path = "/runtimes/{runtime_id}/workers/{worker_id}/usage",
    operation_id = "worker_usage",
    tag = "Workers",
    params(WorkerPath, UsageQuery),
    responses(
        TokenRefusals,
        RegistryRefusals,
        QueryRefusals,
        (status = 200, description = "All turns together, and the newest one by one.", body = OfWorker<WorkerUsage>),
    ),
    security(("token" = []))
)]
pub(super) async fn usage(
    at: AtWorker,
    ApiQuery(query): ApiQuery<UsageQuery>,
) -> Result<Json<OfWorker<WorkerUsage>>, Problem> {
    let usage = at.source.usage(at.id(), query.before, query.limit()).await?;
    Ok(at.json(usage))
}

/// What a Worker's guests printed.
#[utoipa::path(
    get,
    path = "/runtimes/{runtime_id}/workers/{worker_id}/logs",
    operation_id = "logs",
    tag = "Workers",
    params(WorkerPath, LogQuery),
    responses(
        TokenRefusals,
        RegistryRefusals,
        QueryRefusals,
        (status = 200, description = "The lines that are kept.", body = OfWorker<LogPage>),
    ),
    security(("token" = []))
)]
pub(super) async fn logs(
    at: AtWorker,
    ApiQuery(LogQuery { turn }): ApiQuery<LogQuery>,
) -> Result<Json<OfWorker<LogPage>>, Problem> {
    let page = at.source.logs(at.id(), turn).await?;
    Ok(at.json(page))
}

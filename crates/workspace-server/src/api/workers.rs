//! Workers: creating, commanding and reading them.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use worker_types::{
    ComponentRef, CreateWorker, Grant, IdempotencyKey, IfBusy, Input, InputAccepted, InputOptions,
    InputPart, Item, ItemId, Labels, LogPage, Outcome, ProfileName, RuntimeId, Seq, TranscriptPage,
    TranscriptQuery, TurnId, WorkerId, WorkerPage, WorkerQuery, WorkerUsage, WorkerView,
};

use super::{OfWorker, WorkerPath};
use crate::{
    OutcomeWait,
    backend::AppState,
    extract::{ApiJson, ApiPath, ApiQuery, Keyed, OptionalJson},
    policy::LaunchPolicy,
    problem::Problem,
};

/// The longest a request is held for the end of a turn. Proxies and clients give up soon after.
const LONGEST_WAIT_MS: u64 = 60_000;

/// Turns on a page of usage that names no limit.
const DEFAULT_TURNS: usize = 100;

pub(super) async fn list(
    State(state): State<AppState>,
    ApiPath(runtime_id): ApiPath<RuntimeId>,
    ApiQuery(pairs): ApiQuery<Vec<(String, String)>>,
) -> Result<Json<WorkerPage>, Problem> {
    let query = worker_query(pairs)?;
    Ok(Json(state.registry.lookup(&runtime_id)?.workers(&query).await?))
}

pub(super) async fn list_all(
    State(state): State<AppState>,
    ApiQuery(pairs): ApiQuery<Vec<(String, String)>>,
) -> Result<Json<WorkerPage>, Problem> {
    Ok(Json(state.registry.workers(&worker_query(pairs)?).await?))
}

/// Reads a query whose `label` may be given more than once.
fn worker_query(pairs: Vec<(String, String)>) -> Result<WorkerQuery, Problem> {
    let mut query = WorkerQuery::default();
    for (name, value) in pairs {
        let first = match name.as_str() {
            "status" => query.status.replace(value).is_none(),
            "after" => query.after.replace(parameter(&name, &value)?).is_none(),
            "limit" => query.limit.replace(parameter(&name, &value)?).is_none(),
            "label" => {
                let (key, value) = value.split_once(':').ok_or_else(|| {
                    Problem::invalid_input("a `label` filter is written `key:value`")
                })?;
                query.labels.insert(key.to_owned(), value.to_owned()).is_none()
            }
            _ => {
                return Err(Problem::invalid_input(format!(
                    "unknown parameter `{name}`: expected `status`, `label`, `after` or `limit`"
                )));
            }
        };
        if !first {
            return Err(Problem::invalid_input(format!("the parameter `{name}` is given twice")));
        }
    }
    Ok(query)
}

fn parameter<T>(name: &str, value: &str) -> Result<T, Problem>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    value.parse().map_err(|error| {
        Problem::invalid_input(format!("the parameter `{name}` is wrong: {error}"))
    })
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

/// An input, and how it is to be taken.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputBody {
    text: Option<String>,
    parts: Option<Vec<InputPart>>,
    #[serde(default)]
    if_busy: IfBusy,
}

impl InputBody {
    fn into_input(self, key: Option<IdempotencyKey>) -> Result<(Input, InputOptions), Problem> {
        let input = match (self.text, self.parts) {
            (Some(text), None) => Input::text(text),
            (None, Some(parts)) => Input { parts },
            (Some(_), Some(_)) | (None, None) => {
                return Err(Problem::invalid_input("give either `text` or `parts`"));
            }
        };
        Ok((input, InputOptions { if_busy: self.if_busy, idempotency_key: key }))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitQuery {
    /// More than a minute is taken as a minute.
    #[serde(default)]
    wait_ms: u64,
}

/// The end of a turn that the request was held for.
#[derive(Debug, Serialize)]
struct TurnResult {
    turn_id: TurnId,
    seq: Seq,
    outcome: Outcome,
}

pub(super) async fn input(
    State(state): State<AppState>,
    ApiPath(path): ApiPath<WorkerPath>,
    ApiQuery(WaitQuery { wait_ms }): ApiQuery<WaitQuery>,
    Keyed(key): Keyed,
    ApiJson(body): ApiJson<InputBody>,
) -> Result<Response, Problem> {
    let (input, options) = body.into_input(key)?;
    let wait = (wait_ms > 0).then(|| OutcomeWait {
        at_most: Duration::from_millis(wait_ms.min(LONGEST_WAIT_MS)),
        // Held answers must not hold the shutdown.
        give_up: state.shutdown.clone(),
    });
    let source = state.registry.lookup(&path.0)?;
    let (accepted, outcome) = source.input(path.1, input, options, wait).await?;
    Ok(match outcome {
        Some(outcome) => {
            let InputAccepted { turn_id, seq, .. } = accepted;
            let result = TurnResult { turn_id, seq, outcome };
            (StatusCode::OK, OfWorker::json(path, result)).into_response()
        }
        None => (StatusCode::ACCEPTED, OfWorker::json(path, accepted)).into_response(),
    })
}

/// Which turn to cancel; none means whichever runs.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CancelBody {
    turn_id: Option<TurnId>,
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

/// What to take away of a Worker's grants.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeBody {
    grants: Vec<Grant>,
}

pub(super) async fn revoke(
    State(state): State<AppState>,
    ApiPath((runtime_id, worker_id)): ApiPath<WorkerPath>,
    ApiJson(RevokeBody { grants }): ApiJson<RevokeBody>,
) -> Result<StatusCode, Problem> {
    state.registry.lookup(&runtime_id)?.revoke(worker_id, grants).await?;
    Ok(StatusCode::ACCEPTED)
}

/// What a Worker is to go by.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpgradeBody {
    component: ComponentRef,
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

/// Which turns to show the cost of: the newest before `before`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageQuery {
    before: Option<TurnId>,
    /// The Runtime bounds it.
    limit: Option<usize>,
}

pub(super) async fn usage(
    State(state): State<AppState>,
    ApiPath(path): ApiPath<WorkerPath>,
    ApiQuery(UsageQuery { before, limit }): ApiQuery<UsageQuery>,
) -> Result<Json<OfWorker<WorkerUsage>>, Problem> {
    let source = state.registry.lookup(&path.0)?;
    let usage = source.usage(path.1, before, limit.unwrap_or(DEFAULT_TURNS)).await?;
    Ok(OfWorker::json(path, usage))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogQuery {
    turn: Option<TurnId>,
}

pub(super) async fn logs(
    State(state): State<AppState>,
    ApiPath(path): ApiPath<WorkerPath>,
    ApiQuery(LogQuery { turn }): ApiQuery<LogQuery>,
) -> Result<Json<OfWorker<LogPage>>, Problem> {
    let page = state.registry.lookup(&path.0)?.logs(path.1, turn).await?;
    Ok(OfWorker::json(path, page))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Result<WorkerQuery, Problem> {
        worker_query(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn labels_may_be_given_more_than_once_and_hold_colons() {
        let query =
            query(&[("label", "a:1"), ("limit", "5"), ("label", "b:x:y")]).expect("a query");
        assert_eq!(
            query.labels,
            Labels::from([("a".into(), "1".into()), ("b".into(), "x:y".into())])
        );
        assert_eq!(query.limit, Some(5));
    }

    #[test]
    fn unknown_repeated_and_malformed_parameters_are_refused() {
        for pairs in [
            &[("colour", "red")][..],
            &[("status", "idle"), ("status", "running")],
            &[("label", "a:1"), ("label", "a:2")],
            &[("label", "a")],
            &[("limit", "-1")],
            &[("after", "x")],
        ] {
            assert!(query(pairs).is_err(), "{pairs:?}");
        }
    }

    #[test]
    fn an_input_is_either_text_or_parts() {
        for body in ["{}", r#"{"text":"a","parts":[]}"#] {
            let body: InputBody = serde_json::from_str(body).expect("a body");
            assert!(body.into_input(None).is_err());
        }
        let body: InputBody = serde_json::from_str(r#"{"text":"a"}"#).expect("a body");
        assert_eq!(body.into_input(None).expect("an input").0, Input::text("a"));
    }
}

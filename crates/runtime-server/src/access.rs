//! What the token of a request lets its caller do.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http_api::{ApiPath, CallerName, Problem};
use serde::Deserialize;
use utoipa::IntoParams;
use worker_runtime::Runtime;
use worker_types::{CreateWorker, Labels, RuntimeError, ScopeHolder, WorkerId, WorkerQuery};

use crate::{Scope, TokenRecord, server::ServerState};

/// Whoever made a request: a token that was let in.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Arc<TokenRecord>);

impl Caller {
    /// What its shares are counted by, and what its idempotency keys are a part of.
    pub(crate) fn name(&self) -> CallerName {
        CallerName(self.0.id.to_string().into())
    }

    /// Whether a Worker with these labels is there for it.
    fn sees(&self, labels: &Labels) -> bool {
        self.0.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// Whether only the Workers with certain labels are there for it.
    pub(crate) fn is_bound(&self) -> bool {
        !self.0.labels.is_empty()
    }

    /// Narrows `query` to the Workers that are there for it; false where that leaves none.
    pub(crate) fn narrow(&self, query: &mut WorkerQuery) -> bool {
        self.0.labels.iter().all(|(key, value)| {
            query.labels.entry(key.clone()).or_insert_with(|| value.clone()) == value
        })
    }

    /// The same refusal of `runtime`, without what is not there for the caller.
    pub(crate) fn told(&self, refused: RuntimeError, runtime: &Runtime) -> RuntimeError {
        match refused {
            RuntimeError::ScopeConflict { preopen, holder }
                if self.is_bound() && !self.sees_holder(&holder, runtime) =>
            {
                let reason = "another Worker may write to it".to_owned();
                RuntimeError::PreopenUnavailable { preopen, reason }
            }
            refused => refused,
        }
    }

    /// Whether the holder is a Worker of `runtime` that is there for the caller. Of other Runtimes it sees nothing.
    fn sees_holder(&self, holder: &ScopeHolder, runtime: &Runtime) -> bool {
        holder.runtime_id == *runtime.id()
            && runtime.worker(holder.worker_id).is_ok_and(|worker| self.sees(&worker.labels))
    }

    /// Files a new Worker under its labels, and holds what it asks for against its ceiling.
    pub(crate) fn bound(&self, request: &mut CreateWorker) -> Result<(), RuntimeError> {
        for (key, value) in &self.0.labels {
            let label = request.labels.entry(key.clone()).or_insert_with(|| value.clone());
            if label != value {
                let reason = format!("the token is for Workers with the label `{key}:{value}`");
                return Err(RuntimeError::Forbidden { reason });
            }
        }
        let Some(ceiling) = &self.0.ceiling else { return Ok(()) };
        request.grants.within(ceiling).map_err(|exceeds| RuntimeError::GrantExceedsCeiling {
            exceeds: format!("{exceeds}, by the ceiling of the token"),
        })
    }
}

/// The caller, if its token has the scope.
fn caller(parts: &Parts, scope: Scope) -> Result<Caller, Problem> {
    let Some(caller) = parts.extensions.get::<Caller>() else {
        // Every route is behind the guard, which puts it there.
        let reason = "no token".to_owned();
        return Err(RuntimeError::Unauthorized { reason }.into());
    };
    if !caller.0.may(scope) {
        return Err(Problem::forbidden(&format!("the token lacks the scope `{scope}`")));
    }
    Ok(caller.clone())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfWorker {
    /// The Worker.
    worker_id: WorkerId,
}

/// The Worker of the path, if the caller's token has the scope and the Worker is there for it.
async fn worker(
    parts: &mut Parts,
    state: &ServerState,
    scope: Scope,
) -> Result<(WorkerId, Caller), Problem> {
    let caller = caller(parts, scope)?;
    let ApiPath(OfWorker { worker_id }) = ApiPath::from_request_parts(parts, state).await?;
    if caller.is_bound() && !caller.sees(&state.runtime.worker(worker_id)?.labels) {
        return Err(RuntimeError::UnknownWorker { worker_id }.into());
    }
    Ok((worker_id, caller))
}

/// Somebody who may look.
pub(crate) struct Observer(pub(crate) Caller);

impl FromRequestParts<ServerState> for Observer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ServerState) -> Result<Self, Problem> {
        caller(parts, Scope::Observe).map(Self)
    }
}

/// Somebody who may command.
pub(crate) struct Commander(pub(crate) Caller);

impl FromRequestParts<ServerState> for Commander {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ServerState) -> Result<Self, Problem> {
        caller(parts, Scope::Command).map(Self)
    }
}

/// Somebody who may do everything, with all Workers.
pub(crate) struct Administrator(pub(crate) Caller);

impl FromRequestParts<ServerState> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ServerState) -> Result<Self, Problem> {
        let caller = caller(parts, Scope::Admin)?;
        if caller.is_bound() {
            return Err(Problem::forbidden(
                "this concerns all Workers, and the token is for those with certain labels",
            ));
        }
        Ok(Self(caller))
    }
}

/// A Worker that the caller may look at.
pub(crate) struct Observed(pub(crate) WorkerId);

impl FromRequestParts<ServerState> for Observed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ServerState) -> Result<Self, Problem> {
        worker(parts, state, Scope::Observe).await.map(|(id, _)| Self(id))
    }
}

/// A Worker that the caller may command.
pub(crate) struct Commanded(pub(crate) WorkerId, pub(crate) Caller);

impl FromRequestParts<ServerState> for Commanded {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ServerState) -> Result<Self, Problem> {
        worker(parts, state, Scope::Command).await.map(|(id, caller)| Self(id, caller))
    }
}

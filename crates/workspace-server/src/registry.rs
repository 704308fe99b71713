//! The border over which the Backend sees its Runtimes.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time;
use worker_types::{
    DEFAULT_WORKERS, Diagnostic, MAX_WORKERS, RuntimeError, RuntimeId, WorkerPage, WorkerQuery,
    WorkerView,
};

use crate::{RuntimeListing, RuntimeSource};

/// How long a list waits for each Runtime. A Runtime answers from memory, so one that is well takes
/// milliseconds, also over a network; longer than this, and a person believes that the page hangs.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);

/// The Runtimes of a Backend, by id.
///
/// The registry finds a Runtime and passes the call on. It runs nothing and keeps no
/// Worker, so a Worker that is asked for twice is asked of its Runtime twice. Runtimes can be added
/// while the Backend serves.
#[derive(Debug, Default)]
pub struct RuntimeRegistry {
    sources: RwLock<BTreeMap<RuntimeId, Arc<RuntimeSource>>>,
}

/// Why a Runtime was not registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterRuntimeError {
    /// Another Runtime has this id.
    #[error("a Runtime with the id `{runtime_id}` is registered already")]
    DuplicateId {
        /// The id of both.
        runtime_id: RuntimeId,
    },
}

impl RuntimeRegistry {
    /// A registry without any Runtime.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a Runtime. The one that has the id already stays what it is.
    pub fn register(&self, source: RuntimeSource) -> Result<(), RegisterRuntimeError> {
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        match sources.entry(source.id().clone()) {
            Entry::Vacant(place) => {
                place.insert(Arc::new(source));
                Ok(())
            }
            Entry::Occupied(taken) => {
                Err(RegisterRuntimeError::DuplicateId { runtime_id: taken.key().clone() })
            }
        }
    }

    /// The Runtime called `runtime_id`.
    pub fn lookup(&self, runtime_id: &RuntimeId) -> Result<Arc<RuntimeSource>, RuntimeError> {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        sources
            .get(runtime_id)
            .cloned()
            .ok_or_else(|| RuntimeError::UnknownRuntime { runtime_id: runtime_id.clone() })
    }

    /// All Runtimes, in the order of their ids. One that fails or is late is listed as unavailable.
    pub async fn list(&self) -> Vec<RuntimeListing> {
        let sources = self.sources();
        join_all(sources.iter().map(|source| listing(source))).await
    }

    /// The Runtime called `runtime_id`, as it stands in the list.
    pub async fn listing(&self, runtime_id: &RuntimeId) -> Result<RuntimeListing, RuntimeError> {
        Ok(listing(&*self.lookup(runtime_id)?).await)
    }

    /// A page of the Workers of all Runtimes, oldest first.
    ///
    /// Worker ids sort by creation, also across Runtimes: so the same `after` is the place to go on
    /// from in each of them, and merging their pages gives the page of all. A Runtime that fails or
    /// is late is a diagnostic of the page; only a query that makes no sense is an error.
    pub async fn workers(&self, query: &WorkerQuery) -> Result<WorkerPage, RuntimeError> {
        let limit = query.limit.unwrap_or(DEFAULT_WORKERS).clamp(1, MAX_WORKERS);
        let query = &WorkerQuery { limit: Some(limit), ..query.clone() };
        let sources = self.sources();
        let answers = join_all(sources.iter().map(|source| in_time(source.workers(query)))).await;

        let (mut pages, mut failures) = (Vec::new(), Vec::new());
        for (source, answer) in sources.iter().zip(answers) {
            match answer {
                Ok(page) => pages.push(page),
                Err(failure) => failures.push((source.id(), failure)),
            }
        }
        // Where nobody understands the query, the fault is the query's.
        if pages.is_empty()
            && let Some(refusal) = failures.iter().find_map(|(_, failure)| failure.refusal())
        {
            return Err(refusal.clone());
        }
        let mut page = merge_pages(pages, limit as usize);
        page.diagnostics.extend(failures.iter().map(|(id, failure)| failure.diagnostic(id)));
        Ok(page)
    }

    fn sources(&self) -> Vec<Arc<RuntimeSource>> {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        sources.values().cloned().collect()
    }
}

async fn listing(source: &RuntimeSource) -> RuntimeListing {
    match in_time(source.summary()).await {
        Ok(summary) => RuntimeListing::known(source.kind(), summary),
        Err(failure) => {
            let reason = failure.diagnostic(source.id());
            RuntimeListing::unavailable(source.id().clone(), source.kind(), reason)
        }
    }
}

/// Why a list has nothing from a Runtime.
#[derive(Debug)]
enum SourceFailure {
    Failed(RuntimeError),
    Late,
}

async fn in_time<T>(
    answer: impl Future<Output = Result<T, RuntimeError>>,
) -> Result<T, SourceFailure> {
    match time::timeout(ANSWER_DEADLINE, answer).await {
        Ok(answer) => answer.map_err(SourceFailure::Failed),
        Err(_) => Err(SourceFailure::Late),
    }
}

impl SourceFailure {
    /// The error, if it says that the request makes no sense.
    fn refusal(&self) -> Option<&RuntimeError> {
        match self {
            Self::Failed(error @ RuntimeError::InvalidInput { .. }) => Some(error),
            Self::Failed(_) | Self::Late => None,
        }
    }

    /// What a client is told. The error's own words are for the operator's log: they may name the
    /// place where the Runtime was looked for.
    fn diagnostic(&self, runtime_id: &RuntimeId) -> Diagnostic {
        tracing::warn!(%runtime_id, failure = ?self, "a list goes without a Runtime");
        match self {
            Self::Failed(error) => Diagnostic {
                code: error.code().to_owned(),
                message: format!(
                    "the Runtime `{runtime_id}` is missing: it failed to answer, and the log of \
                     the Backend says why"
                ),
            },
            Self::Late => Diagnostic {
                code: "remote_timeout".to_owned(),
                message: format!(
                    "the Runtime `{runtime_id}` is missing: it did not answer within {} seconds",
                    ANSWER_DEADLINE.as_secs()
                ),
            },
        }
    }
}

/// The oldest Workers of all pages.
fn merge_pages(pages: Vec<WorkerPage>, limit: usize) -> WorkerPage {
    // A page that has a next one says nothing of what comes after it, so neither can the whole.
    let known_until = pages.iter().filter_map(|page| page.next).min();
    let (mut workers, mut diagnostics) = (Vec::<WorkerView>::new(), Vec::new());
    for page in pages {
        workers.extend(page.workers);
        diagnostics.extend(page.diagnostics);
    }
    workers.retain(|worker| known_until.is_none_or(|until| worker.worker_id <= until));
    workers.sort_by_key(|worker| worker.worker_id);
    let next = if workers.len() > limit {
        workers.truncate(limit);
        workers.last().map(|worker| worker.worker_id)
    } else {
        known_until
    };
    WorkerPage { workers, next, diagnostics }
}

#[cfg(test)]
mod tests;

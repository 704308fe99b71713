//! The border over which the Backend sees its Runtimes.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, PoisonError, RwLock},
};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{broadcast, watch},
    time,
};
use utoipa::ToSchema;
use worker_types::{
    DEFAULT_WORKERS, Diagnostic, Labels, MAX_WORKERS, RuntimeError, RuntimeId, WorkerId,
    WorkerPage, WorkerQuery, WorkerStatus, WorkerView,
};

use crate::{RuntimeListing, RuntimeSource, hints::Hint};

/// Hints that wait for one slow reader. Whoever falls behind further asks anew.
const HINTS: usize = 1_024;

/// The Runtimes of a Backend, by id.
///
/// The registry finds a Runtime and passes the call on. It runs nothing and keeps no
/// Worker, so a Worker that is asked for twice is asked of its Runtime twice. Runtimes can be added
/// and removed while the Backend serves.
#[derive(Debug)]
pub struct RuntimeRegistry {
    runtimes: RwLock<BTreeMap<RuntimeId, Registration>>,
    /// Changes with every Runtime that is added or removed.
    generation: watch::Sender<u64>,
    hints: broadcast::Sender<Hint>,
}

/// A Runtime, and what the Backend shows of it.
#[derive(Debug, Clone)]
pub struct Registration {
    source: Arc<RuntimeSource>,
    managed_by: ManagedBy,
    visible: Labels,
}

/// Who said that a Runtime is to be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ManagedBy {
    /// The program or its configuration: no request removes it.
    Config,
    /// A request to the API, and another one can remove it.
    Api,
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Registration {
    /// This Runtime, with all of its Workers, for as long as the program runs.
    #[must_use]
    pub fn new(source: RuntimeSource) -> Self {
        let (managed_by, visible) = (ManagedBy::Config, Labels::new());
        Self { source: Arc::new(source), managed_by, visible }
    }

    /// The same, with only those of its Workers that have all of these labels. New ones get them.
    #[must_use]
    pub fn visible(mut self, labels: Labels) -> Self {
        self.visible = labels;
        self
    }

    /// The same, for a request to remove.
    #[must_use]
    pub fn by_api(mut self) -> Self {
        self.managed_by = ManagedBy::Api;
        self
    }

    /// The Runtime.
    #[must_use]
    pub fn source(&self) -> &Arc<RuntimeSource> {
        &self.source
    }

    /// Who said that it is to be registered.
    #[must_use]
    pub fn managed_by(&self) -> ManagedBy {
        self.managed_by
    }

    /// The labels of Workers that are there for callers of the Backend.
    #[must_use]
    pub fn visible_labels(&self) -> &Labels {
        &self.visible
    }

    /// Whether requests may change or remove it.
    pub(crate) fn changeable(&self) -> Result<(), RuntimeError> {
        if self.managed_by == ManagedBy::Api {
            return Ok(());
        }
        let runtime_id = self.source.id().clone();
        let reason = "the Backend's configuration has it: change it there".to_owned();
        Err(RuntimeError::RuntimeInUse { runtime_id, reason })
    }

    /// Whether a Worker of the Runtime is there for callers of the Backend.
    pub(crate) async fn shows(&self, worker_id: WorkerId) -> Result<bool, RuntimeError> {
        if self.visible.is_empty() {
            return Ok(true);
        }
        Ok(self.shows_labelled(&self.source.worker(worker_id).await?.labels))
    }

    /// Whether a Worker with these labels is there for callers of the Backend.
    pub(crate) fn shows_labelled(&self, labels: &Labels) -> bool {
        self.visible.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// A page of the Workers that are visible.
    pub(crate) async fn workers(&self, query: &WorkerQuery) -> Result<WorkerPage, RuntimeError> {
        let mut query = query.clone();
        for (key, value) in &self.visible {
            if query.labels.insert(key.clone(), value.clone()).is_some_and(|asked| asked != *value)
            {
                // None has both.
                return Ok(WorkerPage { workers: vec![], next: None, diagnostics: vec![] });
            }
        }
        self.source.workers(&query).await
    }

    async fn listing(&self) -> RuntimeListing {
        let Self { source, managed_by, visible } = self;
        match in_time(source, source.summary()).await {
            Ok(summary) => {
                let mut listing = RuntimeListing::known(source.kind(), *managed_by, summary);
                if let (false, Some(details)) = (visible.is_empty(), &mut listing.details) {
                    // Its own numbers are those of all.
                    details.overview = None;
                }
                listing
            }
            Err(error) => {
                let reason = missing(source.id(), &error);
                let id = source.id().clone();
                RuntimeListing::unavailable(id, source.kind(), *managed_by, reason)
            }
        }
    }
}

impl Default for RuntimeRegistry {
    fn default() -> Self {
        Self {
            runtimes: RwLock::default(),
            generation: watch::Sender::new(0),
            hints: broadcast::Sender::new(HINTS),
        }
    }
}

impl RuntimeRegistry {
    /// A registry without any Runtime.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a Runtime. One that has the id already stays what it is.
    ///
    /// # Errors
    ///
    /// `RuntimeExists`.
    pub fn register(&self, runtime: Registration) -> Result<(), RuntimeError> {
        let mut runtimes = self.runtimes.write().unwrap_or_else(PoisonError::into_inner);
        match runtimes.entry(runtime.source.id().clone()) {
            Entry::Vacant(place) => place.insert(runtime),
            Entry::Occupied(taken) => {
                return Err(RuntimeError::RuntimeExists { runtime_id: taken.key().clone() });
            }
        };
        drop(runtimes);
        self.generation.send_modify(|generation| *generation += 1);
        Ok(())
    }

    /// Adds a Runtime in the place of the one that has its id, if there is one. Streams that are open go on
    /// with the one they were opened at.
    pub fn replace(&self, runtime: Registration) -> Option<Registration> {
        let mut runtimes = self.runtimes.write().unwrap_or_else(PoisonError::into_inner);
        let before = runtimes.insert(runtime.source.id().clone(), runtime);
        drop(runtimes);
        self.generation.send_modify(|generation| *generation += 1);
        before
    }

    /// Removes a Runtime. Its Workers stay where they are, and nobody sees them here. With `force`, also one
    /// that has Workers that are not stopped, and one that does not say whether it has.
    ///
    /// # Errors
    ///
    /// `UnknownRuntime`, `RuntimeInUse`.
    pub async fn unregister(
        &self,
        runtime_id: &RuntimeId,
        force: bool,
    ) -> Result<Registration, RuntimeError> {
        if !force {
            self.unused(runtime_id).await?;
        }
        let mut runtimes = self.runtimes.write().unwrap_or_else(PoisonError::into_inner);
        let removed = runtimes.remove(runtime_id);
        drop(runtimes);
        self.generation.send_modify(|generation| *generation += 1);
        removed.ok_or_else(|| RuntimeError::UnknownRuntime { runtime_id: runtime_id.clone() })
    }

    /// Whether [`unregister`](Self::unregister) needs no force now.
    pub(crate) async fn unused(&self, runtime_id: &RuntimeId) -> Result<(), RuntimeError> {
        unused(&self.lookup(runtime_id)?).await
    }

    /// The Runtime called `runtime_id`.
    ///
    /// # Errors
    ///
    /// `UnknownRuntime`.
    pub fn lookup(&self, runtime_id: &RuntimeId) -> Result<Registration, RuntimeError> {
        let runtimes = self.runtimes.read().unwrap_or_else(PoisonError::into_inner);
        runtimes
            .get(runtime_id)
            .cloned()
            .ok_or_else(|| RuntimeError::UnknownRuntime { runtime_id: runtime_id.clone() })
    }

    /// The Runtime of a Worker, if both are there for callers of the Backend.
    ///
    /// # Errors
    ///
    /// `UnknownRuntime`, `UnknownWorker`, and where only some Workers are visible, what keeps the Runtime from
    /// saying whether this is one.
    pub async fn of_worker(
        &self,
        runtime_id: &RuntimeId,
        worker_id: WorkerId,
    ) -> Result<Arc<RuntimeSource>, RuntimeError> {
        let runtime = self.lookup(runtime_id)?;
        if !runtime.shows(worker_id).await? {
            return Err(RuntimeError::UnknownWorker { worker_id });
        }
        Ok(runtime.source)
    }

    /// All Runtimes, in the order of their ids. One that fails or is late is listed as unavailable.
    pub async fn list(&self) -> Vec<RuntimeListing> {
        let runtimes = self.runtimes();
        join_all(runtimes.iter().map(Registration::listing)).await
    }

    /// The Runtime called `runtime_id`, as it stands in the list.
    pub async fn listing(&self, runtime_id: &RuntimeId) -> Result<RuntimeListing, RuntimeError> {
        Ok(self.lookup(runtime_id)?.listing().await)
    }

    /// A page of the Workers of all Runtimes; oldest first.
    ///
    /// Worker ids sort by creation, also across Runtimes: so the same `after` is the place to go on
    /// from in each of them, and merging their pages gives the page of all. A Runtime that fails or
    /// is late is a diagnostic of the page; only a query that makes no sense is an error.
    pub async fn workers(&self, query: &WorkerQuery) -> Result<WorkerPage, RuntimeError> {
        let limit = query.limit.unwrap_or(DEFAULT_WORKERS).clamp(1, MAX_WORKERS);
        let query = &WorkerQuery { limit: Some(limit), ..query.clone() };
        let runtimes = self.runtimes();
        let asked = runtimes.iter().map(|runtime| in_time(&runtime.source, runtime.workers(query)));
        let answers = join_all(asked).await;

        let (mut pages, mut failures) = (Vec::new(), Vec::new());
        for (runtime, answer) in runtimes.iter().zip(answers) {
            match answer {
                Ok(page) => pages.push(page),
                Err(error) => failures.push((runtime.source.id(), error)),
            }
        }
        // Where nobody understands the query, the fault is the query's.
        if pages.is_empty()
            && let Some((_, refusal)) = failures
                .iter()
                .find(|(_, error)| matches!(error, RuntimeError::InvalidInput { .. }))
        {
            return Err(refusal.clone());
        }
        let mut page = merge_pages(pages, limit as usize);
        page.diagnostics.extend(failures.iter().map(|(id, error)| missing(id, error)));
        Ok(page)
    }

    /// What changes from now on.
    pub(crate) fn hints(&self) -> broadcast::Receiver<Hint> {
        self.hints.subscribe()
    }

    pub(crate) fn runtimes(&self) -> Vec<Registration> {
        let runtimes = self.runtimes.read().unwrap_or_else(PoisonError::into_inner);
        runtimes.values().cloned().collect()
    }

    /// Watches the Runtimes until it is dropped: whether they answer, and what changes in them. Without it
    /// nobody gets hints, and lists wait for what does not answer each time anew.
    pub async fn watch(&self) {
        crate::hints::watch(self, self.generation.subscribe(), &self.hints).await;
    }
}

/// Whether nothing goes on in the Runtime, as far as it is shown here.
async fn unused(runtime: &Registration) -> Result<(), RuntimeError> {
    let runtime_id = runtime.source.id().clone();
    let query = WorkerQuery { limit: Some(MAX_WORKERS), ..WorkerQuery::default() };
    let reason = match in_time(&runtime.source, runtime.workers(&query)).await {
        Ok(page) => {
            let is_live = |worker: &&WorkerView| worker.status != WorkerStatus::Stopped;
            match page.workers.iter().filter(is_live).count() {
                0 if page.next.is_none() => return Ok(()),
                0 => {
                    "it has more Workers than are looked through: only force (`--force`) removes it".to_owned()
                }
                live => format!(
                    "{live} of its Workers are not stopped, so only force (`--force`) removes it: they stay where they \
                     are, and nobody sees them here"
                ),
            }
        }
        Err(_) => {
            "it does not say whether it has Workers that are not stopped: only force (`--force`) removes it"
                .to_owned()
        }
    };
    Err(RuntimeError::RuntimeInUse { runtime_id, reason })
}

/// The answer of a Runtime, if it comes in time. One that was not reached lately is not waited for.
async fn in_time<T>(
    source: &RuntimeSource,
    answer: impl Future<Output = Result<T, RuntimeError>>,
) -> Result<T, RuntimeError> {
    if let Some(error) = source.known_failure() {
        return Err(error);
    }
    let answer = time::timeout(source.patience(), answer).await;
    answer.unwrap_or_else(|_| Err(RuntimeError::RemoteTimeout { runtime_id: source.id().clone() }))
}

/// What a client is told where a Runtime is missing. The words of what is no matter of the network are for
/// the operator's log.
fn missing(runtime_id: &RuntimeId, error: &RuntimeError) -> Diagnostic {
    let message = match error {
        RuntimeError::RuntimeUnavailable { reason } => {
            format!("the Runtime `{runtime_id}` is missing: {reason}")
        }
        RuntimeError::RemoteTimeout { .. }
        | RuntimeError::RemoteAuthFailed { .. }
        // They name it themselves.
        | RuntimeError::RemoteIncompatible { .. } => error.to_string(),
        other => {
            tracing::warn!(%runtime_id, failure = %other, "a list goes without a Runtime");
            format!(
                "the Runtime `{runtime_id}` is missing: it failed to answer, and the log of the \
                 Backend says why"
            )
        }
    };
    Diagnostic { code: error.code().to_owned(), message }
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
    // Not between two of one id, which a Runtime has that was copied: what comes after an id is behind both.
    let last = workers.get(limit.saturating_sub(1)).map(|worker| worker.worker_id);
    let shown = workers.partition_point(|worker| last.is_none_or(|last| worker.worker_id <= last));
    let next = if workers.len() > shown { last } else { known_until };
    workers.truncate(shown);
    WorkerPage { workers, next, diagnostics }
}

#[cfg(test)]
mod tests;

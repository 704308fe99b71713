//! The border over which the Backend sees its Runtimes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use worker_runtime::{Events, Runtime};
use worker_types::{
    CreateWorker, Cursor, EventPage, Input, InputAccepted, InputOptions, LiveEvent, LogPage,
    Outcome, RuntimeError, RuntimeId, RuntimeSummary, TranscriptPage, TranscriptQuery, TurnId,
    WorkerId, WorkerPage, WorkerQuery, WorkerView,
};

/// Workers on a page that names no limit.
const DEFAULT_PAGE: u32 = 100;

/// The most Workers on one page, the same as in a Runtime.
const LARGEST_PAGE: u32 = 1_000;

/// The Runtimes of a Backend, by id.
///
/// The registry finds a Runtime and passes the call on. It runs nothing, keeps no Worker and
/// allocates nothing, so a Worker that is asked for twice is asked of its Runtime twice.
#[derive(Debug, Default)]
pub struct RuntimeRegistry {
    sources: BTreeMap<RuntimeId, RuntimeSource>,
}

/// Where a registered Runtime is.
#[derive(Debug)]
pub enum RuntimeSource {
    /// In this process, reached by direct call.
    Embedded(Runtime),
}

/// What kind of source a Runtime has, for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// It runs in the Backend's own process.
    Embedded,
    /// A kind this version does not know.
    #[serde(other)]
    Unknown,
}

/// A Runtime as the Backend lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuntimeListing {
    /// Where it is.
    pub source_kind: SourceKind,
    /// What it says of itself.
    #[serde(flatten)]
    pub summary: RuntimeSummary,
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
    pub fn register(&mut self, source: RuntimeSource) -> Result<(), RegisterRuntimeError> {
        let runtime_id = source.id().clone();
        if self.sources.contains_key(&runtime_id) {
            return Err(RegisterRuntimeError::DuplicateId { runtime_id });
        }
        self.sources.insert(runtime_id, source);
        Ok(())
    }

    /// The Runtime called `runtime_id`.
    pub fn lookup(&self, runtime_id: &RuntimeId) -> Result<&RuntimeSource, RuntimeError> {
        self.sources
            .get(runtime_id)
            .ok_or_else(|| RuntimeError::UnknownRuntime { runtime_id: runtime_id.clone() })
    }

    /// All Runtimes, in the order of their ids.
    pub async fn list(&self) -> Result<Vec<RuntimeListing>, RuntimeError> {
        let mut listings = Vec::with_capacity(self.sources.len());
        for source in self.sources.values() {
            listings.push(source.listing().await?);
        }
        Ok(listings)
    }

    /// A page of the Workers of all Runtimes, oldest first.
    ///
    /// Worker ids sort by creation, also across Runtimes: so the same `after` is the place to go on
    /// from in each of them, and merging their pages gives the page of all.
    pub async fn workers(&self, query: &WorkerQuery) -> Result<WorkerPage, RuntimeError> {
        let mut pages = Vec::with_capacity(self.sources.len());
        for source in self.sources.values() {
            pages.push(source.workers(query).await?);
        }
        let limit = query.limit.unwrap_or(DEFAULT_PAGE).min(LARGEST_PAGE);
        Ok(merge_pages(pages, limit as usize))
    }
}

fn merge_pages(pages: Vec<WorkerPage>, limit: usize) -> WorkerPage {
    let mut more = pages.iter().any(|page| page.next.is_some());
    let mut workers: Vec<WorkerView> = pages.into_iter().flat_map(|page| page.workers).collect();
    workers.sort_by_key(|worker| worker.worker_id);
    more |= workers.len() > limit;
    workers.truncate(limit);
    let last = workers.last().map(|worker| worker.worker_id);
    WorkerPage { workers, next: last.filter(|_| more) }
}

impl RuntimeSource {
    /// A Runtime in this process.
    #[must_use]
    pub fn embedded(runtime: Runtime) -> Self {
        Self::Embedded(runtime)
    }

    /// The Runtime's id.
    #[must_use]
    pub fn id(&self) -> &RuntimeId {
        match self {
            Self::Embedded(runtime) => runtime.id(),
        }
    }

    /// Where the Runtime is.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        match self {
            Self::Embedded(_) => SourceKind::Embedded,
        }
    }

    /// What the Runtime is, and where.
    pub async fn listing(&self) -> Result<RuntimeListing, RuntimeError> {
        let summary = match self {
            Self::Embedded(runtime) => runtime.summary(),
        };
        Ok(RuntimeListing { source_kind: self.kind(), summary })
    }

    /// A page of the Runtime's Workers.
    pub async fn workers(&self, query: &WorkerQuery) -> Result<WorkerPage, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.workers(query),
        }
    }

    /// One Worker.
    pub async fn worker(&self, id: WorkerId) -> Result<WorkerView, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.worker(id),
        }
    }

    /// Creates a Worker.
    pub async fn create(&self, request: CreateWorker) -> Result<WorkerView, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.create(request).await,
        }
    }

    /// Gives a Worker an input.
    pub async fn input(
        &self,
        id: WorkerId,
        input: Input,
        options: InputOptions,
    ) -> Result<InputAccepted, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.input(id, input, options).await,
        }
    }

    /// Waits for the end of a turn.
    pub async fn outcome(&self, id: WorkerId, turn: TurnId) -> Result<Outcome, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.outcome(id, turn).await,
        }
    }

    /// Cancels the running turn; with `turn`, only if it is that one.
    pub async fn cancel(&self, id: WorkerId, turn: Option<TurnId>) -> Result<(), RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.cancel(id, turn).await,
        }
    }

    /// Stops a Worker.
    pub async fn stop(&self, id: WorkerId) -> Result<(), RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.stop(id).await,
        }
    }

    /// Starts a stopped Worker.
    pub async fn start(&self, id: WorkerId) -> Result<(), RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.start(id).await,
        }
    }

    /// A piece of a Worker's transcript.
    pub async fn transcript(
        &self,
        id: WorkerId,
        query: TranscriptQuery,
    ) -> Result<TranscriptPage, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.transcript(id, query).await,
        }
    }

    /// A page of a Worker's durable events.
    pub async fn event_page(
        &self,
        id: WorkerId,
        after: Cursor,
        limit: usize,
    ) -> Result<EventPage, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.event_page(id, after, limit).await,
        }
    }

    /// A Worker's events from `after` on, then live ones.
    pub async fn events(&self, id: WorkerId, after: Cursor) -> Result<WorkerEvents, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.events(id, after).map(WorkerEvents::Embedded),
        }
    }

    /// What a Worker's guest printed.
    pub async fn logs(&self, id: WorkerId, turn: Option<TurnId>) -> Result<LogPage, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.logs(id, turn).await,
        }
    }
}

/// The events of one Worker, wherever its Runtime is.
#[derive(Debug)]
pub enum WorkerEvents {
    /// From a Runtime in this process.
    Embedded(Events),
}

impl WorkerEvents {
    /// Waits for the next; `None` once the Runtime has shut down or the Worker is gone.
    pub async fn next(&mut self) -> Option<Result<LiveEvent, RuntimeError>> {
        match self {
            Self::Embedded(events) => events.next().await,
        }
    }

    /// The place after the last durable event that `next` returned.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        match self {
            Self::Embedded(events) => events.cursor(),
        }
    }
}

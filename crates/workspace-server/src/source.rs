//! A registered Runtime, wherever it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time;
use tokio_util::sync::CancellationToken;
use worker_runtime::{Events, Runtime};
use worker_types::{
    ComponentRef, CreateWorker, Cursor, EventPage, Grant, Input, InputAccepted, InputOptions, Item,
    ItemId, LiveEvent, LogPage, Outcome, RuntimeError, RuntimeId, RuntimeSummary, TranscriptPage,
    TranscriptQuery, TurnId, Upgraded, WorkerId, WorkerPage, WorkerQuery, WorkerUsage, WorkerView,
};

/// Where a registered Runtime is.
#[derive(Debug)]
pub enum RuntimeSource {
    /// In this process, reached by direct call.
    Embedded(Runtime),
    /// Nowhere: it fails or stays silent, whatever it is asked.
    #[cfg(test)]
    Fake(fake::FakeRuntime),
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

/// How long an input waits for the end of its turn.
#[derive(Debug, Clone)]
pub struct OutcomeWait {
    /// No longer than this.
    pub at_most: Duration,
    /// Ends the wait when it is cancelled.
    pub give_up: CancellationToken,
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
            #[cfg(test)]
            Self::Fake(fake) => fake.id(),
        }
    }

    /// Where the Runtime is.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        match self {
            Self::Embedded(_) => SourceKind::Embedded,
            #[cfg(test)]
            Self::Fake(_) => SourceKind::Unknown,
        }
    }

    /// What the Runtime says of itself.
    pub async fn summary(&self) -> Result<RuntimeSummary, RuntimeError> {
        match self {
            Self::Embedded(runtime) => Ok(runtime.summary()),
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
        }
    }

    /// A page of the Runtime's Workers.
    pub async fn workers(&self, query: &WorkerQuery) -> Result<WorkerPage, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.workers(query),
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
        }
    }

    /// One Worker.
    pub async fn worker(&self, id: WorkerId) -> Result<WorkerView, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.worker(id),
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
        }
    }

    /// Creates a Worker.
    pub async fn create(&self, request: CreateWorker) -> Result<WorkerView, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.create(request).await,
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
        }
    }

    /// Gives a Worker an input, and with `wait` also waits for the end of its turn: the one that it
    /// starts, now or when those before it have ended, or the running one that it steers.
    ///
    /// Once the input is accepted this succeeds: whatever keeps the outcome from being known must
    /// not look like a refusal of the input.
    pub async fn input(
        &self,
        id: WorkerId,
        input: Input,
        options: InputOptions,
        wait: Option<OutcomeWait>,
    ) -> Result<(InputAccepted, Option<Outcome>), RuntimeError> {
        match self {
            Self::Embedded(runtime) => {
                let accepted = runtime.input(id, input, options).await?;
                let Some(wait) = wait else { return Ok((accepted, None)) };
                let outcome = tokio::select! {
                    outcome = runtime.outcome(id, accepted.turn_id) => outcome.ok(),
                    () = time::sleep(wait.at_most) => None,
                    () = wait.give_up.cancelled() => None,
                };
                Ok((accepted, outcome))
            }
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
        }
    }

    /// Cancels the running turn; with `turn`, only if it is that one.
    pub async fn cancel(&self, id: WorkerId, turn: Option<TurnId>) -> Result<(), RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.cancel(id, turn).await,
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
        }
    }

    /// Stops a Worker.
    pub async fn stop(&self, id: WorkerId) -> Result<(), RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.stop(id).await,
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
        }
    }

    /// Takes grants away from a Worker.
    pub async fn revoke(&self, id: WorkerId, grants: Vec<Grant>) -> Result<(), RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.revoke(id, grants).await,
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
        }
    }

    /// Moves a Worker to another component.
    pub async fn upgrade(
        &self,
        id: WorkerId,
        component: &ComponentRef,
    ) -> Result<Upgraded, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.upgrade(id, component).await,
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
        }
    }

    /// Starts a stopped Worker.
    pub async fn start(&self, id: WorkerId) -> Result<(), RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.start(id).await,
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
        }
    }

    /// Deletes a stopped Worker.
    pub async fn delete(&self, id: WorkerId) -> Result<(), RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.delete(id).await,
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
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
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
        }
    }

    /// One item of a Worker's transcript, whole.
    pub async fn item(&self, id: WorkerId, item: ItemId) -> Result<Item, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.item(id, item).await,
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
        }
    }

    /// What a Worker's turns took: all of them, and each of the newest before `before`.
    pub async fn usage(
        &self,
        id: WorkerId,
        before: Option<TurnId>,
        limit: usize,
    ) -> Result<WorkerUsage, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.usage(id, before, limit).await,
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
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
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
        }
    }

    /// A Worker's events from `after` on, then live ones.
    pub async fn events(&self, id: WorkerId, after: Cursor) -> Result<WorkerEvents, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.events(id, after).map(WorkerEvents::Embedded),
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
        }
    }

    /// What a Worker's guest printed.
    pub async fn logs(&self, id: WorkerId, turn: Option<TurnId>) -> Result<LogPage, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.logs(id, turn).await,
            #[cfg(test)]
            Self::Fake(fake) => fake.answer().await,
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

#[cfg(test)]
pub(crate) mod fake {
    use std::future;

    use worker_types::{RuntimeError, RuntimeId};

    /// A Runtime that gives every question the same error, or none an answer.
    #[derive(Debug)]
    pub struct FakeRuntime {
        id: RuntimeId,
        error: Option<RuntimeError>,
    }

    impl FakeRuntime {
        pub(crate) fn failing(id: RuntimeId, error: RuntimeError) -> Self {
            Self { id, error: Some(error) }
        }

        pub(crate) fn silent(id: RuntimeId) -> Self {
            Self { id, error: None }
        }

        pub(super) fn id(&self) -> &RuntimeId {
            &self.id
        }

        pub(super) async fn answer<T>(&self) -> Result<T, RuntimeError> {
            match &self.error {
                Some(error) => Err(error.clone()),
                None => future::pending().await,
            }
        }
    }
}

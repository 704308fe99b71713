//! A registered Runtime, wherever it is.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use worker_runtime::Runtime;
use worker_types::{
    ComponentDigest, ComponentRef, CreateWorker, Cursor, EventPage, FeedCursor, FeedPage, Grant,
    Input, InputAccepted, InputOptions, Item, ItemId, KeptComponent, LogPage, Outcome,
    RuntimeError, RuntimeId, RuntimeSummary, TranscriptPage, TranscriptQuery, TurnId, Upgraded,
    WorkerId, WorkerPage, WorkerQuery, WorkerUsage, WorkerView,
};

use crate::{RemoteRuntime, RuntimeFeed, WorkerEvents};

/// How long a list waits for a Runtime of this process. It answers from memory: whoever takes this long is not
/// well.
const EMBEDDED_PATIENCE: Duration = Duration::from_millis(250);

/// Where a registered Runtime is.
#[derive(Debug)]
pub enum RuntimeSource {
    /// In this process, reached by direct call.
    Embedded(Runtime),
    /// In another process, reached over HTTP.
    Remote(Box<RemoteRuntime>),
}

/// What kind of source a Runtime has, for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// It runs in the Backend's own process.
    Embedded,
    /// It runs in another process, maybe on another machine.
    Remote,
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

impl OutcomeWait {
    /// What the future gives within this time.
    pub(crate) async fn on<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            answer = answer => Some(answer),
            () = time::sleep(self.at_most) => None,
            () = self.give_up.cancelled() => None,
        }
    }
}

impl RuntimeSource {
    /// A Runtime in this process.
    #[must_use]
    pub fn embedded(runtime: Runtime) -> Self {
        Self::Embedded(runtime)
    }

    /// A Runtime in another process.
    #[must_use]
    pub fn remote(runtime: RemoteRuntime) -> Self {
        Self::Remote(Box::new(runtime))
    }

    /// The Runtime's id.
    #[must_use]
    pub fn id(&self) -> &RuntimeId {
        match self {
            Self::Embedded(runtime) => runtime.id(),
            Self::Remote(remote) => remote.id(),
        }
    }

    /// Where the Runtime is.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        match self {
            Self::Embedded(_) => SourceKind::Embedded,
            Self::Remote(_) => SourceKind::Remote,
        }
    }

    /// What the Runtime says of itself.
    pub async fn summary(&self) -> Result<RuntimeSummary, RuntimeError> {
        match self {
            Self::Embedded(runtime) => Ok(runtime.summary()),
            Self::Remote(remote) => remote.summary().await,
        }
    }

    /// A page of the Runtime's Workers.
    pub async fn workers(&self, query: &WorkerQuery) -> Result<WorkerPage, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.workers(query),
            Self::Remote(remote) => remote.workers(query).await,
        }
    }

    /// One Worker.
    pub async fn worker(&self, id: WorkerId) -> Result<WorkerView, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.worker(id),
            Self::Remote(remote) => remote.worker(id).await,
        }
    }

    /// Creates a Worker.
    pub async fn create(&self, request: CreateWorker) -> Result<WorkerView, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.create(request).await,
            Self::Remote(remote) => remote.create(request).await,
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
                let outcome = wait.on(runtime.outcome(id, accepted.turn_id)).await;
                Ok((accepted, outcome.and_then(Result::ok)))
            }
            Self::Remote(remote) => remote.input(id, input, options, wait).await,
        }
    }

    /// Cancels the running turn; with `turn`, only if it is that one.
    pub async fn cancel(&self, id: WorkerId, turn: Option<TurnId>) -> Result<(), RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.cancel(id, turn).await,
            Self::Remote(remote) => remote.ask(remote.client().cancel(id, turn)).await,
        }
    }

    /// Stops a Worker.
    pub async fn stop(&self, id: WorkerId) -> Result<(), RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.stop(id).await,
            Self::Remote(remote) => remote.ask(remote.client().stop(id)).await,
        }
    }

    /// Takes grants away from a Worker.
    pub async fn revoke(&self, id: WorkerId, grants: Vec<Grant>) -> Result<(), RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.revoke(id, grants).await,
            Self::Remote(remote) => remote.ask(remote.client().revoke(id, grants)).await,
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
            Self::Remote(remote) => remote.ask(remote.client().upgrade(id, component)).await,
        }
    }

    /// Starts a stopped Worker.
    pub async fn start(&self, id: WorkerId) -> Result<(), RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.start(id).await,
            Self::Remote(remote) => remote.ask(remote.client().start(id)).await,
        }
    }

    /// Deletes a stopped Worker.
    pub async fn delete(&self, id: WorkerId) -> Result<(), RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.delete(id).await,
            Self::Remote(remote) => remote.ask(remote.client().delete(id)).await,
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
            Self::Remote(remote) => remote.ask(remote.client().transcript(id, query)).await,
        }
    }

    /// One item of a Worker's transcript, whole.
    pub async fn item(&self, id: WorkerId, item: ItemId) -> Result<Item, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.item(id, item).await,
            Self::Remote(remote) => remote.ask(remote.client().item(id, item)).await,
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
            Self::Remote(remote) => remote.ask(remote.client().usage(id, before, limit)).await,
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
            Self::Remote(remote) => remote.ask(remote.client().event_page(id, after, limit)).await,
        }
    }

    /// A Worker's events from `after` on, then live ones.
    pub async fn events(&self, id: WorkerId, after: Cursor) -> Result<WorkerEvents, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.events(id, after).map(WorkerEvents::Embedded),
            Self::Remote(remote) => remote.events(id, after).await,
        }
    }

    /// What a Worker's guest printed.
    pub async fn logs(&self, id: WorkerId, turn: Option<TurnId>) -> Result<LogPage, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.logs(id, turn).await,
            Self::Remote(remote) => remote.ask(remote.client().logs(id, turn)).await,
        }
    }

    /// How a turn ended, if that is known within `wait`.
    pub async fn outcome(
        &self,
        id: WorkerId,
        turn_id: TurnId,
        wait: OutcomeWait,
    ) -> Result<Option<Outcome>, RuntimeError> {
        match self {
            Self::Embedded(runtime) => wait.on(runtime.outcome(id, turn_id)).await.transpose(),
            Self::Remote(remote) => {
                let asked = remote.ask(remote.client().turn(id, turn_id, wait.at_most));
                Ok(wait.on(asked).await.transpose()?.flatten())
            }
        }
    }

    /// Keeps a component, so that Workers can be upgraded to it.
    pub async fn add_component(&self, bytes: Bytes) -> Result<KeptComponent, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.add_component(bytes).await,
            Self::Remote(remote) => remote.ask(remote.client().add_component(bytes)).await,
        }
    }

    /// Removes a component that nothing goes by.
    pub async fn remove_component(&self, digest: ComponentDigest) -> Result<(), RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.remove_component(digest).await,
            Self::Remote(remote) => remote.ask(remote.client().remove_component(digest)).await,
        }
    }

    /// A page of the feed.
    pub async fn feed_page(
        &self,
        after: FeedCursor,
        limit: usize,
    ) -> Result<FeedPage, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.feed_page(after, limit).await,
            Self::Remote(remote) => remote.ask(remote.client().feed_page(after, limit)).await,
        }
    }

    /// The events of all Workers from `after` on, then live ones.
    pub async fn feed(&self, after: FeedCursor) -> Result<RuntimeFeed, RuntimeError> {
        match self {
            Self::Embedded(runtime) => runtime.feed(after).map(RuntimeFeed::Embedded),
            Self::Remote(remote) => remote.feed(after).await,
        }
    }

    /// What keeps the Runtime from being asked, as far as that is known without asking.
    pub(crate) fn known_failure(&self) -> Option<RuntimeError> {
        match self {
            Self::Embedded(_) => None,
            Self::Remote(remote) => remote.known_failure(),
        }
    }

    /// How long a list waits for it.
    pub(crate) fn patience(&self) -> Duration {
        match self {
            Self::Embedded(_) => EMBEDDED_PATIENCE,
            Self::Remote(remote) => remote.patience(),
        }
    }
}

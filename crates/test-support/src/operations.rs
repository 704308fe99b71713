//! What can be asked of a host of Workers, in the words of `worker-types` alone.

use bytes::Bytes;
use worker_types::{
    ComponentDigest, ComponentRef, CreateWorker, Cursor, Event, EventPage, FeedCursor, FeedPage,
    Grant, Input, InputAccepted, InputOptions, Item, ItemId, LiveEvent, LogPage, Outcome,
    RuntimeError, RuntimeSummary, TranscriptPage, TranscriptQuery, TurnId, Upgraded, WorkerId,
    WorkerPage, WorkerQuery, WorkerUsage, WorkerView,
};

/// The answer to one request.
pub type Answer<T> = Result<T, RuntimeError>;

/// A host of Workers, wherever it is: in this process, behind HTTP, or behind a Backend.
///
/// Each method is the operation of the same name; what it promises is what the conformance suite
/// checks. Two are the environment's and need not be an API: [`Operations::enforce_retention`] and
/// the profiles that [`crate::conformance`] names.
pub trait Operations {
    /// The events of one Worker.
    type Events: EventStream;
    /// The events of all Workers.
    type Feed: FeedStream;

    /// What the host is and how it fares.
    fn summary(&self) -> impl Future<Output = Answer<RuntimeSummary>>;
    /// Creates a Worker.
    fn create(&self, request: CreateWorker) -> impl Future<Output = Answer<WorkerView>>;
    /// Gives a Worker an input.
    fn input(
        &self,
        id: WorkerId,
        input: Input,
        options: InputOptions,
    ) -> impl Future<Output = Answer<InputAccepted>>;
    /// Waits for the end of a turn.
    fn outcome(&self, id: WorkerId, turn_id: TurnId) -> impl Future<Output = Answer<Outcome>>;
    /// Cancels a turn.
    fn cancel(&self, id: WorkerId, turn_id: Option<TurnId>) -> impl Future<Output = Answer<()>>;
    /// Stops a Worker.
    fn stop(&self, id: WorkerId) -> impl Future<Output = Answer<()>>;
    /// Takes grants away from a Worker.
    fn revoke(&self, id: WorkerId, grants: Vec<Grant>) -> impl Future<Output = Answer<()>>;
    /// Moves a Worker to another component.
    fn upgrade(
        &self,
        id: WorkerId,
        component: ComponentRef,
    ) -> impl Future<Output = Answer<Upgraded>>;
    /// Keeps a component.
    fn add_component(&self, bytes: Bytes) -> impl Future<Output = Answer<ComponentDigest>>;
    /// Removes a component that nothing goes by.
    fn remove_component(&self, digest: ComponentDigest) -> impl Future<Output = Answer<()>>;
    /// Starts a stopped Worker.
    fn start(&self, id: WorkerId) -> impl Future<Output = Answer<()>>;
    /// Deletes a stopped Worker.
    fn delete(&self, id: WorkerId) -> impl Future<Output = Answer<()>>;
    /// One Worker.
    fn worker(&self, id: WorkerId) -> impl Future<Output = Answer<WorkerView>>;
    /// A page of Workers.
    fn workers(&self, query: WorkerQuery) -> impl Future<Output = Answer<WorkerPage>>;
    /// A page of a transcript.
    fn transcript(
        &self,
        id: WorkerId,
        query: TranscriptQuery,
    ) -> impl Future<Output = Answer<TranscriptPage>>;
    /// One item, whole.
    fn item(&self, id: WorkerId, item_id: ItemId) -> impl Future<Output = Answer<Item>>;
    /// A page of a Worker's events.
    fn event_page(
        &self,
        id: WorkerId,
        after: Cursor,
        limit: usize,
    ) -> impl Future<Output = Answer<EventPage>>;
    /// A Worker's events from a cursor on.
    fn events(&self, id: WorkerId, after: Cursor) -> impl Future<Output = Answer<Self::Events>>;
    /// What a Worker's guest printed.
    fn logs(&self, id: WorkerId, turn_id: Option<TurnId>) -> impl Future<Output = Answer<LogPage>>;
    /// What a Worker's turns took.
    fn usage(
        &self,
        id: WorkerId,
        before: Option<TurnId>,
        limit: usize,
    ) -> impl Future<Output = Answer<WorkerUsage>>;
    /// A page of the feed.
    fn feed_page(&self, after: FeedCursor, limit: usize) -> impl Future<Output = Answer<FeedPage>>;
    /// The feed from a cursor on.
    fn feed(&self, after: FeedCursor) -> impl Future<Output = Answer<Self::Feed>>;
    /// Removes now what retention would remove some time.
    fn enforce_retention(&self) -> impl Future<Output = Answer<()>>;
}

/// A subscription to one Worker.
pub trait EventStream {
    /// Waits for the next event; `None` once there will be none.
    fn next(&mut self) -> impl Future<Output = Option<Answer<LiveEvent>>>;
    /// The place after the last durable event that was given.
    fn cursor(&self) -> Cursor;
}

/// A subscription to the feed.
pub trait FeedStream {
    /// Waits for the next event; `None` once there will be none.
    fn next(&mut self) -> impl Future<Output = Option<Answer<Event>>>;
    /// The place after the last event that was given.
    fn cursor(&self) -> FeedCursor;
}

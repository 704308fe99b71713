//! The handle of a Runtime.

use std::time::Duration;

use worker_types::*;

use crate::RuntimeBuilder;

/// A Runtime. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Runtime {}

/// The events of one Worker: the log from a cursor on, then live ones.
#[derive(Debug)]
pub struct Events {}

impl Events {
    /// Waits for the next; `None` once the Runtime has shut down or the Worker is gone.
    pub async fn next(&mut self) -> Option<Result<LiveEvent, RuntimeError>> {
        todo!()
    }
    /// The place after the last durable event that `next` returned.
    pub fn cursor(&self) -> Cursor {
        todo!()
    }
}

impl Runtime {
    /// Starts building a Runtime called `id`.
    pub fn builder(id: RuntimeId) -> RuntimeBuilder {
        RuntimeBuilder::new(id)
    }
    /// Its id.
    pub fn id(&self) -> &RuntimeId {
        todo!()
    }
    /// What it is and how it fares.
    pub fn summary(&self) -> RuntimeSummary {
        todo!()
    }
    /// Whether it takes work.
    pub fn status(&self) -> RuntimeStatus {
        todo!()
    }
    /// What it can grant.
    pub fn capabilities(&self) -> Vec<CapabilityStatus> {
        todo!()
    }
    /// What an operator should look at.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        todo!()
    }
    /// Its Workers in numbers.
    pub fn overview(&self) -> Overview {
        todo!()
    }
    /// A page of its Workers.
    pub fn workers(&self, _query: &WorkerQuery) -> Result<WorkerPage, RuntimeError> {
        todo!()
    }
    /// One Worker.
    pub fn worker(&self, _id: WorkerId) -> Result<WorkerView, RuntimeError> {
        todo!()
    }
    /// Creates a Worker.
    pub async fn create(&self, _request: CreateWorker) -> Result<WorkerView, RuntimeError> {
        todo!()
    }
    /// Gives a Worker an input.
    pub async fn input(
        &self,
        _id: WorkerId,
        _input: Input,
        _options: InputOptions,
    ) -> Result<InputAccepted, RuntimeError> {
        todo!()
    }
    /// Waits for the end of a turn.
    pub async fn outcome(&self, _id: WorkerId, _turn: TurnId) -> Result<Outcome, RuntimeError> {
        todo!()
    }
    /// Cancels the running turn.
    pub async fn cancel(&self, _id: WorkerId, _turn: Option<TurnId>) -> Result<(), RuntimeError> {
        todo!()
    }
    /// Stops a Worker.
    pub async fn stop(&self, _id: WorkerId) -> Result<(), RuntimeError> {
        todo!()
    }
    /// Starts a stopped Worker.
    pub async fn start(&self, _id: WorkerId) -> Result<(), RuntimeError> {
        todo!()
    }
    /// A piece of a Worker's transcript.
    pub async fn transcript(
        &self,
        _id: WorkerId,
        _query: TranscriptQuery,
    ) -> Result<TranscriptPage, RuntimeError> {
        todo!()
    }
    /// A page of a Worker's durable events; at most `limit` (at most 1,000).
    pub async fn event_page(
        &self,
        _id: WorkerId,
        _after: Cursor,
        _limit: usize,
    ) -> Result<EventPage, RuntimeError> {
        todo!()
    }
    /// A Worker's events from `after` on, then live ones.
    pub fn events(&self, _id: WorkerId, _after: Cursor) -> Result<Events, RuntimeError> {
        todo!()
    }
    /// What a Worker's guest printed.
    pub async fn logs(
        &self,
        _id: WorkerId,
        _turn: Option<TurnId>,
    ) -> Result<LogPage, RuntimeError> {
        todo!()
    }
    /// Takes no more work, gives running turns `grace` to end, then interrupts them.
    pub async fn shutdown(&self, _grace: Duration) {
        todo!()
    }
}

//! Where logs are kept. Nothing above this module knows how.

mod memory;

use worker_types::{Event, LogId, Seq, WorkerId};

use memory::MemoryStore;

/// Where a Runtime keeps the logs of its Workers.
#[derive(Debug)]
pub struct Store(Kind);

#[derive(Debug)]
enum Kind {
    Memory(MemoryStore),
}

/// Why the store did not do what was asked. Nothing of it was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The events do not follow what is there.
    #[error("event {offered} does not follow event {last} of Worker {worker_id}")]
    Gap { worker_id: WorkerId, last: Seq, offered: Seq },
    /// A Worker's log in memory is as large as it can be.
    #[error("the log of Worker {worker_id} is full")]
    Full { worker_id: WorkerId },
    /// The log ends before the event that is its last.
    #[error("the log of Worker {worker_id} ends at event {end}, not at {last}")]
    Short { worker_id: WorkerId, end: Seq, last: Seq },
    /// An event cannot be written or read back.
    #[error("failed to encode an event")]
    Encoding(#[source] serde_json::Error),
}

impl Store {
    /// Keeps everything in memory: nothing outlives the Runtime.
    #[must_use]
    pub fn memory() -> Self {
        Self(Kind::Memory(MemoryStore::default()))
    }

    /// The identity of this log.
    pub(crate) fn log_id(&self) -> LogId {
        match &self.0 {
            Kind::Memory(store) => store.log_id(),
        }
    }

    /// Commits `events`, which follow the last one of their Worker. When this returns `Ok` they
    /// are as durable as this store makes them.
    #[expect(clippy::unused_async, reason = "a store on disk waits for its commit")]
    pub(crate) async fn append(&self, events: &[Event]) -> Result<(), StoreError> {
        match &self.0 {
            Kind::Memory(store) => store.append(events),
        }
    }

    /// The events of a Worker after `after` and up to `until`, oldest first: at most `limit`, at
    /// most about a mebibyte, and at least one where there are any.
    #[expect(clippy::unused_async, reason = "a store on disk reads elsewhere")]
    pub(crate) async fn read(
        &self,
        worker_id: WorkerId,
        after: Seq,
        until: Seq,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let wanted = until.get().saturating_sub(after.get());
        let limit = limit.min(usize::try_from(wanted).unwrap_or(usize::MAX));
        let events = match &self.0 {
            Kind::Memory(store) => store.read(worker_id, after, limit),
        }?;
        if events.is_empty() && limit > 0 {
            return Err(StoreError::Short { worker_id, end: after, last: until });
        }
        Ok(events)
    }
}

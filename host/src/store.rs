//! Where logs are kept. Nothing above this module knows how.

#[cfg(test)]
mod contract_tests;
mod error;
mod memory;
mod retention;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
#[cfg(test)]
mod test_support;

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;
use worker_types::{
    ComponentDigest, Event, EventBody, Item, ItemBody, ItemId, ItemStatus, LogId, Origin,
    Retention, Seq, ToolOutcome, TurnId, WorkerId,
};

use crate::worker::WorkerState;

pub(crate) use error::{StoreError, StoreHealth};
use memory::MemoryStore;
#[cfg(feature = "sqlite")]
use sqlite::{OpenStoreError, SqliteStore};

/// Bytes of one page of events: a reader holds no more of a log than about this at once.
const PAGE_BYTES: usize = 1 << 20;

/// Where a Runtime keeps the logs of its Workers.
#[derive(Debug)]
pub struct Store(Kind);

#[derive(Debug)]
enum Kind {
    Memory(MemoryStore),
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteStore),
}

/// What is committed together: all of it, or nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Commit<'a> {
    pub(crate) worker_id: WorkerId,
    /// They follow the last event of the Worker. Empty where only texts are kept.
    pub(crate) events: &'a [Event],
    /// The fold of the log after the last of these events, where nothing is left to do for the
    /// Worker: what it is loaded from next time. Without it the Worker is active, and is finished
    /// after a restart.
    pub(crate) rest: Option<&'a WorkerState>,
    /// Pieces of the texts of items that are open. Those of an item are forgotten when it is
    /// completed.
    pub(crate) texts: &'a [TextPiece],
    /// An acceptance to remember.
    pub(crate) key: Option<&'a KeyRecord>,
}

/// A piece of the text of an open item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextPiece {
    pub(crate) item_id: ItemId,
    /// Where in the text it begins, in bytes.
    pub(crate) offset: u64,
    pub(crate) text: String,
}

/// What an idempotency key belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyScope {
    pub(crate) principal: String,
    pub(crate) operation: KeyedOperation,
    /// The Worker of the operation; absent for a creation.
    pub(crate) worker_id: Option<WorkerId>,
    pub(crate) key: String,
}

/// What can be asked for with an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum KeyedOperation {
    Create,
    Input,
}

/// The acceptance that a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRecord {
    pub(crate) scope: KeyScope,
    /// The SHA-256 of the request.
    pub(crate) request: [u8; 32],
    /// The answer, as JSON.
    pub(crate) answer: Vec<u8>,
    pub(crate) at: Timestamp,
}

/// A Worker as a store has it when the Runtime starts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredWorker {
    pub(crate) worker_id: WorkerId,
    /// Its `worker.created`, which retention never removes.
    pub(crate) created: Event,
    /// Where nothing is left to do for it, the fold of its log.
    pub(crate) rest: Option<WorkerState>,
}

/// A Worker, or why it cannot be had.
pub(crate) type WorkerRead = Result<StoredWorker, (WorkerId, StoreError)>;

/// The Worker that was read, or was not.
pub(crate) fn worker_id(read: &WorkerRead) -> WorkerId {
    match read {
        Ok(stored) => stored.worker_id,
        Err((worker_id, _)) => *worker_id,
    }
}

/// Which items of a Worker to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemRange {
    /// The nearest before this one, newest first.
    Before(ItemId),
    /// The nearest after this one, oldest first.
    After(ItemId),
}

/// An event with its place in the feed of all Workers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FeedEvent {
    pub(crate) position: u64,
    pub(crate) event: Event,
}

/// Calls the same method of whichever store it is; what SQLite does on another thread is awaited.
macro_rules! dispatch {
    ($self:ident, $store:ident => $memory:expr, $sqlite:expr) => {
        match &$self.0 {
            Kind::Memory($store) => $memory,
            #[cfg(feature = "sqlite")]
            Kind::Sqlite($store) => $sqlite,
        }
    };
}

impl Store {
    /// Keeps everything in memory: nothing outlives the Runtime.
    #[must_use]
    pub fn memory() -> Self {
        Self(Kind::Memory(MemoryStore::default()))
    }

    /// The same, with logs of at most so many bytes each.
    #[cfg(test)]
    pub(crate) fn memory_of(log_bytes: usize) -> Self {
        Self(Kind::Memory(MemoryStore::with_logs_of(log_bytes)))
    }

    /// Keeps everything in an SQLite database in `directory`, which is created if it is missing.
    /// One store at a time owns a directory.
    ///
    /// This blocks: it recovers what the last owner left, and waits for the disk.
    ///
    /// # Errors
    ///
    /// What is wrong with the directory or the store in it, and what can be done about it.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(directory: impl AsRef<Path>) -> Result<Self, OpenStoreError> {
        SqliteStore::open(directory.as_ref()).map(|store| Self(Kind::Sqlite(store)))
    }

    /// The directory it is in, if it is on disk.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Memory(_) => None,
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(store) => Some(store.directory()),
        }
    }

    /// The identity of this log.
    pub(crate) fn log_id(&self) -> LogId {
        dispatch!(self, store => store.log_id(), store.log_id())
    }

    /// Whether commits are taken.
    pub(crate) fn health(&self) -> watch::Receiver<StoreHealth> {
        dispatch!(self, store => store.health(), store.health())
    }

    /// The position of the last commit in the feed; it advances after each.
    pub(crate) fn feed_head(&self) -> watch::Receiver<u64> {
        dispatch!(self, store => store.feed_head(), store.feed_head())
    }

    /// The Workers after `after` that are not deleted, in the order of their ids: at most `limit`, of
    /// those on a disk at most about a mebibyte, and at least one where there are any. One that
    /// cannot be read is an error of its own.
    pub(crate) async fn workers(
        &self,
        after: Option<WorkerId>,
        limit: usize,
    ) -> Result<Vec<WorkerRead>, StoreError> {
        dispatch!(self, store => store.workers(after, limit), store.workers(after, limit).await)
    }

    /// Commits all of it or nothing. When this returns `Ok` it is as durable as this store makes
    /// it. A caller that goes away in the middle may have committed.
    ///
    /// A commit whose only event is `worker.trimmed` removes events up to its `through` that carry
    /// no item, as far as the Worker's snapshot covers them. One that ends with `worker.deleted`
    /// removes all else of the Worker.
    pub(crate) async fn append(&self, commit: Commit<'_>) -> Result<(), StoreError> {
        dispatch!(self, store => store.append(commit), store.append(commit).await)
    }

    /// Deletes a Worker whose log cannot be read: all of it goes, as far as it can be removed, but for
    /// a `worker.deleted`, which follows what is there and the event `after`. Returns that event.
    pub(crate) async fn bury(
        &self,
        worker_id: WorkerId,
        after: Seq,
        at: Timestamp,
    ) -> Result<Event, StoreError> {
        let event = |seq| Event { seq, at, worker_id, body: EventBody::WorkerDeleted };
        let buried = dispatch!(
            self,
            store => store.bury(event(store.last_seq(worker_id).max(after).next())),
            store.bury(event(after.next())).await
        );
        buried.map(event)
    }

    /// What there is of Workers whose ids cannot be read: a few words for each.
    pub(crate) async fn nameless(&self) -> Result<Vec<String>, StoreError> {
        dispatch!(self, _store => Ok(Vec::new()), _store.nameless().await)
    }

    /// The newest fold of a Worker's log that was committed with it; events may have followed.
    pub(crate) async fn snapshot(
        &self,
        worker_id: WorkerId,
    ) -> Result<Option<WorkerState>, StoreError> {
        dispatch!(self, store => store.snapshot(worker_id), store.snapshot(worker_id).await)
    }

    /// The last event of a Worker; zero where there is none.
    pub(crate) async fn last_seq(&self, worker_id: WorkerId) -> Result<Seq, StoreError> {
        dispatch!(self, store => Ok(store.last_seq(worker_id)), store.last_seq(worker_id).await)
    }

    /// The events of a Worker after `after` and up to `until`, oldest first and without a hole: at
    /// most `limit`, at most about a mebibyte, and at least one where there are any.
    ///
    /// Of a Worker that is deleted, its `worker.deleted` is left.
    pub(crate) async fn read(
        &self,
        worker_id: WorkerId,
        after: Seq,
        until: Seq,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        dispatch!(
            self,
            store => store.read(worker_id, after, until, limit),
            store.read(worker_id, after, until, limit).await
        )
    }

    /// The items of a Worker in `range`, each in the newest form it has up to the event `until`: at
    /// most `limit`, at most about `max_bytes`, and at least one where there are any.
    #[expect(clippy::too_many_arguments, reason = "each bounds the page in its own way")]
    pub(crate) async fn items(
        &self,
        worker_id: WorkerId,
        range: ItemRange,
        until: Seq,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<Item>, StoreError> {
        let page = ItemPage { range, until, limit, max_bytes };
        dispatch!(self, store => store.items(worker_id, page), store.items(worker_id, page).await)
    }

    /// The `turn.ended` of a turn.
    pub(crate) async fn turn_end(
        &self,
        worker_id: WorkerId,
        turn_id: TurnId,
    ) -> Result<Option<Event>, StoreError> {
        dispatch!(
            self,
            store => store.turn_end(worker_id, turn_id),
            store.turn_end(worker_id, turn_id).await
        )
    }

    /// The newest `limit` events `turn.ended` of a Worker, of turns before `before`, oldest first.
    pub(crate) async fn turn_ends(
        &self,
        worker_id: WorkerId,
        before: Option<TurnId>,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        dispatch!(
            self,
            store => store.turn_ends(worker_id, before, limit),
            store.turn_ends(worker_id, before, limit).await
        )
    }

    /// The kept texts of a Worker's open items.
    pub(crate) async fn texts(
        &self,
        worker_id: WorkerId,
    ) -> Result<BTreeMap<ItemId, String>, StoreError> {
        dispatch!(self, store => Ok(store.texts(worker_id)), store.texts(worker_id).await)
    }

    /// The acceptance that an idempotency key stands for.
    pub(crate) async fn key(&self, scope: &KeyScope) -> Result<Option<KeyRecord>, StoreError> {
        dispatch!(self, store => Ok(store.key(scope)), store.key(scope).await)
    }

    /// Forgets the acceptances before `before`; returns how many. Those that cannot be removed stay,
    /// and are `TableDamaged` once.
    pub(crate) async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        dispatch!(self, store => Ok(store.forget_keys(before)), store.forget_keys(before).await)
    }

    /// The events of all Workers after a position, in the order of their commits: at most `limit`,
    /// at most about a mebibyte, and at least one where there are any. Where the next one makes no
    /// sense, `FeedDamaged` says after which position to go on.
    pub(crate) async fn feed(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, StoreError> {
        dispatch!(self, store => store.feed(after, limit), store.feed(after, limit).await)
    }

    /// The Workers at rest that hold more than `retention` allows, each with the event through
    /// which those that carry no item have to go.
    pub(crate) async fn trimmable(
        &self,
        retention: &Retention,
        now: Timestamp,
    ) -> Result<Vec<(WorkerId, Seq)>, StoreError> {
        if retention.is_unbounded() {
            return Ok(Vec::new());
        }
        dispatch!(
            self,
            store => Ok(store.trimmable(retention, now)),
            store.trimmable(retention, now).await
        )
    }

    /// Keeps the bytes of a component; the digest is theirs. Nothing happens where it is there.
    pub(crate) async fn put_component(
        &self,
        digest: ComponentDigest,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        dispatch!(
            self,
            store => store.put_component(digest, bytes),
            store.put_component(digest, bytes).await
        )
    }

    /// Removes a component. Whether it was there.
    pub(crate) async fn remove_component(
        &self,
        digest: ComponentDigest,
    ) -> Result<bool, StoreError> {
        dispatch!(
            self,
            store => Ok(store.remove_component(digest)),
            store.remove_component(digest).await
        )
    }

    /// Whether the bytes of a component are there.
    pub(crate) async fn has_component(&self, digest: ComponentDigest) -> Result<bool, StoreError> {
        dispatch!(
            self,
            store => Ok(store.component(digest).is_some()),
            store.has_component(digest).await
        )
    }

    /// The bytes of a component, if they are there and have this digest still.
    pub(crate) async fn component(
        &self,
        digest: ComponentDigest,
    ) -> Result<Option<Bytes>, StoreError> {
        dispatch!(self, store => Ok(store.component(digest)), store.component(digest).await)
    }
}

/// Which items to read, and how many.
#[derive(Debug, Clone, Copy)]
struct ItemPage {
    range: ItemRange,
    until: Seq,
    limit: usize,
    max_bytes: usize,
}

/// The item that an event carries.
fn item_of(body: &EventBody) -> Option<&Item> {
    match body {
        EventBody::InputAccepted { item, .. }
        | EventBody::ItemStarted { item, .. }
        | EventBody::ItemCompleted { item, .. } => Some(item),
        EventBody::WorkerCreated { .. }
        | EventBody::WorkerStopped
        | EventBody::WorkerStarted
        | EventBody::WorkerDeleted
        | EventBody::WorkerTrimmed { .. }
        | EventBody::WorkerUpgraded { .. }
        | EventBody::GrantRevoked { .. }
        | EventBody::InputQueued { .. }
        | EventBody::InputSteered { .. }
        | EventBody::TurnStarted { .. }
        | EventBody::TurnEnded { .. }
        | EventBody::UsageRecorded { .. }
        | EventBody::StateSet { .. }
        | EventBody::Notice { .. }
        | EventBody::Unknown => None,
    }
}

/// The item that an event carries, taken out of it.
fn into_item(body: EventBody) -> Option<Item> {
    match body {
        EventBody::InputAccepted { item, .. }
        | EventBody::ItemStarted { item, .. }
        | EventBody::ItemCompleted { item, .. } => Some(item),
        _ => None,
    }
}

impl Commit<'_> {
    /// Refuses events that leave a hole among themselves, a Worker that does not begin with its
    /// creation, and a fold of another log than this makes. `last` is the last event there is.
    fn check_follows(&self, last: Seq, deleted: bool) -> Result<(), StoreError> {
        let gap = |offered| StoreError::Gap { worker_id: self.worker_id, last, offered };
        let mut end = last;
        for event in self.events {
            let created = matches!(event.body, EventBody::WorkerCreated { .. });
            if deleted
                || event.seq != end.next()
                || event.worker_id != self.worker_id
                || created != (event.seq == FIRST)
            {
                return Err(gap(event.seq));
            }
            end = event.seq;
        }
        if end == Seq::ZERO || deleted {
            return Err(gap(Seq::ZERO));
        }
        match self.rest {
            Some(rest) if rest.last_seq != end => Err(gap(rest.last_seq)),
            _ => Ok(()),
        }
    }

    /// Up to where this commit removes events that carry no item. `rest` is the last event that the
    /// newest fold covers: what a fold does not cover is still needed, and so is the last event.
    fn trims_through(&self, rest: Seq) -> Option<Seq> {
        match self.events {
            [Event { seq, body: EventBody::WorkerTrimmed { through }, .. }] => {
                Some((*through).min(rest).min(Seq::new(seq.get() - 1)))
            }
            _ => None,
        }
    }

    /// The place of the `worker.deleted` that this commit ends with.
    fn deletes_at(&self) -> Option<Seq> {
        self.events
            .last()
            .filter(|event| matches!(event.body, EventBody::WorkerDeleted))
            .map(|event| event.seq)
    }

    /// Whether this commit does nothing but end what there is, or make room: the turn with all that is
    /// open in it, inputs that wait, the Worker. What it adds is bounded by what was accepted
    /// before, and nothing in it is a guest's to begin.
    fn only_ends(&self) -> bool {
        let ends = |event: &Event| {
            matches!(
                event.body,
                EventBody::TurnEnded { .. }
                    | EventBody::GrantRevoked { .. }
                    | EventBody::WorkerStopped
                    | EventBody::WorkerDeleted
                    | EventBody::WorkerTrimmed { .. }
            )
        };
        let goes_with_an_end = |event: &Event| match &event.body {
            // A turn that ends before it started; what it was steered with and did not take in.
            EventBody::TurnStarted { .. } | EventBody::InputQueued { .. } => true,
            // The model calls that were open, of which there are few.
            EventBody::UsageRecorded { .. } => true,
            EventBody::ItemCompleted { item, .. } => {
                let interrupted = |body: &ItemBody| {
                    matches!(body, ItemBody::ToolResult { outcome: ToolOutcome::Interrupted, .. })
                };
                item.status == ItemStatus::Incomplete
                    || item.origin == Origin::Host && interrupted(&item.body)
            }
            _ => false,
        };
        self.events.iter().any(ends)
            && self.events.iter().all(|event| ends(event) || goes_with_an_end(event))
    }

    /// The items that this commit completes, in no order.
    fn completed(&self) -> impl Iterator<Item = ItemId> {
        self.events.iter().filter_map(|event| match &event.body {
            EventBody::ItemCompleted { item, .. } => Some(item.id),
            _ => None,
        })
    }
}

/// A piece of a text that does not begin where the text so far ends.
fn misplaced(worker_id: WorkerId, item_id: ItemId) -> StoreError {
    let reason = format!("a piece of the text of item {item_id} does not follow the one before");
    StoreError::Damaged { worker_id, reason }
}

/// The place of `worker.created`.
const FIRST: Seq = Seq::new(1);

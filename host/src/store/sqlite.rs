//! Logs on disk: one SQLite database, `log.sqlite3`, in a directory that one store at a time owns.
//!
//! # Threads
//!
//! One thread writes ([`writer`]). It takes all commits that wait, runs them in one transaction, and
//! answers when that is durable: with the write-ahead log and `synchronous=FULL`, `COMMIT` returns
//! after the log was synced. Two threads read ([`readers`]), each with a connection of its own; a
//! read sees what was committed when it began, and never waits for the writer. Encoding and decoding
//! happen on the callers' threads.
//!
//! The log is copied into the database (a checkpoint) by the writer alone, between groups.
//!
//! # A commit that failed
//!
//! An error out of a commit says nothing about what is on the disk: the transaction may be there in
//! full, or not at all. So everybody in the group hears [`StoreError::InDoubt`], and nothing is
//! believed any more until the files have been read again:
//!
//! 1. **All connections are closed**, without a checkpoint. Connections share an index of the log in
//!    memory, which says where valid frames end; with the last one gone, opening has to recover that
//!    index from the log itself, and counts every frame anew as not copied yet.
//!
//! 2. **The log is written anew, as it is, and synced** ([`database::renew_wal`]). When a sync
//!    fails, Linux marks the pages it could not write as clean: reading them gives the new bytes,
//!    syncing again succeeds, and the disk has the old ones. A log in that condition looks good for
//!    as long as the machine runs. Written once more, the pages are dirty again, and now a sync says
//!    the truth. Where the kernel has dropped such a page, reading gives what the disk has; a frame
//!    that lost its page then fails its checksum, and the log ends before it. Nothing that was
//!    acknowledged lies behind that point, since it was synced before.
//!
//! 3. **The log is opened, copied into the database, and emptied**: `wal_checkpoint(TRUNCATE)`. What
//!    recovery found (the commit in doubt among it, or not) is written into the database and synced
//!    there. A checkpoint that failed earlier is repaired by this too: the frames it had copied are
//!    copied again, so their pages, which may have been lost the same way, are dirty again.
//!    Without step 2 this would be dangerous: SQLite would overwrite pages of the database with
//!    frames that the disk may not have, and losing power halfway would leave it with neither.
//!
//! From here on what is there is durable, and readers may see it. No reader sees it earlier: it
//! would show, and others would act upon, what a loss of power could still take away.
//!
//! 4. **A transaction that matters to nobody is committed.** Only then is the store
//!    [`StoreHealth::Healthy`], and takes commits again.
//!
//! Until then commits are refused at once ([`StoreError::Unavailable`]: nothing was committed), and
//! the writer tries again by itself, after 50 ms at first and every 2 s at last. A failed checkpoint
//! and a panic of the writer are treated the same way.
//!
//! A start does the same as steps 2 to 4: whoever was here before may have ended between a failure
//! and its repair.
//!
//! # Visitors
//!
//! A check or a backup may read the files while a store of another process has them open ([`visit`]).
//! Its connection keeps the index of the log in memory alive, and step 1 would not be what it says. So
//! step 2 ends with the removal of the index's file: the store makes a new one, from a log that is
//! synced by then, and is not held up by whoever reads along the old one. The visitor, which nothing
//! protects any more from pages that change under it, sees at its end that the file is another one, and
//! says that it has read nothing.
//!
//! # Damage
//!
//! A page that cannot be read, or a row that makes no sense, is the failure of the Workers on it:
//! their reads answer [`StoreError::Damaged`], the others go on. Sequence numbers, item numbers and
//! the offsets of texts have no holes, so what is missing is noticed.
//!
//! A job that meets damage is left out of its group: once a statement has, SQLite writes nothing
//! more in the same transaction, also where only a savepoint was taken back, so the group is written
//! again without it. The feed stops before what is damaged, says how far that goes
//! ([`StoreError::FeedDamaged`]), and can be read from there on.
//!
//! No `unsafe` here: `rusqlite` wraps the C library.

mod backup;
mod check;
mod commit;
mod database;
mod encoding;
mod failure;
mod feed;
mod open;
mod queries;
mod readers;
mod schema;
#[cfg(test)]
mod tests;
mod trimming;
mod visit;
mod writer;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64, mpsc},
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, oneshot, watch};
use worker_types::{ComponentDigest, Event, Item, ItemId, LogId, Retention, Seq, TurnId, WorkerId};

use self::{
    database::Files,
    encoding::{EncodedCommit, EncodedEvent, EncodedScope},
    failure::ReadError,
    open::Opened,
    queries::RawEvent,
    readers::{Gate, Readers},
    writer::{Answer, Job, Request, Shared, Writer},
};
use super::{
    Commit, FeedEvent, ItemPage, KeyRecord, KeyScope, StoreError, StoreHealth, WorkerRead,
    into_item,
};
use crate::worker::WorkerState;

pub use backup::{BackupProgress, BackupStoreError};
pub use check::{CheckProgress, Damage, DamagedPart, StoreCheck, WorkerCheck};
pub use open::OpenStoreError;
pub use visit::ReadStoreError;

/// What may wait for the writer, in kibibytes; whoever brings more waits before it is queued.
const QUEUE_KIB: u32 = 64 << 10;

/// Keys that are given up on at once, some damaged pages and what is beside them: each costs some
/// transactions that are taken back.
const STUCK_KEYS: usize = 250;

/// What Workers share, as sentences about damage name it.
const KEYS: &str = "idempotency keys";
const COMPONENTS: &str = "components";

/// A store on disk.
#[derive(Debug)]
pub(super) struct SqliteStore {
    directory: PathBuf,
    log_id: LogId,
    shared: Arc<Shared>,
    readers: Readers,
    requests: Option<mpsc::Sender<Request>>,
    queue: Arc<Semaphore>,
    writer: Option<JoinHandle<()>>,
    /// Keys that cannot be removed: nobody tries again while this store is open.
    stuck_keys: Mutex<BTreeSet<i64>>,
    /// The last to go: until then the directory is this store's.
    _lock: File,
}

impl SqliteStore {
    pub(super) fn open(directory: &Path) -> Result<Self, OpenStoreError> {
        Self::open_with(directory, schema::STEPS, |_| {})
    }

    /// Opens a store with these migrations; `prepare` sees what the threads share before they run.
    fn open_with(
        directory: &Path,
        steps: &[&str],
        prepare: impl FnOnce(&Shared),
    ) -> Result<Self, OpenStoreError> {
        let files = Files::new(directory);
        let Opened { connection, log_id, lock } = open::open(&files, steps)?;
        let shared = Arc::new(Shared {
            health: watch::Sender::new(StoreHealth::Healthy),
            feed_head: watch::Sender::new(0),
            transactions: AtomicU64::new(0),
            #[cfg(test)]
            faults: tests::faults::Faults::default(),
        });
        prepare(&shared);
        let gate = Arc::new(Gate::new(files.clone()));
        let (requests, receiver) = mpsc::channel();
        let failed = |error| open::sqlite_failure(directory, &error);
        let writer =
            Writer::new(files, connection, receiver, Arc::clone(&shared), Arc::clone(&gate))
                .map_err(failed)?;
        let readers = Readers::start(&gate).map_err(|error| open::io_failure(directory, &error))?;
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| open::io_failure(directory, &error))?;
        Ok(Self {
            directory: directory.to_owned(),
            log_id,
            shared,
            readers,
            requests: Some(requests),
            queue: Arc::new(Semaphore::new(QUEUE_KIB as usize)),
            writer: Some(writer),
            stuck_keys: Mutex::default(),
            _lock: lock,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn log_id(&self) -> LogId {
        self.log_id
    }

    pub(super) fn health(&self) -> watch::Receiver<StoreHealth> {
        self.shared.health.subscribe()
    }

    pub(super) fn feed_head(&self) -> watch::Receiver<u64> {
        self.shared.feed_head.subscribe()
    }

    pub(super) async fn append(&self, commit: Commit<'_>) -> Result<(), StoreError> {
        let commit = EncodedCommit::new(&commit)?;
        self.write(Job::Commit(Box::new(commit))).await.map(drop)
    }

    pub(super) async fn put_component(
        &self,
        digest: ComponentDigest,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        self.write(Job::PutComponent { digest, bytes: bytes.to_vec() }).await.map(drop)
    }

    pub(super) async fn remove_component(
        &self,
        digest: ComponentDigest,
    ) -> Result<bool, StoreError> {
        self.write(Job::RemoveComponent { digest }).await.map(|removed| removed > 0)
    }

    pub(super) async fn bury(&self, deleted: Event) -> Result<Seq, StoreError> {
        let worker_id = deleted.worker_id;
        let event = EncodedEvent::new(&deleted)?;
        let seq = self.write(Job::Bury { worker_id, event }).await?;
        Ok(Seq::new(seq))
    }

    pub(super) async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        let before = before.as_microsecond();
        let (mut forgotten, mut after) = (0, None);
        let mut stuck: Vec<i64> = Vec::new();
        // In steps: commits go in between.
        loop {
            let read = move |connection: &Connection| queries::old_keys(connection, before, after);
            let old = self.readers.run(read).await.map_err(|error| error.of_table(KEYS))?;
            let Some(last) = old.last() else { break };
            after = Some(*last);
            let ids = old.iter().map(|(_, id)| *id).filter(|id| !self.is_stuck(*id)).collect();
            let mut steps: Vec<Vec<i64>> = vec![ids];
            while let Some(mut ids) = steps.pop() {
                match self.write(Job::ForgetKeys { ids: ids.clone() }).await {
                    Ok(count) => forgotten += count,
                    // What is damaged is found by halving.
                    Err(StoreError::TableDamaged { .. }) if ids.len() > 1 => {
                        steps.push(ids.split_off(ids.len() / 2));
                        steps.push(ids);
                    }
                    Err(StoreError::TableDamaged { .. }) => stuck.extend(ids),
                    Err(error) => return Err(error),
                }
                if stuck.len() >= STUCK_KEYS {
                    return Err(self.leave(&stuck));
                }
            }
        }
        if stuck.is_empty() { Ok(forgotten) } else { Err(self.leave(&stuck)) }
    }

    fn is_stuck(&self, key: i64) -> bool {
        self.stuck_keys.lock().unwrap_or_else(PoisonError::into_inner).contains(&key)
    }

    /// Gives up on some keys.
    fn leave(&self, keys: &[i64]) -> StoreError {
        self.stuck_keys.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
        let reason = "some idempotency keys are damaged and cannot be forgotten".to_owned();
        StoreError::TableDamaged { reason }
    }

    /// Hands a job to the writer and waits until it is durable.
    async fn write(&self, job: Job) -> Answer {
        if let StoreHealth::Failed { reason } = &*self.shared.health.borrow() {
            return Err(StoreError::Unavailable { reason: reason.clone() });
        }
        let ended = || StoreError::Unavailable { reason: "its writer ended".to_owned() };
        let kib = u32::try_from(job.bytes() / 1024 + 1).unwrap_or(QUEUE_KIB).min(QUEUE_KIB);
        let permit = Arc::clone(&self.queue).acquire_many_owned(kib).await.map_err(|_| ended())?;
        let (answer, answered) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(ended)?;
        requests.send(Request { job, answer, permit }).map_err(|_| ended())?;
        let in_doubt = |_| StoreError::InDoubt { reason: "an internal error".to_owned() };
        answered.await.map_err(in_doubt)?
    }

    pub(super) async fn workers(
        &self,
        after: Option<WorkerId>,
        limit: usize,
    ) -> Result<Vec<WorkerRead>, StoreError> {
        let read = move |connection: &Connection| queries::workers(connection, after, limit);
        let rows = self.readers.run(read).await.map_err(ReadError::of_store)?;
        let decoded = rows.into_iter().map(|(worker_id, row)| {
            row.and_then(|row| queries::decode_worker(worker_id, row))
                .map_err(|error| (worker_id, error.of_worker(worker_id)))
        });
        Ok(decoded.collect())
    }

    pub(super) async fn nameless(&self) -> Result<Vec<String>, StoreError> {
        let keys = self.readers.run(queries::nameless).await.map_err(ReadError::of_store)?;
        let words = |key| format!("the database is damaged where its id is kept, row {key}");
        Ok(keys.into_iter().map(words).collect())
    }

    pub(super) async fn snapshot(
        &self,
        worker_id: WorkerId,
    ) -> Result<Option<WorkerState>, StoreError> {
        let read = move |connection: &Connection| queries::snapshot(connection, worker_id);
        let json = self.of_worker(worker_id, read).await?;
        let damaged = |error: serde_json::Error| StoreError::Damaged {
            worker_id,
            reason: format!("the snapshot: {error}"),
        };
        json.map(|json| serde_json::from_slice(&json).map_err(damaged)).transpose()
    }

    pub(super) async fn last_seq(&self, worker_id: WorkerId) -> Result<Seq, StoreError> {
        let read = move |connection: &Connection| queries::last_seq(connection, worker_id);
        self.of_worker(worker_id, read).await
    }

    pub(super) async fn read(
        &self,
        worker_id: WorkerId,
        after: Seq,
        until: Seq,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let read = move |connection: &Connection| {
            queries::read(connection, worker_id, after, until, limit)
        };
        decode(worker_id, self.of_worker(worker_id, read).await?)
    }

    pub(super) async fn items(
        &self,
        worker_id: WorkerId,
        page: ItemPage,
    ) -> Result<Vec<Item>, StoreError> {
        let read = move |connection: &Connection| queries::items(connection, worker_id, page);
        let events = decode(worker_id, self.of_worker(worker_id, read).await?)?;
        let item = |event: Event| {
            let reason = "an event has lost its item".to_owned();
            into_item(event.body).ok_or(StoreError::Damaged { worker_id, reason })
        };
        events.into_iter().map(item).collect()
    }

    pub(super) async fn turn_end(
        &self,
        worker_id: WorkerId,
        turn: TurnId,
    ) -> Result<Option<Event>, StoreError> {
        let read = move |connection: &Connection| queries::turn_end(connection, worker_id, turn);
        let end = self.of_worker(worker_id, read).await?;
        Ok(decode(worker_id, end)?.pop())
    }

    pub(super) async fn turn_ends(
        &self,
        worker_id: WorkerId,
        before: Option<TurnId>,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let read =
            move |connection: &Connection| queries::turn_ends(connection, worker_id, before, limit);
        decode(worker_id, self.of_worker(worker_id, read).await?)
    }

    pub(super) async fn texts(
        &self,
        worker_id: WorkerId,
    ) -> Result<BTreeMap<ItemId, String>, StoreError> {
        let read = move |connection: &Connection| queries::texts(connection, worker_id);
        join_texts(worker_id, self.of_worker(worker_id, read).await?)
    }

    pub(super) async fn key(&self, scope: &KeyScope) -> Result<Option<KeyRecord>, StoreError> {
        let (scope, encoded) = (scope.clone(), EncodedScope::new(scope));
        let read = move |connection: &Connection| queries::key(connection, &scope, &encoded);
        self.readers.run(read).await.map_err(|error| error.of_table(KEYS))
    }

    pub(super) async fn feed(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, StoreError> {
        let head = *self.shared.feed_head.borrow();
        let read = move |connection: &Connection| feed::feed(connection, after, limit, head);
        let rows = self.readers.run(read).await.map_err(ReadError::of_store)?;
        let mut events = Vec::with_capacity(rows.len());
        for (position, worker_id, event) in rows {
            let seq = encoding::ordinal(event.seq);
            match event.decode(worker_id) {
                Ok(event) => events.push(FeedEvent { position, event }),
                // What comes before it is good; the next page says what is wrong.
                Err(_) if !events.is_empty() => break,
                Err(error) => {
                    tracing::error!(worker = %worker_id, ?error, "the feed is damaged");
                    return Err(ReadError::feed_damaged(position, seq, Some(worker_id)).of_store());
                }
            }
        }
        Ok(events)
    }

    pub(super) async fn trimmable(
        &self,
        retention: &Retention,
        now: Timestamp,
    ) -> Result<Vec<(WorkerId, Seq)>, StoreError> {
        let retention = *retention;
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let read = move |connection: &Connection| {
                trimming::trimmable(connection, after, &retention, now)
            };
            let some = self.readers.run(read).await.map_err(ReadError::of_store)?;
            all.extend(some.found);
            match some.next {
                Some(next) => after = next,
                None => return Ok(all),
            }
        }
    }

    /// Checked against their digest: what they are loaded as is the one thing that a Worker's grants
    /// were decided on, and it costs less than compiling them.
    pub(super) async fn component(
        &self,
        digest: ComponentDigest,
    ) -> Result<Option<Bytes>, StoreError> {
        let name = digest.to_string();
        let read = move |connection: &Connection| {
            let Some(bytes) = queries::component(connection, &name)? else { return Ok(None) };
            if ComponentDigest::from_sha256(Sha256::digest(&bytes).into()) != digest {
                return Err(ReadError::damaged("a component does not have its digest"));
            }
            Ok(Some(Bytes::from(bytes)))
        };
        self.readers.run(read).await.map_err(|error| error.of_table(COMPONENTS))
    }

    pub(super) async fn has_component(&self, digest: ComponentDigest) -> Result<bool, StoreError> {
        let name = digest.to_string();
        let read = move |connection: &Connection| queries::has_component(connection, &name);
        self.readers.run(read).await.map_err(|error| error.of_table(COMPONENTS))
    }

    /// Reads what is one Worker's alone: damage is, too.
    async fn of_worker<T: Send + 'static>(
        &self,
        worker_id: WorkerId,
        read: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.run(read).await.map_err(|error| error.of_worker(worker_id))
    }
}

impl Drop for SqliteStore {
    /// Waits for what is being written: afterwards the directory is free.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            // A panic was logged where it happened.
            let _ = writer.join();
        }
    }
}

/// The texts of open items, out of pieces in order.
fn join_texts(
    worker_id: WorkerId,
    pieces: Vec<(ItemId, u64, Vec<u8>)>,
) -> Result<BTreeMap<ItemId, String>, StoreError> {
    let mut texts: BTreeMap<ItemId, Vec<u8>> = BTreeMap::new();
    for (item_id, start, piece) in pieces {
        let text = texts.entry(item_id).or_default();
        if text.len() as u64 != start {
            return Err(super::misplaced(worker_id, item_id));
        }
        text.extend(piece);
    }
    let text = |(item_id, text)| match String::from_utf8(text) {
        Ok(text) => Ok((item_id, text)),
        Err(_) => {
            let reason = format!("the text of item {item_id} is not UTF-8");
            Err(StoreError::Damaged { worker_id, reason })
        }
    };
    texts.into_iter().map(text).collect()
}

fn decode(
    worker_id: WorkerId,
    events: impl IntoIterator<Item = RawEvent>,
) -> Result<Vec<Event>, StoreError> {
    let event = |event: RawEvent| event.decode(worker_id);
    let events: Result<_, _> = events.into_iter().map(event).collect();
    events.map_err(|error| error.of_worker(worker_id))
}

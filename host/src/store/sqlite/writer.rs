//! The thread that writes: it takes what waits, commits it as one transaction, and answers. After a
//! failure it reopens the store; the docs of the module above say why the way it does.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use worker_types::{ComponentDigest, WorkerId};

use super::{
    COMPONENTS, KEYS,
    commit::Tables,
    database::{self, Checkpoint, Files, failure},
    encoding::{EncodedCommit, EncodedEvent, ordinal},
    failure::{is_damage, reason, table_damaged},
    readers::Gate,
};
use crate::store::{StoreError, StoreHealth};

/// The most jobs of a group.
const GROUP_JOBS: usize = 1_024;
/// Bytes of a group, and one job more: what waits behind it waits for all of it.
const GROUP_BYTES: usize = 4 << 20;
/// Bytes written to the log after which it is copied into the database: what a start has to recover
/// stays small, and a copy takes some ten milliseconds.
const CHECKPOINT_BYTES: usize = 4 << 20;
/// Frames of the log, 4 KiB each, at which a checkpoint waits for readers: without it the log of a
/// store that is always being read would only grow.
const RESTART_FRAMES: i64 = 16_384;
/// What a job writes besides its bytes: about four pages.
const JOB_BYTES: usize = 16 << 10;
/// The pauses between attempts to reopen the store.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Job {
    Commit(Box<EncodedCommit>),
    PutComponent {
        digest: ComponentDigest,
        bytes: Vec<u8>,
    },
    /// The answer says whether it was there, as a number.
    RemoveComponent {
        digest: ComponentDigest,
    },
    /// Deletes a Worker whose log cannot be read; the answer says which number the event got.
    Bury {
        worker_id: WorkerId,
        event: EncodedEvent,
    },
    /// Forgets these keys; the answer says how many were there.
    ForgetKeys {
        ids: Vec<i64>,
    },
    /// Keeps the writer from taking more until the other end is gone.
    #[cfg(test)]
    Hold(std::sync::mpsc::Receiver<()>),
}

impl Job {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Commit(commit) => commit.bytes(),
            Self::PutComponent { bytes, .. } => bytes.len(),
            Self::RemoveComponent { .. } | Self::Bury { .. } => 0,
            Self::ForgetKeys { ids } => ids.len() * 8,
            #[cfg(test)]
            Self::Hold(_) => 0,
        }
    }
}

impl Job {
    /// What somebody hears whose job met damage: what the job was about is at fault, and no other;
    /// of a commit its key, where it was `in_keys`.
    fn damaged(&self, error: &rusqlite::Error, in_keys: bool) -> StoreError {
        let of_worker = |worker_id| {
            tracing::error!(worker = %worker_id, %error, "a Worker's log is damaged");
            let reason = "the database is damaged where it is kept".to_owned();
            StoreError::Damaged { worker_id, reason }
        };
        match self {
            Self::Commit(_) if in_keys => table_damaged(KEYS, error),
            Self::Commit(commit) => of_worker(commit.worker_id),
            Self::Bury { worker_id, .. } => of_worker(*worker_id),
            Self::PutComponent { .. } | Self::RemoveComponent { .. } => {
                table_damaged(COMPONENTS, error)
            }
            Self::ForgetKeys { .. } => table_damaged(KEYS, error),
            #[cfg(test)]
            Self::Hold(_) => table_damaged(KEYS, error),
        }
    }
}

pub(super) type Answer = Result<u64, StoreError>;

/// A job with whom to answer, and its share of the queue.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) job: Job,
    pub(super) answer: oneshot::Sender<Answer>,
    /// Held until the answer: what is being written takes memory still.
    pub(super) permit: OwnedSemaphorePermit,
}

/// What the writer and the store's handle share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) health: watch::Sender<StoreHealth>,
    pub(super) feed_head: watch::Sender<u64>,
    /// Transactions committed.
    pub(super) transactions: AtomicU64,
    /// What tests do to this store, and to no other of the process.
    #[cfg(test)]
    pub(super) faults: super::tests::faults::Faults,
}

impl Shared {
    /// A place where tests inject a fault. The argument, where the fault is to return.
    fn fault(&self, name: &str) -> Option<String> {
        #[cfg(test)]
        if !self.faults.reach_here() {
            return None;
        }
        // Empty where the feature is off.
        let _ = name;
        fail::fail_point!(name, |argument| Some(argument.unwrap_or_default()));
        None
    }
}

pub(super) struct Writer {
    files: Files,
    receiver: Receiver<Request>,
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    state: State,
    next_position: i64,
    /// Written to the log since it was last copied into the database, about.
    logged: usize,
    /// Workers with events to remove, which are removed in steps between the groups.
    to_sweep: Vec<i64>,
}

enum State {
    Healthy(Connection),
    Failed { reason: &'static str, retry_at: Instant, pause: Duration },
}

impl Writer {
    pub(super) fn new(
        files: Files,
        connection: Connection,
        receiver: Receiver<Request>,
        shared: Arc<Shared>,
        gate: Arc<Gate>,
    ) -> rusqlite::Result<Self> {
        #[cfg(test)]
        shared.faults.apply(&connection)?;
        let state = State::Healthy(connection);
        let (next_position, logged, to_sweep) = (0, 0, Vec::new());
        let mut writer =
            Self { files, receiver, shared, gate, state, next_position, logged, to_sweep };
        writer.load()?;
        Ok(writer)
    }

    /// Reads what the writer keeps in mind.
    fn load(&mut self) -> rusqlite::Result<()> {
        let State::Healthy(connection) = &self.state else { return Ok(()) };
        // The greatest position is always there; see the schema.
        let sql = "SELECT coalesce(max(position), 0) FROM events";
        let head: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        let mut statement =
            connection.prepare("SELECT key FROM workers WHERE swept < trimmed ORDER BY key")?;
        self.to_sweep = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        // No log has come so far; beyond it the numbers would end.
        if head > i64::MAX / 2 {
            return Err(failure(rusqlite::ffi::SQLITE_CORRUPT));
        }
        self.next_position = head + 1;
        self.shared.feed_head.send_replace(ordinal(head));
        Ok(())
    }

    /// Works until the store is dropped. A panic is a failure like any other: whoever waits for an
    /// answer gets an error, and the store is reopened.
    pub(super) fn run(mut self) {
        let guard = DeadWriter { shared: Arc::clone(&self.shared), gate: Arc::clone(&self.gate) };
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work())) {
            let panic = panic.downcast_ref::<&str>().copied().unwrap_or("no message");
            tracing::error!(panic, "the writer of the store panicked");
            self.fail("an internal error");
        }
        // Its connection is the last one; what it leaves in the log the next start would recover.
        self.gate.shut();
        self.gate.close();
        if let State::Healthy(connection) = &self.state
            && let Err(error) = database::checkpoint(connection, Checkpoint::Truncate)
        {
            tracing::warn!(%error, "the store's log was not emptied at the end");
        }
        std::mem::forget(guard);
    }

    fn work(&mut self) {
        loop {
            let wait = match &self.state {
                State::Failed { retry_at, .. } => {
                    Some(retry_at.saturating_duration_since(Instant::now()))
                }
                State::Healthy(_) if !self.to_sweep.is_empty() => Some(Duration::ZERO),
                State::Healthy(_) => None,
            };
            let received = match wait {
                Some(wait) => self.receiver.recv_timeout(wait),
                None => self.receiver.recv().map_err(RecvTimeoutError::from),
            };
            match (received, &self.state) {
                (Err(RecvTimeoutError::Disconnected), _) => break,
                (Ok(request), State::Failed { reason, .. }) => refuse(request, reason),
                (Err(RecvTimeoutError::Timeout), State::Failed { .. }) => self.reopen(),
                (Ok(request), State::Healthy(_)) => {
                    self.group(request);
                    self.sweep();
                    self.keep_log_short();
                }
                (Err(RecvTimeoutError::Timeout), State::Healthy(_)) => {
                    self.sweep();
                    self.keep_log_short();
                }
            }
        }
    }

    /// Commits what waits, as one transaction.
    fn group(&mut self, first: Request) {
        let (mut jobs, mut answers, mut permits) = (Vec::new(), Vec::new(), Vec::new());
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(request) = next {
            bytes += request.job.bytes() + JOB_BYTES;
            answers.push(request.answer);
            permits.push(request.permit);
            jobs.push(request.job);
            let is_full = jobs.len() >= GROUP_JOBS || bytes >= GROUP_BYTES;
            next = if is_full { None } else { self.receiver.try_recv().ok() };
        }
        let mut results = Vec::with_capacity(jobs.len());
        self.logged += bytes;
        match self.write(&jobs, &mut results) {
            Ok(()) => {
                self.shared.fault("store::before_reply");
                // First: whoever is answered may read the feed at once.
                let head = ordinal(self.next_position - 1);
                self.shared
                    .feed_head
                    .send_if_modified(|known| std::mem::replace(known, head) != head);
                for (answer, result) in answers.into_iter().zip(results) {
                    // Whoever asked may be gone.
                    let _ = answer.send(result);
                }
            }
            Err(error) => {
                tracing::error!(%error, jobs = jobs.len(), "a commit failed");
                let reason = reason(&error);
                self.fail(reason);
                // What was refused was not part of the transaction; all else is unknown.
                let mut results = results.into_iter();
                for answer in answers {
                    let unknown = || Err(StoreError::InDoubt { reason: reason.to_owned() });
                    let result = results.next().filter(Result::is_err).unwrap_or_else(unknown);
                    let _ = answer.send(result);
                }
            }
        }
    }

    /// Commits `jobs`, without those that meet damage. After it has met some, SQLite lets nothing
    /// more be written in the same transaction: it begins anew, without the job that did.
    fn write(&mut self, jobs: &[Job], results: &mut Vec<Answer>) -> rusqlite::Result<()> {
        let mut damaged = BTreeMap::new();
        while let Some((place, error)) = self.write_others(jobs, &mut damaged, results)? {
            damaged.insert(place, error);
        }
        Ok(())
    }

    /// Commits all but the `damaged` jobs, which are in `results` afterwards; or nothing, and says
    /// which of the others met damage.
    fn write_others(
        &mut self,
        jobs: &[Job],
        damaged: &mut BTreeMap<usize, StoreError>,
        results: &mut Vec<Answer>,
    ) -> rusqlite::Result<Option<(usize, StoreError)>> {
        let Self { state: State::Healthy(connection), shared, .. } = self else {
            return Err(failure(rusqlite::ffi::SQLITE_MISUSE));
        };
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut tables = Tables {
            transaction: &transaction,
            next_position: self.next_position,
            to_sweep: Vec::new(),
            in_keys: false,
        };
        results.clear();
        for (place, job) in jobs.iter().enumerate() {
            let result = match job {
                _ if damaged.contains_key(&place) => Ok(Ok(0)),
                Job::Commit(commit) => tables.apply(commit),
                Job::PutComponent { digest, bytes } => tables.put_component(*digest, bytes),
                Job::RemoveComponent { digest } => tables.remove_component(*digest),
                Job::Bury { worker_id, event } => tables.bury(*worker_id, event),
                Job::ForgetKeys { ids } => tables.forget_keys(ids),
                #[cfg(test)]
                Job::Hold(hold) => {
                    // An error is the sign to go on.
                    let _ = hold.recv();
                    Ok(Ok(0))
                }
            };
            match result {
                Ok(result) => results.push(result),
                Err(error) if is_damage(&error) => {
                    let error = job.damaged(&error, tables.in_keys);
                    transaction.rollback()?;
                    return Ok(Some((place, error)));
                }
                Err(error) => return Err(error),
            }
        }
        for (place, error) in std::mem::take(damaged) {
            results[place] = Err(error);
        }
        let Tables { next_position, to_sweep, .. } = tables;
        shared.fault("store::before_commit");
        match shared.fault("store::commit").as_deref() {
            None => transaction.commit()?,
            Some(what) => {
                // An error says nothing about what happened.
                if what == "kept" {
                    transaction.commit()?;
                }
                return Err(failure(rusqlite::ffi::SQLITE_IOERR));
            }
        }
        shared.transactions.fetch_add(1, Relaxed);
        shared.fault("store::after_commit");
        self.next_position = next_position;
        self.to_sweep.extend(to_sweep);
        Ok(None)
    }

    /// Removes some of what is to be removed.
    fn sweep(&mut self) {
        let State::Healthy(connection) = &mut self.state else { return };
        let Some(worker) = self.to_sweep.last().copied() else { return };
        let step = |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let tables = Tables {
                transaction: &transaction,
                next_position: 0,
                to_sweep: vec![],
                in_keys: false,
            };
            let is_more = tables.sweep(worker)?;
            transaction.commit()?;
            rusqlite::Result::Ok(is_more)
        };
        match step(connection) {
            Ok(is_more) => {
                self.logged += JOB_BYTES * 16;
                if !is_more {
                    self.to_sweep.pop();
                }
            }
            // It stays until the next start: nobody waits for it, and trying again at once would
            // keep everybody else from what still works.
            Err(error) if is_damage(&error) => {
                tracing::error!(%error, "the removed events of a damaged log stay");
                self.to_sweep.pop();
            }
            Err(error) => {
                tracing::error!(%error, "removing events failed");
                self.fail(reason(&error));
            }
        }
    }

    /// Copies the log into the database when it has grown.
    fn keep_log_short(&mut self) {
        let State::Healthy(connection) = &self.state else { return };
        if self.logged < CHECKPOINT_BYTES {
            return;
        }
        let copied = database::checkpoint(connection, Checkpoint::Passive).and_then(|frames| {
            // The database has what the log has, and the log has it still.
            self.shared.fault("store::checkpoint");
            if frames < RESTART_FRAMES {
                return Ok(());
            }
            database::checkpoint(connection, Checkpoint::Restart).map(drop)
        });
        self.logged = 0;
        if let Err(error) = copied {
            tracing::error!(%error, "copying the log into the database failed");
            self.fail(reason(&error));
        }
    }

    /// Closes everything: what is in the files is all that counts from here on.
    fn fail(&mut self, reason: &'static str) {
        let retry_at = Instant::now() + FIRST_PAUSE;
        self.state = State::Failed { reason, retry_at, pause: FIRST_PAUSE };
        self.gate.close();
        self.shared.health.send_replace(StoreHealth::Failed { reason: reason.to_owned() });
    }

    /// Tries to bring the store back.
    fn reopen(&mut self) {
        let State::Failed { pause, .. } = self.state else { return };
        // Readers may have been let in after an attempt that made durable what there is.
        self.gate.close();
        let mut is_durable = false;
        let reason = match self.recover(&mut is_durable) {
            Ok(()) => {
                tracing::info!("the store is back");
                self.gate.open();
                self.shared.health.send_replace(StoreHealth::Healthy);
                return;
            }
            Err(error) => {
                tracing::warn!(%error, is_durable, "the store was not reopened");
                reason(&error)
            }
        };
        if is_durable {
            self.gate.open();
        } else {
            self.gate.shut();
        }
        let pause = (pause * 2).min(LAST_PAUSE);
        self.state = State::Failed { reason, retry_at: Instant::now() + pause, pause };
        let health = StoreHealth::Failed { reason: reason.to_owned() };
        self.shared.health.send_if_modified(|known| {
            let is_new = *known != health;
            *known = health;
            is_new
        });
    }

    /// The three steps that the module's docs explain. `is_durable` is set after the second: what is
    /// there can be relied on, even where nothing can be added.
    fn recover(&mut self, is_durable: &mut bool) -> rusqlite::Result<()> {
        if self.shared.fault("store::reopen").is_some() {
            return Err(failure(rusqlite::ffi::SQLITE_IOERR));
        }
        database::renew_wal(&self.files).map_err(|error| {
            tracing::warn!(%error, "the store's log was not written anew");
            let is_full = error.kind() == std::io::ErrorKind::StorageFull;
            failure(if is_full { rusqlite::ffi::SQLITE_FULL } else { rusqlite::ffi::SQLITE_IOERR })
        })?;
        let mut connection = database::open_writer(&self.files)?;
        #[cfg(test)]
        self.shared.faults.apply(&connection)?;
        database::checkpoint(&connection, Checkpoint::Truncate)?;
        if database::is_truncated(&connection, &self.files)? {
            return Err(failure(rusqlite::ffi::SQLITE_CORRUPT));
        }
        *is_durable = true;
        database::probe(&mut connection)?;
        self.logged = 0;
        let failed = std::mem::replace(&mut self.state, State::Healthy(connection));
        self.load().inspect_err(|_| self.state = failed)
    }
}

fn refuse(request: Request, reason: &str) {
    let Request { answer, .. } = request;
    // Whoever asked may be gone.
    let _ = answer.send(Err(StoreError::Unavailable { reason: reason.to_owned() }));
}

/// Says that there is no writer any more, whatever ended it.
struct DeadWriter {
    shared: Arc<Shared>,
    gate: Arc<Gate>,
}

impl Drop for DeadWriter {
    fn drop(&mut self) {
        self.gate.shut();
        let reason = "its writer ended".to_owned();
        self.shared.health.send_replace(StoreHealth::Failed { reason });
    }
}

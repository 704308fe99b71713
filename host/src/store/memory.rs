//! Logs in memory, packed: an idle Worker's whole log is a buffer of events and their index.

mod feed;
mod log;
mod packing;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;
use worker_types::{
    ComponentDigest, Event, EventBody, Item, ItemId, LogId, Retention, Seq, TurnId, WorkerId,
};

use super::{
    Commit, FIRST, FeedEvent, ItemPage, ItemRange, KeyRecord, KeyScope, PAGE_BYTES, StoreError,
    StoreHealth, StoredWorker, TextPiece, WorkerRead, into_item, misplaced,
    retention::{self, Excess, Totals},
};
use crate::worker::WorkerState;
use feed::{Feed, Place};
use log::{Encoded, Log, decode};

/// The most bytes of a log. What is left above, up to what a log can have, is for ending what there
/// is: however much a guest has said, its turn can be ended and its Worker stopped and deleted.
const LOG_BYTES: usize = log::MAX_BYTES / 4 * 3;

/// Events of the feed that are looked up under one lock.
const FEED_PLACES: usize = 256;

#[derive(Debug)]
pub(super) struct MemoryStore {
    log_id: LogId,
    logs: Mutex<Logs>,
    components: Mutex<HashMap<ComponentDigest, Bytes>>,
    feed_head: watch::Sender<u64>,
    health: watch::Sender<StoreHealth>,
    log_bytes: usize,
}

/// A log under a lock of its own: a long one that is trimmed, or moved to where there is more room,
/// keeps nobody else waiting. It may be held while that of all logs is taken, never the other way.
type SharedLog = Arc<Mutex<Log>>;

/// What Workers share.
#[derive(Debug, Default)]
struct Logs {
    /// Each with the Worker it is of. A place is never used again.
    logs: Vec<(WorkerId, SharedLog)>,
    /// The places of the logs, in the order of the Workers' ids. Ids are made in this order: a new
    /// one goes to the end, and a place takes four bytes where a hash map would take thirty.
    order: Vec<u32>,
    feed: Feed,
    keys: HashMap<KeyScope, KeyRecord>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            log_id: LogId::generate(),
            logs: Mutex::default(),
            components: Mutex::default(),
            feed_head: watch::Sender::new(0),
            health: watch::Sender::new(StoreHealth::Healthy),
            log_bytes: LOG_BYTES,
        }
    }
}

impl MemoryStore {
    #[cfg(test)]
    pub(super) fn with_logs_of(log_bytes: usize) -> Self {
        Self { log_bytes, ..Self::default() }
    }

    pub(super) fn log_id(&self) -> LogId {
        self.log_id
    }

    pub(super) fn health(&self) -> watch::Receiver<StoreHealth> {
        self.health.subscribe()
    }

    pub(super) fn feed_head(&self) -> watch::Receiver<u64> {
        self.feed_head.subscribe()
    }

    pub(super) fn workers(
        &self,
        after: Option<WorkerId>,
        limit: usize,
    ) -> Result<Vec<WorkerRead>, StoreError> {
        let mut stored = Vec::new();
        let mut after = after;
        while stored.len() < limit {
            let Some((worker_id, log)) = self.lock().next_log(after) else { break };
            after = Some(worker_id);
            let log = lock(&log);
            if log.is_deleted() {
                continue;
            }
            let rest = log.rest.as_ref().filter(|_| !log.active);
            let worker =
                decode(worker_id, 1, log.packed(1).unwrap_or_default()).and_then(|created| {
                    let rest = rest.map(|rest| rest.state(worker_id)).transpose()?;
                    Ok(StoredWorker { worker_id, created, rest })
                });
            stored.push(worker.map_err(|error| (worker_id, error)));
        }
        Ok(stored)
    }

    /// Everything that can be refused is refused before anything changes.
    pub(super) fn append(&self, commit: Commit<'_>) -> Result<(), StoreError> {
        let encoded = Encoded::new(&commit)?;
        let known = self.lock().place(commit.worker_id);
        let removed = match known {
            Ok((place, log)) => {
                let mut log = lock(&log);
                let removed = self.change(&mut log, commit, encoded)?;
                self.share(&mut self.lock(), place, commit);
                removed
            }
            Err(_) => {
                let mut log = Log::default();
                let removed = self.change(&mut log, commit, encoded)?;
                let mut logs = self.lock();
                let place = logs.insert(commit.worker_id, log)?;
                self.share(&mut logs, place, commit);
                removed
            }
        };
        if removed > 0 && self.lock().feed.removed(removed) {
            self.tidy_feed();
        }
        Ok(())
    }

    /// A log in memory can be read, so that its end is an event like others.
    pub(super) fn bury(&self, deleted: Event) -> Result<Seq, StoreError> {
        let (worker_id, seq) = (deleted.worker_id, deleted.seq);
        let events = &[deleted];
        self.append(Commit { worker_id, events, rest: None, texts: &[], key: None })?;
        Ok(seq)
    }

    /// Commits to the log, and returns how many events that removed.
    fn change(
        &self,
        log: &mut Log,
        commit: Commit<'_>,
        mut encoded: Encoded,
    ) -> Result<usize, StoreError> {
        let worker_id = commit.worker_id;
        commit.check_follows(Seq::new(log.last_seq().into()), log.is_deleted())?;
        let completed: Vec<ItemId> = commit.completed().collect();
        let is_kept =
            |piece: &&TextPiece| !piece.text.is_empty() && !completed.contains(&piece.item_id);
        let texts = || commit.texts.iter().filter(is_kept);
        let mut lengths: BTreeMap<ItemId, u64> = BTreeMap::new();
        if texts().next().is_some() {
            lengths.extend(log.texts().map(|(item, text)| (*item, text.len() as u64)));
        }
        for piece in texts() {
            let length = lengths.entry(piece.item_id).or_default();
            if piece.offset != *length {
                return Err(misplaced(worker_id, piece.item_id));
            }
            *length += piece.text.len() as u64;
        }
        let max_bytes = if commit.only_ends() { log::MAX_BYTES } else { self.log_bytes };
        log.append(worker_id, &encoded, max_bytes)?;

        if let Some(rest) = encoded.rest.take() {
            log.rest = Some(rest);
            log.active = false;
        } else if !commit.events.is_empty() {
            log.active = true;
        }
        completed.iter().for_each(|item| log.forget_text(*item));
        for piece in texts() {
            log.push_text(piece.item_id, &piece.text);
        }
        let covered = log.rest.as_ref().map_or(Seq::ZERO, |rest| rest.last_seq);
        Ok(if commit.deletes_at().is_some() {
            log.delete()
        } else if let Some(through) = commit.trims_through(covered).filter(|seq| *seq > FIRST) {
            log.trim(through.get() as u32)
        } else {
            0
        })
    }

    /// Gives what was committed to the log at `place` its positions, and remembers its key.
    fn share(&self, logs: &mut Logs, place: u32, commit: Commit<'_>) {
        for event in commit.events {
            logs.feed.push(Place { log: place, seq: event.seq.get() as u32 });
        }
        if let Some(record) = commit.key {
            logs.keys.insert(record.scope.clone(), record.clone());
        }
        // Within the lock, so that the head never goes back.
        self.feed_head.send_replace(logs.feed.head());
    }

    /// Forgets the positions of removed events, some at a time: others commit in between.
    fn tidy_feed(&self) {
        let mut after = 0;
        loop {
            let places = self.lock().places(after, feed::CHUNK);
            let Some((last, ..)) = places.last() else { return };
            after = *last;
            let is_gone =
                |(.., log, seq): &(u64, WorkerId, SharedLog, u32)| lock(log).packed(*seq).is_none();
            let gone: Vec<u64> =
                places.iter().filter(|place| is_gone(place)).map(|place| place.0).collect();
            self.lock().feed.forget(&gone);
        }
    }

    pub(super) fn snapshot(&self, worker_id: WorkerId) -> Result<Option<WorkerState>, StoreError> {
        let Some(log) = self.log(worker_id) else { return Ok(None) };
        let log = lock(&log);
        log.rest.as_ref().map(|rest| rest.state(worker_id)).transpose()
    }

    pub(super) fn last_seq(&self, worker_id: WorkerId) -> Seq {
        self.log(worker_id).map_or(Seq::ZERO, |log| Seq::new(lock(&log).last_seq().into()))
    }

    pub(super) fn read(
        &self,
        worker_id: WorkerId,
        after: Seq,
        until: Seq,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        // Copied under the lock, decoded outside of it: others append meanwhile.
        let events = {
            let Some(log) = self.log(worker_id) else { return Ok(Vec::new()) };
            let log = lock(&log);
            let until = until.min(Seq::new(log.last_seq().into()));
            let trimmed = Seq::new(log.trimmed().into());
            if after < trimmed && after < until && limit > 0 {
                return Err(StoreError::Trimmed { through: trimmed });
            }
            // After what was trimmed there is no hole, and none of these is beyond the last.
            let wanted = (after.get().saturating_add(1)..=until.get()).map(|seq| seq as u32);
            let events = wanted.filter_map(|seq| Some((seq, log.packed(seq)?.to_vec())));
            page(events.take(limit), |(_, packed)| packed.len(), PAGE_BYTES)
        };
        events.iter().map(|(seq, packed)| decode(worker_id, *seq, packed)).collect()
    }

    pub(super) fn items(
        &self,
        worker_id: WorkerId,
        ItemPage { range, until, limit, max_bytes }: ItemPage,
    ) -> Result<Vec<Item>, StoreError> {
        let damaged = |reason: &str| StoreError::Damaged { worker_id, reason: reason.to_owned() };
        let events = {
            let Some(log) = self.log(worker_id) else { return Ok(Vec::new()) };
            let log = lock(&log);
            let newest = |events: &log::ItemEvents| {
                let seq = events.newest(until)?;
                Some((events.item, seq, log.packed(seq)?.to_vec()))
            };
            let size = |(_, _, packed): &(u32, u32, Vec<u8>)| packed.len();
            match range {
                ItemRange::Before(item) => {
                    let before = log.items_before(item.get()).iter().rev();
                    page(before.filter_map(newest).take(limit), size, max_bytes)
                }
                ItemRange::After(item) => {
                    let after = log.items_from(item.get().saturating_add(1)).iter();
                    page(after.filter_map(newest).take(limit), size, max_bytes)
                }
            }
        };
        if events.windows(2).any(|pair| pair[0].0.abs_diff(pair[1].0) != 1) {
            return Err(damaged("an item is missing"));
        }
        let item = |(_, seq, packed): (u32, u32, Vec<u8>)| {
            let item = into_item(decode(worker_id, seq, &packed)?.body);
            item.ok_or_else(|| damaged("an event has lost its item"))
        };
        events.into_iter().map(item).collect()
    }

    pub(super) fn turn_end(
        &self,
        worker_id: WorkerId,
        turn_id: TurnId,
    ) -> Result<Option<Event>, StoreError> {
        let end = self.log(worker_id).and_then(|log| {
            let log = lock(&log);
            let seq = log.turn_end(turn_id)?;
            Some((seq, log.packed(seq)?.to_vec()))
        });
        end.map(|(seq, packed)| decode(worker_id, seq, &packed)).transpose()
    }

    pub(super) fn turn_ends(
        &self,
        worker_id: WorkerId,
        before: Option<TurnId>,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let ends: Vec<_> = {
            let Some(log) = self.log(worker_id) else { return Ok(Vec::new()) };
            let log = lock(&log);
            let ends = log.turn_ends_before(before.map_or(u64::MAX, TurnId::get));
            let ends = ends.iter().skip(ends.len().saturating_sub(limit));
            ends.filter_map(|(_, seq)| Some((*seq, log.packed(*seq)?.to_vec()))).collect()
        };
        ends.iter().map(|(seq, packed)| decode(worker_id, *seq, packed)).collect()
    }

    pub(super) fn texts(&self, worker_id: WorkerId) -> BTreeMap<ItemId, String> {
        let Some(log) = self.log(worker_id) else { return BTreeMap::new() };
        let log = lock(&log);
        log.texts().map(|(item, text)| (*item, text.clone())).collect()
    }

    pub(super) fn key(&self, scope: &KeyScope) -> Option<KeyRecord> {
        self.lock().keys.get(scope).cloned()
    }

    pub(super) fn forget_keys(&self, before: Timestamp) -> u64 {
        let mut logs = self.lock();
        let held = logs.keys.len();
        logs.keys.retain(|_, record| record.at >= before);
        (held - logs.keys.len()) as u64
    }

    pub(super) fn feed(&self, after: u64, limit: usize) -> Result<Vec<FeedEvent>, StoreError> {
        let (mut packed, mut bytes, mut after) = (Vec::new(), 0, after);
        'full: while packed.len() < limit {
            let places = self.lock().places(after, limit.min(FEED_PLACES));
            if places.is_empty() {
                break;
            }
            for (position, worker_id, log, seq) in places {
                after = position;
                // One that was removed has a place for a while.
                let Some(event) = lock(&log).packed(seq).map(<[u8]>::to_vec) else { continue };
                bytes += event.len();
                if packed.len() == limit || (bytes > PAGE_BYTES && !packed.is_empty()) {
                    break 'full;
                }
                packed.push((position, worker_id, seq, event));
            }
        }
        let event = |(position, worker_id, seq, packed): (u64, WorkerId, u32, Vec<u8>)| {
            Ok(FeedEvent { position, event: decode(worker_id, seq, &packed)? })
        };
        packed.into_iter().map(event).collect()
    }

    pub(super) fn trimmable(&self, retention: &Retention, now: Timestamp) -> Vec<(WorkerId, Seq)> {
        let oldest = retention::oldest(retention, now);
        let count = self.lock().logs.len();
        let trimmable = (0..count).filter_map(|place| {
            let (worker_id, log) = self.lock().logs.get(place)?.clone();
            let (last, plain) = lock(&log).removable()?;
            // Whatever cannot be decoded stays.
            let events = plain.iter().filter_map(|(seq, packed)| {
                let event = decode(worker_id, *seq, packed).ok()?;
                let bytes = serde_json::to_vec(&event.body).ok()?.len() as u64;
                Some((event, bytes))
            });
            let events: Vec<(Event, u64)> = events.collect();
            let is_old = |event: &Event| oldest.is_some_and(|oldest| event.at < oldest);
            let old = events.iter().rev().find(|(event, _)| is_old(event));
            let totals = Totals {
                events: events.len() as u64,
                bytes: events.iter().map(|(_, bytes)| bytes).sum(),
                old_through: old.map_or(Seq::ZERO, |(event, _)| event.seq),
            };
            let mut excess = Excess::of(totals, retention)?;
            for (event, bytes) in events.iter().filter(|(event, _)| event.seq < last) {
                let is_record = matches!(event.body, EventBody::WorkerTrimmed { .. });
                if !excess.takes(event.seq, *bytes, is_record) {
                    break;
                }
            }
            Some((worker_id, excess.through()?))
        });
        trimmable.collect()
    }

    pub(super) fn put_component(
        &self,
        digest: ComponentDigest,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        components.entry(digest).or_insert_with(|| Bytes::copy_from_slice(bytes));
        Ok(())
    }

    pub(super) fn remove_component(&self, digest: ComponentDigest) -> bool {
        let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        components.remove(&digest).is_some()
    }

    pub(super) fn component(&self, digest: ComponentDigest) -> Option<Bytes> {
        let components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        components.get(&digest).cloned()
    }

    fn log(&self, worker_id: WorkerId) -> Option<SharedLog> {
        self.lock().place(worker_id).ok().map(|(_, log)| log)
    }

    fn lock(&self) -> MutexGuard<'_, Logs> {
        lock(&self.logs)
    }
}

impl Logs {
    /// The place of a Worker's log and the log, or where in the order it would be.
    fn place(&self, worker_id: WorkerId) -> Result<(u32, SharedLog), usize> {
        let found =
            self.order.binary_search_by_key(&worker_id, |place| self.logs[*place as usize].0);
        found.map(|index| {
            let place = self.order[index];
            (place, Arc::clone(&self.logs[place as usize].1))
        })
    }

    /// The next log in the order of the Workers' ids.
    fn next_log(&self, after: Option<WorkerId>) -> Option<(WorkerId, SharedLog)> {
        let is_before = |place: &u32| after.is_some_and(|id| self.logs[*place as usize].0 <= id);
        let place = self.order.get(self.order.partition_point(is_before))?;
        self.logs.get(*place as usize).cloned()
    }

    /// Gives a new log its place.
    fn insert(&mut self, worker_id: WorkerId, log: Log) -> Result<u32, StoreError> {
        let Err(index) = self.place(worker_id) else {
            // Somebody else has just created the same Worker.
            return Err(StoreError::Gap { worker_id, last: FIRST, offered: FIRST });
        };
        let place = self.logs.len() as u32;
        make_room(&mut self.logs);
        self.logs.push((worker_id, Arc::new(Mutex::new(log))));
        make_room(&mut self.order);
        self.order.insert(index, place);
        Ok(place)
    }

    /// Positions after `after`, each with the Worker, its log and the event that has it.
    fn places(&self, after: u64, count: usize) -> Vec<(u64, WorkerId, SharedLog, u32)> {
        let places = self.feed.after(after).take(count).filter_map(|(position, place)| {
            let (worker_id, log) = self.logs.get(place.log as usize)?;
            Some((position, *worker_id, Arc::clone(log), place.seq))
        });
        places.collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics between a lock and the end of its change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes room for one more, and for a sixteenth more than that: what is kept of every Worker is not
/// to be doubled.
fn make_room<T>(buffer: &mut Vec<T>) {
    if buffer.len() == buffer.capacity() {
        buffer.reserve_exact(1 + buffer.len() / 16);
    }
}

/// As many of `entries` as fit into `max_bytes`, and at least one where there are any.
fn page<T>(
    entries: impl Iterator<Item = T>,
    size: impl Fn(&T) -> usize,
    max_bytes: usize,
) -> Vec<T> {
    let mut bytes = 0_usize;
    let mut is_first = true;
    let fits = |entry: &T| {
        bytes = bytes.saturating_add(size(entry));
        std::mem::take(&mut is_first) || bytes <= max_bytes
    };
    entries.take_while(fits).collect()
}

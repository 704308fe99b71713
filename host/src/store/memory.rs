//! Logs in memory, packed: an idle Worker's whole log is a buffer of events and their index.

mod feed;
mod log;
mod packing;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
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

#[derive(Debug)]
pub(super) struct MemoryStore {
    log_id: LogId,
    logs: Mutex<Logs>,
    components: Mutex<HashMap<ComponentDigest, Bytes>>,
    feed_head: watch::Sender<u64>,
    health: watch::Sender<StoreHealth>,
}

/// What changes with a commit.
#[derive(Debug, Default)]
struct Logs {
    /// Each with the Worker it is of. A place is never used again.
    logs: Vec<(WorkerId, Log)>,
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
        }
    }
}

impl MemoryStore {
    pub(super) fn log_id(&self) -> LogId {
        self.log_id
    }

    pub(super) fn health(&self) -> watch::Receiver<StoreHealth> {
        self.health.subscribe()
    }

    pub(super) fn feed_head(&self) -> watch::Receiver<u64> {
        self.feed_head.subscribe()
    }

    pub(super) fn workers(&self) -> Result<Vec<WorkerRead>, StoreError> {
        let stored: Vec<_> = {
            let logs = self.lock();
            let ordered = logs.order.iter().filter_map(|place| logs.logs.get(*place as usize));
            let live = ordered.filter(|(_, log)| !log.is_deleted());
            let stored = live.map(|(worker_id, log)| {
                let created = log.packed(1).unwrap_or_default().to_vec();
                let rest = log.rest.as_deref().filter(|_| !log.active).cloned();
                (*worker_id, created, rest)
            });
            stored.collect()
        };
        let decoded = stored.into_iter().map(|(worker_id, created, rest)| {
            let created = decode(worker_id, 1, &created).map_err(|error| (worker_id, error))?;
            Ok(StoredWorker { worker_id, created, rest })
        });
        Ok(decoded.collect())
    }

    pub(super) fn append(&self, commit: Commit<'_>) -> Result<(), StoreError> {
        // Encoded before the log is touched: a failure leaves it as it was.
        let encoded = Encoded::new(commit.worker_id, commit.events)?;
        let mut logs = self.lock();
        logs.append(commit, &encoded)?;
        // Within the lock, so that the head never goes back.
        self.feed_head.send_replace(logs.feed.head());
        Ok(())
    }

    pub(super) fn snapshot(&self, worker_id: WorkerId) -> Option<WorkerState> {
        self.lock().log(worker_id)?.rest.as_deref().cloned()
    }

    pub(super) fn last_seq(&self, worker_id: WorkerId) -> Seq {
        self.lock().log(worker_id).map_or(Seq::ZERO, |log| Seq::new(log.last_seq().into()))
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
            let logs = self.lock();
            let Some(log) = logs.log(worker_id) else { return Ok(Vec::new()) };
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
            let logs = self.lock();
            let Some(log) = logs.log(worker_id) else { return Ok(Vec::new()) };
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
        let end = self.lock().log(worker_id).and_then(|log| {
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
            let logs = self.lock();
            let Some(log) = logs.log(worker_id) else { return Ok(Vec::new()) };
            let ends = log.turn_ends_before(before.map_or(u64::MAX, TurnId::get));
            let ends = ends.iter().skip(ends.len().saturating_sub(limit));
            ends.filter_map(|(_, seq)| Some((*seq, log.packed(*seq)?.to_vec()))).collect()
        };
        ends.iter().map(|(seq, packed)| decode(worker_id, *seq, packed)).collect()
    }

    pub(super) fn texts(&self, worker_id: WorkerId) -> BTreeMap<ItemId, String> {
        let logs = self.lock();
        let texts = logs.log(worker_id).into_iter().flat_map(Log::texts);
        texts.map(|(item, text)| (*item, text.clone())).collect()
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
        let events = {
            let logs = self.lock();
            let events = logs.feed.after(after).filter_map(|(position, place)| {
                let (worker_id, log) = logs.logs.get(place.log as usize)?;
                Some((position, *worker_id, place.seq, log.packed(place.seq)?.to_vec()))
            });
            page(events.take(limit), |(.., packed)| packed.len(), PAGE_BYTES)
        };
        let event = |(position, worker_id, seq, packed): (u64, WorkerId, u32, Vec<u8>)| {
            Ok(FeedEvent { position, event: decode(worker_id, seq, &packed)? })
        };
        events.into_iter().map(event).collect()
    }

    pub(super) fn trimmable(&self, retention: &Retention, now: Timestamp) -> Vec<(WorkerId, Seq)> {
        let oldest = retention::oldest(retention, now);
        let count = self.lock().logs.len();
        // One lock for each: others append meanwhile.
        let trimmable = (0..count).filter_map(|place| {
            let (worker_id, last, plain) = self.lock().plain(place)?;
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

    pub(super) fn component(&self, digest: ComponentDigest) -> Option<Bytes> {
        let components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        components.get(&digest).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Logs> {
        // Nothing panics between a lock and the end of its change.
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Logs {
    /// The place of a Worker's log, or where in the order it would be.
    fn place(&self, worker_id: WorkerId) -> Result<u32, usize> {
        let found =
            self.order.binary_search_by_key(&worker_id, |place| self.logs[*place as usize].0);
        found.map(|index| self.order[index])
    }

    fn log(&self, worker_id: WorkerId) -> Option<&Log> {
        let place = self.place(worker_id).ok()?;
        self.logs.get(place as usize).map(|(_, log)| log)
    }

    /// Of a Worker at rest: its last event, and the events that retention may remove one day,
    /// packed.
    #[expect(clippy::type_complexity, reason = "named by the sentence above, and used once")]
    fn plain(&self, place: usize) -> Option<(WorkerId, Seq, Vec<(u32, Vec<u8>)>)> {
        let (worker_id, log) = self.logs.get(place)?;
        let last = Seq::new(log.last_seq().into());
        let is_current = log.rest.as_ref().is_some_and(|rest| rest.last_seq == last);
        (is_current && !log.active).then(|| (*worker_id, last, log.plain()))
    }

    /// Everything that can be refused is refused before anything changes.
    fn append(&mut self, commit: Commit<'_>, encoded: &Encoded) -> Result<(), StoreError> {
        let Commit { worker_id, events, rest, texts, key } = commit;
        let log = self.log(worker_id);
        let last = log.map_or(Seq::ZERO, |log| Seq::new(log.last_seq().into()));
        commit.check_follows(last, log.is_some_and(Log::is_deleted))?;

        let completed: Vec<ItemId> = commit.completed().collect();
        let mut lengths: BTreeMap<ItemId, u64> = BTreeMap::new();
        if !texts.is_empty() {
            let texts = log.into_iter().flat_map(Log::texts);
            lengths.extend(texts.map(|(item, text)| (*item, text.len() as u64)));
        }
        let is_kept =
            |piece: &&TextPiece| !piece.text.is_empty() && !completed.contains(&piece.item_id);
        let texts = || texts.iter().filter(is_kept);
        for piece in texts() {
            let length = lengths.entry(piece.item_id).or_default();
            if piece.offset != *length {
                return Err(misplaced(worker_id, piece.item_id));
            }
            *length += piece.text.len() as u64;
        }

        let place = self.place(worker_id).unwrap_or_else(|index| {
            let place = self.logs.len() as u32;
            make_room(&mut self.logs);
            self.logs.push((worker_id, Log::default()));
            make_room(&mut self.order);
            self.order.insert(index, place);
            place
        });
        let log = &mut self.logs[place as usize].1;
        log.append(worker_id, encoded)?;
        for event in events {
            self.feed.push(Place { log: place, seq: event.seq.get() as u32 });
        }
        if let Some(rest) = rest {
            log.rest = Some(Box::new(rest.clone()));
            log.active = false;
        } else if !events.is_empty() {
            log.active = true;
        }
        completed.iter().for_each(|item| log.forget_text(*item));
        for piece in texts() {
            log.push_text(piece.item_id, &piece.text);
        }
        let covered = log.rest.as_ref().map_or(Seq::ZERO, |rest| rest.last_seq);
        let removed = if commit.deletes_at().is_some() {
            log.delete()
        } else if let Some(through) = commit.trims_through(covered).filter(|seq| *seq > FIRST) {
            log.trim(through.get() as u32)
        } else {
            0
        };
        if removed > 0 {
            let logs = &self.logs;
            self.feed.removed(removed, |place| {
                logs.get(place.log as usize).is_some_and(|(_, log)| log.packed(place.seq).is_some())
            });
        }
        if let Some(record) = key {
            self.keys.insert(record.scope.clone(), record.clone());
        }
        Ok(())
    }
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

//! One Worker's log, packed: a buffer of events, one of their ends, and two small indexes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use worker_types::{Event, EventBody, ItemId, Seq, TurnId, WorkerId};

use super::packing;
use crate::{
    store::{Commit, StoreError, item_of},
    worker::WorkerState,
};

/// Events with their numbers, packed.
pub(super) type Packed = Vec<(u32, Vec<u8>)>;

/// The most bytes of a log: where each event ends is kept in 32 bits.
pub(super) const MAX_BYTES: usize = u32::MAX as usize;

#[derive(Debug, Default)]
pub(super) struct Log {
    /// The events' packed JSON, one after the other.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<u32>,
    /// In the order of their ids.
    items: Vec<ItemEvents>,
    /// Turns and the places of their ends, in the order of the turns.
    turn_ends: Vec<(u32, u32)>,
    pub(super) rest: Option<Rest>,
    pub(super) active: bool,
    rare: Option<Box<Rare>>,
}

/// What most Workers do not have most of the time.
#[derive(Debug, Default, PartialEq)]
struct Rare {
    /// The events up to this one are those of `kept`; after it there is no hole.
    kept_through: u32,
    kept: Vec<u32>,
    trimmed: u32,
    deleted: bool,
    texts: BTreeMap<ItemId, String>,
}

/// The state of a Worker at rest, packed.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) last_seq: Seq,
    json: Box<[u8]>,
}

impl Rest {
    pub(super) fn new(state: &WorkerState) -> Result<Self, StoreError> {
        let json = serde_json::to_vec(state).map_err(|error| StoreError::unencodable(&error))?;
        let mut packed = Vec::with_capacity(json.len() / 2);
        packing::STATES.pack(&json, &mut packed);
        Ok(Self { last_seq: state.last_seq, json: packed.into() })
    }

    pub(super) fn state(&self, worker_id: WorkerId) -> Result<WorkerState, StoreError> {
        serde_json::from_slice(&packing::STATES.unpack(&self.json)).map_err(|error| {
            let reason = format!("its state cannot be decoded: {error}");
            StoreError::Damaged { worker_id, reason }
        })
    }
}

/// The events of an item: the one that began it, and the one that completed it; the same where it
/// was said all at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct ItemEvents {
    pub(super) item: u32,
    first: u32,
    last: u32,
}

impl ItemEvents {
    /// The newest of them up to `until`.
    pub(super) fn newest(&self, until: Seq) -> Option<u32> {
        [self.last, self.first].into_iter().find(|seq| u64::from(*seq) <= until.get())
    }
}

/// An event without what its place already says.
#[derive(Serialize, Deserialize)]
struct Stored<B> {
    /// Microseconds since 1970.
    at: i64,
    #[serde(flatten)]
    body: B,
}

/// Events that are ready to be kept.
#[derive(Debug)]
pub(super) struct Encoded {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    items: Vec<ItemEvents>,
    turn_ends: Vec<(u32, u32)>,
    /// The state after them, if the Worker rests.
    pub(super) rest: Option<Rest>,
}

impl Encoded {
    pub(super) fn new(commit: &Commit<'_>) -> Result<Self, StoreError> {
        let Commit { worker_id, events, .. } = *commit;
        // What is numbered here with 32 bits does not fit into memory beyond them.
        let number =
            |number: u64| u32::try_from(number).map_err(|_| StoreError::Full { worker_id });
        let mut encoded = Self {
            bytes: Vec::with_capacity(events.len() * 64),
            ends: Vec::with_capacity(events.len()),
            items: Vec::new(),
            turn_ends: Vec::new(),
            rest: commit.rest.map(Rest::new).transpose()?,
        };
        for event in events {
            let stored = Stored { at: event.at.as_microsecond(), body: &event.body };
            let json =
                serde_json::to_vec(&stored).map_err(|error| StoreError::unencodable(&error))?;
            packing::EVENTS.pack(&json, &mut encoded.bytes);
            encoded.ends.push(number(encoded.bytes.len() as u64)?);
            let seq = number(event.seq.get())?;
            if let Some(item) = item_of(&event.body) {
                encoded.items.push(ItemEvents {
                    item: number(item.id.get())?,
                    first: seq,
                    last: seq,
                });
            }
            if let EventBody::TurnEnded { turn_id, .. } = &event.body {
                encoded.turn_ends.push((number(turn_id.get())?, seq));
            }
        }
        Ok(encoded)
    }
}

/// The event that `packed` is.
pub(super) fn decode(worker_id: WorkerId, seq: u32, packed: &[u8]) -> Result<Event, StoreError> {
    let damaged = |error: serde_json::Error| StoreError::Damaged {
        worker_id,
        reason: format!("event {seq} cannot be decoded: {error}"),
    };
    let stored: Stored<EventBody> =
        serde_json::from_slice(&packing::EVENTS.unpack(packed)).map_err(damaged)?;
    Ok(Event {
        seq: Seq::new(u64::from(seq)),
        at: Timestamp::from_microsecond(stored.at).unwrap_or_default(),
        worker_id,
        body: stored.body,
    })
}

impl Log {
    pub(super) fn last_seq(&self) -> u32 {
        let (through, kept) = self.kept();
        through + (self.ends.len() - kept.len()) as u32
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.deleted)
    }

    /// Events up to this one were removed, except those that carry items.
    pub(super) fn trimmed(&self) -> u32 {
        self.rare.as_ref().map_or(0, |rare| rare.trimmed)
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = (&ItemId, &String)> {
        self.rare.iter().flat_map(|rare| &rare.texts)
    }

    fn kept(&self) -> (u32, &[u32]) {
        self.rare.as_ref().map_or((0, &[]), |rare| (rare.kept_through, &rare.kept))
    }

    fn index(&self, seq: u32) -> Option<usize> {
        let (through, kept) = self.kept();
        if seq <= through {
            return kept.binary_search(&seq).ok();
        }
        let index = kept.len() + (seq - through - 1) as usize;
        (index < self.ends.len()).then_some(index)
    }

    fn packed_at(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.bytes[start..self.ends[index] as usize]
    }

    /// The event `seq`, packed.
    pub(super) fn packed(&self, seq: u32) -> Option<&[u8]> {
        self.index(seq).map(|index| self.packed_at(index))
    }

    /// The events of the items from `item` on.
    pub(super) fn items_from(&self, item: u64) -> &[ItemEvents] {
        &self.items[self.items.partition_point(|events| u64::from(events.item) < item)..]
    }

    /// The events of the items before `item`.
    pub(super) fn items_before(&self, item: u64) -> &[ItemEvents] {
        &self.items[..self.items.partition_point(|events| u64::from(events.item) < item)]
    }

    /// The ends of the turns before `turn`.
    pub(super) fn turn_ends_before(&self, turn: u64) -> &[(u32, u32)] {
        &self.turn_ends[..self.turn_ends.partition_point(|(ended, _)| u64::from(*ended) < turn)]
    }

    /// The end of `turn`.
    pub(super) fn turn_end(&self, turn: TurnId) -> Option<u32> {
        let index = self.turn_ends.partition_point(|(ended, _)| u64::from(*ended) < turn.get());
        self.turn_ends
            .get(index)
            .filter(|(ended, _)| u64::from(*ended) == turn.get())
            .map(|(_, seq)| *seq)
    }

    /// What its buffers take.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.ends.capacity() * size_of::<u32>()
            + self.items.capacity() * size_of::<ItemEvents>()
            + self.turn_ends.capacity() * size_of::<(u32, u32)>()
            + self.rest.as_ref().map_or(0, |rest| rest.json.len())
    }

    /// Adds events that follow, if the log has at most `max_bytes` with them.
    pub(super) fn append(
        &mut self,
        worker_id: WorkerId,
        encoded: &Encoded,
        max_bytes: usize,
    ) -> Result<(), StoreError> {
        let base = self.bytes.len();
        if base + encoded.bytes.len() > max_bytes.min(MAX_BYTES) {
            return Err(StoreError::Full { worker_id });
        }
        grow(&mut self.bytes, encoded.bytes.len());
        grow(&mut self.ends, encoded.ends.len());
        self.bytes.extend_from_slice(&encoded.bytes);
        self.ends.extend(encoded.ends.iter().map(|end| base as u32 + end));
        for events in &encoded.items {
            match self.items.binary_search_by_key(&events.item, |events| events.item) {
                Ok(index) => self.items[index].last = events.last,
                Err(index) => {
                    grow(&mut self.items, 1);
                    self.items.insert(index, *events);
                }
            }
        }
        for end in &encoded.turn_ends {
            let index = self.turn_ends.partition_point(|(turn, _)| *turn < end.0);
            grow(&mut self.turn_ends, 1);
            self.turn_ends.insert(index, *end);
        }
        Ok(())
    }

    /// Adds a piece to a text; whether it follows is the caller's to know.
    pub(super) fn push_text(&mut self, item: ItemId, text: &str) {
        let rare = self.rare.get_or_insert_default();
        rare.texts.entry(item).or_default().push_str(text);
    }

    pub(super) fn forget_text(&mut self, item: ItemId) {
        if let Some(rare) = &mut self.rare {
            rare.texts.remove(&item);
            if **rare == Rare::default() {
                self.rare = None;
            }
        }
    }

    /// The places of the events that carry items, in order.
    fn item_places(&self) -> Vec<u32> {
        let places = self.items.iter().flat_map(|events| [events.first, events.last]);
        let mut places: Vec<u32> = places.collect();
        places.sort_unstable();
        places
    }

    /// Of a Worker at rest: its last event, and the events that retention may remove one day.
    pub(super) fn removable(&self) -> Option<(Seq, Packed)> {
        let last = Seq::new(self.last_seq().into());
        let is_current = self.rest.as_ref().is_some_and(|rest| rest.last_seq == last);
        (is_current && !self.active).then(|| (last, self.plain()))
    }

    /// The events that carry no item, except the first.
    fn plain(&self) -> Packed {
        let items = self.item_places();
        let places = (self.trimmed().max(1) + 1)..=self.last_seq();
        let plain = places.filter(|seq| items.binary_search(seq).is_err());
        plain.filter_map(|seq| Some((seq, self.packed(seq)?.to_vec()))).collect()
    }

    /// Removes the events up to `through` that carry no item, except the first; returns how many.
    pub(super) fn trim(&mut self, through: u32) -> usize {
        let items = self.item_places();
        let removed = self.retain(through, |seq| seq == 1 || items.binary_search(&seq).is_ok());
        self.turn_ends.retain(|(_, seq)| *seq > through);
        let rare = self.rare.get_or_insert_default();
        rare.trimmed = rare.trimmed.max(through);
        removed
    }

    /// Removes all but the last event; returns how many.
    pub(super) fn delete(&mut self) -> usize {
        let through = self.last_seq().saturating_sub(1);
        let removed = self.retain(through, |_| false);
        self.items = Vec::new();
        self.turn_ends = Vec::new();
        self.rest = None;
        let rare = self.rare.get_or_insert_default();
        (rare.trimmed, rare.deleted, rare.texts) = (through, true, BTreeMap::new());
        removed
    }

    fn retain(&mut self, through: u32, is_kept: impl Fn(u32) -> bool) -> usize {
        let (old_through, old_kept) = self.kept();
        let dense = (old_through + 1)..=self.last_seq();
        let places: Vec<u32> = old_kept.iter().copied().chain(dense).collect();
        let (mut bytes, mut ends, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        for (index, seq) in places.iter().enumerate() {
            if *seq > through || is_kept(*seq) {
                bytes.extend_from_slice(self.packed_at(index));
                ends.push(bytes.len() as u32);
                if *seq <= through.max(old_through) {
                    kept.push(*seq);
                }
            }
        }
        let removed = places.len() - ends.len();
        bytes.shrink_to_fit();
        ends.shrink_to_fit();
        (self.bytes, self.ends) = (bytes, ends);
        let rare = self.rare.get_or_insert_default();
        (rare.kept_through, rare.kept) = (through.max(old_through), kept);
        removed
    }
}

/// Makes room by a quarter more than is needed. A `Vec` would double, and most Workers of a
/// Runtime are idle: what they reserve for later is what they cost.
fn grow<T>(buffer: &mut Vec<T>, more: usize) {
    let needed = buffer.len() + more;
    if needed > buffer.capacity() {
        buffer.reserve_exact(more + if buffer.is_empty() { 0 } else { needed / 4 });
    }
}

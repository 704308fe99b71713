//! Logs in memory, packed: an idle Worker's whole log is one buffer of events and one of offsets.

mod packing;

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use worker_types::{Event, EventBody, LogId, Seq, WorkerId};

use super::StoreError;

/// Bytes of one page, packed: a reader holds no more of a log than this at once.
const PAGE_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct MemoryStore {
    log_id: LogId,
    logs: Mutex<HashMap<WorkerId, Log>>,
}

/// One Worker's log.
#[derive(Debug, Default)]
struct Log {
    /// The events' packed JSON, one after the other.
    bytes: Vec<u8>,
    /// Where each ends; event `seq` is the one at index `seq - 1`.
    ends: Vec<u32>,
}

/// An event without what its place already says.
#[derive(Serialize, Deserialize)]
struct Stored<B> {
    /// Microseconds since 1970.
    at: i64,
    #[serde(flatten)]
    body: B,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { log_id: LogId::generate(), logs: Mutex::default() }
    }
}

impl MemoryStore {
    pub(super) fn log_id(&self) -> LogId {
        self.log_id
    }

    pub(super) fn append(&self, events: &[Event]) -> Result<(), StoreError> {
        let Some(first) = events.first() else { return Ok(()) };
        // Encoded before the log is touched: a failure leaves it as it was.
        let mut encoded = Vec::with_capacity(events.len() * 64);
        let mut ends = Vec::with_capacity(events.len());
        for event in events {
            let stored = Stored { at: event.at.as_microsecond(), body: &event.body };
            let json = serde_json::to_vec(&stored).map_err(StoreError::Encoding)?;
            packing::pack(&json, &mut encoded);
            ends.push(encoded.len());
        }

        let mut logs = self.lock();
        let log = logs.entry(first.worker_id).or_default();
        let last = Seq::new(log.ends.len() as u64);
        if first.seq != last.next() {
            return Err(StoreError::Gap { worker_id: first.worker_id, last, offered: first.seq });
        }
        let base = log.bytes.len();
        let Ok(_) = u32::try_from(base + encoded.len()) else {
            return Err(StoreError::Full { worker_id: first.worker_id });
        };
        grow(&mut log.bytes, encoded.len());
        grow(&mut log.ends, ends.len());
        log.bytes.extend_from_slice(&encoded);
        log.ends.extend(ends.iter().map(|end| (base + end) as u32));
        Ok(())
    }

    pub(super) fn read(
        &self,
        worker_id: WorkerId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        // Copied under the lock, decoded outside of it: others append meanwhile.
        let (first, events) = {
            let logs = self.lock();
            let Some(log) = logs.get(&worker_id) else { return Ok(Vec::new()) };
            let start = usize::try_from(after.get()).unwrap_or(usize::MAX).min(log.ends.len());
            let end = start.saturating_add(limit).min(log.ends.len());
            let mut bytes = 0;
            let page = (start..end).map(|index| log.packed(index)).take_while(|event| {
                let first = bytes == 0;
                bytes += event.len();
                first || bytes <= PAGE_BYTES
            });
            (start, page.map(<[u8]>::to_vec).collect::<Vec<_>>())
        };
        let decode = |(index, packed): (usize, Vec<u8>)| {
            let json = packing::unpack(&packed);
            let stored: Stored<EventBody> =
                serde_json::from_slice(&json).map_err(StoreError::Encoding)?;
            Ok(Event {
                seq: Seq::new((first + index) as u64 + 1),
                at: Timestamp::from_microsecond(stored.at).unwrap_or_default(),
                worker_id,
                body: stored.body,
            })
        };
        events.into_iter().enumerate().map(decode).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkerId, Log>> {
        // Nothing panics between a lock and the end of its change.
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn packed(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.bytes[start..self.ends[index] as usize]
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

#[cfg(test)]
mod tests {
    use worker_types::NoticeLevel;

    use super::*;

    fn notice(worker_id: WorkerId, seq: u64) -> Event {
        Event {
            seq: Seq::new(seq),
            at: Timestamp::UNIX_EPOCH,
            worker_id,
            body: EventBody::Notice { level: NoticeLevel::Info, text: format!("number {seq}") },
        }
    }

    #[test]
    fn reads_back_what_was_appended_in_pages() {
        let store = MemoryStore::default();
        let worker = WorkerId::generate();
        let events: Vec<_> = (1..=10).map(|seq| notice(worker, seq)).collect();
        store.append(&events[..1]).expect("the first commit");
        store.append(&events[1..]).expect("the second commit");
        assert_eq!(store.read(worker, Seq::ZERO, 3).expect("a page"), events[..3]);
        assert_eq!(store.read(worker, Seq::new(3), 100).expect("a page"), events[3..]);
        assert_eq!(store.read(worker, Seq::new(u64::MAX), 100).expect("no page"), []);
        assert_eq!(store.read(WorkerId::generate(), Seq::ZERO, 1).expect("no log"), []);
    }

    #[test]
    fn a_page_is_bounded_by_bytes_and_has_at_least_one_event() {
        let store = MemoryStore::default();
        let worker = WorkerId::generate();
        let large = |seq| Event {
            body: EventBody::Notice { level: NoticeLevel::Info, text: "x".repeat(2 * PAGE_BYTES) },
            ..notice(worker, seq)
        };
        store.append(&[large(1), notice(worker, 2), notice(worker, 3)]).expect("appended");
        assert_eq!(store.read(worker, Seq::ZERO, 9).expect("a page").len(), 1);
        assert_eq!(store.read(worker, Seq::new(1), 9).expect("a page").len(), 2);
    }

    #[test]
    fn refuses_an_event_that_leaves_a_gap_and_keeps_the_log_as_it_was() {
        let store = MemoryStore::default();
        let worker = WorkerId::generate();
        store.append(&[notice(worker, 1)]).expect("the first event");
        assert!(matches!(store.append(&[notice(worker, 3)]), Err(StoreError::Gap { .. })));
        assert_eq!(store.read(worker, Seq::ZERO, 9).expect("the log").len(), 1);
    }
}

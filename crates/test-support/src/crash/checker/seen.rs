//! What readers saw stays as they saw it.

use std::collections::BTreeMap;

use worker_types::{Event, EventBody, Item, ItemBody, ItemId, ItemStatus, Seq, WorkerId};

use super::{Check, Kind};
use crate::crash::record::{Record, Request};

/// How old a text must be to outlive a crash: twice the 200 ms between two times that it is kept,
/// and what a loaded machine takes to write it and to tell of it.
const KEPT_AFTER_MS: u64 = 1_500;

impl Check<'_> {
    pub(super) fn seen(&mut self) {
        self.published();
        self.fed();
        self.texts();
        let mut wrong = Vec::new();
        for entry in &self.history.entries[..self.shown.end] {
            match &entry.record {
                Record::Broken { what } => {
                    wrong.push((Kind::Broken, format!("life {}: {what}", entry.life)));
                }
                // Nothing is removed but by a deletion and by retention.
                Record::Gap { worker_id, through }
                    if !self.may_be_deleted(*worker_id) && *through > self.trimmed(*worker_id) =>
                {
                    let detail = format!("events of Worker {worker_id} up to {through} are gone");
                    wrong.push((Kind::Lost, detail));
                }
                _ => {}
            }
        }
        for (kind, detail) in wrong {
            self.complain(kind, detail);
        }
    }

    fn may_be_deleted(&self, id: WorkerId) -> bool {
        self.exchanges.iter().any(
            |exchange| matches!(exchange.request, Request::Delete { worker_id } if worker_id == id),
        )
    }

    /// Every event that was shown or published before is there, with the same number and body.
    fn published(&mut self) {
        let mut last: BTreeMap<WorkerId, Seq> = BTreeMap::new();
        let mut wrong = Vec::new();
        let mut compare = |event: &Event| {
            let Some(found) = self.found.get(&event.worker_id) else { return };
            let place = usize::try_from(event.seq.get()).unwrap_or(0);
            let there = place.checked_sub(1).and_then(|place| found.log.get(place));
            if there != Some(event) {
                wrong.push(format!(
                    "event {} of Worker {} was {:?} and is {:?}",
                    event.seq, event.worker_id, event.body, there
                ));
            }
        };
        for entry in &self.history.entries[..self.shown.start] {
            match &entry.record {
                Record::Published { event, .. } => compare(event),
                Record::Found { worker } => worker.events.iter().for_each(&mut compare),
                _ => {}
            }
        }
        for detail in wrong {
            self.complain(Kind::Lost, detail);
        }
        for entry in &self.history.entries[..self.shown.end] {
            let event = match &entry.record {
                Record::Published { event, .. } => event,
                Record::Gap { worker_id, through } => {
                    let before = last.entry(*worker_id).or_default();
                    *before = (*before).max(*through);
                    continue;
                }
                _ => continue,
            };
            let before = last.insert(event.worker_id, event.seq).unwrap_or(Seq::ZERO);
            // A Worker that is deleted has no events any more but its last.
            if event.seq != before.next() && event.body != EventBody::WorkerDeleted {
                let (id, seq) = (event.worker_id, event.seq);
                let detail = format!("a reader of {id} got event {seq} after event {before}");
                self.complain(Kind::Reordered, detail);
            }
        }
    }

    /// A reader of the feed gets what it has not had, of each Worker in order.
    fn fed(&mut self) {
        let mut last: BTreeMap<WorkerId, Seq> = BTreeMap::new();
        let mut position = 0;
        for entry in &self.history.entries[..self.shown.end] {
            let Record::Fed { worker_id, seq, cursor } = &entry.record else { continue };
            let before = last.insert(*worker_id, *seq).unwrap_or(Seq::ZERO);
            let mut missing = (before.next().get()..seq.get()).map(Seq::new);
            let is_hole = missing.any(|seq| !self.may_be_removed(*worker_id, seq));
            if *seq <= before || is_hole && !self.may_be_deleted(*worker_id) {
                let detail = format!("the feed gave event {seq} of {worker_id} after {before}");
                self.complain(Kind::Reordered, detail);
            }
            if cursor.position <= position {
                let detail = format!("the feed gave {cursor} after position {position}");
                self.complain(Kind::Reordered, detail);
            }
            position = cursor.position;
        }
    }

    /// What an item says is what was seen of it, and goes on from there; a crash takes of it what
    /// was said last.
    fn texts(&mut self) {
        // What was seen in the end, and what of it is old enough to be kept.
        let mut seen: BTreeMap<(WorkerId, ItemId), (String, usize)> = BTreeMap::new();
        let mut wrong = Vec::new();
        for entry in &self.history.entries[..self.shown.start] {
            let Record::Text { worker_id, item_id, offset, text } = &entry.record else {
                continue;
            };
            let (so_far, old) = seen.entry((*worker_id, *item_id)).or_default();
            let offset = usize::try_from(*offset).unwrap_or(usize::MAX);
            let overlap = so_far.get(offset..).map(|rest| {
                let common = rest.len().min(text.len());
                rest.as_bytes()[..common] == text.as_bytes()[..common]
            });
            if overlap != Some(true) {
                wrong.push(format!("item {item_id} of {worker_id} was told with another text"));
                continue;
            }
            if so_far.len() < offset + text.len() {
                so_far.truncate(offset);
                so_far.push_str(text);
            }
            let ended = self.history.lives.get(&entry.life).copied().unwrap_or(0);
            if entry.at_ms + KEPT_AFTER_MS < ended {
                *old = so_far.len();
            }
        }
        for ((worker_id, item_id), (text, old)) in &seen {
            let Some(found) = self.found.get(worker_id) else { continue };
            let Some(item) = found.report.items.get(item_id) else { continue };
            let Item { status, body: ItemBody::AssistantMessage { text: kept, .. }, .. } = item
            else {
                continue;
            };
            let good = match status {
                ItemStatus::Completed => kept.starts_with(text.as_str()),
                ItemStatus::Incomplete => {
                    kept.starts_with(&text[..*old])
                        && (kept.starts_with(text.as_str()) || text.starts_with(kept.as_str()))
                }
                // Its end is not there yet.
                ItemStatus::InProgress => true,
            };
            if !good {
                wrong.push(format!(
                    "item {item_id} of {worker_id} was seen as {text:?} and is {kept:?}"
                ));
            }
        }
        for detail in wrong {
            self.complain(Kind::Lost, detail);
        }
    }
}

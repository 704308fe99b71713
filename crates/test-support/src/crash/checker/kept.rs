//! What retention removed: no more than it may, and never without a word.

use std::collections::BTreeMap;

use worker_types::{Event, EventBody, Seq, WorkerId};

use super::{Check, Kind};
use crate::{
    crash::{
        history::History,
        record::{FoundWorker, RETAINED_EVENTS, Record},
    },
    invariants,
};

/// A Worker's log from its first event on. What was removed is taken from what was seen before;
/// none where not all of it was.
pub(super) fn whole_log(history: &History, worker: &FoundWorker) -> Option<Vec<Event>> {
    if worker.trimmed == Seq::ZERO {
        return Some(worker.events.clone());
    }
    let mut removed: BTreeMap<Seq, &Event> = BTreeMap::new();
    for entry in &history.entries {
        let seen = match &entry.record {
            Record::Published { event, .. } => std::slice::from_ref(event),
            Record::Found { worker } => worker.events.as_slice(),
            _ => &[],
        };
        let own = seen.iter().filter(|event| {
            event.worker_id == worker.view.worker_id && event.seq <= worker.trimmed
        });
        removed.extend(own.map(|event| (event.seq, event)));
    }
    let is_whole = removed.len() as u64 == worker.trimmed.get();
    is_whole.then(|| removed.into_values().chain(&worker.events).cloned().collect())
}

fn carries_item(event: &Event) -> bool {
    matches!(
        event.body,
        EventBody::InputAccepted { .. }
            | EventBody::ItemStarted { .. }
            | EventBody::ItemCompleted { .. }
    )
}

impl Check<'_> {
    /// The event through which a Worker's events were removed.
    pub(super) fn trimmed(&self, id: WorkerId) -> Seq {
        let whole = self.found.get(&id).map(|found| found.worker);
        let worker = whole.or_else(|| self.half_known.get(&id).copied());
        worker.map_or(Seq::ZERO, |worker| worker.trimmed)
    }

    /// Whether an event may be missing in the feed.
    pub(super) fn may_be_removed(&self, id: WorkerId, seq: Seq) -> bool {
        let known = self.found.get(&id).and_then(|found| {
            let place = usize::try_from(seq.get()).ok()?.checked_sub(1)?;
            found.log.get(place)
        });
        seq <= self.trimmed(id) && !known.is_some_and(carries_item)
    }

    pub(super) fn kept(&mut self) {
        let whole = self.found.values().map(|found| found.worker);
        let shown = whole.chain(self.half_known.values().copied());
        let trimmed: Vec<_> = shown.filter(|worker| worker.trimmed > Seq::ZERO).collect();
        self.extent.trimmed += trimmed.len() as u64;
        self.extent.half_known += self.half_known.len() as u64;
        for worker in trimmed {
            self.removal(worker);
        }
    }

    fn removal(&mut self, worker: &FoundWorker) {
        let (id, trimmed) = (worker.view.worker_id, worker.trimmed);
        for violation in invariants::check_sequence(&worker.events, trimmed) {
            self.complain(Kind::Lost, format!("Worker {id}: {violation}"));
        }
        let says_so = |event: &&Event| matches!(event.body, EventBody::WorkerTrimmed { through } if through >= trimmed);
        let Some(record) = worker.events.iter().find(says_so) else {
            let detail = format!("events of Worker {id} up to {trimmed} are gone without a word");
            return self.complain(Kind::Lost, detail);
        };
        let plain = |event: &&Event| event.seq <= record.seq && !carries_item(event);
        let left = worker.events.iter().filter(plain).count() as u64;
        if left < RETAINED_EVENTS {
            let detail = format!("Worker {id} has only {left} events before the end of its trim");
            self.complain(Kind::Lost, detail);
        }
    }
}

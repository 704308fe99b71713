//! Compares what was acknowledged with what is there.

mod inputs;
mod kept;
mod seen;
mod workers;

use std::{collections::BTreeMap, fmt};

use worker_types::{Event, WorkerId};

use super::{
    history::{Exchange, History},
    record::{FoundWorker, Record},
};
use crate::invariants::{self, LogReport};

/// What kind of promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something acknowledged or published is not there.
    Lost,
    /// Something is there more often than it was asked for, or although it was refused.
    Repeated,
    /// Something is there in another order than it was acknowledged in.
    Reordered,
    /// Something else does not hold.
    Broken,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Which.
    pub kind: Kind,
    /// How.
    pub detail: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.detail)
    }
}

/// What a check looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Times that everything was shown and compared.
    pub checks: u64,
    /// Acknowledged inputs and creations that were looked for.
    pub acknowledged: u64,
    /// Events that were read.
    pub events: u64,
    /// Turns that a crash had ended.
    pub interrupted: u64,
    /// Logs of which retention had removed events.
    pub trimmed: u64,
    /// Those of them of which too little had been seen before to tell what they had been: only
    /// what is left was looked at.
    pub half_known: u64,
}

/// Checks everything that the last life showed, against all that was told before it did.
///
/// It is an error of the caller if that life did not show everything.
#[must_use]
pub fn check(history: &History) -> (Vec<Complaint>, Extent) {
    let mut check = Check::new(history);
    check.workers();
    check.inputs();
    check.seen();
    check.kept();
    check.extent.checks = 1;
    (check.complaints, check.extent)
}

/// A Worker that was shown, with its log folded.
struct Found<'a> {
    worker: &'a FoundWorker,
    /// All of it: what retention removed was seen before.
    log: Vec<Event>,
    report: LogReport,
}

struct Check<'a> {
    history: &'a History,
    /// The requests before the last showing.
    exchanges: Vec<Exchange>,
    /// Where the last showing begins and ends.
    shown: std::ops::Range<usize>,
    at_rest: bool,
    found: BTreeMap<WorkerId, Found<'a>>,
    /// Those of whose logs retention removed something that had not been seen before.
    half_known: BTreeMap<WorkerId, &'a FoundWorker>,
    complaints: Vec<Complaint>,
    extent: Extent,
}

impl<'a> Check<'a> {
    fn new(history: &'a History) -> Self {
        let entries = &history.entries;
        let (end, at_rest) = last_showing(history);
        // It began after the last record that is none of it; at a start, nothing is asked before.
        let begin = entries[..end].iter().rposition(|entry| {
            !matches!(
                entry.record,
                Record::Found { .. }
                    | Record::Published { .. }
                    | Record::Text { .. }
                    | Record::Fed { .. }
                    | Record::Gap { .. }
            )
        });
        let shown = begin.map_or(0, |begin| begin + 1)..end;
        let (mut found, mut half_known) = (BTreeMap::new(), BTreeMap::new());
        for entry in &entries[shown.clone()] {
            if let Record::Found { worker } = &entry.record {
                let id = worker.view.worker_id;
                match kept::whole_log(history, worker) {
                    Some(log) => {
                        let report = invariants::check(&log);
                        found.insert(id, Found { worker, log, report });
                    }
                    None => drop(half_known.insert(id, &**worker)),
                }
            }
        }
        let exchanges = history.exchanges(shown.start);
        let (complaints, extent) = (Vec::new(), Extent::default());
        Self { history, exchanges, shown, at_rest, found, half_known, complaints, extent }
    }

    fn complain(&mut self, kind: Kind, detail: impl Into<String>) {
        self.complaints.push(Complaint { kind, detail: detail.into() });
    }
}

/// Where the last complete showing ends, and whether everything was at rest.
fn last_showing(history: &History) -> (usize, bool) {
    let last =
        history.entries.iter().enumerate().rev().find_map(|(at, entry)| match entry.record {
            Record::FoundAll { at_rest } => Some((at, at_rest)),
            _ => None,
        });
    last.unwrap_or((0, false))
}

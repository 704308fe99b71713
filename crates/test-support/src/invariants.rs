//! What holds of every log, whatever was done to its Worker and however often its host crashed.
//!
//! [`check`] folds a whole log with rules of its own, and shares nothing with the Runtime but the
//! words for events.

mod fold;
mod items;
mod report;
#[cfg(test)]
mod tests;

use worker_types::{Event, Seq};

pub use report::{AcceptedInput, Fate, LogReport, Rule, TurnRecord, Violation};

/// Checks a log from its first event on.
///
/// The log may end anywhere: what is open at its end is no violation. Where nothing may be open,
/// because the Worker is at rest, see [`LogReport::unfinished`].
#[must_use]
pub fn check(events: &[Event]) -> LogReport {
    let mut fold = fold::Fold::default();
    for event in events {
        fold.take(event);
    }
    fold.finish()
}

/// Checks only that `events` follow `after` without a hole: what is left of a log that retention
/// trimmed.
#[must_use]
pub fn check_sequence(events: &[Event], after: Seq) -> Vec<Violation> {
    let mut last = after;
    let mut violations = Vec::new();
    for event in events {
        if event.seq != last.next() {
            let detail = format!("it follows event {last}");
            violations.push(Violation { seq: event.seq, rule: Rule::Sequence, detail });
        }
        last = event.seq;
    }
    violations
}

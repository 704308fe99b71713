//! What has to go so that a Worker's log holds no more than it may.
//!
//! A trim is recorded by an event of its own, `worker.trimmed`, and that one counts like any other.
//! Hence two rules, without which an idle Worker would be trimmed again and again for ever: the
//! room for the record is made together with the rest, and earlier records alone are no reason to
//! trim.

use jiff::{SignedDuration, Timestamp};
use worker_types::{Retention, Seq};

/// What the `worker.trimmed` of a trim may take: it has two numbers.
const RECORD_BYTES: u64 = 128;

/// What a log holds of events that retention may remove one day: those that carry no item, except
/// `worker.created`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// The last of them that is too old; see [`oldest`].
    pub(super) old_through: Seq,
}

/// The time before which an event is too old.
pub(super) fn oldest(retention: &Retention, now: Timestamp) -> Option<Timestamp> {
    let age = i64::try_from(retention.max_age_s?).ok()?;
    now.checked_sub(SignedDuration::from_secs(age)).ok()
}

/// What a log holds too much. Shown the log's removable events from the oldest on, it says which
/// have to go.
#[derive(Debug)]
pub(super) struct Excess {
    events: u64,
    bytes: u64,
    old_through: Seq,
    through: Option<Seq>,
    worthwhile: bool,
}

impl Excess {
    /// None where the log is within its bounds.
    pub(super) fn of(totals: Totals, retention: &Retention) -> Option<Self> {
        let above = |held: u64, bound: Option<u64>, record: u64| match bound {
            Some(bound) if held > bound => held.saturating_add(record) - bound,
            _ => 0,
        };
        let events = above(totals.events, retention.max_events, 1);
        let bytes = above(totals.bytes, retention.max_bytes, RECORD_BYTES);
        let old_through = totals.old_through;
        let some = events > 0 || bytes > 0 || old_through > Seq::ZERO;
        some.then_some(Self { events, bytes, old_through, through: None, worthwhile: false })
    }

    /// Whether `is_record` of the next event matters for the decision.
    #[cfg(feature = "sqlite")]
    pub(super) fn is_undecided(&self) -> bool {
        !self.worthwhile
    }

    /// Shows the next removable event. False: this one may stay, and so may all after it.
    pub(super) fn takes(&mut self, seq: Seq, bytes: u64, is_record: bool) -> bool {
        if self.events == 0 && self.bytes == 0 && seq > self.old_through {
            return false;
        }
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.through = Some(seq);
        self.worthwhile |= !is_record;
        true
    }

    /// Through which event to trim; none where a trim would gain nothing.
    pub(super) fn through(self) -> Option<Seq> {
        self.through.filter(|_| self.worthwhile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Removable events of ten bytes at seq 2, 3, …; `records` says which are `worker.trimmed`.
    fn through(records: &[bool], old_through: u64, retention: Retention) -> Option<u64> {
        let events = records.len() as u64;
        let totals = Totals { events, bytes: events * 10, old_through: Seq::new(old_through) };
        let mut excess = Excess::of(totals, &retention)?;
        // The last event is never removable.
        let (_, removable) = records.split_last()?;
        for (seq, is_record) in (2..).zip(removable) {
            if !excess.takes(Seq::new(seq), 10, *is_record) {
                break;
            }
        }
        excess.through().map(Seq::get)
    }

    #[test]
    fn nothing_goes_while_the_bounds_hold() {
        let bounds = Retention { max_events: Some(4), max_bytes: Some(40), max_age_s: Some(1) };
        assert_eq!(through(&[false; 4], 0, bounds), None);
    }

    #[test]
    fn as_many_go_as_make_room_for_the_record_of_it() {
        let bounds = Retention { max_events: Some(4), ..Retention::default() };
        // Three of six remain, and the record is the fourth.
        assert_eq!(through(&[false; 6], 0, bounds), Some(4));
        let bounds = Retention { max_bytes: Some(990), ..Retention::default() };
        assert_eq!(
            through(&[false; 100], 0, bounds),
            Some(1 + (1_000 + RECORD_BYTES - 990).div_ceil(10))
        );
    }

    #[test]
    fn what_is_too_old_goes_with_all_before_it() {
        let bounds = Retention { max_age_s: Some(1), ..Retention::default() };
        assert_eq!(through(&[false; 6], 4, bounds), Some(4));
    }

    #[test]
    fn records_of_earlier_trims_alone_are_no_reason_for_another() {
        let bounds = Retention { max_events: Some(1), max_age_s: Some(1), max_bytes: Some(1) };
        assert_eq!(through(&[true, true, true], 3, bounds), None);
        assert_eq!(through(&[true, false, true], 3, bounds), Some(3));
    }

    #[test]
    fn an_age_beyond_all_time_is_no_bound() {
        let bounds = Retention { max_age_s: Some(u64::MAX), ..Retention::default() };
        assert_eq!(oldest(&bounds, Timestamp::UNIX_EPOCH), None);
    }
}

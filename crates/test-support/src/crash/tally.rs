//! Counts, and the table they make.

use std::{collections::BTreeMap, fmt};

use super::checker::{Complaint, Extent, Kind};

/// What a campaign did and found.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Kills by what chose their moment; how many, and how many of them before the child asked for
    /// anything.
    pub kills: BTreeMap<String, (u64, u64)>,
    /// Directories that were begun anew.
    pub rounds: u64,
    /// Lives of children, the last of each round included.
    pub lives: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// Requests that a crash left without an answer.
    pub unanswered: u64,
    /// Requests that were made again after a crash.
    pub again: u64,
    /// What was compared.
    pub extent: Extent,
    /// What was wrong, with the round.
    pub complaints: Vec<(u64, Complaint)>,
    /// Failpoints that should have killed and never did.
    pub unreached: Vec<String>,
}

impl Tally {
    /// All kills.
    #[must_use]
    pub fn total_kills(&self) -> u64 {
        self.kills.values().map(|(kills, _)| kills).sum()
    }

    pub(super) fn add(&mut self, extent: Extent) {
        let Extent { checks, acknowledged, events, interrupted, trimmed, half_known } = extent;
        self.extent.checks += checks;
        self.extent.acknowledged += acknowledged;
        self.extent.events += events;
        self.extent.interrupted += interrupted;
        self.extent.trimmed += trimmed;
        self.extent.half_known += half_known;
    }

    /// Whether every promise was kept, and every failpoint was reached.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.complaints.is_empty() && self.unreached.is_empty()
    }

    fn count(&self, kind: Kind) -> usize {
        self.complaints.iter().filter(|(_, complaint)| complaint.kind == kind).count()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<28} {:>7} {:>12}", "killed", "times", "in recovery")?;
        for (point, (kills, in_recovery)) in &self.kills {
            writeln!(f, "{point:<28} {kills:>7} {in_recovery:>12}")?;
        }
        writeln!(
            f,
            "{} kills in {} rounds and {} lives; {} requests sent, {} left without an answer, {} \
             made again",
            self.total_kills(),
            self.rounds,
            self.lives,
            self.sent,
            self.unanswered,
            self.again
        )?;
        let Extent { checks, acknowledged, events, interrupted, trimmed, half_known } = self.extent;
        writeln!(
            f,
            "{checks} checks of {acknowledged} acknowledgements, {events} events, {interrupted} \
             interrupted turns and {trimmed} trimmed logs, {half_known} of them known in part"
        )?;
        for (round, complaint) in &self.complaints {
            writeln!(f, "round {round}: {complaint}")?;
        }
        for point in &self.unreached {
            writeln!(f, "the failpoint {point} never fired")?;
        }
        write!(
            f,
            "lost: {}, repeated: {}, reordered: {}, otherwise broken: {}",
            self.count(Kind::Lost),
            self.count(Kind::Repeated),
            self.count(Kind::Reordered),
            self.count(Kind::Broken)
        )
    }
}

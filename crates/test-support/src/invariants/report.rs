//! What a checked log amounts to.

use std::{collections::BTreeMap, fmt};

use worker_types::{
    InputDisposition, InputPart, Item, ItemId, Outcome, Receipt, Seq, TurnId, Usage,
};

/// A rule that every log keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Sequence numbers begin at 1 and have no gaps; all events are of one Worker.
    Sequence,
    /// `worker.created` is the first event, and there is one.
    Creation,
    /// `worker.deleted` is the last event, and only a stopped Worker has it.
    Deletion,
    /// A stopped Worker has no turns, and nothing waits for one.
    Stopped,
    /// A turn is accepted, started and ended, once each and in this order; what belongs to a turn
    /// stands within it.
    Turn,
    /// One turn at a time.
    SingleFlight,
    /// Inputs that were queued get their turns in order, unchanged.
    Queue,
    /// An input for the running turn is taken in by it, or queued when it ends; in order.
    Steering,
    /// Only the turn that was interrupted last is gone on from, three times in a row at most.
    Resumption,
    /// Items are numbered without gaps, completed once, and as what they were started.
    Items,
    /// Every tool call has one result, and nobody speaks in between.
    Calls,
}

/// A place where a log breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The event that does.
    pub seq: Seq,
    /// The rule.
    pub rule: Rule,
    /// How.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} breaks the rule {:?}: {}", self.seq, self.rule, self.detail)
    }
}

/// An input that the log says was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct AcceptedInput {
    /// The event that accepted it.
    pub seq: Seq,
    /// The turn that its sender was told.
    pub turn_id: TurnId,
    /// What its sender was told.
    pub status: InputDisposition,
    /// What it says.
    pub parts: Vec<InputPart>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of an accepted input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It waits.
    Waiting,
    /// It has this turn.
    Turn(TurnId),
    /// The guest took it in during this turn.
    TakenIn(TurnId),
    /// It was cancelled while it waited for this turn.
    Cancelled(TurnId),
}

/// A turn, as far as the log has come.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TurnRecord {
    /// Where it started.
    pub started: Option<Seq>,
    /// The turn it goes on from.
    pub resumes: Option<TurnId>,
    /// Where and how it ended, and what it took.
    pub ended: Option<(Seq, Outcome, Receipt)>,
}

/// A log, folded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogReport {
    /// What is wrong with it.
    pub violations: Vec<Violation>,
    /// What is open at its end, in words.
    pub unfinished: Vec<String>,
    /// The inputs, in the order in which they were accepted.
    pub inputs: Vec<AcceptedInput>,
    /// The turns that have an id.
    pub turns: BTreeMap<TurnId, TurnRecord>,
    /// The transcript. Open items have no text here.
    pub items: BTreeMap<ItemId, Item>,
    /// The guest's durable state.
    pub values: BTreeMap<String, String>,
    /// What the turns took.
    pub usage: Usage,
    /// Whether the Worker is stopped.
    pub stopped: bool,
    /// Whether the Worker is deleted.
    pub deleted: bool,
    /// The last event.
    pub last_seq: Seq,
}

impl LogReport {
    /// What is wrong, and what is unfinished although the Worker is at rest.
    #[must_use]
    pub fn complaints_at_rest(&self) -> Vec<String> {
        let unfinished = self.unfinished.iter().map(|open| format!("at rest, and {open}"));
        self.violations.iter().map(ToString::to_string).chain(unfinished).collect()
    }

    /// How a turn ended.
    #[must_use]
    pub fn outcome(&self, turn_id: TurnId) -> Option<&Outcome> {
        self.turns.get(&turn_id)?.ended.as_ref().map(|(_, outcome, _)| outcome)
    }
}

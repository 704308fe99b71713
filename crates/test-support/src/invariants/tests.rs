//! The checker complains where it should, and only there.

use std::collections::BTreeSet;

use jiff::Timestamp;
use worker_types::{
    ComponentDigest, ComponentRef, Event, EventBody, Grants, InputPart, Item, ItemBody, ItemId,
    ItemStatus, Labels, Origin, Outcome, Profile, Receipt, Seq, StopReason, ToolOutcome, TurnId,
    WorkerId,
};

use super::{Fate, Rule, check, check_sequence};

/// A log in the making. Each method adds an event that is right by itself.
struct Log {
    worker_id: WorkerId,
    events: Vec<Event>,
    items: u64,
}

fn parts(text: &str) -> Vec<InputPart> {
    vec![InputPart::Text { text: text.to_owned() }]
}

impl Log {
    fn new() -> Self {
        let mut log = Self { worker_id: WorkerId::generate(), events: Vec::new(), items: 0 };
        let name = || "base".parse().expect("a valid name");
        log.add(EventBody::WorkerCreated {
            display_name: None,
            profile: Box::new(Profile {
                name: name(),
                description: String::new(),
                component: ComponentRef::Builtin(name()),
                optional: BTreeSet::new(),
                resume: true,
                commands: Default::default(),
                config: Default::default(),
            }),
            component: ComponentDigest::from_sha256([0; 32]),
            grants: Grants::none(),
            labels: Labels::new(),
        });
        log
    }

    fn add(&mut self, body: EventBody) {
        let seq = Seq::new(self.events.len() as u64 + 1);
        let at = Timestamp::UNIX_EPOCH;
        self.events.push(Event { seq, at, worker_id: self.worker_id, body });
    }

    fn item(&mut self, turn: u64, body: ItemBody) -> Item {
        self.items += 1;
        let (id, turn_id) = (ItemId::new(self.items), TurnId::new(turn));
        Item { id, turn_id, origin: Origin::Host, status: ItemStatus::Completed, body }
    }

    fn accepted(&mut self, turn: u64, text: &str) {
        let item = self.item(turn, ItemBody::UserMessage { parts: parts(text) });
        self.add(EventBody::InputAccepted { turn_id: TurnId::new(turn), item });
    }

    fn queued(&mut self, turn: u64, text: &str) {
        self.add(EventBody::InputQueued { turn_id: TurnId::new(turn), parts: parts(text) });
    }

    fn steered(&mut self, turn: u64, text: &str) {
        self.add(EventBody::InputSteered { turn_id: TurnId::new(turn), parts: parts(text) });
    }

    fn started(&mut self, turn: u64) {
        self.add(EventBody::TurnStarted { turn_id: TurnId::new(turn), resumes: None });
    }

    fn resumed(&mut self, turn: u64, of: u64) {
        let (turn_id, resumes) = (TurnId::new(turn), Some(TurnId::new(of)));
        self.add(EventBody::TurnStarted { turn_id, resumes });
    }

    fn completed(&mut self, turn: u64, body: ItemBody) {
        let item = self.item(turn, body);
        self.add(EventBody::ItemCompleted { turn_id: TurnId::new(turn), item });
    }

    fn called(&mut self, turn: u64, call: &str) {
        let (call_id, name) = (call.to_owned(), "tool".to_owned());
        self.completed(turn, ItemBody::ToolCall { call_id, name, arguments: 1.into() });
    }

    fn answered(&mut self, turn: u64, call: &str) {
        let (call_id, text) = (call.to_owned(), String::new());
        self.completed(turn, ItemBody::ToolResult { call_id, outcome: ToolOutcome::Ok, text });
    }

    fn said(&mut self, turn: u64, text: &str) {
        self.completed(turn, ItemBody::UserMessage { parts: parts(text) });
    }

    fn ended(&mut self, turn: u64, outcome: Outcome) {
        let turn_id = TurnId::new(turn);
        self.add(EventBody::TurnEnded { turn_id, outcome, receipt: Receipt::default() });
    }

    fn cancelled(&mut self, turn: u64) {
        self.ended(turn, Outcome::Cancelled { reason: StopReason::Stop });
    }

    fn turn(&mut self, turn: u64) {
        self.accepted(turn, "hello");
        self.started(turn);
        self.ended(turn, Outcome::Completed);
    }

    #[track_caller]
    fn breaks(&self, rule: Rule) {
        let report = check(&self.events);
        let rules: BTreeSet<Rule> = report.violations.iter().map(|found| found.rule).collect();
        assert!(rules.contains(&rule), "{:#?}", report.violations);
    }

    #[track_caller]
    fn is_sound(&self) {
        assert_eq!(check(&self.events).violations, []);
    }
}

#[test]
fn a_life_with_everything_in_it_is_sound() {
    let mut log = Log::new();
    log.turn(1);
    log.accepted(2, "work");
    log.started(2);
    log.queued(3, "later");
    log.steered(2, "now");
    log.steered(2, "never");
    log.steered(2, "never");
    log.called(2, "c1");
    log.answered(2, "c1");
    log.said(2, "now");
    log.queued(4, "never");
    log.queued(5, "never");
    log.ended(2, Outcome::Interrupted);
    log.resumed(6, 2);
    log.ended(6, Outcome::Interrupted);
    log.resumed(7, 6);
    log.ended(7, Outcome::Completed);
    log.accepted(3, "later");
    log.started(3);
    log.ended(3, Outcome::Completed);
    log.cancelled(5);
    log.accepted(4, "never");
    log.started(4);
    log.cancelled(4);
    log.add(EventBody::WorkerStopped);
    log.add(EventBody::WorkerStarted);
    log.turn(8);
    log.add(EventBody::WorkerStopped);
    log.add(EventBody::WorkerDeleted);
    log.is_sound();
    let report = check(&log.events);
    assert_eq!(report.complaints_at_rest(), [""; 0]);
    let fates: Vec<Fate> = report.inputs.iter().map(|input| input.fate).collect();
    let turn = |number| Fate::Turn(TurnId::new(number));
    let (taken, cancelled) = (Fate::TakenIn(TurnId::new(2)), Fate::Cancelled(TurnId::new(5)));
    assert_eq!(fates, [turn(1), turn(2), turn(3), taken, turn(4), cancelled, turn(8)]);
    assert!(report.deleted && report.usage.turns == 8, "{report:#?}");
}

#[test]
fn a_missing_repeated_or_foreign_event_breaks_the_sequence() {
    let mut log = Log::new();
    log.turn(1);
    log.is_sound();
    let mut missing = Log { events: log.events.clone(), ..Log::new() };
    missing.events.remove(2);
    missing.breaks(Rule::Sequence);
    assert_eq!(check_sequence(&missing.events, Seq::ZERO).len(), 1);
    assert_eq!(check_sequence(&log.events[2..], Seq::new(2)), []);
    let mut repeated = Log { events: log.events.clone(), ..Log::new() };
    repeated.events.insert(2, log.events[1].clone());
    repeated.breaks(Rule::Sequence);
    log.events[1].worker_id = WorkerId::generate();
    log.breaks(Rule::Sequence);
}

#[test]
fn a_worker_is_created_first_and_once_and_nothing_follows_its_deletion() {
    let mut log = Log::new();
    log.add(log.events[0].body.clone());
    log.breaks(Rule::Creation);
    let mut log = Log::new();
    log.add(EventBody::WorkerDeleted);
    log.breaks(Rule::Deletion);
    let mut log = Log::new();
    log.add(EventBody::WorkerStopped);
    log.add(EventBody::WorkerDeleted);
    log.is_sound();
    log.add(EventBody::WorkerStarted);
    log.breaks(Rule::Deletion);
}

#[test]
fn two_ends_an_end_without_a_start_and_a_second_start_break_the_rule_of_turns() {
    let mut log = Log::new();
    log.turn(1);
    log.ended(1, Outcome::Completed);
    log.breaks(Rule::Turn);
    let mut log = Log::new();
    log.accepted(1, "hello");
    log.ended(1, Outcome::Completed);
    log.breaks(Rule::Turn);
    let mut log = Log::new();
    log.accepted(1, "hello");
    log.started(1);
    log.started(1);
    log.breaks(Rule::Turn);
    let mut log = Log::new();
    log.turn(1);
    log.called(1, "late");
    log.breaks(Rule::Turn);
    let mut log = Log::new();
    log.turn(1);
    log.turn(1);
    log.breaks(Rule::Turn);
}

#[test]
fn a_turn_in_a_turn_breaks_single_flight() {
    let mut log = Log::new();
    log.accepted(1, "one");
    log.started(1);
    log.accepted(2, "two");
    log.breaks(Rule::SingleFlight);
}

#[test]
fn a_queue_that_is_jumped_reordered_or_changed_is_noticed() {
    let waiting = || {
        let mut log = Log::new();
        log.accepted(1, "one");
        log.started(1);
        log.queued(2, "two");
        log.queued(3, "three");
        log.ended(1, Outcome::Completed);
        log
    };
    let mut sound = waiting();
    sound.accepted(2, "two");
    sound.is_sound();
    assert_eq!(check(&sound.events).complaints_at_rest().len(), 2);
    for (turn, text) in [(3, "three"), (4, "new"), (2, "changed")] {
        let mut log = waiting();
        log.accepted(turn, text);
        log.breaks(Rule::Queue);
    }
    let mut log = waiting();
    log.ended(2, Outcome::Completed);
    log.breaks(Rule::Queue);
}

#[test]
fn steering_that_is_lost_reordered_or_invented_is_noticed() {
    let steered = || {
        let mut log = Log::new();
        log.accepted(1, "one");
        log.started(1);
        log.steered(1, "a");
        log.steered(1, "b");
        log
    };
    let mut lost = steered();
    lost.said(1, "a");
    lost.ended(1, Outcome::Completed);
    lost.breaks(Rule::Steering);
    let mut reordered = steered();
    reordered.said(1, "b");
    reordered.breaks(Rule::Steering);
    let mut invented = Log::new();
    invented.accepted(1, "one");
    invented.started(1);
    invented.said(1, "x");
    invented.breaks(Rule::Steering);
    // One queued input of its own does not stand for one that the turn was steered with.
    let mut swallowed = steered();
    swallowed.said(1, "a");
    swallowed.queued(2, "b");
    swallowed.called(1, "c");
    swallowed.answered(1, "c");
    swallowed.ended(1, Outcome::Completed);
    swallowed.breaks(Rule::Steering);
}

#[test]
fn only_what_was_interrupted_last_is_gone_on_from_and_three_times_at_most() {
    let mut log = Log::new();
    log.turn(1);
    log.resumed(2, 1);
    log.breaks(Rule::Resumption);
    let mut log = Log::new();
    log.accepted(1, "one");
    log.started(1);
    log.ended(1, Outcome::Interrupted);
    for turn in 2..=4 {
        log.resumed(turn, turn - 1);
        log.ended(turn, Outcome::Interrupted);
    }
    log.is_sound();
    log.resumed(5, 4);
    log.breaks(Rule::Resumption);
}

#[test]
fn a_call_without_a_result_with_two_or_with_somebody_in_between_is_noticed() {
    let called = || {
        let mut log = Log::new();
        log.accepted(1, "one");
        log.started(1);
        log.called(1, "c");
        log
    };
    let mut without = called();
    without.ended(1, Outcome::Completed);
    without.breaks(Rule::Calls);
    let mut twice = called();
    twice.answered(1, "c");
    twice.answered(1, "c");
    twice.breaks(Rule::Calls);
    let mut between = called();
    between.steered(1, "a");
    between.said(1, "a");
    between.answered(1, "c");
    between.breaks(Rule::Calls);
}

#[test]
fn items_that_are_skipped_or_left_open_are_noticed() {
    let mut skipped = Log::new();
    skipped.items = 1;
    skipped.accepted(1, "one");
    skipped.breaks(Rule::Items);
    let mut open = Log::new();
    open.accepted(1, "one");
    open.started(1);
    let text = ItemBody::AssistantMessage { text: String::new(), model: None };
    let mut item = open.item(1, text);
    item.status = ItemStatus::InProgress;
    open.add(EventBody::ItemStarted { turn_id: TurnId::new(1), item });
    open.is_sound();
    open.ended(1, Outcome::Completed);
    open.breaks(Rule::Items);
}

#[test]
fn a_stopped_worker_that_works_or_leaves_something_waiting_is_noticed() {
    let mut log = Log::new();
    log.add(EventBody::WorkerStopped);
    log.accepted(1, "one");
    log.breaks(Rule::Stopped);
    let mut log = Log::new();
    log.accepted(1, "one");
    log.started(1);
    log.add(EventBody::WorkerStopped);
    log.breaks(Rule::Stopped);
    let mut log = Log::new();
    log.add(EventBody::WorkerStarted);
    log.breaks(Rule::Stopped);
}

//! The checker finds what was done to a history.

use std::collections::BTreeSet;

use jiff::Timestamp;
use worker_types::{
    ComponentDigest, ComponentRef, Cursor, Event, EventBody, Grants, IfBusy, Implementation,
    InputAccepted, InputDisposition, InputPart, Item, ItemBody, ItemId, ItemStatus, LogId, Origin,
    Outcome, Profile, Receipt, RuntimeError, Seq, TurnId, Usage, WorkerId, WorkerStatus,
    WorkerView,
};

use super::{
    checker::{Kind, check},
    history::History,
    record::{FoundWorker, Record, Reply, Request, TOKEN, WITH_INPUT, input_parts},
};

/// A Worker with three inputs that were acknowledged one after the other, and what the next life
/// shows of it.
struct Story {
    told: Vec<Record>,
    found: FoundWorker,
}

const TOKENS: [&str; 3] = ["a", "b", "c"];

fn input(worker_id: WorkerId, token: &str) -> Request {
    let (token, text) = (token.to_owned(), "hello".to_owned());
    Request::Input { worker_id, token, text, if_busy: IfBusy::Queue, keyed: true }
}

impl Story {
    fn new() -> Self {
        let found = worker();
        let id = found.view.worker_id;
        let create = Request::Create {
            token: "w".to_owned(),
            lane: 0,
            resume: false,
            text: None,
            keyed: true,
        };
        let mut told = vec![
            Record::Sent { op: 0, request: create },
            Record::Answered { op: 0, reply: Reply::Created(id) },
        ];
        for (number, token) in (1..).zip(TOKENS) {
            told.push(Record::Sent { op: number, request: input(id, token) });
            let accepted = InputAccepted {
                turn_id: TurnId::new(number),
                seq: Seq::new(number * 3 - 1),
                status: InputDisposition::Running,
            };
            told.push(Record::Answered { op: number, reply: Reply::Accepted(accepted) });
        }
        let cursor = Cursor::new(LogId::generate(), Seq::new(1));
        let published = found.events.iter().cloned();
        told.extend(published.map(|event| Record::Published { event, cursor }));
        Self { told, found }
    }

    fn with_log(mut self, tokens: &[&str]) -> Self {
        self.found.events = log(self.found.view.worker_id, tokens);
        // What was published is another matter than what was acknowledged.
        self.told.retain(|record| !matches!(record, Record::Published { .. }));
        self
    }

    #[track_caller]
    fn gives(self, expected: &[Kind]) {
        let mut history = History::default();
        self.told.into_iter().for_each(|record| history.push(1, 0, record));
        history.push(2, 0, Record::Ready);
        let worker = Box::new(self.found);
        history.push(2, 1, Record::Found { worker });
        history.push(2, 2, Record::FoundAll { at_rest: false });
        let (complaints, extent) = check(&history);
        let kinds: BTreeSet<Kind> = complaints.iter().map(|complaint| complaint.kind).collect();
        let expected: BTreeSet<Kind> = expected.iter().copied().collect();
        assert_eq!(kinds, expected, "{complaints:#?}");
        assert_eq!(extent.acknowledged, 4);
    }
}

fn log(worker_id: WorkerId, tokens: &[&str]) -> Vec<Event> {
    let name = || "base".parse().expect("a valid name");
    let mut bodies = vec![EventBody::WorkerCreated {
        display_name: None,
        profile: Box::new(Profile {
            name: name(),
            description: String::new(),
            component: ComponentRef::Builtin(name()),
            optional: BTreeSet::new(),
            resume: false,
            commands: Default::default(),
            config: Default::default(),
        }),
        component: ComponentDigest::from_sha256([0; 32]),
        grants: Grants::none(),
        labels: Default::default(),
    }];
    for (number, token) in (1..).zip(tokens) {
        let turn_id = TurnId::new(number);
        let parts: Vec<InputPart> = input_parts("hello", token);
        let item = Item {
            id: ItemId::new(number),
            turn_id,
            origin: Origin::Host,
            status: ItemStatus::Completed,
            body: ItemBody::UserMessage { parts },
        };
        let (outcome, receipt) = (Outcome::Completed, Receipt::default());
        bodies.extend([
            EventBody::InputAccepted { turn_id, item },
            EventBody::TurnStarted { turn_id, resumes: None },
            EventBody::TurnEnded { turn_id, outcome, receipt },
        ]);
    }
    let at = Timestamp::UNIX_EPOCH;
    let numbered = (1..).map(Seq::new).zip(bodies);
    numbered.map(|(seq, body)| Event { seq, at, worker_id, body }).collect()
}

fn worker() -> FoundWorker {
    let worker_id = WorkerId::generate();
    let view = WorkerView {
        runtime_id: "test".parse().expect("a valid id"),
        worker_id,
        display_name: None,
        implementation: Implementation::Component,
        profile: "base".parse().expect("a valid name"),
        component: ComponentDigest::from_sha256([0; 32]),
        labels: [(TOKEN.to_owned(), "w".to_owned()), (WITH_INPUT.to_owned(), "false".to_owned())]
            .into(),
        status: WorkerStatus::Idle,
        grants: Grants::none(),
        revoked: Vec::new(),
        last_seq: Seq::new(10),
        usage: Usage::default(),
        created_at: Timestamp::UNIX_EPOCH,
        diagnostics: Vec::new(),
    };
    let (trimmed, events) = (Seq::ZERO, log(worker_id, &TOKENS));
    FoundWorker { view, trimmed, events, at_rest: None }
}

#[test]
fn what_was_acknowledged_and_is_there_is_no_complaint() {
    Story::new().gives(&[]);
}

#[test]
fn a_lost_input_gives() {
    Story::new().with_log(&["a", "b"]).gives(&[Kind::Lost]);
    let mut published = Story::new();
    published.found.events.truncate(7);
    published.gives(&[Kind::Lost]);
}

#[test]
fn an_input_that_moved_up_into_the_place_of_a_lost_one_gives() {
    Story::new().with_log(&["a", "c"]).gives(&[Kind::Lost]);
}

#[test]
fn a_repeated_input_gives() {
    Story::new().with_log(&["a", "b", "c", "b"]).gives(&[Kind::Repeated, Kind::Reordered]);
}

#[test]
fn a_reordered_input_gives() {
    Story::new().with_log(&["b", "a", "c"]).gives(&[Kind::Lost, Kind::Reordered]);
}

#[test]
fn an_input_that_nobody_sent_or_that_was_refused_gives() {
    Story::new().with_log(&["a", "b", "c", "x"]).gives(&[Kind::Repeated]);
    let refused = || {
        let mut story = Story::new();
        let request = input(story.found.view.worker_id, "d");
        let reply = Reply::Refused(RuntimeError::WorkerStopped);
        story.told.extend([Record::Sent { op: 9, request }, Record::Answered { op: 9, reply }]);
        story
    };
    refused().gives(&[]);
    refused().with_log(&["a", "b", "c", "d"]).gives(&[Kind::Repeated]);
}

#[test]
fn an_input_without_an_answer_may_be_there_once_or_not() {
    let doubtful = || {
        let mut story = Story::new();
        let request = input(story.found.view.worker_id, "d");
        story.told.push(Record::Sent { op: 9, request });
        story
    };
    doubtful().gives(&[]);
    doubtful().with_log(&["a", "b", "c", "d"]).gives(&[]);
    doubtful().with_log(&["a", "b", "c", "d", "d"]).gives(&[Kind::Repeated]);
}

#[test]
fn a_half_committed_input_gives() {
    // Its acceptance without its turn, then the next.
    let mut story = Story::new().with_log(&TOKENS);
    story.found.events.drain(5..7);
    let log = &mut story.found.events;
    (1..).map(Seq::new).zip(log).for_each(|(seq, event)| event.seq = seq);
    story.gives(&[Kind::Broken, Kind::Lost]);
    // A Worker without the first input that it was created with.
    let mut story = Story::new();
    story.found.view.labels.insert(WITH_INPUT.to_owned(), "true".to_owned());
    story.gives(&[Kind::Lost]);
}

#[test]
fn an_answer_that_changes_or_a_key_that_is_forgotten_gives() {
    let again = |reply| {
        let mut story = Story::new();
        let request = input(story.found.view.worker_id, "b");
        story.told.extend([Record::Sent { op: 9, request }, Record::Answered { op: 9, reply }]);
        story
    };
    let same = InputAccepted {
        turn_id: TurnId::new(2),
        seq: Seq::new(5),
        status: InputDisposition::Running,
    };
    again(Reply::Accepted(same)).gives(&[]);
    let other = InputAccepted { seq: Seq::new(6), ..same };
    again(Reply::Accepted(other)).gives(&[Kind::Repeated]);
    let busy = RuntimeError::Busy { turn_id: TurnId::new(3) };
    again(Reply::Refused(busy)).gives(&[Kind::Lost]);
    again(Reply::Refused(RuntimeError::IdempotencyConflict)).gives(&[Kind::Lost]);
}

#[test]
fn a_stop_that_did_not_last_and_a_deleted_worker_that_is_back_are_found() {
    let commanded = |request: fn(WorkerId) -> Request| {
        let mut story = Story::new();
        let request = request(story.found.view.worker_id);
        let reply = Reply::Done;
        story.told.extend([Record::Sent { op: 9, request }, Record::Answered { op: 9, reply }]);
        story
    };
    commanded(|worker_id| Request::Stop { worker_id }).gives(&[Kind::Lost]);
    commanded(|worker_id| Request::Delete { worker_id }).gives(&[Kind::Lost]);
    commanded(|worker_id| Request::Start { worker_id }).gives(&[]);
    let mut stopped = Story::new();
    stopped.found.view.status = WorkerStatus::Stopped;
    stopped.gives(&[Kind::Repeated]);
}

#[test]
fn an_event_that_is_not_as_it_was_published_gives() {
    let mut story = Story::new();
    let receipt = Receipt { wall_us: 1, ..Receipt::default() };
    let ended = &mut story.found.events[3].body;
    *ended = EventBody::TurnEnded { turn_id: TurnId::new(1), outcome: Outcome::Completed, receipt };
    story.gives(&[Kind::Lost]);
}

#[test]
fn a_gap_in_a_log_and_in_what_a_reader_was_given_gives() {
    let mut story = Story::new().with_log(&TOKENS);
    story.found.events[9].seq = Seq::new(11);
    story.gives(&[Kind::Broken]);
    let mut story = Story::new();
    let published = |record: &Record| matches!(record, Record::Published { .. });
    let place = story.told.iter().position(published).expect("a published event");
    story.told.remove(place + 3);
    story.gives(&[Kind::Reordered]);
}

#[test]
fn what_retention_may_remove_is_no_complaint_and_whatever_else_is_missing_gives() {
    let trimmed = |through: u64, says: Option<u64>| {
        let mut story = Story::new();
        let found = &mut story.found;
        let worker_id = found.view.worker_id;
        found.trimmed = Seq::new(through);
        found.events.drain(..usize::try_from(through).expect("a place"));
        if let Some(through) = says {
            let body = EventBody::WorkerTrimmed { through: Seq::new(through) };
            let (seq, at) = (Seq::new(11), Timestamp::UNIX_EPOCH);
            found.events.push(Event { seq, at, worker_id, body });
        }
        story
    };
    trimmed(4, Some(4)).gives(&[]);
    trimmed(4, None).gives(&[Kind::Lost]);
    trimmed(4, Some(3)).gives(&[Kind::Lost]);
    // Fewer are left than are to be kept.
    trimmed(7, Some(7)).gives(&[Kind::Lost]);
    let mut hole = trimmed(4, Some(4));
    hole.found.events.remove(1);
    hole.gives(&[Kind::Lost, Kind::Broken]);
    // A reader that was told of a gap, and one that was told of more than is gone.
    let told = |through: u64| {
        let mut story = trimmed(4, Some(4));
        let worker_id = story.found.view.worker_id;
        story.told.push(Record::Gap { worker_id, through: Seq::new(through) });
        story
    };
    told(4).gives(&[]);
    told(5).gives(&[Kind::Lost]);
}

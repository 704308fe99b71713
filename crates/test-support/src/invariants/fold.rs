//! The fold behind [`check`](super::check): turns, what waits for them, and the life of the Worker.

use std::collections::{BTreeSet, VecDeque};

use worker_types::{
    Event, EventBody, InputDisposition, InputPart, Item, ItemBody, Outcome, Seq, TurnId, Usage,
    WorkerId,
};

use super::{
    items::OpenItems,
    report::{AcceptedInput, Fate, LogReport, Rule, Violation},
};

/// How often in a row a turn is gone on from.
const MAX_RESUMES: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Fold {
    pub(super) report: LogReport,
    pub(super) seq: Seq,
    worker_id: Option<WorkerId>,
    created: bool,
    open: Option<OpenTurn>,
    /// Turns that wait, each with the place of its input in the report.
    queue: VecDeque<(TurnId, usize)>,
    /// The turn that ended last, if it was interrupted, and how many in a row were gone on from.
    interrupted: Option<(TurnId, u32)>,
    /// The inputs queued by the events right before this one.
    just_queued: Vec<usize>,
    pub(super) items: OpenItems,
}

#[derive(Debug)]
pub(super) struct OpenTurn {
    pub(super) id: TurnId,
    started: bool,
    resumed: u32,
    /// Places of inputs for this turn in the report.
    steering: VecDeque<usize>,
}

impl Fold {
    pub(super) fn broken(&mut self, rule: Rule, detail: impl Into<String>) {
        self.report.violations.push(Violation { seq: self.seq, rule, detail: detail.into() });
    }

    pub(super) fn take(&mut self, event: &Event) {
        if event.seq != self.report.last_seq.next() {
            let last = self.report.last_seq;
            self.seq = event.seq;
            self.broken(Rule::Sequence, format!("it follows event {last}"));
        }
        self.seq = event.seq;
        self.report.last_seq = event.seq;
        if *self.worker_id.get_or_insert(event.worker_id) != event.worker_id {
            self.broken(Rule::Sequence, "it is of another Worker");
        }
        if self.report.deleted {
            self.broken(Rule::Deletion, "the Worker is deleted");
        }
        let creates = matches!(event.body, EventBody::WorkerCreated { .. });
        if creates == self.created {
            self.broken(Rule::Creation, "the Worker is created first, and once");
        }
        self.created = true;
        let queues = matches!(event.body, EventBody::InputQueued { .. });
        self.body(&event.body);
        if !queues {
            self.just_queued.clear();
        }
    }

    fn body(&mut self, body: &EventBody) {
        match body {
            EventBody::WorkerStopped => self.stop(),
            EventBody::WorkerStarted => {
                if !std::mem::take(&mut self.report.stopped) {
                    self.broken(Rule::Stopped, "it was not stopped");
                }
            }
            EventBody::WorkerDeleted => {
                if !self.report.stopped {
                    self.broken(Rule::Deletion, "it is not stopped");
                }
                self.report.deleted = true;
            }
            EventBody::InputAccepted { turn_id, item } => self.accept(*turn_id, item),
            EventBody::InputQueued { turn_id, parts } => self.enqueue(*turn_id, parts),
            EventBody::InputSteered { turn_id, parts } => self.steer(*turn_id, parts),
            EventBody::TurnStarted { turn_id, resumes } => self.start(*turn_id, *resumes),
            EventBody::TurnEnded { turn_id, outcome, receipt } => {
                self.report.usage.add(Usage::of(receipt));
                self.end(*turn_id, outcome);
                let record = self.report.turns.entry(*turn_id).or_default();
                record.ended = Some((self.seq, outcome.clone(), *receipt));
            }
            EventBody::ItemStarted { turn_id, item } => {
                if self.within(*turn_id) {
                    self.start_item(*turn_id, item);
                }
            }
            EventBody::ItemCompleted { turn_id, item } => {
                if self.within(*turn_id) {
                    self.complete_item(*turn_id, item);
                }
            }
            EventBody::UsageRecorded { turn_id, .. } => drop(self.within(*turn_id)),
            EventBody::StateSet { turn_id, key, value } => {
                self.within(*turn_id);
                match value {
                    Some(value) => self.report.values.insert(key.clone(), value.clone()),
                    None => self.report.values.remove(key),
                };
            }
            EventBody::WorkerTrimmed { through } => {
                if *through >= self.seq {
                    self.broken(Rule::Sequence, format!("it removes up to event {through}"));
                }
            }
            EventBody::WorkerCreated { .. }
            | EventBody::WorkerUpgraded { .. }
            | EventBody::GrantRevoked { .. }
            | EventBody::Notice { .. }
            | EventBody::Unknown => {}
        }
    }

    /// Whether this turn runs; it is a violation if not.
    fn within(&mut self, turn_id: TurnId) -> bool {
        let runs = self.open.as_ref().is_some_and(|open| open.id == turn_id && open.started);
        if !runs {
            self.broken(Rule::Turn, format!("turn {turn_id} does not run"));
        }
        runs
    }

    fn new_input(
        &mut self,
        turn_id: TurnId,
        status: InputDisposition,
        parts: &[InputPart],
    ) -> usize {
        if self.report.stopped {
            self.broken(Rule::Stopped, "an input is accepted");
        }
        let (seq, parts) = (self.seq, parts.to_vec());
        let fate = Fate::Waiting;
        self.report.inputs.push(AcceptedInput { seq, turn_id, status, parts, fate });
        self.report.inputs.len() - 1
    }

    fn new_turn(&mut self, turn_id: TurnId) {
        if turn_id == TurnId::ZERO || self.report.turns.contains_key(&turn_id) {
            self.broken(Rule::Turn, format!("turn {turn_id} has been given already"));
        }
        self.report.turns.entry(turn_id).or_default();
    }

    fn open_turn(&mut self, id: TurnId, started: bool, resumed: u32) {
        if let Some(open) = &self.open {
            let detail = format!("turn {} has not ended when turn {id} begins", open.id);
            self.broken(Rule::SingleFlight, detail);
        }
        if self.report.stopped {
            self.broken(Rule::Stopped, format!("turn {id} begins"));
        }
        self.open = Some(OpenTurn { id, started, resumed, steering: VecDeque::new() });
    }

    fn accept(&mut self, turn_id: TurnId, item: &Item) {
        let parts = match &item.body {
            ItemBody::UserMessage { parts } => parts.clone(),
            other => {
                self.broken(Rule::Items, format!("an input is a user's message, not {other:?}"));
                Vec::new()
            }
        };
        let place = match self.queue.iter().position(|(waiting, _)| *waiting == turn_id) {
            Some(position) => {
                if position > 0 {
                    self.broken(Rule::Queue, format!("turn {turn_id} is not the next in line"));
                }
                let place = self.queue.remove(position).map(|(_, place)| place);
                place.unwrap_or_default()
            }
            None => {
                if let Some((next, _)) = self.queue.front() {
                    self.broken(Rule::Queue, format!("turn {next} is passed over"));
                }
                self.new_turn(turn_id);
                self.new_input(turn_id, InputDisposition::Running, &parts)
            }
        };
        if self.report.inputs[place].parts != parts {
            self.broken(Rule::Queue, "the input is not the one that was queued");
        }
        self.report.inputs[place].fate = Fate::Turn(turn_id);
        self.add_item(turn_id, item);
        self.open_turn(turn_id, false, 0);
    }

    fn enqueue(&mut self, turn_id: TurnId, parts: &[InputPart]) {
        self.new_turn(turn_id);
        let place = self.new_input(turn_id, InputDisposition::Queued, parts);
        self.queue.push_back((turn_id, place));
        self.just_queued.push(place);
    }

    fn steer(&mut self, turn_id: TurnId, parts: &[InputPart]) {
        let place = self.new_input(turn_id, InputDisposition::Steered, parts);
        if self.within(turn_id)
            && let Some(open) = &mut self.open
        {
            open.steering.push_back(place);
        }
    }

    /// A user's message within a turn is what the turn was steered with.
    pub(super) fn take_steering(&mut self, turn_id: TurnId, parts: &[InputPart]) {
        let taken = self.open.as_mut().and_then(|open| open.steering.pop_front());
        match taken {
            Some(place) => {
                self.report.inputs[place].fate = Fate::TakenIn(turn_id);
                if self.report.inputs[place].parts != parts {
                    self.broken(Rule::Steering, "another input was the next to be taken in");
                }
            }
            None => self.broken(Rule::Steering, "the turn was not steered with this"),
        }
    }

    fn start(&mut self, turn_id: TurnId, resumes: Option<TurnId>) {
        if let Some(of) = resumes {
            self.new_turn(turn_id);
            let mut resumed = 0;
            match self.interrupted.take() {
                Some((interrupted, before)) if interrupted == of => resumed = before + 1,
                _ => self.broken(Rule::Resumption, format!("turn {of} was not interrupted last")),
            }
            if resumed > MAX_RESUMES {
                self.broken(Rule::Resumption, format!("this is the {resumed}th time in a row"));
            }
            self.open_turn(turn_id, true, resumed);
        } else {
            match &mut self.open {
                Some(open) if open.id == turn_id && !open.started => open.started = true,
                _ => {
                    self.broken(Rule::Turn, format!("turn {turn_id} starts, not accepted or twice"))
                }
            }
        }
        self.interrupted = None;
        let record = self.report.turns.entry(turn_id).or_default();
        record.started = Some(self.seq);
        record.resumes = resumes;
    }

    fn end(&mut self, turn_id: TurnId, outcome: &Outcome) {
        if self.report.turns.get(&turn_id).is_some_and(|record| record.ended.is_some()) {
            return self.broken(Rule::Turn, format!("turn {turn_id} ends twice"));
        }
        if let Some(position) = self.queue.iter().position(|(waiting, _)| *waiting == turn_id) {
            if !matches!(outcome, Outcome::Cancelled { .. }) {
                self.broken(Rule::Queue, format!("turn {turn_id} ends before it began"));
            }
            if let Some((_, place)) = self.queue.remove(position) {
                self.report.inputs[place].fate = Fate::Cancelled(turn_id);
            }
            return;
        }
        match self.open.take() {
            Some(open) if open.id == turn_id => {
                if !open.started {
                    self.broken(Rule::Turn, format!("turn {turn_id} ends before it started"));
                }
                self.settle_steering(&open);
                self.end_items();
                if *outcome == Outcome::Interrupted {
                    self.interrupted = Some((turn_id, open.resumed));
                }
            }
            other => {
                self.open = other;
                self.broken(Rule::Turn, format!("turn {turn_id} ends and does not run"));
            }
        }
    }

    /// What the guest did not take in is queued by the events right before the end. Those were no
    /// inputs of their own.
    fn settle_steering(&mut self, open: &OpenTurn) {
        let left = open.steering.len();
        let Some(first) = self.just_queued.len().checked_sub(left) else {
            return self.broken(Rule::Steering, format!("of {left} inputs not all are queued"));
        };
        let queued: Vec<usize> = self.just_queued[first..].to_vec();
        for (steered, queued) in open.steering.iter().zip(&queued) {
            if self.report.inputs[*steered].parts != self.report.inputs[*queued].parts {
                self.broken(Rule::Steering, "what is queued is not what the turn was steered with");
            }
            for (_, place) in self.queue.iter_mut().filter(|(_, place)| place == queued) {
                *place = *steered;
            }
        }
        // They are at the end of the list: nothing was accepted after them.
        let gone: BTreeSet<usize> = queued.into_iter().collect();
        let mut place = 0;
        self.report.inputs.retain(|_| {
            place += 1;
            !gone.contains(&(place - 1))
        });
    }

    fn stop(&mut self) {
        if let Some(open) = &self.open {
            self.broken(Rule::Stopped, format!("turn {} has not ended", open.id));
        }
        if let Some((waiting, _)) = self.queue.front() {
            self.broken(Rule::Stopped, format!("turn {waiting} waits"));
        }
        if std::mem::replace(&mut self.report.stopped, true) {
            self.broken(Rule::Stopped, "it was stopped already");
        }
        self.interrupted = None;
    }

    pub(super) fn finish(mut self) -> LogReport {
        let mut unfinished: Vec<String> =
            self.open.iter().map(|open| format!("turn {} has not ended", open.id)).collect();
        unfinished.extend(self.queue.iter().map(|(turn_id, _)| format!("turn {turn_id} waits")));
        unfinished.extend(self.items.unfinished());
        self.report.unfinished = unfinished;
        self.report
    }
}

//! Logs to write, for tests.

use jiff::{SignedDuration, Timestamp};
use worker_types::{
    ComponentDigest, Event, EventBody, Grants, Item, ItemBody, ItemId, ItemStatus, Labels,
    NoticeLevel, Origin, Outcome, Receipt, Seq, TurnId, WorkerId,
};

use super::{Commit, Store, StoreError, TextPiece, WorkerRead, worker_id};
use crate::worker::{WorkerState, evolve};

/// A Worker whose log a test writes.
#[derive(Debug, Clone)]
pub(super) struct TestWorker {
    pub(super) id: WorkerId,
    pub(super) log: Vec<Event>,
    pub(super) state: WorkerState,
    pub(super) next_turn: u64,
    pub(super) next_item: u64,
}

impl TestWorker {
    pub(super) fn new() -> Self {
        let (log, state) = (Vec::new(), WorkerState::default());
        Self { id: WorkerId::generate(), log, state, next_turn: 1, next_item: 1 }
    }

    /// The events that say this, folded.
    pub(super) fn events(&mut self, bodies: impl IntoIterator<Item = EventBody>) -> Vec<Event> {
        let mut events = Vec::new();
        for body in bodies {
            let seq = Seq::new(self.log.len() as u64 + 1);
            let at = second(seq.get() as i64);
            evolve(&mut self.state, &body);
            // Whatever the fold makes of a log that no rule has seen.
            self.state.last_seq = seq;
            let event = Event { seq, at, worker_id: self.id, body };
            self.log.push(event.clone());
            events.push(event);
        }
        events
    }

    pub(super) async fn append(&mut self, store: &Store, bodies: Vec<EventBody>, rests: bool) {
        self.try_append(store, bodies, rests).await.expect("the commit");
    }

    pub(super) async fn try_append(
        &mut self,
        store: &Store,
        bodies: Vec<EventBody>,
        rests: bool,
    ) -> Result<(), StoreError> {
        let events = self.events(bodies);
        let rest = rests.then_some(&self.state);
        store.append(Commit { rest, ..commit(self.id, &events) }).await
    }

    /// A Worker that exists and rests.
    pub(super) async fn create(store: &Store) -> Self {
        let mut worker = Self::new();
        worker.append(store, vec![created()], true).await;
        worker
    }

    /// A whole turn: five events, two of them with items.
    pub(super) async fn turn(&mut self, store: &Store, text: &str) {
        let bodies = self.turn_bodies(text);
        self.append(store, bodies, true).await;
    }

    pub(super) fn turn_bodies(&mut self, text: &str) -> Vec<EventBody> {
        let turn_id = TurnId::new(self.next_turn);
        self.next_turn += 1;
        let bodies = vec![
            EventBody::InputAccepted { turn_id, item: item(self.next_item, turn_id, "hello") },
            EventBody::TurnStarted { turn_id, resumes: None },
            notice("on it"),
            EventBody::ItemCompleted { turn_id, item: item(self.next_item + 1, turn_id, text) },
            ended(turn_id),
        ];
        self.next_item += 2;
        bodies
    }

    pub(super) fn last(&self) -> Seq {
        Seq::new(self.log.len() as u64)
    }
}

/// All Workers, read in small pages.
pub(super) async fn all_workers(store: &Store) -> Vec<WorkerRead> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map(worker_id);
        let page = store.workers(after, 7).await.expect("a page");
        assert!(page.len() <= 7);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

pub(super) fn second(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
}

pub(super) fn commit(worker_id: WorkerId, events: &[Event]) -> Commit<'_> {
    Commit { worker_id, events, rest: None, texts: &[], key: None }
}

pub(super) fn created() -> EventBody {
    let component = ComponentDigest::from_sha256([7; 32]);
    let profile = r#"{"name":"echo","component":"builtin:echo"}"#;
    EventBody::WorkerCreated {
        display_name: None,
        profile: Box::new(serde_json::from_str(profile).expect("a profile")),
        component,
        grants: Grants::default(),
        labels: Labels::default(),
    }
}

pub(super) fn notice(text: &str) -> EventBody {
    EventBody::Notice { level: NoticeLevel::Info, text: text.to_owned() }
}

pub(super) fn ended(turn_id: TurnId) -> EventBody {
    EventBody::TurnEnded { turn_id, outcome: Outcome::Completed, receipt: Receipt::default() }
}

pub(super) fn item(id: u64, turn_id: TurnId, text: &str) -> Item {
    let body = ItemBody::AssistantMessage { text: text.to_owned(), model: None };
    let (id, origin, status) = (ItemId::new(id), Origin::Guest, ItemStatus::Completed);
    Item { id, turn_id, origin, status, body }
}

pub(super) fn started(id: u64, turn_id: TurnId) -> EventBody {
    let item = Item { status: ItemStatus::InProgress, ..item(id, turn_id, "") };
    EventBody::ItemStarted { turn_id, item }
}

pub(super) fn completed(id: u64, turn_id: TurnId, text: &str) -> EventBody {
    EventBody::ItemCompleted { turn_id, item: item(id, turn_id, text) }
}

pub(super) fn piece(item: u64, offset: u64, text: &str) -> TextPiece {
    TextPiece { item_id: ItemId::new(item), offset, text: text.to_owned() }
}

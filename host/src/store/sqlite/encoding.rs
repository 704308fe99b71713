//! Commits as the writer takes them: encoded on the thread of whoever commits, so that the writer
//! only moves bytes.

use jiff::Timestamp;
use worker_types::{Event, EventBody, ItemId, Seq, TurnId, WorkerId};

use crate::store::{Commit, KeyRecord, KeyScope, KeyedOperation, StoreError, TextPiece, item_of};
use crate::worker::WorkerState;

/// A commit, owned and encoded.
#[derive(Debug)]
pub(super) struct EncodedCommit {
    pub(super) worker_id: WorkerId,
    /// The event that the first of `events` follows.
    pub(super) follows: Option<Seq>,
    pub(super) events: Vec<EncodedEvent>,
    pub(super) rest: Option<EncodedRest>,
    pub(super) texts: Vec<TextPiece>,
    pub(super) completed: Vec<ItemId>,
    pub(super) key: Option<EncodedKey>,
    pub(super) trims: bool,
    pub(super) trims_through: Seq,
    pub(super) deletes: bool,
}

/// An event's row.
#[derive(Debug)]
pub(super) struct EncodedEvent {
    pub(super) seq: i64,
    pub(super) at: i64,
    pub(super) item: Option<i64>,
    pub(super) ended_turn: Option<i64>,
    pub(super) body: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct EncodedRest {
    pub(super) seq: i64,
    pub(super) state: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct EncodedKey {
    pub(super) scope: EncodedScope,
    pub(super) request: [u8; 32],
    pub(super) at: i64,
    pub(super) answer: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct EncodedScope {
    pub(super) principal: String,
    pub(super) operation: i64,
    /// Empty for a creation: SQL's NULL would equal nothing, not even itself.
    pub(super) worker: Vec<u8>,
    pub(super) key: String,
}

impl EncodedScope {
    pub(super) fn new(scope: &KeyScope) -> Self {
        Self {
            principal: scope.principal.clone(),
            operation: match scope.operation {
                KeyedOperation::Create => 1,
                KeyedOperation::Input => 2,
            },
            worker: scope.worker_id.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
            key: scope.key.clone(),
        }
    }
}

impl EncodedCommit {
    pub(super) fn new(commit: &Commit<'_>) -> Result<Self, StoreError> {
        // That they follow one another is seen here; that they follow the last one, by the writer.
        let follows = commit.events.first().map(|event| event.seq.get().saturating_sub(1));
        let follows = follows.map(Seq::new);
        if let Some(follows) = follows {
            commit.check_follows(follows, false)?;
        }
        let events = commit.events.iter().map(EncodedEvent::new).collect::<Result<_, _>>()?;
        let rest = |state: &WorkerState| {
            let json =
                serde_json::to_vec(state).map_err(|error| StoreError::unencodable(&error))?;
            Ok(EncodedRest { seq: number(state.last_seq.get()), state: json })
        };
        let deletes = commit.deletes_at().is_some();
        let through = commit.trims_through(Seq::new(u64::MAX));
        Ok(Self {
            worker_id: commit.worker_id,
            follows,
            events,
            rest: commit.rest.map(rest).transpose()?,
            texts: commit.texts.to_vec(),
            completed: commit.completed().collect(),
            key: commit.key.map(EncodedKey::new),
            trims: through.is_some(),
            trims_through: through.unwrap_or(Seq::ZERO),
            deletes,
        })
    }

    /// The pieces of texts that say something, of items that stay open.
    pub(super) fn kept_texts(&self) -> impl Iterator<Item = &TextPiece> {
        let is_open = |piece: &&TextPiece| !self.completed.contains(&piece.item_id);
        self.texts.iter().filter(|piece| !piece.text.is_empty()).filter(is_open)
    }

    /// What it takes in the writer's queue.
    pub(super) fn bytes(&self) -> usize {
        let events: usize = self.events.iter().map(|event| event.body.len() + 64).sum();
        let texts: usize = self.texts.iter().map(|piece| piece.text.len() + 64).sum();
        let rest = self.rest.as_ref().map_or(0, |rest| rest.state.len());
        let key = self.key.as_ref().map_or(0, |key| key.answer.len() + 256);
        events + texts + rest + key + 256
    }
}

impl EncodedEvent {
    pub(super) fn new(event: &Event) -> Result<Self, StoreError> {
        let ended_turn = match &event.body {
            EventBody::TurnEnded { turn_id, .. } => Some(number(turn_id.get())),
            _ => None,
        };
        Ok(Self {
            seq: number(event.seq.get()),
            at: event.at.as_microsecond(),
            item: item_of(&event.body).map(|item| number(item.id.get())),
            ended_turn,
            body: serde_json::to_vec(&event.body)
                .map_err(|error| StoreError::unencodable(&error))?,
        })
    }
}

impl EncodedKey {
    fn new(record: &KeyRecord) -> Self {
        Self {
            scope: EncodedScope::new(&record.scope),
            request: record.request,
            at: record.at.as_microsecond(),
            answer: record.answer.clone(),
        }
    }
}

/// As SQLite has numbers. What is beyond was never counted up to: it stands for "the last".
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The other way round: nothing stored is negative.
pub(super) fn ordinal(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The time of a row; none where no clock shows it.
pub(super) fn time(microseconds: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(microseconds).ok()
}

/// A turn as a bound: all turns where there is none.
pub(super) fn turn_bound(turn: Option<TurnId>) -> i64 {
    number(turn.map_or(u64::MAX, TurnId::get))
}

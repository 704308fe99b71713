//! What a Runtime keeps of every Worker: what others see of its state, the text of its open items,
//! and its live readers. The Worker's task writes it, but for the texts, which its guest adds to;
//! readers look in under the lock.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::{broadcast, watch};
use worker_types::{
    Event, EventBody, Grant, Grants, ItemDelta, ItemId, Outcome, RuntimeError, Seq, TurnId, Usage,
    WorkerId, WorkerStatus,
};

use crate::{
    logs::OutputCapture,
    runtime::{InstalledProfile, WorkerMeta},
    store::TextPiece,
    worker::WorkerState,
};

/// Deltas a live reader may be behind before it is given a snapshot instead. A model writes some
/// hundred pieces a second: this is a second or two.
const DELTA_BACKLOG: usize = 256;

/// The longest piece that live readers are given at once: with the backlog it bounds what a reader
/// who does not read keeps in memory.
const DELTA_BYTES: usize = 4 << 10;

/// What a Worker goes by and may do: what it was created with, and what became of that. A turn goes by
/// what it began with.
#[derive(Debug, Clone)]
pub(crate) struct Authority {
    pub(crate) profile: Arc<InstalledProfile>,
    /// What it was granted at its creation.
    pub(crate) granted: Arc<Grants>,
    /// What is left of that.
    pub(crate) grants: Arc<Grants>,
    /// What was taken away; most Workers have everything.
    pub(crate) revoked: Option<Arc<BTreeSet<Grant>>>,
}

impl Authority {
    /// All that is granted.
    pub(crate) fn new(profile: Arc<InstalledProfile>, granted: Arc<Grants>) -> Self {
        Self { profile, grants: Arc::clone(&granted), granted, revoked: None }
    }

    /// Whether this was granted once and was taken away.
    pub(crate) fn is_revoked(&self, grant: &Grant) -> bool {
        self.revoked.as_ref().is_some_and(|revoked| revoked.contains(grant))
    }

    fn revoke<'a>(&mut self, taken: impl IntoIterator<Item = &'a Grant>) {
        for grant in taken {
            if self.is_revoked(grant) {
                continue;
            }
            self.grants = Arc::new(Grants::clone(&self.grants).without(grant));
            Arc::make_mut(self.revoked.get_or_insert_default()).insert(grant.clone());
        }
    }
}

/// One Worker.
#[derive(Debug)]
pub(crate) struct WorkerCell {
    pub(crate) id: WorkerId,
    pub(crate) meta: WorkerMeta,
    inner: Mutex<CellState>,
}

/// The part of a cell that changes.
#[derive(Debug)]
pub(crate) struct CellState {
    pub(crate) head: Head,
    pub(crate) authority: Authority,
    /// Why the Worker cannot run, if it cannot.
    trouble: Option<Box<Trouble>>,
    last_end: LastEnd,
    /// The text so far of the items that are open.
    open: BTreeMap<ItemId, String>,
    /// The live readers, if there are any.
    live: Weak<Live>,
    /// What the running turn prints.
    pub(crate) output: Option<Arc<OutputCapture>>,
}

/// Why a Worker cannot run. One cause that is gone says nothing of the other.
#[derive(Debug, Default)]
struct Trouble {
    /// What cannot be loaded of it.
    loading: Option<String>,
    /// Who has what it may write to.
    scopes: Option<String>,
}

/// How the turn that ended last did, if it ended while this Runtime lived: most are completed.
#[derive(Debug, Default)]
struct LastEnd {
    /// Turns count from 1.
    turn_id: TurnId,
    /// Absent for `Completed`.
    outcome: Option<Box<Outcome>>,
}

/// What others see of a Worker's state: as of the last event that is committed and published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    status: WorkerStatus,
    pub(crate) last_seq: Seq,
    /// Retention removed events up to this one.
    pub(crate) trimmed: Seq,
    pub(crate) last_turn: TurnId,
    pub(crate) last_item: ItemId,
    pub(crate) usage: Usage,
}

impl Default for Head {
    fn default() -> Self {
        Self::of(&WorkerState::default())
    }
}

impl Head {
    pub(crate) fn of(state: &WorkerState) -> Self {
        Self {
            status: state.status(),
            last_seq: state.last_seq,
            trimmed: state.trimmed,
            last_turn: state.last_turn(),
            last_item: state.last_item(),
            usage: state.usage,
        }
    }
}

/// The channels of a Worker that somebody is reading live.
#[derive(Debug)]
pub(crate) struct Live {
    head: watch::Sender<Seq>,
    deltas: broadcast::Sender<ItemDelta>,
}

/// A reader's end of [`Live`].
#[derive(Debug)]
pub(crate) struct LiveReader {
    /// Keeps the channels alive.
    _live: Arc<Live>,
    pub(crate) head: watch::Receiver<Seq>,
    pub(crate) deltas: broadcast::Receiver<ItemDelta>,
}

/// What became of a Worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    /// Absent for a Worker that was not there.
    pub(crate) before: Option<WorkerStatus>,
    /// Absent for a Worker that is gone.
    pub(crate) after: Option<WorkerStatus>,
    /// What its turns took meanwhile.
    pub(crate) used: Usage,
}

impl CellState {
    pub(crate) fn status(&self) -> WorkerStatus {
        match self.trouble {
            Some(_) => WorkerStatus::Unavailable,
            None => self.head.status,
        }
    }

    /// The turn that others' inputs have to wait for.
    pub(crate) fn busy_turn(&self) -> Option<TurnId> {
        match self.status() {
            WorkerStatus::Running { turn_id } => Some(turn_id),
            _ => None,
        }
    }

    /// Why the Worker cannot run, if it cannot.
    pub(crate) fn unavailable(&self) -> Option<&str> {
        let Trouble { loading, scopes } = self.trouble.as_deref()?;
        loading.as_deref().or(scopes.as_deref())
    }

    /// Whether all that keeps the Worker from running is that somebody else has what it may write to.
    pub(crate) fn lacks_scopes(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.loading.is_none())
    }

    fn set_trouble(&mut self, change: impl FnOnce(&mut Trouble)) {
        let mut trouble = self.trouble.take().unwrap_or_default();
        change(&mut trouble);
        let is_trouble = trouble.loading.is_some() || trouble.scopes.is_some();
        self.trouble = is_trouble.then_some(trouble);
    }

    /// Whether there is something to do that cannot be done, since the Worker cannot be loaded.
    pub(crate) fn waits_to_be_loaded(&self) -> bool {
        self.trouble.is_some() && matches!(self.head.status, WorkerStatus::Running { .. })
    }

    /// What is known of a Worker that can be read.
    ///
    /// # Errors
    ///
    /// `WorkerUnavailable`.
    pub(crate) fn readable(&self) -> Result<Head, RuntimeError> {
        match self.unavailable() {
            // What was folded before the trouble can still be shown.
            Some(reason) if self.head.last_seq == Seq::ZERO => {
                Err(RuntimeError::WorkerUnavailable { reason: reason.to_owned() })
            }
            _ => Ok(self.head),
        }
    }

    /// How `turn_id` ended, if it is the one that ended last.
    pub(crate) fn end_of(&self, turn_id: TurnId) -> Option<Outcome> {
        (turn_id == self.last_end.turn_id && turn_id != TurnId::ZERO)
            .then(|| self.last_end.outcome.as_deref().cloned().unwrap_or(Outcome::Completed))
    }

    fn tell_readers(&self) {
        if let Some(live) = self.live.upgrade() {
            live.head.send_replace(self.head.last_seq);
        }
    }

    /// What a change of the head or of what can be loaded amounts to.
    fn change(&mut self, change: impl FnOnce(&mut Self)) -> Change {
        // Before its first event a Worker is nothing.
        let known = self.head.last_seq > Seq::ZERO || self.trouble.is_some();
        let (before, used) = (known.then(|| self.status()), self.head.usage);
        change(self);
        Change { before, after: Some(self.status()), used: self.head.usage.since(used) }
    }

    /// The texts of all open items.
    pub(crate) fn open_texts(&self) -> BTreeMap<ItemId, String> {
        self.open.clone()
    }
}

impl WorkerCell {
    pub(crate) fn new(id: WorkerId, meta: WorkerMeta, authority: Authority) -> Self {
        let inner = CellState {
            head: Head::default(),
            authority,
            trouble: None,
            last_end: LastEnd::default(),
            open: BTreeMap::new(),
            live: Weak::new(),
            output: None,
        };
        Self { id, meta, inner: Mutex::new(inner) }
    }

    /// What the Worker goes by and may do now.
    pub(crate) fn authority(&self) -> Authority {
        self.lock().authority.clone()
    }

    /// The Worker goes by another profile, or component, from here on.
    pub(crate) fn upgrade(&self, profile: Arc<InstalledProfile>) {
        self.lock().authority.profile = profile;
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, CellState> {
        // Nothing panics between a lock and the end of its change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows events that are committed, after which the state is as in `head`, and tells the live
    /// readers.
    pub(crate) fn publish(&self, events: &[Event], head: Head) -> Change {
        let mut cell = self.lock();
        let mut change = cell.change(|cell| {
            for event in events {
                match &event.body {
                    EventBody::ItemStarted { item, .. } => {
                        cell.open.insert(item.id, String::new());
                    }
                    EventBody::ItemCompleted { item, .. } => drop(cell.open.remove(&item.id)),
                    EventBody::GrantRevoked { grants } => cell.authority.revoke(grants),
                    EventBody::TurnEnded { turn_id, outcome, .. } => {
                        let other = (*outcome != Outcome::Completed).then(|| outcome.clone());
                        cell.last_end = LastEnd { turn_id: *turn_id, outcome: other.map(Box::new) };
                    }
                    _ => {}
                }
            }
            cell.head = head;
        });
        if matches!(events.last().map(|event| &event.body), Some(EventBody::WorkerDeleted)) {
            change.after = None;
        }
        cell.tell_readers();
        change
    }

    /// Shows the state that was read from the store, and that the Worker may do what is in `grants`;
    /// `texts` are those of its open items, as far as the store has them.
    pub(crate) fn restore(
        &self,
        state: &WorkerState,
        grants: Arc<Grants>,
        mut texts: BTreeMap<ItemId, String>,
    ) -> Change {
        let mut cell = self.lock();
        let mut change = cell.change(|cell| {
            cell.head = Head::of(state);
            let revoked = state.revoked();
            cell.authority.grants = grants;
            cell.authority.revoked = (!revoked.is_empty()).then(|| Arc::new(revoked.clone()));
            let damage = cell.authority.profile.damage().map(str::to_owned);
            cell.set_trouble(|trouble| trouble.loading = damage);
            // What is here is newer than what the store has.
            let mut open = std::mem::take(&mut cell.open);
            for id in state.open_items() {
                let text = open.remove(&id).or_else(|| texts.remove(&id));
                cell.open.insert(id, text.unwrap_or_default());
            }
        });
        if state.is_deleted() {
            change.after = None;
        }
        cell.tell_readers();
        change
    }

    /// Notes why the Worker cannot be loaded, or that it can.
    pub(crate) fn set_unavailable(&self, reason: Option<String>) -> Change {
        let mut cell = self.lock();
        let change = cell.change(|cell| cell.set_trouble(|trouble| trouble.loading = reason));
        cell.tell_readers();
        change
    }

    /// Notes who has what the Worker may write to, or that it has it itself.
    pub(crate) fn set_scopes_taken(&self, reason: Option<String>) -> Change {
        let mut cell = self.lock();
        let change = cell.change(|cell| cell.set_trouble(|trouble| trouble.scopes = reason));
        cell.tell_readers();
        change
    }

    /// Adds to the text of an open item, unless it would grow beyond `limit` bytes. Returns
    /// whether it was added.
    pub(crate) fn push_text(&self, item_id: ItemId, text: &str, limit: usize) -> bool {
        let mut cell = self.lock();
        let Some(so_far) = cell.open.get_mut(&item_id) else {
            return false;
        };
        if so_far.len() + text.len() > limit {
            return false;
        }
        let mut offset = so_far.len();
        so_far.push_str(text);
        let Some(live) = cell.live.upgrade() else { return true };
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(DELTA_BYTES));
            let text = piece.to_owned();
            // An error means that nobody is listening.
            let _ = live.deltas.send(ItemDelta { item_id, offset: offset as u64, text });
            offset += piece.len();
            rest = after;
        }
        true
    }

    /// The text of an open item.
    pub(crate) fn text(&self, id: ItemId) -> String {
        self.lock().open.get(&id).cloned().unwrap_or_default()
    }

    /// The beginning of an open item's text, at most `max` bytes of it, and how many there are in all;
    /// none where the item is not open any more. What is long is not copied for who sees little of it.
    pub(crate) fn open_text(&self, id: ItemId, max: u64) -> Option<(String, u64)> {
        let cell = self.lock();
        let text = cell.open.get(&id)?;
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let beginning = &text[..text.floor_char_boundary(max)];
        Some((beginning.to_owned(), text.len() as u64))
    }

    /// Whether any item is open.
    pub(crate) fn has_open_texts(&self) -> bool {
        !self.lock().open.is_empty()
    }

    /// Whether this item is open.
    pub(crate) fn is_open(&self, id: ItemId) -> bool {
        self.lock().open.contains_key(&id)
    }

    /// What the texts of the open items have beyond the bytes in `kept`.
    pub(crate) fn texts_beyond(&self, kept: &BTreeMap<ItemId, usize>) -> Vec<TextPiece> {
        let cell = self.lock();
        let pieces = cell.open.iter().filter_map(|(id, text)| {
            let offset = kept.get(id).copied().unwrap_or(0);
            let text = text.get(offset..).filter(|piece| !piece.is_empty())?.to_owned();
            Some(TextPiece { item_id: *id, offset: offset as u64, text })
        });
        pieces.collect()
    }

    /// Joins the live readers. The texts of the open items are as of the first delta that the
    /// reader will receive.
    pub(crate) fn subscribe(&self) -> (LiveReader, BTreeMap<ItemId, String>) {
        let mut cell = self.lock();
        let live = cell.live.upgrade().unwrap_or_else(|| {
            let live = Arc::new(Live {
                head: watch::Sender::new(cell.head.last_seq),
                deltas: broadcast::Sender::new(DELTA_BACKLOG),
            });
            cell.live = Arc::downgrade(&live);
            live
        });
        let reader = LiveReader {
            head: live.head.subscribe(),
            deltas: live.deltas.subscribe(),
            _live: live,
        };
        (reader, cell.open.clone())
    }
}

//! The only way into a Worker's log: decide, commit, and only then show it to others.
//!
//! What a guest says is *staged* until the next commit: nobody has seen it and nothing depends on it.
//! What precedes an effect, and whatever is acknowledged, is committed before anything else happens.

use std::{collections::BTreeMap, sync::Arc};

use fail::fail_point;
use jiff::Timestamp;
use worker_types::{Event, ItemId, RuntimeError, Seq};

use crate::{
    cell::{Head, WorkerCell},
    runtime::Inner,
    store::{Commit, KeyRecord, StoreError, TextPiece},
    worker::{self, Command, WorkerState},
};

/// Events read from the log at once.
const PAGE: usize = 1_000;

/// The time, as precise as every store keeps it: what is read is what was written.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// A Worker's log, open for writing. There is one at a time: its Worker's task has it.
#[derive(Debug)]
pub(crate) struct Journal {
    runtime: Arc<Inner>,
    cell: Arc<WorkerCell>,
    /// The fold of the log and of what is staged.
    state: WorkerState,
    /// Decided, and not committed.
    staged: Vec<Event>,
    /// How much of each open item's text the store has, in bytes.
    kept: BTreeMap<ItemId, usize>,
}

/// The store failed, and the journal is of no use any more: what is there has to be read again.
#[derive(Debug)]
pub(crate) struct Lost(pub(crate) StoreError);

impl Journal {
    /// The journal of a Worker that has no log yet.
    pub(crate) fn new(runtime: &Arc<Inner>, cell: &Arc<WorkerCell>) -> Self {
        Self {
            runtime: Arc::clone(runtime),
            cell: Arc::clone(cell),
            state: WorkerState::default(),
            staged: Vec::new(),
            kept: BTreeMap::new(),
        }
    }

    /// Folds what the store has of a Worker, and shows it.
    pub(crate) async fn load(
        runtime: &Arc<Inner>,
        cell: &Arc<WorkerCell>,
    ) -> Result<Self, StoreError> {
        let store = &runtime.store;
        let mut journal = Self::new(runtime, cell);
        let state = &mut journal.state;
        *state = store.snapshot(cell.id).await?.unwrap_or_default();
        let until = store.last_seq(cell.id).await?;
        while state.last_seq < until {
            let page = match store.read(cell.id, state.last_seq, until, PAGE).await {
                // Of a Worker that was deleted its end is left.
                Err(StoreError::Trimmed { through }) if through.next() == until => {
                    state.last_seq = through;
                    store.read(cell.id, through, until, PAGE).await?
                }
                Err(StoreError::Trimmed { .. }) => {
                    let reason = "the snapshot of what was removed is missing".to_owned();
                    return Err(StoreError::Damaged { worker_id: cell.id, reason });
                }
                page => page?,
            };
            if page.is_empty() {
                let reason = format!("it ends at event {}, not at {until}", state.last_seq);
                return Err(StoreError::Damaged { worker_id: cell.id, reason });
            }
            page.iter().for_each(|event| worker::evolve(state, &event.body));
        }
        if state.last_seq > until {
            let reason = format!("it ends at event {until}, not at {}", state.last_seq);
            return Err(StoreError::Damaged { worker_id: cell.id, reason });
        }
        let texts = match state.open_items().next() {
            Some(_) => store.texts(cell.id).await?,
            None => BTreeMap::new(),
        };
        journal.kept = texts.iter().map(|(id, text)| (*id, text.len())).collect();
        runtime.show_restored(cell, &journal.state, texts);
        Ok(journal)
    }

    /// The fold of the log and of what is staged.
    pub(crate) fn state(&self) -> &WorkerState {
        &self.state
    }

    /// Decides `commands`, all or none, for the next commit. Returns what was decided.
    pub(crate) fn stage(&mut self, commands: Vec<Command>) -> Result<&[Event], RuntimeError> {
        let bodies = worker::decide_all(&self.state, commands)?;
        let created = self.state.last_seq == Seq::ZERO;
        let at = if created { self.cell.meta.created_at() } else { now() };
        let before = self.staged.len();
        for body in bodies {
            worker::evolve(&mut self.state, &body);
            let (seq, worker_id) = (self.state.last_seq, self.cell.id);
            self.staged.push(Event { seq, at, worker_id, body });
        }
        Ok(&self.staged[before..])
    }

    /// Decides `commands` and commits them with what was staged before. A refusal is for whoever
    /// asked, and leaves the log as it was.
    pub(crate) async fn commit(
        &mut self,
        commands: Vec<Command>,
    ) -> Result<Result<(), RuntimeError>, Lost> {
        if let Err(refused) = self.stage(commands) {
            return Ok(Err(refused));
        }
        self.flush(None).await.map(Ok)
    }

    /// Commits what is staged, together with an acceptance to remember, and publishes it.
    pub(crate) async fn flush(&mut self, key: Option<&KeyRecord>) -> Result<(), Lost> {
        if self.staged.is_empty() && key.is_none() {
            return Ok(());
        }
        fail_point!("supervisor::decided");
        self.append(&[], key).await?;
        fail_point!("supervisor::committed");
        self.runtime.publish(&self.cell, &self.staged, Head::of(&self.state));
        self.staged.clear();
        Ok(())
    }

    /// Commits what is staged, and the texts of open items as far as they have come: after a crash
    /// they are what the items end with.
    pub(crate) async fn keep_texts(&mut self) -> Result<(), Lost> {
        let pieces = self.cell.texts_beyond(&self.kept);
        if pieces.is_empty() {
            return self.flush(None).await;
        }
        self.append(&pieces, None).await?;
        self.runtime.publish(&self.cell, &self.staged, Head::of(&self.state));
        self.staged.clear();
        let end = |piece: TextPiece| (piece.item_id, piece.offset as usize + piece.text.len());
        self.kept.extend(pieces.into_iter().map(end));
        self.kept.retain(|id, _| self.cell.is_open(*id));
        Ok(())
    }

    async fn append(&self, texts: &[TextPiece], key: Option<&KeyRecord>) -> Result<(), Lost> {
        let commit = Commit {
            worker_id: self.cell.id,
            events: &self.staged,
            rest: self.state.is_at_rest().then_some(&self.state),
            texts,
            key,
        };
        self.runtime.store.append(commit).await.map_err(Lost)
    }
}

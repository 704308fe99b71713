//! What a Runtime keeps of one Worker while it lives: the fold of its log, the text of its open
//! items, and its live readers. The supervisor is the only writer; readers look in under the lock.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::{broadcast, watch};
use worker_types::{Event, EventBody, ItemDelta, ItemId, Seq, WorkerId, WorkerStatus};

use crate::{
    logs::{OutputCapture, WorkerLogs},
    runtime::WorkerMeta,
    worker::{self, WorkerState},
};

/// Deltas a live reader may be behind before it is given a snapshot instead. A model writes some
/// hundred pieces a second: this is a second or two.
const DELTA_BACKLOG: usize = 256;

/// One Worker.
#[derive(Debug)]
pub(crate) struct WorkerCell {
    pub(crate) id: WorkerId,
    pub(crate) meta: WorkerMeta,
    inner: Mutex<CellState>,
}

/// The part of a cell that changes.
#[derive(Debug, Default)]
pub(crate) struct CellState {
    pub(crate) state: WorkerState,
    /// The text so far of the items that are open.
    open: BTreeMap<ItemId, String>,
    /// The live readers, if there are any.
    live: Weak<Live>,
    /// What the running turn prints.
    pub(crate) output: Option<Arc<OutputCapture>>,
    /// What earlier turns printed.
    pub(crate) logs: Option<Box<WorkerLogs>>,
}

/// The channels of a Worker that somebody is reading live.
#[derive(Debug)]
pub(crate) struct Live {
    head: watch::Sender<Seq>,
    deltas: broadcast::Sender<ItemDelta>,
}

/// A reader's end of [`Live`], and what was open when it came.
#[derive(Debug)]
pub(crate) struct LiveReader {
    /// Keeps the channels alive.
    _live: Arc<Live>,
    pub(crate) head: watch::Receiver<Seq>,
    pub(crate) deltas: broadcast::Receiver<ItemDelta>,
}

/// What a commit made of a Worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) before: Option<WorkerStatus>,
    pub(crate) after: WorkerStatus,
}

impl CellState {
    /// The texts of all open items.
    pub(crate) fn open_texts(&self) -> BTreeMap<ItemId, String> {
        self.open.clone()
    }
}

impl WorkerCell {
    pub(crate) fn new(id: WorkerId, meta: WorkerMeta) -> Self {
        Self { id, meta, inner: Mutex::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, CellState> {
        // Nothing panics between a lock and the end of its change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Folds events that are committed, and tells the live readers.
    pub(crate) fn publish(&self, events: &[Event]) -> Change {
        let mut cell = self.lock();
        // Before its first event a Worker is nothing.
        let before = (cell.state.last_seq > Seq::ZERO).then(|| cell.state.status());
        for event in events {
            worker::evolve(&mut cell.state, event.at, &event.body);
            if let EventBody::ItemCompleted { item, .. } = &event.body {
                cell.open.remove(&item.id);
            }
        }
        if let Some(live) = cell.live.upgrade() {
            live.head.send_replace(cell.state.last_seq);
        }
        Change { before, after: cell.state.status() }
    }

    /// Begins the text of an item that was just opened.
    pub(crate) fn open_text(&self, id: ItemId) {
        self.lock().open.insert(id, String::new());
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
        let offset = so_far.len() as u64;
        so_far.push_str(text);
        if let Some(live) = cell.live.upgrade() {
            // An error means that nobody is listening.
            let _ = live.deltas.send(ItemDelta { item_id, offset, text: text.to_owned() });
        }
        true
    }

    /// The text of an open item.
    pub(crate) fn text(&self, id: ItemId) -> String {
        self.lock().open.get(&id).cloned().unwrap_or_default()
    }

    /// Joins the live readers. The texts of the open items are as of the first delta that the
    /// reader will receive.
    pub(crate) fn subscribe(&self) -> (LiveReader, BTreeMap<ItemId, String>) {
        let mut cell = self.lock();
        let live = cell.live.upgrade().unwrap_or_else(|| {
            let live = Arc::new(Live {
                head: watch::Sender::new(cell.state.last_seq),
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

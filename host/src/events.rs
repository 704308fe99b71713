//! Reading events: of one Worker the log from a cursor on, then live; of all of them the feed. A
//! slow reader is served from the log, holds a bounded backlog, and slows nobody.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Weak},
};

use tokio::sync::{broadcast::error::RecvError, watch};
use tokio_util::sync::CancellationToken;
use worker_types::{
    Cursor, Event, EventBody, FeedCursor, ItemDelta, ItemId, ItemSnapshot, LiveEvent, LogId,
    RuntimeError, Seq,
};

use crate::{
    cell::{LiveReader, WorkerCell},
    runtime::{Inner, store_error},
    store::{FeedEvent, StoreError},
};

/// Events read from the log at once.
const PAGE: usize = 256;

/// The events of one Worker: the log from a cursor on, without a gap, then live ones. It ends with the
/// Runtime: it keeps neither that nor its store.
#[derive(Debug)]
pub struct Events {
    runtime: Weak<Inner>,
    log_id: LogId,
    cell: Arc<WorkerCell>,
    reader: LiveReader,
    closing: CancellationToken,
    /// The last durable event that was put into `ready`.
    read: Seq,
    /// The last durable event that the caller has.
    given: Seq,
    ready: VecDeque<LiveEvent>,
    /// Whether nothing follows what is in `ready`.
    ended: bool,
    /// Whether the Worker is unavailable, as far as the caller knows.
    is_stuck: bool,
    /// How much of each open item's text the caller has, in bytes.
    positions: BTreeMap<ItemId, u64>,
    /// The texts of the items that were open when `reader` was made; to be given before its deltas
    /// make sense.
    snapshot: Option<BTreeMap<ItemId, String>>,
}

impl Events {
    pub(crate) fn new(runtime: &Arc<Inner>, cell: Arc<WorkerCell>, after: Seq) -> Self {
        let (reader, open) = cell.subscribe();
        let is_stuck = cell.lock().unavailable().is_some();
        Self {
            closing: runtime.closing.clone(),
            log_id: runtime.store.log_id().of_worker(cell.id),
            runtime: Arc::downgrade(runtime),
            cell,
            is_stuck,
            reader,
            read: after,
            given: after,
            ready: VecDeque::new(),
            ended: false,
            positions: BTreeMap::new(),
            snapshot: Some(open),
        }
    }

    /// The place after the last durable event that [`Events::next`] gave.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.log_id, self.given)
    }

    /// Waits for the next event. `None` once the Worker is deleted, or the Runtime has shut down and
    /// everything in the log was given, or its last handle is gone.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// `CursorGap`, `WorkerUnavailable`, `RuntimeUnavailable`; `UnknownWorker` for a reader that was
    /// behind when the Worker was deleted, and then nothing follows.
    pub async fn next(&mut self) -> Option<Result<LiveEvent, RuntimeError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                if let LiveEvent::Durable(event) = &event {
                    self.given = event.seq;
                    self.ended |= matches!(event.body, EventBody::WorkerDeleted);
                }
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            let head = *self.reader.head.borrow_and_update();
            if self.read < head {
                if let Err(error) = self.read_log(head).await {
                    self.ended = matches!(error, RuntimeError::UnknownWorker { .. });
                    return Some(Err(error));
                }
            } else if let Some(open) = self.snapshot.take() {
                self.give_snapshots(open);
            } else if let Some(error) = self.trouble() {
                return Some(Err(error));
            } else {
                tokio::select! {
                    biased;
                    _ = self.reader.head.changed() => {}
                    delta = self.reader.deltas.recv() => match delta {
                        Ok(delta) => self.take_delta(delta),
                        Err(RecvError::Lagged(_) | RecvError::Closed) => self.resubscribe(),
                    },
                    () = self.closing.cancelled() => {
                        if *self.reader.head.borrow() <= self.read {
                            return None;
                        }
                    }
                }
            }
        }
    }

    /// Why nothing follows for now, if that is news to the caller.
    fn trouble(&mut self) -> Option<RuntimeError> {
        let reason = self.cell.lock().unavailable().map(str::to_owned);
        let known = std::mem::replace(&mut self.is_stuck, reason.is_some());
        reason.filter(|_| !known).map(|reason| RuntimeError::WorkerUnavailable { reason })
    }

    /// Reads on, but not beyond `head`: what is not folded yet is not to be seen either.
    async fn read_log(&mut self, head: Seq) -> Result<(), RuntimeError> {
        let Some(runtime) = self.runtime.upgrade() else {
            self.ended = true;
            return Ok(());
        };
        for event in runtime.read(self.cell.id, self.read, head, PAGE).await? {
            self.read = event.seq;
            self.follow(&event);
            self.ready.push_back(LiveEvent::Durable(event));
        }
        Ok(())
    }

    /// Keeps track of which items are open, as the caller sees it.
    fn follow(&mut self, event: &Event) {
        match &event.body {
            EventBody::ItemStarted { item, .. } => {
                self.positions.insert(item.id, 0);
            }
            EventBody::ItemCompleted { item, .. } => {
                self.positions.remove(&item.id);
                if let Some(open) = &mut self.snapshot {
                    open.remove(&item.id);
                }
            }
            _ => {}
        }
    }

    fn take_delta(&mut self, delta: ItemDelta) {
        match self.positions.get_mut(&delta.item_id) {
            Some(position) if *position == delta.offset => {
                *position += delta.text.len() as u64;
                self.ready.push_back(LiveEvent::Delta(delta));
            }
            // The caller has this piece already, from a snapshot.
            Some(position) if *position > delta.offset => {}
            // A piece is missing; or the item's start is in the log and not read yet; or the item is
            // completed and the caller has all of it. The log and fresh snapshots tell.
            Some(_) | None => self.resubscribe(),
        }
    }

    /// Starts over with the live channel; the log is read up to its head first.
    fn resubscribe(&mut self) {
        let (reader, open) = self.cell.subscribe();
        self.reader = reader;
        self.snapshot = Some(open);
    }

    /// Gives what the caller lacks of the open items' texts.
    fn give_snapshots(&mut self, open: BTreeMap<ItemId, String>) {
        for (item_id, text) in open {
            let position = self.positions.entry(item_id).or_insert(0);
            let (offset, end) = (*position, text.len() as u64);
            if offset == end {
                continue;
            }
            *position = end;
            // Who has the beginning is given the rest.
            let rest = usize::try_from(offset).ok().and_then(|offset| text.get(offset..));
            self.ready.push_back(match rest {
                Some(rest) if offset > 0 => {
                    let text = rest.to_owned();
                    LiveEvent::Delta(ItemDelta { item_id, offset, text })
                }
                _ => LiveEvent::Snapshot(ItemSnapshot { item_id, text }),
            });
        }
    }
}

/// The feed of a Runtime: the events of all its Workers from a cursor on, in the order in which they
/// were committed. It ends with the Runtime, like [`Events`].
#[derive(Debug)]
pub struct Feed {
    runtime: Weak<Inner>,
    log_id: LogId,
    closing: CancellationToken,
    head: watch::Receiver<u64>,
    /// The last position that was put into `ready`.
    read: u64,
    /// The last position that the caller has.
    given: u64,
    ready: VecDeque<FeedEvent>,
}

impl Feed {
    pub(crate) fn new(runtime: &Arc<Inner>, after: u64) -> Self {
        Self {
            head: runtime.store.feed_head(),
            closing: runtime.closing.clone(),
            log_id: runtime.store.log_id(),
            runtime: Arc::downgrade(runtime),
            read: after,
            given: after,
            ready: VecDeque::new(),
        }
    }

    /// The place after the last event that [`Feed::next`] gave.
    #[must_use]
    pub fn cursor(&self) -> FeedCursor {
        FeedCursor::new(self.log_id, self.given)
    }

    /// Waits for the next event. `None` once the Runtime has shut down and everything was given, or its
    /// last handle is gone. Of what is damaged an error tells once, and what follows is given after
    /// it.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event, RuntimeError>> {
        loop {
            if let Some(FeedEvent { position, event }) = self.ready.pop_front() {
                self.given = position;
                return Some(Ok(event));
            }
            let head = *self.head.borrow_and_update();
            if self.read < head {
                let runtime = self.runtime.upgrade()?;
                match runtime.store.feed(self.read, PAGE).await {
                    Ok(page) => {
                        // Where nothing is left up to the head, the rest was removed.
                        self.read = page.last().map_or(head, |event| event.position);
                        self.ready.extend(page);
                    }
                    Err(error) => {
                        // It is said once, and what follows is read on.
                        if let StoreError::FeedDamaged { through, .. } = error {
                            (self.read, self.given) = (through, through);
                        }
                        return Some(Err(store_error(&error)));
                    }
                }
                continue;
            }
            tokio::select! {
                biased;
                changed = self.head.changed() => if changed.is_err() { return None },
                () = self.closing.cancelled() => {
                    if *self.head.borrow() <= self.read {
                        return None;
                    }
                }
            }
        }
    }
}

//! The Workers of a Runtime, and which of them have a task.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc::{self, error::TrySendError};
use worker_types::{RuntimeError, WorkerId};

use super::Inner;
use crate::{
    cell::WorkerCell,
    supervisor::{REQUEST_BACKLOG, Request, Supervisor},
};

/// The table. A Worker gets its task when it is asked for something, and loses it under the same
/// lock when nothing is left to do: no request falls between.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    slots: Mutex<BTreeMap<WorkerId, Slot>>,
}

#[derive(Debug)]
struct Slot {
    cell: Arc<WorkerCell>,
    /// The way to the task, while there is one.
    active: Option<mpsc::Sender<Request>>,
}

impl Workers {
    pub(crate) fn cell(&self, id: WorkerId) -> Result<Arc<WorkerCell>, RuntimeError> {
        let slots = self.lock();
        let slot = slots.get(&id).ok_or(RuntimeError::UnknownWorker { worker_id: id })?;
        Ok(Arc::clone(&slot.cell))
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The Worker that was created last.
    pub(crate) fn newest(&self) -> Option<Arc<WorkerCell>> {
        self.lock().last_key_value().map(|(_, slot)| Arc::clone(&slot.cell))
    }

    /// Up to `count` Workers after `after`, in the order of their creation.
    pub(crate) fn page(&self, after: Option<WorkerId>, count: usize) -> Vec<Arc<WorkerCell>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let slots = self.lock();
        slots
            .range((from, Bound::Unbounded))
            .take(count)
            .map(|(_, slot)| Arc::clone(&slot.cell))
            .collect()
    }

    /// Adds a Worker that was just created, whose task is the other end of `active`.
    pub(crate) fn insert(&self, cell: Arc<WorkerCell>, active: mpsc::Sender<Request>) {
        self.lock().insert(cell.id, Slot { cell, active: Some(active) });
    }

    /// Hands `request` to the Worker's task.
    pub(crate) fn send(
        &self,
        runtime: &Arc<Inner>,
        id: WorkerId,
        request: Request,
    ) -> Result<(), RuntimeError> {
        let mut slots = self.lock();
        let slot = slots.get_mut(&id).ok_or(RuntimeError::UnknownWorker { worker_id: id })?;
        let cell = &slot.cell;
        let sender = slot.active.get_or_insert_with(|| activate(runtime, cell));
        sender.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => RuntimeError::Capacity {
                reason: format!("{REQUEST_BACKLOG} requests already wait for this Worker"),
            },
            TrySendError::Closed(_) => {
                RuntimeError::RuntimeUnavailable { reason: "the Runtime has shut down".to_owned() }
            }
        })
    }

    /// The next request of a task; `None` once it has been retired.
    pub(crate) fn next_or_retire(
        &self,
        id: WorkerId,
        requests: &mut mpsc::Receiver<Request>,
    ) -> Option<Request> {
        if let Ok(request) = requests.try_recv() {
            return Some(request);
        }
        let mut slots = self.lock();
        // Requests are only sent under this lock.
        if let Ok(request) = requests.try_recv() {
            return Some(request);
        }
        if let Some(slot) = slots.get_mut(&id) {
            slot.active = None;
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<WorkerId, Slot>> {
        // Nothing panics between a lock and the end of its change.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn activate(runtime: &Arc<Inner>, cell: &Arc<WorkerCell>) -> mpsc::Sender<Request> {
    let supervisor = Supervisor::new(Arc::clone(runtime), Arc::clone(cell));
    let sender = supervisor.sender();
    runtime.tasks.spawn_on(supervisor.serve_requests(), runtime.guests.handle());
    sender
}

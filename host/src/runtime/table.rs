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
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    slots: BTreeMap<WorkerId, Slot>,
    /// Workers whose creation is not in the log yet.
    creating: u64,
    /// Whether the Runtime shuts down: no task is spawned any more.
    closed: bool,
}

#[derive(Debug)]
struct Slot {
    cell: Arc<WorkerCell>,
    /// The way to the task, while there is one.
    active: Option<mpsc::Sender<Request>>,
}

impl Workers {
    pub(crate) fn cell(&self, id: WorkerId) -> Result<Arc<WorkerCell>, RuntimeError> {
        let table = self.lock();
        let slot = table.slots.get(&id).ok_or(RuntimeError::UnknownWorker { worker_id: id })?;
        Ok(Arc::clone(&slot.cell))
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().slots.len()
    }

    /// The Worker that was created last.
    pub(crate) fn newest(&self) -> Option<Arc<WorkerCell>> {
        self.lock().slots.last_key_value().map(|(_, slot)| Arc::clone(&slot.cell))
    }

    /// Up to `count` Workers after `after`, in the order of their creation.
    pub(crate) fn page(&self, after: Option<WorkerId>, count: usize) -> Vec<Arc<WorkerCell>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let table = self.lock();
        let slots = table.slots.range((from, Bound::Unbounded)).take(count);
        slots.map(|(_, slot)| Arc::clone(&slot.cell)).collect()
    }

    /// Spawns the task that creates a Worker, if there is room for one.
    pub(crate) fn spawn_creation(
        &self,
        runtime: &Inner,
        creation: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), RuntimeError> {
        let mut table = self.lock();
        if table.closed {
            return Err(shutting_down());
        }
        let limit = runtime.limits.workers;
        if table.slots.len() as u64 + table.creating >= limit {
            let reason = format!("this Runtime keeps at most {limit} Workers");
            return Err(RuntimeError::Capacity { reason });
        }
        table.creating += 1;
        runtime.tasks.spawn_on(creation, runtime.guests.handle());
        Ok(())
    }

    /// Ends a creation: with the Worker and the way to its task, or with nothing.
    pub(crate) fn created(&self, worker: Option<(Arc<WorkerCell>, mpsc::Sender<Request>)>) {
        let mut table = self.lock();
        table.creating -= 1;
        if let Some((cell, active)) = worker {
            table.slots.insert(cell.id, Slot { cell, active: Some(active) });
        }
    }

    /// Hands `request` to the Worker's task.
    pub(crate) fn send(
        &self,
        runtime: &Arc<Inner>,
        id: WorkerId,
        request: Request,
    ) -> Result<(), RuntimeError> {
        let mut table = self.lock();
        let closed = table.closed;
        let slot = table.slots.get_mut(&id).ok_or(RuntimeError::UnknownWorker { worker_id: id })?;
        // A closed way is that of a task that panicked: the next one mends what it left.
        let sender = match slot.active.take_if(|sender| !sender.is_closed()) {
            Some(sender) => {
                let sender = slot.active.insert(sender);
                // An input that will be refused does not stand in the way of a cancel.
                if let Request::Input { .. } = &request
                    && let Some((turn_id, _)) = slot.cell.lock().state.unfinished_turn()
                {
                    return Err(RuntimeError::Busy { turn_id });
                }
                sender
            }
            None if closed => return Err(shutting_down()),
            None => slot.active.insert(activate(runtime, &slot.cell)),
        };
        sender.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => RuntimeError::Capacity {
                reason: format!("{REQUEST_BACKLOG} requests already wait for this Worker"),
            },
            TrySendError::Closed(_) => shutting_down(),
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
        let mut table = self.lock();
        // Requests are only sent under this lock.
        if let Ok(request) = requests.try_recv() {
            return Some(request);
        }
        if let Some(slot) = table.slots.get_mut(&id) {
            slot.active = None;
        }
        None
    }

    /// Lets no task begin any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing panics between a lock and the end of its change.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to whoever comes late.
pub(super) fn shutting_down() -> RuntimeError {
    RuntimeError::RuntimeUnavailable { reason: "it is shutting down".to_owned() }
}

fn activate(runtime: &Arc<Inner>, cell: &Arc<WorkerCell>) -> mpsc::Sender<Request> {
    let supervisor = Supervisor::new(Arc::clone(runtime), Arc::clone(cell));
    let sender = supervisor.sender();
    runtime.tasks.spawn_on(supervisor.run(None), runtime.guests.handle());
    sender
}

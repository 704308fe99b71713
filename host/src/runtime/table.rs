//! The Workers of a Runtime, and which of them have a task.

use std::{
    collections::BTreeMap,
    ops::Bound,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::sync::mpsc::{self, error::TrySendError};
use tracing::Instrument as _;
use worker_types::{IfBusy, RuntimeError, WorkerId};

use super::Inner;
use crate::{
    cell::WorkerCell,
    spans,
    supervisor::{Request, Supervisor, backlog_is_full},
};

/// How long after a panic of its task a Worker gets another, if nobody asks for something before.
const REVIVAL: Duration = Duration::from_millis(500);

/// The table. A Worker gets its task when it is asked for something, and loses it under the same
/// lock when nothing is left to do: no request falls between.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    slots: BTreeMap<WorkerId, Slot>,
    /// Workers whose creation is not in the log yet: the places that are taken for them.
    creating: u64,
    gate: Gate,
}

/// What the Runtime still takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Gate {
    #[default]
    Open,
    /// No new work: what was accepted is finished.
    Draining,
    /// The Runtime shuts down: no task is spawned any more.
    Closed,
}

impl Table {
    fn check_accepting(&self) -> Result<(), RuntimeError> {
        match self.gate {
            Gate::Open => Ok(()),
            Gate::Draining => {
                let reason = "it is draining, and takes no new work".to_owned();
                Err(RuntimeError::RuntimeUnavailable { reason })
            }
            Gate::Closed => Err(shutting_down()),
        }
    }
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
    pub(crate) fn spawn_creation<F>(
        &self,
        runtime: &Arc<Inner>,
        id: WorkerId,
        creation: impl FnOnce(CreationPlace) -> F,
    ) -> Result<(), RuntimeError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut table = self.lock();
        table.check_accepting()?;
        let limit = runtime.limits.workers;
        if table.slots.len() as u64 + table.creating >= limit {
            let reason = format!("this Runtime keeps at most {limit} Workers");
            return Err(RuntimeError::Capacity { reason });
        }
        table.creating += 1;
        // Under the lock: a shutdown that begins now waits for it.
        spawn(runtime, id, creation(CreationPlace { runtime: Arc::clone(runtime) }));
        Ok(())
    }

    /// Adds a Worker that the store has; with the way to its task, where there is something to do.
    pub(crate) fn restore(&self, cell: Arc<WorkerCell>, active: Option<mpsc::Sender<Request>>) {
        self.lock().slots.insert(cell.id, Slot { cell, active });
    }

    /// Forgets a Worker that was deleted.
    pub(crate) fn remove(&self, id: WorkerId) {
        self.lock().slots.remove(&id);
    }

    /// The Worker, if it has a task that is alive.
    fn cell_with_task(&self, id: WorkerId) -> Option<Arc<WorkerCell>> {
        let table = self.lock();
        let slot = table.slots.get(&id)?;
        let active = slot.active.as_ref().is_some_and(|sender| !sender.is_closed());
        active.then(|| Arc::clone(&slot.cell))
    }

    /// Hands `request` to the Worker's task.
    pub(crate) fn send(
        &self,
        runtime: &Arc<Inner>,
        id: WorkerId,
        request: Request,
    ) -> Result<(), RuntimeError> {
        // An input that will be refused does not stand in the way of a cancel.
        if let Request::Input { if_busy: IfBusy::Reject, key: None, .. } = &request
            && let Some(cell) = self.cell_with_task(id)
            && let Some(turn_id) = cell.lock().busy_turn()
        {
            return Err(RuntimeError::Busy { turn_id });
        }
        let mut table = self.lock();
        if let Request::Input { .. } = &request {
            // Under the lock: a drain that begins now knows of all inputs that are accepted.
            table.check_accepting()?;
        }
        let closed = table.gate == Gate::Closed;
        let slot = table.slots.get_mut(&id).ok_or(RuntimeError::UnknownWorker { worker_id: id })?;
        // A closed way is that of a task that panicked: the next one mends what it left.
        let sender = match slot.active.take_if(|sender| !sender.is_closed()) {
            Some(sender) => slot.active.insert(sender),
            None if closed => return Err(shutting_down()),
            None => slot.active.insert(activate(runtime, &slot.cell)),
        };
        sender.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => backlog_is_full(),
            TrySendError::Closed(_) => shutting_down(),
        })
    }

    /// Gives a Worker whose task panicked another one, unless a request did so already.
    fn revive(&self, runtime: &Arc<Inner>, id: WorkerId) {
        let mut table = self.lock();
        if table.gate == Gate::Closed {
            return;
        }
        if let Some(slot) = table.slots.get_mut(&id)
            && slot.active.take_if(|sender| sender.is_closed()).is_some()
        {
            slot.active = Some(activate(runtime, &slot.cell));
        }
    }

    /// Gives the Workers a task that have something to do, could not be loaded, and have none.
    pub(super) fn retry_unavailable(&self, runtime: &Arc<Inner>) {
        let mut table = self.lock();
        if table.gate == Gate::Closed {
            return;
        }
        for slot in table.slots.values_mut() {
            if slot.active.is_none() && slot.cell.lock().waits_to_be_loaded() {
                slot.active = Some(activate(runtime, &slot.cell));
            }
        }
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

    /// How many Workers have something left to do.
    pub(super) fn busy(&self) -> u64 {
        let table = self.lock();
        let is_busy = |slot: &&Slot| slot.active.as_ref().is_some_and(|way| !way.is_closed());
        table.creating + table.slots.values().filter(is_busy).count() as u64
    }

    /// Takes no new work any more: see [`Gate::Draining`].
    pub(super) fn drain(&self) {
        let mut table = self.lock();
        if table.gate == Gate::Open {
            table.gate = Gate::Draining;
        }
    }

    /// Lets no task begin any more.
    pub(crate) fn close(&self) {
        self.lock().gate = Gate::Closed;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().gate == Gate::Closed
    }

    /// Fails where no new work is taken.
    pub(super) fn check_accepting(&self) -> Result<(), RuntimeError> {
        self.lock().check_accepting()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing panics between a lock and the end of its change.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a Worker that is being created. Dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct CreationPlace {
    runtime: Arc<Inner>,
}

impl CreationPlace {
    /// The Worker is created: it takes its place, with the way to its task.
    pub(crate) fn take(self, cell: &Arc<WorkerCell>, active: mpsc::Sender<Request>) {
        self.runtime.workers.restore(Arc::clone(cell), Some(active));
    }
}

impl Drop for CreationPlace {
    fn drop(&mut self) {
        self.runtime.workers.lock().creating -= 1;
    }
}

/// The answer to whoever comes late.
pub(crate) fn shutting_down() -> RuntimeError {
    RuntimeError::RuntimeUnavailable { reason: "it is shutting down".to_owned() }
}

fn activate(runtime: &Arc<Inner>, cell: &Arc<WorkerCell>) -> mpsc::Sender<Request> {
    let supervisor = Supervisor::new(Arc::clone(runtime), Arc::clone(cell));
    let sender = supervisor.sender();
    spawn(runtime, cell.id, supervisor.run());
    sender
}

/// Spawns the task of a Worker. Where it panics, another one mends what it left.
pub(super) fn spawn(
    runtime: &Arc<Inner>,
    id: WorkerId,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let inner = Arc::clone(runtime);
    let task = async move {
        if AssertUnwindSafe(task).catch_unwind().await.is_err() {
            tracing::error!("a defect: the task of a Worker panicked");
            // A panic that comes back is not to take a processor.
            tokio::time::sleep(REVIVAL).await;
            inner.workers.revive(&inner, id);
        }
    };
    runtime.tasks.spawn_on(task.instrument(spans::of_worker(id)), runtime.threads.handle());
}

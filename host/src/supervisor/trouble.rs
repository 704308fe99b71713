//! What the task does when the store fails, or the Worker's log cannot be read.

use std::{pin::pin, sync::Arc, time::Duration};

use worker_types::RuntimeError;

use super::{Request, Supervisor};
use crate::{
    journal::now,
    runtime::store_error,
    store::{StoreError, StoreHealth},
};

/// How long to wait after a read of the store that failed.
const PAUSE: Duration = Duration::from_millis(500);

impl Supervisor {
    pub(super) fn unavailable(&self) -> RuntimeError {
        let cell = self.cell.lock();
        let reason = cell.unavailable().unwrap_or("it cannot be loaded").to_owned();
        RuntimeError::WorkerUnavailable { reason }
    }

    /// Makes the Worker unavailable, and retires. The next request is the occasion to try again.
    pub(super) async fn give_up(mut self, error: &StoreError) {
        tracing::error!(error = error as &dyn std::error::Error, "a Worker cannot be loaded");
        self.runtime.count(self.cell.set_unavailable(Some(error.to_string())));
        let refusal = self.unavailable();
        self.waiting.drain(..).for_each(|(_, reply)| drop(reply.send(Err(refusal.clone()))));
        self.guest_is_gone().await;
        loop {
            let held = self.held.pop_front();
            let next = || self.runtime.workers.next_or_retire(self.cell.id, &mut self.requests);
            match held.or_else(next) {
                None => return,
                // It cannot be stopped: nothing can be added to its log but its end.
                Some(Request::Delete { reply }) if error.is_damage() => {
                    let buried = self.bury().await;
                    let is_gone = buried.is_ok();
                    let _ = reply.send(buried);
                    if is_gone {
                        let worker_id = self.cell.id;
                        return self.refuse_all(&RuntimeError::UnknownWorker { worker_id });
                    }
                }
                Some(request) => request.refuse(refusal.clone()),
            }
        }
    }

    /// Deletes a Worker whose log cannot be read.
    async fn bury(&self) -> Result<(), RuntimeError> {
        let (runtime, id) = (&self.runtime, self.cell.id);
        let mut head = self.cell.lock().head;
        let deleted = runtime.store.bury(id, head.last_seq, now()).await;
        let deleted = deleted.map_err(|error| store_error(&error))?;
        head.last_seq = deleted.seq;
        runtime.publish(&self.cell, &[deleted], head);
        runtime.workers.remove(id);
        runtime.logs.forget(id);
        runtime.release_scopes(id).await;
        runtime.remove_scratch(id).await;
        Ok(())
    }

    /// Waits until the store works again, and refuses what is asked meanwhile. Returns whether it
    /// does; otherwise the Runtime ends.
    pub(super) async fn healthy_again(&mut self) -> bool {
        let runtime = Arc::clone(&self.runtime);
        let mut health = runtime.store.health();
        loop {
            let StoreHealth::Failed { reason } = health.borrow_and_update().clone() else {
                return true;
            };
            let error = store_error(&StoreError::Unavailable { reason });
            self.refuse_all(&error);
            let mut interrupted = pin!(runtime.interrupt.cancelled());
            tokio::select! {
                biased;
                () = &mut interrupted => return false,
                changed = health.changed() => if changed.is_err() { return false },
                Some(request) = self.requests.recv() => request.refuse(error),
            }
        }
    }

    /// Waits a moment after a failure that may pass, and refuses what is asked meanwhile. Returns
    /// whether to try again; otherwise the Runtime ends.
    pub(super) async fn pause(&mut self, error: &StoreError) -> bool {
        let error = store_error(error);
        self.refuse_all(&error);
        let runtime = Arc::clone(&self.runtime);
        let mut over = pin!(tokio::time::sleep(PAUSE));
        loop {
            tokio::select! {
                biased;
                () = runtime.interrupt.cancelled() => return false,
                () = &mut over => return true,
                Some(request) = self.requests.recv() => request.refuse(error.clone()),
            }
        }
    }

    /// Refuses what is waiting, and those who wait for an end.
    pub(super) fn refuse_all(&mut self, error: &RuntimeError) {
        for (_, reply) in self.waiting.drain(..) {
            let _ = reply.send(Err(error.clone()));
        }
        for request in self.held.drain(..) {
            request.refuse(error.clone());
        }
        while let Ok(request) = self.requests.try_recv() {
            request.refuse(error.clone());
        }
    }
}

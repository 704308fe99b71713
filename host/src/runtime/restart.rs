//! What a Runtime does first: it takes up the Workers that its store has.

use std::{error::Error, sync::Arc};

use worker_types::{Event, EventBody, WorkerId};

use super::{Inner, WorkerMeta, damage, table};
use crate::{
    cell::WorkerCell,
    error_chain,
    journal::Journal,
    store::{self, StoreError, StoredWorker},
    supervisor::Supervisor,
    worker::{Upgrade, WorkerState},
};

/// Workers read from the store at once.
const PAGE: usize = 256;

impl Inner {
    /// Takes up the Workers of the store, a page at a time. Those at rest cost a record each, and their logs are not
    /// read; for the others a task ends what was interrupted and does what waits.
    ///
    /// # Errors
    ///
    /// The store cannot be read at all. What cannot be read of one Worker makes that one unavailable.
    pub(crate) async fn restore_workers(self: &Arc<Self>) -> Result<(), StoreError> {
        for words in self.store.nameless().await? {
            self.damage.note(damage::WORKER, format!("a Worker cannot be shown: {words}"));
        }
        let mut after = None;
        loop {
            let page = self.store.workers(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(store::worker_id(last));
            for stored in page {
                match stored {
                    Ok(stored) => self.restore_worker(stored).await,
                    Err((worker_id, error)) => self.restore_damaged(worker_id, &error).await,
                }
            }
        }
    }

    async fn restore_worker(self: &Arc<Self>, stored: StoredWorker) {
        let known = self.snapshots().meta(self, &stored.created);
        let Some((meta, authority)) = known else {
            let reason = "its first event does not create it".to_owned();
            let error = StoreError::Damaged { worker_id: stored.worker_id, reason };
            return self.restore_damaged(stored.worker_id, &error).await;
        };
        let cell = Arc::new(WorkerCell::new(stored.worker_id, meta, authority));
        if let Some(rest) = stored.rest {
            self.restore_grants(&cell, &stored.created, &rest);
            self.count(cell.restore(&rest, Default::default()));
            self.take_up(&cell, &rest);
            self.restore_scopes(&cell, rest.status()).await;
            return self.workers.restore(cell, None);
        }
        self.restore_active(cell, Some(&stored.created)).await;
    }

    /// Takes up a Worker of which is not known what it was created with. It is unavailable; what else
    /// there is of it can be read, and it can be deleted.
    async fn restore_damaged(self: &Arc<Self>, worker_id: WorkerId, error: &StoreError) {
        self.log_damage(worker_id, error);
        let unknown = WorkerMeta::unknown(worker_id, error.to_string());
        let Some((meta, authority)) = unknown else {
            let message = format!("Worker {worker_id} cannot be shown: {error}");
            return self.damage.note(damage::WORKER, message);
        };
        self.restore_active(Arc::new(WorkerCell::new(worker_id, meta, authority)), None).await;
    }

    async fn restore_active(self: &Arc<Self>, cell: Arc<WorkerCell>, created: Option<&Event>) {
        let worker_id = cell.id;
        match Journal::load(self, &cell).await {
            Ok(journal) => {
                if let Some(created) = created {
                    self.restore_grants(&cell, created, journal.state());
                }
                // Before anybody can create a Worker.
                self.restore_scopes(&cell, journal.state().status()).await;
                let supervisor = Supervisor::new(Arc::clone(self), Arc::clone(&cell));
                self.workers.restore(cell, Some(supervisor.sender()));
                table::spawn(self, worker_id, supervisor.run_with(journal));
            }
            Err(error) => {
                self.log_damage(worker_id, &error);
                self.count(cell.set_unavailable(Some(error.to_string())));
                // It tries again if that may help, and retires if not.
                let supervisor = Supervisor::new(Arc::clone(self), Arc::clone(&cell));
                self.workers.restore(cell, Some(supervisor.sender()));
                table::spawn(self, worker_id, supervisor.run());
            }
        }
    }

    /// What a Worker was granted is cut to the ceiling of today only after what was taken away is taken
    /// from it: a ceiling that changed never gives anything back.
    fn restore_grants(&self, cell: &WorkerCell, created: &Event, state: &WorkerState) {
        let EventBody::WorkerCreated { grants, .. } = &created.body else { return };
        let left = grants.clone().without_revoked(state.revoked()).meet(&self.ceiling);
        if left.meet(grants) != *grants {
            tracing::warn!(worker_id = %cell.id, "a Worker's grants are cut to the ceiling of today");
        }
        cell.restore_grants(self.share(left), state.revoked());
    }

    /// A Worker that was upgraded does not go by what it was created with.
    pub(crate) fn take_up(&self, cell: &WorkerCell, state: &WorkerState) {
        if let Some(Upgrade { profile, component }) = state.upgraded() {
            let profile = self.snapshots().snapshot(profile, *component);
            cell.upgrade(profile);
        }
    }

    fn log_damage(&self, worker_id: WorkerId, error: &StoreError) {
        let error: &(dyn Error + 'static) = error;
        tracing::error!(%worker_id, error = error_chain(error), "a Worker cannot be loaded");
    }
}

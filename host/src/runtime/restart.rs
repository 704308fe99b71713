//! What a Runtime does first: it takes up the Workers that its store has.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    sync::Arc,
};

use worker_types::{Grant, Grants, ItemId, WorkerId};

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
            self.show_restored(&cell, &rest, Default::default());
            self.restore_scopes(&cell, rest.status()).await;
            return self.workers.restore(cell, None);
        }
        self.restore_active(cell).await;
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
        self.restore_active(Arc::new(WorkerCell::new(worker_id, meta, authority))).await;
    }

    async fn restore_active(self: &Arc<Self>, cell: Arc<WorkerCell>) {
        let worker_id = cell.id;
        match Journal::load(self, &cell).await {
            Ok(journal) => {
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

    /// Shows what the store has of a Worker; `texts` are those of its open items.
    pub(crate) fn show_restored(
        &self,
        cell: &WorkerCell,
        state: &WorkerState,
        texts: BTreeMap<ItemId, String>,
    ) {
        let granted = cell.authority().granted;
        if granted.within(&self.ceiling).is_err() {
            tracing::warn!(worker = %cell.id, "a Worker's grants are cut to the ceiling of today");
        }
        let grants = self.left_of(&granted, state.revoked());
        self.count(cell.restore(state, grants, texts));
        // One that was upgraded does not go by what it was created with.
        if let Some(Upgrade { profile, component }) = state.upgraded() {
            let profile = self.snapshots().snapshot(profile, *component);
            cell.upgrade(profile);
        }
    }

    /// What is left of what a Worker was `granted`. It is cut to the ceiling of today only after what was
    /// taken away is taken from it: a ceiling that changed never gives anything back.
    pub(super) fn left_of(&self, granted: &Arc<Grants>, revoked: &BTreeSet<Grant>) -> Arc<Grants> {
        if revoked.is_empty() && granted.within(&self.ceiling).is_ok() {
            return Arc::clone(granted);
        }
        self.share(Grants::clone(granted).without_revoked(revoked).cut_to(&self.ceiling))
    }

    fn log_damage(&self, worker_id: WorkerId, error: &StoreError) {
        let error: &(dyn Error + 'static) = error;
        tracing::error!(worker = %worker_id, error = error_chain(error), "a Worker cannot be loaded");
    }
}

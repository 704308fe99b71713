//! The scopes of Workers: claimed at their creation and start, taken up again at a restart, checked in
//! each turn, released when they stop.

use std::sync::Arc;

use worker_types::{Grants, GuestPath, Preopen, RuntimeError, WorkerId, WorkerStatus};

use super::{Inner, internal};
use crate::{
    allocation::Allocations,
    cell::WorkerCell,
    grants::{OpenPreopen, PreopenError, PreopenFault, Scope},
};

/// The scopes of a Worker that is being created. Dropping this gives them back.
#[derive(Debug)]
pub(crate) struct ClaimedScopes {
    runtime: Arc<Inner>,
    worker: WorkerId,
    is_created: bool,
}

impl ClaimedScopes {
    /// The Worker is created: from now on it holds them until it is stopped.
    pub(crate) fn keep(mut self) {
        self.is_created = true;
    }
}

impl Drop for ClaimedScopes {
    fn drop(&mut self) {
        if !self.is_created {
            self.runtime.allocations.release_all(self.worker);
            let allocations = Arc::clone(&self.runtime.allocations);
            let threads = self.runtime.threads.handle();
            self.runtime.tasks.spawn_blocking_on(move || allocations.flush(), threads);
        }
    }
}

impl Inner {
    /// Checks that the directories in `grants` can be had by `worker`, which is to be created, and gives
    /// it those that it may write to.
    pub(super) async fn admit_directories(
        self: &Arc<Self>,
        worker: WorkerId,
        grants: &Grants,
    ) -> Result<Option<ClaimedScopes>, RuntimeError> {
        if grants.preopens.is_empty() {
            return Ok(None);
        }
        let (runtime, grants) = (Arc::clone(self), grants.clone());
        let admit = move || {
            let scopes = runtime.roots.admit(&grants)?;
            if scopes.is_empty() {
                return Ok(None);
            }
            runtime.allocations.claim(worker, scopes)?;
            // Made here: whoever asked may be gone.
            Ok(Some(ClaimedScopes { runtime, worker, is_created: false }))
        };
        let admitted = self.threads.handle().spawn_blocking(admit).await;
        admitted.map_err(|error| internal(&error))?
    }

    /// Sees to it that the Worker holds its scopes, as far as its directories are there: what is not
    /// fails the turn that wants it, by name. Returns whether anything had to be claimed.
    pub(crate) async fn hold_scopes(&self, cell: &WorkerCell) -> Result<bool, RuntimeError> {
        let worker = cell.id;
        let is_missing = |preopen: &&Preopen| {
            Scope::is_granted_by(preopen)
                && self.allocations.held(worker, &preopen.guest_path).is_none()
        };
        let grants = cell.authority().grants;
        let missing: Vec<Preopen> = grants.preopens.iter().filter(is_missing).cloned().collect();
        if missing.is_empty() {
            return Ok(false);
        }
        let (roots, allocations) = (Arc::clone(&self.roots), Arc::clone(&self.allocations));
        let claim = move || {
            let scopes = missing.iter().filter_map(|preopen| match roots.scope(preopen) {
                Ok(scope) => scope,
                Err(fault) => {
                    tracing::warn!(%worker, %preopen, %fault, "a Worker's directory is not there");
                    None
                }
            });
            allocations.claim(worker, scopes.collect())
        };
        let claimed = self.threads.handle().spawn_blocking(claim).await;
        claimed.map_err(|error| internal(&error))??;
        Ok(true)
    }

    /// Gives a Worker that the store has its scopes again, unless it was stopped. One that does not get
    /// them is unavailable until it is asked again and does.
    pub(super) async fn restore_scopes(&self, cell: &WorkerCell, status: WorkerStatus) {
        if status == WorkerStatus::Stopped {
            return;
        }
        if let Err(error) = self.hold_scopes(cell).await {
            tracing::warn!(worker_id = %cell.id, %error, "a Worker does not get its directories");
            self.count(cell.set_scopes_taken(Some(error.to_string())));
        }
    }

    /// Takes all its scopes from a Worker. Other Runtimes know that they are free when this returns.
    pub(crate) async fn release_scopes(&self, worker: WorkerId) {
        self.allocations.release_all(worker);
        self.flush_allocations().await;
    }

    /// Takes one scope from a Worker, which may not write there any more.
    pub(crate) async fn release_scope(&self, worker: WorkerId, guest_path: &GuestPath) {
        self.allocations.release(worker, guest_path);
        self.flush_allocations().await;
    }

    async fn flush_allocations(&self) {
        let allocations = Arc::clone(&self.allocations);
        let flushed = self.threads.handle().spawn_blocking(move || allocations.flush()).await;
        if let Err(error) = flushed {
            internal(&error);
        }
    }
}

/// Checks that the directories that a turn opened to write to are those that its Worker holds.
pub(super) fn check(
    allocations: &Allocations,
    worker: WorkerId,
    grants: &Grants,
    opened: &[OpenPreopen],
) -> Result<(), PreopenError> {
    for (preopen, opened) in grants.preopens.iter().zip(opened) {
        let Some(extent) = &opened.extent else { continue };
        let held = allocations.held(worker, &opened.guest_path);
        if !held.is_some_and(|held| extent.is_covered_by(&held)) {
            let (preopen, fault) = (Box::new(preopen.clone()), PreopenFault::Exchanged);
            return Err(PreopenError { preopen, fault });
        }
    }
    Ok(())
}

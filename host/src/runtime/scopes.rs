//! The scopes of Workers: claimed at their creation and start, taken up again at a restart, checked in
//! each turn, released when they stop.

use std::sync::Arc;

use worker_types::{Grants, GuestPath, Preopen, RuntimeError, WorkerId, WorkerStatus};

use super::{Inner, internal};
use crate::{
    allocation::Allocations,
    cell::WorkerCell,
    grants::{OpenPreopen, PreopenError, PreopenFault, Scope},
    spans::in_current,
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
    /// Checks that a Worker that is to be created can have the directories that it is granted, and gives
    /// it those that it may write to. For its task: this blocks as long as the disk does, and leaves the
    /// thread's other work to others meanwhile. To go to another thread and back would take longer than
    /// all the rest.
    pub(crate) fn admit_directories(
        self: &Arc<Self>,
        cell: &WorkerCell,
    ) -> Result<Option<ClaimedScopes>, RuntimeError> {
        let (worker, grants) = (cell.id, cell.authority().grants);
        if grants.preopens.is_empty() {
            return Ok(None);
        }
        tokio::task::block_in_place(|| {
            let scopes = self.roots.admit(&grants)?;
            if scopes.is_empty() {
                return Ok(None);
            }
            self.allocations.claim(worker, scopes)?;
            let runtime = Arc::clone(self);
            Ok(Some(ClaimedScopes { runtime, worker, is_created: false }))
        })
    }

    /// Sees to it that the Worker holds its scopes, as far as its directories are there: what is not
    /// fails the turn that wants it, by name. Those of one that `starts` are looked at as at its
    /// creation: anything may have come there since.
    pub(crate) async fn hold_scopes(
        &self,
        cell: &WorkerCell,
        starts: bool,
    ) -> Result<(), RuntimeError> {
        let worker = cell.id;
        let is_missing = |preopen: &&Preopen| {
            Scope::is_granted_by(preopen)
                && self.allocations.held(worker, &preopen.guest_path).is_none()
        };
        let grants = cell.authority().grants;
        let missing: Vec<Preopen> = grants.preopens.iter().filter(is_missing).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (roots, allocations) = (Arc::clone(&self.roots), Arc::clone(&self.allocations));
        let claim = move || {
            let mut scopes = Vec::new();
            for preopen in &missing {
                let scope =
                    if starts { roots.admit_preopen(preopen) } else { roots.scope(preopen) };
                match scope {
                    Ok(scope) => scopes.extend(scope),
                    Err(fault) if starts => return Err(PreopenError::of(preopen, fault).into()),
                    Err(fault) => {
                        tracing::warn!(%worker, %preopen, %fault, "a Worker's directory is not there");
                    }
                }
            }
            Ok(allocations.claim(worker, scopes)?)
        };
        let claimed = self.threads.handle().spawn_blocking(in_current(claim)).await;
        claimed.map_err(|error| internal(&error))?
    }

    /// Gives a Worker that the store has its scopes again, unless it was stopped. One that does not get
    /// them is unavailable until it is asked again and does.
    pub(super) async fn restore_scopes(&self, cell: &WorkerCell, status: WorkerStatus) {
        if status == WorkerStatus::Stopped {
            return;
        }
        if let Err(error) = self.hold_scopes(cell, false).await {
            tracing::warn!(worker = %cell.id, %error, "a Worker does not get its directories");
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
        let flushed =
            self.threads.handle().spawn_blocking(in_current(move || allocations.flush())).await;
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
            return Err(PreopenError::of(preopen, PreopenFault::Exchanged));
        }
    }
    Ok(())
}

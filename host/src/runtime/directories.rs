//! The directories of Workers: opened for each turn, and removed with the Worker where they are its
//! own. What waits for the disk does so on threads that may.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit};
use worker_types::{Grants, WorkerId};

use super::{Inner, damage, scopes};
use crate::{
    capability::filesystem::Handles,
    error_chain,
    grants::{OpenPreopen, PreopenError},
    spans::in_current,
};

impl Inner {
    /// Opens the directories in `grants` for a turn of `worker`, as soon as so many files may be open.
    pub(crate) async fn open_preopens(
        &self,
        worker: WorkerId,
        grants: &Arc<Grants>,
        handles: Handles,
    ) -> Result<TurnPreopens, OpenPreopensError> {
        // More than there are would never be had.
        let all = u32::try_from(self.limits.open_files).unwrap_or(u32::MAX);
        let files = u32::try_from(grants.preopens.len()).unwrap_or(u32::MAX).min(all);
        let permit = Some(Arc::clone(&self.open_files).acquire_many_owned(files).await?);
        if grants.preopens.is_empty() {
            return Ok(TurnPreopens { opened: Vec::new(), permit, handles });
        }
        let (roots, grants) = (Arc::clone(&self.roots), Arc::clone(grants));
        let allocations = Arc::clone(&self.allocations);
        let open = move || {
            let opened = roots.open_preopens(worker, &grants)?;
            scopes::check(&allocations, worker, &grants, &opened)?;
            Ok::<_, PreopenError>(opened)
        };
        let opened = self.threads.handle().spawn_blocking(in_current(open)).await??;
        Ok(TurnPreopens { opened, permit, handles })
    }

    /// Removes the private directories of Workers that are not there any more.
    pub(crate) async fn sweep_scratch(self: &Arc<Self>) {
        // Of a Worker whose record is damaged it is not known which is its directory.
        if self.roots.scratch().is_none() || self.damage.has(damage::WORKER) {
            return;
        }
        let runtime = Arc::clone(self);
        let sweep = move || {
            let is_kept = |worker| runtime.workers.cell(worker).is_ok();
            runtime.roots.scratch().map_or(Ok(()), |scratch| scratch.sweep(is_kept))
        };
        match self.threads.handle().spawn_blocking(sweep).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "old private directories cannot be removed"),
            Err(error) => {
                tracing::error!(error = error_chain(&error), "removing directories failed");
            }
        }
    }

    /// Removes the private directory of a Worker that is deleted. What cannot be removed now is tried
    /// again at the next start.
    pub(crate) async fn remove_scratch(&self, worker: WorkerId) {
        let roots = Arc::clone(&self.roots);
        let remove = move || roots.scratch().map_or(Ok(()), |scratch| scratch.remove(worker));
        match self.threads.handle().spawn_blocking(in_current(remove)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%worker, %error, "a private directory cannot be removed");
            }
            Err(error) => {
                tracing::error!(%worker, error = error_chain(&error), "removing a directory failed");
            }
        }
    }
}

/// The directories of a turn, and the right to have them open.
#[derive(Debug)]
pub(crate) struct TurnPreopens {
    pub(crate) opened: Vec<OpenPreopen>,
    /// Absent where nobody else could want it.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
    /// Where the turn's handles are remembered.
    pub(crate) handles: Handles,
}

impl From<Vec<OpenPreopen>> for TurnPreopens {
    fn from(opened: Vec<OpenPreopen>) -> Self {
        Self { opened, permit: None, handles: Handles::default() }
    }
}

/// Why the directories of a turn cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenPreopensError {
    #[error(transparent)]
    Preopen(#[from] PreopenError),
    #[error("an internal error")]
    Failed(#[from] tokio::task::JoinError),
    #[error("the Runtime ends")]
    Closed(#[from] AcquireError),
}

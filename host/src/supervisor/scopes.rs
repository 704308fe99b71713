//! The directories that the Worker may write to: held until it is stopped and its guest is gone.

use tokio_util::task::AbortOnDropHandle;
use worker_types::{Grant, Outcome, RuntimeError, WorkerStatus};

use super::{Supervisor, gone};
use crate::{capability::filesystem::Handles, journal::Journal, runtime::Inner};

impl Supervisor {
    /// Claims for a Worker that is to start what it was granted. One that does not get it stays as it
    /// is: stopped, as a rule.
    pub(super) async fn take_scopes_to_start(&self) -> Result<(), RuntimeError> {
        self.runtime.hold_scopes(&self.cell, true).await?;
        self.runtime.count(self.cell.set_scopes_taken(None));
        Ok(())
    }

    /// Claims what the Worker does not hold yet.
    async fn hold_scopes(&self) -> Result<(), RuntimeError> {
        let held = self.runtime.hold_scopes(&self.cell, false).await;
        let taken = held.as_ref().err().map(ToString::to_string);
        self.runtime.count(self.cell.set_scopes_taken(taken));
        held
    }

    /// Brings what the Worker holds in line with its log. Returns whether it may run: one whose
    /// directories are held elsewhere is unavailable until it is asked again and gets them.
    pub(super) async fn settle_scopes(&mut self, journal: &Journal) -> bool {
        self.release_scopes(journal).await;
        if is_over(journal) || self.hold_scopes().await.is_ok() {
            return true;
        }
        let error = self.unavailable();
        self.waiting.drain(..).for_each(|(_, reply)| drop(reply.send(Err(error.clone()))));
        false
    }

    /// Releases what was taken away, and everything if the Worker is stopped or deleted. A guest that
    /// is still there might write.
    pub(super) async fn release_scopes(&mut self, journal: &Journal) {
        if !is_over(journal) {
            return self.release_revoked().await;
        }
        if self.runtime.allocations.holds_any(self.cell.id) && self.guest_is_gone().await {
            self.runtime.release_scopes(self.cell.id).await;
        }
        // It waits for nothing any more.
        self.runtime.count(self.cell.set_scopes_taken(None));
    }

    async fn release_revoked(&mut self) {
        let Some(revoked) = self.cell.authority().revoked else { return };
        for grant in &*revoked {
            if let Grant::Preopen(guest_path) = grant
                && self.runtime.allocations.held(self.cell.id, guest_path).is_some()
                && self.guest_is_gone().await
            {
                self.runtime.release_scope(self.cell.id, guest_path).await;
            }
        }
    }

    /// Waits until nothing of a guest is there any more, also no call of its that the system has begun.
    /// Returns whether that is so: a Runtime that ends does not wait for a disk that answers no more.
    pub(super) async fn guest_is_gone(&mut self) -> bool {
        is_gone(&mut self.guest, &self.files, &self.runtime).await
    }
}

/// The same, of its parts.
pub(super) async fn is_gone(
    guest: &mut Option<AbortOnDropHandle<Outcome>>,
    files: &Handles,
    runtime: &Inner,
) -> bool {
    gone(guest).await;
    tokio::select! {
        biased;
        () = files.closed() => true,
        () = runtime.interrupt.cancelled() => false,
    }
}

fn is_over(journal: &Journal) -> bool {
    let state = journal.state();
    state.is_deleted() || state.status() == WorkerStatus::Stopped
}

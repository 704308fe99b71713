//! The directories that the Worker may write to: held until it is stopped and its guest is gone.

use worker_types::{Grant, RuntimeError, WorkerStatus};

use super::{Supervisor, gone};
use crate::{grants::Scope, journal::Journal};

impl Supervisor {
    /// Claims what the Worker does not hold yet.
    pub(super) async fn hold_scopes(&self) -> Result<(), RuntimeError> {
        if self.runtime.hold_scopes(&self.cell).await? {
            self.runtime.count(self.cell.set_unavailable(None));
        }
        Ok(())
    }

    /// Brings what the Worker holds in line with its log. Returns whether it may run: one whose
    /// directories are held elsewhere is unavailable until it is asked again and gets them.
    pub(super) async fn settle_scopes(&mut self, journal: &Journal) -> bool {
        self.release_scopes(journal).await;
        if is_over(journal) {
            return true;
        }
        let held = self.hold_scopes().await;
        if let Err(error) = &held {
            self.runtime.count(self.cell.set_unavailable(Some(error.to_string())));
            let error = self.unavailable();
            self.waiting.drain(..).for_each(|(_, reply)| drop(reply.send(Err(error.clone()))));
        }
        held.is_ok()
    }

    /// Releases what was taken away, and everything if the Worker is stopped or deleted. A guest that
    /// is still there might write.
    pub(super) async fn release_scopes(&mut self, journal: &Journal) {
        if !is_over(journal) {
            return self.release_revoked().await;
        }
        if self.runtime.allocations.holds_any(self.cell.id) {
            gone(&mut self.guest).await;
            self.runtime.release_scopes(self.cell.id).await;
        } else if self.cell.authority().grants.preopens.iter().any(Scope::is_granted_by)
            && self.cell.lock().unavailable().is_some()
        {
            // It waits for nothing any more.
            self.runtime.count(self.cell.set_unavailable(None));
        }
    }

    async fn release_revoked(&mut self) {
        let Some(revoked) = self.cell.authority().revoked else { return };
        for grant in &*revoked {
            if let Grant::Preopen(guest_path) = grant
                && self.runtime.allocations.held(self.cell.id, guest_path).is_some()
            {
                gone(&mut self.guest).await;
                self.runtime.release_scope(self.cell.id, guest_path).await;
            }
        }
    }
}

fn is_over(journal: &Journal) -> bool {
    let state = journal.state();
    state.is_deleted() || state.status() == WorkerStatus::Stopped
}

//! Who may write where. A Worker holds the directories that it may write to, its *scopes*, from its
//! creation until it is stopped, and no other live Worker gets one that overlaps, unless both say
//! `shared`.
//!
//! Within one Runtime that is a table in memory. Across the Runtimes of a user it is the `register`:
//! a database that says who holds what, and a lock for each Runtime that says whether it still lives.

#[cfg(all(unix, feature = "sqlite"))]
mod register;
mod table;

use std::sync::{Mutex, MutexGuard, PoisonError};

use worker_types::{GuestPath, RuntimeError, RuntimeId, ScopeHolder, WorkerId};

use crate::grants::{Extent, Scope};

#[cfg(all(unix, feature = "sqlite"))]
pub use register::OpenAllocationsError;
#[cfg(all(unix, feature = "sqlite"))]
use register::Register;
use table::Table;

/// The scopes of a Runtime's Workers.
#[derive(Debug)]
pub(crate) struct Allocations {
    runtime_id: RuntimeId,
    /// Held for a few look-ups, never while the disk is waited for.
    table: Mutex<Table>,
    #[cfg(all(unix, feature = "sqlite"))]
    register: Option<Register>,
}

/// Why a Worker does not get its scopes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("{preopen} is held by {holder}")]
    Taken { preopen: GuestPath, holder: ScopeHolder },
    /// Nobody can tell whether another Runtime holds them. The reason is for anybody.
    #[cfg(all(unix, feature = "sqlite"))]
    #[error("the record of the directories that Workers write to cannot be used: {reason}")]
    Unknown { reason: String },
}

impl From<ClaimError> for RuntimeError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Taken { preopen, holder } => Self::ScopeConflict { preopen, holder },
            #[cfg(all(unix, feature = "sqlite"))]
            ClaimError::Unknown { .. } => Self::RuntimeUnavailable { reason: error.to_string() },
        }
    }
}

impl Allocations {
    /// Within this Runtime alone.
    pub(crate) fn within(runtime_id: RuntimeId) -> Self {
        Self {
            runtime_id,
            table: Mutex::default(),
            #[cfg(all(unix, feature = "sqlite"))]
            register: None,
        }
    }

    /// With all Runtimes that name the same directory. This blocks.
    #[cfg(all(unix, feature = "sqlite"))]
    pub(crate) fn across(
        runtime_id: RuntimeId,
        directory: &std::path::Path,
    ) -> Result<Self, OpenAllocationsError> {
        let register = Some(Register::open(directory, &runtime_id)?);
        Ok(Self { register, ..Self::within(runtime_id) })
    }

    /// Gives `worker` all of `scopes` that it does not hold yet, or none of them. This blocks.
    pub(crate) fn claim(&self, worker: WorkerId, scopes: Vec<Scope>) -> Result<(), ClaimError> {
        if scopes.is_empty() {
            return Ok(());
        }
        let taken = |(preopen, holder)| {
            let (runtime_id, worker_id) = (self.runtime_id.clone(), holder);
            ClaimError::Taken { preopen, holder: ScopeHolder { runtime_id, worker_id } }
        };
        let added = self.lock().claim(worker, scopes).map_err(taken)?;
        #[cfg(all(unix, feature = "sqlite"))]
        if let Some(register) = &self.register
            && let Err(error) = register.claim(worker, &added)
        {
            let mut table = self.lock();
            added.iter().for_each(|scope| drop(table.release(worker, &scope.guest_path)));
            return Err(error);
        }
        drop(added);
        Ok(())
    }

    /// Where the scope of `worker` lies that it sees at `guest_path`.
    pub(crate) fn held(&self, worker: WorkerId, guest_path: &GuestPath) -> Option<Extent> {
        let table = self.lock();
        let scope = table.held(worker).find(|scope| scope.guest_path == *guest_path)?;
        Some(scope.extent.clone())
    }

    /// Whether `worker` holds anything.
    pub(crate) fn holds_any(&self, worker: WorkerId) -> bool {
        self.lock().held(worker).next().is_some()
    }

    /// Takes one scope from `worker`. For other Runtimes it is free after [`Self::flush`].
    pub(crate) fn release(&self, worker: WorkerId, guest_path: &GuestPath) {
        let released = self.lock().release(worker, guest_path);
        self.retire(worker, released);
    }

    /// Takes all scopes from `worker`. For other Runtimes they are free after [`Self::flush`].
    pub(crate) fn release_all(&self, worker: WorkerId) {
        let released = self.lock().release_all(worker);
        self.retire(worker, released);
    }

    fn retire(&self, worker: WorkerId, released: impl IntoIterator<Item = Scope>) {
        #[cfg(all(unix, feature = "sqlite"))]
        if let Some(register) = &self.register {
            register.retire(worker, released);
            return;
        }
        let _ = (worker, released);
    }

    /// Tells other Runtimes what was released. What cannot be told now is with the next claim or
    /// release. This blocks.
    pub(crate) fn flush(&self) {
        #[cfg(all(unix, feature = "sqlite"))]
        if let Some(register) = &self.register {
            register.flush();
        }
    }

    /// What keeps the scopes of this Runtime's Workers: whoever has it open, in whatever process, has
    /// them held. Sandboxed programs inherit it. Nothing, where no other Runtime is told.
    #[cfg(all(unix, feature = "sqlite"))]
    #[cfg_attr(not(test), expect(dead_code, reason = "the launcher will give it to programs"))]
    pub(crate) fn hold(&self) -> std::io::Result<Option<std::os::fd::OwnedFd>> {
        self.register.as_ref().map(Register::hold).transpose()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing panics between a lock and the end of its change.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

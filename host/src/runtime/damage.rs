//! What of the store is damaged and is no Worker's to say. It is noted once, for the operator.

use std::sync::{Mutex, MutexGuard, PoisonError};

use worker_types::Diagnostic;

/// A Worker that cannot be shown.
pub(crate) const WORKER: &str = "worker_damaged";
/// What Workers share.
pub(crate) const STORE: &str = "store_damaged";

#[derive(Debug, Default)]
pub(crate) struct Damage(Mutex<Vec<Diagnostic>>);

impl Damage {
    /// Notes it, unless it is noted already.
    pub(crate) fn note(&self, code: &str, message: String) {
        let found = Diagnostic { code: code.to_owned(), message };
        let mut known = self.lock();
        if !known.contains(&found) {
            tracing::error!(code, message = found.message, "the store is damaged");
            known.push(found);
        }
    }

    /// Whether anything of this kind is noted.
    pub(super) fn has(&self, code: &str) -> bool {
        self.lock().iter().any(|known| known.code == code)
    }

    pub(super) fn diagnostics(&self) -> Vec<Diagnostic> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Diagnostic>> {
        // Nothing panics between a lock and the end of its change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

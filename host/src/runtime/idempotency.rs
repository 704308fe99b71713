//! Idempotency keys: the same request with the same key is carried out once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;
use worker_types::{IdempotencyKey, RuntimeError, WorkerId};

use super::{Inner, store_error};
use crate::store::{KeyRecord, KeyScope, KeyedOperation, StoreError};

/// The keys of requests that are on their way: a duplicate waits for the first.
#[derive(Debug, Default)]
pub(crate) struct KeyLocks {
    locks: Mutex<HashMap<KeyScope, Arc<tokio::sync::Mutex<()>>>>,
}

/// A key whose request is on its way. Duplicates wait until this is dropped, which is when the
/// outcome is known.
#[derive(Debug)]
pub(crate) struct PendingKey {
    runtime: Arc<Inner>,
    scope: KeyScope,
    request: [u8; 32],
    /// Given back before the lock is looked at.
    guard: Option<OwnedMutexGuard<()>>,
}

/// What is known of a key.
#[derive(Debug)]
pub(super) enum Keyed {
    /// Its request was accepted before; this is the answer, as JSON.
    Accepted(Vec<u8>),
    /// Its request is to be carried out.
    New(PendingKey),
}

impl Inner {
    /// Looks a key up, after every earlier request with it is done.
    ///
    /// # Errors
    ///
    /// `IdempotencyConflict` where it was used with another request, `StoreDamaged` where what is
    /// remembered of it cannot be read.
    pub(super) async fn keyed(
        self: &Arc<Self>,
        key: &IdempotencyKey,
        operation: KeyedOperation,
        worker_id: Option<WorkerId>,
        request: &impl Serialize,
    ) -> Result<Keyed, RuntimeError> {
        let scope = KeyScope {
            principal: key.principal().to_owned(),
            operation,
            worker_id,
            key: key.as_str().to_owned(),
        };
        let request = digest(request)?;
        // Made first: it forgets the key also where this is dropped while it waits.
        let mut pending = PendingKey { runtime: Arc::clone(self), scope, request, guard: None };
        pending.guard = Some(self.keys.lock(&pending.scope).await);
        let known = self.store.key(&pending.scope).await.map_err(|error| match error {
            StoreError::TableDamaged { .. } => key_damaged(),
            error => store_error(&error),
        });
        match known? {
            Some(known) if known.request == request => Ok(Keyed::Accepted(known.answer)),
            Some(_) => Err(RuntimeError::IdempotencyConflict),
            None => Ok(Keyed::New(pending)),
        }
    }
}

/// An answer that was remembered with a key.
pub(super) fn accepted<T: DeserializeOwned>(answer: &[u8]) -> Result<T, RuntimeError> {
    serde_json::from_slice(answer).map_err(|error| {
        tracing::error!(%error, "the answer of an idempotency key is damaged");
        key_damaged()
    })
}

fn key_damaged() -> RuntimeError {
    let reason = "what is remembered of this idempotency key cannot be read: look whether the \
        request was carried out, and if it was not, ask again with another key";
    RuntimeError::StoreDamaged { reason: reason.to_owned() }
}

impl PendingKey {
    /// What to remember once the request is accepted with this answer.
    pub(crate) fn record(&self, answer: &impl Serialize) -> KeyRecord {
        // Ids and acceptances serialise.
        let answer = serde_json::to_vec(answer).unwrap_or_default();
        KeyRecord { scope: self.scope.clone(), request: self.request, answer, at: Timestamp::now() }
    }
}

impl Drop for PendingKey {
    fn drop(&mut self) {
        self.guard = None;
        self.runtime.keys.forget(&self.scope);
    }
}

impl KeyLocks {
    async fn lock(&self, scope: &KeyScope) -> OwnedMutexGuard<()> {
        let lock = Arc::clone(self.table().entry(scope.clone()).or_default());
        lock.lock_owned().await
    }

    /// Forgets a key that nobody waits for.
    fn forget(&self, scope: &KeyScope) {
        let mut locks = self.table();
        if locks.get(scope).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(scope);
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<KeyScope, Arc<tokio::sync::Mutex<()>>>> {
        // Nothing panics between a lock and the end of its change.
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(request: &impl Serialize) -> Result<[u8; 32], RuntimeError> {
    let json = serde_json::to_vec(request).map_err(|error| super::internal(&error))?;
    Ok(Sha256::digest(&json).into())
}

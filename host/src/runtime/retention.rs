//! What a Runtime does from time to time: it removes what is kept no longer (old events, idempotency
//! keys), and tries again what failed and nobody asked for since.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use worker_types::RuntimeError;

use super::{Inner, Runtime, damage, store_error};
use crate::{store::StoreError, supervisor::Request};

/// How often the store is looked through.
const INTERVAL: Duration = Duration::from_secs(600);

/// How long the acceptance of a request with an idempotency key is remembered.
const KEYS_KEPT: Duration = Duration::from_secs(25 * 3_600);

impl Runtime {
    /// Removes the events and idempotency keys that need not be kept any more. This happens every
    /// ten minutes by itself. Workers with a turn are left for the next time.
    ///
    /// # Errors
    ///
    /// `RuntimeUnavailable` where the store fails.
    pub async fn enforce_retention(&self) -> Result<(), RuntimeError> {
        let runtime = &self.0;
        let now = Timestamp::now();
        let keys_before = now.checked_sub(KEYS_KEPT).unwrap_or(Timestamp::MIN);
        // Keys that cannot be read are no reason to keep events.
        let forgotten = match runtime.store.forget_keys(keys_before).await {
            Err(StoreError::TableDamaged { reason }) => {
                runtime.damage.note(damage::STORE, reason);
                Ok(())
            }
            forgotten => forgotten.map(drop).map_err(|error| store_error(&error)),
        };
        let trimmable = runtime.store.trimmable(&runtime.retention, now).await;
        for (id, through) in trimmable.map_err(|error| store_error(&error))? {
            match self.ask(id, |reply| Request::Trim { through, reply }).await {
                Err(error @ RuntimeError::RuntimeUnavailable { .. }) => return Err(error),
                // There will be another time.
                Err(error) => tracing::warn!(worker = %id, %error, "a Worker's log is not trimmed"),
                Ok(()) => {}
            }
        }
        forgotten
    }
}

impl Runtime {
    /// Tries to load the Workers again that have something to do and could not be loaded. This happens
    /// every ten minutes by itself, and for each Worker when something is asked of it.
    pub fn retry_unavailable(&self) {
        if self.overview().unavailable > 0 {
            self.0.workers.retry_unavailable(&self.0);
        }
    }
}

impl Inner {
    /// Starts what is done from time to time. It ends with the Runtime.
    pub(crate) fn spawn_maintenance(self: &Arc<Self>) {
        let (runtime, closing) = (Arc::downgrade(self), self.closing.clone());
        self.host.spawn(async move {
            loop {
                tokio::select! {
                    () = closing.cancelled() => return,
                    () = tokio::time::sleep(INTERVAL) => {}
                }
                let Some(runtime) = runtime.upgrade() else { return };
                let runtime = Runtime(runtime);
                runtime.retry_unavailable();
                if let Err(error) = runtime.enforce_retention().await {
                    tracing::warn!(%error, "old events could not be removed");
                }
            }
        });
    }
}

//! The components that a Runtime keeps: for Workers to be upgraded to, until nobody goes by them.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use tokio::{
    sync::{OwnedRwLockReadGuard, RwLock, RwLockWriteGuard},
    task::spawn_blocking,
};
use worker_types::{ComponentDigest, KeptComponent, RuntimeError};

use super::{Inner, Runtime, store_error, task_failed, upgrade::not_loaded};
use crate::{
    engine::{Takes, inspect_component},
    error_chain,
};

/// Workers looked at in one step, with the table of Workers locked.
const STEP: usize = 1_000;

/// When components are removed: not while a Worker is about to go by one.
#[derive(Debug, Default)]
pub(crate) struct ComponentRemoval(Arc<RwLock<()>>);

/// No component is removed while this is there.
#[derive(Debug)]
pub(crate) struct ComponentsStay(
    #[expect(dead_code, reason = "it is held")] OwnedRwLockReadGuard<()>,
);

impl ComponentRemoval {
    pub(crate) async fn hold_off(&self) -> ComponentsStay {
        ComponentsStay(Arc::clone(&self.0).read_owned().await)
    }

    /// Waits until no Worker is about to go by another component, and keeps it so.
    async fn begin(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.write().await
    }
}

impl Runtime {
    /// Keeps a component, so that Workers can be upgraded to it by its digest.
    ///
    /// # Errors
    ///
    /// `InvalidComponent`, `RuntimeUnavailable`.
    pub async fn add_component(&self, bytes: Bytes) -> Result<KeptComponent, RuntimeError> {
        self.0.check_accepting()?;
        let loaded = self.0.engines.load(bytes.clone()).await;
        let digest = loaded.map_err(|error| not_loaded(&error))?.digest;
        let kept = self.0.store.put_component(digest, &bytes).await;
        kept.map_err(|error| store_error(&error))?;
        let limits = Arc::clone(&self.0.limits);
        let inspected = spawn_blocking(move || inspect_component(&bytes, &limits)).await;
        let inspected = inspected.map_err(|_| task_failed())?;
        let imports = inspected
            .map_err(|error| RuntimeError::InvalidComponent { reason: error_chain(&error) })?;
        let (mut names, mut capabilities) = (Vec::new(), BTreeSet::new());
        for import in imports.imports {
            if let Takes::Grant(capability) = import.takes {
                capabilities.insert(capability);
            }
            names.push(import.name);
        }
        Ok(KeptComponent { digest, imports: names, capabilities })
    }

    /// Removes a component that was kept, unless a profile or a Worker goes by it.
    ///
    /// # Errors
    ///
    /// `UnknownComponent`, `ComponentInUse`, `RuntimeUnavailable`.
    pub async fn remove_component(&self, digest: ComponentDigest) -> Result<(), RuntimeError> {
        self.0.check_accepting()?;
        let _nobody_takes_it = self.0.component_removal.begin().await;
        if let Some(reason) = self.0.user_of(digest) {
            return Err(RuntimeError::ComponentInUse { reason });
        }
        let removed = self.0.store.remove_component(digest).await;
        match removed.map_err(|error| store_error(&error))? {
            true => Ok(()),
            false => Err(RuntimeError::UnknownComponent { component: digest.to_string() }),
        }
    }
}

impl Inner {
    /// Who goes by the component, where somebody does.
    fn user_of(&self, digest: ComponentDigest) -> Option<String> {
        let profile = self.profiles.values().find(|profile| profile.digest == digest);
        if let Some(profile) = profile {
            return Some(format!("the profile `{}` names it", profile.profile.name));
        }
        let mut after = None;
        loop {
            let page = self.workers.page(after, STEP);
            if let Some(user) = page.iter().find(|cell| cell.authority().profile.digest == digest) {
                return Some(format!("Worker {} goes by it", user.id));
            }
            after = Some(page.last()?.id);
        }
    }

    /// Whether the component is there after a restart too.
    pub(crate) async fn keeps(&self, digest: ComponentDigest) -> Result<bool, RuntimeError> {
        if self.profiles.values().any(|profile| profile.digest == digest) {
            return Ok(true);
        }
        self.store.has_component(digest).await.map_err(|error| store_error(&error))
    }
}

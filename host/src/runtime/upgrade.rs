//! What changes of a Worker after its creation: its component, and what is taken away of its grants.
//! Nothing is ever added to them.

use std::{
    collections::BTreeSet,
    sync::{Arc, MutexGuard, PoisonError},
};

use worker_types::{
    ComponentDigest, ComponentRef, Grant, Profile, RuntimeError, Upgraded, WorkerId,
};

use super::{Inner, InstalledProfile, Runtime, Snapshots};
use crate::{
    cell::Authority,
    engine::{LoadComponentError, LoadedComponent},
    error_chain,
    supervisor::Request,
};

impl Runtime {
    /// Takes grants away from a Worker, for ever. A turn that runs ends as cancelled, and later ones
    /// find them revoked. What was taken away before is no error; it is in the log when this returns.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the Worker was never granted one of them, or none is named;
    /// `UnknownWorker`, `WorkerUnavailable`, `RuntimeUnavailable`.
    pub async fn revoke(&self, id: WorkerId, grants: Vec<Grant>) -> Result<(), RuntimeError> {
        let authority = self.0.workers.cell(id)?.authority();
        if grants.is_empty() {
            let reason = "name at least one grant to revoke".to_owned();
            return Err(RuntimeError::InvalidInput { reason });
        }
        let held: BTreeSet<Grant> = authority.grants.all().collect();
        let never = |grant: &&Grant| !held.contains(grant) && !authority.is_revoked(grant);
        if let Some(grant) = grants.iter().find(never) {
            let reason = format!("the Worker was not granted `{grant}`");
            return Err(RuntimeError::InvalidInput { reason });
        }
        self.ask(id, |reply| Request::Revoke { grants, reply }).await
    }

    /// Moves a Worker to another component, from its next turn on. Its profile stays what it is, and
    /// so do its grants: a component that imports more is refused.
    ///
    /// # Errors
    ///
    /// `UnknownComponent`, `InvalidComponent`; `MissingGrant` with everything that the component would
    /// need beyond what the Worker has; `Busy` while a turn runs or waits; `UnknownWorker`,
    /// `WorkerUnavailable`, `RuntimeUnavailable`.
    pub async fn upgrade(
        &self,
        id: WorkerId,
        component: &ComponentRef,
    ) -> Result<Upgraded, RuntimeError> {
        self.0.check_accepting()?;
        let profile = self.0.workers.cell(id)?.authority().profile;
        // To say what it loses. That it cannot be loaded may be why it is exchanged.
        let _ = profile.component(&self.0).await;
        let digest = self.0.digest_of(component)?;
        // Until it is in the Worker's log.
        let stay = self.0.component_removal.hold_off().await;
        let profile = Profile { component: component.clone(), ..profile.profile.clone() };
        let profile = self.0.snapshots().snapshot(&profile, digest);
        let loaded = profile.component(&self.0).await;
        loaded.map_err(|reason| match self.0.engines.known(digest) {
            Some(Err(error)) => not_loaded(&error),
            _ => {
                tracing::debug!(%component, %reason, "no such component");
                RuntimeError::UnknownComponent { component: component.to_string() }
            }
        })?;
        // Something that ends just now may still have one that was removed.
        if !self.0.keeps(digest).await? {
            return Err(RuntimeError::UnknownComponent { component: component.to_string() });
        }
        self.ask(id, |reply| Request::Upgrade { profile, stay, reply }).await
    }
}

impl Inner {
    pub(crate) fn snapshots(&self) -> MutexGuard<'_, Snapshots> {
        // Nothing panics between a lock and the end of its change.
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn digest_of(&self, component: &ComponentRef) -> Result<ComponentDigest, RuntimeError> {
        if let ComponentRef::Digest(digest) = component {
            return Ok(*digest);
        }
        let known = self.profiles.values().find(|known| known.profile.component == *component);
        let unknown = || RuntimeError::UnknownComponent { component: component.to_string() };
        known.map(|known| known.digest).ok_or_else(unknown)
    }
}

pub(super) fn not_loaded(error: &LoadComponentError) -> RuntimeError {
    let reason = error_chain(error);
    if error.is_of_component() {
        RuntimeError::InvalidComponent { reason }
    } else {
        RuntimeError::RuntimeUnavailable { reason }
    }
}

/// What a Worker with `authority` would gain and lose by going by `profile`.
///
/// # Errors
///
/// `MissingGrant` where it would need more than it has.
pub(crate) fn difference(
    authority: &Authority,
    profile: &Arc<InstalledProfile>,
) -> Result<Upgraded, RuntimeError> {
    // What was taken away is no reason to take a component that needs it.
    let grants = Arc::clone(&authority.grants);
    let upgraded = Authority::new(Arc::clone(profile), grants);
    let imports = |profile: &InstalledProfile| -> BTreeSet<String> {
        profile.loaded().into_iter().flat_map(LoadedComponent::imports).map(str::to_owned).collect()
    };
    if let Some(component) = profile.loaded() {
        component.admit(&upgraded)?;
    }
    let (before, after) = (imports(&authority.profile), imports(profile));
    Ok(Upgraded {
        from: authority.profile.digest,
        to: profile.digest,
        gained: after.difference(&before).cloned().collect(),
        lost: before.difference(&after).cloned().collect(),
    })
}

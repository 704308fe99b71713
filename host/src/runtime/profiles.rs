//! Profiles as Workers have them: a snapshot, and its component once it is loaded.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
};

use fail::fail_point;
use jiff::Timestamp;
use tokio::sync::OnceCell;
use worker_types::{
    ComponentDigest, ComponentRef, Event, EventBody, Grants, Labels, Profile, ProfileName, WorkerId,
};

use super::{Inner, WorkerMeta};
use crate::{
    cell::Authority,
    engine::{Loaded, LoadedComponent},
    error_chain,
};

/// A profile and its component.
#[derive(Debug)]
pub(crate) struct InstalledProfile {
    pub(crate) profile: Profile,
    pub(crate) digest: ComponentDigest,
    component: OnceCell<Arc<LoadedComponent>>,
    /// Why nothing runs that was created with it, whatever there is of it.
    damage: Option<Box<str>>,
}

impl InstalledProfile {
    /// One whose component is loaded.
    pub(crate) fn new(profile: Profile, component: Arc<LoadedComponent>) -> Self {
        let digest = component.digest;
        Self { profile, digest, component: OnceCell::new_with(Some(component)), damage: None }
    }

    /// What stands for one that cannot be read: a name, and the digest of nothing.
    fn unknown(reason: String) -> Option<Self> {
        let name: ProfileName = "unknown".parse().ok()?;
        let profile = Profile {
            component: ComponentRef::Builtin(name.clone()),
            name,
            description: String::new(),
            optional: Default::default(),
            resume: false,
            commands: Default::default(),
            config: Default::default(),
        };
        let digest = ComponentDigest::from_sha256([0; 32]);
        Some(Self { profile, digest, component: OnceCell::new(), damage: Some(reason.into()) })
    }

    /// Why it cannot be known what was created with it.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// The component, from the store's copy where it is not loaded yet.
    ///
    /// # Errors
    ///
    /// Why it cannot be loaded.
    pub(crate) async fn component(&self, runtime: &Inner) -> Result<&LoadedComponent, String> {
        if let Some(reason) = self.damage() {
            return Err(reason.to_owned());
        }
        let load = async || {
            fail_point!("profiles::load", |_| Err("injected".to_owned()));
            let loaded = |loaded: Loaded| loaded.map_err(|error| error_chain(&*error));
            if let Some(known) = runtime.engines.known(self.digest) {
                return loaded(known);
            }
            let bytes = runtime.store.component(self.digest).await;
            let bytes = bytes.map_err(|error| error.to_string())?;
            let bytes = bytes.ok_or_else(|| format!("the component {} is gone", self.digest))?;
            loaded(runtime.engines.load(bytes).await)
        };
        self.component.get_or_try_init(load).await.map(Arc::as_ref)
    }

    /// The component, if it is loaded.
    pub(crate) fn loaded(&self) -> Option<&LoadedComponent> {
        self.component.get().map(Arc::as_ref)
    }
}

impl WorkerMeta {
    /// What is shown of a Worker where it cannot be read what it was created with. It is granted
    /// nothing, and its id says when it was made.
    pub(crate) fn unknown(worker_id: WorkerId, reason: String) -> Option<(Self, Authority)> {
        let milliseconds = worker_id.as_bytes()[..6]
            .iter()
            .fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
        let created_at = Timestamp::from_millisecond(milliseconds).unwrap_or_default();
        let profile = Arc::new(InstalledProfile::unknown(reason)?);
        let authority = Authority::new(profile, Arc::new(Grants::none()));
        Some((Self::new(None, Labels::default(), created_at), authority))
    }
}

/// The profiles that Workers go by: those that the Runtime has now, and the snapshots of Workers that
/// were created with, or upgraded to, others. Each is there once, for as long as somebody has it.
#[derive(Debug, Default)]
pub(crate) struct Snapshots(Vec<Weak<InstalledProfile>>);

impl Snapshots {
    pub(crate) fn new(installed: impl IntoIterator<Item = Arc<InstalledProfile>>) -> Self {
        Self(installed.into_iter().map(|profile| Arc::downgrade(&profile)).collect())
    }

    /// What a Worker was created with, from its `worker.created`.
    pub(crate) fn meta(
        &mut self,
        runtime: &Inner,
        created: &Event,
    ) -> Option<(WorkerMeta, Authority)> {
        let EventBody::WorkerCreated { display_name, profile, component, grants, labels } =
            &created.body
        else {
            return None;
        };
        // What of it was taken away is known once the rest of the log is.
        let granted = runtime.share(grants.clone());
        let grants = runtime.left_of(&granted, &BTreeSet::new());
        let profile = self.snapshot(profile, *component);
        let authority = Authority { grants, ..Authority::new(profile, granted) };
        Some((WorkerMeta::new(display_name.clone(), labels.clone(), created.at), authority))
    }

    /// The one that says the same.
    pub(crate) fn snapshot(
        &mut self,
        profile: &Profile,
        digest: ComponentDigest,
    ) -> Arc<InstalledProfile> {
        let same =
            |known: &Arc<InstalledProfile>| known.digest == digest && known.profile == *profile;
        if let Some(known) = self.0.iter().filter_map(Weak::upgrade).find(same) {
            return known;
        }
        self.0.retain(|known| known.strong_count() > 0);
        let snapshot = Arc::new(InstalledProfile {
            profile: profile.clone(),
            digest,
            component: OnceCell::new(),
            damage: None,
        });
        self.0.push(Arc::downgrade(&snapshot));
        snapshot
    }
}

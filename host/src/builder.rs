//! Builds a Runtime from what its embedder chose.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    error::Error,
    sync::{Arc, Mutex},
};

use llm_engine::Models;
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use worker_types::{
    ComponentRef, Grants, Limits, Overview, Profile, ProfileName, RuntimeError, RuntimeId,
};

use crate::{
    Runtime, Store,
    engine::{Engines, LoadComponentError, LoadedComponent, live_turns},
    error_chain::error_chain,
    runtime::{GuestThreads, Inner, InstalledProfile},
};

/// Builds a [`Runtime`]. What is not set is the least: a store in memory, no models, no profiles,
/// and a ceiling of no authority.
#[derive(Debug)]
pub struct RuntimeBuilder {
    id: RuntimeId,
    display_name: Option<String>,
    store: Store,
    models: Models,
    components: HashMap<ComponentRef, Cow<'static, [u8]>>,
    profiles: BTreeMap<ProfileName, Profile>,
    default_profile: Option<ProfileName>,
    ceiling: Grants,
    limits: Limits,
}

/// Why a Runtime could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeBuildError {
    /// wasmtime refuses its configuration: the limits do not fit this machine.
    #[error("failed to set up the WebAssembly engine with these limits")]
    Engine(#[source] Box<dyn Error + Send + Sync>),
    /// The system gives no more threads.
    #[error("failed to start the threads that run guests")]
    GuestThreads(#[source] std::io::Error),
    /// `build` was called outside a tokio runtime.
    #[error("a Runtime is built inside a tokio runtime")]
    NoTokio(#[source] tokio::runtime::TryCurrentError),
    /// A profile names a component that was not given, or is none.
    #[error("profile `{profile}` cannot be installed")]
    Profile {
        /// The profile.
        profile: ProfileName,
        /// `UnknownComponent` or `InvalidComponent`.
        #[source]
        error: RuntimeError,
    },
    /// The default profile is not among the profiles.
    #[error("the default profile `{0}` does not exist")]
    DefaultProfile(ProfileName),
    /// The compiler gave up without an answer.
    #[error("the compiler gave up")]
    Compiler(#[source] tokio::task::JoinError),
}

impl RuntimeBuilder {
    pub(crate) fn new(id: RuntimeId) -> Self {
        Self {
            id,
            display_name: None,
            store: Store::memory(),
            models: Models::none(),
            components: HashMap::new(),
            profiles: BTreeMap::new(),
            default_profile: None,
            ceiling: Grants::none(),
            limits: Limits::default(),
        }
    }

    /// The name for eyes; without one it is the id.
    #[must_use]
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Where logs are kept.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    /// The models that can be granted.
    #[must_use]
    pub fn models(mut self, models: Models) -> Self {
        self.models = models;
        self
    }

    /// Components that profiles can name.
    #[must_use]
    pub fn components(
        mut self,
        components: impl IntoIterator<Item = (ComponentRef, Cow<'static, [u8]>)>,
    ) -> Self {
        self.components.extend(components);
        self
    }

    /// Profiles that Workers can be made from. A later one replaces an earlier of the same name.
    #[must_use]
    pub fn profiles(mut self, profiles: impl IntoIterator<Item = Profile>) -> Self {
        self.profiles.extend(profiles.into_iter().map(|profile| (profile.name.clone(), profile)));
        self
    }

    /// The profile of a creation that names none.
    #[must_use]
    pub fn default_profile(mut self, name: ProfileName) -> Self {
        self.default_profile = Some(name);
        self
    }

    /// The most that any Worker may be granted; nothing, unless this says otherwise.
    #[must_use]
    pub fn ceiling(mut self, ceiling: Grants) -> Self {
        self.ceiling = ceiling;
        self
    }

    /// The bounds to enforce.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Compiles what the profiles name, and starts the Runtime. Model calls will be made on the
    /// tokio runtime that this is called in; guests get threads of their own.
    ///
    /// # Errors
    ///
    /// See [`RuntimeBuildError`].
    pub async fn build(self) -> Result<Runtime, RuntimeBuildError> {
        let host = Handle::try_current().map_err(RuntimeBuildError::NoTokio)?;
        if let Some(name) = &self.default_profile
            && !self.profiles.contains_key(name)
        {
            return Err(RuntimeBuildError::DefaultProfile(name.clone()));
        }
        let engines = Engines::new(&self.limits).map_err(RuntimeBuildError::Engine)?;
        let guests = GuestThreads::start().map_err(RuntimeBuildError::GuestThreads)?;

        let (components, profiles, limits) = (self.components, self.profiles, self.limits);
        let compile = move || {
            let profiles = install(&engines, &components, profiles, &limits);
            profiles.map(|profiles| (engines, profiles, limits))
        };
        let compiled = tokio::task::spawn_blocking(compile).await;
        let (engines, profiles, limits) = compiled.map_err(RuntimeBuildError::Compiler)??;

        Ok(Runtime(Arc::new(Inner {
            display_name: self.display_name.unwrap_or_else(|| self.id.to_string()),
            id: self.id,
            models: self.models,
            ceiling: self.ceiling,
            profiles,
            default_profile: self.default_profile,
            store: self.store,
            engines,
            workers: Default::default(),
            permits: Arc::new(Semaphore::new(live_turns(&limits) as usize)),
            limits,
            overview: Mutex::new(Overview::default()),
            guests,
            host,
            tasks: TaskTracker::new(),
            interrupt: CancellationToken::new(),
            closing: CancellationToken::new(),
        })))
    }
}

fn install(
    engines: &Engines,
    components: &HashMap<ComponentRef, Cow<'static, [u8]>>,
    profiles: BTreeMap<ProfileName, Profile>,
    limits: &Limits,
) -> Result<BTreeMap<ProfileName, Arc<InstalledProfile>>, RuntimeBuildError> {
    let mut loaded: HashMap<&ComponentRef, Arc<LoadedComponent>> = HashMap::new();
    let mut installed = BTreeMap::new();
    for (name, profile) in profiles {
        let error = |error| RuntimeBuildError::Profile { profile: name.clone(), error };
        let (reference, bytes) = components.get_key_value(&profile.component).ok_or_else(|| {
            error(RuntimeError::UnknownComponent { component: profile.component.to_string() })
        })?;
        let component = match loaded.get(reference) {
            Some(component) => Arc::clone(component),
            None => {
                let component = LoadedComponent::load(engines, bytes, limits.component_bytes)
                    .map_err(|refused| error(invalid_component(&refused)))?;
                let component = Arc::new(component);
                loaded.insert(reference, Arc::clone(&component));
                component
            }
        };
        installed.insert(name, Arc::new(InstalledProfile { profile, component }));
    }
    Ok(installed)
}

fn invalid_component(error: &LoadComponentError) -> RuntimeError {
    RuntimeError::InvalidComponent { reason: error_chain(error) }
}

//! Builds a Runtime from what its embedder chose.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    error::Error,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::future::try_join_all;
use llm_engine::Models;
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use worker_types::{
    CommandName, ComponentRef, ConfigDigest, Grants, Limits, Overview, Profile, ProfileName,
    Retention, RootName, RuntimeError, RuntimeId,
};

use crate::{
    Runtime, Store,
    allocation::Allocations,
    confinement::Confinement,
    engine::{Compiler, Engines, LoadComponentError, live_turns},
    error_chain::error_chain,
    grants::{Root, Roots, ScratchDirectories},
    runtime::{
        ComponentRemoval, Damage, Inner, InstalledProfile, Snapshots, WorkerThreads, damage,
    },
    sandbox::permits,
    shell::{CommandSet, RegisteredCommand, ShellHost},
    store::StoreError,
};

/// Builds a [`Runtime`]. What is not set is the least: a store in memory, no models, no profiles,
/// and a ceiling of no authority.
#[derive(Debug)]
pub struct RuntimeBuilder {
    id: RuntimeId,
    display_name: Option<String>,
    config_digest: Option<ConfigDigest>,
    store: Store,
    models: Models,
    components: HashMap<ComponentRef, Cow<'static, [u8]>>,
    shell: Option<Cow<'static, [u8]>>,
    commands: BTreeMap<CommandName, Vec<u8>>,
    profiles: BTreeMap<ProfileName, Profile>,
    default_profile: Option<ProfileName>,
    ceiling: Grants,
    roots: BTreeMap<RootName, Root>,
    scratch: Option<PathBuf>,
    allocations: Option<PathBuf>,
    limits: Limits,
    retention: Retention,
    compiler: Compiler,
    component_cache: Option<PathBuf>,
    reserved: Vec<PathBuf>,
    confinement: Option<Confinement>,
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
    WorkerThreads(#[source] std::io::Error),
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
    /// A command is none, or a profile names one that was not given.
    #[error("the command `{name}` cannot be used")]
    Command {
        /// Its name.
        name: CommandName,
        /// `ExecError`, or `UnknownComponent`.
        #[source]
        error: Box<dyn Error + Send + Sync>,
    },
    /// The default profile is not among the profiles.
    #[error("the default profile `{0}` does not exist")]
    DefaultProfile(ProfileName),
    /// A root has the name of the Workers' private directories.
    #[error("no root can be called `{name}`: that is each Worker's own directory", name = RootName::SCRATCH)]
    RootName,
    /// Workers could write to what the Runtime itself keeps.
    #[error(
        "the root `{root}` and a directory that the Runtime keeps its own data in lie in each other: \
         name another directory for one of them"
    )]
    RootHoldsData {
        /// The root.
        root: RootName,
    },
    /// Workers could rewrite what decides what they may do.
    #[error(
        "Workers may be let to write to the root `{root}`, and what sets up this Runtime lies in it (its \
         configuration, or a component): move that, or make the root read-only"
    )]
    RootHoldsSetup {
        /// The root.
        root: RootName,
    },
    /// The directory for private directories cannot be had.
    #[error("the directory for the private directories of Workers cannot be used")]
    Scratch(#[source] std::io::Error),
    /// It cannot be told what Workers of other Runtimes write to.
    #[cfg(all(unix, feature = "sqlite"))]
    #[error("failed to join the other Runtimes of this user")]
    Allocations(#[source] crate::OpenAllocationsError),
    /// One turn may take more memory than all of them together.
    #[error(
        "all turns together may take less memory than one of them: in `[limits]`, set \
         `memory_total` (now {total}) to {turn} or more, or `turn_memory_bytes` (now {turn}) to \
         {total} or less"
    )]
    NoRoomForTurns {
        /// The limit on all turns.
        total: u64,
        /// The limit on one.
        turn: u64,
    },
    /// The store cannot be read.
    #[error("the store cannot be read: {reason}")]
    Store {
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing can be compiled here, whatever the component: for example because the program of the
    /// compile helper is not there.
    #[error("failed to compile the component of profile `{profile}`")]
    Compiler {
        /// The first profile that it was to be compiled for.
        profile: ProfileName,
        /// Why.
        #[source]
        error: Box<dyn Error + Send + Sync>,
    },
}

impl RuntimeBuilder {
    pub(crate) fn new(id: RuntimeId) -> Self {
        Self {
            id,
            display_name: None,
            config_digest: None,
            store: Store::memory(),
            models: Models::none(),
            components: HashMap::new(),
            shell: None,
            commands: BTreeMap::new(),
            profiles: BTreeMap::new(),
            default_profile: None,
            ceiling: Grants::none(),
            roots: BTreeMap::new(),
            scratch: None,
            allocations: None,
            limits: Limits::default(),
            retention: Retention::default(),
            compiler: Compiler::in_process(),
            component_cache: None,
            reserved: Vec::new(),
            confinement: None,
        }
    }

    /// The name for eyes; without one it is the id.
    #[must_use]
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// What tells the configuration that this Runtime is built from apart from others, to be shown. It changes
    /// nothing.
    #[must_use]
    pub fn config_digest(mut self, digest: ConfigDigest) -> Self {
        self.config_digest = Some(digest);
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

    /// Lets Workers that are granted `shell` run scripts, with this component. Without it none can. It
    /// exports `yoi:shell/interpreter`, as `builtin_workers::SHELL_COMPONENT` does, and is compiled in the
    /// background once a Worker is created that may run scripts.
    #[must_use]
    pub fn shell(mut self, component: impl Into<Cow<'static, [u8]>>) -> Self {
        self.shell = Some(component.into());
        self
    }

    /// A WASI command that all scripts find as `name`. It sees what the script sees, and is compiled when
    /// it is run first.
    #[must_use]
    pub fn command(mut self, name: CommandName, component: impl Into<Vec<u8>>) -> Self {
        self.commands.insert(name, component.into());
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

    /// A directory that grants can speak of as `name`. By itself it grants nothing: the ceiling says
    /// what of it a Worker may have.
    #[must_use]
    pub fn root(mut self, name: RootName, root: Root) -> Self {
        self.roots.insert(name, root);
        self
    }

    /// Gives Workers that are granted one a private directory below `dir`, which is made where it is
    /// missing, for this user alone. It belongs to this Runtime: what is in it and is no living
    /// Worker's is removed at the start. Without it, nobody can be granted one.
    #[must_use]
    pub fn scratch(mut self, dir: impl Into<PathBuf>) -> Self {
        self.scratch = Some(dir.into());
        self
    }

    /// Shares a record, kept in `dir`, of the directories that Workers may write to, with all Runtimes
    /// that name the same `dir`: none of their Workers gets one that overlaps another's, unless both
    /// say `shared`. It is made where it is missing, for this user alone, and belongs to no root.
    /// Without it that holds among the Workers of this Runtime.
    #[cfg(all(unix, feature = "sqlite"))]
    #[must_use]
    pub fn allocations(mut self, dir: impl Into<PathBuf>) -> Self {
        self.allocations = Some(dir.into());
        self
    }

    /// A file that decides what Workers may do, or do: no root that can be written to may hold it.
    #[must_use]
    pub fn reserve(mut self, file: impl Into<PathBuf>) -> Self {
        self.reserved.push(file.into());
        self
    }

    /// The bounds to enforce.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long events are kept; for ever, unless this says otherwise.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Where components are compiled; in this process, unless this says otherwise.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// Keeps what was compiled in the directory `dir`, so that the next start need not compile it
    /// again. The directory is made where it is missing, for this user alone; files in it that this
    /// library did not write itself are not used. Where it cannot be used, that is logged, and
    /// nothing is kept.
    #[must_use]
    pub fn component_cache(mut self, dir: impl Into<PathBuf>) -> Self {
        self.component_cache = Some(dir.into());
        self
    }

    /// What the process that embeds this Runtime did to confine itself, with
    /// [`AllowedPaths`](crate::AllowedPaths), to be shown among the capabilities. This changes
    /// nothing: the library confines nobody.
    #[must_use]
    pub fn confinement(mut self, confinement: Confinement) -> Self {
        self.confinement = Some(confinement);
        self
    }

    /// Compiles what the profiles name, and starts the Runtime. Model calls will be made on the
    /// tokio runtime that this is called in, and a compile helper is waited for there: it needs I/O
    /// and time. Workers get threads of their own.
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
        let (total, turn) = (self.limits.memory_total, self.limits.turn_memory_bytes);
        if turn > total {
            return Err(RuntimeBuildError::NoRoomForTurns { total, turn });
        }
        // A root may lie on a disk that is slow to answer.
        let opened = host.spawn_blocking(move || self.open_roots().map(|roots| (self, roots)));
        let opened =
            opened.await.map_err(|error| RuntimeBuildError::WorkerThreads(error.into()))?;
        let (builder, roots) = opened?;
        builder.build_on(roots, host).await
    }

    async fn build_on(self, roots: Roots, host: Handle) -> Result<Runtime, RuntimeBuildError> {
        let allocations = open_allocations(&self.id, &self.allocations, &roots, &host).await?;
        let threads = WorkerThreads::start().map_err(RuntimeBuildError::WorkerThreads)?;
        let engines = engines(&self.limits, self.compiler, self.component_cache, &host).await?;
        let engines = Arc::new(engines);
        let shell = self.shell.map(|component| {
            let (engines, guests) = (Arc::clone(&engines), threads.guests());
            Arc::new(ShellHost::new(engines, guests, bytes_of(component), &self.limits))
        });
        let commands = commands(self.commands, &self.limits).await?;
        let profile_commands =
            profile_commands(&self.profiles, &self.components, &self.limits).await?;
        let profiles = install(&engines, &self.components, self.profiles).await?;

        let damage = Damage::default();
        for profile in profiles.values() {
            let bytes = self.components.get(&profile.profile.component);
            let bytes = bytes.map_or(&[][..], |bytes| bytes);
            match self.store.put_component(profile.digest, bytes).await {
                Err(StoreError::TableDamaged { reason }) => {
                    // It runs for as long as it is given; without, its Workers will miss it.
                    let message = format!("component {} is not kept: {reason}", profile.digest);
                    damage.note(damage::STORE, message);
                }
                kept => kept.map_err(|error| store_unreadable(&error))?,
            }
        }
        let inner = Arc::new(Inner {
            display_name: self.display_name.unwrap_or_else(|| self.id.to_string()),
            id: self.id,
            config_digest: self.config_digest,
            models: self.models,
            ceiling: roots.limit(&self.ceiling),
            roots: Arc::new(roots),
            allocations: Arc::new(allocations),
            open_files: Arc::new(Semaphore::new(permits(self.limits.open_files))),
            snapshots: Mutex::new(Snapshots::new(profiles.values().cloned())),
            profiles,
            default_profile: self.default_profile,
            store: self.store,
            engines,
            shell,
            commands,
            profile_commands,
            confinement: self.confinement,
            component_removal: ComponentRemoval::default(),
            workers: Default::default(),
            damage,
            keys: Default::default(),
            logs: Default::default(),
            permits: Arc::new(Semaphore::new(live_turns(&self.limits) as usize)),
            limits: Arc::new(self.limits),
            retention: self.retention,
            overview: Mutex::new(Overview::default()),
            threads,
            host,
            tasks: TaskTracker::new(),
            interrupt: CancellationToken::new(),
            closing: CancellationToken::new(),
        });
        inner.restore_workers().await.map_err(|error| store_unreadable(&error))?;
        inner.sweep_scratch().await;
        inner.spawn_maintenance();
        Ok(Runtime(inner))
    }
}

impl RuntimeBuilder {
    /// Opens the roots, unless a Worker could reach through one what the Runtime itself keeps.
    fn open_roots(&self) -> Result<Roots, RuntimeBuildError> {
        if self.roots.contains_key(&RootName::scratch()) {
            return Err(RuntimeBuildError::RootName);
        }
        let scratch = self.scratch.as_deref().map(ScratchDirectories::open);
        let scratch = scratch.transpose().map_err(RuntimeBuildError::Scratch)?;
        let own = [
            self.store.directory(),
            self.scratch.as_deref(),
            self.component_cache.as_deref(),
            self.allocations.as_deref(),
        ];
        for (name, root) in &self.roots {
            if own.into_iter().flatten().any(|own| root.overlaps(own)) {
                return Err(RuntimeBuildError::RootHoldsData { root: name.clone() });
            }
            if root.is_writable() && self.reserved.iter().any(|file| root.overlaps(file)) {
                return Err(RuntimeBuildError::RootHoldsSetup { root: name.clone() });
            }
        }
        let absent = self.confinement.as_ref().map_or(&[][..], |confined| &confined.absent_roots);
        Ok(Roots::new(self.roots.clone(), scratch, absent))
    }
}

/// Joins the other Runtimes, where a Worker could write to anything.
async fn open_allocations(
    id: &RuntimeId,
    directory: &Option<PathBuf>,
    roots: &Roots,
    host: &Handle,
) -> Result<Allocations, RuntimeBuildError> {
    #[cfg(all(unix, feature = "sqlite"))]
    if let Some(directory) = directory.clone().filter(|_| roots.are_writable()) {
        let id = id.clone();
        let opened = host.spawn_blocking(move || Allocations::across(id, &directory)).await;
        return match opened {
            Ok(opened) => opened.map_err(RuntimeBuildError::Allocations),
            Err(error) => Err(RuntimeBuildError::WorkerThreads(error.into())),
        };
    }
    let _ = (directory, roots, host);
    Ok(Allocations::within(id.clone()))
}

fn store_unreadable(error: &StoreError) -> RuntimeBuildError {
    RuntimeBuildError::Store { reason: error.to_string() }
}

/// Maps the pool and opens the cache, which takes a while, away from async tasks.
async fn engines(
    limits: &Limits,
    compiler: Compiler,
    cache: Option<PathBuf>,
    host: &Handle,
) -> Result<Engines, RuntimeBuildError> {
    let (limits, on) = (limits.clone(), host.clone());
    let set_up = move || Engines::new(&limits, compiler, cache.as_deref(), on);
    let engines = host.spawn_blocking(set_up).await;
    engines
        .map_err(|error| RuntimeBuildError::Engine(error.into()))?
        .map_err(RuntimeBuildError::Engine)
}

fn bytes_of(component: Cow<'static, [u8]>) -> Bytes {
    match component {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    }
}

/// What the operator lets all scripts find.
async fn commands(
    given: BTreeMap<CommandName, Vec<u8>>,
    limits: &Limits,
) -> Result<CommandSet, RuntimeBuildError> {
    let mut commands = BTreeMap::new();
    for (name, bytes) in given {
        let command = RegisteredCommand::new(bytes, limits).await;
        let command = command.map_err(|error| RuntimeBuildError::Command {
            name: name.clone(),
            error: error.into(),
        })?;
        commands.insert(name, Arc::new(command));
    }
    Ok(Arc::new(commands))
}

/// What profiles name besides, each component once.
async fn profile_commands(
    profiles: &BTreeMap<ProfileName, Profile>,
    components: &HashMap<ComponentRef, Cow<'static, [u8]>>,
    limits: &Limits,
) -> Result<HashMap<ComponentRef, Arc<RegisteredCommand>>, RuntimeBuildError> {
    let mut commands = HashMap::new();
    for (name, reference) in profiles.values().flat_map(|profile| &profile.commands) {
        let failed = |error: Box<dyn Error + Send + Sync>| RuntimeBuildError::Command {
            name: name.clone(),
            error,
        };
        if commands.contains_key(reference) {
            continue;
        }
        let bytes = components.get(reference).ok_or_else(|| {
            failed(RuntimeError::UnknownComponent { component: reference.to_string() }.into())
        })?;
        let command = RegisteredCommand::new(bytes.to_vec(), limits).await;
        let command = command.map_err(|error| failed(error.into()))?;
        commands.insert(reference.clone(), Arc::new(command));
    }
    Ok(commands)
}

async fn install(
    engines: &Engines,
    components: &HashMap<ComponentRef, Cow<'static, [u8]>>,
    profiles: BTreeMap<ProfileName, Profile>,
) -> Result<BTreeMap<ProfileName, Arc<InstalledProfile>>, RuntimeBuildError> {
    // Each component once, with the first profile that needs it.
    let mut needed: HashMap<&ComponentRef, (&ProfileName, &Cow<'static, [u8]>)> = HashMap::new();
    for (name, Profile { component, .. }) in &profiles {
        let bytes = components.get(component).ok_or_else(|| RuntimeBuildError::Profile {
            profile: name.clone(),
            error: RuntimeError::UnknownComponent { component: component.to_string() },
        })?;
        needed.entry(component).or_insert((name, bytes));
    }
    let loading = needed.into_iter().map(async |(reference, (profile, bytes))| {
        let loaded = engines
            .load(bytes_of(bytes.clone()))
            .await
            .map_err(|error| not_loaded(profile, error))?;
        Ok((reference.clone(), loaded))
    });
    let loaded: HashMap<_, _> = try_join_all(loading).await?.into_iter().collect();

    let install = |(name, profile): (ProfileName, Profile)| {
        // It is there: one that could not be loaded has ended this.
        let component = Arc::clone(loaded.get(&profile.component)?);
        Some((name, Arc::new(InstalledProfile::new(profile, component))))
    };
    Ok(profiles.into_iter().filter_map(install).collect())
}

fn not_loaded(profile: &ProfileName, error: Arc<LoadComponentError>) -> RuntimeBuildError {
    let profile = profile.clone();
    if error.is_of_component() {
        let error = RuntimeError::InvalidComponent { reason: error_chain(&*error) };
        RuntimeBuildError::Profile { profile, error }
    } else {
        RuntimeBuildError::Compiler { profile, error: error.into() }
    }
}

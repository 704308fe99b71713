//! Commands: any WASI command, run once, with the directories it is granted and nothing else.
//!
//! A command gets the same sandbox as a turn of a Worker: the same engines, limits, compiler, imports
//! and file system. In place of a log it has the standard streams of this process.

mod adapter;
mod stdio;

use std::{collections::BTreeMap, error::Error, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{runtime::Handle, sync::Semaphore, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use wasmtime_wasi::{WasiCtxBuilder, cli};
use worker_types::{Grants, InvalidGrants, Limits, RootName, RuntimeError, WorkerId};

use self::stdio::ProcessStream;
use crate::{
    CommandEnd, Compiler, Root,
    capability::filesystem::FilesystemCtx,
    engine::{
        ComponentKind, Engines, InspectError, LoadComponentError, LoadedCommand, Takes,
        inspect_component,
    },
    grants::Roots,
    runtime::WorkerThreads,
    sandbox::{Budget, SandboxState, permits, run_command},
    turn::{Share, TurnMeter},
};

pub(crate) use self::stdio::ReaderGone;

/// Runs commands.
#[derive(Debug, Default)]
pub struct Exec {
    limits: Limits,
    compiler: Option<Compiler>,
    component_cache: Option<PathBuf>,
    roots: BTreeMap<RootName, Root>,
}

/// What to run, and what it may do.
#[derive(Debug, Clone, Default)]
pub struct CommandRequest {
    /// A component that exports `wasi:cli/run`, or a core module for WASI 0.1.
    pub component: Vec<u8>,
    /// Its arguments; the first is its own name, by custom.
    pub arguments: Vec<String>,
    /// Its environment, all of it.
    pub environment: Vec<(String, String)>,
    /// The directories it sees. Commands are given nothing else that is granted.
    pub grants: Grants,
}

/// Why a command did not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// Nothing can be said of the file.
    #[error("it cannot be read")]
    Inspect(#[source] InspectError),
    /// It is something else.
    #[error("it is {what}", what = .0.words())]
    NoCommand(ComponentKind),
    /// It imports what no command is given.
    #[error("it imports `{interface}`, to {could}: no command is given that")]
    Import {
        /// Its name.
        interface: String,
        /// What it would let the command do.
        could: &'static str,
    },
    /// The core module cannot be made a component.
    #[error("it is a core module that cannot be run: {reason}")]
    Adapt {
        /// Why not.
        reason: String,
    },
    /// Grants that nobody can be given.
    #[error("the directories contradict each other")]
    Grants(#[source] InvalidGrants),
    /// A directory that cannot be had.
    #[error(transparent)]
    Directory(RuntimeError),
    /// It does not compile, or does not fit what it imports.
    #[error("it cannot be loaded")]
    Load(#[source] Box<dyn Error + Send + Sync>),
    /// wasmtime or the system refuses what it takes to run anything.
    #[error("failed to set up the sandbox")]
    Setup(#[source] Box<dyn Error + Send + Sync>),
}

impl ExecError {
    fn setup(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Setup(error.into())
    }
}

impl Exec {
    /// Runs commands within `limits`: those of a turn, but for its time on the wall.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Where components are compiled; in this process, unless this says otherwise.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = Some(compiler);
        self
    }

    /// Keeps what was compiled in the directory `dir`.
    #[must_use]
    pub fn component_cache(mut self, dir: impl Into<PathBuf>) -> Self {
        self.component_cache = Some(dir.into());
        self
    }

    /// A directory that grants can speak of as `name`. By itself it grants nothing.
    #[must_use]
    pub fn root(mut self, name: RootName, root: Root) -> Self {
        self.roots.insert(name, root);
        self
    }

    /// Compiles a command as [`Exec::run`] does, and runs nothing. To be called inside a tokio runtime with
    /// I/O and time.
    ///
    /// # Errors
    ///
    /// It would not run; see [`ExecError`].
    pub async fn check(self, component: Vec<u8>) -> Result<(), ExecError> {
        let host = Handle::try_current().map_err(ExecError::setup)?;
        let limits = Limits { live_turns: 1, ..self.limits };
        load(component, &limits, self.compiler, self.component_cache, &host).await.map(drop)
    }

    /// Runs a command to its end, with the standard streams of this process. To be called inside a
    /// tokio runtime with I/O and time; the command has threads of its own. Dropping the future ends
    /// it.
    ///
    /// # Errors
    ///
    /// It did not run; see [`ExecError`].
    pub async fn run(self, request: CommandRequest) -> Result<CommandEnd, ExecError> {
        let host = Handle::try_current().map_err(ExecError::setup)?;
        request.grants.validate().map_err(ExecError::Grants)?;
        // One command, one slot.
        let limits = Limits { live_turns: 1, ..self.limits };
        let CommandRequest { component, arguments, environment, grants } = request;
        let (engines, command) =
            load(component, &limits, self.compiler, self.component_cache, &host).await?;
        let roots = self.roots;
        let open = move || {
            let roots = Roots::new(roots, None, &[]);
            roots.admit(&grants)?;
            roots.open_preopens(WorkerId::generate(), &grants)
        };
        let preopens = host.spawn_blocking(open).await.map_err(ExecError::setup)?;
        let preopens = preopens.map_err(|error| ExecError::Directory(error.into()))?;

        let threads = WorkerThreads::start().map_err(ExecError::setup)?;
        let (limits, meter) = (Arc::new(limits), Arc::new(TurnMeter::start()));
        let files = Arc::new(Semaphore::new(permits(limits.open_files)));
        let filesystem = FilesystemCtx::new(preopens.into(), &meter, &limits, &files);
        let mut wasi = wasi(&arguments, &environment, &meter);
        let budget = Budget::new(limits, Share::All, meter);
        let state = SandboxState::new(&mut wasi, filesystem, &budget);
        let turnstile = threads.turnstile();
        // The engines go with the task: as long as it is there, it is made to yield.
        let running = async move {
            let _ticking = engines.tick();
            run_command(&command, state, &budget, turnstile).await
        };
        let running = AbortOnDropHandle::new(threads.handle().spawn(running));
        running.await.map_err(ExecError::setup)
    }
}

/// Compiles a command, and links it to what it imports.
async fn load(
    component: Vec<u8>,
    limits: &Limits,
    compiler: Option<Compiler>,
    cache: Option<PathBuf>,
    host: &Handle,
) -> Result<(Engines, LoadedCommand), ExecError> {
    let component = command_component(component, limits).await?;
    let compiler = compiler.unwrap_or_else(Compiler::in_process);
    let (on, bounds) = (host.clone(), limits.clone());
    let set_up = move || Engines::new(&bounds, compiler, cache.as_deref(), on);
    let engines = host.spawn_blocking(set_up).await.map_err(ExecError::setup)?;
    let engines = engines.map_err(ExecError::Setup)?;
    let command = engines.load_command(component).await.map_err(not_loaded)?;
    Ok((engines, command))
}

fn not_loaded(error: LoadComponentError) -> ExecError {
    ExecError::Load(error.into())
}

/// The component that is to be run: `bytes`, or what becomes of a core module. What is no command, or
/// imports what none is given, is refused here, before it is compiled.
pub(crate) async fn command_component(bytes: Vec<u8>, limits: &Limits) -> Result<Bytes, ExecError> {
    let bounds = limits.clone();
    let prepare = tokio::task::spawn_blocking(move || {
        let found = inspect_component(&bytes, &bounds).map_err(ExecError::Inspect)?;
        let adapt = match found.kind {
            ComponentKind::Command => false,
            ComponentKind::CommandModule => true,
            other => return Err(ExecError::NoCommand(other)),
        };
        let is_ours = |name: &str| name.starts_with("yoi:");
        let foreign = found.imports.iter().find(|import| {
            !matches!(import.takes, Takes::Nothing | Takes::Preopens) || is_ours(&import.name)
        });
        if let Some(import) = foreign {
            let (interface, could) = (import.name.clone(), import.could);
            return Err(ExecError::Import { interface, could });
        }
        Ok(Bytes::from(if adapt { adapter::to_component(&bytes)? } else { bytes }))
    });
    let time = Duration::from_millis(limits.compile_ms);
    match timeout(time, prepare).await {
        Ok(Ok(prepared)) => prepared,
        // A bug of the adapter's, which a module may have been made for.
        Ok(Err(error)) => Err(ExecError::Adapt { reason: error.to_string() }),
        Err(_) => {
            let reason = format!("that took longer than the limit of {} ms", limits.compile_ms);
            Err(ExecError::Adapt { reason })
        }
    }
}

/// The standard streams of this process, and what the command was given of arguments and variables.
fn wasi(
    arguments: &[String],
    environment: &[(String, String)],
    meter: &Arc<TurnMeter>,
) -> WasiCtxBuilder {
    let mut wasi = WasiCtxBuilder::new();
    wasi.args(arguments).envs(environment);
    wasi.stdin(cli::stdin());
    wasi.stdout(ProcessStream::stdout(Arc::clone(meter)));
    wasi.stderr(ProcessStream::stderr(Arc::clone(meter)));
    wasi
}

//! The shell: scripts that run inside WebAssembly, on directories that were granted. Each runs in a Store
//! of its own; what one leaves to the next of its session is data that the host keeps between them.
//!
//! `capability/shell` gives it to Workers, and [`Shell`](local::Shell) to people.

pub(crate) mod bindings;
mod commands;
mod local;
mod session;

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument as _;
use wasmtime::Store;
use wasmtime_wasi::{WasiCtxBuilder, WasiCtxView, WasiView};
use worker_types::{Limits, LogStream};

use self::bindings::exports::yoi::shell::interpreter;
use crate::{
    capability::filesystem::{FilesystemCtx, FilesystemView, HasFiles},
    engine::{Engines, LoadedInterpreter},
    error_chain,
    runtime::GuestThreads,
    sandbox::{
        self, Budget, CommandEnd, NoRoom, Process, SandboxState, Sandboxed, permits,
        pipe::{Ender, InputReader, input_pipe, output_pipe},
    },
};

pub use self::local::{RunningScript, ScriptPiece, Shell, ShellError, ShellSession};
pub(crate) use self::{
    commands::{
        CommandSet, CommandsCtx, RegisteredCommand, add_to_linker as add_commands_to_linker,
    },
    session::{Session, SessionBusy},
};

/// A script to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// Its text, as for `bash -c`.
    pub text: String,
    /// `$0`; empty, `bash`.
    pub name: String,
    /// `$1` and so on.
    pub arguments: Vec<String>,
    /// Variables that are set and exported before it begins.
    pub environment: Vec<(String, String)>,
    /// Where it begins, absolute; absent, where the session is.
    pub directory: Option<String>,
    /// The longest it may take, beside compiling the shell; absent, for as long as it wants.
    pub timeout: Option<Duration>,
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScriptEnd {
    /// By itself.
    Exited {
        /// Its exit code.
        code: u8,
        /// Whether it said `exit`.
        said_exit: bool,
    },
    /// It took longer than it may.
    TimedOut,
    /// It took more of something than it may; the words say of what.
    Limit(String),
    /// The shell itself failed, and the words say how.
    Crashed(String),
}

/// Why a script did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartScriptError {
    #[error(transparent)]
    Busy(#[from] SessionBusy),
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

/// What it takes to run scripts, for everybody who does.
pub(crate) struct ShellHost {
    engines: Arc<Engines>,
    threads: GuestThreads,
    component: Bytes,
    interpreter: OnceCell<LoadedInterpreter>,
    /// Whether it was begun to compile it for whoever comes.
    is_prepared: AtomicBool,
    /// Stores of scripts and commands that may be there at once.
    live: Arc<Semaphore>,
}

impl std::fmt::Debug for ShellHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShellHost").field("interpreter", &self.interpreter).finish_non_exhaustive()
    }
}

impl ShellHost {
    /// Scripts are run by `component`, which is compiled when it is needed.
    pub(crate) fn new(
        engines: Arc<Engines>,
        threads: GuestThreads,
        component: Bytes,
        limits: &Limits,
    ) -> Self {
        let live = Arc::new(Semaphore::new(permits(limits.live_commands)));
        Self {
            engines,
            threads,
            component,
            interpreter: OnceCell::new(),
            is_prepared: AtomicBool::new(false),
            live,
        }
    }

    /// Compiles the shell, unless it is compiled.
    pub(crate) async fn interpreter(&self) -> Result<&LoadedInterpreter, String> {
        let load = async || {
            let loaded = self.engines.load_interpreter(self.component.clone()).await;
            loaded.map_err(|error| format!("the shell cannot be loaded: {}", error_chain(&error)))
        };
        self.interpreter.get_or_try_init(load).await
    }

    /// Has the shell compiled by the time that somebody's first script comes, in the background.
    pub(crate) fn prepare(self: &Arc<Self>) {
        if !self.is_prepared.swap(true, Relaxed) {
            let host = Arc::clone(self);
            // Where it fails, the script tries again, and says why.
            let _detached = self.threads.handle().spawn(async move {
                let _ = host.interpreter().await;
            });
        }
    }

    /// Starts a script of `session` on the directories of `files`, and returns at once.
    pub(crate) fn start(
        self: &Arc<Self>,
        script: Script,
        (session, commands): (&Session, &CommandSet),
        files: FilesystemCtx,
        budget: &Budget,
    ) -> Result<Process<ScriptEnd>, StartScriptError> {
        let lease = session.lease()?;
        let permit = budget.admit(&self.live)?;
        let (ender, output) =
            output_pipe(Arc::clone(&budget.meter), budget.limits.turn_output_bytes);
        let (input, reader) = input_pipe();
        let (host, budget, commands) =
            (Arc::clone(self), budget.for_script(), Arc::clone(commands));
        // Its commands are waited for like itself.
        let started = TaskTracker::new();
        let tracker = started.clone();
        let running = async move {
            let hold = files.handles().hold();
            let end = match host.interpreter().await {
                Ok(interpreter) => {
                    let commands =
                        CommandsCtx::new(Arc::clone(&host), commands, (&budget, &tracker));
                    let timeout = script.timeout;
                    let script = lease.script(script);
                    let state = ShellState::new(files, commands, (&reader, &ender), &budget);
                    let running = host.run(interpreter, state, &budget, &script);
                    tokio::select! {
                        biased;
                        ended = running => ended,
                        () = sleep(timeout) => Err(ScriptEnd::TimedOut),
                    }
                }
                Err(reason) => Err(ScriptEnd::Crashed(reason)),
            };
            let end = end.map(|ending| lease.keep(ending)).unwrap_or_else(|end| end);
            // Whoever sees the end may start the next one.
            tracker.close();
            tracker.wait().await;
            drop((lease, reader, hold));
            ender.end(end, permit);
        };
        let task = AbortOnDropHandle::new(self.threads.handle().spawn(running.in_current_span()));
        Ok(Process::new(output, input, task, started))
    }

    async fn run(
        &self,
        interpreter: &LoadedInterpreter,
        state: ShellState,
        budget: &Budget,
        script: &interpreter::Script,
    ) -> Result<interpreter::Ending, ScriptEnd> {
        let _ticking = self.engines.tick();
        let pre = interpreter.pre();
        let call = async |store: &mut Store<ShellState>| {
            let guest = pre.instantiate_async(&mut *store).await?;
            guest.yoi_shell_interpreter().call_run(store, script).await
        };
        let on = (pre.engine(), self.threads.turnstile());
        match sandbox::run("the script", on, state, budget, call).await {
            Ok(Ok(ending)) => Ok(ending),
            Ok(Err(reason)) => Err(ScriptEnd::Crashed(reason)),
            Err(CommandEnd::Exited(code)) => Err(ScriptEnd::Exited { code, said_exit: true }),
            Err(CommandEnd::Limit(limit)) => Err(ScriptEnd::Limit(limit)),
            Err(CommandEnd::Trapped(reason)) => Err(ScriptEnd::Crashed(reason)),
            Err(CommandEnd::ReaderGone) => Err(ScriptEnd::Crashed(NOBODY_READS.to_owned())),
        }
    }
}

const NOBODY_READS: &str = "nobody reads what it writes";

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => pending().await,
    }
}

/// What the Store of a script holds.
pub(crate) struct ShellState {
    sandbox: SandboxState,
    commands: CommandsCtx,
}

impl ShellState {
    fn new(
        files: FilesystemCtx,
        commands: CommandsCtx,
        (input, output): (&InputReader, &Ender<ScriptEnd>),
        budget: &Budget,
    ) -> Self {
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdin(input.stream());
        wasi.stdout(output.stream(LogStream::Stdout));
        wasi.stderr(output.stream(LogStream::Stderr));
        Self { sandbox: SandboxState::new(&mut wasi, files, budget), commands }
    }
}

impl Sandboxed for ShellState {
    fn sandbox(&mut self) -> &mut SandboxState {
        &mut self.sandbox
    }
}

impl WasiView for ShellState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.sandbox.ctx()
    }
}

impl HasFiles for ShellState {
    fn files(&mut self) -> FilesystemView<'_> {
        self.sandbox.files()
    }
}

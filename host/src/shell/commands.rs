//! `yoi:shell/commands`: WASI commands that scripts find by their names, each in a Store of its own, on
//! the same directories.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use tokio::sync::OnceCell;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument as _;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::{
    WasiCtxBuilder, async_trait,
    p2::{DynPollable, Pollable, subscribe},
};
use worker_types::{CommandName, Limits, LogStream};

use super::{
    ShellHost, ShellState,
    bindings::yoi::shell::commands::{self, Invocation, Piece},
};
use crate::{
    capability::filesystem::{EnterError, FilesystemCtx},
    engine::LoadedCommand,
    error_chain,
    exec::{ExecError, command_component},
    sandbox::{
        Budget, CommandEnd, Process, SandboxState,
        pipe::{self, Ender, InputReader, input_pipe, output_pipe},
        run_command,
    },
};

/// What bash says of a command that was ended by a signal: its number and 128. These are `SIGABRT`,
/// `SIGKILL` and `SIGPIPE`.
const ABORTED: u8 = 134;
const KILLED: u8 = 137;
const BROKEN_PIPE: u8 = 141;

/// A command that there is, but that cannot be run.
const CANNOT_RUN: u8 = 126;

/// Commands by the names that scripts find them by.
pub(crate) type CommandSet = Arc<BTreeMap<CommandName, Arc<RegisteredCommand>>>;

/// A command that scripts may run. It is compiled when it is run first.
#[derive(Debug)]
pub(crate) struct RegisteredCommand {
    component: Bytes,
    loaded: OnceCell<Arc<LoadedCommand>>,
}

impl RegisteredCommand {
    /// The command that `bytes` are: a component, or a core module for WASI 0.1.
    pub(crate) async fn new(bytes: Vec<u8>, limits: &Limits) -> Result<Self, ExecError> {
        let component = command_component(bytes, limits).await?;
        Ok(Self { component, loaded: OnceCell::new() })
    }

    /// Loads it, unless it is loaded. That goes on where nobody waits for it any more: a script that may not
    /// take as long as it does finds it the next time.
    async fn load(self: Arc<Self>, host: &Arc<ShellHost>) -> Result<Arc<LoadedCommand>, String> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(Arc::clone(loaded));
        }
        let engines = Arc::clone(&host.engines);
        let loading = host.threads.handle().spawn(async move {
            let load = async || {
                let loaded = engines.load_command(self.component.clone()).await;
                loaded.map(Arc::new).map_err(|error| error_chain(&error))
            };
            self.loaded.get_or_try_init(load).await.cloned()
        });
        loading.await.map_err(|error| error.to_string())?
    }
}

/// The commands of one script.
#[derive(Debug)]
pub(crate) struct CommandsCtx {
    host: Arc<ShellHost>,
    commands: CommandSet,
    budget: Budget,
    /// The commands that run.
    running: TaskTracker,
}

/// A command that runs.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct RunningCommand(Process<u8>);

#[async_trait]
impl Pollable for RunningCommand {
    async fn ready(&mut self) {
        self.0.readable().await;
    }
}

impl CommandsCtx {
    pub(super) fn new(
        host: Arc<ShellHost>,
        commands: CommandSet,
        (budget, running): (&Budget, &TaskTracker),
    ) -> Self {
        Self { host, commands, budget: budget.clone(), running: running.clone() }
    }

    /// Starts a command on the directories of `files`, and returns at once.
    async fn start(
        &self,
        invocation: Invocation,
        mut files: FilesystemCtx,
    ) -> Result<RunningCommand, String> {
        let name = invocation.name.parse::<CommandName>().ok();
        let command = name.and_then(|name| self.commands.get(&name).cloned());
        let command = command.ok_or_else(|| "command not found".to_owned())?;
        let permit = self.budget.admit(&self.host.live).map_err(|error| error.to_string())?;
        if files.first_directory().is_some() {
            let directory = &invocation.directory;
            match files.enter(directory).await {
                // There, such as in `/`, is nothing to be found.
                Ok(()) | Err(EnterError::NotGranted) => {}
                Err(error) => return Err(format!("{directory}: {error}")),
            }
        }
        let limits = &self.budget.limits;
        let (ender, output) = output_pipe(Arc::clone(&self.budget.meter), limits.turn_output_bytes);
        let (input, reader) = input_pipe();
        let (host, budget) = (Arc::clone(&self.host), self.budget.clone());
        let running = async move {
            let hold = files.handles().hold();
            let code = match command.load(&host).await {
                Ok(command) => {
                    let _ticking = host.engines.tick();
                    let state = state(&invocation, files, (&reader, &ender), &budget);
                    let turnstile = host.threads.turnstile();
                    code(run_command(&command, state, &budget, turnstile).await, &ender)
                }
                Err(reason) => {
                    ender.say(&format!("{}: it cannot be run: {reason}", invocation.name));
                    CANNOT_RUN
                }
            };
            drop((reader, hold));
            ender.end(code, permit);
        };
        let running = self.running.spawn_on(running.in_current_span(), self.host.threads.handle());
        let task = AbortOnDropHandle::new(running);
        Ok(RunningCommand(Process::new(output, input, task, TaskTracker::new())))
    }
}

fn state(
    invocation: &Invocation,
    files: FilesystemCtx,
    (input, output): (&InputReader, &Ender<u8>),
    budget: &Budget,
) -> SandboxState {
    let mut wasi = WasiCtxBuilder::new();
    wasi.arg(&invocation.name).args(&invocation.arguments).envs(&invocation.environment);
    wasi.initial_cwd(&invocation.directory);
    wasi.stdin(input.stream());
    wasi.stdout(output.stream(LogStream::Stdout));
    wasi.stderr(output.stream(LogStream::Stderr));
    SandboxState::new(&mut wasi, files, budget)
}

/// The exit code of a command, which says on its standard error why it was ended.
fn code(end: CommandEnd, ender: &Ender<u8>) -> u8 {
    match end {
        CommandEnd::Exited(code) => code,
        CommandEnd::ReaderGone => BROKEN_PIPE,
        CommandEnd::Limit(reason) => {
            ender.say(&reason);
            KILLED
        }
        CommandEnd::Trapped(reason) => {
            ender.say(&format!("the command trapped: {reason}"));
            ABORTED
        }
    }
}

/// The commands of a script, its files, and the resources of its Store.
#[derive(Debug)]
pub(crate) struct CommandsView<'a> {
    ctx: &'a CommandsCtx,
    sandbox: &'a mut SandboxState,
}

impl CommandsView<'_> {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.sandbox.table
    }

    fn running(&self, this: &Resource<RunningCommand>) -> wasmtime::Result<&Process<u8>> {
        Ok(&self.sandbox.table.get(this)?.0)
    }
}

struct HasCommands;

impl HasData for HasCommands {
    type Data<'a> = CommandsView<'a>;
}

/// Links the interface.
pub(crate) fn add_to_linker(linker: &mut Linker<ShellState>) -> wasmtime::Result<()> {
    commands::add_to_linker::<_, HasCommands>(linker, |state: &mut ShellState| CommandsView {
        ctx: &state.commands,
        sandbox: &mut state.sandbox,
    })
}

impl commands::Host for CommandsView<'_> {
    async fn names(&mut self) -> wasmtime::Result<Vec<String>> {
        self.ctx.budget.meter.host_call("shell.commands.names");
        Ok(self.ctx.commands.keys().map(ToString::to_string).collect())
    }

    async fn start(
        &mut self,
        invocation: Invocation,
    ) -> wasmtime::Result<Result<Resource<RunningCommand>, String>> {
        self.ctx.budget.meter.host_call("shell.commands.start");
        let files = self.sandbox.filesystem().fork();
        match self.ctx.start(invocation, files).await {
            Ok(running) => Ok(Ok(self.table().push(running)?)),
            Err(reason) => Ok(Err(reason)),
        }
    }
}

impl commands::HostRunning for CommandsView<'_> {
    async fn next(&mut self, this: Resource<RunningCommand>) -> wasmtime::Result<Option<Piece>> {
        self.ctx.budget.meter.host_call("shell.commands.running.next");
        Ok(self.running(&this)?.try_next().map(|piece| match piece {
            pipe::Piece::Output(LogStream::Stderr, bytes) => Piece::Stderr(bytes.into()),
            pipe::Piece::Output(_, bytes) => Piece::Stdout(bytes.into()),
            pipe::Piece::Ended(code) => Piece::Ended(code),
        }))
    }

    async fn subscribe(
        &mut self,
        this: Resource<RunningCommand>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        self.ctx.budget.meter.host_call("shell.commands.running.subscribe");
        subscribe(self.table(), this)
    }

    async fn write(
        &mut self,
        this: Resource<RunningCommand>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Option<u64>> {
        self.ctx.budget.meter.host_call("shell.commands.running.write");
        Ok(self.running(&this)?.input().write(&bytes).map(|taken| taken as u64))
    }

    async fn subscribe_write(
        &mut self,
        this: Resource<RunningCommand>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        self.ctx.budget.meter.host_call("shell.commands.running.subscribe-write");
        let wanted = self.running(&this)?.input().when_wanted();
        let wanted = self.table().push(wanted)?;
        subscribe(self.table(), wanted)
    }

    async fn close_stdin(&mut self, this: Resource<RunningCommand>) -> wasmtime::Result<()> {
        self.ctx.budget.meter.host_call("shell.commands.running.close-stdin");
        self.running(&this)?.input().close();
        Ok(())
    }

    async fn drop(&mut self, this: Resource<RunningCommand>) -> wasmtime::Result<()> {
        let RunningCommand(process) = self.table().delete(this)?;
        process.end().await;
        Ok(())
    }
}

//! Our commands as bashkit's builtins.
//!
//! bashkit streams between the stages of a pipeline when it knows them to be streaming commands. But
//! it then takes the pipe away from the shell for every such command, also within
//! `… | while read; do cat "$file"; done`, where `cat` does not read it and `read` needs it next. So
//! each command exists under more names than one: the plain one does not touch the pipe, and gets its
//! input whole; two marked ones stream, and [`stages`](super::stages) puts them where commands are stages of
//! their own.

use std::{
    io::{self, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use bashkit::{
    Builtin, BuiltinContext, BuiltinRegistry, CommandContext, CommandInput, CommandOutput,
    CommandStatus, Error, ExecResult, ExecutionPlan, FileSystem, Result, StreamData, async_trait,
};

use super::{
    script_input::ScriptInput,
    stages::{FIRST, LATER, PLAIN},
};
use crate::{
    command::{Command, Descriptors, Drain, Input, Invocation, Output, Pending, Source},
    filesystem::World,
};

/// What all commands of a script share.
pub(super) struct Surroundings {
    pub(super) world: Arc<World>,
    pub(super) input: ScriptInput,
    /// Whether one of bashkit's own commands ran since the last of ours.
    pub(super) others_wrote: Arc<AtomicBool>,
}

/// Puts `command` into the registry under its names.
pub(super) fn register(
    registry: &BuiltinRegistry,
    name: &str,
    command: Arc<dyn Command>,
    surroundings: &Surroundings,
) {
    let Surroundings { world, input, others_wrote } = surroundings;
    let marked =
        [("", Role::Plain), (PLAIN, Role::Plain), (FIRST, Role::First), (LATER, Role::Later)];
    let scratch = BuiltinRegistry::new();
    scratch
        .insert_command(name, Adapter { command, world: Arc::clone(world), input: input.clone() });
    let Some(inner) = scratch.lookup(name) else { return };
    for (mark, role) in marked {
        let builtin = Routed {
            inner: Arc::clone(&inner),
            role,
            about_to_run: AtomicBool::new(false),
            no_input: input.mark().clone(),
            others_wrote: Arc::clone(others_wrote),
        };
        registry.insert(format!("{mark}{name}"), Arc::new(builtin));
    }
}

/// Lets what was written leave, on whichever stream: bashkit holds it for as long as nothing waits, and
/// then a script's output would come before all of its errors. bashkit asks what takes it away in turns,
/// so that it is asked at any rate takes two of them.
async fn settle() {
    let mut turns = 2;
    std::future::poll_fn(|context| {
        if turns == 0 {
            return Poll::Ready(());
        }
        turns -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Where in a pipeline a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Plain,
    First,
    Later,
}

struct Routed {
    inner: Arc<dyn Builtin>,
    role: Role,
    /// bashkit asks twice whether a command streams: when it decides about the pipe, and, right after
    /// it asked for the command's plan, when it decides about output. A plain command says no the
    /// first time.
    about_to_run: AtomicBool,
    no_input: StreamData,
    /// Whether one of bashkit's own commands ran since the last of ours.
    others_wrote: Arc<AtomicBool>,
}

#[async_trait]
impl Builtin for Routed {
    fn streams_io(&self) -> bool {
        self.role != Role::Plain || self.about_to_run.swap(false, Ordering::Relaxed)
    }

    async fn execution_plan(&self, _context: &BuiltinContext<'_>) -> Result<Option<ExecutionPlan>> {
        if self.others_wrote.swap(false, Ordering::Relaxed) {
            settle().await;
        }
        self.about_to_run.store(true, Ordering::Relaxed);
        Ok(None)
    }

    async fn execute(&self, mut context: BuiltinContext<'_>) -> Result<ExecResult> {
        if self.role != Role::Later && context.stdin.is_none() {
            // Nobody redirected it: it is the script's.
            context.stdin = Some(&self.no_input);
        }
        self.inner.execute(context).await
    }
}

struct Adapter {
    command: Arc<dyn Command>,
    world: Arc<World>,
    input: ScriptInput,
}

#[async_trait]
impl bashkit::Command for Adapter {
    async fn execute(&self, context: CommandContext<'_>) -> Result<CommandStatus> {
        let source = CommandSource {
            pipe: context.stdin,
            script: self.input.clone(),
            world: Arc::clone(&self.world),
            state: State::Fresh,
        };
        let invocation = Invocation {
            name: context.name,
            arguments: context.args,
            environment: context.env,
            directory: context.cwd,
            world: Arc::clone(&self.world),
            descriptors: Arc::new(CallFiles(context.fs)),
            input: Input::new(Box::new(source)),
            output: Output::new(Box::new(CommandDrain(context.stdout))),
            errors: Output::new(Box::new(CommandDrain(context.stderr))),
        };
        let result = self.command.run(invocation).await;
        settle().await;
        match result {
            Ok(code) => Ok(CommandStatus::with_code(code.into())),
            Err(error) => Err(into_bashkit(error)),
        }
    }
}

/// How much of a file is read at once.
const BLOCK: usize = 64 * 1024;

/// The script's own input only if there is no other: bashkit does not tell them apart, so a mark that
/// [`Routed`] puts in front does.
struct CommandSource {
    pipe: CommandInput,
    script: ScriptInput,
    world: Arc<World>,
    state: State,
}

enum State {
    Fresh,
    /// The mark has been read, and what follows decides.
    Marked,
    Pipe,
    Script,
    File(Box<dyn Read + Send>),
}

impl Source for CommandSource {
    fn read(&mut self) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async move {
            loop {
                match &mut self.state {
                    State::Script => return self.script.read().await,
                    State::File(file) => {
                        let mut block = vec![0; BLOCK];
                        let length = file.read(&mut block)?;
                        block.truncate(length);
                        return Ok(block);
                    }
                    State::Fresh | State::Marked | State::Pipe => {}
                }
                let chunk = self.pipe.read_chunk().await.map_err(from_bashkit)?;
                let mark = self.script.mark().as_bytes();
                match (&self.state, chunk) {
                    (State::Fresh, Some(chunk)) if chunk.starts_with(mark) => {
                        let path = String::from_utf8_lossy(&chunk[mark.len()..]);
                        self.state = if path.is_empty() {
                            State::Marked
                        } else {
                            State::File(self.world.open(Path::new(&*path))?)
                        };
                    }
                    (State::Marked, None) => self.state = State::Script,
                    (_, Some(chunk)) => {
                        self.state = State::Pipe;
                        return Ok(chunk);
                    }
                    (_, None) => return Ok(Vec::new()),
                }
            }
        })
    }

    fn give_back(&mut self, bytes: Vec<u8>) {
        if matches!(self.state, State::Script) {
            self.script.give_back(bytes);
        }
    }
}

/// The files of a call, among which are those of process substitutions.
struct CallFiles(Arc<dyn FileSystem>);

impl Descriptors for CallFiles {
    fn read<'a>(&'a self, path: &'a Path) -> Pending<'a, io::Result<Vec<u8>>> {
        Box::pin(async move { self.0.read_file(path).await.map_err(from_bashkit) })
    }

    fn append<'a>(&'a self, path: &'a Path, bytes: &'a [u8]) -> Pending<'a, io::Result<()>> {
        Box::pin(async move { self.0.append_file(path, bytes).await.map_err(from_bashkit) })
    }
}

struct CommandDrain(CommandOutput);

impl Drain for CommandDrain {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> Pending<'a, io::Result<()>> {
        Box::pin(async move { self.0.write_all(bytes).await.map_err(from_bashkit) })
    }
}

/// A limit or the end of the request, on its way through a command that only knows streams.
fn from_bashkit(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

/// Whether the error is the interpreter's and ends more than the command.
pub(crate) fn is_fatal(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Error>())
}

fn into_bashkit(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::Io(error),
    }
}

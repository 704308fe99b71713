//! The shell for people: sessions in this process, without a Worker and without a log.

use std::{collections::BTreeMap, error::Error, io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use tokio::{runtime::Handle, sync::Semaphore};
use worker_types::{
    CommandName, Grants, InvalidGrants, Limits, LogStream, RootName, RuntimeError, WorkerId,
};

use super::{
    CommandSet, RegisteredCommand, Script, ScriptEnd, ShellHost, StartScriptError, session::Session,
};
use crate::{
    Compiler, ExecError, Root,
    capability::filesystem::FilesystemCtx,
    engine::Engines,
    grants::{Roots, ScratchDirectories},
    runtime::WorkerThreads,
    sandbox::{Budget, Process, permits, pipe::Piece},
    turn::{Share, TurnMeter},
};

/// Sets up a shell.
#[derive(Debug)]
pub struct Shell {
    component: Bytes,
    limits: Limits,
    compiler: Option<Compiler>,
    component_cache: Option<PathBuf>,
    roots: BTreeMap<RootName, Root>,
    scratch: Option<PathBuf>,
    commands: BTreeMap<CommandName, Vec<u8>>,
}

/// Why there is no shell, or no script was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShellError {
    /// Grants that nobody can be given.
    #[error("the directories contradict each other")]
    Grants(#[source] InvalidGrants),
    /// A directory that cannot be had.
    #[error(transparent)]
    Directory(RuntimeError),
    /// A command is none.
    #[error("the command `{name}` cannot be used")]
    Command {
        /// Its name.
        name: CommandName,
        /// Why not.
        #[source]
        error: ExecError,
    },
    /// The shell component does not compile, or does not load.
    #[error("{0}")]
    Load(String),
    /// Another script of the session runs, or as many scripts and commands as may.
    #[error("{0}")]
    Busy(String),
    /// wasmtime or the system refuses what it takes to run anything.
    #[error("failed to set up the sandbox")]
    Setup(#[source] Box<dyn Error + Send + Sync>),
}

impl ShellError {
    fn setup(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Setup(error.into())
    }
}

impl Shell {
    /// Scripts are run by `component`, which exports `yoi:shell/interpreter`; each within `limits`: those
    /// of a turn, but for its time on the wall.
    #[must_use]
    pub fn new(component: impl Into<Bytes>, limits: Limits) -> Self {
        Self {
            component: component.into(),
            limits,
            compiler: None,
            component_cache: None,
            roots: BTreeMap::new(),
            scratch: None,
            commands: BTreeMap::new(),
        }
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

    /// Gives sessions that are granted the root `scratch` a private directory below `dir`, which is made
    /// where it is missing, for this user alone. [`ShellSession::close`] removes it.
    #[must_use]
    pub fn scratch(mut self, dir: impl Into<PathBuf>) -> Self {
        self.scratch = Some(dir.into());
        self
    }

    /// A WASI command that scripts find as `name`. It is compiled when it is run first.
    #[must_use]
    pub fn command(mut self, name: CommandName, component: impl Into<Vec<u8>>) -> Self {
        self.commands.insert(name, component.into());
        self
    }

    /// Opens a session on the directories of `grants`, with these variables. It begins in the first
    /// directory, or in `/`. To be called inside a tokio runtime with I/O and time; scripts have threads
    /// of their own.
    ///
    /// # Errors
    ///
    /// See [`ShellError`].
    pub async fn open(
        self,
        grants: Grants,
        environment: Vec<(String, String)>,
    ) -> Result<ShellSession, ShellError> {
        let host = Handle::try_current().map_err(ShellError::setup)?;
        grants.validate().map_err(ShellError::Grants)?;
        // No turn, no slots.
        let limits = Limits { live_turns: 1, ..self.limits };
        let scratch = self.scratch.as_deref().map(ScratchDirectories::open).transpose();
        let roots = Roots::new(self.roots, scratch.map_err(ShellError::setup)?, &[]);
        let (bounds, on) = (limits.clone(), host.clone());
        let compiler = self.compiler.unwrap_or_else(Compiler::in_process);
        let cache = self.component_cache;
        let set_up = move || Engines::new(&bounds, compiler, cache.as_deref(), on);
        let engines = host.spawn_blocking(set_up).await.map_err(ShellError::setup)?;
        let engines = Arc::new(engines.map_err(ShellError::Setup)?);
        let mut commands = BTreeMap::new();
        for (name, bytes) in self.commands {
            let command = RegisteredCommand::new(bytes, &limits).await;
            let command =
                command.map_err(|error| ShellError::Command { name: name.clone(), error })?;
            commands.insert(name, Arc::new(command));
        }
        let threads = WorkerThreads::start().map_err(ShellError::setup)?;
        let shell = ShellHost::new(engines, threads.guests(), self.component, &limits);
        let others = grants.preopens.iter().find(|preopen| !preopen.root.is_scratch());
        let first = others.or_else(|| grants.preopens.first());
        let first = first.map(|preopen| preopen.guest_path.as_str());
        let session = ShellSession {
            session: Session::new(first.unwrap_or("/").to_owned(), environment),
            id: WorkerId::generate(),
            open_files: Arc::new(Semaphore::new(permits(limits.open_files))),
            host: Arc::new(shell),
            roots: Arc::new(roots),
            grants: Arc::new(grants),
            commands: Arc::new(commands),
            limits: Arc::new(limits),
            threads: Arc::new(threads),
        };
        session.files(&Arc::new(TurnMeter::start()), true).await?;
        Ok(session)
    }
}

/// Scripts that run after each other and share what bash keeps.
#[derive(Debug)]
pub struct ShellSession {
    session: Session,
    /// Whose private directory it uses.
    id: WorkerId,
    host: Arc<ShellHost>,
    roots: Arc<Roots>,
    grants: Arc<Grants>,
    commands: CommandSet,
    limits: Arc<Limits>,
    open_files: Arc<Semaphore>,
    threads: Arc<WorkerThreads>,
}

impl ShellSession {
    /// Compiles the shell, unless it is compiled: the first script would.
    ///
    /// # Errors
    ///
    /// `Load`.
    pub async fn compile(&self) -> Result<(), ShellError> {
        self.host.interpreter().await.map(drop).map_err(ShellError::Load)
    }

    /// Where the next script begins: a guest's path.
    #[must_use]
    pub fn directory(&self) -> String {
        self.session.directory()
    }

    /// Another session that begins as this one is now: what its scripts change of it, this one does not
    /// see. They share the directories.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            session: self.session.fork(),
            id: self.id,
            host: Arc::clone(&self.host),
            roots: Arc::clone(&self.roots),
            grants: Arc::clone(&self.grants),
            commands: Arc::clone(&self.commands),
            limits: Arc::clone(&self.limits),
            open_files: Arc::clone(&self.open_files),
            threads: Arc::clone(&self.threads),
        }
    }

    /// Removes the private directory, whatever scripts made there. To be called when none runs.
    ///
    /// # Errors
    ///
    /// The system's, where it cannot be removed.
    pub async fn close(&self) -> io::Result<()> {
        let (roots, id) = (Arc::clone(&self.roots), self.id);
        let remove = move || roots.scratch().map_or(Ok(()), |scratch| scratch.remove(id));
        tokio::task::spawn_blocking(remove).await.map_err(io::Error::other)?
    }

    /// Starts a script. What it changes of the session is kept if it ends by itself.
    ///
    /// # Errors
    ///
    /// `Directory` where one cannot be had any more, `Busy` while another script of the session runs.
    pub async fn start(&self, script: Script) -> Result<RunningScript, ShellError> {
        let meter = Arc::new(TurnMeter::start());
        let files = self.files(&meter, false).await?;
        let budget = Budget::new(Arc::clone(&self.limits), Share::All, meter);
        let started = self.host.start(script, (&self.session, &self.commands), files, &budget);
        started
            .map(RunningScript)
            .map_err(|error: StartScriptError| ShellError::Busy(error.to_string()))
    }

    /// Opens the directories; `admit` looks for what is not looked for each time.
    async fn files(
        &self,
        meter: &Arc<TurnMeter>,
        admit: bool,
    ) -> Result<FilesystemCtx, ShellError> {
        let (roots, grants, id) = (Arc::clone(&self.roots), Arc::clone(&self.grants), self.id);
        let open = move || {
            if admit {
                roots.admit(&grants)?;
            }
            roots.open_preopens(id, &grants)
        };
        let opened = tokio::task::spawn_blocking(open).await.map_err(ShellError::setup)?;
        let opened = opened.map_err(|error| ShellError::Directory(error.into()))?;
        Ok(FilesystemCtx::new(opened.into(), meter, &self.limits, &self.open_files))
    }
}

/// What comes of a running script.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScriptPiece {
    /// Bytes of its standard output.
    Stdout(Bytes),
    /// Bytes of its standard error.
    Stderr(Bytes),
    /// Its end. Nothing follows.
    Ended(ScriptEnd),
}

/// A script that runs. Dropping it ends it.
#[derive(Debug)]
pub struct RunningScript(Process<ScriptEnd>);

impl RunningScript {
    /// Waits for the next piece, of at most 64 KiB; none after the end. While nobody takes pieces, a
    /// script that writes waits. Nothing is lost when the future is dropped.
    pub async fn next(&self) -> Option<ScriptPiece> {
        Some(match self.0.next().await? {
            Piece::Output(LogStream::Stderr, bytes) => ScriptPiece::Stderr(bytes),
            Piece::Output(_, bytes) => ScriptPiece::Stdout(bytes),
            Piece::Ended(end) => ScriptPiece::Ended(end),
        })
    }

    /// Gives the script all of `bytes` to read, waiting for it to read them. Returns whether anybody may
    /// read more.
    pub async fn write(&self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            self.0.input().writable().await;
            match self.0.input().write(bytes) {
                Some(taken) => bytes = &bytes[taken..],
                None => return false,
            }
        }
        true
    }

    /// Waits until the script waits for something to read; or until nobody will read, and returns `false`.
    /// So what it does not read is left to whoever reads next.
    pub async fn wants_input(&self) -> bool {
        self.0.input().wanted().await
    }

    /// Ends its standard input.
    pub fn close_stdin(&self) {
        self.0.input().close();
    }

    /// Ends it. When this returns, nothing of it runs.
    pub async fn cancel(self) {
        self.0.end().await;
    }
}

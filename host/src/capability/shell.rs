//! `yoi:worker/shell`: scripts that a Worker runs on its own directories, inside WebAssembly.

use std::{sync::Arc, time::Duration};

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::{
    async_trait,
    p2::{DynPollable, Pollable, subscribe},
};
use worker_types::{Capability, Grant, GuestPath, LogStream, Preopen, ShellGrant};

use super::{
    bindings::yoi::worker::{
        shell::{self, Ending, Piece},
        types,
    },
    filesystem::FilesystemCtx,
    session::SessionCtx,
};
use crate::{
    sandbox::{Budget, Process, pipe},
    shell::{CommandSet, Script, ScriptEnd, Session},
    turn::{Share, TurnState},
};

/// Sessions that a turn may have at once: the host keeps what each left.
const MAX_SESSIONS: usize = 16;

/// The private directory of a script without one: memory of the shell's own.
const HOME: &str = "/tmp";

/// The sessions of one turn.
#[derive(Debug)]
pub(crate) struct ShellCtx {
    /// What its scripts take together.
    budget: Budget,
    sessions: usize,
}

/// A session of scripts.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct ShellSession {
    session: Session,
    commands: CommandSet,
}

/// A script that runs.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct RunningScript(Process<ScriptEnd>);

#[async_trait]
impl Pollable for RunningScript {
    async fn ready(&mut self) {
        self.0.readable().await;
    }
}

impl ShellCtx {
    pub(crate) fn new(session: &SessionCtx) -> Self {
        let limits = Arc::clone(&session.runtime.limits);
        let budget = Budget::new(limits, Share::Scripts, Arc::clone(&session.meter));
        Self { budget, sessions: 0 }
    }
}

/// The scripts of a turn, its session and files, and the resources of its Store.
#[derive(Debug)]
pub(crate) struct ShellView<'a> {
    pub(crate) ctx: &'a mut ShellCtx,
    pub(crate) session: &'a SessionCtx,
    pub(crate) files: &'a FilesystemCtx,
    pub(crate) table: &'a mut ResourceTable,
}

struct HasShell;

impl HasData for HasShell {
    type Data<'a> = ShellView<'a>;
}

/// Links the interface. Without the grant `shell` every call answers `not-granted`.
pub(crate) fn add_to_linker(linker: &mut Linker<TurnState>) -> wasmtime::Result<()> {
    shell::add_to_linker::<_, HasShell>(linker, TurnState::shell)
}

impl ShellView<'_> {
    fn granted(&self) -> Result<&ShellGrant, types::Error> {
        let grant = Grant::Capability(Capability::Shell);
        self.session.authority.grants.shell.as_ref().ok_or_else(|| {
            match self.session.authority.is_revoked(&grant) {
                true => types::Error::Revoked,
                false => types::Error::NotGranted,
            }
        })
    }

    fn open(&mut self) -> Result<ShellSession, types::Error> {
        self.granted()?;
        if self.ctx.sessions == MAX_SESSIONS {
            let message = format!("a turn may have {MAX_SESSIONS} shell sessions at once");
            return Err(types::Error::Other(message));
        }
        let (runtime, authority) = (&self.session.runtime, &self.session.authority);
        let commands = runtime.commands(&authority.profile.profile);
        let directory = self.files.first_directory().unwrap_or("/").to_owned();
        let session = Session::new(directory, environment(&authority.grants.preopens));
        self.ctx.sessions += 1;
        Ok(ShellSession { session, commands })
    }

    fn start(
        &self,
        session: &Resource<ShellSession>,
        script: shell::Script,
    ) -> wasmtime::Result<Result<RunningScript, types::Error>> {
        let ShellSession { session, commands } = self.table.get(session)?;
        let grant = match self.granted() {
            Ok(grant) => grant,
            Err(error) => return Ok(Err(error)),
        };
        let Some(host) = &self.session.runtime.shell else {
            let message = "the operator has set up no shell".to_owned();
            return Ok(Err(types::Error::Other(message)));
        };
        let timeout_ms = script.timeout_ms.unwrap_or(grant.timeout_ms).min(grant.timeout_ms);
        let script = Script {
            text: script.text,
            name: String::new(),
            arguments: script.arguments,
            environment: script.environment,
            directory: script.directory,
            timeout: Some(Duration::from_millis(timeout_ms)),
        };
        let started = host.start(script, (session, commands), self.files.fork(), &self.ctx.budget);
        let started = started.map(RunningScript);
        Ok(started.map_err(|error| types::Error::Other(error.to_string())))
    }
}

/// What scripts find in their environment besides what bash sets: where they may keep what is their own.
fn environment(preopens: &[Preopen]) -> Vec<(String, String)> {
    let scratch = preopens.iter().find(|preopen| preopen.root.is_scratch());
    let home = scratch.map_or(HOME, |preopen| GuestPath::as_str(&preopen.guest_path));
    ["HOME", "TMPDIR"].map(|name| (name.to_owned(), home.to_owned())).into()
}

impl shell::Host for ShellView<'_> {}

impl shell::HostSession for ShellView<'_> {
    async fn open(&mut self) -> wasmtime::Result<Result<Resource<ShellSession>, types::Error>> {
        self.session.meter.host_call("shell.session.open");
        match ShellView::open(self) {
            Ok(session) => Ok(Ok(self.table.push(session)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn start(
        &mut self,
        this: Resource<ShellSession>,
        script: shell::Script,
    ) -> wasmtime::Result<Result<Resource<RunningScript>, types::Error>> {
        self.session.meter.host_call("shell.session.start");
        // What came before the script is in the log before the script does anything.
        self.session.ledger.flush().await?;
        match ShellView::start(self, &this, script)? {
            Ok(running) => Ok(Ok(self.table.push(running)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn drop(&mut self, this: Resource<ShellSession>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        self.ctx.sessions -= 1;
        Ok(())
    }
}

impl ShellView<'_> {
    fn running(&self, this: &Resource<RunningScript>) -> wasmtime::Result<&Process<ScriptEnd>> {
        Ok(&self.table.get(this)?.0)
    }
}

impl shell::HostRunning for ShellView<'_> {
    async fn next(&mut self, this: Resource<RunningScript>) -> wasmtime::Result<Option<Piece>> {
        self.session.meter.host_call("shell.running.next");
        Ok(self.running(&this)?.next().await.map(|piece| match piece {
            pipe::Piece::Output(LogStream::Stderr, bytes) => Piece::Stderr(bytes.into()),
            pipe::Piece::Output(_, bytes) => Piece::Stdout(bytes.into()),
            pipe::Piece::Ended(end) => Piece::Ended(match end {
                ScriptEnd::Exited { code, .. } => Ending::Exited(code),
                ScriptEnd::TimedOut => Ending::TimedOut,
                ScriptEnd::Limit(limit) => Ending::Limit(limit),
                ScriptEnd::Crashed(reason) => Ending::Crashed(reason),
            }),
        }))
    }

    async fn subscribe(
        &mut self,
        this: Resource<RunningScript>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        self.session.meter.host_call("shell.running.subscribe");
        subscribe(self.table, this)
    }

    async fn write(
        &mut self,
        this: Resource<RunningScript>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Option<u64>> {
        self.session.meter.host_call("shell.running.write");
        Ok(self.running(&this)?.input().write(&bytes).map(|taken| taken as u64))
    }

    async fn subscribe_write(
        &mut self,
        this: Resource<RunningScript>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        self.session.meter.host_call("shell.running.subscribe-write");
        let room = self.running(&this)?.input().room();
        let room = self.table.push(room)?;
        subscribe(self.table, room)
    }

    async fn close_stdin(&mut self, this: Resource<RunningScript>) -> wasmtime::Result<()> {
        self.session.meter.host_call("shell.running.close-stdin");
        self.running(&this)?.input().close();
        Ok(())
    }

    async fn drop(&mut self, this: Resource<RunningScript>) -> wasmtime::Result<()> {
        let RunningScript(process) = self.table.delete(this)?;
        process.end().await;
        Ok(())
    }
}

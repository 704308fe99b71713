//! The launcher: a small process with one thread that starts the other processes of a Runtime
//! process.
//!
//! A Runtime process confines itself ([`AllowedPaths`](crate::AllowedPaths)), and from then on can
//! execute nothing. Before that it starts this: its own program once more, which is not confined, and
//! is connected to it by a socket alone. What can be asked of it is in [`wire`]: to compile a
//! component. Programs and their arguments are not in what it is asked, so whoever took over the
//! Runtime process could start compile helpers, and nothing else.
//!
//! It dies with its Runtime process, and with it what it started.

mod descriptors;
mod launched;
mod serve;
mod wire;

use std::{
    ffi::OsString,
    fmt, io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

pub use serve::serve_launcher;

use crate::engine::CompileJob;
pub(crate) use launched::{LaunchError, Launched};

/// A launcher that runs. It ends when the last copy of this is gone, or its process.
#[derive(Clone)]
pub struct Launcher(Arc<Running>);

struct Running {
    socket: OwnedFd,
    process: Mutex<std::process::Child>,
}

/// The launcher does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartLauncherError {
    /// The system gives no pair of sockets.
    #[error("failed to make a connection for the launcher")]
    Socket(#[source] io::Error),
    /// Its program cannot be run.
    #[error("the launcher does not start: see that the program is installed completely")]
    Program(#[source] io::Error),
}

impl Launcher {
    /// Starts `program` with `arguments` as a launcher: it is to call [`serve_launcher`] first thing.
    /// It gets no environment, and of what this process opened nothing but its standard error.
    ///
    /// To be called before this process confines itself. The launcher dies with the thread that
    /// calls, so that has to be one that lives as long as the process, such as the one of `main`.
    ///
    /// # Errors
    ///
    /// See [`StartLauncherError`]. A program that starts and is no launcher is found out by the first
    /// compilation ([`Compiler::check`](crate::Compiler::check)).
    pub fn start<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self, StartLauncherError> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|error| StartLauncherError::Socket(error.into()))?;
        let process = Command::new(program.into())
            .args(arguments.into_iter().map(Into::into))
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            // Away from the keys of the terminal: whoever is asked to end waits for what it started.
            .process_group(0)
            .spawn()
            .map_err(StartLauncherError::Program)?;
        Ok(Self(Arc::new(Running { socket: ours, process: Mutex::new(process) })))
    }

    /// Has a component compiled. To be called inside a tokio runtime with I/O.
    pub(crate) fn compile(&self, job: CompileJob) -> io::Result<Launched> {
        Launched::ask(self.0.socket.as_fd(), wire::Program::Compile(job))
    }

    /// Its process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.0.process.lock().unwrap_or_else(PoisonError::into_inner).id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It ends by itself once its socket is closed, so it is not waited for. This takes one that is
        // dead already from the table of processes.
        let _ = self.process.get_mut().unwrap_or_else(PoisonError::into_inner).try_wait();
    }
}

impl fmt::Debug for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launcher").field("process_id", &self.process_id()).finish()
    }
}

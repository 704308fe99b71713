//! A program that the launcher started, as the Runtime sees it.

use std::{
    io::{self, PipeReader, PipeWriter},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::process::ExitStatusExt as _,
    },
    process::ExitStatus,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixStream,
        unix::pipe::{Receiver, Sender},
    },
};

use super::wire::{self, MAX_MESSAGE_BYTES, Program, Reply, Request};

/// A program that the launcher was asked to start. Dropping it kills the program.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) stdin: Option<Sender>,
    pub(crate) stdout: Option<Receiver>,
    pub(crate) stderr: Option<Receiver>,
    /// The launcher kills the program once this is closed.
    socket: UnixStream,
}

/// What a program that was launched came to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error("the launcher could not start it")]
    NotStarted(#[source] io::Error),
    #[error("the launcher is gone")]
    NoLauncher(#[source] io::Error),
}

impl Launched {
    /// Asks the launcher at the other end of `launcher`.
    pub(super) fn ask(launcher: BorrowedFd<'_>, program: Program) -> io::Result<Self> {
        let (their_stdin, stdin) = io::pipe()?;
        let (stdout, their_stdout) = io::pipe()?;
        let (stderr, their_stderr) = io::pipe()?;
        let (socket, theirs) = UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs.into_std()?);
        let launched = Self {
            stdin: Some(sender(stdin)?),
            stdout: Some(receiver(stdout)?),
            stderr: Some(receiver(stderr)?),
            socket,
        };
        let descriptors =
            [their_stdin.as_fd(), their_stdout.as_fd(), their_stderr.as_fd(), theirs.as_fd()];
        wire::send(launcher, &Request::Start(program), &descriptors)?;
        Ok(launched)
    }

    /// Waits until it is no more.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus, LaunchError> {
        let mut reply = Vec::new();
        let mut socket = (&mut self.socket).take(MAX_MESSAGE_BYTES as u64);
        // The launcher says one thing, and closes it.
        socket.read_to_end(&mut reply).await.map_err(LaunchError::NoLauncher)?;
        match serde_json::from_slice(&reply) {
            Ok(Reply::Exited { wait_status }) => Ok(ExitStatus::from_raw(wait_status)),
            Ok(Reply::Refused { errno }) => {
                let refused = errno.map_or_else(
                    || io::Error::from(io::ErrorKind::InvalidInput),
                    io::Error::from_raw_os_error,
                );
                Err(LaunchError::NotStarted(refused))
            }
            Err(error) => Err(LaunchError::NoLauncher(error.into())),
        }
    }

    /// Kills it, and waits until it is no more.
    pub(crate) async fn kill(&mut self) -> Result<(), LaunchError> {
        self.socket.shutdown().await.map_err(LaunchError::NoLauncher)?;
        self.wait().await.map(|_| ())
    }
}

fn sender(pipe: PipeWriter) -> io::Result<Sender> {
    Sender::from_owned_fd(pipe.into())
}

fn receiver(pipe: PipeReader) -> io::Result<Receiver> {
    Receiver::from_owned_fd(pipe.into())
}

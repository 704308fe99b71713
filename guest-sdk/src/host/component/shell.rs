//! The shell's part of the contract.

use crate::{
    Error,
    bindings::{
        wasi::io::poll::{self, Pollable},
        yoi::worker::shell,
    },
    shell::{Ending, Piece, Ready, Script},
};

#[derive(Debug)]
pub(crate) struct ShellSession(shell::Session);

impl ShellSession {
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self(shell::Session::open()?))
    }

    pub(crate) fn start(&self, script: Script) -> Result<RunningScript, Error> {
        let script = shell::Script {
            text: script.text,
            arguments: script.arguments,
            environment: script.environment,
            directory: script.directory,
            timeout_ms: script
                .timeout
                .map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
        };
        let running = self.0.start(&script)?;
        Ok(RunningScript { pollables: None, running })
    }
}

#[derive(Debug)]
pub(crate) struct RunningScript {
    /// To be dropped before the script: fields are dropped in this order.
    pollables: Option<Pollables>,
    running: shell::Running,
}

#[derive(Debug)]
struct Pollables {
    to_take: Pollable,
    to_write: Pollable,
}

impl RunningScript {
    pub(crate) fn next(&mut self) -> Option<Piece> {
        self.running.next().map(Into::into)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Option<u64> {
        self.running.write(bytes)
    }

    pub(crate) fn close_stdin(&mut self) {
        self.running.close_stdin();
    }

    pub(crate) fn ready(&mut self) -> Ready {
        let Pollables { to_take, to_write } = self.pollables.get_or_insert_with(|| Pollables {
            to_take: self.running.subscribe(),
            to_write: self.running.subscribe_write(),
        });
        let ready = poll::poll(&[&*to_take, &*to_write]);
        Ready { to_take: ready.contains(&0), to_write: ready.contains(&1) }
    }
}

impl From<shell::Piece> for Piece {
    fn from(piece: shell::Piece) -> Self {
        match piece {
            shell::Piece::Stdout(bytes) => Self::Stdout(bytes),
            shell::Piece::Stderr(bytes) => Self::Stderr(bytes),
            shell::Piece::Ended(ending) => Self::Ended(match ending {
                shell::Ending::Exited(code) => Ending::Exited(code),
                shell::Ending::TimedOut => Ending::TimedOut,
                shell::Ending::Limit(what) => Ending::Limit(what),
                shell::Ending::Crashed(how) => Ending::Crashed(how),
                shell::Ending::Other(words) => Ending::Other(words),
            }),
            shell::Piece::Other(json) => Self::Other(json),
        }
    }
}

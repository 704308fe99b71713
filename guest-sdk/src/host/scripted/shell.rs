//! A shell whose scripts do what the test wrote down.

use std::{collections::VecDeque, fmt};

use super::with;
use crate::{
    Error,
    shell::{Ending, Piece, Ready, Script},
};

/// What a pipe holds: a script that copies its input takes no more before its output is taken.
const PIPE_BYTES: usize = 64 << 10;

/// Answers a script with its pieces.
pub(crate) type Answer = dyn FnMut(&Script) -> Vec<Piece>;

/// What scripts will do.
#[derive(Default)]
pub(crate) struct Scripts {
    /// In the order in which they are started.
    pub(crate) planned: VecDeque<Plan>,
    /// What a script does that is not among them.
    pub(crate) otherwise: Option<Box<Answer>>,
    /// Those that ran.
    pub(crate) ran: Vec<Ran>,
}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripts")
            .field("planned", &self.planned)
            .field("ran", &self.ran)
            .finish_non_exhaustive()
    }
}

/// What a script will do.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Give these pieces, and take whatever it is given to read.
    Give(VecDeque<Piece>),
    /// Give back what it reads, and exit with 0 at the end of it.
    Copy(VecDeque<u8>),
}

/// A script that was started.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) script: Script,
    pub(crate) stdin: Vec<u8>,
    pub(crate) stdin_closed: bool,
    pub(crate) ended: bool,
}

#[derive(Debug)]
pub(crate) struct ShellSession(());

impl ShellSession {
    pub(crate) fn open() -> Result<Self, Error> {
        with(|host| {
            let granted = host.capabilities.iter().any(|name| name == "shell");
            if granted { Ok(Self(())) } else { Err(Error::NotGranted) }
        })
    }

    pub(crate) fn start(&self, script: Script) -> Result<RunningScript, Error> {
        // Taken out while it runs, so that it may ask the host itself.
        let (planned, mut otherwise) =
            with(|host| (host.scripts.planned.pop_front(), host.scripts.otherwise.take()));
        let plan = planned.unwrap_or_else(|| {
            let answer =
                otherwise.as_mut().expect("the test says what the shell does with each script");
            Plan::Give(answer(&script).into())
        });
        with(|host| {
            host.scripts.otherwise = otherwise;
            host.scripts.ran.push(Ran {
                script,
                stdin: Vec::new(),
                stdin_closed: false,
                ended: false,
            });
            Ok(RunningScript { plan, index: host.scripts.ran.len() - 1 })
        })
    }
}

/// A script in the Worker's hands. Unless its end is read it was cancelled.
#[derive(Debug)]
pub(crate) struct RunningScript {
    plan: Plan,
    /// Its place among the turn's scripts.
    index: usize,
}

impl RunningScript {
    pub(crate) fn next(&mut self) -> Option<Piece> {
        assert!(self.ready().to_take, "the Worker waits for a script that waits for input");
        let piece = match &mut self.plan {
            Plan::Give(pieces) => pieces.pop_front(),
            Plan::Copy(held) if held.is_empty() => Some(Piece::Ended(Ending::Exited(0))),
            Plan::Copy(held) => Some(Piece::Stdout(held.drain(..).collect())),
        };
        if matches!(piece, Some(Piece::Ended(_)) | None) {
            self.ran(|ran| ran.ended = true);
        }
        piece
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Option<u64> {
        if self.ran(|ran| ran.ended || ran.stdin_closed) {
            return None;
        }
        let taken = match &mut self.plan {
            Plan::Give(_) => bytes,
            Plan::Copy(held) => {
                let taken = &bytes[..bytes.len().min(PIPE_BYTES - held.len())];
                held.extend(taken);
                taken
            }
        };
        self.ran(|ran| ran.stdin.extend_from_slice(taken));
        Some(taken.len() as u64)
    }

    pub(crate) fn close_stdin(&mut self) {
        self.ran(|ran| ran.stdin_closed = true);
    }

    pub(crate) fn ready(&mut self) -> Ready {
        let closed = self.ran(|ran| ran.ended || ran.stdin_closed);
        match &self.plan {
            Plan::Give(_) => Ready { to_take: true, to_write: true },
            Plan::Copy(held) => Ready {
                to_take: closed || !held.is_empty(),
                to_write: closed || held.len() < PIPE_BYTES,
            },
        }
    }

    fn ran<T>(&self, use_script: impl FnOnce(&mut Ran) -> T) -> T {
        with(|host| use_script(&mut host.scripts.ran[self.index]))
    }
}

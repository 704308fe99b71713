//! How a command ends.

use std::{io, process::ExitCode};

use worker_types::RuntimeError;

use crate::backend_error::BackendError;

/// An error of a Runtime in words that fit what a person wrote.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ExplainedError {
    /// What is wrong, and what would be right.
    pub(crate) message: String,
    /// What the Runtime said.
    pub(crate) error: RuntimeError,
}

/// The stable word for an error, where it has one.
pub(crate) fn code(error: &anyhow::Error) -> Option<&str> {
    error.chain().find_map(|cause| {
        let of_runtime = || cause.downcast_ref().map(RuntimeError::code);
        let explained = || cause.downcast_ref().map(|found: &ExplainedError| found.error.code());
        of_runtime().or_else(explained).or_else(|| match cause.downcast_ref()? {
            BackendError::Refused(refusal) => refusal.code(),
            _ => None,
        })
    })
}

/// How a command ends, as its exit code tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was asked to.
    Done,
    /// It was refused, or failed.
    Failed,
    /// There is no Backend to ask, or no Runtime process.
    Unreachable,
    /// It did what it was asked to, and found damage.
    Damaged,
    /// Somebody interrupted it.
    Interrupted,
    /// As a program ended that it ran.
    Code(u8),
}

impl Exit {
    /// The end that an error means.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        match error.chain().find_map(|cause| cause.downcast_ref()) {
            Some(
                BackendError::NotRunning
                | BackendError::Unreachable { .. }
                | BackendError::Silent { .. }
                | BackendError::Broken { .. }
                | BackendError::InDoubt { .. },
            ) => Self::Unreachable,
            Some(
                BackendError::Refused(_) | BackendError::Tls { .. } | BackendError::Answer { .. },
            )
            | None => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // 2 is clap's, for a command line that makes no sense; 130 is what shells give to a
        // command that SIGINT ended.
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Unreachable => 3,
            Exit::Damaged => 4,
            Exit::Interrupted => 130,
            Exit::Code(code) => code,
        })
    }
}

/// Whether the reader of our output went away: `yoi worker ls | head -1` is no failure to report.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

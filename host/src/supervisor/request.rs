//! What others ask of a Worker's task.

use std::sync::Arc;

use tokio::sync::oneshot;
use worker_types::{Grant, IfBusy, InputAccepted, InputPart, RuntimeError, Seq, TurnId, Upgraded};

use crate::runtime::{ComponentsStay, InstalledProfile, PendingKey};

/// Requests that may wait for one Worker. Each is answered within microseconds, unless the Worker's
/// store is slow: then the callers wait rather than pile up.
pub(crate) const REQUEST_BACKLOG: usize = 256;

/// The answer to one request too many.
pub(crate) fn backlog_is_full() -> RuntimeError {
    let reason = format!("{REQUEST_BACKLOG} requests already wait for this Worker");
    RuntimeError::Capacity { reason }
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, RuntimeError>>;

/// What somebody wants of an active Worker.
#[derive(Debug)]
pub(crate) enum Request {
    Input {
        parts: Vec<InputPart>,
        if_busy: IfBusy,
        key: Option<PendingKey>,
        reply: Reply<InputAccepted>,
    },
    Cancel {
        turn_id: Option<TurnId>,
        reply: Reply<()>,
    },
    Stop {
        reply: Reply<()>,
    },
    Start {
        reply: Reply<()>,
    },
    /// Takes grants away that the Worker has; a turn that runs ends.
    Revoke {
        grants: Vec<Grant>,
        reply: Reply<()>,
    },
    /// From the next turn on, the Worker goes by this profile, whose component is loaded.
    Upgrade {
        profile: Arc<InstalledProfile>,
        /// Until that is in the log.
        stay: ComponentsStay,
        reply: Reply<Upgraded>,
    },
    Delete {
        reply: Reply<()>,
    },
    /// Removes events up to this one, unless a turn runs.
    Trim {
        through: Seq,
        reply: Reply<()>,
    },
    /// Answered once this turn neither runs nor waits, or not any more.
    End {
        turn_id: TurnId,
        reply: Reply<()>,
    },
    /// Makes the task panic, as a defect would.
    #[cfg(test)]
    Panic,
}

impl Request {
    /// Answers with an error, whatever was asked.
    pub(super) fn refuse(self, error: RuntimeError) {
        // A caller that went away does not need the answer.
        match self {
            Self::Input { reply, .. } => drop(reply.send(Err(error))),
            Self::Cancel { reply, .. }
            | Self::Stop { reply }
            | Self::Start { reply }
            | Self::Revoke { reply, .. }
            | Self::Delete { reply }
            | Self::Trim { reply, .. }
            | Self::End { reply, .. } => drop(reply.send(Err(error))),
            Self::Upgrade { reply, .. } => drop(reply.send(Err(error))),
            #[cfg(test)]
            Self::Panic => panic!("asked to"),
        }
    }
}

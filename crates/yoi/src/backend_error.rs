//! Why a Backend did not do what it was asked to, for people.

use runtime_client::ClientError;
use serde::Deserialize;
use worker_types::{RuntimeError, WorkerId};

use crate::{backend_client::ANSWER_TIMEOUT, cli::own_name};

/// Why a Backend did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    /// There is none.
    #[error("no Backend is running: start one with `yoi up`")]
    NotRunning,
    /// Nobody answers where there should be one.
    #[error("the Backend at {url} does not answer")]
    Unreachable {
        /// Its address.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It has the request, and says nothing.
    #[error(
        "the Backend at {url} has not answered for {} s: it is suspended, or has too much to do",
        ANSWER_TIMEOUT.as_secs()
    )]
    Silent {
        /// Its address.
        url: String,
    },
    /// It may have done what it was asked to do.
    #[error("there was no answer, so it is not known whether this was done")]
    InDoubt {
        /// Why there was none.
        #[source]
        source: Box<BackendError>,
    },
    /// It refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A Runtime that was asked by itself does not answer.
    #[error(transparent)]
    Remote(ClientError),
    /// It answers something else than it should.
    #[error("the Backend's answer makes no sense: {what}")]
    Answer {
        /// What is wrong with it.
        what: String,
    },
}

/// An error answer, for people.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Refusal {
    detail: String,
    code: Option<String>,
}

impl BackendError {
    /// The same for a request that changes something: where it was sent and has no answer, it may
    /// have been carried out.
    pub(crate) fn in_doubt(self) -> Self {
        match self {
            Self::Unreachable { ref source, .. } if source.is_connect() => self,
            Self::Unreachable { .. } | Self::Silent { .. } => {
                Self::InDoubt { source: Box::new(self) }
            }
            Self::Remote(ClientError::Broken(_)) => Self::InDoubt { source: Box::new(self) },
            Self::NotRunning
            | Self::InDoubt { .. }
            | Self::Refused(_)
            | Self::Remote(_)
            | Self::Answer { .. } => self,
        }
    }

    /// The same of what a Runtime was asked by itself.
    pub(crate) fn in_doubt_of(error: ClientError) -> Self {
        Self::from(error).in_doubt()
    }

    /// Whether the one who asked may not do this.
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code() == Some("forbidden"))
    }

    /// The same, and where the Worker's state is why, which command changes that.
    pub(crate) fn with_way_out(self, worker: WorkerId) -> Self {
        let Self::Refused(mut refusal) = self else { return self };
        let yoi = own_name();
        let way_out = match refusal.code() {
            Some("worker_stopped") => {
                format!(": run `{yoi} worker start {worker}`, and then this again")
            }
            Some("worker_not_stopped") => {
                format!(": run `{yoi} worker stop {worker}`, and then this again")
            }
            Some("worker_unavailable") => format!("; `{yoi} worker rm {worker}` deletes it"),
            _ => String::new(),
        };
        refusal.detail.push_str(&way_out);
        Self::Refused(refusal)
    }
}

impl From<ClientError> for BackendError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(error) => Self::Refused(Refusal {
                detail: error.to_string(),
                code: Some(error.code().into()),
            }),
            other => Self::Remote(other),
        }
    }
}

impl Refusal {
    /// What we refuse ourselves, from what the Backend said.
    pub(crate) fn of_ours(detail: String) -> Self {
        Self { detail, code: None }
    }

    /// The stable word for it.
    pub(crate) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Problem {
            detail: Option<String>,
            code: Option<String>,
        }
        let problem: Option<Problem> = serde_json::from_slice(body).ok();
        let (said, code) = problem.map(|found| (found.detail, found.code)).unwrap_or_default();
        // Where it is an error we know, our words may be better than an older Backend's.
        let known = serde_json::from_slice::<RuntimeError>(body).map(|error| error.to_string());
        let detail = known
            .ok()
            .or(said)
            .unwrap_or_else(|| format!("the Backend answered with status {status}"));
        Self { detail, code }
    }
}

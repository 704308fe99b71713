//! Why a Backend, or a Runtime that is asked by itself, did not do what it was asked to, for people.

use std::error::Error;

use worker_types::{RuntimeError, WorkerId};

use crate::cli::own_name;

type Source = Box<dyn Error + Send + Sync>;

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    /// There is no Backend.
    #[error("no Backend is running: start one with `yoi up`")]
    NotRunning,
    /// Nobody answers where there should be somebody.
    #[error("{whom} does not answer")]
    Unreachable {
        /// Who, and the address.
        whom: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// Who answers cannot be trusted.
    #[error("no encrypted connection to {whom} can be had")]
    Tls {
        /// Who, and the address.
        whom: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// It has the request, and says nothing.
    #[error("{whom} has not answered in time: it is suspended, or has too much to do")]
    Silent {
        /// Who, and the address.
        whom: String,
    },
    /// It went away while it answered.
    #[error("the connection to {whom} broke off")]
    Broken {
        /// Who, and the address.
        whom: String,
        /// Why, where that is known.
        #[source]
        source: Option<Source>,
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
    /// It answers something else than it should.
    #[error("the answer of {whom} makes no sense: {what}")]
    Answer {
        /// Who, and the address.
        whom: String,
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
    is_retryable: bool,
}

impl BackendError {
    /// The same for a request that changes something: where it was sent and has no answer, it may
    /// have been carried out.
    pub(crate) fn in_doubt(self) -> Self {
        match self {
            Self::Silent { .. } | Self::Broken { .. } => Self::InDoubt { source: Box::new(self) },
            Self::NotRunning
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::InDoubt { .. }
            | Self::Refused(_)
            | Self::Answer { .. } => self,
        }
    }

    /// Whether nobody was there to answer.
    pub(crate) fn is_of_the_connection(&self) -> bool {
        match self {
            Self::NotRunning
            | Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Broken { .. }
            | Self::InDoubt { .. } => true,
            Self::Tls { .. } | Self::Refused(_) | Self::Answer { .. } => false,
        }
    }

    /// Whether asking again some time may help without anybody changing anything.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_retryable,
            other => other.is_of_the_connection(),
        }
    }

    /// Whether it was refused with this word.
    pub(crate) fn has_code(&self, code: &str) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code() == Some(code))
    }

    /// Whether somebody answers who is not the one that was asked before: he knows nothing of its tokens, or has
    /// another certificate.
    pub(crate) fn is_of_another(&self) -> bool {
        matches!(self, Self::Tls { .. }) || self.has_code("unauthorized")
    }

    /// Whether the one who asked may not do this.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.has_code("forbidden")
    }

    /// The same, and where it was refused with this word, what can be done about it.
    pub(crate) fn with_advice(mut self, code: &str, advice: &str) -> Self {
        if let Self::Refused(refusal) = &mut self
            && refusal.code() == Some(code)
        {
            refusal.detail.push_str(&format!("; {advice}"));
        }
        self
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

impl Refusal {
    /// What we refuse ourselves, from what the Backend said.
    pub(crate) fn of_ours(detail: String) -> Self {
        Self { detail, code: None, is_retryable: false }
    }

    /// What a server refused in its own words.
    pub(crate) fn of_server(code: String, detail: String, is_retryable: bool) -> Self {
        Self { detail, code: Some(code), is_retryable }
    }

    /// The stable word for it.
    pub(crate) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
}

impl From<RuntimeError> for Refusal {
    fn from(error: RuntimeError) -> Self {
        // Our words may be better than an older Backend's.
        Self::of_server(error.code().into(), error.to_string(), error.is_retryable())
    }
}

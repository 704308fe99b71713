//! What goes wrong between here and there.

use std::{error::Error, io, iter};

use serde::Deserialize;
use worker_types::RuntimeError;

/// Why there is no answer, or which refusal it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The Runtime refused it, in its own words.
    #[error(transparent)]
    Refused(#[from] RuntimeError),
    /// Nobody answers at the address. Nothing was done.
    #[error("the Runtime cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// Somebody answers at the address, and cannot be trusted: its certificate is not that of a Runtime that
    /// is trusted here, has expired, or is for another name. Nothing was done.
    #[error("no encrypted connection to the Runtime can be had")]
    Tls(#[source] reqwest::Error),
    /// The connection broke off, or nothing came in time. A command may have been carried out; where it has
    /// an idempotency key, asking again with the same one is safe.
    #[error("the connection to the Runtime broke off before it answered")]
    Broken(#[source] reqwest::Error),
    /// A stream of events did not begin, ended, or said nothing for longer than one that is well.
    #[error("the stream of events broke off")]
    Silent,
    /// What is no refusal of a Runtime's operation, but of its server: such as too many wrong tokens.
    #[error("{detail}")]
    Problem {
        /// The stable word for it.
        code: String,
        /// What is wrong, for people.
        detail: String,
        /// Whether asking again later may help.
        retryable: bool,
    },
    /// What answered is no Runtime of this version, or something between here and there spoke for it.
    #[error("what answered is no answer of a Runtime: {what}")]
    Answer {
        /// What it was.
        what: String,
    },
}

impl ClientError {
    pub(crate) fn of(error: reqwest::Error) -> Self {
        // The address is the embedder's to name; it may hold more than a host.
        let error = error.without_url();
        if is_of_tls(&error) {
            Self::Tls(error)
        } else if error.is_connect() {
            Self::Unreachable(error)
        } else {
            Self::Broken(error)
        }
    }

    /// Reads the answer of a request that was refused.
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Problem {
            code: String,
            detail: String,
            #[serde(default)]
            retryable: bool,
        }
        if let Ok(error) = serde_json::from_slice(body) {
            return Self::Refused(error);
        }
        match serde_json::from_slice(body) {
            Ok(Problem { code, detail, retryable }) => Self::Problem { code, detail, retryable },
            // Something between here and there that cannot reach it.
            Err(_) if matches!(status, 502..=504) => {
                let reason = format!("something on the way to it answered with status {status}");
                Self::Refused(RuntimeError::RuntimeUnavailable { reason })
            }
            Err(_) => Self::Answer { what: format!("status {status}") },
        }
    }

    /// Whether asking again some time may help without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(error) => error.is_retryable(),
            Self::Unreachable(_) | Self::Broken(_) | Self::Silent => true,
            Self::Problem { retryable, .. } => *retryable,
            Self::Tls(_) | Self::Answer { .. } => false,
        }
    }
}

/// Whether TLS refused it, whatever refused because of that.
fn is_of_tls(error: &reqwest::Error) -> bool {
    iter::successors(error.source(), |&cause| cause.source()).any(is_tls)
}

/// Looks into what an I/O error holds, also where that is another one: neither is its `source`.
fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    let held = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.is::<rustls::Error>() || held.is_some_and(|held| is_tls(held))
}

/// As the library would say it: what is between here and there makes a Runtime unavailable.
impl From<ClientError> for RuntimeError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(error) => error,
            other => Self::RuntimeUnavailable { reason: other.to_string() },
        }
    }
}

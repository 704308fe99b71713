//! Why a model call failed, in the words a caller decides by.

use std::time::Duration;

/// Why a model call failed.
///
/// The messages are for the operator: they may name the model and the host of the provider, and
/// hold the provider's own short words, but never a key, credentials of a URL or a path of this
/// machine. The variants are what a caller decides by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The provider accepts no more requests for now.
    #[error("the model provider limits the rate of requests")]
    RateLimited {
        /// How long the provider asks to wait, where it said so.
        retry_after: Option<Duration>,
    },
    /// The request and its answer do not fit into the model's context.
    #[error("the conversation is longer than the model's context")]
    ContextOverflow,
    /// The provider is overloaded or broken at its end.
    #[error("the model provider is overloaded or failing")]
    Overloaded,
    /// The provider refused the key, or a key is missing.
    #[error("the model provider refused the key")]
    Auth,
    /// The provider refused the request, or answered something that cannot be read.
    #[error("the model call is not valid: {message}")]
    Invalid {
        /// What was refused or could not be read.
        message: String,
    },
    /// Nothing of substance arrived for the idle timeout.
    #[error("the model stopped answering")]
    Stalled,
    /// The call took longer than it may, with all that it waited for.
    #[error("the model call took longer than it may")]
    Deadline,
    /// The caller gave the call up.
    #[error("the model call was cancelled")]
    Cancelled,
    /// No connection to the provider came about.
    #[error("the model provider cannot be reached: {message}")]
    Unreachable {
        /// Which host could not be reached, and why.
        message: String,
    },
    /// The stream ended without saying that the answer is complete. Nothing of it may be acted
    /// upon: the arguments of a tool request may be cut short.
    #[error("the model's answer ended before it was complete")]
    Incomplete,
    /// Anything else.
    #[error("the model call failed: {message}")]
    Other {
        /// What happened.
        message: String,
    },
}

impl ModelError {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            ModelError::RateLimited { .. }
            | ModelError::Overloaded
            | ModelError::Stalled
            | ModelError::Deadline
            | ModelError::Unreachable { .. }
            | ModelError::Incomplete => true,
            ModelError::ContextOverflow
            | ModelError::Auth
            | ModelError::Invalid { .. }
            | ModelError::Cancelled
            | ModelError::Other { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_that_may_pass_by_themselves_are_retryable() {
        assert!(ModelError::RateLimited { retry_after: None }.is_retryable());
        assert!(ModelError::Overloaded.is_retryable());
        assert!(ModelError::Stalled.is_retryable());
        assert!(ModelError::Incomplete.is_retryable());
        assert!(!ModelError::Auth.is_retryable());
        assert!(!ModelError::Cancelled.is_retryable());
        assert!(!ModelError::ContextOverflow.is_retryable());
    }
}

//! Why things fail.

use std::{error, fmt, time::Duration};

/// Why the host did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The Worker does not have the grant this needs.
    NotGranted,
    /// The Worker had the grant, and it was withdrawn.
    Revoked,
    /// Anything else, in a sentence for a person.
    Other(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGranted => f.write_str("the Worker does not have the grant this needs"),
            Self::Revoked => f.write_str("the grant was withdrawn"),
            Self::Other(message) => f.write_str(message),
        }
    }
}

impl error::Error for Error {}

/// Why a model call failed. What arrived before the failure must not be acted upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LlmError {
    /// The Worker does not have the grant `llm`, or not for this alias.
    NotGranted,
    /// The grant was withdrawn.
    Revoked,
    /// Too many calls.
    RateLimited {
        /// How long to wait, where the provider said so.
        retry_after: Option<Duration>,
    },
    /// The context is larger than the model's window.
    ContextOverflow,
    /// The provider cannot serve now.
    Overloaded,
    /// The provider refused the host's credentials. The operator has to act.
    Auth,
    /// The provider refused the request, or answered what nobody can read.
    Invalid(String),
    /// The provider went silent.
    Stalled,
    /// A budget of tokens or cost is used up.
    BudgetExhausted,
    /// The call was cancelled.
    Cancelled,
    /// The answer ended without a finish, so nobody knows whether it is whole.
    Unfinished,
    /// Anything else, in a sentence for a person.
    Other(String),
}

impl LlmError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Overloaded | Self::Stalled | Self::Unfinished => true,
            Self::NotGranted
            | Self::Revoked
            | Self::ContextOverflow
            | Self::Auth
            | Self::Invalid(_)
            | Self::BudgetExhausted
            | Self::Cancelled
            | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for LlmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGranted => f.write_str("the Worker was not granted this model"),
            Self::Revoked => f.write_str("the grant of the model was withdrawn"),
            Self::RateLimited { retry_after: None } => f.write_str("too many model calls"),
            Self::RateLimited { retry_after: Some(wait) } => {
                write!(f, "too many model calls; retry after {wait:?}")
            }
            Self::ContextOverflow => f.write_str("the context is larger than the model's window"),
            Self::Overloaded => f.write_str("the model's provider is overloaded, or fails itself"),
            Self::Auth => f.write_str(
                "the model's provider refused the host's credentials: the operator has to mend the \
                 key of this model",
            ),
            Self::Invalid(message) => write!(f, "the model call failed: {message}"),
            Self::Stalled => f.write_str("the model's provider went silent"),
            Self::BudgetExhausted => f.write_str("the budget for model calls is used up"),
            Self::Cancelled => f.write_str("the model call was cancelled"),
            Self::Unfinished => f.write_str("the model's answer ended before it was finished"),
            Self::Other(message) => f.write_str(message),
        }
    }
}

impl error::Error for LlmError {}

/// A setting of the profile is of another type than the Worker asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub(crate) key: String,
    pub(crate) expected: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the setting `{}` is not {}", self.key, self.expected)
    }
}

impl error::Error for ConfigError {}

/// Why a turn failed, in a sentence for a person.
///
/// It converts from every error, so `?` works on anything in [`Worker::run`](crate::Worker::run);
/// the message then names the error and its sources. Like `anyhow::Error` it is therefore not
/// itself an [`std::error::Error`].
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    message: String,
}

impl Failure {
    /// A failure with this reason.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// The reason.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl<E: error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self { message }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failure({:?})", self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_error_and_its_sources() {
        #[derive(Debug)]
        struct Outer(Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("no greeting")
            }
        }
        impl error::Error for Outer {
            fn source(&self) -> Option<&(dyn error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let failure = Failure::from(Outer(Error::Revoked));
        assert_eq!(failure.message(), "no greeting: the grant was withdrawn");
    }

    #[test]
    fn only_failures_that_may_pass_are_retryable() {
        assert!(LlmError::RateLimited { retry_after: None }.is_retryable());
        assert!(LlmError::Overloaded.is_retryable());
        assert!(!LlmError::Auth.is_retryable());
        assert!(!LlmError::BudgetExhausted.is_retryable());
    }
}

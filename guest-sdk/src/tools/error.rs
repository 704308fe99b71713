//! Why a tool did not do what was asked.

use std::{error, fmt, io};

use super::ArgumentError;
use crate::Error;

/// Why a tool failed, in words for a model.
#[derive(Debug)]
pub enum ToolError {
    /// The arguments cannot be used.
    Arguments(ArgumentError),
    /// The file system refused.
    File {
        /// What was to be done, such as ``cannot read `a.txt` ``.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// The host refused.
    Host(Error),
    /// Anything else.
    Failed(String),
}

impl ToolError {
    pub(super) fn file(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::File { what, source }
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(_) => f.write_str("the arguments cannot be used"),
            Self::File { what, .. } => f.write_str(what),
            Self::Host(_) => f.write_str("the host refused"),
            Self::Failed(message) => f.write_str(message),
        }
    }
}

impl error::Error for ToolError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Arguments(error) => Some(error),
            Self::File { source, .. } => Some(source),
            Self::Host(error) => Some(error),
            Self::Failed(_) => None,
        }
    }
}

impl From<ArgumentError> for ToolError {
    fn from(error: ArgumentError) -> Self {
        Self::Arguments(error)
    }
}

impl From<Error> for ToolError {
    fn from(error: Error) -> Self {
        Self::Host(error)
    }
}

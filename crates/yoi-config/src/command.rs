//! `[commands.NAME]`: WASI commands that all scripts find by these names.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A command. It grants nothing: it sees what the script sees that runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandConfig {
    /// The file of the component, or of a core module for WASI 0.1. A relative one starts at the
    /// configuration.
    #[serde(deserialize_with = "crate::config::path")]
    pub component: PathBuf,
}

//! `[roots.NAME]`: directories that grants can speak of.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use worker_types::Access;

/// A directory of this host. By itself it grants nothing; that is `[policy.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootConfig {
    /// The directory. A relative one starts at the configuration.
    #[serde(deserialize_with = "crate::config::path")]
    pub path: PathBuf,
    /// The most that a grant may ask for.
    #[serde(default)]
    pub access: Access,
    /// What becomes of grants through which a git directory could be written.
    #[serde(default)]
    pub git: GitDirectories,
}

/// What becomes of grants through which a git directory could be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GitDirectories {
    /// They are refused.
    #[default]
    Refused,
    /// They are given: Workers may then run programs as whoever next runs `git` there.
    Exposed,
}

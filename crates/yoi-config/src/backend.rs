//! What only a Backend reads: `[[runtimes.remote]]` and `[workspaces.NAME]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use worker_types::{Labels, RootName, RuntimeId};

use crate::EnvName;

/// `[runtimes]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RuntimesTable {
    pub(crate) remote: Vec<RemoteConfig>,
}

/// A Runtime in another process that the Backend shows, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteConfig {
    /// What it is called here.
    pub id: RuntimeId,
    /// Where it is, such as `https://host:38800`.
    pub endpoint: String,
    /// The variable that holds its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_env: Option<EnvName>,
    /// The file that holds its token, for its owner only. A relative path starts at the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "path")]
    pub token_file: Option<PathBuf>,
    /// Certificates, as PEM, that are trusted besides those of the system. A relative path starts at the
    /// configuration.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "path")]
    pub certificates: Option<PathBuf>,
    /// Only Workers with all of these labels are shown, and new ones get them.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub visible: Labels,
}

impl RemoteConfig {
    /// What is wrong between the keys: the key and the message.
    pub(crate) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        match (&self.token_env, &self.token_file) {
            (Some(_), None) | (None, Some(_)) => Ok(()),
            (None, None) => Err(("id", "expected a `token_env` or a `token_file` beside it")),
            (Some(_), Some(_)) => Err(("token_file", "expected no `token_env` beside it")),
        }
    }
}

/// `[workspaces.NAME]`: where people and Workers work on the same thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceConfig {
    /// Its directory, by the name it has in grants. A remote Runtime looks for it among its own roots.
    pub root: RootName,
}

fn path<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    crate::config::path(deserializer).map(Some)
}

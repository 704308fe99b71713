//! What tells a configuration apart from others: a digest of what it means, not of how it is written.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use worker_types::{
    Access, CommandName, ConfigDigest, Grants, Limits, ModelAlias, ProfileName, Retention,
    RootName, WorkspaceName,
};

use crate::{
    CommandConfig, Config, InvalidConfig, ModelConfig, ProfileConfig, RemoteConfig, RootConfig,
    RuntimeConfig, ServerConfig, WorkspaceConfig,
};

/// A configuration with all its defaults, in the order of this version. All maps are sorted.
#[derive(Serialize)]
struct Meaning<'a> {
    runtime: &'a RuntimeConfig,
    server: &'a ServerConfig,
    roots: &'a BTreeMap<RootName, RootConfig>,
    models: &'a BTreeMap<ModelAlias, ModelConfig>,
    profiles: &'a BTreeMap<ProfileName, ProfileConfig>,
    policy: &'a BTreeMap<ProfileName, Grants>,
    workspace_access: &'a BTreeMap<ProfileName, Access>,
    workspaces: &'a BTreeMap<WorkspaceName, WorkspaceConfig>,
    remotes: &'a [RemoteConfig],
    commands: &'a BTreeMap<CommandName, CommandConfig>,
    /// Without those that have their default: some depend on the machine.
    limits: BTreeMap<String, Value>,
    retention: Retention,
}

/// The digest of `config`, whose paths stand as they were written.
pub(crate) fn of(config: &Config) -> Result<ConfigDigest, InvalidConfig> {
    // Taken apart, so that a table added later is missed by the compiler and not by us.
    let Config {
        file: _,
        runtime,
        server,
        roots,
        models,
        profiles,
        policy,
        workspace_access,
        workspaces,
        remotes,
        commands,
        limits,
        retention,
        digest: _,
        source: _,
    } = config;
    let written = other_than_default(limits).and_then(|limits| {
        let retention = *retention;
        let meaning = Meaning {
            runtime,
            server,
            roots,
            models,
            profiles,
            policy,
            workspace_access,
            workspaces,
            remotes,
            commands,
            limits,
            retention,
        };
        serde_json::to_vec(&meaning)
    });
    // Everything in it was read from text.
    let written = written.map_err(|error| config.error_at(&[], error.to_string()))?;
    Ok(ConfigDigest::from_sha256(Sha256::digest(&written).into()))
}

fn other_than_default(limits: &Limits) -> serde_json::Result<BTreeMap<String, Value>> {
    let all = |limits: &Limits| -> serde_json::Result<BTreeMap<String, Value>> {
        serde_json::from_value(serde_json::to_value(limits)?)
    };
    let defaults = all(&Limits::default())?;
    let mut limits = all(limits)?;
    limits.retain(|name, value| defaults.get(name) != Some(value));
    Ok(limits)
}

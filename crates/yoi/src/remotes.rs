//! The remote Runtimes of the configuration, for a Backend.

use std::fs;

use anyhow::Context as _;
use runtime_client::{AuthToken, ClientOptions, RuntimeClient};
use yoi_config::{Config, RemoteConfig};
use yoi_workspace_server::{Registration, RemoteRuntime, RuntimeSource, read_token};

/// All of them, none of them asked yet: one that does not answer is no reason not to start.
pub(crate) fn registrations(config: &Config) -> anyhow::Result<Vec<Registration>> {
    config.remotes.iter().map(|remote| registration(config, remote)).collect()
}

fn registration(config: &Config, remote: &RemoteConfig) -> anyhow::Result<Registration> {
    let RemoteConfig { id, endpoint, token_env, token_file, certificates, visible } = remote;
    let at =
        |message: String| config.error_at(&["runtimes", "remote"], format!("of `{id}`, {message}"));
    let token = match (token_env, token_file) {
        (Some(name), _) => std::env::var(name.as_str())
            .map_err(|_| at(format!("token_env: there is no variable `{}`", name.as_str())))?,
        (None, Some(file)) => {
            read_token(file).map_err(|reason| at(format!("token_file: {reason}")))?
        }
        (None, None) => anyhow::bail!(at("expected a `token_env` or a `token_file`".to_owned())),
    };
    let certificates = match certificates {
        Some(file) => fs::read(file)
            .with_context(|| format!("failed to read the certificates for the Runtime `{id}`"))?,
        None => Vec::new(),
    };
    let options = ClientOptions { certificates, ..ClientOptions::default() };
    let client = RuntimeClient::with_options(endpoint, AuthToken::new(token), options)
        .map_err(|error| at(format!("endpoint: {error}")))?;
    let source = RuntimeSource::remote(RemoteRuntime::new(id.clone(), client));
    Ok(Registration::new(source).visible(visible.clone()))
}

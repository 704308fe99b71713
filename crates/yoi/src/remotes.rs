//! The remote Runtimes of the configuration, for a Backend.

use std::{fs, path::Path};

use anyhow::Context as _;
use runtime_client::{AuthToken, ClientOptions, RuntimeClient};
use yoi_config::{Config, RemoteConfig};
use yoi_workspace_server::{
    Registration, RemoteDefinition, RemoteRuntime, RuntimeSource, TokenPlace, read_token,
};

/// The Runtimes of the configuration, for a Backend.
#[derive(Debug)]
pub(crate) struct Remotes {
    /// All of them, none of them asked yet: one that does not answer is no reason not to start.
    pub(crate) registrations: Vec<Registration>,
    /// How those are reached whose token a request could name, too.
    pub(crate) definitions: Vec<RemoteDefinition>,
}

impl Remotes {
    /// Those of the configuration. Requests name tokens in the environment, and in `tokens/` of the data
    /// directory.
    pub(crate) fn read(config: &Config, data_dir: &Path) -> anyhow::Result<Self> {
        let tokens = data_dir.join("tokens");
        let (mut registrations, mut definitions) = (Vec::new(), Vec::new());
        for remote in &config.remotes {
            let certificates = certificates(remote)?;
            if let Some(token) = token_place(remote, &tokens) {
                let (runtime_id, endpoint) = (remote.id.clone(), remote.endpoint.clone());
                let certificates = certificates.clone();
                definitions.push(RemoteDefinition { runtime_id, endpoint, token, certificates });
            }
            registrations.push(registration(config, remote, certificates)?);
        }
        Ok(Self { registrations, definitions })
    }
}

fn registration(
    config: &Config,
    remote: &RemoteConfig,
    certificates: Option<String>,
) -> anyhow::Result<Registration> {
    let RemoteConfig { id, endpoint, token_env, token_file, certificates: _, visible } = remote;
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
    let certificates = certificates.unwrap_or_default().into_bytes();
    let options = ClientOptions { certificates, ..ClientOptions::default() };
    let client = RuntimeClient::with_options(endpoint, AuthToken::new(token), options)
        .map_err(|error| at(format!("endpoint: {error}")))?;
    let source = RuntimeSource::remote(RemoteRuntime::new(id.clone(), client));
    Ok(Registration::new(source).visible(visible.clone()))
}

fn certificates(remote: &RemoteConfig) -> anyhow::Result<Option<String>> {
    let Some(file) = &remote.certificates else { return Ok(None) };
    let text = fs::read_to_string(file).with_context(|| {
        format!("failed to read the certificates for the Runtime `{}`", remote.id)
    })?;
    Ok(Some(text))
}

/// What a request would say for the token of this Runtime.
fn token_place(remote: &RemoteConfig, tokens: &Path) -> Option<TokenPlace> {
    if let Some(name) = &remote.token_env {
        return Some(TokenPlace::Env(name.as_str().to_owned()));
    }
    let file = fs::canonicalize(remote.token_file.as_ref()?).ok()?;
    let name = file.strip_prefix(fs::canonicalize(tokens).ok()?).ok()?;
    Some(TokenPlace::File(name.to_str()?.to_owned()))
}

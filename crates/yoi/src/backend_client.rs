//! The Backend that a command means, and what only a Backend answers.

use std::path::Path;

use anyhow::Context as _;
use runtime_client::{AuthToken, ClientOptions, InvalidEndpoint};
use serde::Deserialize;
use worker_types::RuntimeId;
use yoi_config::Config;
use yoi_workspace_server::{ConnectionTest, RemoteDefinition, RuntimeListing};

use crate::{
    asked::Asked,
    backend_error::BackendError,
    cli::BackendArgs,
    data_dir::{BackendFile, data_dir},
    output::Output,
    pinned,
};

/// The variable with the token of what is named on the command line.
const TOKEN_VARIABLE: &str = "YOI_TOKEN";

/// A client of one Backend.
#[derive(Debug, Clone)]
pub(crate) struct BackendClient {
    pub(crate) client: runtime_client::BackendClient,
    pub(crate) asked: Asked,
    url: String,
}

impl BackendClient {
    /// A client of the Backend that `args` mean.
    pub(crate) fn find(
        args: &BackendArgs,
        config: &Config,
        output: Output,
    ) -> anyhow::Result<Self> {
        match &args.backend {
            Some(url) => {
                let token = token_from_environment("--backend", "the Backend's")?;
                Self::new(url, token, ClientOptions::default(), Asked::backend(url, false, output))
            }
            None => {
                Self::of_data_dir(&data_dir(args.data_dir.data_dir.as_deref(), config)?, output)
            }
        }
    }

    fn of_data_dir(dir: &Path, output: Output) -> anyhow::Result<Self> {
        let BackendFile { url, token, fingerprint, .. } =
            BackendFile::read(dir)?.ok_or(BackendError::NotRunning)?;
        let tls = fingerprint.map(pinned::tls_to).transpose()?;
        let options = ClientOptions { tls, ..ClientOptions::default() };
        let token = AuthToken::new(token.reveal());
        Self::new(&url, token, options, Asked::backend(&url, true, output))
    }

    pub(crate) fn new(
        url: &str,
        token: AuthToken,
        options: ClientOptions,
        asked: Asked,
    ) -> anyhow::Result<Self> {
        let client = runtime_client::BackendClient::new(url, token, options);
        let client = client.map_err(|error| match error {
            InvalidEndpoint::NotAnAddress => {
                anyhow::anyhow!("expected the address of a Backend, such as http://127.0.0.1:8900")
            }
            error => error.into(),
        });
        let client = client.context("--backend")?;
        Ok(Self { client, asked, url: url.trim_end_matches('/').to_owned() })
    }

    /// A fresh one-time link to the console.
    pub(crate) async fn login_link(&self) -> Result<String, BackendError> {
        #[derive(Deserialize)]
        struct Link {
            url_path: String,
        }
        let link: Link = self.asked.wait(self.client.post(&["login-links"], &())).await?;
        Ok(format!("{}{}", self.url, link.url_path))
    }

    /// All Runtimes, in the order of their ids.
    pub(crate) async fn runtimes(&self) -> Result<Vec<RuntimeListing>, BackendError> {
        #[derive(Deserialize)]
        struct Runtimes {
            runtimes: Vec<RuntimeListing>,
        }
        let known: Runtimes = self.asked.wait(self.client.get(&["runtimes"])).await?;
        Ok(known.runtimes)
    }

    /// One Runtime.
    pub(crate) async fn show_runtime(
        &self,
        id: &RuntimeId,
    ) -> Result<RuntimeListing, BackendError> {
        self.asked.wait(self.client.get(&["runtimes", id.as_str()])).await
    }

    /// Adds a remote Runtime.
    pub(crate) async fn add_runtime(
        &self,
        definition: &RemoteDefinition,
    ) -> Result<RuntimeListing, BackendError> {
        self.asked.command(self.client.post(&["runtimes"], definition)).await
    }

    /// Has a remote Runtime that was added reached in another way.
    pub(crate) async fn replace_runtime(
        &self,
        definition: &RemoteDefinition,
    ) -> Result<RuntimeListing, BackendError> {
        let RemoteDefinition { runtime_id, endpoint, token, certificates } = definition;
        let how = serde_json::json!({
            "endpoint": endpoint,
            "token": token,
            "certificates": certificates,
        });
        self.asked.command(self.client.put(&["runtimes", runtime_id.as_str()], &how)).await
    }

    /// Tries a remote Runtime.
    pub(crate) async fn test_runtime(
        &self,
        id: &RuntimeId,
    ) -> Result<ConnectionTest, BackendError> {
        self.asked.wait(self.client.post(&["runtimes", id.as_str(), "test"], &())).await
    }

    /// Removes a remote Runtime; with `force`, also one with Workers that are not stopped.
    pub(crate) async fn remove_runtime(
        &self,
        id: &RuntimeId,
        force: bool,
    ) -> Result<(), BackendError> {
        let query = if force { &[("force", "true")][..] } else { &[] };
        self.asked.command(self.client.delete(&["runtimes", id.as_str()], query)).await
    }
}

/// The token that an option needs, which is `whose`.
pub(crate) fn token_from_environment(option: &str, whose: &str) -> anyhow::Result<AuthToken> {
    let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
    let token =
        token.ok_or_else(|| anyhow::anyhow!("{option} needs {whose} token in {TOKEN_VARIABLE}"))?;
    Ok(AuthToken::new(token))
}

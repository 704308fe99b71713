//! The Runtimes of a Backend: listed, tried, added and removed.

use reqwest::Method;
use worker_types::RuntimeId;
use yoi_workspace_server::{ConnectionTest, RemoteDefinition, RuntimeListing};

use super::BackendClient;
use crate::backend_error::BackendError;

impl BackendClient {
    /// All Runtimes, in the order of their ids.
    pub(crate) async fn runtimes(&self) -> Result<Vec<RuntimeListing>, BackendError> {
        #[derive(serde::Deserialize)]
        struct Runtimes {
            runtimes: Vec<RuntimeListing>,
        }
        let known: Runtimes = self.ask(self.request(Method::GET, &["runtimes"], &[])).await?;
        Ok(known.runtimes)
    }

    /// One Runtime.
    pub(crate) async fn show_runtime(
        &self,
        id: &RuntimeId,
    ) -> Result<RuntimeListing, BackendError> {
        self.ask(self.request(Method::GET, &["runtimes", id.as_str()], &[])).await
    }

    /// Adds a remote Runtime.
    pub(crate) async fn add_runtime(
        &self,
        definition: &RemoteDefinition,
    ) -> Result<RuntimeListing, BackendError> {
        let request = self.request(Method::POST, &["runtimes"], &[]).json(definition);
        self.ask(request).await.map_err(BackendError::in_doubt)
    }

    /// Tries a remote Runtime.
    pub(crate) async fn test_runtime(
        &self,
        id: &RuntimeId,
    ) -> Result<ConnectionTest, BackendError> {
        self.ask(self.request(Method::POST, &["runtimes", id.as_str(), "test"], &[])).await
    }

    /// Removes a remote Runtime; with `force`, also one with Workers that are not stopped.
    pub(crate) async fn remove_runtime(
        &self,
        id: &RuntimeId,
        force: bool,
    ) -> Result<(), BackendError> {
        let query = if force { &[("force", "true")][..] } else { &[] };
        self.command(self.request(Method::DELETE, &["runtimes", id.as_str()], query)).await
    }
}

//! A Backend: what it answers itself, and its Runtimes.

use reqwest::Method;
use serde::{Serialize, de::DeserializeOwned};
use worker_types::{RuntimeId, WorkerPage, WorkerQuery};

use crate::{AuthToken, ClientError, ClientOptions, InvalidEndpoint, RuntimeClient};

/// A client of one Backend. Clones share its connections.
#[derive(Debug, Clone)]
pub struct BackendClient {
    /// What lies below `/api` is asked for as of a Runtime.
    api: RuntimeClient,
}

impl BackendClient {
    /// A client of the Backend at `endpoint`, such as `http://127.0.0.1:8900`. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// See [`InvalidEndpoint`].
    pub fn new(
        endpoint: &str,
        token: AuthToken,
        options: ClientOptions,
    ) -> Result<Self, InvalidEndpoint> {
        Ok(Self { api: RuntimeClient::with_options(endpoint, token, options)?.below("/api") })
    }

    /// A client of its Runtime called `id`.
    #[must_use]
    pub fn runtime(&self, id: &RuntimeId) -> RuntimeClient {
        self.api.clone().behind_backend(id)
    }

    /// A page of the Workers of all its Runtimes.
    pub async fn workers(&self, query: &WorkerQuery) -> Result<WorkerPage, ClientError> {
        self.api.workers(query).await
    }

    /// What it has at `path` below `/api`.
    pub async fn get<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &[&str],
    ) -> Result<T, ClientError> {
        self.api.ask(self.api.request(Method::GET, path, &[])).await
    }

    /// Has something done, or made, at `path` below `/api`.
    pub async fn post<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<T, ClientError> {
        self.api.ask(self.api.request(Method::POST, path, &[]).json(body)).await
    }

    /// Puts something in the place of what is at `path` below `/api`.
    pub async fn put<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<T, ClientError> {
        self.api.ask(self.api.request(Method::PUT, path, &[]).json(body)).await
    }

    /// Removes what is at `path` below `/api`.
    pub async fn delete(&self, path: &[&str], query: &[(&str, &str)]) -> Result<(), ClientError> {
        self.api.command(self.api.request(Method::DELETE, path, query)).await
    }
}

//! The Backend: the registry of Runtimes, the Browser API under `/api`, and the console page.
//!
//! A [`Backend`] lists the Runtimes of a [`RuntimeRegistry`], turns the profile a browser names
//! into grants by a [`LaunchPolicy`], and serves both over HTTP. On an address that other machines reach, it takes
//! TLS and a [`PasswordFile`]; on loopback, a link lets a browser in:
//!
//! ```no_run
//! # use std::collections::BTreeMap;
//! # async fn example(
//! #     runtime: worker_runtime::Runtime,
//! #     profiles: BTreeMap<worker_types::ProfileName, yoi_workspace_server::ProfilePolicy>,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use tokio_util::sync::CancellationToken;
//! use yoi_workspace_server::{
//!     AccessToken, Backend, LaunchPolicy, Registration, RuntimeRegistry, RuntimeSource,
//! };
//!
//! let registry = RuntimeRegistry::new();
//! registry.register(Registration::new(RuntimeSource::embedded(runtime)))?;
//! let access_token = AccessToken::generate();
//! let backend = Backend::new(registry, LaunchPolicy::new(profiles, BTreeMap::new()), &access_token);
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let url = format!("http://{}{}", listener.local_addr()?, backend.login_link());
//! backend.serve(listener, CancellationToken::new()).await?;
//! # drop(url);
//! # Ok(())
//! # }
//! ```

mod api;
mod attempts;
mod auth;
mod backend;
mod console;
mod cookie;
mod guard;
mod hints;
mod listing;
mod password;
mod policy;
mod registry;
mod remote;
mod remotes;
mod serve_error;
mod session;
mod source;
mod streams;
mod token_place;

pub use auth::AccessToken;
pub use backend::Backend;
pub use http_api::{ServeOptions, ServerTls};
pub use listing::{RuntimeDetails, RuntimeListing};
pub use password::{Password, PasswordFile, PasswordFileError, UnusablePassword};
pub use policy::{Launch, LaunchPolicy, ProfilePolicy, WORKSPACE_LABEL};
pub use registry::{ManagedBy, Registration, RuntimeRegistry};
pub use remote::{ConnectionTest, RemoteRuntime};
pub use remotes::{RemoteDefinition, RemoteDefinitions};
pub use serve_error::BackendServeError;
pub use source::{OutcomeWait, RuntimeSource, SourceKind};
pub use streams::{RuntimeFeed, WorkerEvents};
pub use token_place::{TokenPlace, read_token};

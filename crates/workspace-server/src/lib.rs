//! The Backend: the registry of Runtimes, the Browser API under `/api`, and the console page.
//!
//! A [`Backend`] lists the Runtimes of a [`RuntimeRegistry`], turns the profile a browser names
//! into grants by a [`LaunchPolicy`], and serves both over HTTP on a loopback address:
//!
//! ```no_run
//! # async fn example(
//! #     runtime: worker_runtime::Runtime,
//! #     grants: std::collections::BTreeMap<worker_types::ProfileName, worker_types::Grants>,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use tokio_util::sync::CancellationToken;
//! use yoi_workspace_server::{
//!     AccessToken, Backend, LaunchPolicy, RuntimeRegistry, RuntimeSource,
//! };
//!
//! let registry = RuntimeRegistry::new();
//! registry.register(RuntimeSource::embedded(runtime))?;
//! let access_token = AccessToken::generate();
//! let backend = Backend::new(registry, LaunchPolicy::new(grants), &access_token);
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let url = format!("http://{}{}", listener.local_addr()?, backend.login_link());
//! backend.serve(listener, CancellationToken::new()).await?;
//! # drop(url);
//! # Ok(())
//! # }
//! ```

mod api;
mod auth;
mod backend;
mod console;
mod guard;
mod listing;
mod policy;
mod registry;
mod server;
mod session;
mod source;

pub use auth::AccessToken;
pub use backend::Backend;
pub use http_api::ServeOptions;
pub use listing::{RuntimeDetails, RuntimeListing};
pub use policy::LaunchPolicy;
pub use registry::{RegisterRuntimeError, RuntimeRegistry};
pub use server::BackendServeError;
pub use source::{OutcomeWait, RuntimeSource, SourceKind, WorkerEvents};

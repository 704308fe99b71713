//! A Runtime in another process, as if it were in this one: every operation of
//! `worker_runtime::Runtime`, over HTTP, with the same types and the same errors. Those of a Backend are reached
//! through a [`BackendClient`].
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use runtime_client::{AuthToken, RuntimeClient};
//! use worker_types::{CreateWorker, Cursor, Input, InputOptions};
//!
//! let token = AuthToken::new(std::env::var("FAR_TOKEN")?);
//! let runtime = RuntimeClient::new("https://host.example:38800", token)?;
//! let worker = runtime.create(CreateWorker::profile("echo".parse()?)).await?.worker_id;
//! let turn = runtime.input(worker, Input::text("hello"), InputOptions::default()).await?;
//! let mut events = runtime.events(worker, Cursor::START).await?;
//! while let Some(event) = events.next().await {
//!     println!("{:?}", event?);
//! }
//! # drop(turn);
//! # Ok(())
//! # }
//! ```

mod backend;
mod client;
mod error;
mod events;
mod operations;
mod sse;

pub use backend::BackendClient;
pub use client::{AuthToken, ClientOptions, InvalidEndpoint, RuntimeClient};
pub use error::ClientError;
pub use events::{RemoteEvents, RemoteFeed};
pub use sse::{EventTooLongError, SseEvent, SseParser};

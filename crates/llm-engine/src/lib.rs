//! Model providers behind one streaming trait: usage, typed errors, aliases.
//!
//! ```
//! use std::sync::Arc;
//!
//! use futures_util::StreamExt as _;
//! use llm_engine::{Message, ModelEvent, ModelRequest, Models, OfflineModel, Part};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let models = Models::none().with("default", Arc::new(OfflineModel::instant()));
//! let model = models.get("default").ok_or("no such alias")?;
//! let mut answer = model.stream(ModelRequest {
//!     messages: vec![Message::User(vec![Part::Text("hello".to_owned())])],
//!     ..ModelRequest::default()
//! });
//! let mut text = String::new();
//! while let Some(event) = answer.next().await {
//!     if let ModelEvent::Text(piece) = event? {
//!         text.push_str(&piece);
//!     }
//! }
//! assert!(text.starts_with("[offline model] "));
//! # Ok(())
//! # }
//! ```
//!
//! [`Model::stream`] holds every provider to the same contract, written at [`ModelStream`].
//! Providers are [`GenaiProvider`] (the wire formats of the large providers and of local servers)
//! and [`OfflineModel`] (no network, rule-based); [`discovery`] finds one in the environment.
//! A call that fails before anything came of it is tried again where that may help ([`CallLimits`]). Nothing
//! here knows what a caller does with the answers.

mod api_key;
mod call;
pub mod discovery;
mod error;
mod event;
mod genai_provider;
mod guard;
mod models;
mod offline;
mod request;
#[cfg(any(test, feature = "testing"))]
mod scripted;

pub use api_key::ApiKey;
pub use call::CallLimits;
pub use error::ModelError;
pub use event::{FinishReason, ModelEvent, ModelStream, ModelUsage, ToolRequestPiece};
pub use genai_provider::{
    GenaiProvider, GenaiSettings, ProviderKind, ProviderSetupError, UnknownProviderKind,
};
pub use models::{Model, ModelInfo, ModelProvider, Models};
pub use offline::OfflineModel;
pub use request::{
    AssistantMessage, Message, ModelRequest, Part, ToolRequest, ToolResponse, ToolSchema,
};
#[cfg(any(test, feature = "testing"))]
pub use scripted::{Gate, ScriptedModel, Step};

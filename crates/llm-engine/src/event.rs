//! What a model answers, piece by piece.

use std::pin::Pin;

use futures_util::Stream;

use crate::ModelError;

/// The pieces of one answer.
///
/// A stream from [`Model::stream`](crate::Model::stream) ends in exactly one of two ways: with
/// [`ModelEvent::Finish`], and then the answer is complete, or with an error, and then nothing of
/// it may be acted upon. Dropping the stream closes the connection to the provider.
pub type ModelStream = Pin<Box<dyn Stream<Item = Result<ModelEvent, ModelError>> + Send>>;

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelEvent {
    /// The next piece of the text.
    Text(String),
    /// The next piece of the model's reasoning, where the provider shows it.
    Reasoning(String),
    /// The next piece of a tool request.
    ToolRequest(ToolRequestPiece),
    /// What the call cost. At most one per call, and not every provider sends it.
    Usage(ModelUsage),
    /// The answer is complete. Always the last event.
    Finish(FinishReason),
}

/// A piece of a tool request. Pieces of several requests may alternate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolRequestPiece {
    /// Which request of this answer the piece belongs to.
    pub index: u32,
    /// The id of the request; present on its first piece.
    pub call_id: Option<String>,
    /// The name of the tool; present on its first piece.
    pub name: Option<String>,
    /// What to append to the JSON text of the arguments; may be empty. A request whose pieces are
    /// all empty takes no arguments.
    pub arguments: String,
}

/// What a call cost, in tokens as the provider counts them. Absent means unknown, not zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelUsage {
    /// Tokens read, those from a cache included.
    pub input: Option<u64>,
    /// Tokens written, those of the reasoning included.
    pub output: Option<u64>,
    /// The part of `input` that came from the provider's cache.
    pub cached_input: Option<u64>,
    /// The part of `output` that was reasoning.
    pub reasoning: Option<u64>,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// The model had said everything.
    Stop,
    /// The answer reached its limit. Tool requests in it may be cut short.
    Length,
    /// The model waits for the results of its tool requests.
    ToolRequests,
    /// The provider withheld the rest.
    ContentFilter,
    /// A reason of the provider's own, in its word.
    Other(String),
}

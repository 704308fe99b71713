//! Calls to models.

use std::fmt;

use crate::{LlmError, Message, host};

/// A tool that the model may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSchema {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// The JSON Schema of its arguments, as JSON text.
    pub parameters: String,
}

impl ToolSchema {
    /// A tool. `parameters` is the JSON Schema of its arguments: JSON text, or anything that
    /// displays as such.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: impl fmt::Display,
    ) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            parameters: parameters.to_string(),
        }
    }
}

/// What the model is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Context {
    /// The Worker's conversation up to now, as the host has it in the log. Nothing is copied into
    /// the guest.
    History,
    /// These messages and nothing else.
    Messages(Vec<Message>),
}

/// A model call, to be started with [`Turn::complete`](crate::Turn::complete).
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The alias of the model.
    pub model: String,
    /// The system prompt.
    pub system: Option<String>,
    /// The tools it may ask for.
    pub tools: Vec<ToolSchema>,
    /// What it is shown.
    pub context: Context,
    /// The most tokens it may write; absent leaves it to the host.
    pub max_output_tokens: Option<u32>,
    /// How freely it may choose, from 0 to 2; absent leaves it to the provider.
    pub temperature: Option<f32>,
}

impl Request {
    /// Shows the Worker's conversation to `model`.
    #[must_use]
    pub fn history(model: impl Into<String>) -> Self {
        Self::new(model.into(), Context::History)
    }

    /// Shows these messages and nothing else to `model`.
    #[must_use]
    pub fn messages(model: impl Into<String>, messages: impl IntoIterator<Item = Message>) -> Self {
        Self::new(model.into(), Context::Messages(messages.into_iter().collect()))
    }

    const fn new(model: String, context: Context) -> Self {
        Self {
            model,
            system: None,
            tools: Vec::new(),
            context,
            max_output_tokens: None,
            temperature: None,
        }
    }

    /// With this system prompt.
    #[must_use]
    pub fn system(mut self, prompt: impl Into<String>) -> Self {
        self.system = Some(prompt.into());
        self
    }

    /// With one more tool that the model may ask for.
    #[must_use]
    pub fn tool(mut self, tool: ToolSchema) -> Self {
        self.tools.push(tool);
        self
    }

    /// With at most so many tokens in the answer.
    #[must_use]
    pub const fn max_output_tokens(mut self, tokens: u32) -> Self {
        self.max_output_tokens = Some(tokens);
        self
    }

    /// With this freedom to choose, from 0 to 2.
    #[must_use]
    pub const fn temperature(mut self, temperature: f32) -> Self {
        self.temperature = Some(temperature);
        self
    }
}

/// A piece of a tool request. Pieces with the same index belong together; their arguments are
/// joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolRequestPiece {
    /// Which request of this answer, from 0.
    pub index: u32,
    /// The request's id, in its first piece.
    pub call_id: Option<String>,
    /// The tool, in its first piece.
    pub name: Option<String>,
    /// More of the arguments' JSON text.
    pub arguments: String,
}

/// What the provider counted. A count it did not give is absent, not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens read, cached ones not included.
    pub input: Option<u64>,
    /// Tokens written, reasoning included.
    pub output: Option<u64>,
    /// Tokens read from the provider's cache.
    pub cached_input: Option<u64>,
    /// Tokens of `output` that were reasoning.
    pub reasoning: Option<u64>,
}

/// Why the model stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// It had said what it had to say.
    Stop,
    /// It ran into the limit of tokens; the answer is cut.
    Length,
    /// It waits for the tools it asked for.
    ToolRequests,
    /// The provider withheld the rest.
    ContentFilter,
    /// Anything else, in the provider's words.
    Other(String),
}

/// A piece of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompletionEvent {
    /// More text.
    Text(String),
    /// More of what the model thinks.
    Reasoning(String),
    /// More of a tool request.
    ToolRequest(ToolRequestPiece),
    /// What the call took.
    Usage(Usage),
    /// The end, and the only sign of success.
    Finish(FinishReason),
    /// A kind that this version has no name for, as JSON text. Skip it.
    Other(String),
}

/// A running model call: an iterator over the pieces of the answer.
///
/// The host records what the model says in the Worker's log as it comes; a Worker that only wants
/// the answer said need not look at the pieces. The iterator ends after
/// [`CompletionEvent::Finish`] or after an error, and an answer that ends without either gives
/// [`LlmError::Unfinished`]: a loop that ends without an error has seen the whole answer. Dropping
/// it cancels the call.
#[derive(Debug)]
#[must_use = "the model is cancelled when this is dropped"]
pub struct Completion {
    call: host::Completion,
    ended: bool,
}

impl Completion {
    pub(crate) const fn new(call: host::Completion) -> Self {
        Self { call, ended: false }
    }

    /// Waits for the whole answer and returns the rest of its text, for whatever reason the model
    /// stopped.
    pub fn text(self) -> Result<String, LlmError> {
        let mut text = String::new();
        for event in self {
            if let CompletionEvent::Text(piece) = event? {
                text.push_str(&piece);
            }
        }
        Ok(text)
    }
}

impl Iterator for Completion {
    type Item = Result<CompletionEvent, LlmError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let event = self.call.next().and_then(|event| event.ok_or(LlmError::Unfinished));
        self.ended = matches!(event, Ok(CompletionEvent::Finish(_)) | Err(_));
        Some(event)
    }
}

impl std::iter::FusedIterator for Completion {}

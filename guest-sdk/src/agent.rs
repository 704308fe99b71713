//! A model that works with tools until it has nothing more to ask for. With the feature `tools`.
//!
//! ```
//! use worker_guest::{
//!     Failure, Turn, Worker, agent::Agent, testing::TestTurn, tools::Toolbox, worker,
//! };
//!
//! struct Reader;
//!
//! worker!(Reader);
//!
//! impl Worker for Reader {
//!     fn run(turn: Turn) -> Result<(), Failure> {
//!         let toolbox = Toolbox::new("/workspace").reading();
//!         Agent::new("default", toolbox).system("Answer from the files.").run(&turn)?;
//!         Ok(())
//!     }
//! }
//!
//! let outcome = TestTurn::text("what is in notes.txt?")
//!     .grant("llm")
//!     .model_asks_for("1", "read", r#"{"path": "notes.txt"}"#)
//!     .model_says(["There is no such file."])
//!     .run::<Reader>();
//! assert_eq!(outcome.result, Ok(()));
//! assert!(outcome.tool_calls[0].result.as_ref().is_some_and(|result| result.is_err()));
//! ```

use std::{collections::BTreeMap, error, fmt};

use crate::{
    CompletionEvent, Error, FinishReason, LlmError, Request, ToolRequest, ToolRequestPiece, Turn,
    tools::Toolbox,
};

/// Model calls of one turn, unless the author says otherwise: more than any task takes that goes well.
const MAX_STEPS: u32 = 100;

/// A model, what it is told, and its tools.
#[derive(Debug)]
pub struct Agent {
    model: String,
    system: Option<String>,
    toolbox: Toolbox,
    max_steps: u32,
    max_output_tokens: Option<u32>,
}

/// How the work of an agent ended, where nothing failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The model had said what it had to say.
    Answered,
    /// Its answer ran into the limit of tokens, and is cut.
    Length,
    /// The provider withheld the rest of its answer.
    ContentFilter,
    /// Anything else, in the provider's words.
    Other(String),
}

/// Why an agent came to no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentError {
    /// A model call failed.
    Model(LlmError),
    /// The host refused.
    Host(Error),
    /// The model was called as often as it may be, and still asks for tools. All that it asked for was
    /// answered: the next turn goes on from there.
    MaxSteps(u32),
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(_) => f.write_str("the model call failed"),
            Self::Host(_) => f.write_str("the host refused"),
            Self::MaxSteps(steps) => write!(
                f,
                "the model was called {steps} times, as often as it may be in one turn, and came to no end; \
                 say that it is to go on, and it does"
            ),
        }
    }
}

impl error::Error for AgentError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Model(error) => Some(error),
            Self::Host(error) => Some(error),
            Self::MaxSteps(_) => None,
        }
    }
}

impl From<LlmError> for AgentError {
    fn from(error: LlmError) -> Self {
        Self::Model(error)
    }
}

impl From<Error> for AgentError {
    fn from(error: Error) -> Self {
        Self::Host(error)
    }
}

impl Agent {
    /// The model behind the alias `model`, with the tools of `toolbox`.
    #[must_use]
    pub fn new(model: impl Into<String>, toolbox: Toolbox) -> Self {
        Self {
            model: model.into(),
            system: None,
            toolbox,
            max_steps: MAX_STEPS,
            max_output_tokens: None,
        }
    }

    /// With this system prompt.
    #[must_use]
    pub fn system(mut self, prompt: impl Into<String>) -> Self {
        self.system = Some(prompt.into());
        self
    }

    /// With at most so many model calls in one turn; at least one is made. 100 unless this says otherwise.
    #[must_use]
    pub const fn max_steps(mut self, steps: u32) -> Self {
        self.max_steps = steps;
        self
    }

    /// With at most so many tokens in each answer.
    #[must_use]
    pub const fn max_output_tokens(mut self, tokens: u32) -> Self {
        self.max_output_tokens = Some(tokens);
        self
    }

    /// Shows the Worker's conversation to the model, runs the tools that it asks for, in its order, and shows it
    /// what they answered, until it asks for none.
    ///
    /// Every call gets a result, also one whose arguments make no sense: that is what the model is told, so that it
    /// can mend them. What somebody says meanwhile ([`Turn::take_steering`]) is taken in before each call of the
    /// model. There is nothing to keep between turns: a turn that goes on from an interrupted one goes on from the
    /// conversation, and calls that were answered are not made again.
    ///
    /// # Errors
    ///
    /// See [`AgentError`].
    pub fn run(&mut self, turn: &Turn) -> Result<Ended, AgentError> {
        for _ in 0..self.max_steps.max(1) {
            turn.take_steering()?;
            let (reason, requests) = self.ask(turn)?;
            for request in &requests {
                self.toolbox.answer(turn, request)?;
            }
            let ended = match reason {
                FinishReason::ToolRequests => continue,
                FinishReason::Stop => Ended::Answered,
                FinishReason::Length => Ended::Length,
                FinishReason::ContentFilter => Ended::ContentFilter,
                FinishReason::Other(reason) => Ended::Other(reason),
            };
            // Said while the model answered; it is to answer that, too.
            if turn.take_steering()?.is_empty() {
                return Ok(ended);
            }
        }
        Err(AgentError::MaxSteps(self.max_steps.max(1)))
    }

    /// One answer: why it ended, and the tools that it asks for.
    fn ask(&self, turn: &Turn) -> Result<(FinishReason, Vec<ToolRequest>), LlmError> {
        let request = Request {
            system: self.system.clone(),
            tools: self.toolbox.schemas(),
            max_output_tokens: self.max_output_tokens,
            ..Request::history(self.model.clone())
        };
        let mut asked = Asked::default();
        for event in turn.complete(request)? {
            match event? {
                CompletionEvent::ToolRequest(piece) => asked.add(piece),
                // Only such an answer is known to be whole.
                CompletionEvent::Finish(FinishReason::ToolRequests) => {
                    return Ok((FinishReason::ToolRequests, asked.into_requests()));
                }
                CompletionEvent::Finish(reason) => return Ok((reason, Vec::new())),
                // The host records these.
                CompletionEvent::Text(_)
                | CompletionEvent::Reasoning(_)
                | CompletionEvent::Usage(_)
                | CompletionEvent::Other(_) => {}
            }
        }
        Err(LlmError::Unfinished)
    }
}

/// The tools that one answer asks for, put together from their pieces.
#[derive(Debug, Default)]
struct Asked(BTreeMap<u32, ToolRequest>);

impl Asked {
    fn add(&mut self, piece: ToolRequestPiece) {
        let ToolRequestPiece { index, call_id, name, arguments } = piece;
        let request = self.0.entry(index).or_insert_with(|| ToolRequest {
            call_id: String::new(),
            name: String::new(),
            arguments: String::new(),
        });
        if let Some(call_id) = call_id {
            request.call_id = call_id;
        }
        if let Some(name) = name {
            request.name = name;
        }
        request.arguments.push_str(&arguments);
    }

    fn into_requests(self) -> Vec<ToolRequest> {
        self.0.into_values().collect()
    }
}

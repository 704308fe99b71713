//! The host of a component: the generated bindings in the SDK's own words.

mod shell;

use std::time::Duration;

use crate::{
    AssistantMessage, CompletionEvent, ConfigValue, Context, Entry, Error, FinishReason,
    HistoryPage, Image, LlmError, Message, Part, Request, ToolRequest, ToolRequestPiece,
    ToolResponse, Usage,
    bindings::yoi::worker::{llm, session, types},
};

pub(crate) use shell::{RunningScript, ShellSession};

pub(crate) fn turn_id() -> u64 {
    session::turn_id()
}

pub(crate) fn input() -> Vec<Part> {
    parts(session::input())
}

pub(crate) fn resumes() -> Option<u64> {
    session::resumes()
}

pub(crate) fn capabilities() -> Vec<String> {
    session::capabilities()
}

pub(crate) fn history(before: Option<u64>, limit: u32) -> Result<HistoryPage, Error> {
    let page = session::history(before, limit)?;
    let entries = page
        .entries
        .into_iter()
        .map(|entry| Entry { id: entry.id, message: entry.message.into() })
        .collect();
    Ok(HistoryPage { entries, more: page.more })
}

pub(crate) fn say(text: &str) -> Result<(), Error> {
    Ok(session::say(text)?)
}

pub(crate) fn take_steering() -> Result<Vec<Vec<Part>>, Error> {
    Ok(session::take_steering()?.into_iter().map(parts).collect())
}

pub(crate) fn state_get(key: &str) -> Result<Option<String>, Error> {
    Ok(session::state_get(key)?)
}

pub(crate) fn state_set(key: &str, value: Option<&str>) -> Result<(), Error> {
    Ok(session::state_set(key, value)?)
}

pub(crate) fn config(key: &str) -> Option<ConfigValue> {
    session::config(key).map(|value| match value {
        session::ConfigValue::Boolean(value) => ConfigValue::Boolean(value),
        session::ConfigValue::Integer(value) => ConfigValue::Integer(value),
        session::ConfigValue::Number(value) => ConfigValue::Number(value),
        session::ConfigValue::Text(value) => ConfigValue::Text(value),
        session::ConfigValue::Other(value) => ConfigValue::Other(value),
    })
}

pub(crate) fn complete(request: Request) -> Result<Completion, LlmError> {
    Ok(Completion(llm::complete(&request.into())?))
}

#[derive(Debug)]
pub(crate) struct Utterance(session::Utterance);

impl Utterance {
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self(session::Utterance::open()?))
    }

    pub(crate) fn delta(&mut self, text: &str) -> Result<(), Error> {
        Ok(self.0.delta(text)?)
    }

    pub(crate) fn end(self) -> Result<(), Error> {
        Ok(session::Utterance::end(self.0)?)
    }
}

#[derive(Debug)]
pub(crate) struct ToolCall(session::ToolCall);

impl ToolCall {
    pub(crate) fn begin(name: &str, arguments: &str) -> Result<Self, Error> {
        Ok(Self(session::ToolCall::begin(name, arguments)?))
    }

    pub(crate) fn take(call_id: &str) -> Result<Self, Error> {
        Ok(Self(session::ToolCall::take(call_id)?))
    }

    pub(crate) fn id(&self) -> String {
        self.0.id()
    }

    pub(crate) fn end(self, result: Result<&str, &str>) -> Result<(), Error> {
        let is_error = result.is_err();
        let (Ok(text) | Err(text)) = result;
        let outcome = session::ToolOutcome { text: text.to_owned(), is_error };
        Ok(session::ToolCall::end(self.0, &outcome)?)
    }
}

#[derive(Debug)]
pub(crate) struct Completion(llm::Completion);

impl Completion {
    pub(crate) fn next(&mut self) -> Result<Option<CompletionEvent>, LlmError> {
        Ok(self.0.next()?.map(Into::into))
    }
}

fn parts(parts: Vec<types::Part>) -> Vec<Part> {
    parts.into_iter().map(Into::into).collect()
}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::NotGranted => Self::NotGranted,
            types::Error::Revoked => Self::Revoked,
            types::Error::Other(message) => Self::Other(message),
        }
    }
}

impl From<llm::LlmError> for LlmError {
    fn from(error: llm::LlmError) -> Self {
        match error {
            llm::LlmError::NotGranted => Self::NotGranted,
            llm::LlmError::Revoked => Self::Revoked,
            llm::LlmError::RateLimited(limit) => {
                Self::RateLimited { retry_after: limit.retry_after_ms.map(Duration::from_millis) }
            }
            llm::LlmError::ContextOverflow => Self::ContextOverflow,
            llm::LlmError::Overloaded => Self::Overloaded,
            llm::LlmError::Auth => Self::Auth,
            llm::LlmError::Invalid(message) => Self::Invalid(message),
            llm::LlmError::Stalled => Self::Stalled,
            llm::LlmError::BudgetExhausted => Self::BudgetExhausted,
            llm::LlmError::Cancelled => Self::Cancelled,
            llm::LlmError::Other(message) => Self::Other(message),
        }
    }
}

impl From<types::Part> for Part {
    fn from(part: types::Part) -> Self {
        match part {
            types::Part::Text(text) => Self::Text(text),
            types::Part::Json(json) => Self::Json(json),
            types::Part::Image(image) => {
                Self::Image(Image { media_type: image.media_type, data: image.data })
            }
            types::Part::Other(json) => Self::Other(json),
        }
    }
}

impl From<Part> for types::Part {
    fn from(part: Part) -> Self {
        match part {
            Part::Text(text) => Self::Text(text),
            Part::Json(json) => Self::Json(json),
            Part::Image(image) => {
                Self::Image(types::Image { media_type: image.media_type, data: image.data })
            }
            Part::Other(json) => Self::Other(json),
        }
    }
}

impl From<types::Message> for Message {
    fn from(message: types::Message) -> Self {
        match message {
            types::Message::User(content) => Self::User(parts(content)),
            types::Message::Assistant(message) => Self::Assistant(AssistantMessage {
                text: message.text,
                tool_requests: message
                    .tool_requests
                    .into_iter()
                    .map(|request| ToolRequest {
                        call_id: request.call_id,
                        name: request.name,
                        arguments: request.arguments,
                    })
                    .collect(),
            }),
            types::Message::Tool(response) => Self::Tool(ToolResponse {
                call_id: response.call_id,
                text: response.text,
                is_error: response.is_error,
            }),
            types::Message::Other(json) => Self::Other(json),
        }
    }
}

impl From<Message> for types::Message {
    fn from(message: Message) -> Self {
        match message {
            Message::User(content) => Self::User(content.into_iter().map(Into::into).collect()),
            Message::Assistant(message) => Self::Assistant(types::AssistantMessage {
                text: message.text,
                tool_requests: message
                    .tool_requests
                    .into_iter()
                    .map(|request| types::ToolRequest {
                        call_id: request.call_id,
                        name: request.name,
                        arguments: request.arguments,
                    })
                    .collect(),
            }),
            Message::Tool(response) => Self::Tool(types::ToolResponse {
                call_id: response.call_id,
                text: response.text,
                is_error: response.is_error,
            }),
            Message::Other(json) => Self::Other(json),
        }
    }
}

impl From<Request> for llm::Request {
    fn from(request: Request) -> Self {
        Self {
            model: request.model,
            system: request.system,
            tools: request
                .tools
                .into_iter()
                .map(|tool| llm::ToolSchema {
                    name: tool.name,
                    description: tool.description,
                    parameters: tool.parameters,
                })
                .collect(),
            context: match request.context {
                Context::History => llm::Context::History,
                Context::Messages(messages) => {
                    llm::Context::Messages(messages.into_iter().map(Into::into).collect())
                }
            },
            max_output_tokens: request.max_output_tokens,
            temperature: request.temperature,
            // None is defined yet.
            options: Vec::new(),
        }
    }
}

impl From<llm::CompletionEvent> for CompletionEvent {
    fn from(event: llm::CompletionEvent) -> Self {
        match event {
            llm::CompletionEvent::Text(text) => Self::Text(text),
            llm::CompletionEvent::Reasoning(text) => Self::Reasoning(text),
            llm::CompletionEvent::ToolRequest(piece) => Self::ToolRequest(ToolRequestPiece {
                index: piece.index,
                call_id: piece.call_id,
                name: piece.name,
                arguments: piece.arguments,
            }),
            llm::CompletionEvent::Usage(usage) => Self::Usage(Usage {
                input: usage.input,
                output: usage.output,
                cached_input: usage.cached_input,
                reasoning: usage.reasoning,
            }),
            llm::CompletionEvent::Finish(reason) => Self::Finish(match reason {
                llm::FinishReason::Stop => FinishReason::Stop,
                llm::FinishReason::Length => FinishReason::Length,
                llm::FinishReason::ToolRequests => FinishReason::ToolRequests,
                llm::FinishReason::ContentFilter => FinishReason::ContentFilter,
                llm::FinishReason::Other(reason) => FinishReason::Other(reason),
            }),
            llm::CompletionEvent::Other(json) => Self::Other(json),
        }
    }
}

//! `genai`'s stream in our events.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use genai::chat::{ChatStream, ChatStreamEvent, StopReason, StreamEnd, ToolCall, Usage};
use serde_json::Value;

use super::failure::Failures;
use super::frames::FrameWatch;
use super::{ProviderKind, quietly};
use crate::{FinishReason, ModelError, ModelEvent, ModelUsage, ToolRequestPiece};

/// One answer of a real provider.
pub(super) struct Answer {
    kind: ProviderKind,
    inner: ChatStream,
    frames: Arc<FrameWatch>,
    failures: Failures,
    ready: VecDeque<ModelEvent>,
    /// The requests begun so far, where `genai` repeats the arguments from their start.
    calls: Vec<CumulativeCall>,
}

struct CumulativeCall {
    id: String,
    arguments: String,
}

impl Answer {
    pub(super) fn new(
        kind: ProviderKind,
        inner: ChatStream,
        frames: Arc<FrameWatch>,
        failures: Failures,
    ) -> Self {
        Self { kind, inner, frames, failures, ready: VecDeque::new(), calls: Vec::new() }
    }

    fn take(&mut self, event: ChatStreamEvent) -> Result<(), ModelError> {
        match event {
            ChatStreamEvent::Chunk(chunk) => self.ready.push_back(ModelEvent::Text(chunk.content)),
            ChatStreamEvent::ReasoningChunk(chunk) => {
                self.ready.push_back(ModelEvent::Reasoning(chunk.content));
            }
            ChatStreamEvent::ToolCallChunk(chunk) => self.tool_call(chunk.tool_call)?,
            ChatStreamEvent::End(end) => self.end(end)?,
            // No content: these do not count as signs of life.
            ChatStreamEvent::Start
            | ChatStreamEvent::Heartbeat
            | ChatStreamEvent::ThoughtSignatureChunk(_) => {}
        }
        Ok(())
    }

    fn tool_call(&mut self, call: ToolCall) -> Result<(), ModelError> {
        match self.kind {
            ProviderKind::OpenAi => {
                self.watched_pieces();
                Ok(())
            }
            ProviderKind::Anthropic | ProviderKind::OpenAiResponses => self.cumulative(call),
            ProviderKind::Gemini | ProviderKind::Ollama => self.begin(call),
        }
    }

    fn watched_pieces(&mut self) {
        while let Some(piece) = self.frames.next_piece() {
            self.ready.push_back(ModelEvent::ToolRequest(piece));
        }
    }

    /// A request of which nothing was seen yet.
    fn begin(&mut self, call: ToolCall) -> Result<(), ModelError> {
        let index = u32::try_from(self.calls.len())
            .map_err(|_too_many| Failures::invalid("the answer holds too many tool requests"))?;
        let arguments = arguments_text(call.fn_arguments);
        self.calls.push(CumulativeCall { id: call.call_id.clone(), arguments: arguments.clone() });
        self.ready.push_back(ModelEvent::ToolRequest(ToolRequestPiece {
            index,
            call_id: Some(call.call_id),
            name: Some(call.fn_name),
            arguments,
        }));
        Ok(())
    }

    /// A request with all of its arguments so far.
    fn cumulative(&mut self, call: ToolCall) -> Result<(), ModelError> {
        let Some(position) = self.calls.iter().position(|begun| begun.id == call.call_id) else {
            return self.begin(call);
        };
        let begun = &mut self.calls[position];
        let all = arguments_text(call.fn_arguments);
        let Some(new) = all.strip_prefix(begun.arguments.as_str()) else {
            return Err(Failures::invalid("the arguments of a tool request changed"));
        };
        if !new.is_empty() {
            let piece = ToolRequestPiece {
                index: u32::try_from(position).unwrap_or(u32::MAX),
                call_id: None,
                name: None,
                arguments: new.to_owned(),
            };
            begun.arguments = all;
            self.ready.push_back(ModelEvent::ToolRequest(piece));
        }
        Ok(())
    }

    fn end(&mut self, end: StreamEnd) -> Result<(), ModelError> {
        self.watched_pieces();
        let StreamEnd { captured_usage, captured_stop_reason, captured_content, .. } = end;
        // Without a reason nobody knows whether the answer is whole.
        let reason = captured_stop_reason.ok_or(ModelError::Incomplete)?;
        for call in captured_content.into_iter().flat_map(|content| content.into_tool_calls()) {
            self.captured(call)?;
        }
        let usage = captured_usage.map(|usage| model_usage(&usage)).unwrap_or_default();
        if usage != ModelUsage::default() {
            self.ready.push_back(ModelEvent::Usage(usage));
        }
        self.ready.push_back(ModelEvent::Finish(finish_reason(reason)));
        Ok(())
    }

    /// A request as it stands at the end: not every one is streamed, and what was streamed may
    /// have been cut short.
    fn captured(&mut self, call: ToolCall) -> Result<(), ModelError> {
        let Some(begun) = self.calls.iter().find(|begun| begun.id == call.call_id) else {
            return self.begin(call);
        };
        if begun.arguments.is_empty() {
            return self.cumulative(call);
        }
        let same = match &call.fn_arguments {
            Value::String(text) => *text == begun.arguments,
            whole => {
                serde_json::from_str::<Value>(&begun.arguments).is_ok_and(|seen| seen == *whole)
            }
        };
        if same {
            Ok(())
        } else {
            Err(Failures::invalid("the arguments of a tool request changed"))
        }
    }
}

impl Stream for Answer {
    type Item = Result<ModelEvent, ModelError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(event) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            let inner = Pin::new(&mut this.inner);
            let next = quietly(|| inner.poll_next(context));
            // What the frames show comes first: it names the cause, where genai names the
            // symptom or nothing.
            if let Some(failure) = this.frames.failure() {
                return Poll::Ready(Some(Err(this.failures.of_frame(failure))));
            }
            let Poll::Ready(next) = next else {
                return Poll::Pending;
            };
            let taken = match next {
                None => return Poll::Ready(None),
                Some(Ok(event)) => this.take(event),
                Some(Err(error)) => Err(this.failures.of_genai(&error)),
            };
            if let Err(error) = taken {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

fn arguments_text(arguments: Value) -> String {
    match arguments {
        Value::String(text) => text,
        whole => whole.to_string(),
    }
}

fn finish_reason(reason: StopReason) -> FinishReason {
    match reason {
        StopReason::Completed(_) | StopReason::StopSequence(_) => FinishReason::Stop,
        StopReason::MaxTokens(_) => FinishReason::Length,
        StopReason::ToolCall(_) => FinishReason::ToolRequests,
        StopReason::ContentFilter(_) => FinishReason::ContentFilter,
        StopReason::Other(word) => FinishReason::Other(word),
    }
}

fn model_usage(usage: &Usage) -> ModelUsage {
    let count = |tokens: Option<i32>| tokens.and_then(|tokens| u64::try_from(tokens).ok());
    ModelUsage {
        input: count(usage.prompt_tokens),
        output: count(usage.completion_tokens),
        cached_input: usage
            .prompt_tokens_details
            .as_ref()
            .and_then(|details| count(details.cached_tokens)),
        reasoning: usage
            .completion_tokens_details
            .as_ref()
            .and_then(|details| count(details.reasoning_tokens)),
    }
}

//! Our requests in `genai`'s words.

use std::collections::HashMap;

use genai::chat::{
    ChatMessage, ChatOptions, ChatRequest, ContentPart, MessageContent, ReasoningEffort, Tool,
    ToolCall, ToolResponse as GenaiToolResponse,
};
use serde_json::json;

use super::ProviderKind;
use crate::{AssistantMessage, Message, ModelRequest, Part, ToolResponse, ToolSchema};

pub(super) fn options(kind: ProviderKind, model: &str, request: &ModelRequest) -> ChatOptions {
    let mut options = ChatOptions::default().with_capture_usage(true);
    if matches!(kind, ProviderKind::OpenAi | ProviderKind::OpenAiResponses) {
        // genai reads `-high`, `-max` and the like at the end of a model's name as a reasoning
        // effort, and what stands before `::` as a namespace, and cuts both off: `qwen3-max` was
        // sent as `qwen3`. An effort that these formats cannot express keeps the name whole and
        // sends nothing; the body's own `model` is merged last.
        options = options
            .with_reasoning_effort(ReasoningEffort::Budget(0))
            .with_extra_body(json!({ "model": model }));
    }
    if kind == ProviderKind::OpenAiResponses {
        // Requests without streamed arguments appear only in what is captured.
        options = options.with_capture_tool_calls(true);
    }
    if let Some(limit) = request.max_output_tokens {
        options = options.with_max_tokens(limit);
    }
    if let Some(temperature) = request.temperature.and_then(exact) {
        options = options.with_temperature(temperature);
    }
    options
}

/// The same decimal number: 0.7 widened bit by bit would be sent as 0.699999988079071.
fn exact(number: f32) -> Option<f64> {
    number.to_string().parse().ok()
}

pub(super) fn chat(kind: ProviderKind, request: ModelRequest) -> ChatRequest {
    let ModelRequest { system, messages, tools, .. } = request;
    let mut chat = ChatRequest::new(chat_messages(kind, messages));
    if let Some(system) = system {
        chat = chat.with_system(system);
    }
    if !tools.is_empty() {
        chat = chat.with_tools(tools.into_iter().map(tool));
    }
    chat
}

fn chat_messages(kind: ProviderKind, messages: Vec<Message>) -> Vec<ChatMessage> {
    let one_message_for_all_results =
        matches!(kind, ProviderKind::Anthropic | ProviderKind::Gemini);
    let mut names = HashMap::new();
    let mut chat = Vec::with_capacity(messages.len());
    let mut results = Vec::new();
    for message in messages {
        if let Message::Tool(response) = message {
            results.push(tool_response(&names, response));
            if !one_message_for_all_results {
                chat.extend(take_results(&mut results));
            }
            continue;
        }
        chat.extend(take_results(&mut results));
        match message {
            Message::User(parts) => chat.push(ChatMessage::user(user_content(parts))),
            Message::Assistant(message) => {
                for request in &message.tool_requests {
                    names.insert(request.call_id.clone(), request.name.clone());
                }
                chat.extend(assistant(message));
            }
            Message::Tool(_) => {}
        }
    }
    chat.extend(take_results(&mut results));
    chat
}

fn take_results(results: &mut Vec<GenaiToolResponse>) -> Option<ChatMessage> {
    (!results.is_empty()).then(|| ChatMessage::tool(MessageContent::from(std::mem::take(results))))
}

/// Absent for a message that says nothing: some providers refuse those.
fn assistant(message: AssistantMessage) -> Option<ChatMessage> {
    let AssistantMessage { text, tool_requests } = message;
    let mut parts = Vec::with_capacity(tool_requests.len() + 1);
    if !text.is_empty() {
        parts.push(ContentPart::from_text(text));
    }
    parts.extend(tool_requests.into_iter().map(|request| {
        ContentPart::ToolCall(ToolCall {
            call_id: request.call_id,
            fn_name: request.name,
            fn_arguments: request.arguments,
            thought_signatures: None,
        })
    }));
    (!parts.is_empty()).then(|| ChatMessage::assistant(MessageContent::from(parts)))
}

fn user_content(parts: Vec<Part>) -> MessageContent {
    let parts: Vec<ContentPart> = parts
        .into_iter()
        .map(|part| match part {
            Part::Text(text) => ContentPart::from_text(text),
            Part::Json(value) => ContentPart::from_text(value.to_string()),
            Part::Image { media_type, base64 } => {
                ContentPart::from_binary_base64(media_type, base64, None)
            }
        })
        .collect();
    MessageContent::from(parts)
}

/// The wire formats agree on no flag for a failed tool, so the text says it.
fn tool_response(names: &HashMap<String, String>, response: ToolResponse) -> GenaiToolResponse {
    let ToolResponse { call_id, text, is_error } = response;
    let name = names.get(&call_id).cloned();
    let text = if is_error { format!("Error: {text}") } else { text };
    let response = GenaiToolResponse::new(call_id, text);
    match name {
        Some(name) => response.with_fn_name(name),
        None => response,
    }
}

fn tool(schema: ToolSchema) -> Tool {
    Tool::new(schema.name).with_description(schema.description).with_schema(schema.parameters)
}

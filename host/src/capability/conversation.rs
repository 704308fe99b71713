//! The three forms of a conversation: items of the transcript, messages for a model, messages of
//! the guest's interface.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use llm_engine::{AssistantMessage, Message, Part, ToolRequest, ToolResponse};
use serde_json::Value;
use worker_types::{InputPart, Item, ItemBody, ItemId, ToolOutcome};

use super::bindings::yoi::worker::types as wit;
use crate::json_bounds::is_modest;

/// What models and guests see of a transcript: each message with the id of its first item.
pub(crate) fn conversation(items: &[Item]) -> Vec<(ItemId, Message)> {
    let mut messages: Vec<(ItemId, Message)> = Vec::new();
    for item in items {
        match &item.body {
            ItemBody::UserMessage { parts } => {
                messages.push((item.id, Message::User(parts.iter().map(part_for_model).collect())));
            }
            // An answer that has no text has its tool requests, if any, in the items after it.
            ItemBody::AssistantMessage { text, .. } if text.is_empty() => {}
            ItemBody::AssistantMessage { text, .. } => {
                let message = AssistantMessage { text: text.clone(), tool_requests: Vec::new() };
                messages.push((item.id, Message::Assistant(message)));
            }
            ItemBody::ToolCall { call_id, name, arguments } => {
                let request = ToolRequest {
                    call_id: call_id.clone(),
                    name: name.clone(),
                    arguments: arguments.clone(),
                };
                // A call belongs to the text before it: a model said both in one answer.
                match messages.last_mut() {
                    Some((_, Message::Assistant(message))) => message.tool_requests.push(request),
                    _ => {
                        let message =
                            AssistantMessage { text: String::new(), tool_requests: vec![request] };
                        messages.push((item.id, Message::Assistant(message)));
                    }
                }
            }
            ItemBody::ToolResult { call_id, outcome, text } => {
                let response = ToolResponse {
                    call_id: call_id.clone(),
                    text: text.clone(),
                    is_error: *outcome != ToolOutcome::Ok,
                };
                messages.push((item.id, Message::Tool(response)));
            }
            ItemBody::Reasoning { .. } | ItemBody::Notice { .. } | ItemBody::Unknown => {}
        }
    }
    messages
}

fn part_for_model(part: &InputPart) -> Part {
    match part {
        InputPart::Text { text } => Part::Text(text.clone()),
        InputPart::Json { json } => Part::Json(json.clone()),
        InputPart::Image { media_type, data } => {
            Part::Image { media_type: media_type.clone(), base64: data.clone() }
        }
    }
}

/// A part of an input, for the guest.
pub(crate) fn part_for_guest(part: &InputPart) -> wit::Part {
    match part {
        InputPart::Text { text } => wit::Part::Text(text.clone()),
        InputPart::Json { json } => wit::Part::Json(json.to_string()),
        InputPart::Image { media_type, data } => image_for_guest(media_type, data),
    }
}

fn image_for_guest(media_type: &str, base64: &str) -> wit::Part {
    // Inputs with bad base64 are refused before they are accepted.
    let data = BASE64_STANDARD.decode(base64).unwrap_or_default();
    wit::Part::Image(wit::Image { media_type: media_type.to_owned(), data })
}

/// A message, for the guest.
pub(crate) fn message_for_guest(message: Message) -> wit::Message {
    match message {
        Message::User(parts) => wit::Message::User(
            parts
                .into_iter()
                .map(|part| match part {
                    Part::Text(text) => wit::Part::Text(text),
                    Part::Json(json) => wit::Part::Json(json.to_string()),
                    Part::Image { media_type, base64 } => image_for_guest(&media_type, &base64),
                })
                .collect(),
        ),
        Message::Assistant(message) => wit::Message::Assistant(wit::AssistantMessage {
            text: message.text,
            tool_requests: message
                .tool_requests
                .into_iter()
                .map(|request| wit::ToolRequest {
                    call_id: request.call_id,
                    name: request.name,
                    arguments: arguments_to_text(request.arguments),
                })
                .collect(),
        }),
        Message::Tool(response) => wit::Message::Tool(wit::ToolResponse {
            call_id: response.call_id,
            text: response.text,
            is_error: response.is_error,
        }),
    }
}

/// A message of the guest, for a model. Fails with what is wrong with it.
pub(crate) fn message_from_guest(message: wit::Message) -> Result<Message, String> {
    Ok(match message {
        wit::Message::User(parts) => {
            let parts = parts.into_iter().map(|part| match part {
                wit::Part::Text(text) => Ok(Part::Text(text)),
                wit::Part::Json(text) => serde_json::from_str(&text)
                    .map(Part::Json)
                    .map_err(|error| format!("a part is no JSON: {error}")),
                wit::Part::Image(image) => Ok(Part::Image {
                    media_type: image.media_type,
                    base64: BASE64_STANDARD.encode(image.data),
                }),
                wit::Part::Other(_) => Err("a part is of an unknown kind".to_owned()),
            });
            Message::User(parts.collect::<Result<_, String>>()?)
        }
        wit::Message::Assistant(message) => Message::Assistant(AssistantMessage {
            text: message.text,
            tool_requests: message
                .tool_requests
                .into_iter()
                .map(|request| ToolRequest {
                    call_id: request.call_id,
                    name: request.name,
                    arguments: arguments_from_text(request.arguments),
                })
                .collect(),
        }),
        wit::Message::Tool(response) => Message::Tool(ToolResponse {
            call_id: response.call_id,
            text: response.text,
            is_error: response.is_error,
        }),
        wit::Message::Other(_) => return Err("a message is of an unknown kind".to_owned()),
    })
}

/// The bytes of a message's content.
pub(crate) fn message_bytes(message: &Message) -> u64 {
    let bytes: usize = match message {
        Message::User(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.len(),
                Part::Json(json) => json.to_string().len(),
                Part::Image { media_type, base64 } => media_type.len() + base64.len(),
            })
            .sum(),
        Message::Assistant(message) => {
            let requests = message.tool_requests.iter();
            let requests = requests.map(|r| r.name.len() + r.arguments.to_string().len());
            message.text.len() + requests.sum::<usize>()
        }
        Message::Tool(response) => response.text.len(),
    };
    bytes as u64
}

/// A tool's arguments as they stand in the log: the JSON that a model wrote, or its text where it
/// is none that can be kept.
pub(crate) fn arguments_from_text(text: String) -> Value {
    serde_json::from_str(&text).ok().filter(is_modest).unwrap_or(Value::String(text))
}

fn arguments_to_text(arguments: Value) -> String {
    match arguments {
        Value::String(malformed) => malformed,
        json => json.to_string(),
    }
}

/// Whether an image of an input can be decoded.
pub(crate) fn is_base64(data: &str) -> bool {
    BASE64_STANDARD.decode(data).is_ok()
}

#[cfg(test)]
mod tests {
    use worker_types::{ItemStatus, Origin, TurnId};

    use super::*;

    #[test]
    fn a_tool_call_joins_the_answer_it_stands_in() {
        let item = |id, body| Item {
            id: ItemId::new(id),
            turn_id: TurnId::new(1),
            origin: Origin::Host,
            status: ItemStatus::Completed,
            body,
        };
        let call = |call_id: &str| ItemBody::ToolCall {
            call_id: call_id.into(),
            name: "read".into(),
            arguments: serde_json::json!({"path": "a"}),
        };
        let items = [
            item(1, ItemBody::UserMessage { parts: vec![InputPart::Text { text: "hi".into() }] }),
            item(2, ItemBody::Reasoning { text: "hm".into() }),
            item(3, ItemBody::AssistantMessage { text: "I look".into(), model: None }),
            item(4, call("one")),
            item(5, call("two")),
        ];
        let messages = conversation(&items);
        let ids: Vec<_> = messages.iter().map(|(id, _)| id.get()).collect();
        assert_eq!(ids, [1, 3]);
        let Message::Assistant(message) = &messages[1].1 else { panic!("{messages:?}") };
        assert_eq!(message.tool_requests.len(), 2);
    }

    #[test]
    fn malformed_arguments_reach_the_guest_as_the_model_wrote_them() {
        for text in [r#"{"a":1}"#, r#"{"a":"#, "", "plain"] {
            assert_eq!(arguments_to_text(arguments_from_text(text.to_owned())), text);
        }
    }
}

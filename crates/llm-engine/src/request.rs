//! What a model is asked.

use serde_json::Value;

/// One request to a model: everything it may know.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelRequest {
    /// The instructions that stand before the conversation.
    pub system: Option<String>,
    /// The conversation so far, oldest first. The last message is usually the user's or a tool's.
    pub messages: Vec<Message>,
    /// The tools the model may request.
    pub tools: Vec<ToolSchema>,
    /// The most tokens the answer may have; absent means the provider's default.
    pub max_output_tokens: Option<u32>,
    /// Sampling temperature, usually 0.0 to 2.0; absent means the provider's default.
    pub temperature: Option<f32>,
}

/// One message of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// What the user said.
    User(Vec<Part>),
    /// What the model answered.
    Assistant(AssistantMessage),
    /// The result of one tool request of the last assistant message.
    Tool(ToolResponse),
}

/// What the model answered in an earlier call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AssistantMessage {
    /// Its text; may be empty when it only requested tools.
    pub text: String,
    /// The tools it requested, in its order.
    pub tool_requests: Vec<ToolRequest>,
}

/// The result of one tool request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolResponse {
    /// Which request this answers.
    pub call_id: String,
    /// The result as the model shall read it.
    pub text: String,
    /// Whether the tool failed; `text` then says how.
    pub is_error: bool,
}

/// A piece of a user's message.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Plain text.
    Text(String),
    /// Structured data; a model reads it as JSON text.
    Json(Value),
    /// An image.
    Image {
        /// Its media type, for example `image/png`.
        media_type: String,
        /// Its bytes in standard base64.
        base64: String,
    },
}

/// A tool the model may request.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSchema {
    /// The name the model calls it by.
    pub name: String,
    /// What it does and when to use it.
    pub description: String,
    /// The JSON schema of its arguments, an object.
    pub parameters: Value,
}

/// One complete tool request of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolRequest {
    /// Ties the result to the request. Unique within one answer; a provider may repeat it later.
    pub call_id: String,
    /// The name of the tool.
    pub name: String,
    /// The arguments, as the model wrote them.
    pub arguments: Value,
}

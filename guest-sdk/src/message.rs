//! Conversations.

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Plain text.
    Text(String),
    /// Structured data, as JSON text.
    Json(String),
    /// A picture.
    Image(Image),
    /// A kind that this version has no name for, as JSON text. Skip it: a host refuses it back.
    Other(String),
}

/// A picture within a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its media type, such as `image/png`.
    pub media_type: String,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// A tool call that a model asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolRequest {
    /// Pairs the call with its result.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// The arguments, as JSON text. A model wrote them: they may be malformed.
    pub arguments: String,
}

/// The answer to a tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResponse {
    /// The call this answers.
    pub call_id: String,
    /// What the model is told.
    pub text: String,
    /// Whether the tool failed.
    pub is_error: bool,
}

/// What an assistant said in one go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AssistantMessage {
    /// The text; may be empty where there are tool requests.
    pub text: String,
    /// The tools it asked for.
    pub tool_requests: Vec<ToolRequest>,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// From a person or a parent Worker.
    User(Vec<Part>),
    /// From a model, or from the Worker itself.
    Assistant(AssistantMessage),
    /// From a tool.
    Tool(ToolResponse),
    /// A kind that this version has no name for, as JSON text. Skip it: a host refuses it back.
    Other(String),
}

impl Message {
    /// A person's message of one text.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self::User(vec![Part::Text(text.into())])
    }

    /// An assistant's message that asks for no tools.
    #[must_use]
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::Assistant(AssistantMessage { text: text.into(), tool_requests: Vec::new() })
    }

    /// Its text: the text parts of a person's message on lines of their own, or what the assistant
    /// or the tool said. A kind without a name has none.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::User(parts) => text_of(parts),
            Self::Assistant(message) => message.text.clone(),
            Self::Tool(response) => response.text.clone(),
            Self::Other(_) => String::new(),
        }
    }
}

/// An entry of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The item's ordinal within its Worker.
    pub id: u64,
    /// What was said.
    pub message: Message,
}

/// A piece of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPage {
    /// Oldest first.
    pub entries: Vec<Entry>,
    /// Whether older entries exist; pass the first entry's id to
    /// [`Turn::history_before`](crate::Turn::history_before).
    pub more: bool,
}

/// The text parts, on lines of their own.
pub(crate) fn text_of(parts: &[Part]) -> String {
    let texts: Vec<&str> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Json(_) | Part::Image(_) | Part::Other(_) => None,
        })
        .collect();
    texts.join("\n")
}

//! The transcript: what was said and done, in order.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ItemId, ModelAlias, TurnId};

/// One entry of a Worker's transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Item {
    /// The item's ordinal in its Worker.
    pub id: ItemId,
    /// The turn it belongs to.
    pub turn_id: TurnId,
    /// Who vouches for it.
    pub origin: Origin,
    /// Whether it is finished.
    pub status: ItemStatus,
    /// What it is.
    #[serde(flatten)]
    pub body: ItemBody,
}

/// Who vouches for an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The host saw it happen: a person's input, a model's answer, a tool the host ran.
    Host,
    /// The guest says so.
    Guest,
}

/// Whether an item is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ItemStatus {
    /// Deltas may still follow.
    InProgress,
    /// All of it is here.
    Completed,
    /// It was cut off; what there is of it is here.
    Incomplete,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ItemBody {
    /// What a person or a parent Worker sent.
    UserMessage {
        /// The message, in order; at least one part.
        parts: Vec<InputPart>,
    },
    /// What the Worker answered.
    AssistantMessage {
        /// The text so far, or all of it once the item is completed.
        text: String,
        /// The model that wrote it; absent where the guest itself spoke.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<ModelAlias>,
    },
    /// What a model thought before it answered.
    Reasoning {
        /// The readable part; providers may show none of it.
        text: String,
    },
    /// A tool was called.
    ToolCall {
        /// Pairs the call with its result; unique within the Worker.
        call_id: String,
        /// The tool.
        name: String,
        /// The arguments, as the caller gave them.
        arguments: Value,
    },
    /// The one result of a tool call.
    ToolResult {
        /// The call this answers.
        call_id: String,
        /// How it ended.
        outcome: ToolOutcome,
        /// What the caller was told.
        text: String,
    },
    /// Something a reader should know.
    Notice {
        /// How much it matters.
        level: NoticeLevel,
        /// One or more sentences.
        text: String,
    },
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

impl ItemBody {
    /// The bytes of its content; what it takes beside that is bounded by its kind.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::UserMessage { parts } => parts.iter().map(InputPart::len).sum(),
            Self::AssistantMessage { text, .. }
            | Self::Reasoning { text }
            | Self::Notice { text, .. } => text.len(),
            Self::ToolCall { call_id, name, arguments } => {
                call_id.len() + name.len() + arguments.to_string().len()
            }
            Self::ToolResult { call_id, text, .. } => call_id.len() + text.len(),
            Self::Unknown => 0,
        }
    }

    /// Whether it has no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How a tool call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ToolOutcome {
    /// The tool did what was asked.
    Ok,
    /// The tool answered with an error.
    Error,
    /// The turn ended first: what the tool did is unknown.
    Interrupted,
}

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NoticeLevel {
    /// Good to know.
    Info,
    /// Something is not as it should be.
    Warning,
}

/// A piece of an input message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum InputPart {
    /// Plain text.
    Text {
        /// The text.
        text: String,
    },
    /// Structured data.
    Json {
        /// The data.
        json: Value,
    },
    /// A picture.
    Image {
        /// Its media type, such as `image/png`.
        #[cfg_attr(feature = "openapi", schema(pattern = "^image/"))]
        media_type: String,
        /// Its bytes in standard base64.
        #[cfg_attr(
            feature = "openapi",
            schema(
                content_encoding = "base64",
                pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
            )
        )]
        data: String,
    },
}

impl InputPart {
    /// The bytes this part counts against the input limit.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text { text } => text.len(),
            Self::Json { json } => json.to_string().len(),
            Self::Image { media_type, data } => media_type.len() + data.len(),
        }
    }

    /// Whether the part says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

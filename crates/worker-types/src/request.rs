//! What a caller asks of a Runtime.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ComponentDigest, Grants, InputDisposition, InputPart, ItemId, ProfileName, Seq, TurnId,
    WorkerId,
};

/// What a Worker's creator filed it under: at most 32 labels, keys and values of at most 63 and 256
/// bytes.
pub type Labels = BTreeMap<String, String>;

/// A caller's name for one request: the same request with the same key is carried out once, however
/// often it is made. Kept for 24 hours at least.
///
/// Its scope is the principal, the operation and the Worker: what two callers choose alike, or one
/// caller for two Workers, does not meet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey {
    principal: String,
    key: String,
}

/// A text that is no idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to {} visible ASCII characters", IdempotencyKey::MAX_BYTES)]
pub struct InvalidKey;

impl IdempotencyKey {
    /// The longest key.
    pub const MAX_BYTES: usize = 255;

    /// A key of the embedder itself.
    ///
    /// # Errors
    ///
    /// Where `key` is empty, too long, or has other than visible ASCII characters.
    pub fn new(key: impl Into<String>) -> Result<Self, InvalidKey> {
        let key = key.into();
        let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && (1..=Self::MAX_BYTES).contains(&key.len()) {
            Ok(Self { principal: String::new(), key })
        } else {
            Err(InvalidKey)
        }
    }

    /// The same key of another principal.
    #[must_use]
    pub fn of(mut self, principal: impl Into<String>) -> Self {
        self.principal = principal.into();
        self
    }

    /// Whose key it is; empty for the embedder itself.
    #[must_use]
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.key
    }
}

/// A request for a new Worker.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CreateWorker {
    /// How it behaves; absent means the Runtime's default profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// A name for eyes only, at most 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 256, pattern = "^[^\\u0000-\\u001F\\u007F-\\u009F]*$",)
    )]
    pub display_name: Option<String>,
    /// What to file it under.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::labels))]
    pub labels: Labels,
    /// What it may do; never more than the Runtime's ceiling.
    pub grants: Grants,
    /// The first input, accepted in the same commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    /// The caller's name for this request.
    #[serde(skip)]
    pub idempotency_key: Option<IdempotencyKey>,
}

impl CreateWorker {
    /// A Worker of `profile`, without any grant.
    #[must_use]
    pub fn profile(profile: ProfileName) -> Self {
        Self { profile: Some(profile), ..Self::default() }
    }

    /// The same with `grants`.
    #[must_use]
    pub fn grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// The same with a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// The same with a name for eyes.
    #[must_use]
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// The same with a key: the same request again creates no second Worker.
    #[must_use]
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }

    /// The same with a first input.
    #[must_use]
    pub fn input(mut self, input: Input) -> Self {
        self.input = Some(input);
        self
    }
}

/// What starts a turn. In JSON either `{"parts": […]}` or, for one text, `{"text": "…"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "InputForm")]
pub struct Input {
    /// The message, in order; a Runtime refuses one that says nothing.
    pub parts: Vec<InputPart>,
}

impl Input {
    /// An input of one text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { parts: vec![InputPart::Text { text: text.into() }] }
    }

    /// The bytes this input counts against the limit.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(InputPart::len).sum()
    }

    /// Whether the input says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(InputPart::is_empty)
    }
}

/// What starts a turn: a message in parts, or one text.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum InputForm {
    /// One text.
    Short {
        /// The text.
        #[cfg_attr(feature = "openapi", schema(min_length = 1))]
        text: String,
    },
    /// A message in parts.
    Parts {
        /// The message, in order; at least one part says something.
        #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 256))]
        parts: Vec<InputPart>,
    },
}

impl From<InputForm> for Input {
    fn from(form: InputForm) -> Self {
        match form {
            InputForm::Short { text } => Self::text(text),
            InputForm::Parts { parts } => Self { parts },
        }
    }
}

/// How an input is to be taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InputOptions {
    /// What to do while another turn runs.
    pub if_busy: IfBusy,
    /// The caller's name for this request.
    pub idempotency_key: Option<IdempotencyKey>,
}

impl InputOptions {
    /// Refuses, queues or steers while another turn runs.
    #[must_use]
    pub fn if_busy(if_busy: IfBusy) -> Self {
        Self { if_busy, ..Self::default() }
    }

    /// The same with a key: the same request again is no second input.
    #[must_use]
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }
}

/// What became of an upgrade: the Worker goes by the new component from its next turn on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Upgraded {
    /// What it went by.
    pub from: ComponentDigest,
    /// What it goes by.
    pub to: ComponentDigest,
    /// What the new component imports and the old one did not, beyond what every Worker has.
    pub gained: Vec<String>,
    /// What the old component imported and the new one does not.
    pub lost: Vec<String>,
}

/// What to do with an input while another turn runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum IfBusy {
    /// Refuse it with `busy` and the running turn's id.
    #[default]
    Reject,
    /// Give it a turn of its own after those that wait already.
    Queue,
    /// Give it to the running turn, which takes it in between two steps. If the turn ends first, the
    /// input is queued.
    Steer,
}

/// Which Workers to list: those that match everything that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerQuery {
    /// Only Workers in this state: a name of [`WorkerStatus`](crate::WorkerStatus).
    pub status: Option<String>,
    /// Only Workers with these labels.
    pub labels: Labels,
    /// Only Workers created after this one.
    pub after: Option<WorkerId>,
    /// At most this many; absent means 100, and more than 1,000 is taken as 1,000.
    pub limit: Option<u32>,
}

/// Which piece of a transcript to show. Without `before` and `after` it is the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct TranscriptQuery {
    /// Only items before this one, the nearest of them.
    pub before: Option<ItemId>,
    /// Only items after this one, the nearest of them.
    pub after: Option<ItemId>,
    /// At most this many; absent means 100, and more than 1,000 is taken as 1,000.
    pub limit: Option<u32>,
    /// At most about this many bytes of content (at least one item is shown); absent means 1 MiB,
    /// and more than 8 MiB is taken as 8 MiB.
    pub max_bytes: Option<u64>,
    /// An item with more bytes of content than this is cut, and the page says so; absent means
    /// 64 KiB.
    pub max_item_bytes: Option<u64>,
}

/// The acceptance of an input. The input is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InputAccepted {
    /// The turn it starts; the running one, where it is steered.
    pub turn_id: TurnId,
    /// Its place in the log; events after it tell what becomes of it.
    pub seq: Seq,
    /// What became of it.
    pub status: InputDisposition,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_is_short_and_visible() {
        assert!(IdempotencyKey::new("a-key").is_ok());
        for bad in ["", "with space", "ä", "new\nline", &"x".repeat(256)] {
            assert_eq!(IdempotencyKey::new(bad), Err(InvalidKey), "{bad:?}");
        }
    }

    #[test]
    fn an_input_is_one_text_or_a_list_of_parts_and_nothing_else() {
        let short: Input = serde_json::from_str(r#"{"text":"hi"}"#).expect("the short form");
        let parts: Input =
            serde_json::from_str(r#"{"parts":[{"type":"text","text":"hi"}]}"#).expect("parts");
        assert_eq!(short, parts);
        for bad in ["{}", r#""hi""#, r#"{"txt":"hi"}"#, r#"{"parts":[{"type":"smell"}]}"#] {
            assert!(serde_json::from_str::<Input>(bad).is_err(), "{bad}");
        }
    }
}

//! Events: the durable facts of a Worker's log, and the live pieces that are not durable.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ComponentDigest, Grant, Grants, InputPart, Item, ItemId, Labels, ModelAlias, NoticeLevel,
    Profile, Seq, TokenUsage, TurnId, WorkerId,
};

/// A durable fact in a Worker's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// Its place in the log: 1 for the first, and no gaps.
    pub seq: Seq,
    /// When it was decided, by the host's clock. Clocks step; order is `seq`'s alone.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// The Worker it is about.
    pub worker_id: WorkerId,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What happened. Readers skip kinds they do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type")]
pub enum EventBody {
    /// The Worker exists; always the first event.
    #[serde(rename = "worker.created")]
    WorkerCreated {
        /// A name for eyes only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        display_name: Option<String>,
        /// The profile it was made from, as it was then: what the Worker goes by.
        profile: Box<Profile>,
        /// The bytes of its logic.
        component: ComponentDigest,
        /// What it may do.
        grants: Grants,
        /// What its creator filed it under.
        #[serde(default, skip_serializing_if = "Labels::is_empty")]
        #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::labels))]
        labels: Labels,
    },
    /// No more turns until it is started again.
    #[serde(rename = "worker.stopped")]
    WorkerStopped,
    /// Turns may run again.
    #[serde(rename = "worker.started")]
    WorkerStarted,
    /// The Worker is gone, with all it had; always the last event.
    #[serde(rename = "worker.deleted")]
    WorkerDeleted,
    /// The Worker goes by another component from here on, with the grants that it has.
    #[serde(rename = "worker.upgraded")]
    WorkerUpgraded {
        /// The profile as it is now.
        profile: Box<Profile>,
        /// The bytes of its logic.
        component: ComponentDigest,
    },
    /// Some of what the Worker was granted was taken away, for ever. A turn that runs ends next.
    #[serde(rename = "grant.revoked")]
    GrantRevoked {
        /// What was taken away.
        grants: Vec<Grant>,
    },
    /// Older events were removed. The transcript and the state are kept.
    #[serde(rename = "worker.trimmed")]
    WorkerTrimmed {
        /// The log begins after this event now.
        through: Seq,
    },
    /// An input has its turn, and its place in the transcript. One that was queued had its
    /// `input.queued` before.
    #[serde(rename = "input.accepted")]
    InputAccepted {
        /// The turn it starts.
        turn_id: TurnId,
        /// The user's message.
        item: Item,
    },
    /// An input was acknowledged while another turn runs; it will have its own.
    #[serde(rename = "input.queued")]
    InputQueued {
        /// The turn it will start.
        turn_id: TurnId,
        /// The user's message.
        parts: Vec<InputPart>,
    },
    /// An input was acknowledged for the turn that runs. It becomes an item when the guest takes it
    /// in; one that the guest leaves is queued when the turn ends.
    #[serde(rename = "input.steered")]
    InputSteered {
        /// The running turn.
        turn_id: TurnId,
        /// The user's message.
        parts: Vec<InputPart>,
    },
    /// A turn began.
    #[serde(rename = "turn.started")]
    TurnStarted {
        /// The turn.
        turn_id: TurnId,
        /// The interrupted turn that this one goes on from, with the same input.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resumes: Option<TurnId>,
    },
    /// A turn ended; there is exactly one such event for every `turn.started`.
    #[serde(rename = "turn.ended")]
    TurnEnded {
        /// The turn.
        turn_id: TurnId,
        /// How it ended.
        outcome: Outcome,
        /// What it took.
        receipt: Receipt,
    },
    /// An item was opened; live deltas may follow until it is completed.
    #[serde(rename = "item.started")]
    ItemStarted {
        /// The turn it belongs to.
        turn_id: TurnId,
        /// The item, with `status: in_progress`.
        item: Item,
    },
    /// An item is final, whether it was opened before or is said all at once.
    #[serde(rename = "item.completed")]
    ItemCompleted {
        /// The turn it belongs to.
        turn_id: TurnId,
        /// The item, with `status: completed` or `incomplete`.
        item: Item,
    },
    /// A model call was paid for.
    #[serde(rename = "usage.recorded")]
    UsageRecorded {
        /// The turn that made the call.
        turn_id: TurnId,
        /// The model asked.
        model: ModelAlias,
        /// What the provider counted.
        tokens: TokenUsage,
    },
    /// A key of the Worker's durable state changed.
    #[serde(rename = "state.set")]
    StateSet {
        /// The turn that changed it.
        turn_id: TurnId,
        /// The key.
        key: String,
        /// The new value; absent where the key was removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// Something a reader of the log should know.
    #[serde(rename = "notice")]
    Notice {
        /// How much it matters.
        level: NoticeLevel,
        /// One or more sentences.
        text: String,
    },
    /// A kind that this version does not know.
    #[serde(other, rename = "unknown")]
    Unknown,
}

impl EventBody {
    /// The stable word for what happened: its `type` in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::WorkerCreated { .. } => "worker.created",
            Self::WorkerStopped => "worker.stopped",
            Self::WorkerStarted => "worker.started",
            Self::WorkerDeleted => "worker.deleted",
            Self::WorkerUpgraded { .. } => "worker.upgraded",
            Self::GrantRevoked { .. } => "grant.revoked",
            Self::WorkerTrimmed { .. } => "worker.trimmed",
            Self::InputAccepted { .. } => "input.accepted",
            Self::InputQueued { .. } => "input.queued",
            Self::InputSteered { .. } => "input.steered",
            Self::TurnStarted { .. } => "turn.started",
            Self::TurnEnded { .. } => "turn.ended",
            Self::ItemStarted { .. } => "item.started",
            Self::ItemCompleted { .. } => "item.completed",
            Self::UsageRecorded { .. } => "usage.recorded",
            Self::StateSet { .. } => "state.set",
            Self::Notice { .. } => "notice",
            Self::Unknown => "unknown",
        }
    }

    /// The turn this event belongs to, where it belongs to one.
    #[must_use]
    pub fn turn_id(&self) -> Option<TurnId> {
        match self {
            Self::TurnStarted { turn_id, .. }
            | Self::TurnEnded { turn_id, .. }
            | Self::UsageRecorded { turn_id, .. }
            | Self::StateSet { turn_id, .. }
            | Self::InputAccepted { turn_id, .. }
            | Self::InputQueued { turn_id, .. }
            | Self::InputSteered { turn_id, .. }
            | Self::ItemStarted { turn_id, .. }
            | Self::ItemCompleted { turn_id, .. } => Some(*turn_id),
            Self::WorkerCreated { .. }
            | Self::WorkerStopped
            | Self::WorkerStarted
            | Self::WorkerDeleted
            | Self::WorkerUpgraded { .. }
            | Self::GrantRevoked { .. }
            | Self::WorkerTrimmed { .. }
            | Self::Notice { .. }
            | Self::Unknown => None,
        }
    }

    /// Whether this is the end of the turn `turn`.
    #[must_use]
    pub fn ends(&self, turn: TurnId) -> bool {
        matches!(self, Self::TurnEnded { turn_id, .. } if *turn_id == turn)
    }
}

/// What became of an input that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum InputDisposition {
    /// Its turn is running, or starts as soon as there is room.
    Running,
    /// Its turn runs when those before it have ended.
    Queued,
    /// The running turn takes it in; if it does not, the input has a turn of its own afterwards.
    Steered,
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// The guest returned without an error.
    Completed,
    /// The guest failed, or the host had to end it.
    Failed {
        /// What kind of failure.
        kind: FailureKind,
        /// The reason, for a person.
        message: String,
    },
    /// Somebody asked for the end.
    Cancelled {
        /// Who or what asked.
        reason: StopReason,
    },
    /// The Runtime went away before the turn ended.
    Interrupted,
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

/// The most bytes of a failure's message: a page of text.
const MESSAGE_BYTES: usize = 4_096;

impl Outcome {
    /// The same with a message of at most 4 KiB; a longer one ends with `…`.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        if let Self::Failed { message, .. } = &mut self
            && message.len() > MESSAGE_BYTES
        {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES - '…'.len_utf8()));
            message.push('…');
        }
        self
    }

    /// Whether the turn did what it was asked to.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        matches!(self, Self::Completed)
    }
}

/// What kind of failure ended a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The guest returned an error.
    Guest,
    /// The guest panicked, or did what WebAssembly forbids.
    Trap,
    /// The guest ran into one of its limits.
    Limit,
    /// The component cannot run with what the Worker was granted.
    MissingGrant,
    /// A directory that the Worker was granted cannot be had now.
    PreopenUnavailable,
    /// The host failed; the operator's log has the cause.
    Internal,
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Who or what ended a turn that was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The turn was cancelled.
    Cancel,
    /// The Worker was stopped.
    Stop,
    /// A grant that the turn began with was taken away.
    GrantRevoked,
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What a turn took. A value that is not known is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// From start to end, in microseconds.
    pub wall_us: u64,
    /// Time spent running the guest, in microseconds.
    pub cpu_us: u64,
    /// The most linear memory the guest held at once, in bytes, summed over its memories.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub peak_memory_bytes: u64,
    /// Calls of the guest into `yoi:worker` interfaces.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub host_calls: u64,
    /// Bytes written to files.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub file_bytes: u64,
    /// Model calls that reached a provider.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub model_calls: u64,
    /// Their tokens.
    #[serde(flatten)]
    pub tokens: TokenUsage,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a subscriber of one Worker receives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum LiveEvent {
    /// A durable event; the reader's cursor moves.
    Durable(Event),
    /// A piece of an item that was opened; never durable, never numbered.
    Delta(ItemDelta),
    /// All of an open item so far, for a reader who came in the middle or fell behind. It replaces
    /// what the reader has of the item.
    Snapshot(ItemSnapshot),
}

/// A piece of an open item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ItemDelta {
    /// The item.
    pub item_id: ItemId,
    /// Where in the item's text the piece begins, in bytes of UTF-8.
    pub offset: u64,
    /// The piece.
    pub text: String,
}

/// All of an open item so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ItemSnapshot {
    /// The item.
    pub item_id: ItemId,
    /// Its text so far.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_failure_message_is_cut_between_characters() {
        let message = "ä".repeat(MESSAGE_BYTES);
        let outcome = Outcome::Failed { kind: FailureKind::Guest, message }.bounded();
        let Outcome::Failed { message, .. } = outcome else { panic!("{outcome:?}") };
        assert!(message.len() <= MESSAGE_BYTES && message.ends_with("ä…"));
    }

    #[test]
    fn the_name_of_an_event_is_its_type_in_json() {
        let item = r#"{"id":1,"turn_id":1,"origin":"host","status":"completed",
            "kind":"notice","level":"info","text":"x"}"#;
        let digest = "ab".repeat(32);
        let created = format!(
            r#","profile":{{"name":"a","component":"builtin:a"}},
                "component":"sha256:{digest}","grants":{{}}"#
        );
        let item = format!(r#","turn_id":1,"item":{item}"#);
        let parts = r#","turn_id":1,"parts":[]"#;
        for (name, fields) in [
            ("worker.created", created.as_str()),
            ("worker.stopped", ""),
            ("worker.started", ""),
            ("worker.deleted", ""),
            ("worker.trimmed", r#","through":1"#),
            ("input.accepted", &item),
            ("input.queued", parts),
            ("input.steered", parts),
            ("turn.started", r#","turn_id":1"#),
            (
                "turn.ended",
                r#","turn_id":1,"outcome":{"status":"completed"},
                    "receipt":{"wall_us":1,"cpu_us":1}"#,
            ),
            ("item.started", &item),
            ("item.completed", &item),
            ("usage.recorded", r#","turn_id":1,"model":"a","tokens":{}"#),
            ("state.set", r#","turn_id":1,"key":"a""#),
            ("notice", r#","level":"info","text":"x""#),
            ("unknown", ""),
        ] {
            let json = format!(r#"{{"type":"{name}"{fields}}}"#);
            let body: EventBody = serde_json::from_str(&json).expect(name);
            assert_eq!(body.name(), name);
            let again = serde_json::to_value(&body).expect(name);
            assert_eq!(again["type"], name);
        }
    }

    #[test]
    fn readers_skip_kinds_they_do_not_know() {
        let event: Event = serde_json::from_str(
            r#"{"seq":9,"at":"2026-01-01T00:00:00Z",
                "worker_id":"01890a5d-ac96-774b-bcce-b302099a8057",
                "type":"worker.teleported","where":{"to":"the moon"}}"#,
        )
        .expect("an unknown kind is still an event");
        assert_eq!(event.body, EventBody::Unknown);
        assert_eq!(event.seq, Seq::new(9));
    }
}

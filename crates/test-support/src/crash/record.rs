//! What the child tells: one record a line, written before it does anything else.

use serde::{Deserialize, Serialize};
use worker_types::{
    Cursor, Event, FeedCursor, IfBusy, InputAccepted, InputPart, Item, ItemId, RuntimeError, Seq,
    TurnId, WorkerId, WorkerUsage, WorkerView,
};

/// The label of a Worker with the token of the request that created it.
pub const TOKEN: &str = "token";
/// The label of a Worker that was created with a first input.
pub const WITH_INPUT: &str = "with-input";
/// The label of a Worker with the lane that commands it.
pub const LANE: &str = "lane";

/// The events without items that a log keeps, where old ones are removed: few, so that this happens
/// all the time.
pub const RETAINED_EVENTS: u64 = 4;

/// What happened in the child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The Runtime is built.
    Ready,
    /// A Worker, as it is before anything is asked of it in this life.
    Found {
        /// The Worker.
        worker: Box<FoundWorker>,
    },
    /// Those were all Workers.
    FoundAll {
        /// Whether nothing was left to do for any of them.
        at_rest: bool,
    },
    /// A request is about to be made.
    Sent {
        /// Names the request in this life.
        op: u64,
        /// The request.
        request: Request,
    },
    /// It was answered.
    Answered {
        /// The request.
        op: u64,
        /// The answer.
        reply: Reply,
    },
    /// A subscriber of a Worker was given a durable event.
    Published {
        /// The event.
        event: Event,
        /// The subscriber's place after it.
        cursor: Cursor,
    },
    /// A subscriber of a Worker was given a piece of text.
    Text {
        /// The Worker.
        worker_id: WorkerId,
        /// The item.
        item_id: ItemId,
        /// Where the piece begins.
        offset: u64,
        /// The piece.
        text: String,
    },
    /// A subscriber of the feed was given an event.
    Fed {
        /// The Worker.
        worker_id: WorkerId,
        /// The event.
        seq: Seq,
        /// The subscriber's place after it.
        cursor: FeedCursor,
    },
    /// A subscriber of a Worker was told that the events after its place are gone.
    Gap {
        /// The Worker.
        worker_id: WorkerId,
        /// The last event that is gone.
        through: Seq,
    },
    /// Something failed that must not.
    Broken {
        /// What.
        what: String,
    },
    /// A failpoint is about to kill the process.
    Fired {
        /// The failpoint.
        point: String,
    },
    /// Everything was done.
    Done,
}

/// A Worker as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundWorker {
    /// How it is shown.
    pub view: WorkerView,
    /// Retention removed events up to this one.
    pub trimmed: Seq,
    /// Its log after that.
    pub events: Vec<Event>,
    /// Its transcript and usage; only where nothing is left to do.
    pub at_rest: Option<(Vec<Item>, WorkerUsage)>,
}

/// A request of the workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// A new Worker.
    Create {
        /// Names the Worker; a label.
        token: String,
        /// The lane that commands it.
        lane: u64,
        /// Whether interrupted turns are gone on from.
        resume: bool,
        /// The first input.
        text: Option<String>,
        /// Whether the token is the idempotency key, too.
        keyed: bool,
    },
    /// An input.
    Input {
        /// The Worker.
        worker_id: WorkerId,
        /// Names the input; a part of it.
        token: String,
        /// What it says.
        text: String,
        /// How it is to be taken.
        if_busy: IfBusy,
        /// Whether the token is the idempotency key, too.
        keyed: bool,
    },
    /// A cancel.
    Cancel {
        /// The Worker.
        worker_id: WorkerId,
        /// Which turn.
        turn_id: Option<TurnId>,
    },
    /// A stop.
    Stop {
        /// The Worker.
        worker_id: WorkerId,
    },
    /// A start.
    Start {
        /// The Worker.
        worker_id: WorkerId,
    },
    /// A deletion.
    Delete {
        /// The Worker.
        worker_id: WorkerId,
    },
}

impl Request {
    /// The Worker that it is for, where there is one already.
    #[must_use]
    pub fn worker_id(&self) -> Option<WorkerId> {
        match self {
            Self::Create { .. } => None,
            Self::Input { worker_id, .. }
            | Self::Cancel { worker_id, .. }
            | Self::Stop { worker_id }
            | Self::Start { worker_id }
            | Self::Delete { worker_id } => Some(*worker_id),
        }
    }

    /// The same request with another body: what an idempotency key is not for.
    #[must_use]
    pub fn altered(mut self) -> Self {
        match &mut self {
            Self::Create { text, .. } => *text = Some("altered".to_owned()),
            Self::Input { text, .. } => text.push_str(" altered"),
            _ => {}
        }
        self
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The Worker is created.
    Created(WorkerId),
    /// The input is accepted.
    Accepted(InputAccepted),
    /// It is done.
    Done,
    /// It is refused, or it is not known what became of it.
    Refused(RuntimeError),
}

impl Reply {
    /// Whether the request had no effect.
    #[must_use]
    pub fn is_definite_refusal(&self) -> bool {
        match self {
            Self::Refused(error) => !matches!(
                error,
                RuntimeError::RuntimeUnavailable { .. } | RuntimeError::Internal { .. }
            ),
            Self::Created(_) | Self::Accepted(_) | Self::Done => false,
        }
    }
}

/// The parts of an input with this token.
#[must_use]
pub fn input_parts(text: &str, token: &str) -> Vec<InputPart> {
    let json = serde_json::json!({ "token": token });
    vec![InputPart::Text { text: text.to_owned() }, InputPart::Json { json }]
}

/// The token of an input.
#[must_use]
pub fn token_of(parts: &[InputPart]) -> Option<&str> {
    parts.iter().find_map(|part| match part {
        InputPart::Json { json } => json.get("token")?.as_str(),
        InputPart::Text { .. } | InputPart::Image { .. } => None,
    })
}

/// What a life of the child is told, as one line on its input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Chooses the workload.
    pub seed: u64,
    /// Which life this is.
    pub life: u64,
    /// Kills itself when this failpoint is reached for so many times.
    pub failpoint: Option<(String, u64)>,
    /// Where the reader of the feed goes on.
    pub feed: FeedCursor,
    /// Where the readers of Workers go on.
    pub cursors: Vec<(WorkerId, Cursor)>,
    /// Requests of earlier lives with a key: to be made again.
    pub again: Vec<Request>,
    /// The same, with a body that is not theirs.
    pub altered: Vec<Request>,
    /// Removes old events meanwhile.
    pub trims: bool,
    /// Makes no new requests: brings everything to rest, shows it, and ends.
    pub last: bool,
}

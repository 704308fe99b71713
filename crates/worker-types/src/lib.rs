//! Ids, grants, states, items, events, requests and errors of yoi: the words that the Runtime, its
//! clients and the Backend share.
//!
//! Only data lives here. Every type serialises with serde to the JSON of the HTTP APIs; names
//! validate where they are parsed, so a value that exists is a valid one. Nothing in this crate
//! does I/O, and nothing in it knows HTTP or WebAssembly.

mod digest;
mod error;
mod event;
mod grants;
mod id;
mod item;
mod limits;
mod name;
mod profile;
mod request;
mod usage;
mod view;

pub use digest::{ComponentDigest, ParseDigestError};
pub use error::RuntimeError;
pub use event::{
    Event, EventBody, FailureKind, InputDisposition, ItemDelta, ItemSnapshot, LiveEvent, Outcome,
    Receipt, StopReason,
};
pub use grants::{Capability, Exceeds, Grants, LlmGrant};
pub use id::{Cursor, ItemId, LogId, ParseCursorError, Seq, TurnId, WorkerId};
pub use item::{InputPart, Item, ItemBody, ItemStatus, NoticeLevel, Origin, ToolOutcome};
pub use limits::Limits;
pub use name::{InvalidName, ModelAlias, ProfileName, RuntimeId};
pub use profile::{ComponentRef, ConfigValue, ParseComponentRefError, Profile};
pub use request::{
    CreateWorker, IfBusy, Input, InputAccepted, InputOptions, Labels, TranscriptQuery, WorkerQuery,
};
pub use usage::{TokenUsage, Usage};
pub use view::{
    CapabilityStatus, DEFAULT_WORKERS, Diagnostic, EventPage, Implementation, LogLine, LogPage,
    LogStream, MAX_WORKERS, ModelStatus, Overview, RuntimeStatus, RuntimeSummary, TranscriptPage,
    WorkerPage, WorkerStatus, WorkerView,
};

//! Ids, grants, states, items, events, requests and errors of yoi: the words that the Runtime, its
//! clients and the Backend share.
//!
//! Only data lives here. Every type serialises with serde to the JSON of the HTTP APIs; names
//! validate where they are parsed, so a value that exists is a valid one. Nothing in this crate
//! does I/O, and nothing in it knows HTTP or WebAssembly.

mod cursor;
mod digest;
mod error;
mod event;
mod grants;
mod host_name;
mod id;
mod item;
mod limits;
mod name;
#[cfg(feature = "openapi")]
mod openapi;
mod profile;
mod request;
mod retention;
mod usage;
mod view;

pub use cursor::{Cursor, FeedCursor, ParseCursorError};
pub use digest::{ComponentDigest, ConfigDigest, ParseDigestError};
pub use error::{RuntimeError, ScopeHolder};
pub use event::{
    Event, EventBody, FailureKind, InputDisposition, ItemDelta, ItemSnapshot, LiveEvent, Outcome,
    Receipt, StopReason,
};
pub use grants::{
    Access, Capability, Exceeds, Grant, Grants, GuestPath, InvalidGrants, InvalidPath, LlmGrant,
    ParseGrantError, Preopen, RootPath, ShellGrant,
};
pub use host_name::{HostName, InvalidHostName};
pub use id::{ItemId, LogId, Seq, TurnId, WorkerId};
pub use item::{InputPart, Item, ItemBody, ItemStatus, NoticeLevel, Origin, ToolOutcome};
pub use limits::Limits;
pub use name::{
    CommandName, InvalidName, ModelAlias, ProfileName, RootName, RuntimeId, WorkspaceName,
};
pub use profile::{ComponentRef, ConfigValue, ParseComponentRefError, Profile};
pub use request::{
    CreateWorker, IdempotencyKey, IfBusy, Input, InputAccepted, InputOptions, InvalidKey, Labels,
    TranscriptQuery, Upgraded, WorkerQuery,
};
pub use retention::Retention;
pub use usage::{TokenUsage, Usage};
pub use view::{
    CapabilityStatus, CutItem, DEFAULT_WORKERS, Diagnostic, DrainProgress, EventPage, FeedPage,
    Implementation, KeptComponent, LogLine, LogPage, LogStream, MAX_WORKERS, ModelStatus, Overview,
    RootStatus, RuntimeStatus, RuntimeSummary, TranscriptPage, TurnUsage, WorkerPage, WorkerStatus,
    WorkerUsage, WorkerView,
};

//! What a Runtime shows of itself and of its Workers.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Capability, ComponentDigest, ConfigDigest, Cursor, Event, FeedCursor, Grant, Grants, Item,
    ItemId, Labels, Limits, Outcome, ProfileName, Receipt, Retention, RuntimeId, Seq, TurnId,
    Usage, WorkerId,
};

/// What a Runtime is and how it fares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RuntimeSummary {
    /// Its id.
    pub runtime_id: RuntimeId,
    /// A name for eyes.
    pub display_name: String,
    /// Whether it takes work.
    pub status: RuntimeStatus,
    /// The version of the `worker-runtime` crate.
    pub version: String,
    /// The configuration that it goes by, where its embedder said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_digest: Option<ConfigDigest>,
    /// What it can grant, each available or with the reason why not.
    pub capabilities: Vec<CapabilityStatus>,
    /// The profiles Workers can be made from.
    pub profiles: Vec<ProfileName>,
    /// The models a grant can name, and what stands behind each, for eyes.
    pub models: Vec<ModelStatus>,
    /// The directories a grant can speak of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<RootStatus>,
    /// The bounds it enforces.
    pub limits: Limits,
    /// How long it keeps events.
    #[serde(default)]
    pub retention: Retention,
    /// What an operator should look at.
    pub diagnostics: Vec<Diagnostic>,
    /// Its Workers in numbers.
    pub overview: Overview,
    /// The end of its feed now. Whoever reads the feed from here on misses nothing that came after this
    /// summary.
    pub feed_cursor: FeedCursor,
}

/// A model alias, as far as a caller may know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelStatus {
    /// The alias.
    pub alias: crate::ModelAlias,
    /// The provider's kind, such as `openai` or `offline`.
    pub provider: String,
    /// The model's name at the provider.
    pub model: String,
}

/// A root, as far as a caller may know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RootStatus {
    /// Its name in grants.
    pub name: crate::RootName,
    /// The most that can be granted of it.
    pub access: crate::Access,
    /// Whether it could be had when it was last asked for.
    pub available: bool,
    /// Why not, where it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether a Runtime takes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RuntimeStatus {
    /// It does.
    Ready,
    /// It does not answer; its diagnostics say why.
    Unavailable,
    /// It drains or shuts down: it takes no new work, and running turns end.
    Draining,
    /// A state this version does not know; treat it as not ready.
    #[serde(other)]
    Unknown,
}

impl RuntimeStatus {
    /// The word for it in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unavailable => "unavailable",
            Self::Draining => "draining",
            Self::Unknown => "unknown",
        }
    }
}

/// How far a Runtime is that takes no new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DrainProgress {
    /// Whether nothing is left to do: it may be ended, and no turn is lost.
    pub drained: bool,
    /// Workers that have something left to do: a turn that runs or waits, or an operation. None, and not
    /// drained, while guests of ended turns are on their way out.
    pub busy: u64,
}

/// One thing a Runtime may be able to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CapabilityStatus {
    /// Its name, such as `llm` or `filesystem`.
    pub name: String,
    /// Whether it is there: whether a Worker can be granted it, or for `confinement`, whether the
    /// process is confined.
    pub available: bool,
    /// Why not, where it is not; and what is missing, where it is in part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Something an operator should look at. It names no host path and no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Diagnostic {
    /// A stable word for the kind of trouble.
    pub code: String,
    /// What is wrong and what would mend it.
    pub message: String,
}

/// Workers in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Overview {
    /// Workers that could take an input.
    pub idle: u64,
    /// Workers with a turn.
    pub running: u64,
    /// Workers that were stopped.
    pub stopped: u64,
    /// Workers whose log or component cannot be loaded.
    #[serde(default)]
    pub unavailable: u64,
    /// What all turns took together.
    pub usage: Usage,
}

/// A Worker as others see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerView {
    /// The Runtime it lives in.
    pub runtime_id: RuntimeId,
    /// Its id there.
    pub worker_id: WorkerId,
    /// A name for eyes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What kind of thing runs its logic.
    pub implementation: Implementation,
    /// The profile it was made from.
    pub profile: ProfileName,
    /// The component it runs.
    pub component: ComponentDigest,
    /// What its creator filed it under.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::labels))]
    pub labels: Labels,
    /// What it is doing.
    #[serde(flatten)]
    pub status: WorkerStatus,
    /// What it may do.
    pub grants: Grants,
    /// What was taken away of its grants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<Grant>,
    /// The last event of its log.
    pub last_seq: Seq,
    /// What its turns took.
    pub usage: Usage,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// What an operator should look at.
    pub diagnostics: Vec<Diagnostic>,
}

/// What kind of thing runs a Worker's logic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Implementation {
    /// A WebAssembly component.
    Component,
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What a Worker is doing. Clients treat values they do not know as busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum WorkerStatus {
    /// Nothing; an input starts a turn.
    Idle,
    /// A turn.
    Running {
        /// The turn.
        #[serde(rename = "turn")]
        turn_id: TurnId,
    },
    /// Nothing, until it is started.
    Stopped,
    /// Nothing: its log or component cannot be loaded. Its diagnostics say why.
    Unavailable,
    /// Something this version does not know.
    #[serde(other)]
    Unknown,
}

impl WorkerStatus {
    /// The word for it in filters and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running { .. } => "running",
            Self::Stopped => "stopped",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        }
    }
}

/// The page of a caller that does not say how many Workers it wants.
pub const DEFAULT_WORKERS: u32 = 100;

/// The most Workers of a page.
pub const MAX_WORKERS: u32 = 1_000;

/// A page of Workers, oldest first. It may have fewer than were asked for, or none, although more
/// follow: only an absent `next` says that this is all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerPage {
    /// The Workers.
    pub workers: Vec<WorkerView>,
    /// What to pass as `after` for the next page; absent on the last.
    pub next: Option<WorkerId>,
    /// What is missing from the page and why: such as a Runtime that did not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

/// A bounded piece of a transcript, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TranscriptPage {
    /// The items.
    pub items: Vec<Item>,
    /// Which of them are not shown whole: each can be fetched by its id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<CutItem>,
    /// The item before which older ones lie; pass it as `before`.
    pub first_item: Option<ItemId>,
    /// The last item of the page; pass it as `after`.
    pub last_item: Option<ItemId>,
    /// Whether older items exist.
    pub more_before: bool,
    /// Whether newer items exist.
    pub more_after: bool,
    /// The Worker's log up to which the page is true; subscribe from here.
    pub cursor: Cursor,
}

/// An item of which a page shows the beginning only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CutItem {
    /// The item.
    pub item_id: ItemId,
    /// The bytes of all its content.
    pub bytes: u64,
}

/// A component that a Runtime keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeptComponent {
    /// What it is named by, also where a Worker is upgraded to it.
    pub digest: ComponentDigest,
    /// What it imports, as it names it.
    pub imports: Vec<String>,
    /// What a Worker has to be granted that goes by it, unless its profile says that it can do without.
    pub capabilities: BTreeSet<Capability>,
}

/// What a Worker's turns took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerUsage {
    /// All turns together.
    pub total: Usage,
    /// Turns that ended, oldest first.
    pub turns: Vec<TurnUsage>,
    /// Whether there are turns before the first of these; pass its id as `before`.
    pub more_before: bool,
}

/// What one turn took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TurnUsage {
    /// The turn.
    pub turn_id: TurnId,
    /// When it ended.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub ended_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// What it took.
    pub receipt: Receipt,
}

/// A page of a Runtime's feed: the events of all its Workers, in the order in which they were
/// committed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeedPage {
    /// The events.
    pub events: Vec<Event>,
    /// Pass it as `after` for what follows.
    pub next: FeedCursor,
    /// What the page does not have although it was committed, since it cannot be read any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

/// A page of events, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// Pass it as `after` for what follows.
    pub next: Cursor,
}

/// What the guests of a Worker printed, oldest first; the newest turns only. What is not kept any more
/// is counted in a line of the host's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<LogLine>,
}

/// A line that a guest printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// The turn that printed it.
    pub turn_id: TurnId,
    /// Where it was printed to.
    pub stream: LogStream,
    /// The line, without its end.
    pub text: String,
}

/// Where a guest's line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// The guest's standard output.
    Stdout,
    /// The guest's standard error.
    Stderr,
    /// The host, about the output: such as how much of it was dropped.
    Host,
}

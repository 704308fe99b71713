//! The errors of a Runtime's operations, the same in process and over the network.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Capability, Cursor, GuestPath, ItemId, ProfileName, RuntimeId, TurnId, WorkerId};

/// Why an operation was refused or failed.
///
/// Serialised it carries its stable `code` and its own fields; the HTTP APIs add a status, a
/// sentence and `retryable`. It never contains a host path, a token or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum RuntimeError {
    /// Another turn is running.
    #[error("the Worker is busy with turn {turn_id}: wait for its end or cancel it")]
    Busy {
        /// The running turn.
        turn_id: TurnId,
    },
    /// The Worker was stopped.
    #[error("the Worker is stopped: start it before giving it work")]
    WorkerStopped,
    /// Only a stopped Worker can be deleted.
    #[error("the Worker is not stopped: stop it before deleting it")]
    WorkerNotStopped,
    /// The Worker's log or component cannot be loaded. Others go on.
    #[error("the Worker is unavailable: {reason}")]
    WorkerUnavailable {
        /// What cannot be loaded.
        reason: String,
    },
    /// There is no such Worker.
    #[error("there is no Worker {worker_id}")]
    UnknownWorker {
        /// The id asked for.
        worker_id: WorkerId,
    },
    /// The Worker has no such item.
    #[error("the Worker has no item {item_id}")]
    UnknownItem {
        /// The id asked for.
        item_id: ItemId,
    },
    /// There is no such profile.
    #[error("there is no profile `{profile}`; this Runtime has: {}", .known.join(", "))]
    UnknownProfile {
        /// The name asked for.
        profile: ProfileName,
        /// The names that exist.
        known: Vec<String>,
    },
    /// There is no such component.
    #[error("there is no component `{component}` in this Runtime")]
    UnknownComponent {
        /// The reference asked for.
        component: String,
    },
    /// The component cannot be removed: something goes by it.
    #[error("the component is in use: {reason}")]
    ComponentInUse {
        /// What goes by it.
        reason: String,
    },
    /// There is no such Runtime.
    #[error("there is no Runtime `{runtime_id}`")]
    UnknownRuntime {
        /// The id asked for.
        runtime_id: RuntimeId,
    },
    /// The Runtime does not take the token that its Backend has for it, or the Backend has none.
    #[error("the Backend has no token that the Runtime `{runtime_id}` takes: {reason}")]
    RemoteAuthFailed {
        /// The Runtime.
        runtime_id: RuntimeId,
        /// What the token lacks, or why there is none.
        reason: String,
    },
    /// The Runtime did not answer its Backend in time. A command may have been carried out.
    #[error("the Runtime `{runtime_id}` did not answer in time")]
    RemoteTimeout {
        /// The Runtime.
        runtime_id: RuntimeId,
    },
    /// What answers at the Runtime's address is no Runtime that its Backend understands.
    #[error("what answers for the Runtime `{runtime_id}` is not understood: {reason}")]
    RemoteIncompatible {
        /// The Runtime.
        runtime_id: RuntimeId,
        /// What is not understood.
        reason: String,
    },
    /// Another Runtime has the id.
    #[error("a Runtime `{runtime_id}` is registered already")]
    RuntimeExists {
        /// The id of both.
        runtime_id: RuntimeId,
    },
    /// The Runtime cannot be unregistered.
    #[error("the Runtime `{runtime_id}` stays: {reason}")]
    RuntimeInUse {
        /// The Runtime.
        runtime_id: RuntimeId,
        /// Why.
        reason: String,
    },
    /// The component imports something that was not granted.
    #[error("the component imports `{interface}`, {}{}", missing_grant_help(*.capability), besides(.also))]
    MissingGrant {
        /// The import, as the component names it.
        interface: String,
        /// The capability that would link it; absent where none ever does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        capability: Option<Capability>,
        /// What else it imports that was not granted.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        also: Vec<String>,
    },
    /// More authority was asked for than may be given.
    #[error("the grants exceed what may be given: {exceeds}")]
    GrantExceedsCeiling {
        /// The first thing that exceeds.
        exceeds: String,
    },
    /// A directory that is asked for, or was granted, cannot be had.
    #[error("the directory for {preopen} cannot be had: {reason}")]
    PreopenUnavailable {
        /// Where the guest would see it.
        preopen: GuestPath,
        /// What is wrong with it.
        reason: String,
    },
    /// A git directory could be written to.
    #[error("the directory for {preopen} is not granted: {reason}")]
    ExposesGitDir {
        /// Where the guest would see it.
        preopen: GuestPath,
        /// What is wrong with it.
        reason: String,
    },
    /// Another Worker may write to the directory, or to one that overlaps it.
    #[error(
        "the directory for {preopen} is taken: {holder} may write to it, or to one that it contains \
         or lies in. Stop that Worker, grant another directory, or say `shared` for both"
    )]
    ScopeConflict {
        /// Where the guest would see it.
        preopen: GuestPath,
        /// Who has it.
        holder: ScopeHolder,
    },
    /// The bytes are no Worker component.
    #[error("not a Worker component: {reason}")]
    InvalidComponent {
        /// What is wrong with them.
        reason: String,
    },
    /// The request makes no sense.
    #[error("invalid input: {reason}")]
    InvalidInput {
        /// What is wrong with it.
        reason: String,
    },
    /// The cursor is none, or none of this log.
    #[error("invalid cursor: {reason}")]
    InvalidCursor {
        /// What is wrong with it.
        reason: String,
    },
    /// The events after the cursor were removed by retention.
    #[error("the events after this cursor are gone; the oldest that are kept follow {oldest}")]
    CursorGap {
        /// Where the log begins now.
        oldest: Cursor,
    },
    /// The idempotency key was used for something else.
    #[error("the idempotency key was used with another request")]
    IdempotencyConflict,
    /// Too many bytes.
    #[error("{what} is larger than the limit of {limit_bytes} bytes")]
    PayloadTooLarge {
        /// What is too large.
        what: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// No valid credentials.
    #[error("not signed in: {reason}")]
    Unauthorized {
        /// How to sign in.
        reason: String,
    },
    /// Valid credentials, but not for this.
    #[error("not allowed: {reason}")]
    Forbidden {
        /// What is not allowed.
        reason: String,
    },
    /// A bound of the Runtime is reached.
    #[error("at capacity: {reason}")]
    Capacity {
        /// The bound.
        reason: String,
    },
    /// The Runtime cannot serve right now.
    #[error("the Runtime is not available: {reason}")]
    RuntimeUnavailable {
        /// Why.
        reason: String,
    },
    /// What the Runtime's store has of something that Workers share makes no sense.
    #[error("the Runtime's store is damaged: {reason}")]
    StoreDamaged {
        /// What is damaged, and what can be done all the same.
        reason: String,
    },
    /// The Runtime cannot do this at all.
    #[error("not supported: {what}")]
    Unsupported {
        /// What.
        what: String,
    },
    /// The host failed.
    #[error("internal error {id}: the operator's log has the cause under this id")]
    Internal {
        /// Finds the cause in the operator's log.
        id: String,
    },
}

/// The Worker that may write somewhere, of this Runtime or of another one of the same user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScopeHolder {
    /// Its Runtime.
    pub runtime_id: RuntimeId,
    /// The Worker.
    pub worker_id: WorkerId,
}

impl fmt::Display for ScopeHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runtime_id, worker_id } = self;
        write!(f, "Worker {worker_id} of Runtime `{runtime_id}`")
    }
}

fn missing_grant_help(capability: Option<Capability>) -> String {
    match capability {
        Some(capability) => {
            format!("which needs the grant `{capability}`, and the Worker does not have it")
        }
        None => "which no grant provides".to_owned(),
    }
}

fn besides(also: &[String]) -> String {
    match also {
        [] => String::new(),
        also => format!("; nor is what it needs for `{}`", also.join("`, `")),
    }
}

impl RuntimeError {
    /// The stable word for this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            Self::WorkerStopped => "worker_stopped",
            Self::WorkerNotStopped => "worker_not_stopped",
            Self::WorkerUnavailable { .. } => "worker_unavailable",
            Self::UnknownWorker { .. } => "unknown_worker",
            Self::UnknownItem { .. } => "unknown_item",
            Self::UnknownProfile { .. } => "unknown_profile",
            Self::UnknownComponent { .. } => "unknown_component",
            Self::ComponentInUse { .. } => "component_in_use",
            Self::UnknownRuntime { .. } => "unknown_runtime",
            Self::RemoteAuthFailed { .. } => "remote_auth_failed",
            Self::RemoteTimeout { .. } => "remote_timeout",
            Self::RemoteIncompatible { .. } => "remote_incompatible",
            Self::RuntimeExists { .. } => "runtime_exists",
            Self::RuntimeInUse { .. } => "runtime_in_use",
            Self::MissingGrant { .. } => "missing_grant",
            Self::GrantExceedsCeiling { .. } => "grant_exceeds_ceiling",
            Self::PreopenUnavailable { .. } => "preopen_unavailable",
            Self::ExposesGitDir { .. } => "exposes_git_dir",
            Self::ScopeConflict { .. } => "scope_conflict",
            Self::InvalidComponent { .. } => "invalid_component",
            Self::InvalidInput { .. } => "invalid_input",
            Self::InvalidCursor { .. } => "invalid_cursor",
            Self::CursorGap { .. } => "cursor_gap",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::PayloadTooLarge { .. } => "payload_too_large",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::Capacity { .. } => "capacity",
            Self::RuntimeUnavailable { .. } => "runtime_unavailable",
            Self::StoreDamaged { .. } => "store_damaged",
            Self::Unsupported { .. } => "unsupported",
            Self::Internal { .. } => "internal",
        }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. }
            | Self::Capacity { .. }
            | Self::RuntimeUnavailable { .. }
            | Self::RemoteTimeout { .. } => true,
            Self::WorkerStopped
            | Self::WorkerNotStopped
            | Self::WorkerUnavailable { .. }
            | Self::UnknownWorker { .. }
            | Self::UnknownItem { .. }
            | Self::UnknownProfile { .. }
            | Self::UnknownComponent { .. }
            | Self::ComponentInUse { .. }
            | Self::UnknownRuntime { .. }
            | Self::RemoteAuthFailed { .. }
            | Self::RemoteIncompatible { .. }
            | Self::RuntimeExists { .. }
            | Self::RuntimeInUse { .. }
            | Self::MissingGrant { .. }
            | Self::GrantExceedsCeiling { .. }
            | Self::PreopenUnavailable { .. }
            | Self::ExposesGitDir { .. }
            | Self::ScopeConflict { .. }
            | Self::InvalidComponent { .. }
            | Self::InvalidInput { .. }
            | Self::InvalidCursor { .. }
            | Self::CursorGap { .. }
            | Self::IdempotencyConflict
            | Self::PayloadTooLarge { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::StoreDamaged { .. }
            | Self::Unsupported { .. }
            | Self::Internal { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_its_json_and_carries_its_code() {
        let error = RuntimeError::Busy { turn_id: TurnId::new(3) };
        let json = serde_json::to_value(&error).expect("an error serialises");
        assert_eq!(json["code"], error.code());
        assert_eq!(serde_json::from_value::<RuntimeError>(json).expect("and back"), error);
    }

    #[test]
    fn a_missing_grant_says_which_grant_would_help() {
        let message = |capability| {
            RuntimeError::MissingGrant {
                interface: "yoi:worker/llm@0.1.0".into(),
                capability,
                also: vec![],
            }
            .to_string()
        };
        assert!(message(Some(Capability::Llm)).contains("needs the grant `llm`"));
        assert!(message(None).contains("which no grant provides"));
    }
}

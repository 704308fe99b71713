//! Why a store does not do what is asked.

use worker_types::{Seq, WorkerId};

/// Whether a store takes commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreHealth {
    Healthy,
    /// A commit failed. The store is reopened until it works again; the reason names no path.
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "memory does not fail"))]
    Failed {
        reason: String,
    },
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The events do not follow what is there; nothing follows a `worker.deleted`. Nothing was
    /// committed.
    #[error("event {offered} does not follow event {last} of Worker {worker_id}")]
    Gap { worker_id: WorkerId, last: Seq, offered: Seq },
    /// A Worker's log in memory is as large as it can be. Nothing was committed.
    #[error("the log of Worker {worker_id} is full")]
    Full { worker_id: WorkerId },
    /// This program is at fault, and not what is stored. Nothing was committed.
    #[error("a defect: {reason}")]
    Defect { reason: String },
    /// Whether it was committed is unknown: what is there has to be read again before anything else
    /// is committed.
    #[error("whether the commit is in the store is unknown: {reason}")]
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "memory does not fail"))]
    InDoubt { reason: String },
    /// The store takes no commits at present. Nothing was committed.
    #[error("the store takes no commits: {reason}")]
    Unavailable { reason: String },
    /// What is there cannot be read.
    #[error("failed to read the store: {reason}")]
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "memory does not fail"))]
    Unreadable { reason: String },
    /// What is there of one Worker makes no sense.
    #[error("the log of Worker {worker_id} is damaged: {reason}")]
    Damaged { worker_id: WorkerId, reason: String },
    /// What is there of something that Workers share makes no sense: a component, or what is
    /// remembered of an idempotency key.
    #[error("{reason}")]
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "memory is not damaged"))]
    TableDamaged { reason: String },
    /// What is there of the feed makes no sense up to the position `through`; what follows may.
    #[error("the feed is damaged up to position {through}: {reason}")]
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "memory is not damaged"))]
    FeedDamaged {
        through: u64,
        /// Whose event it is, where it is one and that is known.
        worker_id: Option<WorkerId>,
        reason: String,
    },
    /// Retention removed what was asked for: events that carry no item, up to this one.
    #[error("older events were removed: the log begins after event {through}")]
    Trimmed { through: Seq },
}

impl StoreError {
    /// What cannot be written as JSON, though all that is kept can.
    pub(super) fn unencodable(error: &serde_json::Error) -> Self {
        Self::Defect { reason: format!("an event cannot be encoded: {error}") }
    }

    /// Whether what is stored of one Worker is at fault, and stays so.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Gap { .. } => true,
            Self::Full { .. }
            | Self::Defect { .. }
            | Self::InDoubt { .. }
            | Self::Unavailable { .. }
            | Self::Unreadable { .. }
            | Self::TableDamaged { .. }
            | Self::FeedDamaged { .. }
            | Self::Trimmed { .. } => false,
        }
    }
}

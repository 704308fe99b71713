//! How long events are kept.

use serde::{Deserialize, Serialize};

/// What a Worker's log may hold beyond its transcript. Where one of the bounds is exceeded, the
/// oldest events are removed, and a `worker.trimmed` says so.
///
/// Events that carry an item of the transcript are never removed, and count towards no bound: what a
/// guest's `history` may return stays. Absent means no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// The oldest an event may be, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<u64>,
    /// The most events of a Worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_events: Option<u64>,
    /// The most bytes of a Worker's events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

impl Retention {
    /// Whether nothing is ever removed.
    #[must_use]
    pub fn is_unbounded(&self) -> bool {
        *self == Self::default()
    }
}

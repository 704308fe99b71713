//! A Runtime as the Backend lists it, also when it does not answer.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use worker_types::{
    CapabilityStatus, ConfigDigest, Diagnostic, FeedCursor, Limits, ModelStatus, Overview,
    ProfileName, Retention, RootStatus, RuntimeId, RuntimeStatus, RuntimeSummary,
};

use crate::{ManagedBy, SourceKind};

/// A Runtime as the Backend lists it.
///
/// In JSON it is one flat object. What the Runtime alone can tell is absent while it does not
/// answer; the other fields are always there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuntimeListing {
    /// Its id.
    pub runtime_id: RuntimeId,
    /// Where it is.
    pub source_kind: SourceKind,
    /// Who said that it is to be there.
    pub managed_by: ManagedBy,
    /// Whether it takes work.
    pub status: RuntimeStatus,
    /// What an operator should look at: such as why it does not answer.
    pub diagnostics: Vec<Diagnostic>,
    /// What it says of itself.
    #[serde(flatten)]
    pub details: Option<RuntimeDetails>,
}

/// What only the Runtime itself can tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuntimeDetails {
    /// A name for eyes.
    pub display_name: String,
    /// The version of the `worker-runtime` crate.
    pub version: String,
    /// The configuration that it goes by, where it says so.
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
    /// Its Workers in numbers; absent where only some of them are visible here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overview: Option<Overview>,
    /// The end of its feed now.
    pub feed_cursor: FeedCursor,
}

impl RuntimeListing {
    /// A Runtime that answered.
    pub(crate) fn known(
        source_kind: SourceKind,
        managed_by: ManagedBy,
        summary: RuntimeSummary,
    ) -> Self {
        let RuntimeSummary {
            runtime_id,
            display_name,
            status,
            version,
            config_digest,
            capabilities,
            profiles,
            models,
            roots,
            limits,
            retention,
            diagnostics,
            overview,
            feed_cursor,
        } = summary;
        let details = RuntimeDetails {
            display_name,
            version,
            config_digest,
            capabilities,
            profiles,
            models,
            roots,
            limits,
            retention,
            overview: Some(overview),
            feed_cursor,
        };
        Self { runtime_id, source_kind, managed_by, status, diagnostics, details: Some(details) }
    }

    /// A Runtime that did not answer, and why.
    pub(crate) fn unavailable(
        runtime_id: RuntimeId,
        source_kind: SourceKind,
        managed_by: ManagedBy,
        reason: Diagnostic,
    ) -> Self {
        let status = RuntimeStatus::Unavailable;
        let diagnostics = vec![reason];
        Self { runtime_id, source_kind, managed_by, status, diagnostics, details: None }
    }
}

//! Profiles: how a Worker behaves. A profile carries no authority.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::{Capability, CommandName, ComponentDigest, InvalidName, ParseDigestError, ProfileName};

/// How a Worker behaves: its logic and its settings. A Worker keeps the snapshot it was created
/// with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The name it is asked for by.
    pub name: ProfileName,
    /// One sentence for a person who chooses.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The component it runs.
    pub component: ComponentRef,
    /// Capabilities the component imports and can do without: where one is not granted, calls
    /// answer `not-granted`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub optional: BTreeSet<Capability>,
    /// WASI commands that its scripts find by these names, besides those that the operator gives to all.
    /// They see what the scripts see, and no more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub commands: BTreeMap<CommandName, ComponentRef>,
    /// Whether a turn that was interrupted goes on in a new turn by itself, at most three times in a
    /// row.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resume: bool,
    /// Settings the guest reads through `session.config`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, ConfigValue>,
}

/// A typed setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum ConfigValue {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Number(f64),
    /// Text.
    Text(String),
}

/// How a profile names its component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ComponentRef {
    /// One that ships with the product: `builtin:NAME`.
    Builtin(ProfileName),
    /// One by the digest of its bytes: `sha256:…`.
    Digest(ComponentDigest),
}

/// A text that names no component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseComponentRefError {
    /// Neither form.
    #[error("not a component: expected `builtin:NAME` or `sha256:` and 64 hexadecimal digits")]
    UnknownForm,
    /// `builtin:` and a bad name.
    #[error("not a built-in component")]
    Builtin(#[source] InvalidName),
    /// `sha256:` and a bad digest.
    #[error("not a component digest")]
    Digest(#[source] ParseDigestError),
}

impl FromStr for ComponentRef {
    type Err = ParseComponentRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = text.strip_prefix("builtin:") {
            name.parse().map(Self::Builtin).map_err(ParseComponentRefError::Builtin)
        } else if text.starts_with("sha256:") {
            text.parse().map(Self::Digest).map_err(ParseComponentRefError::Digest)
        } else {
            Err(ParseComponentRefError::UnknownForm)
        }
    }
}

impl fmt::Display for ComponentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(name) => write!(f, "builtin:{name}"),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl Serialize for ComponentRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ComponentRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

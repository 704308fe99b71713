//! `[policy.PROFILE]`: what the Backend grants to Workers of a profile.

use std::fmt;

use serde::{Deserialize, de};
use worker_types::{Access, Grants, ModelAlias, Preopen, ShellGrant};

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyTable {
    #[serde(default)]
    preopens: Vec<Preopen>,
    llm: Option<Vec<ModelAlias>>,
    #[serde(default, deserialize_with = "shell")]
    shell: Option<ShellGrant>,
    /// What Workers may do with the directory of the workspace that they are created in.
    pub(crate) workspace: Option<Access>,
}

impl PolicyTable {
    pub(crate) fn grants(self) -> Grants {
        let Self { preopens, llm, shell, workspace: _ } = self;
        let grants = Grants { preopens, shell, ..Grants::none() };
        match llm {
            // No model at all is no grant, not a grant of nothing.
            Some(models) if !models.is_empty() => grants.with_llm(models),
            _ => grants,
        }
    }
}

fn shell<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ShellGrant>, D::Error> {
    deserializer.deserialize_any(ShellVisitor)
}

/// `true`, `false`, or a table. The errors of an untagged enum would not say what is right.
struct ShellVisitor;

impl<'de> de::Visitor<'de> for ShellVisitor {
    type Value = Option<ShellGrant>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, or a table with `timeout_ms`")
    }

    fn visit_bool<E: de::Error>(self, granted: bool) -> Result<Self::Value, E> {
        Ok(granted.then(ShellGrant::default))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, table: A) -> Result<Self::Value, A::Error> {
        let grant = ShellGrant::deserialize(de::value::MapAccessDeserializer::new(table))?;
        match grant.timeout_ms {
            0 => Err(de::Error::custom("expected a `timeout_ms` of at least 1")),
            _ => Ok(Some(grant)),
        }
    }
}

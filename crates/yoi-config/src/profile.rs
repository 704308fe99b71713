//! `[profiles.NAME]`: how Workers of the operator's own making behave.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de};
use worker_types::{Capability, CommandName, ComponentRef, ConfigValue};

/// How a Worker behaves. It carries no authority; that is `[policy.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileConfig {
    /// Where its logic comes from.
    pub component: ComponentSource,
    /// One sentence for a person who chooses.
    #[serde(default)]
    pub description: String,
    /// Capabilities the component imports and can do without.
    #[serde(default)]
    pub optional: BTreeSet<Capability>,
    /// WASI commands that its scripts find by these names, each the file of a component. A relative one
    /// starts at the configuration.
    #[serde(default)]
    pub commands: BTreeMap<CommandName, PathBuf>,
    /// Whether a turn that was interrupted goes on in a new turn by itself.
    #[serde(default)]
    pub resume: bool,
    /// Settings the guest reads.
    #[serde(default, deserialize_with = "settings")]
    pub config: BTreeMap<String, ConfigValue>,
}

/// Where a profile's component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComponentSource {
    /// One the Runtime already has: `builtin:NAME` or `sha256:…`.
    Known(ComponentRef),
    /// A file, written as a path that ends in `.wasm`. A relative one starts at the configuration.
    File {
        /// The path as it is written, for messages.
        written: String,
        /// The path to read.
        path: PathBuf,
    },
}

impl fmt::Display for ComponentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(reference) => reference.fmt(f),
            Self::File { written, .. } => f.write_str(written),
        }
    }
}

impl ComponentSource {
    /// The same with a relative path taken from `base`.
    pub(crate) fn relative_to(&mut self, base: &Path) {
        if let Self::File { path, .. } = self {
            *path = base.join(&path);
        }
    }
}

impl Serialize for ComponentSource {
    /// As it is written.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ComponentSource {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // Whoever writes a scheme means it: a mistake in one is not a file's name.
        if text.starts_with("builtin:") || text.starts_with("sha256:") {
            return text.parse().map(Self::Known).map_err(|error| {
                let cause = de::StdError::source(&error).map(|cause| format!(": {cause}"));
                de::Error::custom(format!("{error}{}", cause.unwrap_or_default()))
            });
        }
        if Path::new(&text).extension().is_some_and(|extension| extension == "wasm") {
            return Ok(Self::File { path: text.as_str().into(), written: text });
        }
        Err(de::Error::custom(
            "not a component: expected `builtin:NAME`, `sha256:` and 64 hexadecimal digits, or \
             the path of a file that ends in `.wasm`",
        ))
    }
}

fn settings<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, ConfigValue>, D::Error> {
    let settings = BTreeMap::<String, Setting>::deserialize(deserializer)?;
    Ok(settings.into_iter().map(|(key, Setting(value))| (key, value)).collect())
}

/// A [`ConfigValue`] whose errors say what would be right; those of an untagged enum do not.
struct Setting(ConfigValue);

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SettingVisitor)
    }
}

struct SettingVisitor;

impl de::Visitor<'_> for SettingVisitor {
    type Value = Setting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a whole number, a finite number, or true or false")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Setting, E> {
        Ok(Setting(ConfigValue::Boolean(value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Setting, E> {
        Ok(Setting(ConfigValue::Integer(value)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Setting, E> {
        // A Worker's profile is kept as JSON, which knows no infinity.
        if value.is_finite() {
            Ok(Setting(ConfigValue::Number(value)))
        } else {
            Err(E::invalid_value(de::Unexpected::Float(value), &self))
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Setting, E> {
        Ok(Setting(ConfigValue::Text(value.to_owned())))
    }
}

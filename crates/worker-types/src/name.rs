//! Names that a person chose. They validate where they are parsed, so no bad value can exist.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// The longest name in bytes: what fits in a DNS label, a file name and a log line alike.
const MAX_NAME_BYTES: usize = 63;

/// A text that cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a valid {kind}: use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, starting with a letter or digit"
)]
pub struct InvalidName {
    kind: &'static str,
}

fn validate(kind: &'static str, text: &str) -> Result<(), InvalidName> {
    let mut bytes = text.bytes();
    let first_fits = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest_fits = bytes
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'));
    if first_fits && rest_fits && text.len() <= MAX_NAME_BYTES {
        Ok(())
    } else {
        Err(InvalidName { kind })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[cfg_attr(
            feature = "openapi",
            schema(value_type = String, pattern = "^[a-z0-9][a-z0-9._-]{0,62}$")
        )]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                validate($kind, text)?;
                Ok(Self(text.into()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

name!(
    /// The name an operator gave to a Runtime; unique among the Runtimes of one Backend.
    RuntimeId,
    "runtime id"
);
name!(
    /// The name of a profile: how a Worker behaves.
    ProfileName,
    "profile name"
);
name!(
    /// The name of a workspace: where people and Workers work on the same thing.
    WorkspaceName,
    "workspace name"
);
name!(
    /// The name under which a model is granted and asked for; which provider and model stand behind
    /// it is the operator's secret.
    ModelAlias,
    "model alias"
);
name!(
    /// The name an operator gave to a directory; grants speak of it, and never of a host path.
    RootName,
    "root name"
);

name!(
    /// The name that scripts find a command by.
    CommandName,
    "command name"
);

impl RootName {
    /// The private directory that each Worker has for itself, removed with it: no directory of an
    /// operator can have this name.
    pub const SCRATCH: &str = "scratch";

    /// The name of the Worker's own private directory.
    #[must_use]
    pub fn scratch() -> Self {
        Self(Self::SCRATCH.into())
    }

    /// Whether it means the Worker's own private directory.
    #[must_use]
    pub fn is_scratch(&self) -> bool {
        self.as_str() == Self::SCRATCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_of_letters_digits_and_separators() {
        for text in ["a", "7", "backend-internal", "gpt-5.1_mini", &"x".repeat(63)] {
            assert!(text.parse::<RuntimeId>().is_ok(), "{text}");
        }
    }

    #[test]
    fn refuses_empty_long_upper_case_and_path_like_names() {
        for text in ["", "-a", ".a", "A", "a/b", "a b", "ä", "a\0", &"x".repeat(64)] {
            assert!(text.parse::<RuntimeId>().is_err(), "{text:?}");
            assert!(serde_json::from_value::<RuntimeId>(text.into()).is_err(), "{text:?}");
        }
    }
}

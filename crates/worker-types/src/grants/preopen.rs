//! Directories as data: which part of which root, where the guest sees it, and for what.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::RootName;

/// The longest path in bytes, as on Linux.
const MAX_PATH_BYTES: usize = 4_095;
/// The longest name in a path, in bytes, as on Linux.
const MAX_COMPONENT_BYTES: usize = 255;

/// What may be done below a directory.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Look at it.
    #[default]
    ReadOnly,
    /// Look at it and change it.
    ReadWrite,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "read-only",
            Self::ReadWrite => "read-write",
        })
    }
}

/// A text that cannot be a path of a grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// A path below a root is relative.
    #[error("a path below a root does not begin with `/`")]
    Absolute,
    /// A guest path is absolute.
    #[error("a guest path begins with `/`")]
    Relative,
    /// Such names would have to be looked up to know what they mean.
    #[error("a path of a grant has no `.`, no `..` and no empty names in it")]
    NotPlain,
    /// No file can have such a name.
    #[error("a path of a grant has no control characters in it")]
    Control,
    /// No file can be that deep.
    #[error("a path of a grant has at most 4,095 bytes, and 255 in each name")]
    TooLong,
}

/// Checks names that are joined by `/`.
fn check_names(text: &str) -> Result<(), InvalidPath> {
    if text.len() > MAX_PATH_BYTES || text.split('/').any(|name| name.len() > MAX_COMPONENT_BYTES) {
        return Err(InvalidPath::TooLong);
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidPath::Control);
    }
    if text.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return Err(InvalidPath::NotPlain);
    }
    Ok(())
}

macro_rules! path {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The path's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
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

path!(
    /// A directory below a root, such as `services/api`; `.` is the root itself.
    RootPath
);
path!(
    /// Where a guest sees a directory, such as `/workspace`.
    GuestPath
);

impl RootPath {
    /// The root itself.
    #[must_use]
    pub fn root() -> Self {
        Self(".".to_owned())
    }

    /// Whether it is the root itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0 == "."
    }

    /// What leads from `above` to this directory: `Some("")` where they are the same, and nothing
    /// where this one does not lie there.
    fn below(&self, above: &Self) -> Option<&str> {
        if above.is_root() {
            return Some(if self.is_root() { "" } else { &self.0 });
        }
        let rest = self.0.strip_prefix(&above.0)?;
        if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
    }

    /// Whether this directory is `above` or lies in it.
    #[must_use]
    pub fn is_within(&self, above: &Self) -> bool {
        self.below(above).is_some()
    }
}

impl Default for RootPath {
    fn default() -> Self {
        Self::root()
    }
}

impl FromStr for RootPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        if text.starts_with('/') {
            return Err(InvalidPath::Absolute);
        }
        if text.is_empty() || text == "." {
            return Ok(Self::root());
        }
        check_names(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl GuestPath {
    /// Whether this is `above` or lies in it.
    #[must_use]
    pub fn is_within(&self, above: &Self) -> bool {
        let Some(rest) = self.0.strip_prefix(&above.0) else { return false };
        rest.is_empty() || above.0 == "/" || rest.starts_with('/')
    }

    /// The directory that `rest` leads to from here; `rest` is a valid path or empty.
    fn join(&self, rest: &str) -> Self {
        match (self.0.as_str(), rest) {
            (_, "") => self.clone(),
            ("/", rest) => Self(format!("/{rest}")),
            (own, rest) => Self(format!("{own}/{rest}")),
        }
    }
}

impl FromStr for GuestPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let names = text.strip_prefix('/').ok_or(InvalidPath::Relative)?;
        if !names.is_empty() {
            check_names(names)?;
        }
        Ok(Self(text.to_owned()))
    }
}

/// A directory below a root, as a guest sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Preopen {
    /// The root, by the operator's name for it; `scratch` is the Worker's own private directory.
    pub root: RootName,
    /// The directory below the root; absent means the root itself.
    #[serde(default, skip_serializing_if = "RootPath::is_root")]
    pub path: RootPath,
    /// Where the guest sees it.
    pub guest_path: GuestPath,
    /// What may be done there; absent means looking.
    #[serde(default)]
    pub access: Access,
    /// Whether another Worker may write there at the same time, if it says so too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

impl Preopen {
    /// All of a root, to be looked at, at this guest path.
    #[must_use]
    pub fn new(root: RootName, guest_path: GuestPath) -> Self {
        Self { root, path: RootPath::root(), guest_path, access: Access::ReadOnly, shared: false }
    }

    /// The same with this access.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// The same for a directory below the root.
    #[must_use]
    pub fn path(mut self, path: RootPath) -> Self {
        self.path = path;
        self
    }

    /// The same, with others that say so too.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Whether it allows no more than `other` does. Where the guest sees it gives no authority, and
    /// neither does sharing it.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.root == other.root && self.access <= other.access && self.path.is_within(&other.path)
    }

    /// What both this and any of `others` allow: each part once, and no part of another that allows as
    /// much.
    pub(super) fn meet_all(&self, others: &[Self]) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        for part in others.iter().filter_map(|other| self.meet(other)) {
            if parts.iter().any(|known| part.is_within(known)) {
                continue;
            }
            parts.retain(|known| !known.is_within(&part));
            parts.push(part);
        }
        parts
    }

    /// What both this and `other` allow, where this one's guest sees it.
    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        if self.root != other.root {
            return None;
        }
        let access = self.access.min(other.access);
        if self.path.is_within(&other.path) {
            return Some(Self { access, ..self.clone() });
        }
        let rest = other.path.below(&self.path)?;
        let (path, guest_path) = (other.path.clone(), self.guest_path.join(rest));
        Some(Self { path, guest_path, access, ..self.clone() })
    }
}

impl fmt::Display for Preopen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { root, path, guest_path, access, .. } = self;
        match path.is_root() {
            true => write!(f, "`{root}` at {guest_path}, {access}"),
            false => write!(f, "`{root}`/{path} at {guest_path}, {access}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_path_is_plain_and_relative() {
        for (text, parsed) in [("", "."), (".", "."), ("a", "a"), ("a/b c/ü", "a/b c/ü")] {
            assert_eq!(text.parse::<RootPath>().map(|path| path.to_string()), Ok(parsed.into()));
        }
        let long = "x".repeat(256);
        for bad in [
            "/", "/a", "..", "a/..", "../a", "a/../b", "./a", "a/.", "a//b", "a/", "a\0b", "a\nb",
            &long,
        ] {
            assert!(bad.parse::<RootPath>().is_err(), "{bad:?}");
            assert!(serde_json::from_value::<RootPath>(bad.into()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_guest_path_is_plain_and_absolute() {
        for good in ["/", "/workspace", "/a/b.c/…"] {
            assert_eq!(good.parse::<GuestPath>().map(|path| path.to_string()), Ok(good.into()));
        }
        let long = format!("/{}", "x/".repeat(2_048));
        for bad in ["", "a", ".", "/a/", "//", "/a//b", "/..", "/a/../b", "/.", "/a\0", &long] {
            assert!(bad.parse::<GuestPath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_directory_lies_within_another_by_whole_names() {
        let path = |text: &str| text.parse::<RootPath>().expect("a valid path");
        for (inner, outer, expected) in [
            (".", ".", true),
            ("a", ".", true),
            (".", "a", false),
            ("a", "a", true),
            ("a/b", "a", true),
            ("ab", "a", false),
            ("a", "a/b", false),
        ] {
            assert_eq!(path(inner).is_within(&path(outer)), expected, "{inner} in {outer}");
        }
    }

    #[test]
    fn a_preopen_says_no_more_than_it_must() {
        let json = r#"{"root":"project","guest_path":"/workspace","access":"read-only"}"#;
        let preopen: Preopen =
            serde_json::from_str(r#"{"root":"project","guest_path":"/workspace"}"#)
                .expect("a preopen");
        assert_eq!(serde_json::to_string(&preopen).expect("it serialises"), json);
        for bad in [
            r#"{"root":"Project","guest_path":"/w"}"#,
            r#"{"root":"project"}"#,
            r#"{"root":"project","guest_path":"/w","access":"write"}"#,
            r#"{"root":"project","guest_path":"/w","host_path":"/etc"}"#,
        ] {
            assert!(serde_json::from_str::<Preopen>(bad).is_err(), "{bad}");
        }
    }
}

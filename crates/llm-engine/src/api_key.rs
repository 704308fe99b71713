//! A provider's key.

use std::fmt;

/// Shown in place of a key.
const REDACTED: &str = "***";

/// Keys shorter than this are placeholders for servers that want any key at all (`x`, `no`);
/// removing them from a message would remove half of its words.
const SHORTEST_SECRET: usize = 4;

/// A provider's key. It shows itself to nobody: its Debug print is `ApiKey(***)`.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes the key without the white space around it (a key read from a file ends in a line
    /// break). Absent if nothing is left.
    pub fn new(key: impl AsRef<str>) -> Option<Self> {
        let key = key.as_ref().trim();
        (!key.is_empty()).then(|| Self(key.to_owned()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// `text` with the key removed wherever it occurs.
    pub(crate) fn redact(&self, text: &str) -> String {
        if self.0.len() < SHORTEST_SECRET {
            return text.to_owned();
        }
        text.replace(&self.0, REDACTED)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ApiKey({REDACTED})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown() {
        let key = ApiKey::new(" sk-secret\n").unwrap();
        assert_eq!(format!("{key:?}"), "ApiKey(***)");
        assert_eq!(key.expose(), "sk-secret");
        assert_eq!(key.redact("bad key sk-secret!"), "bad key ***!");
    }

    #[test]
    fn white_space_is_no_key() {
        assert_eq!(ApiKey::new(" \n"), None);
    }
}

//! What a server is called by.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest name that DNS has.
const MAX_BYTES: usize = 253;

/// The name or the address of a machine, without a port: what clients call a server by. Names are in
/// lower case, and IPv6 addresses without brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct HostName(String);

/// A text that names no machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the name of a machine: expected one such as `host.example` or `192.0.2.1`, without a port"
)]
pub struct InvalidHostName;

impl HostName {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = InvalidHostName;

    fn from_str(text: &str) -> Result<Self, InvalidHostName> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self(address.to_string()));
        }
        let is_label = |label: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=63).contains(&label.len()) && !label.starts_with('-') && label.bytes().all(fits)
        };
        if text.len() <= MAX_BYTES && text.split('.').all(is_label) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidHostName)
        }
    }
}

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_have_one_spelling() {
        for (text, name) in [
            ("Host.Example", "host.example"),
            ("localhost", "localhost"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8::1]", "2001:db8::1"),
            ("2001:db8:0::1", "2001:db8::1"),
        ] {
            assert_eq!(text.parse::<HostName>().expect(text).as_str(), name);
        }
    }

    #[test]
    fn what_has_a_port_a_path_or_a_wildcard_is_no_name() {
        for text in [
            "",
            ".",
            "a.",
            "a..b",
            "host:443",
            "https://host",
            "host/",
            "a b",
            "*.example",
            "ä",
            "[::1",
        ] {
            assert!(text.parse::<HostName>().is_err(), "{text:?}");
        }
        assert!("x".repeat(64).parse::<HostName>().is_err());
        assert!(vec!["x".repeat(60); 5].join(".").parse::<HostName>().is_err());
    }
}

//! Identities. A Worker is named by its Runtime's id and its own; turns and items are counted per
//! Worker, so that a log alone determines them.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The identity of a Worker within its Runtime: a UUIDv7, so that ids sort by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(Uuid);

impl WorkerId {
    /// A new id, later in order than every earlier one of this process.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for WorkerId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The identity of one data directory (or one memory store): a cursor taken from another log is
/// recognised by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogId(Uuid);

impl LogId {
    /// A new log's id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

/// The position of an event in its Worker's log: the first is 1, and there are no gaps.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(u64);

/// The ordinal of a turn within its Worker: the first is 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct TurnId(u64);

/// The ordinal of an item within its Worker's transcript: the first is 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ItemId(u64);

macro_rules! ordinal {
    ($name:ident) => {
        impl $name {
            /// Before the first: nothing has this ordinal.
            pub const ZERO: Self = Self(0);

            /// The ordinal with this number.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number of this ordinal.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The ordinal after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

ordinal!(Seq);
ordinal!(TurnId);
ordinal!(ItemId);

/// A reader's place in a Worker's log: everything up to and including `seq` has been seen.
///
/// Clients treat its text form (`<log id>.<seq>`) as opaque. A bare sequence number is accepted
/// too; it names a place in whatever log it is presented to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The log this place is in; absent where the caller gave a bare sequence number.
    pub log_id: Option<LogId>,
    /// The last event seen.
    pub seq: Seq,
}

impl Cursor {
    /// Before the first event.
    pub const START: Self = Self { log_id: None, seq: Seq::ZERO };

    /// The place after event `seq` of the log `log_id`.
    #[must_use]
    pub const fn new(log_id: LogId, seq: Seq) -> Self {
        Self { log_id: Some(log_id), seq }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.log_id {
            Some(log_id) => write!(f, "{log_id}.{}", self.seq),
            None => self.seq.fmt(f),
        }
    }
}

/// A text that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: expected one that this API gave out, or a sequence number")]
pub struct ParseCursorError;

impl FromStr for Cursor {
    type Err = ParseCursorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (log_id, seq) = match text.split_once('.') {
            Some((log_id, seq)) => {
                let log_id = log_id.parse().map_err(|_| ParseCursorError)?;
                (Some(LogId(log_id)), seq)
            }
            None => (None, text),
        };
        // `u64::from_str` accepts a leading `+`, which no cursor has.
        if !seq.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseCursorError);
        }
        let seq = seq.parse().map_err(|_| ParseCursorError)?;
        Ok(Self { log_id, seq })
    }
}

impl Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cursor_survives_its_text_form(seq: u64, with_log: bool) {
            let cursor = Cursor {
                log_id: with_log.then(LogId::generate),
                seq: Seq::new(seq),
            };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
        }

        #[test]
        fn any_text_parses_or_is_refused_without_panic(text: String) {
            let _ = text.parse::<Cursor>();
        }
    }

    #[test]
    fn cursor_refuses_negative_signed_overflowing_and_foreign_texts() {
        for text in ["", "-1", "+1", "18446744073709551616", "x.1", ".", "1.", "1 ", "0x1"] {
            assert_eq!(text.parse::<Cursor>(), Err(ParseCursorError), "{text:?}");
        }
    }
}

//! Cursors: where a reader is in a Worker's log, and in the feed of a Runtime.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{LogId, Seq};

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
            Some((log_id, seq)) => (Some(log_id.parse().map_err(|_| ParseCursorError)?), seq),
            None => (None, text),
        };
        Ok(Self { log_id, seq: Seq::new(parse_digits(seq)?) })
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

/// A reader's place in the feed of a Runtime: everything up to and including `position` has been
/// seen. Positions grow, and have gaps where events were removed.
///
/// Clients treat its text form (`<log id>.r<position>`) as opaque; it is never the cursor of a
/// Worker's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FeedCursor {
    /// The log this place is in; absent for the start.
    pub log_id: Option<LogId>,
    /// The place of the last event seen.
    pub position: u64,
}

impl FeedCursor {
    /// Before the first event.
    pub const START: Self = Self { log_id: None, position: 0 };

    /// The place after the event at `position` of the log `log_id`.
    #[must_use]
    pub const fn new(log_id: LogId, position: u64) -> Self {
        Self { log_id: Some(log_id), position }
    }
}

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.log_id {
            Some(log_id) => write!(f, "{log_id}.r{}", self.position),
            None => write!(f, "r{}", self.position),
        }
    }
}

impl FromStr for FeedCursor {
    type Err = ParseCursorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (log_id, position) = match text.split_once('.') {
            Some((log_id, position)) => {
                (Some(log_id.parse().map_err(|_| ParseCursorError)?), position)
            }
            None => (None, text),
        };
        let position = position.strip_prefix('r').ok_or(ParseCursorError)?;
        Ok(Self { log_id, position: parse_digits(position)? })
    }
}

impl Serialize for FeedCursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FeedCursor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A number as cursors have it: `u64::from_str` accepts a leading `+`, too.
fn parse_digits(text: &str) -> Result<u64, ParseCursorError> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| ParseCursorError)
    } else {
        Err(ParseCursorError)
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
        fn a_feed_cursor_survives_its_text_form_and_is_no_cursor_of_a_worker(
            position: u64, with_log: bool
        ) {
            let cursor = FeedCursor { log_id: with_log.then(LogId::generate), position };
            prop_assert_eq!(cursor.to_string().parse::<FeedCursor>(), Ok(cursor));
            prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Err(ParseCursorError));
        }

        #[test]
        fn any_text_parses_or_is_refused_without_panic(text: String) {
            let _ = text.parse::<Cursor>();
            let _ = text.parse::<FeedCursor>();
        }
    }

    #[test]
    fn cursor_refuses_negative_signed_overflowing_and_foreign_texts() {
        for text in ["", "-1", "+1", "18446744073709551616", "x.1", ".", "1.", "1 ", "0x1"] {
            assert_eq!(text.parse::<Cursor>(), Err(ParseCursorError), "{text:?}");
        }
    }
}

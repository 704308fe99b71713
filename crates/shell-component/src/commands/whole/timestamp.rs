//! Times as people read them, in the time zone of the environment.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, FixedOffset, LocalResult, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::{OffsetName, Tz};

/// Where a clock is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Zone {
    /// A zone with its history.
    Named(Tz),
    /// A zone with one offset, and what it is called.
    Fixed(FixedOffset, String),
}

/// A time, read somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// As the clock shows it.
    pub(crate) local: NaiveDateTime,
    /// How far the clock is ahead of UTC, in seconds.
    pub(crate) offset: i32,
    /// What the zone is called then.
    pub(crate) zone: String,
    /// The same in UTC.
    pub(crate) utc: DateTime<Utc>,
}

impl Zone {
    /// UTC.
    pub(crate) fn utc() -> Self {
        Self::Named(Tz::UTC)
    }

    /// What `TZ` says; UTC without it, and if it is not understood.
    pub(crate) fn of(environment: &HashMap<String, String>) -> Self {
        environment.get("TZ").and_then(|name| Self::named(name)).unwrap_or_else(Self::utc)
    }

    /// A zone by its name: of a place, or as POSIX writes it (`EST5`).
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = name.trim_start_matches(':');
        if let Ok(zone) = name.parse() {
            return Some(Self::Named(zone));
        }
        let split = name.find(|char: char| !char.is_ascii_alphabetic())?;
        let (letters, offset) = name.split_at(split);
        // POSIX counts westward.
        let (sign, offset) = match offset.strip_prefix('-') {
            Some(offset) => (1, offset),
            None => (-1, offset.trim_start_matches('+')),
        };
        let mut parts = offset.splitn(2, ':');
        let hours: i32 = parts.next()?.parse().ok()?;
        let minutes: i32 = parts.next().map_or(Ok(0), str::parse).ok()?;
        let offset = FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60))?;
        Some(Self::Fixed(offset, letters.to_owned()))
    }

    /// Reads this zone's clock.
    pub(crate) fn at(&self, utc: DateTime<Utc>) -> Moment {
        let (offset, zone) = match self {
            Self::Fixed(offset, name) => (*offset, name.clone()),
            Self::Named(zone) => {
                let offset = zone.offset_from_utc_datetime(&utc.naive_utc());
                (offset.fix(), offset.abbreviation().unwrap_or("UTC").to_owned())
            }
        };
        let local = utc.with_timezone(&offset).naive_local();
        Moment { local, offset: offset.local_minus_utc(), zone, utc }
    }

    /// When this zone's clock shows this: the first time, if it does so twice.
    pub(crate) fn when(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        let found = match self {
            Self::Fixed(offset, _) => {
                offset.from_local_datetime(&local).map(|time| time.with_timezone(&Utc))
            }
            Self::Named(zone) => {
                zone.from_local_datetime(&local).map(|time| time.with_timezone(&Utc))
            }
        };
        match found {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Some(time),
            LocalResult::None => None,
        }
    }
}

/// The time of a file.
pub(crate) fn of_file(time: SystemTime) -> DateTime<Utc> {
    let (seconds, nanoseconds) = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
        Err(before) => {
            let before: Duration = before.duration();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => (-seconds, 0),
                nanoseconds => (-seconds - 1, 1_000_000_000 - nanoseconds),
            }
        }
    };
    DateTime::from_timestamp(seconds, nanoseconds).unwrap_or(DateTime::UNIX_EPOCH)
}

/// As `diff` and `stat` write the time of a file.
pub(crate) fn full(time: SystemTime, environment: &HashMap<String, String>) -> String {
    let moment = Zone::of(environment).at(of_file(time));
    format!("{} {}", moment.local.format("%Y-%m-%d %H:%M:%S%.9f"), numeric(moment.offset))
}

/// An offset as `+0130`.
pub(crate) fn numeric(offset: i32) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.abs() / 60;
    format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_by_place_and_by_offset() {
        let time = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        for (name, hour, zone) in [
            ("Europe/Berlin", "23:13 +0100", "CET"),
            ("UTC", "22:13 +0000", "UTC"),
            ("EST5", "17:13 -0500", "EST"),
            ("X-3:30", "01:43 +0330", "X"),
        ] {
            let moment = Zone::named(name).unwrap().at(time);
            let shown = format!("{} {}", moment.local.format("%H:%M"), numeric(moment.offset));
            assert_eq!((shown.as_str(), moment.zone.as_str()), (hour, zone));
        }
    }

    #[test]
    fn a_time_that_a_clock_skips_is_none() {
        let zone = Zone::named("Europe/Berlin").unwrap();
        let local = |text| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
        assert_eq!(zone.when(local("2024-03-31 02:30")), None);
        let twice = zone.when(local("2024-10-27 02:30")).unwrap();
        assert_eq!(twice.to_rfc3339(), "2024-10-27T00:30:00+00:00");
    }
}

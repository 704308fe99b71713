//! The words of dates.

#[derive(Debug, Clone, Copy)]
pub(super) enum Unit {
    Months(i64),
    Days(i64),
    Seconds(i64),
}

pub(super) fn unit(word: &str) -> Option<Unit> {
    Some(match word.strip_suffix('s').unwrap_or(word) {
        "year" => Unit::Months(12),
        "month" => Unit::Months(1),
        "fortnight" => Unit::Days(14),
        "week" => Unit::Days(7),
        "day" => Unit::Days(1),
        "hour" => Unit::Seconds(3600),
        "minute" | "min" => Unit::Seconds(60),
        "second" | "sec" => Unit::Seconds(1),
        _ => return None,
    })
}

pub(super) fn ordinal(word: &str) -> Option<i64> {
    const ORDINALS: [&str; 10] = [
        "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
        "twelfth",
    ];
    match word {
        "last" => Some(-1),
        "this" => Some(0),
        "next" | "first" => Some(1),
        _ => ORDINALS.iter().position(|ordinal| *ordinal == word).map(|at| at as i64 + 3),
    }
}

pub(super) fn month(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let is = |month: &str| {
        word == month || word == &month[..3] || word == "sept" && month.starts_with("sep")
    };
    MONTHS.iter().position(|month| is(month)).and_then(|at| u32::try_from(at + 1).ok())
}

pub(super) fn weekday(word: &str) -> Option<u32> {
    const DAYS: [&str; 7] =
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let is = |day: &str| word.len() >= 3 && day.starts_with(word) || word == "wednes";
    DAYS.iter().position(|day| is(day)).and_then(|at| u32::try_from(at).ok())
}

/// The zones that GNU date knows by their letters, in hours ahead of UTC.
pub(super) fn abbreviated_zone(word: &str) -> Option<i32> {
    Some(match word {
        "wet" => 0,
        "cet" | "bst" | "west" => 1,
        "eet" | "cest" => 2,
        "msk" | "eest" => 3,
        "jst" => 9,
        "est" | "cdt" => -5,
        "edt" => -4,
        "cst" | "mdt" => -6,
        "mst" | "pdt" => -7,
        "pst" => -8,
        _ => return None,
    })
}

/// Two digits mean a year of our time.
pub(super) fn year(digits: &str) -> Option<i32> {
    let year: i32 = digits.parse().ok()?;
    Some(match digits.len() {
        1 | 2 if year < 69 => year + 2000,
        1 | 2 => year + 1900,
        _ => year,
    })
}

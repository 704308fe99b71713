//! Times written by a format of `strftime`, with what GNU adds to it.

use chrono::{Datelike, NaiveDateTime, Timelike};

use crate::commands::whole::timestamp::Moment;

/// How a field is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    None,
    Spaces,
    Zeros,
}

/// What stands between `%` and the letter.
#[derive(Debug, Default, Clone, Copy)]
struct Flags {
    padding: Option<Padding>,
    upper: bool,
    swapped: bool,
    plus: bool,
    width: Option<usize>,
    colons: usize,
}

/// Writes a time.
pub(crate) fn format(format: &str, moment: &Moment) -> String {
    let mut text = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        let (flags, after) = flags(&rest[at + 1..]);
        let Some(letter) = after.chars().next() else {
            text.push_str(&rest[at..]);
            return text;
        };
        let end = rest.len() - after.len() + letter.len_utf8();
        match field(letter, flags, moment) {
            Some(field) => text.push_str(&field),
            None => text.push_str(&rest[at..end]),
        }
        rest = &rest[end..];
    }
    text.push_str(rest);
    text
}

fn flags(mut rest: &str) -> (Flags, &str) {
    let mut flags = Flags::default();
    while let Some(flag) = rest.chars().next() {
        match flag {
            '-' => flags.padding = Some(Padding::None),
            '_' => flags.padding = Some(Padding::Spaces),
            '0' => flags.padding = Some(Padding::Zeros),
            '^' => flags.upper = true,
            '#' => flags.swapped = true,
            '+' => flags.plus = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    // More than a formatter can do is no width that anybody means.
    flags.width = rest[..digits].parse().ok().map(|width: usize| width.min(u16::MAX.into()));
    rest = &rest[digits..];
    while let Some(after) = rest.strip_prefix(':') {
        flags.colons += 1;
        rest = after;
    }
    // Other forms of the locale, of which there are none here.
    (flags, rest.strip_prefix(['E', 'O']).filter(|after| !after.is_empty()).unwrap_or(rest))
}

fn field(letter: char, flags: Flags, moment: &Moment) -> Option<String> {
    let local = &moment.local;
    let number = |value: i64, width: usize, padding: Padding| {
        Some(padded(value, flags.width.unwrap_or(width), flags.padding.unwrap_or(padding), flags))
    };
    let zeros = |value: u32, width| number(value.into(), width, Padding::Zeros);
    let spaces = |value: u32, width| number(value.into(), width, Padding::Spaces);
    let composed = |inner: &str| Some(word(&format(inner, moment), flags));
    let hour12 = match local.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    match letter {
        '%' => Some("%".to_owned()),
        'n' => Some("\n".to_owned()),
        't' => Some("\t".to_owned()),
        'a' => Some(name(&local.format("%a").to_string(), flags)),
        'A' => Some(name(&local.format("%A").to_string(), flags)),
        'b' | 'h' => Some(name(&local.format("%b").to_string(), flags)),
        'B' => Some(name(&local.format("%B").to_string(), flags)),
        'c' => composed("%a %b %e %H:%M:%S %Y"),
        'C' => number((local.year().div_euclid(100)).into(), 2, Padding::Zeros),
        'd' => zeros(local.day(), 2),
        'D' | 'x' => composed("%m/%d/%y"),
        'e' => spaces(local.day(), 2),
        'F' => composed("%Y-%m-%d"),
        'g' => number((local.iso_week().year().rem_euclid(100)).into(), 2, Padding::Zeros),
        'G' => number(local.iso_week().year().into(), 4, Padding::Zeros),
        'H' => zeros(local.hour(), 2),
        'I' => zeros(hour12, 2),
        'j' => zeros(local.ordinal(), 3),
        'k' => spaces(local.hour(), 2),
        'l' => spaces(hour12, 2),
        'm' => zeros(local.month(), 2),
        'M' => zeros(local.minute(), 2),
        'N' => Some(nanoseconds(local, flags)),
        'p' | 'P' => {
            let lower = letter == 'P' || flags.swapped;
            let half = if local.hour() < 12 { "AM" } else { "PM" };
            let half = if lower { half.to_lowercase() } else { half.to_owned() };
            Some(word(&half, Flags { swapped: false, ..flags }))
        }
        'q' => zeros(local.month().div_ceil(3), 1),
        'r' => composed("%I:%M:%S %p"),
        'R' => composed("%H:%M"),
        's' => number(moment.utc.timestamp(), 1, Padding::Zeros),
        'S' => zeros(local.second(), 2),
        'T' | 'X' => composed("%H:%M:%S"),
        'u' => zeros(local.weekday().number_from_monday(), 1),
        'U' => zeros(week(local, local.weekday().num_days_from_sunday()), 2),
        'V' => zeros(local.iso_week().week(), 2),
        'w' => zeros(local.weekday().num_days_from_sunday(), 1),
        'W' => zeros(week(local, local.weekday().num_days_from_monday()), 2),
        'y' => number((local.year().rem_euclid(100)).into(), 2, Padding::Zeros),
        'Y' => number(local.year().into(), 4, Padding::Zeros),
        'z' => Some(offset(moment.offset, flags)),
        'Z' => {
            let zone = if flags.swapped { moment.zone.to_lowercase() } else { moment.zone.clone() };
            Some(word(&zone, Flags { swapped: false, ..flags }))
        }
        _ => None,
    }
}

/// The week of the year, where weeks begin on the day that this one is so many days after.
fn week(local: &NaiveDateTime, days_into_week: u32) -> u32 {
    (local.ordinal() + 6 - days_into_week) / 7
}

fn padded(value: i64, width: usize, padding: Padding, flags: Flags) -> String {
    let plus = if flags.plus && value > 9999 { "+" } else { "" };
    match padding {
        Padding::None => format!("{plus}{value}"),
        Padding::Spaces => format!("{plus}{value:>width$}"),
        Padding::Zeros if value < 0 => format!("-{:0>1$}", -value, width.saturating_sub(1)),
        Padding::Zeros => format!("{plus}{value:0>width$}"),
    }
}

fn name(text: &str, flags: Flags) -> String {
    word(text, Flags { upper: flags.upper || flags.swapped, ..flags })
}

fn word(text: &str, flags: Flags) -> String {
    let text = if flags.upper { text.to_uppercase() } else { text.to_owned() };
    match (flags.width, flags.padding) {
        (Some(width), Some(Padding::Zeros)) => format!("{text:0>width$}"),
        (Some(width), _) => format!("{text:>width$}"),
        (None, _) => text,
    }
}

/// The width says how many digits one wants, from the first.
fn nanoseconds(local: &NaiveDateTime, flags: Flags) -> String {
    let digits = format!("{:09}", local.nanosecond() % 1_000_000_000);
    match flags.width {
        Some(width) if width < digits.len() => digits[..width].to_owned(),
        Some(width) => format!("{digits:0<width$}"),
        None if flags.padding == Some(Padding::None) => {
            let short = digits.trim_end_matches('0');
            if short.is_empty() { "0".to_owned() } else { short.to_owned() }
        }
        None => digits,
    }
}

fn offset(seconds: i32, flags: Flags) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.abs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match flags.colons {
        0 => format!("{sign}{hours:02}{minutes:02}"),
        1 => format!("{sign}{hours:02}:{minutes:02}"),
        2 => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
        _ if seconds != 0 => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
        _ if minutes != 0 => format!("{sign}{hours:02}:{minutes:02}"),
        _ => format!("{sign}{hours:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::whole::timestamp::Zone;
    use chrono::DateTime;

    fn at(seconds: i64, text: &str) -> String {
        format(text, &Zone::utc().at(DateTime::from_timestamp(seconds, 5_000_000).unwrap()))
    }

    #[test]
    fn fields_are_those_of_gnu_date() {
        let text =
            "%e|%k|%l|%-d|%_d|%02d|%^a|%#Z|%j|%U|%V|%W|%u|%w|%C|%s|%3N|%:z|%q|%p|%P|%10B|%%|%Q";
        assert_eq!(
            at(1_710_047_167, text),
            "10| 5| 5|10|10|10|SUN|utc|070|10|10|10|7|0|20|1710047167|005|+00:00|1|AM|am|     March|%|%Q"
        );
    }
}

//! Times as people write them: what `date -d` and `touch -d` understand.

use chrono::{DateTime, Datelike, Duration, Months, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use super::words::{Unit, abbreviated_zone, month, ordinal, unit, weekday, year};
use crate::commands::whole::timestamp::Zone;

/// The time that a text means, now and here; nothing if it means none.
pub(crate) fn parse(text: &str, now: DateTime<Utc>, here: &Zone) -> Option<DateTime<Utc>> {
    let (zone, text) = match zone_in_front(text) {
        Some((zone, text)) => (zone?, text),
        None => (here.clone(), text),
    };
    let text = text.trim();
    if let Some(seconds) = text.strip_prefix('@') {
        return since_epoch(seconds);
    }
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, at: 0, found: Found::default() };
    while reader.at < tokens.len() {
        reader.item()?;
    }
    reader.found.time(now, &zone)
}

/// `TZ="…"` at the beginning: the zone, if there is one of that name, and what follows.
fn zone_in_front(text: &str) -> Option<(Option<Zone>, &str)> {
    let rest = text.trim_start().strip_prefix("TZ=\"")?;
    let (name, rest) = rest.split_once('"')?;
    Some((Zone::named(name), rest))
}

fn since_epoch(text: &str) -> Option<DateTime<Utc>> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let nanoseconds = nanoseconds(fraction)?;
    let time = DateTime::from_timestamp(seconds, 0)?;
    let fraction = Duration::nanoseconds(nanoseconds.into());
    Some(if whole.starts_with('-') { time - fraction } else { time + fraction })
}

fn nanoseconds(digits: &str) -> Option<u32> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
    nine.parse().ok()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// Digits, as written.
    Number(String),
    /// Letters, in lower case.
    Word(String),
    /// `+`, `-`, `:`, `/`, `.` or `,`.
    Mark(char),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let same = |test: fn(char) -> bool| rest.find(|char| !test(char)).unwrap_or(rest.len());
        let length = if first.is_ascii_digit() {
            let length = same(|char| char.is_ascii_digit());
            tokens.push(Token::Number(rest[..length].to_owned()));
            length
        } else if first.is_alphabetic() {
            let length = same(char::is_alphabetic);
            tokens.push(Token::Word(rest[..length].to_lowercase()));
            length
        } else if first.is_whitespace() {
            first.len_utf8()
        } else if first == '(' {
            // A comment.
            rest.find(')')? + 1
        } else if "+-:/.,".contains(first) {
            tokens.push(Token::Mark(first));
            1
        } else {
            return None;
        };
        rest = &rest[length..];
    }
    Some(tokens)
}

/// What a text says.
#[derive(Debug, Default)]
struct Found {
    date: Option<(Option<i32>, u32, u32)>,
    time: Option<NaiveTime>,
    /// Seconds ahead of UTC.
    offset: Option<i32>,
    /// A day of the week from Monday, and how many of them further.
    weekday: Option<(u32, i64)>,
    relative: Relative,
    is_relative: bool,
}

#[derive(Debug, Default)]
struct Relative {
    months: i64,
    days: i64,
    nanoseconds: i64,
}

impl Found {
    fn time(&self, now: DateTime<Utc>, here: &Zone) -> Option<DateTime<Utc>> {
        let now = here.at(now).local;
        let year_of_now = now.year();
        let date = match self.date {
            Some((year, month, day)) => {
                NaiveDate::from_ymd_opt(year.unwrap_or(year_of_now), month, day)?
            }
            None => now.date(),
        };
        let time = match self.time {
            Some(time) => time,
            None if self.is_relative && self.date.is_none() && self.weekday.is_none() => now.time(),
            None => NaiveTime::MIN,
        };
        let mut date = months_later(date, self.relative.months)?;
        if let Some((weekday, weeks)) = self.weekday.filter(|_| self.date.is_none()) {
            let ahead = i64::from((weekday + 7 - date.weekday().num_days_from_monday()) % 7);
            // "next" is not today, and "this" may be.
            let weeks = if weeks > 0 && ahead != 0 { weeks - 1 } else { weeks };
            date = date.checked_add_signed(Duration::try_days(ahead + 7 * weeks)?)?;
        }
        date = date.checked_add_signed(Duration::try_days(self.relative.days)?)?;
        let local = NaiveDateTime::new(date, time);
        let utc = match self.offset {
            Some(offset) => (local - Duration::seconds(offset.into())).and_utc(),
            None => here.when(local)?,
        };
        utc.checked_add_signed(Duration::nanoseconds(self.relative.nanoseconds))
    }
}

/// The day that many months later, as C's `mktime` counts: the 31st of a month of 30 days is the
/// first of the next.
fn months_later(date: NaiveDate, months: i64) -> Option<NaiveDate> {
    let first = date.with_day(1)?;
    let count = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    let first = if months < 0 {
        first.checked_sub_months(count)?
    } else {
        first.checked_add_months(count)?
    };
    first.checked_add_signed(Duration::days(i64::from(date.day()) - 1))
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    found: Found,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn number(&self, ahead: usize) -> Option<&str> {
        match self.peek(ahead)? {
            Token::Number(digits) => Some(digits),
            Token::Word(_) | Token::Mark(_) => None,
        }
    }

    fn word(&self, ahead: usize) -> Option<&str> {
        match self.peek(ahead)? {
            Token::Word(word) => Some(word),
            Token::Number(_) | Token::Mark(_) => None,
        }
    }

    fn mark(&self, ahead: usize) -> Option<char> {
        match self.peek(ahead)? {
            Token::Mark(mark) => Some(*mark),
            Token::Number(_) | Token::Word(_) => None,
        }
    }

    /// One part of the text.
    fn item(&mut self) -> Option<()> {
        if self.mark(0) == Some(',') {
            self.at += 1;
            return Some(());
        }
        if let Some(sign @ ('+' | '-')) = self.mark(0) {
            return self.signed(if sign == '-' { -1 } else { 1 });
        }
        if self.number(0).is_some() {
            return self.unsigned();
        }
        let word = self.word(0)?.to_owned();
        self.named(&word)
    }

    /// A number with a sign: so many units from here.
    fn signed(&mut self, sign: i64) -> Option<()> {
        let amount = sign * self.number(1)?.parse::<i64>().ok()?;
        let digits = self.number(1)?.len();
        if let Some(unit) = self.word(2).and_then(unit) {
            self.at += 3;
            return self.relative(amount, unit);
        }
        if self.found.time.is_some() && self.found.offset.is_none() && digits >= 2 {
            self.at += 1;
            return self.offset(sign);
        }
        None
    }

    /// An offset from UTC, after its sign.
    fn offset(&mut self, sign: i64) -> Option<()> {
        let digits = self.number(0)?.to_owned();
        self.at += 1;
        let (hours, minutes): (i64, i64) = match digits.len() {
            0..=2 => (digits.parse().ok()?, 0),
            length => (digits[..length - 2].parse().ok()?, digits[length - 2..].parse().ok()?),
        };
        let mut minutes = minutes;
        if self.mark(0) == Some(':')
            && let Some(after) = self.number(1)
        {
            minutes = after.parse().ok()?;
            self.at += 2;
        }
        if hours > 24 || minutes > 59 {
            return None;
        }
        self.found.offset = i32::try_from(sign * (hours * 3600 + minutes * 60)).ok();
        Some(())
    }

    fn relative(&mut self, amount: i64, unit: Unit) -> Option<()> {
        let ago = self.word(0) == Some("ago");
        if ago {
            self.at += 1;
        }
        let amount = if ago { -amount } else { amount };
        let relative = &mut self.found.relative;
        match unit {
            Unit::Months(count) => relative.months += amount.checked_mul(count)?,
            Unit::Days(count) => relative.days += amount.checked_mul(count)?,
            Unit::Seconds(count) => {
                relative.nanoseconds += amount.checked_mul(count)?.checked_mul(1_000_000_000)?;
            }
        }
        self.found.is_relative = true;
        Some(())
    }

    fn unsigned(&mut self) -> Option<()> {
        let digits = self.number(0)?.to_owned();
        match (self.mark(1), self.number(2)) {
            (Some(':'), Some(_)) => return self.clock(),
            (Some('-'), Some(_)) if self.mark(3) == Some('-') && self.number(4).is_some() => {
                return self.year_month_day();
            }
            (Some('/'), Some(_)) => return self.month_slash_day(),
            (Some('-'), None) => {
                if let Some(month) = self.word(2).and_then(month) {
                    return self.day_month_year(month, 3);
                }
            }
            _ => {}
        }
        if let Some(word) = self.word(1).map(str::to_owned) {
            if let Some(month) = month(&word) {
                return self.day_month_year(month, 2);
            }
            if let Some(unit) = unit(&word) {
                self.at += 2;
                return self.relative(digits.parse().ok()?, unit);
            }
            if matches!(word.as_str(), "am" | "pm" | "a" | "p") {
                return self.clock();
            }
        }
        self.bare(&digits)
    }

    /// A number that stands alone.
    fn bare(&mut self, digits: &str) -> Option<()> {
        self.at += 1;
        let dated = self.found.date.is_some();
        let timed = self.found.time.is_some();
        if dated && self.found.date?.0.is_none() && (timed || digits.len() > 2) {
            let date = self.found.date.as_mut()?;
            date.0 = Some(year(digits)?);
        } else if digits.len() > 4 {
            let (rest, day) = digits.split_at(digits.len() - 2);
            let (years, month) = rest.split_at(rest.len() - 2);
            self.found.date = Some((Some(year(years)?), month.parse().ok()?, day.parse().ok()?));
        } else {
            let (hours, minutes) =
                if digits.len() <= 2 { (digits, "0") } else { digits.split_at(digits.len() - 2) };
            let time = NaiveTime::from_hms_opt(hours.parse().ok()?, minutes.parse().ok()?, 0)?;
            self.found.time = Some(time);
        }
        Some(())
    }

    fn year_month_day(&mut self) -> Option<()> {
        let date = (
            Some(year(self.number(0)?)?),
            self.number(2)?.parse().ok()?,
            self.number(4)?.parse().ok()?,
        );
        self.at += 5;
        self.dated(date)?;
        if self.word(0) == Some("t") && self.number(1).is_some() {
            self.at += 1;
        }
        Some(())
    }

    fn month_slash_day(&mut self) -> Option<()> {
        let first = self.number(0)?.to_owned();
        let second = self.number(2)?.to_owned();
        let third =
            if self.mark(3) == Some('/') { self.number(4).map(str::to_owned) } else { None };
        self.at += if third.is_some() { 5 } else { 3 };
        // 2024/01/15 is what it looks like.
        let date = match third {
            Some(day) if first.len() >= 4 => {
                (Some(year(&first)?), second.parse().ok()?, day.parse().ok()?)
            }
            Some(years) => (Some(year(&years)?), first.parse().ok()?, second.parse().ok()?),
            None => (None, first.parse().ok()?, second.parse().ok()?),
        };
        self.dated(date)
    }

    /// `5 Jan 2024` and `5-Jan-2024`.
    fn day_month_year(&mut self, month: u32, length: usize) -> Option<()> {
        let day = self.number(0)?.parse().ok()?;
        self.at += length;
        if length == 3 && self.mark(0) == Some('-') {
            self.at += 1;
        }
        let year = self.year_here()?;
        self.dated((year, month, day))
    }

    /// A year, if one stands here: not a time, and not so many units.
    fn year_here(&mut self) -> Option<Option<i32>> {
        let Some(digits) = self.number(0) else { return Some(None) };
        let unit =
            self.word(1).is_some_and(|word| unit(word).is_some() || matches!(word, "am" | "pm"));
        if self.mark(1) == Some(':') || unit || digits.len() < 3 {
            return Some(None);
        }
        let year = year(digits)?;
        self.at += 1;
        Some(Some(year))
    }

    fn dated(&mut self, date: (Option<i32>, u32, u32)) -> Option<()> {
        self.found.date.replace(date).is_none().then_some(())
    }

    /// `10:20:30.5`, `3pm`, `10:20 pm +02:00`.
    fn clock(&mut self) -> Option<()> {
        let mut hours: u32 = self.number(0)?.parse().ok()?;
        self.at += 1;
        let (mut minutes, mut seconds, mut fraction) = (0, 0, 0);
        if self.mark(0) == Some(':') {
            minutes = self.number(1)?.parse().ok()?;
            self.at += 2;
            if self.mark(0) == Some(':') {
                seconds = self.number(1)?.parse().ok()?;
                self.at += 2;
                if matches!(self.mark(0), Some('.' | ',')) && self.number(1).is_some() {
                    fraction = nanoseconds(self.number(1)?)?;
                    self.at += 2;
                }
            }
        }
        if let Some(half @ ("am" | "pm")) = self.word(0) {
            if !(1..=12).contains(&hours) {
                return None;
            }
            hours = hours % 12 + if half == "pm" { 12 } else { 0 };
            self.at += 1;
        }
        let time = NaiveTime::from_hms_nano_opt(hours, minutes, seconds, fraction)?;
        if self.found.time.replace(time).is_some() {
            return None;
        }
        // A sign behind a time is that of an offset, even if a unit follows.
        if let Some(sign @ ('+' | '-')) = self.mark(0)
            && self.number(1).is_some()
        {
            self.at += 1;
            return self.offset(if sign == '-' { -1 } else { 1 });
        }
        Some(())
    }

    fn named(&mut self, word: &str) -> Option<()> {
        self.at += 1;
        match word {
            "now" | "today" => {
                self.found.is_relative = true;
                return Some(());
            }
            "yesterday" => return self.relative(-1, Unit::Days(1)),
            "tomorrow" => return self.relative(1, Unit::Days(1)),
            "midnight" => {
                self.found.time = Some(NaiveTime::MIN);
                return Some(());
            }
            "z" | "utc" | "gmt" | "ut" => {
                self.found.offset = Some(0);
                return Some(());
            }
            // Between a date and a time.
            "t" if self.number(0).is_some() => return Some(()),
            "and" => return Some(()),
            _ => {}
        }
        if let Some(month) = month(word) {
            let day = self.number(0)?.parse().ok()?;
            self.at += 1;
            if self.mark(0) == Some(',') || self.mark(0) == Some('-') {
                self.at += 1;
            }
            let year = self.year_here()?;
            return self.dated((year, month, day));
        }
        if let Some(weekday) = weekday(word) {
            self.found.weekday = Some((weekday, 0));
            return Some(());
        }
        if let Some(count) = ordinal(word) {
            let what = self.word(0)?.to_owned();
            self.at += 1;
            if let Some(weekday) = weekday(&what) {
                self.found.weekday = Some((weekday, count));
                return Some(());
            }
            return self.relative(count, unit(&what)?);
        }
        if let Some(unit) = unit(word) {
            return self.relative(1, unit);
        }
        if let Some(hours) = abbreviated_zone(word) {
            self.found.offset = Some(hours * 3600);
            return Some(());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use chrono::Timelike;

    use super::*;

    fn parsed(text: &str) -> String {
        // A Wednesday.
        let now = "2024-05-15T12:34:56Z".parse().unwrap();
        parse(text, now, &Zone::utc())
            .map_or("-".to_owned(), |time| time.format("%F %T").to_string())
    }

    #[test]
    fn texts_mean_what_they_mean_to_gnu_date() {
        for (text, meant) in [
            ("@86400", "1970-01-02 00:00:00"),
            ("2024-01-15", "2024-01-15 00:00:00"),
            ("2024-01-15 10:20", "2024-01-15 10:20:00"),
            ("2024-01-15T10:20:30Z", "2024-01-15 10:20:30"),
            ("2024-01-15 10:00 +0200", "2024-01-15 08:00:00"),
            ("2024-01-31 +1 day", "2024-02-01 00:00:00"),
            ("2024-01-31 +1 month", "2024-03-02 00:00:00"),
            ("2024-01-31 -1 month", "2023-12-31 00:00:00"),
            ("2024-01-15 1 year ago", "2023-01-15 00:00:00"),
            ("2024-01-15 -3 hours", "2024-01-14 21:00:00"),
            ("2024-01-15 yesterday", "2024-01-14 00:00:00"),
            ("yesterday", "2024-05-14 12:34:56"),
            ("yesterday 10:00", "2024-05-14 10:00:00"),
            ("next monday", "2024-05-20 00:00:00"),
            ("last friday", "2024-05-10 00:00:00"),
            ("wednesday", "2024-05-15 00:00:00"),
            ("next wednesday", "2024-05-22 00:00:00"),
            ("Jan 5 2024", "2024-01-05 00:00:00"),
            ("January 5, 2024 15:00", "2024-01-05 15:00:00"),
            ("5 January 2024 3pm", "2024-01-05 15:00:00"),
            ("5-Jan-2024", "2024-01-05 00:00:00"),
            ("Mon, 15 Jan 2024 10:00:00 +0000", "2024-01-15 10:00:00"),
            ("Thu Jan  1 00:00:00 UTC 1970", "1970-01-01 00:00:00"),
            ("01/05/2024", "2024-01-05 00:00:00"),
            ("20240105", "2024-01-05 00:00:00"),
            ("10:30", "2024-05-15 10:30:00"),
            ("TZ=\"Asia/Tokyo\" 2024-01-01 09:00", "2024-01-01 00:00:00"),
            ("2 weeks ago", "2024-05-01 12:34:56"),
            ("2024-02-30", "-"),
            ("garbage", "-"),
            ("noon", "-"),
            ("", "2024-05-15 00:00:00"),
        ] {
            assert_eq!(parsed(text), meant, "{text}");
        }
    }

    #[test]
    fn fractions_are_kept() {
        let now = DateTime::UNIX_EPOCH;
        let time = parse("2024-01-05 15:00:00.5", now, &Zone::utc()).unwrap();
        assert_eq!(time.nanosecond(), 500_000_000);
    }
}

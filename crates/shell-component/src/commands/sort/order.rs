//! Which of two lines comes first.

use std::{
    cmp::Ordering,
    hash::{BuildHasher, RandomState},
    sync::OnceLock,
};

/// How keys are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Comparison {
    #[default]
    Bytes,
    Numeric,
    General,
    Human,
    Month,
    Version,
    /// By a hash that is another one each time: equal keys stay together.
    Random,
}

/// How a key is read and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags {
    pub(super) comparison: Comparison,
    pub(super) reverse: bool,
    pub(super) fold: bool,
    pub(super) dictionary: bool,
    pub(super) printing: bool,
    pub(super) skip_blanks: bool,
    pub(super) skip_end_blanks: bool,
}

impl Flags {
    /// Sets what `letter` means; whether it means something.
    pub(super) fn set(&mut self, letter: char) -> bool {
        match letter {
            'b' => (self.skip_blanks, self.skip_end_blanks) = (true, true),
            'd' => self.dictionary = true,
            'f' => self.fold = true,
            'g' => self.comparison = Comparison::General,
            'h' => self.comparison = Comparison::Human,
            'i' => self.printing = true,
            'M' => self.comparison = Comparison::Month,
            'n' => self.comparison = Comparison::Numeric,
            'r' => self.reverse = true,
            'V' => self.comparison = Comparison::Version,
            'R' => self.comparison = Comparison::Random,
            _ => return false,
        }
        true
    }
}

/// A part of the line: from a field and a character in it on, up to another, both from 0 on; with no
/// character, up to the field's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) start: (usize, usize),
    pub(super) end: Option<(usize, Option<usize>)>,
    pub(super) flags: Flags,
}

/// The whole order.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    pub(super) keys: Vec<Key>,
    pub(super) flags: Flags,
    pub(super) separator: Option<u8>,
    /// Whether lines with equal keys are not compared any further.
    pub(super) stable: bool,
    pub(super) unique: bool,
}

impl Order {
    /// Compares two lines.
    pub(super) fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        let keys = self.compare_keys(a, b);
        if keys != Ordering::Equal || self.stable || self.unique {
            return keys;
        }
        let whole = a.cmp(b);
        if self.flags.reverse { whole.reverse() } else { whole }
    }

    /// Compares what `-u` takes for the line.
    pub(super) fn compare_keys(&self, a: &[u8], b: &[u8]) -> Ordering {
        if self.keys.is_empty() {
            return compare_by(&self.flags, skip(&self.flags, a), skip(&self.flags, b));
        }
        for key in &self.keys {
            let order = compare_by(&key.flags, self.part(key, a), self.part(key, b));
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }

    fn part<'a>(&self, key: &Key, line: &'a [u8]) -> &'a [u8] {
        let mut start = self.field(line, key.start.0);
        if key.flags.skip_blanks {
            start += blanks(&line[start..]);
        }
        start = start.saturating_add(key.start.1).min(line.len());
        let end = match key.end {
            None => line.len(),
            Some((field, None)) => self.field_end(line, field),
            Some((field, Some(letters))) => {
                let mut end = self.field(line, field);
                if key.flags.skip_end_blanks {
                    end += blanks(&line[end..]);
                }
                end.saturating_add(letters).min(line.len())
            }
        };
        &line[start..end.max(start)]
    }

    /// Where a field begins. Without a separator, the blanks before a field belong to it.
    fn field(&self, line: &[u8], number: usize) -> usize {
        let mut at = 0;
        for _ in 0..number {
            if at >= line.len() {
                break;
            }
            at = match self.separator {
                Some(separator) => {
                    memchr::memchr(separator, &line[at..]).map_or(line.len(), |next| at + next + 1)
                }
                None => next_field(line, at),
            };
        }
        at
    }

    fn field_end(&self, line: &[u8], number: usize) -> usize {
        let at = self.field(line, number);
        match self.separator {
            Some(separator) => {
                memchr::memchr(separator, &line[at..]).map_or(line.len(), |next| at + next)
            }
            None => next_field(line, at),
        }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn blanks(text: &[u8]) -> usize {
    text.iter().take_while(|byte| is_blank(**byte)).count()
}

fn next_field(line: &[u8], at: usize) -> usize {
    let start = at + blanks(&line[at..]);
    start + line[start..].iter().take_while(|byte| !is_blank(**byte)).count()
}

fn skip<'a>(flags: &Flags, line: &'a [u8]) -> &'a [u8] {
    if flags.skip_blanks { &line[blanks(line)..] } else { line }
}

fn compare_by(flags: &Flags, a: &[u8], b: &[u8]) -> Ordering {
    let order = match flags.comparison {
        Comparison::Bytes if !(flags.fold || flags.dictionary || flags.printing) => a.cmp(b),
        Comparison::Bytes => seen(flags, a).cmp(seen(flags, b)),
        Comparison::Numeric => compare_numbers(a, b),
        Comparison::General => compare_general(a, b),
        Comparison::Human => magnitude(a).cmp(&magnitude(b)).then_with(|| compare_numbers(a, b)),
        Comparison::Month => month(a).cmp(&month(b)),
        Comparison::Version => compare_versions(a, b),
        Comparison::Random => hash(a).cmp(&hash(b)).then_with(|| a.cmp(b)),
    };
    if flags.reverse { order.reverse() } else { order }
}

fn hash(text: &[u8]) -> u64 {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    SEED.get_or_init(RandomState::new).hash_one(text)
}

fn seen<'a>(flags: &Flags, text: &'a [u8]) -> impl Iterator<Item = u8> + 'a {
    let Flags { fold, dictionary, printing, .. } = *flags;
    text.iter()
        .copied()
        .filter(move |byte| !dictionary || is_blank(*byte) || byte.is_ascii_alphanumeric())
        .filter(move |byte| !printing || (b' '..=b'~').contains(byte))
        .map(move |byte| if fold { byte.to_ascii_uppercase() } else { byte })
}

/// A decimal number at the beginning, of any length: its sign, its digits before the point without
/// leading zeros, and those behind it without zeros at the end.
fn number(text: &[u8]) -> (bool, &[u8], &[u8]) {
    let text = &text[blanks(text)..];
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let length = digits(text);
    let (whole, rest) = text.split_at(length);
    let zeros = whole.iter().take_while(|byte| **byte == b'0').count();
    let fraction = rest.strip_prefix(b".").map_or(&[][..], |rest| &rest[..digits(rest)]);
    let end = fraction.iter().rposition(|byte| *byte != b'0').map_or(0, |at| at + 1);
    let (whole, fraction) = (&whole[zeros..], &fraction[..end]);
    (negative && !(whole.is_empty() && fraction.is_empty()), whole, fraction)
}

fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (number(a), number(b));
    match (a.0, b.0) {
        (true, false) => return Ordering::Less,
        (false, true) => return Ordering::Greater,
        _ => {}
    }
    let order = a.1.len().cmp(&b.1.len()).then_with(|| a.1.cmp(b.1)).then_with(|| a.2.cmp(b.2));
    if a.0 { order.reverse() } else { order }
}

/// What `strtod` reads at the beginning; nothing comes before all numbers.
fn general(text: &[u8]) -> Option<f64> {
    let text = &text[blanks(text)..];
    let text = std::str::from_utf8(text).unwrap_or_else(|error| {
        std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default()
    });
    let end = text
        .find(|letter: char| !(letter.is_ascii_alphanumeric() || "+-.".contains(letter)))
        .unwrap_or(text.len());
    (1..=end).rev().find_map(|end| text.get(..end)?.parse().ok())
}

fn compare_general(a: &[u8], b: &[u8]) -> Ordering {
    match (general(a), general(b)) {
        (None, None) => Ordering::Equal,
        (None, _) => Ordering::Less,
        (_, None) => Ordering::Greater,
        (Some(a), Some(b)) => a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())),
    }
}

/// The power of the unit behind a number, with the number's sign.
fn magnitude(text: &[u8]) -> i8 {
    let (negative, whole, fraction) = number(text);
    if whole.is_empty() && fraction.is_empty() {
        return 0;
    }
    let text = &text[blanks(text)..];
    let unit = text.iter().find(|byte| !(byte.is_ascii_digit() || b"-.".contains(byte)));
    let power = unit.and_then(|unit| match unit {
        b'k' => Some(1),
        unit => b"KMGTPEZYRQ".iter().position(|known| known == unit).map(|at| at as i8 + 1),
    });
    let power = power.unwrap_or(0);
    if negative { -power } else { power }
}

fn month(text: &[u8]) -> usize {
    const MONTHS: [&[u8; 3]; 12] = [
        b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV",
        b"DEC",
    ];
    let text = &text[blanks(text)..];
    MONTHS
        .iter()
        .position(|month| text.get(..3).is_some_and(|text| text.eq_ignore_ascii_case(*month)))
        .map_or(0, |at| at + 1)
}

/// Digits as numbers, letters before other characters, `~` before everything.
fn compare_versions(a: &[u8], b: &[u8]) -> Ordering {
    let rank = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    let (mut a, mut b) = (a, b);
    while !(a.is_empty() && b.is_empty()) {
        let text = |text: &[u8]| text.iter().take_while(|byte| !byte.is_ascii_digit()).count();
        let (x, y) = (text(a), text(b));
        for at in 0..x.max(y) {
            let order = rank(a[..x].get(at)).cmp(&rank(b[..y].get(at)));
            if order != Ordering::Equal {
                return order;
            }
        }
        (a, b) = (&a[x..], &b[y..]);
        let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (x, y) = (digits(a), digits(b));
        let order = compare_numbers(&a[..x], &b[..y]);
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (&a[x..], &b[y..]);
    }
    Ordering::Equal
}

/// Reads `-k`'s value.
pub(super) fn key(text: &str, inherited: Flags) -> Result<Key, String> {
    let (start, end) = match text.split_once(',') {
        Some((start, end)) => (start, Some(end)),
        None => (text, None),
    };
    let mut flags = Flags::default();
    let mut own = false;
    let mut position = |part: &str, is_end: bool| {
        let letters =
            part.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
        let numbers = &part[..part.len() - letters.len()];
        let before = flags;
        for letter in letters.chars() {
            if !flags.set(letter) {
                return Err(format!(
                    "stray character in field spec: invalid field specification '{text}'"
                ));
            }
            own = true;
            if letter == 'b' {
                // It belongs to the end of the key it is written at.
                flags.skip_blanks = before.skip_blanks || !is_end;
                flags.skip_end_blanks = before.skip_end_blanks || is_end;
            }
        }
        let (field, letter) = match numbers.split_once('.') {
            Some((field, letter)) => (field, Some(letter)),
            None => (numbers, None),
        };
        let count = |text: &str| {
            text.parse::<usize>().map_err(|_| {
                format!("invalid number at field start: invalid count at start of '{text}'")
            })
        };
        let field = count(field)?;
        if field == 0 {
            return Err(format!("field number is zero: invalid field specification '{text}'"));
        }
        Ok((field - 1, letter.map(count).transpose()?))
    };
    let (field, letter) = position(start, false)?;
    if letter == Some(0) {
        return Err(format!("character offset is zero: invalid field specification '{text}'"));
    }
    let end = match end {
        None => None,
        Some(end) => {
            let (field, letters) = position(end, true)?;
            Some((field, letters.filter(|letters| *letters > 0)))
        }
    };
    let flags = if own { flags } else { inherited };
    Ok(Key { start: (field, letter.unwrap_or(1) - 1), end, flags })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_in_the_order_of_their_values(a in -9999i32..9999, b in -9999i32..9999) {
            let text = |number: i32| format!("{}.{:02}", number / 100, number.abs() % 100);
            prop_assume!(a / 100 != 0 && b / 100 != 0);
            prop_assert_eq!(compare_numbers(text(a).as_bytes(), text(b).as_bytes()), a.cmp(&b));
        }

        #[test]
        fn versions_have_one_order(a in "[a-c0-3.~]{0,6}", b in "[a-c0-3.~]{0,6}") {
            let order = compare_versions(a.as_bytes(), b.as_bytes());
            prop_assert_eq!(order, compare_versions(b.as_bytes(), a.as_bytes()).reverse());
        }
    }

    #[test]
    fn keys_are_parts_of_lines() {
        let order = Order { separator: Some(b':'), ..Order::default() };
        let part = |text: &str, line: &'static str| {
            let key = key(text, Flags::default()).unwrap();
            String::from_utf8(order.part(&key, line.as_bytes()).to_vec()).unwrap()
        };
        assert_eq!(part("2", "a:b:c"), "b:c");
        assert_eq!(part("2,2", "a:b:c"), "b");
        assert_eq!(part("1.2,1.3", "abcd:e"), "bc");
        assert_eq!(part("5", "a:b"), "");
    }

    #[test]
    fn units_and_months_have_their_order() {
        assert_eq!(
            compare_by(&Flags { comparison: Comparison::Human, ..Flags::default() }, b"2K", b"1M"),
            Ordering::Less
        );
        assert_eq!(month(b" feb"), 2);
        assert_eq!(compare_versions(b"a10", b"a9"), Ordering::Greater);
    }
}

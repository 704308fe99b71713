//! `tr`, on bytes.

use std::io;

use super::options::{Argument, Line, Options, Value};
use crate::command::{Command, Invocation, Pending};

const OPTIONS: &Options = &[
    ('c', "complement", Value::None),
    ('C', "complement", Value::None),
    ('d', "delete", Value::None),
    ('s', "squeeze-repeats", Value::None),
    ('t', "truncate-set1", Value::None),
];

/// Translates, deletes and squeezes bytes.
#[derive(Debug)]
pub(super) struct Tr;

/// What to do with each byte.
struct Table {
    /// What it becomes.
    map: [u8; 256],
    delete: [bool; 256],
    squeeze: [bool; 256],
    deletes: bool,
    squeezes: bool,
    last: Option<u8>,
}

impl Command for Tr {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            // Options end with the first operand: `tr a -` has two sets.
            let options = call
                .arguments
                .iter()
                .take_while(|word| word.len() > 1 && word.starts_with('-') && *word != "--");
            let count = options.count();
            let mut arguments = call.arguments.to_vec();
            if arguments.get(count).is_none_or(|word| word != "--") {
                arguments.insert(count, "--".to_owned());
            }
            let parsed = match call.line_of(OPTIONS, &arguments, 1).await? {
                Line::Run(parsed) => parsed,
                Line::Done(code) => return Ok(code),
            };
            let mut table = match table(&parsed) {
                Ok(table) => table,
                Err((message, true)) => return call.misused(&message, 1).await,
                Err((message, false)) => {
                    call.complain(message).await?;
                    return Ok(1);
                }
            };
            loop {
                let mut chunk = call.input.chunk().await?;
                if chunk.is_empty() {
                    return Ok(0);
                }
                table.apply(&mut chunk);
                if !chunk.is_empty() {
                    call.output.write(&chunk).await?;
                }
            }
        })
    }
}

impl Table {
    fn apply(&mut self, bytes: &mut Vec<u8>) {
        if !self.deletes && !self.squeezes {
            for byte in bytes {
                *byte = self.map[usize::from(*byte)];
            }
            return;
        }
        bytes.retain_mut(|byte| {
            if self.delete[usize::from(*byte)] {
                return false;
            }
            *byte = self.map[usize::from(*byte)];
            let repeated = self.squeeze[usize::from(*byte)] && self.last == Some(*byte);
            self.last = Some(*byte);
            !repeated
        });
    }
}

/// The error, and whether it is one of the command line's form.
fn table(parsed: &[Argument<'_>]) -> Result<Table, (String, bool)> {
    let has = |letter| parsed.contains(&Argument::Option(letter, None));
    let (complement, delete, squeeze) = (has('c') || has('C'), has('d'), has('s'));
    let sets: Vec<&str> = parsed
        .iter()
        .filter_map(|argument| match argument {
            Argument::Operand(set) => Some(*set),
            Argument::Option(..) => None,
        })
        .collect();
    let form = |message: String| (message, true);
    let Some(first) = sets.first() else { return Err(form("missing operand".to_owned())) };
    let needed = if delete == squeeze { 2 } else { 1 };
    if sets.len() < needed {
        let why = if squeeze {
            "Two strings must be given when both deleting and squeezing repeats."
        } else {
            "Two strings must be given when translating."
        };
        return Err(form(format!("missing operand after '{first}'\n{why}")));
    }
    let most = if delete && !squeeze { 1 } else { 2 };
    if let Some(extra) = sets.get(most) {
        let why = if most == 1 {
            "\nOnly one string may be given when deleting without squeezing repeats."
        } else {
            ""
        };
        return Err(form(format!("extra operand '{extra}'{why}")));
    }
    let plain = |message| (message, false);
    let mut first = expand(first, None).map_err(plain)?;
    if complement {
        let within = membership(&first);
        first = (0..=255).filter(|byte| !within[usize::from(*byte)]).collect();
    }
    let mut table = Table {
        map: std::array::from_fn(|byte| byte as u8),
        delete: [false; 256],
        squeeze: [false; 256],
        deletes: delete,
        squeezes: squeeze,
        last: None,
    };
    if delete {
        table.delete = membership(&first);
    }
    let Some(second) = sets.get(1) else {
        if squeeze {
            table.squeeze = membership(&first);
        }
        return Ok(table);
    };
    let mut second = expand(second, Some(first.len())).map_err(plain)?;
    if squeeze {
        table.squeeze = membership(&second);
    }
    if !delete {
        if has('t') {
            first.truncate(second.len());
        }
        let Some(last) = second.last().copied() else {
            if first.is_empty() {
                return Ok(table);
            }
            return Err(plain("when not truncating set1, string2 must be non-empty".to_owned()));
        };
        second.resize(second.len().max(first.len()), last);
        for (from, to) in first.iter().zip(second) {
            table.map[usize::from(*from)] = to;
        }
    }
    Ok(table)
}

fn membership(set: &[u8]) -> [bool; 256] {
    let mut within = [false; 256];
    for byte in set {
        within[usize::from(*byte)] = true;
    }
    within
}

/// One unit of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte(u8),
    /// A byte that was written with a backslash, and so never means anything else.
    Escaped(u8),
}

impl Unit {
    fn byte(self) -> u8 {
        match self {
            Self::Byte(byte) | Self::Escaped(byte) => byte,
        }
    }
}

/// The bytes of a set in order. `[x*]` fills up to `length`, which only the second set has.
fn expand(text: &str, length: Option<usize>) -> Result<Vec<u8>, String> {
    let units = unescape(text.as_bytes());
    let mut set: Vec<u8> = Vec::new();
    // Where `[x*]` stands.
    let mut fill = None;
    let mut at = 0;
    while at < units.len() {
        let rest = &units[at..];
        if let Some((name, used)) = bracket(rest, b':') {
            set.extend(class(&name).ok_or_else(|| format!("invalid character class '{name}'"))?);
            at += used;
        } else if let Some((name, used)) = bracket(rest, b'=') {
            let [byte] = name.as_bytes() else {
                return Err(format!(
                    "{name}: equivalence class operand must be a single character"
                ));
            };
            set.push(*byte);
            at += used;
        } else if let Some((byte, count, used)) = repeat(rest)? {
            if length.is_none() {
                return Err("the [c*] repeat construct may not appear in string1".to_owned());
            }
            match count {
                0 if fill.is_some() => {
                    return Err("only one [c*] repeat construct may appear in string2".to_owned());
                }
                0 => fill = Some((set.len(), byte)),
                // No set is longer than this needs to be.
                count => set.extend(std::iter::repeat_n(byte, count.min(1 << 16))),
            }
            at += used;
        } else if rest.len() >= 3 && rest[1] == Unit::Byte(b'-') {
            let (from, to) = (rest[0].byte(), rest[2].byte());
            if from > to {
                let range = String::from_utf8_lossy(&[from, b'-', to]).into_owned();
                return Err(format!(
                    "range-endpoints of '{range}' are in reverse collating sequence order"
                ));
            }
            set.extend(from..=to);
            at += 3;
        } else {
            set.push(rest[0].byte());
            at += 1;
        }
    }
    if let (Some((position, byte)), Some(length)) = (fill, length) {
        let missing = length.saturating_sub(set.len());
        set.splice(position..position, std::iter::repeat_n(byte, missing));
    }
    Ok(set)
}

fn unescape(text: &[u8]) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' || rest.is_empty() {
            units.push(Unit::Byte(*first));
            continue;
        }
        let digits = rest.iter().take(3).take_while(|digit| (b'0'..b'8').contains(*digit)).count();
        if digits > 0 {
            let mut digits = digits;
            let octal = |digits: &[u8]| {
                digits.iter().fold(0u32, |sum, digit| sum * 8 + u32::from(digit - b'0'))
            };
            if octal(&rest[..digits]) > 255 {
                digits = 2;
            }
            units.push(Unit::Escaped(octal(&rest[..digits]) as u8));
            rest = &rest[digits..];
            continue;
        }
        units.push(Unit::Escaped(match rest[0] {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            other => other,
        }));
        rest = &rest[1..];
    }
    units
}

/// `[:name:]` or `[=c=]` at the beginning: what stands within, and how much that is.
fn bracket(units: &[Unit], mark: u8) -> Option<(String, usize)> {
    let [Unit::Byte(b'['), Unit::Byte(first), ..] = units else { return None };
    if *first != mark {
        return None;
    }
    let end = (3..units.len().saturating_sub(1))
        .find(|at| units[*at] == Unit::Byte(mark) && units[at + 1] == Unit::Byte(b']'))?;
    let name: Vec<u8> = units[2..end].iter().map(|unit| unit.byte()).collect();
    Some((String::from_utf8_lossy(&name).into_owned(), end + 2))
}

/// `[c*]` or `[c*n]` at the beginning: the byte, how often (0: as often as needed), and how much that
/// is.
fn repeat(units: &[Unit]) -> Result<Option<(u8, usize, usize)>, String> {
    let [Unit::Byte(b'['), byte, Unit::Byte(b'*'), rest @ ..] = units else { return Ok(None) };
    let Some(end) = rest.iter().position(|unit| *unit == Unit::Byte(b']')) else { return Ok(None) };
    let digits: Vec<u8> = rest[..end].iter().map(|unit| unit.byte()).collect();
    let text = String::from_utf8_lossy(&digits).into_owned();
    let radix = if text.starts_with('0') { 8 } else { 10 };
    let count = match text.as_str() {
        "" => 0,
        text => usize::from_str_radix(text, radix)
            .map_err(|_| format!("invalid repeat count '{text}' in [c*n] construct"))?,
    };
    Ok(Some((byte.byte(), count, end + 4)))
}

/// The bytes of a class, in the locale C.
fn class(name: &str) -> Option<Vec<u8>> {
    let within: fn(&u8) -> bool = match name {
        "alnum" => u8::is_ascii_alphanumeric,
        "alpha" => u8::is_ascii_alphabetic,
        "blank" => |byte| matches!(byte, b' ' | b'\t'),
        "cntrl" => u8::is_ascii_control,
        "digit" => u8::is_ascii_digit,
        "graph" => u8::is_ascii_graphic,
        "lower" => u8::is_ascii_lowercase,
        "print" => |byte| matches!(byte, b' '..=b'~'),
        "punct" => u8::is_ascii_punctuation,
        "space" => |byte| matches!(byte, b'\t'..=b'\r' | b' '),
        "upper" => u8::is_ascii_uppercase,
        "xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    };
    Some((0..=255).filter(within).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(options: &[char], sets: &[&str], input: &[u8]) -> Vec<u8> {
        let mut parsed: Vec<_> =
            options.iter().map(|letter| Argument::Option(*letter, None)).collect();
        parsed.extend(sets.iter().map(|set| Argument::Operand(set)));
        let mut table = table(&parsed).unwrap_or_else(|(message, _)| panic!("{message}"));
        let mut bytes = input.to_vec();
        table.apply(&mut bytes);
        bytes
    }

    #[test]
    fn does_what_tr_does() {
        assert_eq!(run(&[], &["a-z", "A-Z"], b"abc.xyz"), b"ABC.XYZ");
        assert_eq!(run(&[], &["[:lower:]", "[:upper:]"], b"aB"), b"AB");
        assert_eq!(run(&['d'], &["\\n\\060"], b"a\n0b"), b"ab");
        assert_eq!(run(&['s'], &["ab"], b"aabbcc"), b"abcc");
        assert_eq!(run(&['c', 's'], &["[:alnum:]", "\\n"], b"a, b;;c"), b"a\nb\nc");
        assert_eq!(run(&[], &["abc", "x"], b"aabbcc"), b"xxxxxx");
        assert_eq!(run(&[], &["abcd", "[x*2]y[z*]"], b"abcd"), b"xxyz");
        assert_eq!(run(&['t'], &["abc", "x"], b"abc"), b"xbc");
        assert_eq!(run(&['d', 's'], &["a", "b"], b"aabbcc"), b"bcc");
    }

    proptest! {
        #[test]
        fn literal_sets_expand_to_themselves(set in "[a-zA-Z0-9 ,.]{0,20}") {
            prop_assert_eq!(expand(&set, None).unwrap(), set.as_bytes());
        }

        #[test]
        fn no_set_panics(set in ".{0,20}") {
            let _ = expand(&set, Some(10));
        }
    }
}

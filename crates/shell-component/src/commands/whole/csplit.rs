//! `csplit`: pieces of a file between lines that match.

use regex::Regex;

use super::{
    buffered::{Buffered, Call},
    gnu_options::{Given, Known},
    pattern::basic,
};

/// `csplit`.
pub(crate) const CSPLIT: Buffered = Buffered {
    wants_input: |arguments| {
        KNOWN
            .parse(arguments)
            .is_ok_and(|given| given.operands.first().is_some_and(|file| file == "-"))
    },
    run,
};

const KNOWN: Known = Known {
    short: "b:f:kn:sqz",
    long: &[
        ("suffix-format=", 'b'),
        ("prefix=", 'f'),
        ("keep-files", 'k'),
        ("digits=", 'n'),
        ("quiet", 's'),
        ("silent", 's'),
        ("elide-empty-files", 'z'),
        ("suppress-matched", 'm'),
    ],
};

/// Where a piece ends.
enum Border {
    Line(usize),
    Match { pattern: Regex, offset: isize, skips: bool },
}

fn run(call: &mut Call<'_>) -> u8 {
    match split(call) {
        Ok(()) => 0,
        Err(message) => {
            call.complain(message);
            1
        }
    }
}

fn split(call: &mut Call<'_>) -> Result<(), String> {
    let given = KNOWN.parse(call.arguments)?;
    let (file, borders) = given.operands.split_first().ok_or("missing operand")?;
    if borders.is_empty() {
        return Err(format!("missing operand after '{file}'"));
    }
    let text =
        call.read(file).map_err(|reason| format!("cannot open '{file}' for reading: {reason}"))?;
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let mut pieces = Pieces { lines: &lines, at: 0, given: &given, number: 0 };
    let mut borders = borders.iter().peekable();
    while let Some(word) = borders.next() {
        let border = border(word)?;
        pieces.upto(call, &border, word)?;
        let Some(repeat) = borders.next_if(|next| next.starts_with('{') && next.ends_with('}'))
        else {
            continue;
        };
        let count = &repeat[1..repeat.len() - 1];
        if count == "*" {
            while pieces.find(&border).is_some() {
                pieces.upto(call, &border, word)?;
            }
        } else {
            let count: usize = count
                .parse()
                .map_err(|_| format!("{repeat}: integer required between '{{' and '}}'"))?;
            for _ in 0..count {
                pieces.upto(call, &border, word)?;
            }
        }
    }
    pieces.write(call, lines.len())
}

fn border(word: &str) -> Result<Border, String> {
    if let Ok(line) = word.parse() {
        return Ok(Border::Line(line));
    }
    let invalid = || format!("{word}: invalid pattern");
    let mark = word.chars().next().filter(|mark| "/%".contains(*mark)).ok_or_else(invalid)?;
    let (pattern, offset) = word[1..].rsplit_once(mark).ok_or_else(invalid)?;
    let offset = if offset.is_empty() { 0 } else { offset.parse().map_err(|_| invalid())? };
    let pattern = Regex::new(&basic(pattern)).map_err(|_| invalid())?;
    Ok(Border::Match { pattern, offset, skips: mark == '%' })
}

struct Pieces<'a> {
    lines: &'a [&'a [u8]],
    at: usize,
    given: &'a Given,
    number: usize,
}

impl Pieces<'_> {
    /// The line that a piece ends before.
    fn find(&self, border: &Border) -> Option<usize> {
        match border {
            Border::Line(line) => (*line > self.at && *line <= self.lines.len()).then(|| line - 1),
            Border::Match { pattern, offset, .. } => {
                // A piece does not end where it began.
                let from = self.at + usize::from(self.number > 0 || self.at > 0);
                let found = (from..self.lines.len()).find(|at| {
                    let line = String::from_utf8_lossy(self.lines[*at]);
                    pattern.is_match(line.trim_end_matches('\n'))
                })?;
                found.checked_add_signed(*offset)
            }
        }
    }

    fn upto(&mut self, call: &mut Call<'_>, border: &Border, word: &str) -> Result<(), String> {
        let end = self.find(border).ok_or_else(|| match border {
            Border::Line(_) => format!("'{word}': line number out of range"),
            Border::Match { .. } => format!("'{word}': match not found"),
        })?;
        if matches!(border, Border::Match { skips: true, .. }) {
            self.at = end;
        } else {
            self.write(call, end)?;
        }
        if self.given.has('m') {
            self.at += 1;
        }
        Ok(())
    }

    fn write(&mut self, call: &mut Call<'_>, end: usize) -> Result<(), String> {
        let piece = self.lines[self.at.min(end)..end].concat();
        self.at = end;
        if piece.is_empty() && self.given.has('z') {
            return Ok(());
        }
        let digits = self.given.value('n').and_then(|digits| digits.parse().ok()).unwrap_or(2);
        let prefix = self.given.value('f').unwrap_or("xx");
        let name = match self.given.value('b') {
            Some(format) => format!("{prefix}{}", numbered(format, self.number)),
            None => format!("{prefix}{:0>digits$}", self.number),
        };
        call.write(&name, &piece).map_err(|reason| format!("{name}: {reason}"))?;
        self.number += 1;
        if !self.given.has('s') && !self.given.has('q') {
            call.say(piece.len());
        }
        Ok(())
    }
}

/// A format of `printf` for one number: `%03d.txt`.
fn numbered(format: &str, number: usize) -> String {
    let Some((before, rest)) = format.split_once('%') else { return format.to_owned() };
    let Some(at) = rest.find(['d', 'u', 'i', 'x', 'o']) else { return format.to_owned() };
    let width = rest[..at].trim_start_matches('0').parse().unwrap_or(0);
    let padded = if rest.starts_with('0') {
        format!("{number:0>width$}")
    } else {
        format!("{number:>width$}")
    };
    format!("{before}{padded}{}", &rest[at + 1..])
}

//! `cut`.

use std::io;

use super::{
    feed::each_line,
    options::{Argument, Line, Options, Value},
};
use crate::command::{Command, Invocation, Pending};

const OPTIONS: &Options = &[
    ('b', "bytes", Value::Required),
    ('c', "characters", Value::Required),
    ('d', "delimiter", Value::Required),
    ('f', "fields", Value::Required),
    ('n', "n", Value::None),
    ('s', "only-delimited", Value::None),
    ('z', "zero-terminated", Value::None),
    ('\u{10}', "complement", Value::None),
    ('\u{11}', "output-delimiter", Value::Required),
];

/// Writes parts of lines.
#[derive(Debug)]
pub(super) struct Cut;

/// Numbers from 1 on, as ranges that do not touch, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ranges(Vec<(usize, usize)>);

#[derive(Debug)]
struct Cutter {
    fields: bool,
    ranges: Ranges,
    delimiter: u8,
    output_delimiter: Option<Vec<u8>>,
    only_delimited: bool,
    end: u8,
}

impl Command for Cut {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let parsed = match call.line(OPTIONS, 1).await? {
                Line::Run(parsed) => parsed,
                Line::Done(code) => return Ok(code),
            };
            let (cutter, mut files) = match cutter(parsed) {
                Ok(read) => read,
                Err(message) => return call.misused(&message, 1).await,
            };
            if files.is_empty() {
                files.push("-");
            }
            let mut code = 0;
            for file in files {
                let Some(mut feed) = call.feed(file).await? else {
                    code = 1;
                    continue;
                };
                loop {
                    match feed.lines(cutter.end).await {
                        Ok(None) => break,
                        Ok(Some(lines)) => {
                            let out = call.output.buffer();
                            each_line(lines, cutter.end, |line, _| cutter.cut(line, out));
                        }
                        Err(error) => {
                            call.complain_about(file, error).await?;
                            code = 1;
                            break;
                        }
                    }
                    call.output.flush().await?;
                }
            }
            Ok(code)
        })
    }
}

fn cutter(parsed: Vec<Argument<'_>>) -> Result<(Cutter, Vec<&str>), String> {
    let mut list = None;
    let mut fields = false;
    let mut delimiter = None;
    let mut output_delimiter = None;
    let (mut only_delimited, mut complement, mut end) = (false, false, b'\n');
    let mut files = Vec::new();
    for argument in parsed {
        match argument {
            Argument::Option(letter @ ('b' | 'c' | 'f'), Some(value)) => {
                if list.replace(value).is_some() {
                    return Err("only one list may be specified".to_owned());
                }
                fields = letter == 'f';
            }
            Argument::Option('d', Some(value)) => {
                delimiter = match value.as_bytes() {
                    [] => Some(0),
                    [byte] => Some(*byte),
                    _ => return Err("the delimiter must be a single character".to_owned()),
                };
            }
            Argument::Option('s', _) => only_delimited = true,
            Argument::Option('z', _) => end = 0,
            Argument::Option('\u{10}', _) => complement = true,
            Argument::Option('\u{11}', Some(value)) => {
                output_delimiter = Some(value.as_bytes().to_vec())
            }
            Argument::Option(..) => {}
            Argument::Operand(file) => files.push(file),
        }
    }
    let Some(list) = list else {
        return Err("you must specify a list of bytes, characters, or fields".to_owned());
    };
    if !fields && delimiter.is_some() {
        return Err("an input delimiter may be specified only when operating on fields".to_owned());
    }
    if !fields && only_delimited {
        return Err("suppressing non-delimited lines makes sense\n\tonly when operating on fields"
            .to_owned());
    }
    let mut ranges = Ranges::parse(list, fields)?;
    if complement {
        ranges = ranges.complement();
    }
    let delimiter = delimiter.unwrap_or(b'\t');
    Ok((Cutter { fields, ranges, delimiter, output_delimiter, only_delimited, end }, files))
}

impl Cutter {
    fn cut(&self, line: &[u8], out: &mut Vec<u8>) {
        if self.fields {
            if !self.cut_fields(line, out) {
                return;
            }
        } else {
            let mut first = true;
            for &(from, to) in &self.ranges.0 {
                if from > line.len() {
                    break;
                }
                if let Some(delimiter) = &self.output_delimiter
                    && !first
                {
                    out.extend_from_slice(delimiter);
                }
                first = false;
                out.extend_from_slice(&line[from - 1..to.min(line.len())]);
            }
        }
        out.push(self.end);
    }

    /// Whether there is something to write.
    fn cut_fields(&self, line: &[u8], out: &mut Vec<u8>) -> bool {
        let own = [self.delimiter];
        let delimiter = self.output_delimiter.as_deref().unwrap_or(&own);
        let mut ranges = self.ranges.0.iter().copied();
        let mut range = ranges.next();
        let mut number = 1;
        let mut start = 0;
        let mut written = false;
        let mut field = |number: usize, field: &[u8]| {
            while let Some((_, to)) = range
                && number > to
            {
                range = ranges.next();
            }
            if let Some((from, _)) = range
                && number >= from
            {
                if written {
                    out.extend_from_slice(delimiter);
                }
                out.extend_from_slice(field);
                written = true;
            }
            range.is_some()
        };
        let mut delimited = false;
        for at in memchr::memchr_iter(self.delimiter, line) {
            delimited = true;
            let more = field(number, &line[start..at]);
            number += 1;
            start = at + 1;
            if !more {
                return true;
            }
        }
        if delimited {
            field(number, &line[start..]);
            return true;
        }
        if !self.only_delimited {
            out.extend_from_slice(line);
        }
        !self.only_delimited
    }
}

impl Ranges {
    fn parse(list: &str, fields: bool) -> Result<Self, String> {
        let what = if fields { "field" } else { "byte/character" };
        let number = |text: &str| match text.parse::<usize>() {
            Ok(0) if fields => Err("fields are numbered from 1".to_owned()),
            Ok(0) => Err("byte/character positions are numbered from 1".to_owned()),
            Ok(number) => Ok(number),
            Err(_) if !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) => {
                Err(format!("{what} number '{text}' is too large"))
            }
            Err(_) => Err(format!("invalid {what} value '{text}'")),
        };
        let mut ranges = Vec::new();
        for part in list.split([',', ' ', '\t']) {
            let range = match part.split_once('-') {
                None => {
                    let at = number(part)?;
                    (at, at)
                }
                Some(("", "")) => return Err("invalid range with no endpoint: -".to_owned()),
                Some((from, to)) => {
                    let from = if from.is_empty() { 1 } else { number(from)? };
                    let to = if to.is_empty() { usize::MAX } else { number(to)? };
                    (from, to)
                }
            };
            if range.0 > range.1 {
                return Err("invalid decreasing range".to_owned());
            }
            ranges.push(range);
        }
        ranges.sort_unstable();
        let mut merged: Vec<(usize, usize)> = Vec::new();
        for (from, to) in ranges {
            match merged.last_mut() {
                // Neighbours stay apart: between them stands the output delimiter.
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        Ok(Self(merged))
    }

    fn complement(&self) -> Self {
        let mut rest = Vec::new();
        let mut next = 1;
        for &(from, to) in &self.0 {
            if from > next {
                rest.push((next, from - 1));
            }
            let Some(after) = to.checked_add(1) else { return Self(rest) };
            next = next.max(after);
        }
        rest.push((next, usize::MAX));
        Self(rest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn complement_has_exactly_the_other_numbers(
            pairs in proptest::collection::vec((1usize..40, 0usize..10), 1..6),
        ) {
            let list: Vec<_> =
                pairs.iter().map(|(from, length)| format!("{from}-{}", from + length)).collect();
            let ranges = Ranges::parse(&list.join(","), true).unwrap();
            let complement = ranges.complement();
            let within = |ranges: &Ranges, number| ranges.0.iter().any(|(a, b)| (*a..=*b).contains(&number));
            for number in 1..100 {
                let wanted = pairs.iter().any(|(a, n)| (*a..=a + n).contains(&number));
                prop_assert_eq!(within(&ranges, number), wanted);
                prop_assert_eq!(within(&complement, number), !wanted);
            }
        }
    }

    #[test]
    fn complains_in_the_words_of_cut() {
        for (list, words) in [
            ("0", "fields are numbered from 1"),
            ("3-1", "invalid decreasing range"),
            ("-", "invalid range with no endpoint: -"),
            ("x", "invalid field value 'x'"),
        ] {
            assert_eq!(Ranges::parse(list, true), Err(words.to_owned()));
        }
    }
}

//! `uniq`.

use std::io;

use super::{
    feed::Feed,
    options::{Argument, Line, Options, Value},
};
use crate::{
    command::{Command, Invocation, Pending},
    engine::reason,
};

const OPTIONS: &Options = &[
    ('c', "count", Value::None),
    ('d', "repeated", Value::None),
    ('D', "D", Value::None),
    ('\u{10}', "all-repeated", Value::Optional),
    ('\u{11}', "group", Value::Optional),
    ('f', "skip-fields", Value::Required),
    ('i', "ignore-case", Value::None),
    ('s', "skip-chars", Value::Required),
    ('u', "unique", Value::None),
    ('w', "check-chars", Value::Required),
    ('z', "zero-terminated", Value::None),
];

/// Writes one of several equal lines in succession.
#[derive(Debug)]
pub(super) struct Uniq;

#[derive(Debug, Default)]
struct Rule {
    count: bool,
    repeated: bool,
    unique: bool,
    /// Every one of repeated lines, with or without an empty line before each or between groups.
    all: Option<Groups>,
    /// All lines, also those that are not repeated.
    every: bool,
    ignore_case: bool,
    skip_fields: usize,
    skip_chars: usize,
    check_chars: Option<usize>,
    end: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Groups {
    Plain,
    Prepend,
    Separate,
    Append,
    Both,
}

impl Command for Uniq {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let parsed = match call.line(OPTIONS, 1).await? {
                Line::Run(parsed) => parsed,
                Line::Done(code) => return Ok(code),
            };
            let (rule, files) = match rule(&parsed) {
                Ok(read) => read,
                Err(message) => return call.misused(&message, 1).await,
            };
            if let Some(extra) = files.get(2) {
                return call.misused(&format!("extra operand '{extra}'"), 1).await;
            }
            let Some(mut feed) = call.feed(files.first().unwrap_or(&"-")).await? else {
                return Ok(1);
            };
            let mut file = match files.get(1) {
                None | Some(&"-") => None,
                Some(name) => match call.world.create(&call.path(name), false) {
                    Ok(file) => Some(file),
                    Err(error) => {
                        call.complain(format!("{name}: {}", reason(&error))).await?;
                        return Ok(1);
                    }
                },
            };
            let mut groups = Grouping::default();
            while let Some(more) = rule.step(&mut feed, &mut groups, call.output.buffer()).await? {
                if let Some(file) = &mut file {
                    file.write_all(call.output.buffer())?;
                    call.output.buffer().clear();
                } else {
                    call.output.flush().await?;
                }
                if !more {
                    break;
                }
            }
            Ok(0)
        })
    }
}

fn rule<'a>(parsed: &[Argument<'a>]) -> Result<(Rule, Vec<&'a str>), String> {
    let mut rule = Rule { end: b'\n', ..Rule::default() };
    let mut files = Vec::new();
    let number = |value: &str, what: &str| {
        value.parse().map_err(|_| format!("{value}: invalid number of {what}"))
    };
    for argument in parsed {
        match argument {
            Argument::Option('c', _) => rule.count = true,
            Argument::Option('d', _) => rule.repeated = true,
            Argument::Option('D', _) | Argument::Option('\u{10}', None | Some("none")) => {
                rule.all = Some(Groups::Plain);
            }
            Argument::Option('\u{10}', Some("prepend")) => rule.all = Some(Groups::Prepend),
            Argument::Option('\u{10}', Some("separate")) => rule.all = Some(Groups::Separate),
            Argument::Option('\u{10}', Some(other)) => {
                return Err(format!("invalid argument '{other}' for '--all-repeated'"));
            }
            Argument::Option('\u{11}', method) => {
                rule.every = true;
                rule.all = Some(match method {
                    None | Some("separate") => Groups::Separate,
                    Some("prepend") => Groups::Prepend,
                    Some("append") => Groups::Append,
                    Some("both") => Groups::Both,
                    Some(other) => return Err(format!("invalid argument '{other}' for '--group'")),
                });
            }
            Argument::Option('u', _) => rule.unique = true,
            Argument::Option('i', _) => rule.ignore_case = true,
            Argument::Option('z', _) => rule.end = 0,
            Argument::Option('f', Some(value)) => {
                rule.skip_fields = number(value, "fields to skip")?
            }
            Argument::Option('s', Some(value)) => rule.skip_chars = number(value, "bytes to skip")?,
            Argument::Option('w', Some(value)) => {
                rule.check_chars = Some(number(value, "bytes to compare")?);
            }
            Argument::Option(..) => {}
            Argument::Operand(file) => files.push(*file),
        }
    }
    if rule.every && (rule.count || rule.repeated || rule.unique) {
        return Err("--group is mutually exclusive with -c/-d/-D/-u".to_owned());
    }
    if rule.count && rule.all.is_some() {
        return Err("printing all duplicated lines and repeat counts is meaningless".to_owned());
    }
    Ok((rule, files))
}

/// The equal lines that are being read.
#[derive(Debug, Default)]
struct Grouping {
    line: Option<Vec<u8>>,
    count: u64,
    written: bool,
}

impl Rule {
    /// Reads some lines; whether there are more, or nothing once all is written.
    async fn step(
        &self,
        feed: &mut Feed,
        group: &mut Grouping,
        out: &mut Vec<u8>,
    ) -> io::Result<Option<bool>> {
        let Some(lines) = feed.lines(self.end).await? else {
            self.finish(group, out);
            return Ok(Some(false));
        };
        super::feed::each_line(lines, self.end, |line, _| {
            if group.line.as_deref().is_some_and(|first| self.equal(first, line)) {
                group.count += 1;
                if self.all.is_some() {
                    if group.count == 2 && !self.every {
                        self.begin_group(group, out);
                        let first = group.line.clone().unwrap_or_default();
                        self.put(&first, out);
                    }
                    self.put(line, out);
                }
                return;
            }
            self.finish(group, out);
            group.line = Some(line.to_vec());
            group.count = 1;
            if self.every {
                self.begin_group(group, out);
                self.put(line, out);
            }
        });
        Ok(Some(true))
    }

    fn begin_group(&self, group: &mut Grouping, out: &mut Vec<u8>) {
        match self.all {
            Some(Groups::Prepend) => out.push(self.end),
            Some(Groups::Separate) if group.written => out.push(self.end),
            Some(Groups::Both) if !group.written => out.push(self.end),
            _ => {}
        }
        group.written = true;
    }

    fn put(&self, line: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(line);
        out.push(self.end);
    }

    fn finish(&self, group: &mut Grouping, out: &mut Vec<u8>) {
        let Some(line) = group.line.take() else { return };
        if matches!(self.all, Some(Groups::Append | Groups::Both)) {
            out.push(self.end);
        }
        let repeated = group.count > 1;
        if self.all.is_some() || (self.repeated && !repeated) || (self.unique && repeated) {
            return;
        }
        if self.count {
            out.extend_from_slice(format!("{:7} ", group.count).as_bytes());
        }
        self.put(&line, out);
    }

    fn equal(&self, a: &[u8], b: &[u8]) -> bool {
        let (a, b) = (self.key(a), self.key(b));
        if self.ignore_case { a.eq_ignore_ascii_case(b) } else { a == b }
    }

    fn key<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let mut key = line;
        for _ in 0..self.skip_fields {
            let start = key.iter().position(|byte| !blank(byte)).unwrap_or(key.len());
            key = &key[start..];
            let end = key.iter().position(blank).unwrap_or(key.len());
            key = &key[end..];
        }
        key = &key[self.skip_chars.min(key.len())..];
        &key[..self.check_chars.unwrap_or(key.len()).min(key.len())]
    }
}

//! `tail`. Files are not followed: nothing grows while a script waits for it.

use std::io;

use super::{
    feed::Feed,
    number::{self, Number},
    options::{Argument, Line, Options, Value},
};
use crate::command::{Command, Invocation, Output, Pending};

const OPTIONS: &Options = &[
    ('c', "bytes", Value::Required),
    ('n', "lines", Value::Required),
    ('f', "f", Value::None),
    ('F', "F", Value::None),
    ('\u{10}', "follow", Value::Optional),
    ('q', "quiet", Value::None),
    ('q', "silent", Value::None),
    ('v', "verbose", Value::None),
    ('z', "zero-terminated", Value::None),
];

/// Writes the ends of files.
#[derive(Debug)]
pub(super) struct Tail;

impl Command for Tail {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let mut arguments = number::modern(call.arguments);
            if let Some(first) = arguments.first_mut()
                && let Some(count) = first.strip_prefix('+')
                && count.parse::<u64>().is_ok()
            {
                *first = format!("-n+{count}");
            }
            let parsed = match call.line_of(OPTIONS, &arguments, 1).await? {
                Line::Run(parsed) => parsed,
                Line::Done(code) => return Ok(code),
            };
            let mut bytes = false;
            let mut count = Number { from_end: true, count: 10 };
            let mut end = b'\n';
            let mut names = None;
            let mut files = Vec::new();
            for argument in parsed {
                match argument {
                    Argument::Option(letter @ ('c' | 'n'), Some(value)) => {
                        bytes = letter == 'c';
                        let Some(parsed) = number::parse(value) else {
                            let what = if bytes { "bytes" } else { "lines" };
                            call.complain(format!("invalid number of {what}: ‘{value}’")).await?;
                            return Ok(1);
                        };
                        count = Number { from_end: !value.starts_with('+'), count: parsed };
                    }
                    Argument::Option('f' | 'F' | '\u{10}', _) => {
                        call.complain("following files is not supported: it would never end")
                            .await?;
                        return Ok(1);
                    }
                    Argument::Option('q', _) => names = Some(false),
                    Argument::Option('v', _) => names = Some(true),
                    Argument::Option('z', _) => end = 0,
                    Argument::Option(..) => {}
                    Argument::Operand(file) => files.push(file),
                }
            }
            if files.is_empty() {
                files.push("-");
            }
            let names = names.unwrap_or(files.len() > 1);
            let mut code = 0;
            let mut first = true;
            for file in files {
                let Some(mut feed) = call.feed(file).await? else {
                    code = 1;
                    continue;
                };
                if names {
                    let shown = if file == "-" { "standard input" } else { file };
                    let break_before = if first { "" } else { "\n" };
                    let title = format!("{break_before}==> {shown} <==\n");
                    call.output.write(title.as_bytes()).await?;
                }
                first = false;
                let unit = if bytes { None } else { Some(end) };
                let result = if count.from_end {
                    last(&mut feed, unit, count.count, &mut call.output).await
                } else {
                    from(&mut feed, unit, count.count, &mut call.output).await
                };
                if let Err(error) = result {
                    if error.kind() == io::ErrorKind::BrokenPipe {
                        return Err(error);
                    }
                    call.complain_about(file, error).await?;
                    code = 1;
                }
            }
            Ok(code)
        })
    }
}

/// All from the `number`th line (or byte, without a line end) on.
async fn from(feed: &mut Feed, end: Option<u8>, number: u64, out: &mut Output) -> io::Result<()> {
    let mut skip = number.saturating_sub(1);
    while let Some(block) = feed.block().await? {
        let mut start = 0;
        if skip > 0 {
            match end {
                None => {
                    start = usize::try_from(skip).unwrap_or(usize::MAX).min(block.len());
                    skip -= start as u64;
                }
                Some(end) => {
                    let ends = super::feed::count(end, block) as u64;
                    let nth = usize::try_from(skip - 1).unwrap_or(usize::MAX);
                    start =
                        memchr::memchr_iter(end, block).nth(nth).map_or(block.len(), |at| at + 1);
                    skip = skip.saturating_sub(ends);
                }
            }
        }
        out.write(&block[start..]).await?;
    }
    Ok(())
}

/// The last `count` lines (or bytes). Only as much is kept as those have.
async fn last(feed: &mut Feed, end: Option<u8>, count: u64, out: &mut Output) -> io::Result<()> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut kept: Vec<u8> = Vec::new();
    // What may be dropped is looked for only when that much more has come.
    let mut worthwhile = 1 << 20;
    while let Some(block) = feed.block().await? {
        if count == 0 {
            continue;
        }
        kept.extend_from_slice(block);
        if kept.len() >= worthwhile {
            let start = tail_start(&kept, end, count);
            kept.drain(..start);
            worthwhile = (kept.len() * 2).max(1 << 20);
        }
    }
    let start = tail_start(&kept, end, count);
    out.write(&kept[start..]).await
}

fn tail_start(bytes: &[u8], end: Option<u8>, count: usize) -> usize {
    let Some(end) = end else { return bytes.len().saturating_sub(count) };
    if count == 0 {
        return bytes.len();
    }
    // The end of the last line begins no other.
    let searched = bytes.strip_suffix(&[end]).unwrap_or(bytes);
    memchr::memrchr_iter(end, searched).nth(count - 1).map_or(0, |at| at + 1)
}

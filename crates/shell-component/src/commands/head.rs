//! `head`.

use std::{collections::VecDeque, io};

use super::{
    number::{self, Number},
    options::{Argument, Line, Options, Value},
};
use crate::command::{Command, Invocation, Output, Pending};

const OPTIONS: &Options = &[
    ('c', "bytes", Value::Required),
    ('n', "lines", Value::Required),
    ('q', "quiet", Value::None),
    ('q', "silent", Value::None),
    ('v', "verbose", Value::None),
    ('z', "zero-terminated", Value::None),
];

/// Writes the beginnings of files.
#[derive(Debug)]
pub(super) struct Head;

/// What is wanted of each file.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    bytes: bool,
    count: Number,
    end: u8,
}

impl Command for Head {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let arguments = number::modern(call.arguments);
            let parsed = match call.line_of(OPTIONS, &arguments, 1).await? {
                Line::Run(parsed) => parsed,
                Line::Done(code) => return Ok(code),
            };
            let ten = Number { from_end: false, count: 10 };
            let mut wanted = Wanted { bytes: false, count: ten, end: b'\n' };
            let mut names = None;
            let mut files = Vec::new();
            for argument in parsed {
                match argument {
                    Argument::Option(letter @ ('c' | 'n'), Some(value)) => {
                        wanted.bytes = letter == 'c';
                        let Some(count) = number::parse(value) else {
                            let what = if wanted.bytes { "bytes" } else { "lines" };
                            call.complain(format!("invalid number of {what}: ‘{value}’")).await?;
                            return Ok(1);
                        };
                        wanted.count = Number { from_end: value.starts_with('-'), count };
                    }
                    Argument::Option('q', _) => names = Some(false),
                    Argument::Option('v', _) => names = Some(true),
                    Argument::Option('z', _) => wanted.end = 0,
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
                let result = match wanted.count.from_end {
                    false => begin(&mut feed, wanted, &mut call.output).await,
                    true => all_but(&mut feed, wanted, &mut call.output).await,
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

async fn begin(feed: &mut super::feed::Feed, wanted: Wanted, out: &mut Output) -> io::Result<()> {
    let mut left = wanted.count.count;
    while left > 0 {
        // Not in whole lines: what there is of a line is wanted too.
        let Some(block) = feed.block().await? else { break };
        let mut taken = block.len();
        if wanted.bytes {
            taken = usize::try_from(left).map_or(taken, |left| left.min(taken));
            left -= taken as u64;
        } else {
            let ends = super::feed::count(wanted.end, block) as u64;
            if ends >= left {
                let last = usize::try_from(left - 1).unwrap_or(usize::MAX);
                taken = memchr::memchr_iter(wanted.end, block).nth(last).map_or(taken, |at| at + 1);
            }
            left = left.saturating_sub(ends);
        }
        let rest = block.len() - taken;
        out.write(&block[..taken]).await?;
        feed.leave(rest);
    }
    Ok(())
}

/// All but the last lines or bytes: as much is held back as those may be.
async fn all_but(feed: &mut super::feed::Feed, wanted: Wanted, out: &mut Output) -> io::Result<()> {
    let count = usize::try_from(wanted.count.count).unwrap_or(usize::MAX);
    let mut held: VecDeque<Vec<u8>> = VecDeque::new();
    if wanted.bytes {
        let mut tail: Vec<u8> = Vec::new();
        while let Some(block) = feed.block().await? {
            tail.extend_from_slice(block);
            if tail.len() > count {
                let surplus = tail.len() - count;
                out.write(&tail[..surplus]).await?;
                tail.drain(..surplus);
            }
        }
        return Ok(());
    }
    while let Some(lines) = feed.lines(wanted.end).await? {
        for line in lines.split_inclusive(|byte| *byte == wanted.end) {
            held.push_back(line.to_vec());
            if held.len() > count
                && let Some(line) = held.pop_front()
            {
                out.buffer().extend_from_slice(&line);
            }
        }
        out.relieve().await?;
    }
    out.flush().await
}

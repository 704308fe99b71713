//! `rev` and `tac`.

use std::io;

use super::{
    feed::each_line,
    options::{Argument, Line, Options, Value},
};
use crate::command::{Command, Invocation, Pending};

/// Writes the characters of each line in reverse.
#[derive(Debug)]
pub(super) struct Rev;

/// Writes lines in reverse.
#[derive(Debug)]
pub(super) struct Tac;

const TAC: &Options = &[
    ('b', "before", Value::None),
    ('r', "regex", Value::None),
    ('s', "separator", Value::Required),
];

impl Command for Rev {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let parsed = match call.line(&[], 1).await? {
                Line::Run(parsed) => parsed,
                Line::Done(code) => return Ok(code),
            };
            let mut code = 0;
            for file in operands(&parsed) {
                let Some(mut feed) = call.feed(file).await? else {
                    code = 1;
                    continue;
                };
                loop {
                    match feed.lines(b'\n').await {
                        Ok(None) => break,
                        Ok(Some(lines)) => {
                            let out = call.output.buffer();
                            each_line(lines, b'\n', |line, whole| {
                                match std::str::from_utf8(line) {
                                    Ok(text) => {
                                        out.extend(text.chars().rev().collect::<String>().bytes())
                                    }
                                    Err(_) => out.extend(line.iter().rev()),
                                }
                                out.extend_from_slice(&whole[line.len()..]);
                            });
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

impl Command for Tac {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let parsed = match call.line(TAC, 1).await? {
                Line::Run(parsed) => parsed,
                Line::Done(code) => return Ok(code),
            };
            let mut separator = "\n";
            let mut before = false;
            for argument in &parsed {
                match argument {
                    Argument::Option('r', _) => {
                        call.complain("-r is not supported").await?;
                        return Ok(1);
                    }
                    Argument::Option('b', _) => before = true,
                    Argument::Option(_, Some(value)) => separator = value,
                    _ => {}
                }
            }
            if separator.is_empty() {
                call.complain("separator cannot be empty").await?;
                return Ok(1);
            }
            let mut code = 0;
            for file in operands(&parsed) {
                let Some(mut feed) = call.feed(file).await? else {
                    code = 1;
                    continue;
                };
                let mut text = Vec::new();
                loop {
                    match feed.block().await {
                        Ok(None) => break,
                        Ok(Some(block)) => text.extend_from_slice(block),
                        Err(error) => {
                            call.complain_about(file, error).await?;
                            code = 1;
                            break;
                        }
                    }
                }
                let mut end = text.len();
                for at in memchr::memmem::rfind_iter(&text, separator) {
                    let cut = if before { at } else { at + separator.len() };
                    if cut < end {
                        call.output.buffer().extend_from_slice(&text[cut..end]);
                        call.output.relieve().await?;
                    }
                    end = cut;
                }
                call.output.buffer().extend_from_slice(&text[..end]);
                call.output.flush().await?;
            }
            Ok(code)
        })
    }
}

/// The files a command is told; standard input where it is told none.
pub(super) fn operands<'a>(parsed: &[Argument<'a>]) -> Vec<&'a str> {
    let mut files: Vec<&str> = parsed
        .iter()
        .filter_map(|argument| match argument {
            Argument::Operand(file) => Some(*file),
            Argument::Option(..) => None,
        })
        .collect();
    if files.is_empty() {
        files.push("-");
    }
    files
}

//! `nl`, without logical pages: a file is one body.

use std::io;

use super::{
    feed::each_line,
    options::{Argument, Line, Options, Value},
};
use crate::command::{Command, Invocation, Pending};

const OPTIONS: &Options = &[
    ('b', "body-numbering", Value::Required),
    ('i', "line-increment", Value::Required),
    ('n', "number-format", Value::Required),
    ('s', "number-separator", Value::Required),
    ('v', "starting-line-number", Value::Required),
    ('w', "number-width", Value::Required),
];

/// Numbers lines.
#[derive(Debug)]
pub(super) struct Nl;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Left,
    Right,
    Zeros,
}

impl Command for Nl {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let parsed = match call.line(OPTIONS, 1).await? {
                Line::Run(parsed) => parsed,
                Line::Done(code) => return Ok(code),
            };
            let (mut all, mut none) = (false, false);
            let (mut next, mut step, mut width) = (1i64, 1i64, 6usize);
            let (mut separator, mut place) = ("\t", Place::Right);
            for argument in &parsed {
                let Argument::Option(letter, Some(value)) = argument else { continue };
                let valid = match letter {
                    'b' => {
                        (all, none) = (*value == "a", *value == "n");
                        matches!(*value, "a" | "n" | "t")
                    }
                    'i' => value.parse().map(|value| step = value).is_ok(),
                    'v' => value.parse().map(|value| next = value).is_ok(),
                    // Wider than this is a mistake, and would fill the memory.
                    'w' => {
                        value.parse().map(|value| width = value).is_ok()
                            && (1..10_000).contains(&width)
                    }
                    'n' => match *value {
                        "ln" => {
                            place = Place::Left;
                            true
                        }
                        "rn" => {
                            place = Place::Right;
                            true
                        }
                        "rz" => {
                            place = Place::Zeros;
                            true
                        }
                        _ => false,
                    },
                    _ => {
                        separator = value;
                        true
                    }
                };
                if !valid {
                    call.complain(format!("invalid value for -{letter}: '{value}'")).await?;
                    return Ok(1);
                }
            }
            let mut code = 0;
            for file in super::rev::operands(&parsed) {
                let Some(mut feed) = call.feed(file).await? else {
                    code = 1;
                    continue;
                };
                loop {
                    match feed.lines(b'\n').await {
                        Ok(None) => break,
                        Ok(Some(lines)) => {
                            let out = call.output.buffer();
                            each_line(lines, b'\n', |line, _| {
                                if !none && (all || !line.is_empty()) {
                                    let number = match place {
                                        Place::Left => format!("{next:<width$}"),
                                        Place::Right => format!("{next:>width$}"),
                                        Place::Zeros => format!("{next:0>width$}"),
                                    };
                                    out.extend_from_slice(number.as_bytes());
                                    out.extend_from_slice(separator.as_bytes());
                                    next = next.saturating_add(step);
                                } else {
                                    let blank = width + separator.chars().count();
                                    out.extend(std::iter::repeat_n(b' ', blank));
                                }
                                out.extend_from_slice(line);
                                out.push(b'\n');
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

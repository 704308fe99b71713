//! `cat`.

use std::io;

use super::{
    feed::each_line,
    options::{Argument, Line, Options, Value},
};
use crate::command::{Command, Invocation, Pending};

const OPTIONS: &Options = &[
    ('A', "show-all", Value::None),
    ('b', "number-nonblank", Value::None),
    ('e', "e", Value::None),
    ('E', "show-ends", Value::None),
    ('n', "number", Value::None),
    ('s', "squeeze-blank", Value::None),
    ('t', "t", Value::None),
    ('T', "show-tabs", Value::None),
    ('u', "u", Value::None),
    ('v', "show-nonprinting", Value::None),
];

/// Writes files one after another.
#[derive(Debug)]
pub(super) struct Cat;

#[derive(Debug, Default)]
struct Style {
    number: bool,
    number_nonblank: bool,
    squeeze: bool,
    ends: bool,
    tabs: bool,
    nonprinting: bool,
    /// The line that comes next, and whether the one before was blank or is unfinished.
    line: u64,
    blank: bool,
    unfinished: bool,
}

impl Command for Cat {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let arguments = match call.line(OPTIONS, 1).await? {
                Line::Run(arguments) => arguments,
                Line::Done(code) => return Ok(code),
            };
            let mut style = Style { line: 1, ..Style::default() };
            let mut files = Vec::new();
            for argument in arguments {
                match argument {
                    Argument::Option(letter, _) => style.set(letter),
                    Argument::Operand(file) => files.push(file),
                }
            }
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
                    let block =
                        if style.is_plain() { feed.block().await } else { feed.lines(b'\n').await };
                    match block {
                        Ok(None) => break,
                        Ok(Some(block)) if style.is_plain() => call.output.write(block).await?,
                        Ok(Some(block)) => {
                            style.show(block, call.output.buffer());
                            call.output.flush().await?;
                        }
                        Err(error) => {
                            call.complain_about(file, error).await?;
                            code = 1;
                            break;
                        }
                    }
                }
            }
            Ok(code)
        })
    }
}

impl Style {
    fn set(&mut self, letter: char) {
        match letter {
            'A' => (self.nonprinting, self.ends, self.tabs) = (true, true, true),
            'b' => self.number_nonblank = true,
            'e' => (self.nonprinting, self.ends) = (true, true),
            'E' => self.ends = true,
            'n' => self.number = true,
            's' => self.squeeze = true,
            't' => (self.nonprinting, self.tabs) = (true, true),
            'T' => self.tabs = true,
            'v' => self.nonprinting = true,
            _ => {}
        }
    }

    fn is_plain(&self) -> bool {
        !(self.number
            || self.number_nonblank
            || self.squeeze
            || self.ends
            || self.tabs
            || self.nonprinting)
    }

    fn show(&mut self, lines: &[u8], out: &mut Vec<u8>) {
        each_line(lines, b'\n', |line, whole| {
            let blank = line.is_empty() && !self.unfinished;
            if self.squeeze && blank && self.blank {
                return;
            }
            self.blank = blank;
            let numbered = if self.number_nonblank { !blank } else { self.number };
            if numbered && !self.unfinished {
                out.extend_from_slice(format!("{:6}\t", self.line).as_bytes());
                self.line += 1;
            }
            for &byte in line {
                self.show_byte(byte, out);
            }
            self.unfinished = whole.len() == line.len();
            if !self.unfinished {
                out.extend_from_slice(if self.ends { b"$\n" } else { b"\n" });
            }
        });
    }

    fn show_byte(&self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b'\t' if self.tabs => out.extend_from_slice(b"^I"),
            b'\t' => out.push(byte),
            _ if !self.nonprinting => out.push(byte),
            _ => {
                let mut low = byte;
                if byte >= 128 {
                    out.extend_from_slice(b"M-");
                    low = byte - 128;
                }
                match low {
                    0..32 => out.extend_from_slice(&[b'^', low + 64]),
                    127 => out.extend_from_slice(b"^?"),
                    _ => out.push(low),
                }
            }
        }
    }
}

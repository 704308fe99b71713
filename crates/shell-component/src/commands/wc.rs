//! `wc`.

use std::io;

use super::{
    feed::Feed,
    options::{Argument, Line, Options, Value},
};
use crate::command::{Command, Invocation, Pending};

const OPTIONS: &Options = &[
    ('c', "bytes", Value::None),
    ('m', "chars", Value::None),
    ('l', "lines", Value::None),
    ('L', "max-line-length", Value::None),
    ('w', "words", Value::None),
    ('\u{10}', "files0-from", Value::Required),
    ('\u{11}', "total", Value::Required),
];

/// Counts lines, words and bytes.
#[derive(Debug)]
pub(super) struct Wc;

#[derive(Debug, Clone, Copy, Default)]
struct Columns {
    lines: bool,
    words: bool,
    chars: bool,
    bytes: bool,
    longest: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    lines: u64,
    words: u64,
    chars: u64,
    bytes: u64,
    longest: u64,
    /// Of the word and the line that are being read.
    in_word: bool,
    width: u64,
}

impl Command for Wc {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let parsed = match call.line(OPTIONS, 1).await? {
                Line::Run(parsed) => parsed,
                Line::Done(code) => return Ok(code),
            };
            let mut columns = Columns::default();
            let mut files: Vec<String> = Vec::new();
            let mut total = "auto";
            let mut from = None;
            for argument in parsed {
                match argument {
                    Argument::Option('c', _) => columns.bytes = true,
                    Argument::Option('m', _) => columns.chars = true,
                    Argument::Option('l', _) => columns.lines = true,
                    Argument::Option('L', _) => columns.longest = true,
                    Argument::Option('w', _) => columns.words = true,
                    Argument::Option('\u{10}', value) => from = value,
                    Argument::Option('\u{11}', Some(value)) => total = value,
                    Argument::Option(..) => {}
                    Argument::Operand(file) => files.push(file.to_owned()),
                }
            }
            if let Some(list) = from {
                let Some(mut feed) = call.feed(list).await? else { return Ok(1) };
                while let Some(names) = feed.lines(0).await? {
                    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
                    files.extend(names.map(|name| String::from_utf8_lossy(name).into_owned()));
                }
            }
            if !(columns.bytes
                || columns.chars
                || columns.lines
                || columns.longest
                || columns.words)
            {
                (columns.lines, columns.words, columns.bytes) = (true, true, true);
            }
            let named = !files.is_empty();
            if !named && from.is_none() {
                files.push("-".to_owned());
            }
            let mut width = call.width(&files, columns, named);
            if total == "only" {
                width = 1;
            }
            let mut code = 0;
            let mut sum = Counts::default();
            for file in &files {
                let Some(mut feed) = call.feed(file).await? else {
                    code = 1;
                    continue;
                };
                let (counts, result) = count(&mut feed, columns).await;
                if let Err(error) = result {
                    call.complain_about(file, error).await?;
                    code = 1;
                }
                sum.add(&counts);
                if total != "only" {
                    let name = if named { Some(file.as_str()) } else { None };
                    call.output.write(row(&counts, columns, width, name).as_bytes()).await?;
                }
            }
            let wants_total = match total {
                "always" | "only" => true,
                "never" => false,
                _ => files.len() > 1,
            };
            if wants_total {
                let name = (total != "only").then_some("total");
                call.output.write(row(&sum, columns, width, name).as_bytes()).await?;
            }
            Ok(code)
        })
    }
}

impl Invocation<'_> {
    /// GNU's columns are as wide as the sum of the files' sizes, and 7 where a size is not known.
    fn width(&self, files: &[String], columns: Columns, named: bool) -> usize {
        let shown = [columns.lines, columns.words, columns.chars, columns.bytes, columns.longest];
        if files.len() <= 1 && shown.iter().filter(|shown| **shown).count() == 1 {
            return 1;
        }
        if !named {
            return 7;
        }
        let mut sum = 0;
        let mut least = 1;
        for file in files {
            match self.world.facts(&self.path(file)) {
                Ok(facts) if facts.kind == crate::filesystem::Kind::File => sum += facts.size,
                Ok(_) => least = 7,
                Err(_) if file == "-" => least = 7,
                Err(_) => {}
            }
        }
        sum.to_string().len().max(least)
    }
}

async fn count(feed: &mut Feed, columns: Columns) -> (Counts, io::Result<()>) {
    let mut counts = Counts::default();
    let only_lines = !(columns.words || columns.chars || columns.longest);
    loop {
        let block = match feed.block().await {
            Ok(Some(block)) => block,
            Ok(None) => break,
            Err(error) => return (counts, Err(error)),
        };
        counts.bytes += block.len() as u64;
        if only_lines {
            if columns.lines {
                counts.lines += super::feed::count(b'\n', block) as u64;
            }
        } else {
            counts.read(block);
        }
    }
    counts.longest = counts.longest.max(counts.width);
    counts.words += u64::from(counts.in_word);
    (counts, Ok(()))
}

impl Counts {
    fn read(&mut self, block: &[u8]) {
        for &byte in block {
            // A character begins with every byte that continues none.
            let begins = byte & 0xC0 != 0x80;
            self.chars += u64::from(begins);
            match byte {
                b' ' | b'\t'..=b'\r' => {
                    self.words += u64::from(self.in_word);
                    self.in_word = false;
                    match byte {
                        b'\n' | b'\r' | 0x0c => {
                            self.lines += u64::from(byte == b'\n');
                            self.longest = self.longest.max(self.width);
                            self.width = 0;
                        }
                        b'\t' => self.width += 8 - self.width % 8,
                        b' ' => self.width += 1,
                        _ => {}
                    }
                }
                _ => {
                    // GNU counts only what can be shown as part of a word.
                    self.in_word |= byte > b' ' && byte != 127;
                    self.width += u64::from(begins && byte >= b' ' && byte != 127);
                }
            }
        }
    }

    fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        self.words += other.words;
        self.chars += other.chars;
        self.bytes += other.bytes;
        self.longest = self.longest.max(other.longest);
    }
}

fn row(counts: &Counts, columns: Columns, width: usize, name: Option<&str>) -> String {
    let shown = [
        (columns.lines, counts.lines),
        (columns.words, counts.words),
        (columns.chars, counts.chars),
        (columns.bytes, counts.bytes),
        (columns.longest, counts.longest),
    ];
    let mut cells: Vec<String> = shown
        .iter()
        .filter(|(shown, _)| *shown)
        .map(|(_, count)| format!("{count:width$}"))
        .collect();
    cells.extend(name.map(str::to_owned));
    cells.join(" ") + "\n"
}

//! `diff`: texts and trees of them.

pub(crate) mod edits;
mod formats;
mod side_by_side;
mod template;
mod tree;

pub(crate) use tree::matches_pattern;

use std::{collections::HashMap, path::Path};

use super::{
    buffered::{Buffered, Call},
    gnu_options::{Given, Known},
};
use edits::Change;

/// `diff`.
pub(crate) const DIFF: Buffered = Buffered {
    wants_input: |arguments| {
        arguments.iter().any(|argument| argument == "-" || argument == "/dev/stdin")
    },
    run,
};

/// `sdiff`: `diff -y`.
pub(crate) const SDIFF: Buffered =
    Buffered { wants_input: DIFF.wants_input, run: side_by_side_run };

const KNOWN: Known = Known {
    short: "qsuU:cC:enyW:iEbwBZaI:rNPx:X:L:tTpdHF:lv",
    long: &[
        ("brief", 'q'),
        ("report-identical-files", 's'),
        ("unified[=]", '1'),
        ("context[=]", '2'),
        ("ed", 'e'),
        ("rcs", 'n'),
        ("normal", '3'),
        ("side-by-side", 'y'),
        ("width=", 'W'),
        ("left-column", '4'),
        ("suppress-common-lines", '5'),
        ("ignore-case", 'i'),
        ("ignore-tab-expansion", 'E'),
        ("ignore-space-change", 'b'),
        ("ignore-all-space", 'w'),
        ("ignore-blank-lines", 'B'),
        ("ignore-trailing-space", 'Z'),
        ("strip-trailing-cr", '6'),
        ("text", 'a'),
        ("recursive", 'r'),
        ("new-file", 'N'),
        ("unidirectional-new-file", 'P'),
        ("exclude=", 'x'),
        ("label=", 'L'),
        ("expand-tabs", 't'),
        ("initial-tab", 'T'),
        ("show-c-function", 'p'),
        ("minimal", 'd'),
        ("speed-large-files", 'H'),
        ("no-dereference", '7'),
        ("color[=]", '8'),
        ("old-group-format=", 'o'),
        ("new-group-format=", 'g'),
        ("unchanged-group-format=", '='),
        ("changed-group-format=", '!'),
        ("line-format=", '%'),
        ("old-line-format=", 'O'),
        ("new-line-format=", 'G'),
        ("unchanged-line-format=", '_'),
        ("version", 'v'),
    ],
};

/// How many lines stand around a change if nobody says.
const CONTEXT: usize = 3;

/// What the output looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Style {
    Normal,
    Brief,
    Unified(usize),
    Context(usize),
    Ed,
    Rcs,
    SideBySide,
    Template,
}

/// What was asked for.
struct Request {
    given: Given,
    style: Style,
    color: bool,
}

/// A file as it is compared.
struct Text {
    /// As it is named in the output.
    name: String,
    /// As the headers have it.
    label: String,
    bytes: Vec<u8>,
}

/// Lines, without their line ends.
pub(crate) struct Lines<'a> {
    pub(crate) lines: Vec<&'a [u8]>,
    /// Whether the last one has a line end.
    pub(crate) complete: bool,
}

fn run(call: &mut Call<'_>) -> u8 {
    compare(call, call.arguments)
}

fn compare(call: &mut Call<'_>, arguments: &[String]) -> u8 {
    let request = match KNOWN.parse(&old_style_contexts(arguments)).and_then(request) {
        Ok(request) => request,
        Err(message) => {
            call.complain(message);
            call.complain("Try 'diff --help' for more information.");
            return 2;
        }
    };
    if request.given.has('v') {
        call.say("diff (GNU diffutils) 3.8");
        return 0;
    }
    let [old, new] = request.given.operands.as_slice() else {
        let message = match request.given.operands.last() {
            Some(last) if request.given.operands.len() < 2 => {
                format!("missing operand after '{last}'")
            }
            Some(_) => format!("extra operand '{}'", request.given.operands[2]),
            None => "missing operand after 'diff'".to_owned(),
        };
        call.complain(message);
        call.complain("Try 'diff --help' for more information.");
        return 2;
    };
    tree::compare(call, &request, old, new)
}

/// What `sdiff` calls otherwise, and the style that it has.
fn side_by_side_run(call: &mut Call<'_>) -> u8 {
    let mut arguments = vec!["-y".to_owned()];
    for argument in call.arguments {
        arguments.push(match argument.as_str() {
            "-s" => "--suppress-common-lines".to_owned(),
            "-l" => "--left-column".to_owned(),
            "-W" => "-w".to_owned(),
            "-w" => "-W".to_owned(),
            other => other.to_owned(),
        });
    }
    compare(call, &arguments)
}

/// `-u5`, `-c5` and `-5` as `-U5` and `-C5`.
fn old_style_contexts(arguments: &[String]) -> Vec<String> {
    let context = arguments.iter().any(|argument| argument == "-c");
    let rewritten = |argument: &String| {
        let digits = argument.trim_end_matches(|char: char| char.is_ascii_digit());
        let number = &argument[digits.len()..];
        let letters = digits.strip_prefix('-').filter(|_| !number.is_empty())?;
        let (others, last) = match letters.char_indices().next_back() {
            Some((at, 'u')) => (&letters[..at], 'U'),
            Some((at, 'c')) => (&letters[..at], 'C'),
            None => ("", if context { 'C' } else { 'U' }),
            Some(_) => return None,
        };
        Some(format!("-{others}{last}{number}"))
    };
    let rewrite = |argument: &String| rewritten(argument).unwrap_or_else(|| argument.clone());
    let mut arguments: Vec<_> = arguments.iter().map(rewrite).collect();
    // A style of its own does not take the number back.
    if arguments.iter().any(|argument| argument.starts_with("-C")) {
        arguments.retain(|argument| argument != "-c");
    }
    arguments
}

fn request(given: Given) -> Result<Request, String> {
    let lines = |value: Option<&str>| match value {
        None => Ok(CONTEXT),
        Some(value) => value.parse().map_err(|_| format!("invalid context length '{value}'")),
    };
    let mut style = Style::Normal;
    let mut widest = None;
    for (option, value) in &given.options {
        match option {
            'q' => style = Style::Brief,
            // `-u` after `-U5` keeps the five.
            'u' | '1' | 'U' => {
                let wanted = lines(value.as_deref())?;
                let wanted = if value.is_some() { wanted } else { widest.unwrap_or(wanted) };
                widest = Some(wanted);
                style = Style::Unified(wanted);
            }
            'c' | '2' | 'C' => style = Style::Context(lines(value.as_deref())?),
            'e' => style = Style::Ed,
            'n' => style = Style::Rcs,
            'y' => style = Style::SideBySide,
            '3' => style = Style::Normal,
            'o' | 'g' | '=' | '!' | '%' | 'O' | 'G' | '_' => style = Style::Template,
            _ => {}
        }
    }
    let color = given
        .options
        .iter()
        .rfind(|(option, _)| *option == '8')
        .is_some_and(|(_, when)| when.as_deref() == Some("always"));
    Ok(Request { given, style, color })
}

/// How much of a file is looked at to tell whether it is text.
const LOOKED_AT: usize = 32 * 1024;

fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(LOOKED_AT)].contains(&0)
}

/// Compares two texts and writes how they differ. Returns whether they do.
fn compare_texts(call: &mut Call<'_>, request: &Request, old: &Text, new: &Text) -> bool {
    let given = &request.given;
    let identical = old.bytes == new.bytes;
    if identical {
        if given.has('s') {
            call.say(format_args!("Files {} and {} are identical", old.name, new.name));
        }
        if request.style == Style::SideBySide && !given.has('5') {
            let lines = Lines::of(&old.bytes);
            side_by_side::write(call, request, &lines, &lines, &[]);
        }
        if request.style == Style::Template {
            let lines = Lines::of(&old.bytes);
            template::write(call, request, &lines, &lines, &[]);
        }
        return false;
    }
    if !given.has('a') && (is_binary(&old.bytes) || is_binary(&new.bytes)) {
        let files = if request.style == Style::Brief { "Files" } else { "Binary files" };
        call.say(format_args!("{files} {} and {} differ", old.name, new.name));
        return true;
    }
    let (old_lines, new_lines) = (Lines::of(&old.bytes), Lines::of(&new.bytes));
    let mut numbers = Numbers::new(given);
    let old_numbers = numbers.of(&old_lines);
    let new_numbers = numbers.of(&new_lines);
    let changes = edits::changes(&old_numbers, &new_numbers);
    let counts = |change: &Change| !ignored(given, change, &old_lines, &new_lines);
    let differ = changes.iter().any(counts);
    if !differ {
        if given.has('s') {
            call.say(format_args!("Files {} and {} are identical", old.name, new.name));
        }
        return false;
    }
    match &request.style {
        Style::Brief => {
            call.say(format_args!("Files {} and {} differ", old.name, new.name));
        }
        Style::SideBySide => side_by_side::write(call, request, &old_lines, &new_lines, &changes),
        Style::Template => template::write(call, request, &old_lines, &new_lines, &changes),
        Style::Unified(_) | Style::Context(_) => {
            formats::with_context(call, request, (old, &old_lines), (new, &new_lines), &changes);
        }
        Style::Normal | Style::Ed | Style::Rcs => {
            let changes: Vec<_> = changes.into_iter().filter(counts).collect();
            formats::without_context(call, request, &old_lines, &new_lines, &changes);
        }
    }
    true
}

/// Whether all lines of a change are such that they do not matter.
fn ignored(given: &Given, change: &Change, old: &Lines<'_>, new: &Lines<'_>) -> bool {
    if !given.has('B') {
        return false;
    }
    let blank = |line: &&[u8]| line.iter().all(u8::is_ascii_whitespace);
    old.lines[change.old..change.old + change.deleted].iter().all(blank)
        && new.lines[change.new..change.new + change.inserted].iter().all(blank)
}

impl<'a> Lines<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        let mut lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
        let complete = lines.last().is_some_and(|last| last.is_empty());
        if complete {
            lines.pop();
        }
        Self { lines, complete: complete || bytes.is_empty() }
    }

    /// Whether this line, counted from 0, is the last one and has no line end.
    pub(crate) fn is_incomplete(&self, line: usize) -> bool {
        !self.complete && line + 1 == self.lines.len()
    }
}

/// Gives the same number to lines that count as the same.
struct Numbers<'a> {
    given: &'a Given,
    numbers: HashMap<(Vec<u8>, bool), u32>,
}

impl<'a> Numbers<'a> {
    fn new(given: &'a Given) -> Self {
        Self { given, numbers: HashMap::new() }
    }

    fn of(&mut self, lines: &Lines<'_>) -> Vec<u32> {
        let spaces_matter = !(self.given.has('b') || self.given.has('w') || self.given.has('Z'));
        let mut numbers = Vec::with_capacity(lines.lines.len());
        for (index, line) in lines.lines.iter().enumerate() {
            // A missing line end is a difference, unless spaces at the end are none.
            let key = (self.key(line), spaces_matter && lines.is_incomplete(index));
            let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
            numbers.push(*self.numbers.entry(key).or_insert(next));
        }
        numbers
    }

    fn key(&self, line: &[u8]) -> Vec<u8> {
        let mut key = line.to_vec();
        if self.given.has('6') && key.last() == Some(&b'\r') {
            key.pop();
        }
        if self.given.has('E') {
            key = expand_tabs(&key);
        }
        if self.given.has('w') {
            key.retain(|byte| !byte.is_ascii_whitespace());
        } else if self.given.has('b') {
            let mut single = Vec::with_capacity(key.len());
            for byte in key {
                let space = byte.is_ascii_whitespace();
                if !space {
                    single.push(byte);
                } else if single.last() != Some(&b' ') {
                    single.push(b' ');
                }
            }
            key = single;
        }
        if self.given.has('b') || self.given.has('Z') {
            while key.last().is_some_and(u8::is_ascii_whitespace) {
                key.pop();
            }
        }
        if self.given.has('i') {
            key = String::from_utf8_lossy(&key).to_lowercase().into_bytes();
        }
        key
    }
}

/// The line with spaces up to the next multiple of eight instead of each tab.
fn expand_tabs(line: &[u8]) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(line.len());
    for byte in line {
        if *byte == b'\t' {
            expanded.resize((expanded.len() / 8 + 1) * 8, b' ');
        } else {
            expanded.push(*byte);
        }
    }
    expanded
}

/// A name in a directory, as it is shown.
fn joined(directory: &str, name: &str) -> String {
    Path::new(directory).join(name).to_string_lossy().into_owned()
}

//! The formats that programs read: normal, unified, context, ed and RCS.

use super::{Change, Lines, Request, Style, Text, expand_tabs};
use crate::commands::whole::buffered::Call;

/// Writes lines with their marks, in colour if wanted.
struct Writer<'a> {
    request: &'a Request,
    output: &'a mut Vec<u8>,
}

const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const CYAN: &str = "\x1b[36m";

impl Writer<'_> {
    fn plain(&mut self, text: &str, color: &str) {
        let text =
            if self.request.color { format!("{color}{text}{RESET}") } else { text.to_owned() };
        self.output.extend_from_slice(text.as_bytes());
        self.output.push(b'\n');
    }

    fn line(&mut self, mark: &str, lines: &Lines<'_>, index: usize, color: &str) {
        let colored = self.request.color && !color.is_empty();
        if colored {
            self.output.extend_from_slice(color.as_bytes());
        }
        let mark = if self.request.given.has('T') && !mark.is_empty() {
            format!("{}\t", mark.trim_end())
        } else {
            mark.to_owned()
        };
        self.output.extend_from_slice(mark.as_bytes());
        if self.request.given.has('t') {
            self.output.extend(expand_tabs(lines.lines[index]));
        } else {
            self.output.extend_from_slice(lines.lines[index]);
        }
        if colored {
            self.output.extend_from_slice(RESET.as_bytes());
        }
        self.output.push(b'\n');
        if lines.is_incomplete(index) && !matches!(self.request.style, Style::Ed | Style::Rcs) {
            self.output.extend_from_slice(b"\\ No newline at end of file\n");
        }
    }
}

/// A range as the normal format has it, from a first line counted from 0.
fn range(first: usize, count: usize) -> String {
    match count {
        0 => first.to_string(),
        1 => (first + 1).to_string(),
        _ => format!("{},{}", first + 1, first + count),
    }
}

/// The formats that show changed lines alone.
pub(super) fn without_context(
    call: &mut Call<'_>,
    request: &Request,
    old: &Lines<'_>,
    new: &Lines<'_>,
    changes: &[Change],
) {
    let mut writer = Writer { request, output: &mut call.output };
    match request.style {
        Style::Ed => {
            for change in changes.iter().rev() {
                ed(&mut writer, new, change);
            }
        }
        Style::Rcs => {
            for change in changes {
                rcs(&mut writer, new, change);
            }
        }
        _ => {
            for change in changes {
                normal(&mut writer, old, new, change);
            }
        }
    }
}

fn normal(writer: &mut Writer<'_>, old: &Lines<'_>, new: &Lines<'_>, change: &Change) {
    let letter = match (change.deleted, change.inserted) {
        (0, _) => 'a',
        (_, 0) => 'd',
        _ => 'c',
    };
    let old_range = range(change.old, change.deleted);
    let new_range = range(change.new, change.inserted);
    writer.plain(&format!("{old_range}{letter}{new_range}"), CYAN);
    for index in change.old..change.old + change.deleted {
        writer.line("< ", old, index, RED);
    }
    if letter == 'c' {
        writer.output.extend_from_slice(b"---\n");
    }
    for index in change.new..change.new + change.inserted {
        writer.line("> ", new, index, GREEN);
    }
}

fn ed(writer: &mut Writer<'_>, new: &Lines<'_>, change: &Change) {
    let letter = match (change.deleted, change.inserted) {
        (0, _) => 'a',
        (_, 0) => 'd',
        _ => 'c',
    };
    let command = format!("{}{letter}\n", range(change.old, change.deleted));
    writer.output.extend_from_slice(command.as_bytes());
    if change.inserted == 0 {
        return;
    }
    let mut inserting = true;
    for index in change.new..change.new + change.inserted {
        if !inserting {
            writer.output.extend_from_slice(b"a\n");
            inserting = true;
        }
        if new.lines[index] == b"." {
            // A lone dot would end the text.
            writer.output.extend_from_slice(b"..\n.\ns/.//\n");
            inserting = false;
        } else {
            writer.line("", new, index, "");
        }
    }
    if inserting {
        writer.output.extend_from_slice(b".\n");
    }
}

fn rcs(writer: &mut Writer<'_>, new: &Lines<'_>, change: &Change) {
    if change.deleted > 0 {
        let command = format!("d{} {}\n", change.old + 1, change.deleted);
        writer.output.extend_from_slice(command.as_bytes());
    }
    if change.inserted > 0 {
        let command = format!("a{} {}\n", change.old + change.deleted, change.inserted);
        writer.output.extend_from_slice(command.as_bytes());
        for index in change.new..change.new + change.inserted {
            writer.line("", new, index, "");
        }
    }
}

/// The formats that show lines around the changes.
pub(super) fn with_context(
    call: &mut Call<'_>,
    request: &Request,
    (old_text, old): (&Text, &Lines<'_>),
    (new_text, new): (&Text, &Lines<'_>),
    changes: &[Change],
) {
    let (context, unified) = match request.style {
        Style::Context(context) => (context, false),
        Style::Unified(context) => (context, true),
        _ => (0, true),
    };
    let mut writer = Writer { request, output: &mut call.output };
    let marks = if unified { ["---", "+++"] } else { ["***", "---"] };
    writer.plain(&format!("{} {}", marks[0], old_text.label), BOLD);
    writer.plain(&format!("{} {}", marks[1], new_text.label), BOLD);
    for hunk in hunks(changes, context) {
        if hunk.iter().all(|change| super::ignored(&request.given, change, old, new)) {
            continue;
        }
        let (first, last) = (hunk[0], hunk[hunk.len() - 1]);
        let before = context.min(first.old).min(first.new);
        let old_end = last.old + last.deleted;
        let new_end = last.new + last.inserted;
        let after = context.min(old.lines.len() - old_end).min(new.lines.len() - new_end);
        let function =
            if request.given.has('p') { function_before(old, first.old - before) } else { None };
        let function = function.map(|line| format!(" {line}")).unwrap_or_default();
        let span = Span {
            function,
            old: first.old - before,
            old_end: old_end + after,
            new: first.new - before,
            new_end: new_end + after,
        };
        if unified {
            write_unified(&mut writer, old, new, hunk, &span);
        } else {
            write_context(&mut writer, old, new, hunk, &span);
        }
    }
}

struct Span {
    /// What is shown behind the ranges.
    function: String,
    old: usize,
    old_end: usize,
    new: usize,
    new_end: usize,
}

/// Changes so close to each other that their contexts touch.
fn hunks(changes: &[Change], context: usize) -> Vec<&[Change]> {
    changes.chunk_by(|one, next| next.old - (one.old + one.deleted) <= 2 * context).collect()
}

/// The last line above that looks like the beginning of a function of C.
fn function_before(lines: &Lines<'_>, before: usize) -> Option<String> {
    let begins = |line: &&&[u8]| {
        line.first()
            .is_some_and(|first| first.is_ascii_alphabetic() || matches!(first, b'_' | b'$'))
    };
    let line = lines.lines[..before].iter().rev().find(begins)?;
    // As much as diff shows.
    const SHOWN: usize = 40;
    let text = String::from_utf8_lossy(line);
    Some(text.chars().take(SHOWN).collect::<String>().trim_end().to_owned())
}

fn write_unified(
    writer: &mut Writer<'_>,
    old: &Lines<'_>,
    new: &Lines<'_>,
    hunk: &[Change],
    span: &Span,
) {
    let range = |first: usize, end: usize| match end - first {
        0 => format!("{first},0"),
        1 => (first + 1).to_string(),
        count => format!("{},{count}", first + 1),
    };
    let (old_range, new_range) = (range(span.old, span.old_end), range(span.new, span.new_end));
    writer.plain(&format!("@@ -{old_range} +{new_range} @@{}", span.function), CYAN);
    let mut done = span.old;
    for change in hunk {
        for index in done..change.old {
            writer.line(" ", old, index, "");
        }
        for index in change.old..change.old + change.deleted {
            writer.line("-", old, index, RED);
        }
        for index in change.new..change.new + change.inserted {
            writer.line("+", new, index, GREEN);
        }
        done = change.old + change.deleted;
    }
    for index in done..span.old_end {
        writer.line(" ", old, index, "");
    }
}

fn write_context(
    writer: &mut Writer<'_>,
    old: &Lines<'_>,
    new: &Lines<'_>,
    hunk: &[Change],
    span: &Span,
) {
    let range = |first: usize, end: usize| match end - first {
        0 => first.to_string(),
        1 => (first + 1).to_string(),
        _ => format!("{},{end}", first + 1),
    };
    writer.output.extend_from_slice(format!("***************{}\n", span.function).as_bytes());
    writer.plain(&format!("*** {} ****", range(span.old, span.old_end)), CYAN);
    if hunk.iter().any(|change| change.deleted > 0) {
        let mut done = span.old;
        for change in hunk {
            for index in done..change.old {
                writer.line("  ", old, index, "");
            }
            let mark = if change.inserted == 0 { "- " } else { "! " };
            for index in change.old..change.old + change.deleted {
                writer.line(mark, old, index, RED);
            }
            done = change.old + change.deleted;
        }
        for index in done..span.old_end {
            writer.line("  ", old, index, "");
        }
    }
    writer.plain(&format!("--- {} ----", range(span.new, span.new_end)), CYAN);
    if hunk.iter().any(|change| change.inserted > 0) {
        let mut done = span.new;
        for change in hunk {
            for index in done..change.new {
                writer.line("  ", new, index, "");
            }
            let mark = if change.deleted == 0 { "+ " } else { "! " };
            for index in change.new..change.new + change.inserted {
                writer.line(mark, new, index, GREEN);
            }
            done = change.new + change.inserted;
        }
        for index in done..span.new_end {
            writer.line("  ", new, index, "");
        }
    }
}

//! What is done with the lines that match.

use std::collections::VecDeque;

use super::matcher::Matcher;

/// What to do about files that are no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Binary {
    /// Say that they match, instead of showing where.
    #[default]
    Say,
    /// Show them all the same.
    Text,
    /// Take them not to match.
    Skip,
}

/// What is to be written about the lines.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) invert: bool,
    pub(super) names: bool,
    pub(super) numbers: bool,
    pub(super) offsets: bool,
    pub(super) count: bool,
    pub(super) files_with: bool,
    pub(super) files_without: bool,
    pub(super) only_matching: bool,
    pub(super) quiet: bool,
    pub(super) tab: bool,
    pub(super) null: bool,
    pub(super) color: bool,
    pub(super) most: Option<u64>,
    pub(super) before: usize,
    pub(super) after: usize,
    pub(super) separator: Option<String>,
    pub(super) binary: Binary,
    pub(super) end: u8,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            invert: false,
            names: false,
            numbers: false,
            offsets: false,
            count: false,
            files_with: false,
            files_without: false,
            only_matching: false,
            quiet: false,
            tab: false,
            null: false,
            color: false,
            most: None,
            before: 0,
            after: 0,
            separator: Some("--".to_owned()),
            binary: Binary::Say,
            end: b'\n',
        }
    }
}

impl Report {
    /// Whether only one thing is wanted to be known about each file.
    fn is_summary(&self) -> bool {
        self.count || self.files_with || self.files_without || self.quiet
    }
}

/// Whether the rest of a file matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It does.
    More,
    /// Not what is behind so many bytes of the lines.
    Enough(usize),
}

/// The search in one file.
pub(super) struct Search<'a> {
    matcher: &'a Matcher,
    report: &'a Report,
    name: &'a str,
    selected: u64,
    /// The line and the offset that `lines` begins with.
    line: u64,
    offset: u64,
    is_binary: bool,
    binary_matched: bool,
    before: VecDeque<(u64, u64, Vec<u8>)>,
    after_left: usize,
    last_shown: Option<u64>,
}

impl<'a> Search<'a> {
    pub(super) fn new(matcher: &'a Matcher, report: &'a Report, name: &'a str) -> Self {
        Self {
            matcher,
            report,
            name,
            selected: 0,
            line: 1,
            offset: 0,
            is_binary: false,
            binary_matched: false,
            before: VecDeque::new(),
            after_left: 0,
            last_shown: None,
        }
    }

    /// Searches whole lines.
    pub(super) fn lines(&mut self, lines: &[u8], out: &mut Vec<u8>) -> Found {
        let report = self.report;
        if report.most == Some(0) {
            return Found::Enough(0);
        }
        if report.binary != Binary::Text && report.end != 0 && !self.is_binary {
            self.is_binary = memchr::memchr(0, lines).is_some();
            if self.is_binary && report.binary == Binary::Skip {
                self.selected = 0;
                return Found::Enough(lines.len());
            }
        }
        let context = !report.is_summary()
            && !report.only_matching
            && (report.before > 0 || report.after > 0);
        let found = if context || report.invert {
            self.each(lines, context, out)
        } else {
            self.jump(lines, out)
        };
        if report.numbers || context {
            self.line += super::super::feed::count(report.end, lines) as u64;
        }
        self.offset += lines.len() as u64;
        found
    }

    /// From match to match.
    fn jump(&mut self, lines: &[u8], out: &mut Vec<u8>) -> Found {
        let mut from = 0;
        // Up to where the lines are counted.
        let (mut counted, mut number) = (0, self.line);
        while from < lines.len() {
            let Some(range) = self.matcher.next_line(lines, from, self.report.end) else { break };
            if self.report.numbers {
                number +=
                    super::super::feed::count(self.report.end, &lines[counted..range.start]) as u64;
                counted = range.start;
            }
            from = range.end;
            let place = (number, self.offset + range.start as u64);
            if self.select(&lines[range], place, out) {
                return Found::Enough(from);
            }
        }
        Found::More
    }

    /// Line by line, since those that do not match are shown too.
    fn each(&mut self, lines: &[u8], context: bool, out: &mut Vec<u8>) -> Found {
        let end = self.report.end;
        let plain = self.report.invert
            && !context
            && !self.report.is_summary()
            && !self.report.only_matching
            && self.report.most.is_none()
            && !(self.report.names || self.report.numbers || self.report.offsets)
            && !self.is_binary;
        let mut from = 0;
        let mut number = self.line;
        let mut next = self.matcher.next_line(lines, 0, end);
        while from < lines.len() {
            if plain {
                // All up to the next match at once.
                let stop = next.as_ref().map_or(lines.len(), |range| range.start);
                if stop > from {
                    self.selected += 1;
                    out.extend_from_slice(&lines[from..stop]);
                    if stop == lines.len() && lines.last() != Some(&end) {
                        out.push(end);
                    }
                }
                let Some(range) = next else { break };
                from = range.end;
                next = self.matcher.next_line(lines, from, end);
                continue;
            }
            let stop = memchr::memchr(end, &lines[from..]).map_or(lines.len(), |at| from + at + 1);
            let matches = next.as_ref().is_some_and(|range| range.start == from);
            if matches {
                next = self.matcher.next_line(lines, stop, end);
            }
            let place = (number, self.offset + from as u64);
            let line = &lines[from..stop];
            if matches != self.report.invert {
                if context && !self.is_binary {
                    self.show_before(place.0, out);
                }
                if self.select(line, place, out) {
                    return Found::Enough(stop);
                }
                self.last_shown = Some(number);
                self.after_left = self.report.after;
            } else if context && !self.is_binary {
                self.pass(line, place, out);
            }
            number += 1;
            from = stop;
        }
        Found::More
    }

    fn pass(&mut self, line: &[u8], place: (u64, u64), out: &mut Vec<u8>) {
        if self.after_left > 0 {
            self.after_left -= 1;
            self.show(line, place, b'-', out);
            self.last_shown = Some(place.0);
            return;
        }
        if self.report.before > 0 {
            if self.before.len() == self.report.before {
                self.before.pop_front();
            }
            self.before.push_back((place.0, place.1, line.to_vec()));
        }
    }

    fn show_before(&mut self, number: u64, out: &mut Vec<u8>) {
        let first = self.before.front().map_or(number, |(number, _, _)| *number);
        let gap = self.last_shown.is_some_and(|last| last + 1 < first);
        if gap && let Some(separator) = &self.report.separator {
            out.extend_from_slice(separator.as_bytes());
            out.push(b'\n');
        }
        for (number, offset, line) in std::mem::take(&mut self.before) {
            self.show(&line, (number, offset), b'-', out);
        }
    }

    /// A line that is wanted; whether no more are.
    fn select(&mut self, line: &[u8], place: (u64, u64), out: &mut Vec<u8>) -> bool {
        self.selected += 1;
        let report = self.report;
        if report.quiet || report.files_with || report.files_without {
            return true;
        }
        if !report.count {
            if self.is_binary {
                self.binary_matched = true;
                return true;
            }
            if report.only_matching {
                if !report.invert {
                    self.show_matches(line, place, out);
                }
            } else {
                self.show(line, place, b':', out);
            }
        }
        // After the last one, its context would follow.
        report.most == Some(self.selected)
    }

    fn prefix(&self, (number, offset): (u64, u64), mark: u8, out: &mut Vec<u8>) {
        let report = self.report;
        if report.names {
            out.extend_from_slice(self.name.as_bytes());
            out.push(if report.null { 0 } else { mark });
        }
        if report.numbers {
            out.extend_from_slice(number.to_string().as_bytes());
            out.push(mark);
        }
        if report.offsets {
            out.extend_from_slice(offset.to_string().as_bytes());
            out.push(mark);
        }
        if report.tab && (report.names || report.numbers || report.offsets) {
            out.push(b'\t');
        }
    }

    fn show(&self, line: &[u8], place: (u64, u64), mark: u8, out: &mut Vec<u8>) {
        self.prefix(place, mark, out);
        let text = line.strip_suffix(&[self.report.end]).unwrap_or(line);
        if self.report.color && mark == b':' && !self.report.invert {
            self.paint(text, out);
        } else {
            out.extend_from_slice(text);
        }
        out.push(self.report.end);
    }

    fn paint(&self, text: &[u8], out: &mut Vec<u8>) {
        let mut from = 0;
        while let Some(found) = self.matcher.find(text, from) {
            if found.is_empty() {
                break;
            }
            out.extend_from_slice(&text[from..found.start]);
            out.extend_from_slice(b"\x1b[01;31m\x1b[K");
            out.extend_from_slice(&text[found.clone()]);
            out.extend_from_slice(b"\x1b[m\x1b[K");
            from = found.end;
        }
        out.extend_from_slice(&text[from..]);
    }

    fn show_matches(&self, line: &[u8], (number, offset): (u64, u64), out: &mut Vec<u8>) {
        let text = line.strip_suffix(&[self.report.end]).unwrap_or(line);
        let mut from = 0;
        while from <= text.len() {
            let Some(found) = self.matcher.find(text, from) else { break };
            if found.is_empty() {
                // To the next character, of which a match does not begin within.
                from = found.end + 1;
                while from < text.len() && text[from] & 0xC0 == 0x80 {
                    from += 1;
                }
                continue;
            }
            self.prefix((number, offset + found.start as u64), b':', out);
            from = found.end;
            if self.report.color {
                self.paint(&text[found], out);
            } else {
                out.extend_from_slice(&text[found]);
            }
            out.push(self.report.end);
        }
    }

    /// What is said about the file as a whole; whether lines were selected.
    pub(super) fn finish(self, out: &mut Vec<u8>, errors: &mut Vec<u8>) -> bool {
        let report = self.report;
        let selected = self.selected > 0;
        if report.quiet {
            return selected;
        }
        if self.binary_matched {
            errors.extend_from_slice(
                format!("grep: {}: binary file matches\n", self.name).as_bytes(),
            );
        }
        if report.count && !(report.files_with || report.files_without) {
            if report.names {
                out.extend_from_slice(self.name.as_bytes());
                out.push(if report.null { 0 } else { b':' });
            }
            out.extend_from_slice(format!("{}\n", self.selected).as_bytes());
        }
        if (report.files_with && selected) || (report.files_without && !selected) {
            out.extend_from_slice(self.name.as_bytes());
            out.push(if report.null { 0 } else { b'\n' });
        }
        if report.files_without { !selected } else { selected }
    }
}

//! Finds the lines that a pattern matches.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

use super::pattern::{self, Syntax};

/// How large a compiled pattern may become: what a large list of words (`-f words`) needs.
const PATTERN_BYTES: usize = 64 * 1024 * 1024;

/// How patterns are written, and what of a line they have to match.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) syntax: Syntax,
    pub(super) ignore_case: bool,
    /// Whole words.
    pub(super) words: bool,
    /// The whole line.
    pub(super) lines: bool,
    /// What lines end with.
    pub(super) end: u8,
}

/// A pattern that is ready.
#[derive(Debug)]
pub(super) enum Matcher {
    /// Searches many lines at once.
    Fast(Regex),
    /// Searches line by line: with references back, or Perl's syntax, in which a class may match a
    /// line's end.
    Slow(fancy_regex::Regex),
}

impl Matcher {
    /// Compiles what any of the patterns match. The error is for people.
    pub(super) fn new(patterns: &[String], style: Style) -> Result<Self, String> {
        let Style { syntax, ignore_case, words, lines, end } = style;
        let mut slow = syntax == Syntax::Perl;
        let mut alternatives = Vec::new();
        for pattern in patterns {
            let translated = pattern::translate(pattern, syntax).map_err(str::to_owned)?;
            slow |= translated.refers_back;
            alternatives.push(translated.pattern);
        }
        let mut all = match alternatives.as_slice() {
            // No pattern matches nothing.
            [] => "[^\\s\\S]".to_owned(),
            [one] => one.clone(),
            many => many.iter().map(|one| format!("(?:{one})")).collect::<Vec<_>>().join("|"),
        };
        if lines {
            all = format!("^(?:{all})$");
        } else if words {
            all = format!(r"(?:\b{{start-half}}(?:{all})\b{{end-half}})");
        }
        if slow {
            if words && !lines {
                all =
                    all.replace(r"\b{start-half}", r"(?<!\w)").replace(r"\b{end-half}", r"(?!\w)");
            }
            let flags = if ignore_case { "(?i)" } else { "" };
            let pattern = fancy_regex::Regex::new(&format!("{flags}{all}"));
            return pattern.map(Self::Slow).map_err(|error| error.to_string());
        }
        let pattern = RegexBuilder::new(&all)
            .multi_line(true)
            .line_terminator(end)
            .case_insensitive(ignore_case)
            .size_limit(PATTERN_BYTES)
            .build();
        pattern.map(Self::Fast).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "Regular expression too big".to_owned(),
            error => error.to_string(),
        })
    }

    /// The next line of `text` that matches, from the line that begins at `from` on, with its end.
    pub(super) fn next_line(&self, text: &[u8], from: usize, end: u8) -> Option<Range<usize>> {
        match self {
            Self::Fast(pattern) => {
                let found = pattern.find_at(text, from)?.start();
                // Behind the last line's end there is no line.
                if found == text.len() && (text.is_empty() || text.last() == Some(&end)) {
                    return None;
                }
                let start =
                    memchr::memrchr(end, &text[from..found]).map_or(from, |at| from + at + 1);
                let stop =
                    memchr::memchr(end, &text[found..]).map_or(text.len(), |at| found + at + 1);
                Some(start..stop)
            }
            Self::Slow(pattern) => {
                let mut start = from;
                while start < text.len() {
                    let stop =
                        memchr::memchr(end, &text[start..]).map_or(text.len(), |at| start + at + 1);
                    let line = text[start..stop].strip_suffix(&[end]).unwrap_or(&text[start..stop]);
                    // A pattern that would take for ever has not matched.
                    if pattern.is_match(&*String::from_utf8_lossy(line)).unwrap_or(false) {
                        return Some(start..stop);
                    }
                    start = stop;
                }
                None
            }
        }
    }

    /// The next match within a line.
    pub(super) fn find(&self, line: &[u8], from: usize) -> Option<Range<usize>> {
        match self {
            Self::Fast(pattern) => pattern.find_at(line, from).map(|found| found.range()),
            Self::Slow(pattern) => {
                let text = std::str::from_utf8(line).ok()?;
                let found = pattern.find_from_pos(text, from).ok()??;
                Some(found.start()..found.end())
            }
        }
    }
}

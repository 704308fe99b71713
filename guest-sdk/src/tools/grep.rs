//! `grep`.

use std::{fs, ops::ControlFlow, path::Path};

use globset::GlobMatcher;
use regex::bytes::{Regex, RegexBuilder};

use super::{
    ArgumentError, Arguments, FileTool, Folder, ToolError,
    files::{MAX_FILE_BYTES, read_whole},
    glob::{matcher, unread},
    text::{count, is_binary, shown_line, without_line_end},
    walk::Walk,
};
use crate::ToolSchema;

/// Lines or files that are shown unless another number is asked for.
const DEFAULT_LIMIT: u64 = 200;

/// The most that may be asked for.
const MAX_LIMIT: u64 = 2000;

/// Lines around a match that may be asked for.
const MAX_CONTEXT: u64 = 50;

/// Bytes of a line that are shown.
const MAX_LINE_BYTES: usize = 500;

/// Bytes that are shown in one answer.
const MAX_BYTES: usize = 64 << 10;

/// Memory that a pattern may take once it is compiled.
const MAX_PATTERN_BYTES: usize = 8 << 20;

/// Finds lines by a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grep {
    /// A regular expression, in the syntax of Rust's `regex`, or text if `literal`.
    pub pattern: String,
    /// A file, or a directory to look in.
    pub path: String,
    /// Only files whose path matches this pattern, or whose name does if it has no `/`.
    pub include: Option<String>,
    /// Whether the pattern is text and no regular expression.
    pub literal: bool,
    /// Whether `a` matches `A`.
    pub ignore_case: bool,
    /// Lines to show before and after each match, at most 50.
    pub context: u64,
    /// What to show.
    pub mode: GrepMode,
    /// The most matching lines, or files, to show.
    pub limit: u64,
    /// Whether what `.gitignore` leaves out is looked into as well.
    pub include_ignored: bool,
}

/// What [`Grep`] shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GrepMode {
    /// The lines that match.
    #[default]
    Lines,
    /// The files that have such lines.
    Files,
    /// How many such lines each file has.
    Count,
}

impl Grep {
    /// A regular expression, in all files.
    #[must_use]
    pub fn new(pattern: impl Into<String>) -> Self {
        Self {
            pattern: pattern.into(),
            path: ".".to_owned(),
            include: None,
            literal: false,
            ignore_case: false,
            context: 0,
            mode: GrepMode::Lines,
            limit: DEFAULT_LIMIT,
            include_ignored: false,
        }
    }
}

impl FileTool for Grep {
    const NAME: &'static str = "grep";

    fn schema() -> ToolSchema {
        ToolSchema::new(
            Self::NAME,
            "Finds lines by a regular expression, in a file or in all files below a directory. Shows \
             `path:line:text`, and lines around a match as `path-line-text`. Leaves out `.git`, binary \
             files and what `.gitignore` names.",
            r#"{"type":"object","properties":{"pattern":{"type":"string","description":"The regular expression (RE2 style: no look-around, no back references)."},"path":{"type":"string","description":"A file or a directory. Default: the working directory."},"include":{"type":"string","description":"Only files that match this glob pattern, such as *.rs or src/**/*.ts."},"literal":{"type":"boolean","description":"The pattern is plain text. Default false."},"ignore_case":{"type":"boolean","description":"Default false."},"context":{"type":"integer","minimum":0,"maximum":50,"description":"Lines to show before and after each match. Default 0."},"mode":{"type":"string","enum":["lines","files","count"],"description":"Show the matching lines, only the files that have any, or how many each file has. Default lines."},"limit":{"type":"integer","minimum":1,"maximum":2000,"description":"The most matching lines, or files, to show. Default 200."},"include_ignored":{"type":"boolean","description":"Also files that .gitignore names. Default false."}},"required":["pattern"],"additionalProperties":false}"#,
        )
    }

    fn from_arguments(arguments: &Arguments) -> Result<Self, ArgumentError> {
        arguments.only(&[
            "pattern",
            "path",
            "include",
            "literal",
            "ignore_case",
            "context",
            "mode",
            "limit",
            "include_ignored",
        ])?;
        let mode = match arguments.optional_text("mode")? {
            None | Some("lines") => GrepMode::Lines,
            Some("files") => GrepMode::Files,
            Some("count") => GrepMode::Count,
            Some(other) => {
                let expected = "`lines`, `files` or `count`";
                return Err(ArgumentError::unexpected("mode", expected, format!("`{other}`")));
            }
        };
        let limit = arguments.optional_whole_number("limit")?.unwrap_or(DEFAULT_LIMIT);
        Ok(Self {
            pattern: arguments.text("pattern")?.to_owned(),
            path: arguments.optional_text("path")?.unwrap_or(".").to_owned(),
            include: arguments.optional_text("include")?.map(ToOwned::to_owned),
            literal: arguments.flag("literal")?,
            ignore_case: arguments.flag("ignore_case")?,
            context: arguments.optional_whole_number("context")?.unwrap_or(0),
            mode,
            limit: limit.clamp(1, MAX_LIMIT),
            include_ignored: arguments.flag("include_ignored")?,
        })
    }

    fn run(&self, folder: &Folder) -> Result<String, ToolError> {
        let regex = self.regex()?;
        let include = self.include.as_deref().map(Include::new).transpose()?;
        let path = folder.resolve(&self.path);
        let metadata =
            fs::metadata(&path).map_err(|error| folder.refused("look in", &path, error))?;
        let mut search = Search::new(self, &regex);
        if !metadata.is_dir() {
            let bytes = read_whole(folder, &path)?;
            if is_binary(&bytes) {
                let name = folder.name(&path);
                return Err(ToolError::failed(format!("`{name}` is a binary file")));
            }
            search.file(&folder.name(&path), &bytes);
            return Ok(search.answer());
        }
        let mut walk = Walk::new(folder, &path, self.include_ignored);
        let _ = walk.below(&path, &mut |entry| {
            let below = entry.path.strip_prefix(&path).unwrap_or(&entry.path);
            if entry.is_file && include.as_ref().is_none_or(|include| include.matches(below)) {
                search.path(folder, &entry.path);
            }
            if search.is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        Ok(search.answer() + &unread(&walk))
    }
}

impl Grep {
    fn regex(&self) -> Result<Regex, ArgumentError> {
        let pattern =
            if self.literal { regex::escape(&self.pattern) } else { self.pattern.clone() };
        RegexBuilder::new(&pattern)
            .case_insensitive(self.ignore_case)
            .multi_line(true)
            .crlf(true)
            .size_limit(MAX_PATTERN_BYTES)
            .build()
            .map_err(|error| {
                let expected = "a regular expression (`literal` finds plain text)";
                ArgumentError::unexpected("pattern", expected, error.to_string())
            })
    }
}

/// Which files are looked into.
struct Include {
    glob: GlobMatcher,
    by_name: bool,
}

impl Include {
    fn new(pattern: &str) -> Result<Self, ArgumentError> {
        Ok(Self { glob: matcher("include", pattern)?, by_name: !pattern.contains('/') })
    }

    fn matches(&self, path: &Path) -> bool {
        if self.by_name {
            path.file_name().is_some_and(|name| self.glob.is_match(name))
        } else {
            self.glob.is_match(path)
        }
    }
}

/// A search that runs, and its answer so far.
struct Search<'grep> {
    grep: &'grep Grep,
    regex: &'grep Regex,
    text: String,
    /// Matching lines or files that are shown.
    shown: u64,
    /// Matching lines, and the files that have any.
    lines: usize,
    files: usize,
    /// Whether nothing more has room.
    is_full: bool,
    too_large: usize,
    unread: usize,
}

impl<'grep> Search<'grep> {
    const fn new(grep: &'grep Grep, regex: &'grep Regex) -> Self {
        Self {
            grep,
            regex,
            text: String::new(),
            shown: 0,
            lines: 0,
            files: 0,
            is_full: false,
            too_large: 0,
            unread: 0,
        }
    }

    fn path(&mut self, folder: &Folder, path: &Path) {
        if fs::metadata(path).is_ok_and(|metadata| metadata.len() > MAX_FILE_BYTES) {
            self.too_large += 1;
            return;
        }
        match fs::read(path) {
            Ok(bytes) if is_binary(&bytes) => {}
            Ok(bytes) => self.file(&folder.name(path), &bytes),
            Err(_) => self.unread += 1,
        }
    }

    fn file(&mut self, name: &str, bytes: &[u8]) {
        let lines = Lines::new(bytes);
        match self.grep.mode {
            GrepMode::Lines => self.show_lines(name, &lines),
            GrepMode::Files => {
                if lines.matching(self.regex).next().is_some() {
                    self.files += 1;
                    self.show(&format!("{name}\n"));
                }
            }
            GrepMode::Count => {
                let found = lines.matching(self.regex).count();
                if found > 0 {
                    self.files += 1;
                    self.lines += found;
                    self.show(&format!("{name}:{found}\n"));
                }
            }
        }
    }

    fn show_lines(&mut self, name: &str, lines: &Lines<'_>) {
        let context = usize::try_from(self.grep.context.min(MAX_CONTEXT)).unwrap_or(0);
        // The first line that was not shown yet, and the first behind what a match wants shown.
        let (mut next, mut wanted) = (0, 0);
        let mut found = 0;
        for index in lines.matching(self.regex) {
            found += 1;
            let before = index.saturating_sub(context);
            let mut text = lines.show(name, next..wanted.min(before.max(next)), '-');
            next = next.max(wanted.min(before));
            if context > 0 && before > next && !self.text.is_empty() {
                text.push_str("--\n");
            }
            text.push_str(&lines.show(name, before.max(next)..index, '-'));
            text.push_str(&lines.show_match(name, index, self.regex));
            self.show(&text);
            if self.is_full {
                return;
            }
            next = index + 1;
            wanted = (next + context).min(lines.len());
        }
        self.text.push_str(&lines.show(name, next..wanted.max(next), '-'));
        self.lines += found;
        self.files += usize::from(found > 0);
    }

    fn show(&mut self, text: &str) {
        if self.shown == self.grep.limit || self.text.len() + text.len() > MAX_BYTES {
            self.is_full = true;
            return;
        }
        self.text.push_str(text);
        self.shown += 1;
    }

    fn answer(self) -> String {
        let mut text = self.text;
        if text.is_empty() && !self.is_full {
            text.push_str("[nothing matches]\n");
        }
        if self.is_full {
            let what = match self.grep.mode {
                GrepMode::Lines => "matching lines",
                GrepMode::Files | GrepMode::Count => "files",
            };
            text.push_str(&format!(
                "[the first {} {what}, and there are more: a narrower pattern, path or `include` shows \
                 them, `mode` \"count\" counts them]\n",
                self.shown
            ));
        } else if self.grep.mode == GrepMode::Count && self.files > 1 {
            let (lines, files) = (count(self.lines, "line"), count(self.files, "file"));
            text.push_str(&format!("[{lines} in {files}]\n"));
        }
        if self.too_large > 0 {
            let files = count(self.too_large, "file");
            let limit = MAX_FILE_BYTES >> 20;
            text.push_str(&format!("[left out: {files} larger than {limit} MiB]\n"));
        }
        if self.unread > 0 {
            text.push_str(&format!("[{} could not be read]\n", count(self.unread, "file")));
        }
        text
    }
}

/// A text and where its lines begin.
struct Lines<'bytes> {
    bytes: &'bytes [u8],
    starts: Vec<usize>,
}

impl<'bytes> Lines<'bytes> {
    fn new(bytes: &'bytes [u8]) -> Self {
        // Counted first: a list that grows takes up to three times the memory, and a file may be
        // nothing but line ends.
        let mut starts = Vec::with_capacity(memchr::memchr_iter(b'\n', bytes).count() + 1);
        starts.push(0);
        starts.extend(memchr::memchr_iter(b'\n', bytes).map(|end| end + 1));
        // What follows the last line end is a line only if there is something.
        if starts.last() == Some(&bytes.len()) {
            starts.pop();
        }
        Self { bytes, starts }
    }

    const fn len(&self) -> usize {
        self.starts.len()
    }

    /// A line without its end.
    fn line(&self, index: usize) -> &'bytes [u8] {
        let end = self.starts.get(index + 1).copied().unwrap_or(self.bytes.len());
        without_line_end(&self.bytes[self.starts[index]..end])
    }

    /// The lines that match, one after the other. The whole text is searched at once, which is fast;
    /// a match that leaves its line is looked at again within it.
    fn matching<'lines>(
        &'lines self,
        regex: &'lines Regex,
    ) -> impl Iterator<Item = usize> + 'lines {
        let mut next = 0;
        std::iter::from_fn(move || {
            while let Some(&start) = self.starts.get(next) {
                let found = regex.find_at(self.bytes, start)?;
                let is_here = self.starts.get(next + 1).is_none_or(|end| found.start() < *end);
                let index = if is_here {
                    next
                } else {
                    self.starts.partition_point(|start| *start <= found.start()) - 1
                };
                next = index + 1;
                let line = self.line(index);
                if found.end() <= self.starts[index] + line.len() || regex.is_match(line) {
                    return Some(index);
                }
            }
            None
        })
    }

    /// A line that matches. Of a long one, what is around its first match.
    fn show_match(&self, name: &str, index: usize, regex: &Regex) -> String {
        /// What is shown before the match.
        const BEFORE_BYTES: usize = 100;
        let line = self.line(index);
        let start = regex.find(line).map_or(0, |found| found.start().saturating_sub(BEFORE_BYTES));
        if line.len() <= MAX_LINE_BYTES || start == 0 {
            return self.show(name, index..index + 1, ':');
        }
        let shown = &line[start..line.len().min(start + MAX_LINE_BYTES)];
        let shown = String::from_utf8_lossy(shown);
        let shown = shown.trim_matches(char::REPLACEMENT_CHARACTER);
        let length = line.len();
        format!("{name}:{}:…{shown}… [{length} bytes in this line]\n", index + 1)
    }

    fn show(&self, name: &str, range: std::ops::Range<usize>, mark: char) -> String {
        range
            .map(|index| {
                let line = self.line(index);
                let line = shown_line(line, line.len(), MAX_LINE_BYTES);
                format!("{name}{mark}{}{mark}{line}\n", index + 1)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines_that_match(pattern: &str, text: &str) -> Vec<usize> {
        let regex = Grep::new(pattern).regex().expect("a pattern");
        Lines::new(text.as_bytes()).matching(&regex).collect()
    }

    #[test]
    fn a_match_stays_within_its_line() {
        assert_eq!(lines_that_match(r"a\s+b", "a\nb\na b\n"), [2]);
        assert_eq!(
            lines_that_match(r"a\s*", "a\n\nb\n"),
            [0],
            "a line that matches without its end"
        );
        assert_eq!(lines_that_match("^$", "a\n\nb\n\n"), [1, 3]);
        assert_eq!(lines_that_match("b$", "ab\r\nb"), [0, 1]);
        assert_eq!(lines_that_match("", ""), [] as [usize; 0]);
    }

    const PARTS: [&str; 11] =
        ["a", "b", "a*", "b?", "[^a]+", r"\s", r"\n", "^", "$", r"\b", "(?:a|b a)"];

    proptest! {
        #[test]
        fn lines_match_as_if_one_by_one(
            text in "[ab \n]{0,40}",
            parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 1..5),
        ) {
            let pattern = parts.concat();
            let Ok(regex) = Grep::new(&*pattern).regex() else { return Ok(()) };
            let expected: Vec<usize> = text
                .split_inclusive('\n')
                .map(|line| line.strip_suffix('\n').unwrap_or(line))
                .enumerate()
                .filter(|(_, line)| regex.is_match(line.as_bytes()))
                .map(|(index, _)| index)
                .collect();
            prop_assert_eq!(lines_that_match(&pattern, &text), expected);
        }
    }
}

//! `glob`.

use std::{ops::ControlFlow, path::PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::{ArgumentError, Arguments, FileTool, Folder, ToolError, walk::Walk};
use crate::ToolSchema;

/// Names that are shown unless fewer are asked for.
const MAX_SHOWN: u64 = 1000;

/// Names that are collected, to be counted and sorted. Nobody reads more.
const MAX_FOUND: usize = 100_000;

/// Bytes that are shown in one answer.
const MAX_BYTES: usize = 64 << 10;

/// Finds files and directories by the pattern of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    /// The pattern: `*` and `?` within a name, `**` for any directories, `{a,b}`, `[ab]`.
    pub pattern: String,
    /// The directory that the pattern begins at.
    pub path: String,
    /// Whether what `.gitignore` leaves out is found as well.
    pub include_ignored: bool,
    /// The most names to show, 1 to 1,000.
    pub limit: u64,
}

impl Glob {
    /// From the folder on.
    #[must_use]
    pub fn new(pattern: impl Into<String>) -> Self {
        Self {
            pattern: pattern.into(),
            path: ".".to_owned(),
            include_ignored: false,
            limit: MAX_SHOWN,
        }
    }
}

impl FileTool for Glob {
    const NAME: &'static str = "glob";

    fn schema() -> ToolSchema {
        ToolSchema::new(
            Self::NAME,
            "Lists files and directories whose path matches a pattern, sorted by name; directories end \
             with `/`. `*` matches within a name, `**/` any directories: `*` lists a directory, \
             `**/*.rs` finds all Rust files. Leaves out `.git` and what `.gitignore` names.",
            r#"{"type":"object","properties":{"pattern":{"type":"string","description":"The pattern, such as src/**/*.{ts,tsx}."},"path":{"type":"string","description":"The directory that the pattern begins at. Default: the working directory."},"include_ignored":{"type":"boolean","description":"Also what .gitignore names. Default false."},"limit":{"type":"integer","minimum":1,"maximum":1000,"description":"The most names to show. Default 1000."}},"required":["pattern"],"additionalProperties":false}"#,
        )
    }

    fn from_arguments(arguments: &Arguments) -> Result<Self, ArgumentError> {
        arguments.only(&["pattern", "path", "include_ignored", "limit"])?;
        let limit = arguments.optional_whole_number("limit")?.unwrap_or(MAX_SHOWN);
        Ok(Self {
            pattern: arguments.text("pattern")?.to_owned(),
            path: arguments.optional_text("path")?.unwrap_or(".").to_owned(),
            include_ignored: arguments.flag("include_ignored")?,
            limit: limit.clamp(1, MAX_SHOWN),
        })
    }

    fn run(&self, folder: &Folder) -> Result<String, ToolError> {
        let (start, pattern) = self.beginning(folder);
        let matcher = matcher("pattern", &pattern)?;
        require_directory(folder, &start)?;

        let mut found = Vec::new();
        let mut walk = Walk::new(folder, &start, self.include_ignored);
        let all = walk.below(&start, &mut |entry| {
            if entry.path.strip_prefix(&start).is_ok_and(|name| matcher.is_match(name)) {
                let mark = if entry.is_directory { "/" } else { "" };
                found.push(format!("{}{mark}", folder.name(&entry.path)));
            }
            if found.len() < MAX_FOUND { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        found.sort_unstable();
        Ok(self.answer(&found, all.is_break(), &walk))
    }
}

impl Glob {
    /// The directory to walk and what to match below it. A pattern may be absolute, and the
    /// directories that it begins with need no walk of their neighbours.
    fn beginning(&self, folder: &Folder) -> (PathBuf, String) {
        let mut start = folder.resolve(&self.path);
        let mut pattern = self.pattern.trim_end_matches('/');
        if let Some(absolute) = pattern.strip_prefix('/') {
            start = PathBuf::from("/");
            pattern = absolute;
        }
        while let Some((name, rest)) = pattern.split_once('/') {
            if name.contains(['*', '?', '[', '{', '\\']) {
                break;
            }
            if name != "." && !name.is_empty() {
                start.push(name);
            }
            pattern = rest;
        }
        (start, pattern.to_owned())
    }

    fn answer(&self, found: &[String], is_cut: bool, walk: &Walk) -> String {
        let mut text = String::new();
        let mut shown = 0;
        for name in found.iter().take(usize::try_from(self.limit).unwrap_or(usize::MAX)) {
            if text.len() + name.len() >= MAX_BYTES {
                break;
            }
            text.push_str(name);
            text.push('\n');
            shown += 1;
        }
        if found.is_empty() {
            text.push_str("[nothing matches");
            if !self.pattern.contains('/') {
                text.push_str(&format!(
                    "; `**/{}` also looks in the directories below",
                    self.pattern
                ));
            }
            text.push_str("]\n");
        } else if shown < found.len() {
            let total =
                if is_cut { "more than 100000".to_owned() } else { found.len().to_string() };
            text.push_str(&format!(
                "[{shown} of {total}; a narrower pattern or path shows the others]\n"
            ));
        }
        text.push_str(&unread(walk));
        text
    }
}

/// A pattern of paths. Links and `..` have no place in it.
pub(super) fn matcher(field: &str, pattern: &str) -> Result<GlobMatcher, ArgumentError> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .empty_alternates(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| {
            ArgumentError::unexpected(
                field,
                "a glob pattern",
                format!("`{pattern}`: {}", error.kind()),
            )
        })
}

/// A walk that finds nothing because there is nothing to walk is an error, not an answer.
pub(super) fn require_directory(folder: &Folder, path: &std::path::Path) -> Result<(), ToolError> {
    let metadata =
        std::fs::metadata(path).map_err(|error| folder.refused("look in", path, error))?;
    if metadata.is_dir() {
        return Ok(());
    }
    Err(ToolError::failed(format!("`{}` is not a directory", folder.name(path))))
}

/// What is to be said of directories that could not be read.
pub(super) fn unread(walk: &Walk) -> String {
    match walk.unread {
        0 => String::new(),
        1 => "[1 directory could not be read]\n".to_owned(),
        number => format!("[{number} directories could not be read]\n"),
    }
}

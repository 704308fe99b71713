//! No file is longer than one can hold in mind.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::process;

/// A file this long is split: it has more than one subject.
const TOO_LONG: usize = 600;

const EXTENSIONS: [&str; 7] = ["css", "js", "mjs", "rs", "ts", "tsx", "wit"];

/// Written by a program, and read in pieces.
const GENERATED: [&str; 1] = ["console/src/api/schema.ts"];

/// Fails if a source file of the repository is too long. What git ignores is not ours; what it does
/// not know yet is about to be.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut list = process::command("git");
    list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let files = process::output(&mut list).context("cannot list the files of the repository")?;

    let mut too_long = Vec::new();
    let mut checked = 0;
    for file in files.split_terminator('\0').filter(|file| is_source(file)) {
        let path = root.join(file);
        // Deleted, and not yet committed so.
        if !path.exists() {
            continue;
        }
        let text = std::fs::read(&path).with_context(|| format!("cannot read {file}"))?;
        checked += 1;
        let lines = line_count(&text);
        if lines >= TOO_LONG {
            too_long.push(format!("{file}: {lines}"));
        }
    }
    if !too_long.is_empty() {
        bail!("files of {TOO_LONG} lines or more:\n    {}", too_long.join("\n    "));
    }
    eprintln!("    {checked} files, each below {TOO_LONG} lines");
    Ok(())
}

fn is_source(file: &str) -> bool {
    let extension = Path::new(file).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) && !GENERATED.contains(&file)
}

/// Lines, with a last one that has no line feed.
fn line_count(text: &[u8]) -> usize {
    let line_feeds = text.iter().filter(|byte| **byte == b'\n').count();
    line_feeds + usize::from(text.last().is_some_and(|byte| *byte != b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_line_counts_without_its_line_feed() {
        assert_eq!(line_count(b""), 0);
        assert_eq!(line_count(b"one\n"), 1);
        assert_eq!(line_count(b"one\ntwo"), 2);
        assert_eq!(line_count(b"\n\n"), 2);
    }

    #[test]
    fn sources_are_told_by_their_extension() {
        assert!(is_source("host/src/lib.rs"));
        assert!(is_source("wit/llm.wit"));
        assert!(!is_source("Cargo.lock"));
        assert!(!is_source("docs/rs"));
        assert!(!is_source(GENERATED[0]));
    }

    #[test]
    fn this_file_is_short_enough() {
        assert!(line_count(include_bytes!("file_length.rs")) < TOO_LONG);
    }
}

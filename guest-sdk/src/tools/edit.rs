//! `edit`.

use std::{borrow::Cow, ops::Range};

use super::{
    ArgumentError, Arguments, FileTool, Folder, ToolError,
    files::{overwrite, read_whole},
    mismatch,
    text::{count, is_binary, lines, shown_line, without_line_end},
};
use crate::ToolSchema;

/// Lines around the first replacement that the answer shows.
const SHOWN_AROUND: usize = 3;

/// Lines that the answer shows in all.
const MAX_SHOWN: usize = 40;

/// Occurrences that are replaced at once: they are collected, and memory has an end.
const MAX_OCCURRENCES: usize = 100_000;

/// Lines that an error names: enough to tell occurrences apart.
const MAX_NAMED_LINES: usize = 20;

/// Replaces text in a file, exactly. The rest of the file stays byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The file.
    pub path: String,
    /// What is there. It has to be there once, unless all of it is to be replaced.
    pub old_text: String,
    /// What will be there.
    pub new_text: String,
    /// Whether every occurrence is replaced.
    pub replace_all: bool,
}

impl FileTool for Edit {
    const NAME: &'static str = "edit";

    fn schema() -> ToolSchema {
        ToolSchema::new(
            Self::NAME,
            "Replaces text in a file. `old_text` has to be exactly what is there, white space \
             included, and to occur once: add lines around it until it does, or set `replace_all`.",
            r#"{"type":"object","properties":{"path":{"type":"string","description":"The file; relative to the working directory, or absolute."},"old_text":{"type":"string","description":"What is there now, without the line numbers of `read`."},"new_text":{"type":"string","description":"What will be there instead."},"replace_all":{"type":"boolean","description":"Replace every occurrence. Default false."}},"required":["path","old_text","new_text"],"additionalProperties":false}"#,
        )
    }

    fn from_arguments(arguments: &Arguments) -> Result<Self, ArgumentError> {
        arguments.only(&["path", "old_text", "new_text", "replace_all"])?;
        Ok(Self {
            path: arguments.text("path")?.to_owned(),
            old_text: arguments.text("old_text")?.to_owned(),
            new_text: arguments.text("new_text")?.to_owned(),
            replace_all: arguments.flag("replace_all")?,
        })
    }

    fn run(&self, folder: &Folder) -> Result<String, ToolError> {
        let path = folder.resolve(&self.path);
        let name = folder.name(&path);
        if self.old_text.is_empty() {
            return Err(ToolError::failed(
                "`old_text` is empty; to make a file use `write`, and to insert text replace the line \
                 before it by that line and the text",
            ));
        }
        if self.old_text == self.new_text {
            return Err(ToolError::failed(
                "`old_text` and `new_text` are the same: nothing to change",
            ));
        }
        let old = read_whole(folder, &path)?;
        if is_binary(&old) {
            return Err(ToolError::failed(format!(
                "`{name}` is a binary file; `edit` changes text"
            )));
        }
        let edited = replace(&old, &self.old_text, &self.new_text, self.replace_all)
            .map_err(|error| ToolError::failed(error.explain(&name, &old, &self.old_text)))?;
        overwrite(&path, Some(&old), &edited.bytes)
            .map_err(ToolError::file(format!("cannot write `{name}`")))?;
        let places = count(edited.starts.len(), "occurrence");
        Ok(format!("edited `{name}`: replaced {places}\n{}", excerpt(&edited)))
    }
}

/// A file after an edit.
#[derive(Debug, PartialEq, Eq)]
struct Edited {
    bytes: Vec<u8>,
    /// Where each replacement begins in them.
    starts: Vec<usize>,
    /// How long the first replacement is.
    length: usize,
}

/// Why there is nothing to replace.
#[derive(Debug, PartialEq, Eq)]
enum NotReplaced {
    /// The text does not occur.
    Absent,
    /// It occurs this often, first in these lines.
    Ambiguous { times: usize, lines: Vec<usize> },
    /// It occurs more often than can be replaced.
    TooOften,
}

impl NotReplaced {
    fn explain(&self, name: &str, file: &[u8], old: &str) -> String {
        match self {
            Self::Absent => mismatch::explain(name, file, old),
            Self::Ambiguous { times, lines } => {
                let shown: Vec<String> = lines.iter().map(ToString::to_string).collect();
                let more = if lines.len() < *times { ", …" } else { "" };
                format!(
                    "`old_text` occurs {times} times in `{name}`, in the lines {}{more}: add lines \
                     around it so that it occurs once, or set `replace_all`",
                    shown.join(", ")
                )
            }
            Self::TooOften => format!(
                "`old_text` occurs more than {MAX_OCCURRENCES} times in `{name}`: a script can replace \
                 it"
            ),
        }
    }
}

/// Replaces `old` by `new`. Where the file has CR LF and the texts have LF, as a model writes it, the
/// lines keep their ends.
fn replace(file: &[u8], old: &str, new: &str, all: bool) -> Result<Edited, NotReplaced> {
    let places = occurrences(file, old);
    match places.len() {
        0 => return Err(NotReplaced::Absent),
        times if times > MAX_OCCURRENCES => return Err(NotReplaced::TooOften),
        1 => {}
        _ if all => {}
        times => {
            let first = places.iter().take(MAX_NAMED_LINES);
            let lines = first.map(|place| line_of(file, place.start)).collect();
            return Err(NotReplaced::Ambiguous { times, lines });
        }
    }
    let mut edited =
        Edited { bytes: Vec::with_capacity(file.len()), starts: Vec::new(), length: 0 };
    let mut copied = 0;
    for place in places {
        edited.bytes.extend_from_slice(&file[copied..place.start]);
        copied = place.end;
        edited.starts.push(edited.bytes.len());
        let new = if has_cr(file, &place) { Cow::Owned(with_cr(new)) } else { Cow::Borrowed(new) };
        if edited.starts.len() == 1 {
            edited.length = new.len();
        }
        edited.bytes.extend_from_slice(new.as_bytes());
    }
    edited.bytes.extend_from_slice(&file[copied..]);
    Ok(edited)
}

/// Where `wanted` occurs, without overlaps, as it is or with CR LF for LF.
fn occurrences(file: &[u8], wanted: &str) -> Vec<Range<usize>> {
    let find = |wanted: &str| -> Vec<Range<usize>> {
        memchr::memmem::find_iter(file, wanted)
            .map(|start| start..start + wanted.len())
            // Nothing of a CR LF is left behind.
            // One more than can be replaced tells that there are too many.
            .take(MAX_OCCURRENCES + 1)
            .filter(|place| !(wanted.starts_with('\n') && file[..place.start].ends_with(b"\r")))
            .collect()
    };
    let mut places = find(wanted);
    let as_crlf = with_cr(wanted);
    if as_crlf != wanted {
        places.extend(find(&as_crlf));
        places.sort_by_key(|place| place.start);
        let mut end = 0;
        places.retain(|place| {
            let apart = place.start >= end;
            end = if apart { place.end } else { end };
            apart
        });
    }
    places
}

/// Every line end as CR LF.
fn with_cr(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

/// Whether the first line at `place` ends with CR LF; of the last line, the one before it.
fn has_cr(file: &[u8], place: &Range<usize>) -> bool {
    let after = memchr::memchr(b'\n', &file[place.start..]).map(|end| place.start + end);
    let end = after.or_else(|| memchr::memrchr(b'\n', &file[..place.start]));
    end.is_some_and(|end| file[..end].ends_with(b"\r"))
}

/// The number of the line that `place` is in, from 1.
fn line_of(file: &[u8], place: usize) -> usize {
    1 + memchr::memchr_iter(b'\n', &file[..place]).count()
}

/// The lines around the first replacement, as they are now.
fn excerpt(edited: &Edited) -> String {
    const MAX_LINE_BYTES: usize = 500;
    let start = edited.starts.first().copied().unwrap_or(0);
    let first = line_of(&edited.bytes, start).saturating_sub(SHOWN_AROUND).max(1);
    let last = line_of(&edited.bytes, start + edited.length) + SHOWN_AROUND;
    let mut text = String::new();
    for (line, number) in lines(&edited.bytes).zip(1..).skip(first - 1).take(last + 1 - first) {
        if number >= first + MAX_SHOWN {
            text.push_str("[and so on]\n");
            break;
        }
        let line = without_line_end(line);
        text.push_str(&format!("{number:>6}\t{}\n", shown_line(line, line.len(), MAX_LINE_BYTES)));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn edit(file: &[u8], old: &str, new: &str, all: bool) -> (Result<String, String>, Vec<u8>) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.txt");
        fs::write(&path, file).expect("written");
        let edit = Edit {
            path: "a.txt".into(),
            old_text: old.into(),
            new_text: new.into(),
            replace_all: all,
        };
        let answer = edit.run(&Folder::new(directory.path())).map_err(|error| error.to_string());
        (answer, fs::read(&path).expect("read"))
    }

    #[test]
    fn replaces_one_occurrence_and_shows_it() {
        let (answer, file) = edit(b"a\nb\nc\n", "b", "x\ny", false);
        assert_eq!(file, b"a\nx\ny\nc\n");
        assert_eq!(
            answer,
            Ok("edited `a.txt`: replaced 1 occurrence\n     1\ta\n     2\tx\n     3\ty\n     4\tc\n".into())
        );
    }

    #[test]
    fn what_occurs_twice_is_not_guessed() {
        let (answer, file) = edit(b"a\nb\na\n", "a", "x", false);
        assert_eq!(file, b"a\nb\na\n");
        let words = answer.expect_err("refused");
        assert!(
            words.starts_with("`old_text` occurs 2 times in `a.txt`, in the lines 1, 3:"),
            "{words}"
        );
        assert_eq!(edit(b"a\nb\na\n", "a", "x", true).1, b"x\nb\nx\n");
    }

    #[test]
    fn what_occurs_too_often_is_refused() {
        let file = "a\n".repeat(MAX_OCCURRENCES + 1);
        let words = edit(file.as_bytes(), "a", "b", false).0.expect_err("refused");
        assert!(words.contains("more than 100000 times"), "{words}");
        let words = edit(&file.as_bytes()[2..], "a", "b", false).0.expect_err("refused");
        assert!(
            words.contains("occurs 100000 times") && words.contains("19, 20, …: add"),
            "{words}"
        );
        assert!(edit(&file.as_bytes()[2..], "a", "b", true).0.is_ok());
    }

    #[test]
    fn line_ends_are_kept() {
        assert_eq!(edit(b"a\r\nb\r\nc\r\n", "a\nb", "x\ny", false).1, b"x\r\ny\r\nc\r\n");
        assert_eq!(edit(b"a\r\nb\r\n", "b", "x\ny", false).1, b"a\r\nx\r\ny\r\n");
        assert_eq!(edit(b"a\r\nb", "b", "x\ny", false).1, b"a\r\nx\r\ny");
        assert_eq!(edit(b"a\nb\r\nc\n", "a", "x\ny", false).1, b"x\ny\nb\r\nc\n", "of this line");
        assert_eq!(edit(b"a\nb\n", "b", "x\r\ny", false).1, b"a\nx\r\ny\n", "as it was asked for");
    }

    #[test]
    fn other_bytes_stay_as_they_are() {
        let (answer, file) = edit(b"\xef\xbb\xbfcaf\xe9 = 1\n", "= 1", "= 2", false);
        assert!(answer.is_ok());
        assert_eq!(file, b"\xef\xbb\xbfcaf\xe9 = 2\n");
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        for (file, old, new, words) in [
            (&b"a"[..], "", "x", "`old_text` is empty"),
            (b"a", "a", "a", "are the same"),
            (b"a\0", "a", "b", "is a binary file"),
            (b"", "a", "b", "`a.txt` is empty"),
        ] {
            let (answer, after) = edit(file, old, new, false);
            let error = answer.expect_err("refused");
            assert!(error.contains(words), "{error}");
            assert_eq!(after, file);
        }
    }

    proptest! {
        #[test]
        fn an_edit_is_what_replacing_text_is(
            file in "[ab\n]{0,40}",
            old in "[ab\n]{1,3}",
            new in "[abc\n]{0,3}",
        ) {
            let edited = replace(file.as_bytes(), &old, &new, true);
            match edited {
                Ok(edited) => {
                    prop_assert_eq!(edited.bytes, file.replace(&old, &new).into_bytes());
                    prop_assert_eq!(edited.starts.len(), file.matches(&old).count());
                }
                Err(error) => {
                    prop_assert_eq!(error, NotReplaced::Absent);
                    prop_assert!(!file.contains(&old));
                }
            }
        }

        #[test]
        fn line_ends_do_not_matter(file in "[ab\n]{0,40}", old in "[ab\n]{1,3}", new in "[abc\n]{0,3}") {
            let lf = replace(file.as_bytes(), &old, &new, true);
            let crlf = replace(with_cr(&file).as_bytes(), &old, &new, true);
            // A file without line ends has none to keep.
            prop_assume!(file.contains('\n'));
            match (lf, crlf) {
                (Ok(lf), Ok(crlf)) => {
                    let lf = String::from_utf8(lf.bytes).expect("text");
                    prop_assert_eq!(crlf.bytes, with_cr(&lf).into_bytes());
                }
                (Err(_), Err(_)) => {}
                (lf, crlf) => prop_assert!(false, "{:?} {:?}", lf, crlf),
            }
        }
    }
}

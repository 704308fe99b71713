//! What bash answered, and the files that it is kept in.
//!
//! An answer is written as a transcript that one can read and review:
//!
//! ```text
//! $ printf 'a\nb'; exit 3
//! | a
//! ~ b
//! = 3
//! ```
//!
//! `$` and `>` are the script's first and further lines, `|` a line of standard output, `~` a last one
//! without a line end, and `=` the exit code. A line with bytes that an editor would not show is
//! written escaped, after `\|` or `\~`.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::case::{Case, Category, blocks, read};
use crate::{Corpus, CorpusError};

/// What a shell answered to a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// Its exit code; 128 and the signal, if one ended it.
    pub code: i32,
}

/// What bash answered to the cases of a category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// In the order of the cases.
    pub answers: Vec<Answer>,
}

impl Expected {
    /// Reads what was recorded for a category of the corpus.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or was recorded for other cases.
    pub fn load(corpus: &Corpus, category: &Category) -> Result<Self, CorpusError> {
        let path = path_of(&corpus.directory, category);
        Self::parse(&path, &read(&path)?, category)
    }

    /// Writes what was recorded for a category; `with` says which programs answered.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn store(&self, corpus: &Corpus, category: &Category, with: &str) -> io::Result<()> {
        fs::write(path_of(&corpus.directory, category), self.text(category, with))
    }

    fn text(&self, category: &Category, with: &str) -> String {
        let mut text = format!("# Recorded by `cargo xtask shell-compat --record` with {with}.\n");
        for (case, answer) in category.cases.iter().zip(&self.answers) {
            text.push('\n');
            push_transcript(&mut text, case, answer);
        }
        text
    }

    fn parse(path: &Path, text: &str, category: &Category) -> Result<Self, CorpusError> {
        let mut recorded = Vec::new();
        for (first, lines) in blocks(text) {
            if lines.iter().all(|line| line.starts_with('#')) {
                continue;
            }
            recorded.push(parse_transcript(path, first, &lines)?);
        }
        let not_recorded = |script: &str| CorpusError::NotRecorded {
            category: category.name.clone(),
            script: script.to_owned(),
        };
        for (case, (script, _)) in category.cases.iter().zip(&recorded) {
            if case.script != *script {
                return Err(not_recorded(&case.script));
            }
        }
        if let Some(case) = category.cases.get(recorded.len()) {
            return Err(not_recorded(&case.script));
        }
        if let Some((script, _)) = recorded.get(category.cases.len()) {
            return Err(not_recorded(script));
        }
        Ok(Self { answers: recorded.into_iter().map(|(_, answer)| answer).collect() })
    }
}

fn path_of(directory: &Path, category: &Category) -> PathBuf {
    directory.join(&category.name).with_extension("expected")
}

fn push_transcript(text: &mut String, case: &Case, answer: &Answer) {
    for (index, line) in case.script.split('\n').enumerate() {
        let mark = if index == 0 { '$' } else { '>' };
        let _ = writeln!(text, "{mark} {line}");
    }
    for line in answer.stdout.split_inclusive(|byte| *byte == b'\n') {
        let (mark, line) = match line.strip_suffix(b"\n") {
            Some(line) => ('|', line),
            None => ('~', line),
        };
        match std::str::from_utf8(line).ok().filter(|line| is_shown_as_it_is(line)) {
            Some(line) => {
                let _ = writeln!(text, "{mark} {line}");
            }
            None => {
                let _ = writeln!(text, "\\{mark} {}", line.escape_ascii());
            }
        }
    }
    let _ = writeln!(text, "= {}", answer.code);
}

/// Whether a line survives an editor: no control characters, and no spaces at its end.
fn is_shown_as_it_is(line: &str) -> bool {
    !line.ends_with([' ', '\t']) && line.chars().all(|char| char == '\t' || !char.is_control())
}

fn parse_transcript(
    path: &Path,
    first: usize,
    lines: &[&str],
) -> Result<(String, Answer), CorpusError> {
    let mut script = String::new();
    let mut stdout = Vec::new();
    let mut code = None;
    for (index, line) in lines.iter().enumerate() {
        let malformed = |problem| CorpusError::Malformed {
            path: path.to_owned(),
            line: first + index,
            problem,
        };
        let (mark, rest) = line
            .split_once(' ')
            .ok_or_else(|| malformed("a line begins with a mark and a space"))?;
        match mark {
            "$" => script.push_str(rest),
            ">" => {
                script.push('\n');
                script.push_str(rest);
            }
            "|" | "~" => stdout.extend_from_slice(rest.as_bytes()),
            "\\|" | "\\~" => {
                stdout.extend(unescape(rest).ok_or_else(|| malformed("an unknown escape"))?);
            }
            "=" => {
                let number = rest.parse().map_err(|_| malformed("an exit code is a number"))?;
                code = Some(number);
            }
            _ => return Err(malformed("an unknown mark")),
        }
        if mark.ends_with('|') {
            stdout.push(b'\n');
        }
    }
    let code = code.ok_or_else(|| CorpusError::Malformed {
        path: path.to_owned(),
        line: first,
        problem: "a transcript ends with an exit code",
    })?;
    Ok((script, Answer { stdout, code }))
}

/// Takes [`u8::escape_ascii`] back.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b't' => b'\t',
            b'r' => b'\r',
            b'n' => b'\n',
            b'x' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            escaped @ (b'\\' | b'\'' | b'"') => escaped,
            _ => return None,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn category(scripts: &[&str]) -> Category {
        let cases = scripts.iter().map(|script| Case { script: (*script).to_owned() }).collect();
        Category { name: "x".into(), cases }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let category = category(&["echo", "cat <<E\nb\nE", "exit 7", "printf"]);
        let answer = |stdout: &[u8], code| Answer { stdout: stdout.to_vec(), code };
        let expected = Expected {
            answers: vec![
                answer(b"\n", 0),
                answer(b"a\n\n$ b\n= 3\nno end", 0),
                answer(b"", 7),
                answer(b"\x1b[m\xff\\ \"q\"\nspace \n\ttab", 130),
            ],
        };
        let text = expected.text(&category, "bash");
        let read = Expected::parse(Path::new("x.expected"), &text, &category).unwrap();
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn answers_to_other_cases_are_refused() {
        let answers = vec![Answer { stdout: Vec::new(), code: 0 }];
        let text = Expected { answers }.text(&category(&["true"]), "bash");
        for scripts in [&["false"][..], &["true", "false"], &[]] {
            let read = Expected::parse(Path::new("x.expected"), &text, &category(scripts));
            assert!(matches!(read, Err(CorpusError::NotRecorded { .. })), "{scripts:?}");
        }
    }

    #[test]
    fn a_malformed_line_is_named() {
        let text = "$ true\n? what\n= 0\n";
        let error = Expected::parse(Path::new("x"), text, &category(&["true"])).unwrap_err();
        assert_eq!(error.to_string(), "x:2: an unknown mark");
    }
}

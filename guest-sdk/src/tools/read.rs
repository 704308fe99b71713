//! `read`.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
};

use super::{
    ArgumentError, Arguments, FileTool, Folder, ToolError,
    files::is_a_directory,
    text::{count, is_binary, shown_line, without_line_end},
};
use crate::ToolSchema;

/// Lines that are shown unless fewer are asked for.
const MAX_LINES: u64 = 2000;

/// Bytes of a line that are shown. Longer ones are rarely written by people.
const MAX_LINE_BYTES: usize = 2000;

/// Bytes that are shown in one answer: some 16,000 tokens.
const MAX_BYTES: usize = 64 << 10;

/// What is read at once: every read is a call to the host.
const BUFFER_BYTES: usize = 64 << 10;

/// Shows lines of a text file, with their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The file.
    pub path: String,
    /// The first line to show, from 1.
    pub offset: u64,
    /// The most lines to show, 1 to 2,000.
    pub limit: u64,
}

impl Read {
    /// From the first line on.
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), offset: 1, limit: MAX_LINES }
    }
}

impl FileTool for Read {
    const NAME: &'static str = "read";

    fn schema() -> ToolSchema {
        ToolSchema::new(
            Self::NAME,
            "Shows a text file with line numbers (number, tab, text). Shows at most 2000 lines and 64 \
             KiB at a time, and says where to continue.",
            r#"{"type":"object","properties":{"path":{"type":"string","description":"The file; relative to the working directory, or absolute."},"offset":{"type":"integer","minimum":1,"description":"The first line to show. Default 1."},"limit":{"type":"integer","minimum":1,"maximum":2000,"description":"The most lines to show. Default 2000."}},"required":["path"],"additionalProperties":false}"#,
        )
    }

    fn from_arguments(arguments: &Arguments) -> Result<Self, ArgumentError> {
        arguments.only(&["path", "offset", "limit"])?;
        let limit = arguments.optional_whole_number("limit")?.unwrap_or(MAX_LINES);
        if limit == 0 {
            return Err(ArgumentError::unexpected("limit", "1 or more", "0"));
        }
        Ok(Self {
            path: arguments.text("path")?.to_owned(),
            offset: arguments.optional_whole_number("offset")?.unwrap_or(1).max(1),
            limit: limit.min(MAX_LINES),
        })
    }

    fn run(&self, folder: &Folder) -> Result<String, ToolError> {
        let path = folder.resolve(&self.path);
        let refused = |error| folder.refused("read", &path, error);
        let file = File::open(&path).map_err(refused)?;
        let metadata = file.metadata().map_err(refused)?;
        if metadata.is_dir() {
            return Err(is_a_directory(folder, &path));
        }
        let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
        if is_binary(file.fill_buf().map_err(refused)?) {
            let name = folder.name(&path);
            let bytes = metadata.len();
            return Err(ToolError::failed(format!(
                "`{name}` is a binary file of {bytes} bytes; `read` shows text"
            )));
        }
        let seen = self.look(&mut file).map_err(refused)?;
        self.answer(&seen, &folder.name(&path))
    }
}

/// What was seen of a file that was read to its end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// The lines to show.
    text: String,
    /// How many lines that are.
    shown: u64,
    /// Whether there was no room for another one that was asked for.
    is_full: bool,
    total: u64,
    /// Lines that end with CR LF.
    with_cr: u64,
    is_invalid: bool,
}

impl Read {
    fn look(&self, file: &mut impl BufRead) -> io::Result<Seen> {
        let mut seen = Seen::default();
        let mut kept = Vec::new();
        while let Some(length) = read_line(file, &mut kept)? {
            seen.total += 1;
            seen.with_cr += u64::from(kept.ends_with(b"\r\n"));
            let wanted = seen.total >= self.offset && seen.total - self.offset < self.limit;
            if !wanted || seen.is_full {
                continue;
            }
            let line = without_line_end(&kept);
            let length = if length > kept.len() { length } else { line.len() };
            let line = format!("{:>6}\t{}\n", seen.total, shown_line(line, length, MAX_LINE_BYTES));
            if seen.text.len() + line.len() > MAX_BYTES {
                seen.is_full = true;
                continue;
            }
            // A beginning may end within a character.
            seen.is_invalid |= length <= MAX_LINE_BYTES && std::str::from_utf8(&kept).is_err();
            seen.text.push_str(&line);
            seen.shown += 1;
        }
        Ok(seen)
    }

    fn answer(&self, seen: &Seen, name: &str) -> Result<String, ToolError> {
        if seen.total == 0 {
            return Ok("[the file is empty]".to_owned());
        }
        if self.offset > seen.total {
            let lines = count(usize::try_from(seen.total).unwrap_or(usize::MAX), "line");
            return Err(ToolError::failed(format!(
                "offset {} is behind the end of `{name}`, which has {lines}",
                self.offset
            )));
        }
        let mut text = seen.text.clone();
        let last = self.offset - 1 + seen.shown;
        if self.offset > 1 || last < seen.total {
            text.push_str(&format!("[lines {}-{last} of {}", self.offset, seen.total));
            if last < seen.total {
                text.push_str(&format!("; continue with offset {}", last + 1));
            }
            text.push_str("]\n");
        }
        if seen.with_cr > 0 {
            let which = if seen.with_cr + 1 >= seen.total { "lines" } else { "some lines" };
            text.push_str(&format!("[{which} end with CR LF]\n"));
        }
        if seen.is_invalid {
            text.push_str("[not all of it is UTF-8: U+FFFD stands for the bytes that are not]\n");
        }
        Ok(text)
    }
}

/// Reads a line and keeps its beginning, a little more than is shown. Returns how long it is with
/// its end; none at the end of the file.
fn read_line(file: &mut impl BufRead, kept: &mut Vec<u8>) -> io::Result<Option<usize>> {
    kept.clear();
    let mut length = 0;
    loop {
        let buffer = match file.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if buffer.is_empty() {
            return Ok((length > 0).then_some(length));
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let piece = &buffer[..end.map_or(buffer.len(), |end| end + 1)];
        let room = (MAX_LINE_BYTES + 8).saturating_sub(kept.len());
        kept.extend_from_slice(&piece[..piece.len().min(room)]);
        let used = piece.len();
        length += used;
        file.consume(used);
        if end.is_some() {
            return Ok(Some(length));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn read(bytes: impl AsRef<[u8]>, offset: u64, limit: u64) -> Result<String, String> {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("a.txt"), bytes).expect("written");
        Read { path: "a.txt".into(), offset, limit }
            .run(&Folder::new(directory.path()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_lines_and_says_where_to_continue() {
        let text = "one\ntwo\nthree\nfour";
        assert_eq!(
            read(text, 1, 99),
            Ok("     1\tone\n     2\ttwo\n     3\tthree\n     4\tfour\n".into())
        );
        assert_eq!(
            read(text, 2, 2),
            Ok("     2\ttwo\n     3\tthree\n[lines 2-3 of 4; continue with offset 4]\n".into())
        );
        assert_eq!(read(text, 4, 9), Ok("     4\tfour\n[lines 4-4 of 4]\n".into()));
        assert_eq!(
            read(text, 5, 9),
            Err("offset 5 is behind the end of `a.txt`, which has 4 lines".into())
        );
        assert_eq!(read("", 1, 9), Ok("[the file is empty]".into()));
    }

    #[test]
    fn shows_no_more_than_its_bounds_and_says_so() {
        let answer = read("x\n".repeat(12_000), 1, MAX_LINES).expect("shown");
        assert!(answer.ends_with("[lines 1-2000 of 12000; continue with offset 2001]\n"));

        let answer = read("y".repeat(1000).add_line().repeat(100), 1, MAX_LINES).expect("shown");
        assert!(answer.len() <= MAX_BYTES + 100, "{}", answer.len());
        assert!(
            answer.ends_with("[lines 1-65 of 100; continue with offset 66]\n"),
            "{}",
            &answer[65000..]
        );

        let answer = read("é".repeat(1_000_000), 1, MAX_LINES).expect("shown");
        assert!(answer.ends_with("é… [2000000 bytes in this line]\n"));
        assert!(!answer.contains('\u{fffd}') && answer.len() < MAX_LINE_BYTES + 100);
    }

    trait AddLine {
        fn add_line(self) -> String;
    }
    impl AddLine for String {
        fn add_line(mut self) -> String {
            self.push('\n');
            self
        }
    }

    #[test]
    fn says_what_is_no_plain_text() {
        assert_eq!(
            read("a\r\nb\r\n", 1, 9),
            Ok("     1\ta\n     2\tb\n[lines end with CR LF]\n".into())
        );
        assert!(
            read("a\r\nb\nc\nd\n", 1, 9).expect("shown").contains("[some lines end with CR LF]")
        );
        let latin = read(b"caf\xe9\n", 1, 9).expect("shown");
        assert!(latin.starts_with("     1\tcaf\u{fffd}\n[not all of it is UTF-8"), "{latin}");
        assert_eq!(
            read(b"\x7fELF\0\0", 1, 9),
            Err("`a.txt` is a binary file of 6 bytes; `read` shows text".into())
        );
    }

    #[test]
    fn a_path_that_is_no_file_says_what_to_do() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("Main.rs"), "x").expect("written");
        let folder = Folder::new(directory.path());
        let error = Read::new("main.rs").run(&folder).expect_err("no such file");
        assert_eq!(error.to_string(), "cannot read `main.rs` (there is `Main.rs`)");
        let error = Read::new(".").run(&folder).expect_err("a directory");
        assert_eq!(error.to_string(), "`.` is a directory; `glob` lists what is in it");
    }

    proptest! {
        #[test]
        fn pages_are_the_whole(text in "([a-zé]{0,5}\n){0,30}[a-z]{0,3}", limit in 1_u64..7) {
            let total = text.lines().count() as u64;
            let mut lines = Vec::new();
            let mut offset = 1;
            while offset <= total {
                let page = Read { path: String::new(), offset, limit };
                let seen = page.look(&mut text.as_bytes()).expect("read");
                prop_assert_eq!(seen.total, total);
                let answer = page.answer(&seen, "a").expect("shown");
                lines.extend(answer.lines().filter(|line| !line.starts_with('[')).map(|line| {
                    let (number, text) = line.split_once('\t').expect("a number");
                    (number.trim().parse::<usize>().expect("a number"), text.to_owned())
                }));
                offset += seen.shown;
            }
            let expected: Vec<_> = (1..).zip(text.lines().map(str::to_owned)).collect();
            prop_assert_eq!(lines, expected);
        }
    }
}

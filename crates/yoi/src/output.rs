//! Everything that is printed: answers to standard output, remarks to standard error.
//!
//! What a guest, a model or another person wrote may hold terminal escapes. A person's terminal
//! gets them as visible signs; a pipe gets an answer's bytes as they are.

use std::{
    borrow::Cow,
    io::{self, IsTerminal as _, Write as _},
};

use serde::Serialize;
use worker_types::LiveEvent;

use crate::logging::LogFormat;

/// Where a command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    json_remarks: bool,
    to_terminal: bool,
    dims: bool,
}

impl Output {
    /// With `json`, all of it is for programs; remarks are also where the log beside them is.
    pub(crate) fn new(json: bool, log_format: LogFormat) -> Self {
        let json_remarks = json || log_format == LogFormat::Json;
        let to_terminal = io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { json, json_remarks, to_terminal, dims: to_terminal && !plain }
    }

    /// Whether a program reads the output.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Whether a program reads the remarks.
    pub(crate) fn has_json_remarks(self) -> bool {
        self.json_remarks
    }

    /// Prints a line to standard output. It may hold text of others, but no line break of theirs.
    pub(crate) fn line(self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", one_line(text))?;
        stdout.flush()
    }

    /// Prints a text of others to standard output at once, with its line breaks.
    pub(crate) fn text(self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let shown = if self.to_terminal { visible(text) } else { Cow::Borrowed(text) };
        stdout.write_all(shown.as_bytes())?;
        stdout.flush()
    }

    /// Prints a text of others to standard output at once, nothing of which is for a terminal to obey, whoever
    /// reads; `dim` where a terminal can do that.
    pub(crate) fn harmless(self, text: &str, dim: bool) -> io::Result<()> {
        let shown = visible(text);
        let mut stdout = io::stdout().lock();
        if dim && self.dims {
            // Line breaks stand outside, or what follows would be dim on some terminals.
            for piece in shown.split_inclusive('\n') {
                let line = piece.trim_end_matches('\n');
                write!(stdout, "\x1b[2m{line}\x1b[22m{}", &piece[line.len()..])?;
            }
        } else {
            stdout.write_all(shown.as_bytes())?;
        }
        stdout.flush()
    }

    /// Prints bytes that we made, as they are.
    pub(crate) fn bytes(self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    }

    /// Prints bytes of a program that we run to standard error, as they are.
    pub(crate) fn error_bytes(self, bytes: &[u8]) -> io::Result<()> {
        io::stderr().lock().write_all(bytes)
    }

    /// Prints an event as one line of JSON to standard output. Pieces of items get a `type` like
    /// all other events have.
    pub(crate) fn event(self, event: &LiveEvent) -> io::Result<()> {
        match event {
            LiveEvent::Durable(event) => self.json(event),
            LiveEvent::Delta(body) => self.json(&Typed { kind: "item.delta", body }),
            LiveEvent::Snapshot(body) => self.json(&Typed { kind: "item.snapshot", body }),
        }
    }

    /// Prints a value as one line of JSON to standard output.
    pub(crate) fn json(self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", escape_json(&text))?;
        stdout.flush()
    }

    /// Prints a remark to standard error; for programs it is `{"note": …}`. A remark that cannot be
    /// printed is lost: there is nobody left to tell.
    pub(crate) fn note(self, text: &str) {
        self.remark("note", text, None);
    }

    /// The same for what went wrong; for programs it is `{"error": …}`, with a `code` where there
    /// is a stable word for it.
    pub(crate) fn error(self, text: &str, code: Option<&str>) {
        self.remark("error", text, code);
    }

    fn remark(self, key: &str, text: &str, code: Option<&str>) {
        let mut stderr = io::stderr().lock();
        let _ = if self.json_remarks {
            let mut remark = serde_json::json!({ key: text });
            if let Some(code) = code {
                remark["code"] = code.into();
            }
            writeln!(stderr, "{}", escape_json(&remark.to_string()))
        } else {
            writeln!(stderr, "{}", indented(&visible(text)))
        };
    }

    /// Prints rows under `head` in columns as wide as their widest cell.
    pub(crate) fn table<const N: usize>(
        self,
        head: [&str; N],
        rows: &[[String; N]],
    ) -> io::Result<()> {
        let head = head.map(str::to_owned);
        let rows: Vec<[String; N]> = std::iter::once(&head)
            .chain(rows)
            .map(|row| std::array::from_fn(|column| cell(&row[column])))
            .collect();
        let width: [usize; N] = std::array::from_fn(|column| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        for row in &rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(width) {
                line.push_str(&format!("{cell:width$}  "));
            }
            self.line(line.trim_end())?;
        }
        Ok(())
    }
}

/// The longest cell of a table, in characters: what is in one may be a stranger's choice.
const CELL: usize = 200;

/// A cell of a table: one line, cut where it is long.
fn cell(text: &str) -> String {
    let mut cell: String = one_line(text).chars().take(CELL + 1).collect();
    if cell.chars().count() > CELL {
        cell.pop();
        cell.push('…');
    }
    cell
}

/// A remark whose further lines are not at the margin: what is quoted in it must not look like another one.
fn indented(text: &str) -> String {
    let mut lines = text.split('\n');
    let mut remark = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        remark.push('\n');
        if !line.is_empty() && !line.starts_with(' ') {
            remark.push_str("  ");
        }
        remark.push_str(line);
    }
    remark
}

#[derive(Serialize)]
struct Typed<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

/// `text` with every character that could steer a terminal made visible; line breaks and tabs stay.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    replace(text, |character| !matches!(character, '\n' | '\t'))
}

/// The same, and line breaks and tabs are made visible too.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    replace(text, |_| true)
}

fn replace(text: &str, also: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|character| steers(character) && also(character)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.chars()
            .map(|character| match character {
                _ if !steers(character) || !also(character) => character,
                // Unicode has a picture of each old control character.
                '\0'..='\x1f' => {
                    char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}')
                }
                '\x7f' => '\u{2421}',
                _ => '\u{fffd}',
            })
            .collect(),
    )
}

/// Whether a terminal may obey the character instead of showing it: controls, the marks that turn the direction of
/// what follows, other ends of lines, and what takes no room.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// JSON escapes the controls below space by itself; these are the others. In JSON they can only
/// stand in strings.
fn escape_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(steers) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if steers(character) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_controls_and_direction_marks_are_made_visible() {
        assert_eq!(visible("a\x1b[31mred\x07\n\tb"), "a␛[31mred␇\n\tb");
        assert_eq!(visible("x\u{9b}31m \u{202e}evil\x7f\r"), "x\u{fffd}31m \u{fffd}evil␡␍");
        assert_eq!(one_line("a\nb\tc"), "a␊b␉c");
        assert!(matches!(visible("plain äöü 日本\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_a_remark_quotes_cannot_look_like_another_remark() {
        assert_eq!(
            indented("refused: no\ndetached: it goes on"),
            "refused: no\n  detached: it goes on"
        );
        assert_eq!(indented("one\n  indented\n"), "one\n  indented\n");
    }

    #[test]
    fn a_piece_of_an_item_says_its_type() {
        let body = worker_types::ItemDelta {
            item_id: worker_types::ItemId::new(2),
            offset: 0,
            text: "a".to_owned(),
        };
        assert_eq!(
            serde_json::to_value(Typed { kind: "item.delta", body: &body }).expect("JSON"),
            serde_json::json!({ "type": "item.delta", "item_id": 2, "offset": 0, "text": "a" })
        );
    }

    #[test]
    fn json_for_a_terminal_is_still_the_same_json() {
        let value = serde_json::json!({ "text": "\u{9b}31m\u{202e}\x1b" });
        let printed = escape_json(&value.to_string()).into_owned();
        assert!(printed.is_ascii());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).expect("JSON"), value);
    }
}

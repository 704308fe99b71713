//! The text of a configuration, kept to say where in it something is wrong.

use std::{fmt, ops::Range};

use toml::de::{DeTable, DeValue};

use crate::InvalidConfig;

/// The text of a configuration and the name of its file.
#[derive(Clone, Default)]
pub(crate) struct SourceText {
    file: String,
    text: String,
}

/// Not the text: it is long, and nobody who prints a configuration asked for it.
impl fmt::Debug for SourceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceText").field("file", &self.file).finish_non_exhaustive()
    }
}

impl SourceText {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        Self { file: file.to_owned(), text: text.to_owned() }
    }

    /// What the TOML reader found, in the words of this product and with the key it is about.
    pub(crate) fn explain(&self, error: &toml::de::Error) -> InvalidConfig {
        let span = error.span();
        let key = span.as_ref().and_then(|span| self.key_at(span));
        self.at(span.unwrap_or(0..0).start, key, reword(error.message()))
    }

    /// An error at the key that `path` leads to, or at the nearest table above it.
    pub(crate) fn error_at(&self, path: &[&str], message: String) -> InvalidConfig {
        let offset = self.offset_of(path).unwrap_or(0);
        self.at(offset, Some(join(path.iter().copied())), message)
    }

    fn at(&self, offset: usize, key: Option<String>, message: String) -> InvalidConfig {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        InvalidConfig {
            file: self.file.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key,
            message,
        }
    }

    fn key_at(&self, span: &Range<usize>) -> Option<String> {
        let table = DeTable::parse(&self.text).ok()?;
        let mut deepest = Vec::new();
        find(table.get_ref(), span, &mut Vec::new(), &mut deepest);
        (!deepest.is_empty()).then(|| join(deepest.iter().map(String::as_str)))
    }

    fn offset_of(&self, path: &[&str]) -> Option<usize> {
        let root = DeTable::parse(&self.text).ok()?;
        let mut table = root.get_ref();
        let mut offset = None;
        for name in path {
            let Some((key, value)) = table.get_key_value(*name) else { break };
            offset = Some(key.span().start);
            let Some(inner) = value.get_ref().as_table() else { break };
            table = inner;
        }
        offset
    }
}

/// Finds the longest path of keys whose own text or value holds `span`.
fn find(
    table: &DeTable<'_>,
    span: &Range<usize>,
    path: &mut Vec<String>,
    deepest: &mut Vec<String>,
) {
    for (key, value) in table {
        path.push(key.get_ref().as_ref().to_owned());
        let holds = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
        if (holds(key.span()) || holds(value.span())) && path.len() > deepest.len() {
            deepest.clone_from(path);
        }
        // A table's own span is its header, not what stands below it.
        if let DeValue::Table(inner) = value.get_ref() {
            find(inner, span, path, deepest);
        }
        path.pop();
    }
}

fn join<'a>(path: impl Iterator<Item = &'a str>) -> String {
    path.collect::<Vec<_>>().join(".")
}

fn reword(message: &str) -> String {
    if message.starts_with("unknown field `api_key`") {
        return "a configuration holds no keys: put this one into an environment variable, take \
                it out of the file, and name the variable in `api_key_env`"
            .to_owned();
    }
    // What serde calls fields and variants, a person who writes TOML calls keys and values.
    for (serde, ours) in [
        ("unknown field ", "unknown key "),
        ("missing field ", "missing key "),
        ("unknown variant ", "unknown value "),
    ] {
        if let Some(rest) = message.strip_prefix(serde) {
            return format!("{ours}{rest}");
        }
    }
    // The reader's messages may have several lines; ours are one sentence.
    let message = message.trim().replace('\n', "; ");
    // A text in the wrong place is not repeated: it may be a key.
    let message = match message.rsplit_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid type: string ") => {
            format!("invalid type: string, expected {expected}")
        }
        _ => message,
    };
    message
        .replace("expected u64", "expected a whole number that is not negative")
        .replace("expected a sequence", "expected a list")
        .replace("type: sequence", "type: list")
}

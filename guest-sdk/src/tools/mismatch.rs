//! Why a text that should be in a file is not: what is there instead.

use std::collections::HashSet;

use super::text::{cut, lines, without_line_end};

/// Lines of the file that are compared: more would take longer than a person waits.
const MAX_COMPARED: usize = 50_000;

/// Lines that are shown.
const MAX_SHOWN: usize = 12;

/// Bytes of a line that are shown.
const MAX_LINE_BYTES: usize = 300;

/// How alike two lines have to be for one to be shown for the other.
const ALIKE: f64 = 0.5;

/// Says why `old` is not in `file`, in words for whoever thought that it was.
pub(super) fn explain(name: &str, file: &[u8], old: &str) -> String {
    if file.is_empty() {
        return format!("`{name}` is empty: `write` fills it");
    }
    let text = String::from_utf8_lossy(file);
    if let Some(without) = without_numbers(old)
        && text.contains(&without)
    {
        return "`old_text` has the line numbers of `read` in it: leave them out, and the tab after \
                them"
            .to_owned();
    }
    let there: Vec<&str> = text.lines().take(MAX_COMPARED).collect();
    let wanted: Vec<&str> = old.lines().collect();
    let length = |at: usize| wanted.len().min(there.len() - at);
    let missing = format!("`old_text` does not occur in `{name}`");
    if let Some(at) = equal_but_for_space(&there, &wanted) {
        let shown = show(&there, at, length(at));
        return format!(
            "{missing}, but for white space it is in {}:\n{shown}",
            range(at, length(at))
        );
    }
    if let Some(at) = most_alike(&there, &wanted) {
        let shown = show(&there, at, length(at));
        return format!("{missing}; the nearest is in {}:\n{shown}", range(at, length(at)));
    }
    format!("{missing}, and nothing like it; `read` shows what is there")
}

fn range(at: usize, length: usize) -> String {
    if length == 1 {
        format!("line {}", at + 1)
    } else {
        format!("the lines {}-{}", at + 1, at + length)
    }
}

/// Lines with their numbers, as `read` shows them.
fn show(there: &[&str], at: usize, length: usize) -> String {
    let mut text = String::new();
    for (line, number) in there.iter().zip(1..).skip(at).take(length.min(MAX_SHOWN)) {
        let (line, more) = cut(line, MAX_LINE_BYTES);
        let rest = if more > 0 { "…" } else { "" };
        text.push_str(&format!("{number:>6}\t{line}{rest}\n"));
    }
    if length > MAX_SHOWN {
        text.push_str("[and so on]\n");
    }
    text
}

/// `old` without what `read` puts before each line, if every line has it.
fn without_numbers(old: &str) -> Option<String> {
    let lines: Option<Vec<&str>> = lines(old.as_bytes())
        .map(|line| {
            let line = std::str::from_utf8(line).ok()?;
            let (number, text) = line.split_once('\t')?;
            number.trim_start().parse::<u64>().ok().map(|_| text)
        })
        .collect();
    lines.map(|lines| lines.concat())
}

/// Where the lines are the same but for white space.
fn equal_but_for_space(there: &[&str], wanted: &[&str]) -> Option<usize> {
    let squeeze = |line: &&str| line.split_whitespace().collect::<String>();
    let wanted: Vec<String> = wanted.iter().map(squeeze).collect();
    if wanted.iter().all(String::is_empty) {
        return None;
    }
    let there: Vec<String> = there.iter().map(squeeze).collect();
    // A text may begin and end within a line.
    let (first, others) = wanted.split_first()?;
    let Some((last, between)) = others.split_last() else {
        return there.iter().position(|line| line.contains(first.as_str()));
    };
    there.windows(wanted.len()).position(|window| {
        window[0].ends_with(first.as_str())
            && window[1..=between.len()] == *between
            && window[wanted.len() - 1].starts_with(last.as_str())
    })
}

/// Where the lines begin that are most like those wanted, if any are.
fn most_alike(there: &[&str], wanted: &[&str]) -> Option<usize> {
    // The longest line says most.
    let (index, longest) =
        wanted.iter().enumerate().rev().max_by_key(|(_, line)| line.trim().len())?;
    let longest = pairs(longest);
    let (at, likeness) = there
        .iter()
        .map(|line| likeness(&longest, &pairs(line)))
        .enumerate()
        .max_by(|(at, one), (other_at, other)| one.total_cmp(other).then(other_at.cmp(at)))?;
    (likeness >= ALIKE).then(|| at.saturating_sub(index))
}

/// The pairs of neighbouring bytes in a line. Of a very long one, of its beginning.
fn pairs(line: &str) -> HashSet<[u8; 2]> {
    let line = without_line_end(line.trim().as_bytes());
    line[..line.len().min(MAX_LINE_BYTES)].windows(2).map(|pair| [pair[0], pair[1]]).collect()
}

/// How many pairs two lines share: from 0, none, to 1, all.
fn likeness(one: &HashSet<[u8; 2]>, other: &HashSet<[u8; 2]>) -> f64 {
    let all = one.len() + other.len();
    if all == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "there are at most 300 of each")]
    let shared = (2 * one.intersection(other).count()) as f64 / all as f64;
    shared
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "fn main() {\n\tlet count = 1;\n\tprintln!(\"{count}\");\n}\n";

    #[test]
    fn white_space_is_pointed_out() {
        let words =
            explain("a.rs", FILE.as_bytes(), "    let count = 1;\n    println!(\"{count}\");");
        assert!(words.contains("but for white space it is in the lines 2-3:\n"), "{words}");
        assert!(words.contains("     2\t\tlet count = 1;\n"), "{words}");
    }

    #[test]
    fn the_nearest_lines_are_shown() {
        let words = explain("a.rs", FILE.as_bytes(), "fn main() {\n\tlet counter = 10;\n");
        assert!(words.contains("the nearest is in the lines 1-2:\n"), "{words}");
        assert!(words.contains("     2\t\tlet count = 1;\n"), "{words}");
    }

    #[test]
    fn line_numbers_are_told_apart_from_text() {
        let words =
            explain("a.rs", FILE.as_bytes(), "     2\t\tlet count = 1;\n     3\t\tprintln!");
        assert!(words.contains("has the line numbers of `read`"), "{words}");
    }

    #[test]
    fn where_nothing_is_alike_nothing_is_shown() {
        let words = explain("a.rs", FILE.as_bytes(), "SELECT * FROM users");
        assert_eq!(
            words,
            "`old_text` does not occur in `a.rs`, and nothing like it; `read` shows what is there"
        );
    }

    proptest! {
        #[test]
        fn every_mismatch_has_short_words(file: Vec<u8>, old in "(?s).{1,60}") {
            let words = explain("a", &file, &old);
            prop_assert!(words.len() < 300 + MAX_SHOWN * (MAX_LINE_BYTES + 12));
        }
    }
}

//! Finding where a hunk belongs, and putting it there.

use super::read::{Hunk, Line};

/// What came of a file.
pub(super) struct Applied {
    /// Its new text.
    pub(super) text: Vec<u8>,
    /// Where each hunk went; nothing, if it fitted nowhere.
    pub(super) hunks: Vec<Option<Place>>,
}

/// Where a hunk went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Its first line in the new text, counted from 1.
    pub(super) line: usize,
    /// How far that is from where it said.
    pub(super) offset: isize,
    /// How many lines at its ends did not fit.
    pub(super) fuzz: usize,
}

/// Makes the changes that fit, in their order.
pub(super) fn apply(old: &[u8], hunks: &[Hunk], fuzz: usize, ignore_spaces: bool) -> Applied {
    let lines: Vec<&[u8]> = old.split_inclusive(|byte| *byte == b'\n').collect();
    let mut applied = Applied { text: Vec::new(), hunks: Vec::new() };
    let mut done = 0;
    let (mut drift, mut growth) = (0_isize, 0_isize);
    for hunk in hunks {
        let Some((at, trimmed)) = find(&lines, hunk, (done, drift), fuzz, ignore_spaces) else {
            applied.hunks.push(None);
            continue;
        };
        let expected = expected(hunk);
        let offset = signed(at) - signed(expected) - signed(trimmed.front);
        drift = offset;
        for line in &lines[done..at] {
            applied.text.extend_from_slice(line);
        }
        let body = &hunk.lines[trimmed.front..hunk.lines.len() - trimmed.back];
        let mut here = at;
        for line in body {
            match line {
                // As the file has it, which may differ in its spaces.
                Line::Common(_) => {
                    applied.text.extend_from_slice(lines[here]);
                    here += 1;
                }
                Line::Old(_) => here += 1,
                Line::New(text) => {
                    if applied.text.last().is_some_and(|last| *last != b'\n') {
                        applied.text.push(b'\n');
                    }
                    applied.text.extend_from_slice(text);
                }
            }
        }
        done = here;
        let line = signed(at) - signed(trimmed.front) + 1 + growth;
        applied.hunks.push(Some(Place {
            line: usize::try_from(line).unwrap_or(1),
            offset,
            fuzz: trimmed.front.max(trimmed.back),
        }));
        growth += signed(hunk.new_lines().len()) - signed(hunk.old().len());
    }
    for line in &lines[done..] {
        applied.text.extend_from_slice(line);
    }
    applied
}

fn signed(number: usize) -> isize {
    isize::try_from(number).unwrap_or(isize::MAX)
}

/// Where a hunk says it belongs, counted from 0.
fn expected(hunk: &Hunk) -> usize {
    // Without old lines, it is behind the line of that number.
    if hunk.old().is_empty() { hunk.old_start } else { hunk.old_start.saturating_sub(1) }
}

/// Common lines at the ends of a hunk that are not looked at.
#[derive(Debug, Clone, Copy)]
struct Trimmed {
    front: usize,
    back: usize,
}

/// The place nearest to where the hunk says, with as few lines left out as possible.
fn find(
    lines: &[&[u8]],
    hunk: &Hunk,
    (done, drift): (usize, isize),
    fuzz: usize,
    ignore_spaces: bool,
) -> Option<(usize, Trimmed)> {
    let common = |line: &&Line| matches!(line, Line::Common(_));
    let front = hunk.lines.iter().take_while(common).count();
    let back = hunk.lines.iter().rev().take_while(common).count();
    let old = hunk.old();
    for fuzz in 0..=fuzz.min(front.max(back)) {
        // The longer context gives way first.
        let more = front.max(back);
        let trimmed = Trimmed {
            front: (fuzz + front).saturating_sub(more),
            back: (fuzz + back).saturating_sub(more),
        };
        if trimmed.front + trimmed.back > old.len() {
            break;
        }
        let wanted = &old[trimmed.front..old.len() - trimmed.back];
        let start = signed(expected(hunk)) + drift + signed(trimmed.front);
        let last = lines.len().checked_sub(wanted.len());
        let Some(last) = last else { continue };
        for distance in 0..=signed(lines.len()).saturating_add(start.abs()) {
            for candidate in [start + distance, start - distance] {
                let Ok(at) = usize::try_from(candidate) else { continue };
                if at < done || at > last {
                    continue;
                }
                let same = |(one, other): (&&[u8], &&[u8])| is_same(one, other, ignore_spaces);
                if lines[at..at + wanted.len()].iter().zip(wanted).all(same) {
                    // Nothing to hold on to: only where it says, or at the end.
                    if wanted.is_empty() && distance > 0 && !lines.is_empty() {
                        continue;
                    }
                    return Some((at, trimmed));
                }
            }
        }
    }
    None
}

fn is_same(one: &[u8], other: &[u8], ignore_spaces: bool) -> bool {
    if !ignore_spaces {
        return one == other;
    }
    let words = |line: &[u8]| -> Vec<Vec<u8>> {
        line.split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    };
    words(one) == words(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::whole::patch::read;

    /// The line, the offset and the fuzz of each hunk that fitted.
    type Places = Vec<Option<(usize, isize, usize)>>;

    fn patched(old: &str, patch: &str) -> (String, Places) {
        let patches = read::patches(patch.as_bytes()).unwrap();
        let applied = apply(old.as_bytes(), &patches[0].hunks, 2, false);
        let places = applied.hunks.into_iter();
        let places = places.map(|place| place.map(|place| (place.line, place.offset, place.fuzz)));
        (String::from_utf8(applied.text).unwrap(), places.collect())
    }

    const UNIFIED: &str = "--- f\n+++ f\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n";

    #[test]
    fn a_hunk_is_found_where_it_says_and_elsewhere() {
        assert_eq!(patched("a\nb\nc\n", UNIFIED), ("a\nB\nc\n".into(), vec![Some((1, 0, 0))]));
        let moved = patched("x\ny\na\nb\nc\n", UNIFIED);
        assert_eq!(moved, ("x\ny\na\nB\nc\n".into(), vec![Some((3, 2, 0))]));
        assert_eq!(patched("x\nb\nc\n", UNIFIED), ("x\nB\nc\n".into(), vec![Some((1, 0, 1))]));
        assert_eq!(patched("q\n", UNIFIED), ("q\n".into(), vec![None]));
    }

    #[test]
    fn other_formats_say_the_same() {
        let context = "*** f\n--- f\n***************\n*** 1,3 ****\n  a\n! b\n  c\n--- 1,3 ----\n  a\n! B\n  c\n";
        assert_eq!(patched("a\nb\nc\n", context).0, "a\nB\nc\n");
        assert_eq!(patched("a\nb\nc\n", "2c2\n< b\n---\n> B\n").0, "a\nB\nc\n");
        assert_eq!(patched("a\nb\nc\n", "1a2\n> x\n").0, "a\nx\nb\nc\n");
    }

    #[test]
    fn a_missing_line_end_is_kept_as_it_is_said() {
        let patch = "--- f\n+++ f\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n";
        assert_eq!(patched("a", patch).0, "b\n");
        let patch = "--- f\n+++ f\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n";
        assert_eq!(patched("a\n", patch).0, "b");
    }
}

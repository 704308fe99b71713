//! Which lines differ: Myers' algorithm in linear space, and the differences moved to where people
//! expect them.

use std::ops::Range;

/// A run of lines that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// The first of them in the old text, counted from 0.
    pub(crate) old: usize,
    /// How many there are in the old text.
    pub(crate) deleted: usize,
    /// The first of them in the new text.
    pub(crate) new: usize,
    /// How many there are in the new text.
    pub(crate) inserted: usize,
}

/// The differences between two texts whose equal lines are equal numbers.
pub(crate) fn changes(old: &[u32], new: &[u32]) -> Vec<Change> {
    let mut marks = Marks { old: vec![false; old.len()], new: vec![false; new.len()] };
    let diagonals = old.len() + new.len() + 3;
    let mut search = Search {
        old,
        new,
        forward: vec![0; diagonals],
        backward: vec![0; diagonals],
        patience: patience(diagonals),
    };
    search.mark(0..old.len(), 0..new.len(), &mut marks);
    slide(old, &mut marks.old, &marks.new);
    slide(new, &mut marks.new, &marks.old);
    marks.changes()
}

/// After how many steps a search for the shortest way takes the best that it has: beyond, texts that
/// have nothing in common would take the square of their length.
fn patience(diagonals: usize) -> usize {
    (diagonals.isqrt() * 2).max(256)
}

struct Marks {
    old: Vec<bool>,
    new: Vec<bool>,
}

impl Marks {
    fn changes(&self) -> Vec<Change> {
        let marked = |marks: &[bool], at: usize| marks.get(at).copied().unwrap_or(false);
        let run = |marks: &[bool], at: usize| marks[at..].iter().take_while(|mark| **mark).count();
        let mut changes = Vec::new();
        let (mut old, mut new) = (0, 0);
        while old < self.old.len() || new < self.new.len() {
            if marked(&self.old, old) || marked(&self.new, new) {
                let (deleted, inserted) = (run(&self.old, old), run(&self.new, new));
                changes.push(Change { old, deleted, new, inserted });
                old += deleted;
                new += inserted;
            } else {
                old += 1;
                new += 1;
            }
        }
        changes
    }
}

struct Search<'a> {
    old: &'a [u32],
    new: &'a [u32],
    /// How far one comes on each diagonal, from the beginning and from the end.
    forward: Vec<isize>,
    backward: Vec<isize>,
    patience: usize,
}

impl Search<'_> {
    /// Marks the lines that differ between two ranges.
    fn mark(&mut self, old: Range<usize>, new: Range<usize>, marks: &mut Marks) {
        let (mut old, mut old_end) = (old.start, old.end);
        let (mut new, mut new_end) = (new.start, new.end);
        while old < old_end && new < new_end && self.old[old] == self.new[new] {
            old += 1;
            new += 1;
        }
        while old < old_end && new < new_end && self.old[old_end - 1] == self.new[new_end - 1] {
            old_end -= 1;
            new_end -= 1;
        }
        if old == old_end {
            marks.new[new..new_end].fill(true);
        } else if new == new_end {
            marks.old[old..old_end].fill(true);
        } else {
            let (old_middle, new_middle) = self.middle(old, old_end, new, new_end);
            self.mark(old..old_middle, new..new_middle, marks);
            self.mark(old_middle..old_end, new_middle..new_end, marks);
        }
    }

    /// A point on a shortest way from the beginning of both ranges to their end.
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_wrap, reason = "lines fit into memory")]
    fn middle(&mut self, old: usize, old_end: usize, new: usize, new_end: usize) -> (usize, usize) {
        let (x0, x1) = (old as isize, old_end as isize);
        let (y0, y1) = (new as isize, new_end as isize);
        // Diagonals are numbered by the difference of the two positions.
        let (lowest, highest) = (x0 - y1, x1 - y0);
        let offset = self.new.len() as isize + 1;
        let at = |diagonal: isize| (diagonal + offset) as usize;
        let (from, to) = (x0 - y0, x1 - y1);
        let odd = (from - to) % 2 != 0;
        let (mut forward_low, mut forward_high) = (from, from);
        let (mut backward_low, mut backward_high) = (to, to);
        self.forward[at(from)] = x0;
        self.backward[at(to)] = x1;
        for cost in 1.. {
            widen(&mut forward_low, &mut forward_high, lowest, highest, |diagonal| {
                self.forward[at(diagonal)] = -1;
            });
            let mut diagonal = forward_high;
            while diagonal >= forward_low {
                let below = self.forward[at(diagonal - 1)];
                let above = self.forward[at(diagonal + 1)];
                let mut x = if below < above { above } else { below + 1 };
                let mut y = x - diagonal;
                while x < x1 && y < y1 && self.old[x as usize] == self.new[y as usize] {
                    x += 1;
                    y += 1;
                }
                self.forward[at(diagonal)] = x;
                let met = odd
                    && (backward_low..=backward_high).contains(&diagonal)
                    && self.backward[at(diagonal)] <= x;
                if met {
                    return (x as usize, y as usize);
                }
                diagonal -= 2;
            }
            widen(&mut backward_low, &mut backward_high, lowest, highest, |diagonal| {
                self.backward[at(diagonal)] = isize::MAX;
            });
            let mut diagonal = backward_high;
            while diagonal >= backward_low {
                let below = self.backward[at(diagonal - 1)];
                let above = self.backward[at(diagonal + 1)];
                let mut x = if below < above { below } else { above - 1 };
                let mut y = x - diagonal;
                while x > x0 && y > y0 && self.old[x as usize - 1] == self.new[y as usize - 1] {
                    x -= 1;
                    y -= 1;
                }
                self.backward[at(diagonal)] = x;
                let met = !odd
                    && (forward_low..=forward_high).contains(&diagonal)
                    && x <= self.forward[at(diagonal)];
                if met {
                    return (x as usize, y as usize);
                }
                diagonal -= 2;
            }
            if cost >= self.patience {
                // The way that came furthest from the beginning.
                let mut best = (x0, y0);
                let mut diagonal = forward_high;
                while diagonal >= forward_low {
                    let x = self.forward[at(diagonal)].min(x1);
                    let y = x - diagonal;
                    if (y0..=y1).contains(&y) && x + y > best.0 + best.1 {
                        best = (x, y);
                    }
                    diagonal -= 2;
                }
                return (best.0 as usize, best.1 as usize);
            }
        }
        (old_end, new_end)
    }
}

/// One diagonal more on either side, or, at the border, one less.
fn widen(
    low: &mut isize,
    high: &mut isize,
    lowest: isize,
    highest: isize,
    mut beyond: impl FnMut(isize),
) {
    if *low > lowest {
        *low -= 1;
        beyond(*low - 1);
    } else {
        *low += 1;
    }
    if *high < highest {
        *high += 1;
        beyond(*high + 1);
    } else {
        *high -= 1;
    }
}

/// Moves runs of marked lines, between lines that equal theirs, as far down as they go, unless they
/// can stand opposite to a run in the other text; runs that meet become one.
fn slide(lines: &[u32], marks: &mut [bool], others: &[bool]) {
    let end = lines.len();
    let marked = |marks: &[bool], at: usize| marks.get(at).copied().unwrap_or(false);
    let (mut line, mut other) = (0, 0);
    loop {
        while line < end && !marks[line] {
            while marked(others, other) {
                other += 1;
            }
            other += 1;
            line += 1;
        }
        if line >= end {
            return;
        }
        let mut start = line;
        while marked(marks, line) {
            line += 1;
        }
        while marked(others, other) {
            other += 1;
        }
        let mut opposite;
        loop {
            let length = line - start;
            while start > 0 && lines[start - 1] == lines[line - 1] {
                start -= 1;
                line -= 1;
                marks[start] = true;
                marks[line] = false;
                while start > 0 && marks[start - 1] {
                    start -= 1;
                }
                other -= 1;
                while other > 0 && marked(others, other) {
                    other -= 1;
                }
            }
            opposite = if other > 0 && marked(others, other - 1) { line } else { end };
            while line < end && lines[start] == lines[line] {
                marks[start] = false;
                marks[line] = true;
                start += 1;
                line += 1;
                while marked(marks, line) {
                    line += 1;
                }
                other += 1;
                while marked(others, other) {
                    opposite = line;
                    other += 1;
                }
            }
            if length == line - start {
                break;
            }
        }
        while opposite < line {
            start -= 1;
            line -= 1;
            marks[start] = true;
            marks[line] = false;
            other -= 1;
            while other > 0 && marked(others, other) {
                other -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    /// The changes make the new text of the old one.
    fn applied(old: &[u32], new: &[u32]) -> Vec<u32> {
        let mut result = Vec::new();
        let mut done = 0;
        for change in changes(old, new) {
            result.extend_from_slice(&old[done..change.old]);
            result.extend_from_slice(&new[change.new..change.new + change.inserted]);
            done = change.old + change.deleted;
        }
        result.extend_from_slice(&old[done..]);
        result
    }

    #[test]
    fn the_changes_turn_the_old_text_into_the_new_one() {
        let texts = ["", "a", "abc", "acd", "abcabba", "cbabac", "xyz", "aaaa", "aabaa", "bbbbab"];
        for old in texts {
            for new in texts {
                let (old, new) = (numbers(old), numbers(new));
                assert_eq!(applied(&old, &new), new, "{old:?} {new:?}");
            }
        }
    }

    #[test]
    fn texts_without_anything_in_common_end_in_time() {
        let old: Vec<u32> = (0..20_000).collect();
        let new: Vec<u32> = (0..20_000).map(|line| line + 30_000 - (line % 97) * 300).collect();
        assert_eq!(applied(&old, &new), new);
    }

    #[test]
    fn a_repeated_line_is_added_behind_the_others() {
        let change = Change { old: 2, deleted: 0, new: 2, inserted: 1 };
        assert_eq!(changes(&numbers("aab"), &numbers("aaab")), [change]);
    }
}

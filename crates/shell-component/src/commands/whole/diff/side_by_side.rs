//! `diff -y`: two columns, for people.

use super::{Change, Lines, Request, expand_tabs};
use crate::commands::whole::buffered::Call;

/// The width of a terminal that nobody asked about.
const WIDTH: usize = 130;

/// Tabs stand at multiples of this.
const TAB: usize = 8;

struct Columns {
    /// The width of each half.
    half: usize,
    /// Where the second begins.
    second: usize,
}

impl Columns {
    /// The columns of GNU diff: the second begins at a tab, and between both there is a mark.
    fn new(width: usize) -> Self {
        const GUTTER: usize = 3;
        let off = (width + TAB + GUTTER) / (2 * TAB) * TAB;
        let half = off.saturating_sub(GUTTER).min(width.saturating_sub(off));
        let second = if half == 0 { width } else { off };
        Self { half, second }
    }
}

pub(super) fn write(
    call: &mut Call<'_>,
    request: &Request,
    old: &Lines<'_>,
    new: &Lines<'_>,
    changes: &[Change],
) {
    let width = request.given.value('W').and_then(|width| width.parse().ok()).unwrap_or(WIDTH);
    let mut table = Table {
        columns: Columns::new(width),
        spaces: request.given.has('t'),
        output: &mut call.output,
    };
    let common = |table: &mut Table<'_>, from: (usize, usize), count: usize| {
        if request.given.has('5') {
            return;
        }
        for index in 0..count {
            let left = Some(old.lines[from.0 + index]);
            if request.given.has('4') {
                table.row(left, '(', None);
            } else {
                table.row(left, ' ', Some(new.lines[from.1 + index]));
            }
        }
    };
    let (mut old_done, mut new_done) = (0, 0);
    for change in changes {
        common(&mut table, (old_done, new_done), change.old - old_done);
        for index in 0..change.deleted.max(change.inserted) {
            let left = (index < change.deleted).then(|| old.lines[change.old + index]);
            let right = (index < change.inserted).then(|| new.lines[change.new + index]);
            let mark = match (left, right) {
                (Some(_), None) => '<',
                (None, Some(_)) => '>',
                _ => '|',
            };
            table.row(left, mark, right);
        }
        old_done = change.old + change.deleted;
        new_done = change.new + change.inserted;
    }
    common(&mut table, (old_done, new_done), old.lines.len() - old_done);
}

struct Table<'a> {
    columns: Columns,
    /// Spaces instead of tabs.
    spaces: bool,
    output: &'a mut Vec<u8>,
}

impl Table<'_> {
    fn row(&mut self, left: Option<&[u8]>, mark: char, right: Option<&[u8]>) {
        let mut column = 0;
        if let Some(left) = left {
            column = self.half(left);
        }
        if mark != ' ' {
            column =
                self.go_to_column(column, (self.columns.half + self.columns.second - 1) / 2) + 1;
            self.output.push(u8::try_from(mark).unwrap_or(b'|'));
        }
        if let Some(right) = right.filter(|right| !right.is_empty()) {
            self.go_to_column(column, self.columns.second);
            self.half(right);
        }
        self.output.push(b'\n');
    }

    /// Writes as much of a line as there is room for, and returns how wide that is.
    fn half(&mut self, line: &[u8]) -> usize {
        let line = expand_tabs(line);
        let text = String::from_utf8_lossy(&line);
        let mut width = 0;
        for char in text.chars().take(self.columns.half) {
            self.output.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            width += 1;
        }
        width
    }

    /// Goes from one column to another one, by tabs as far as they lead.
    fn go_to_column(&mut self, mut from: usize, to: usize) -> usize {
        if !self.spaces {
            let mut next = from + TAB - from % TAB;
            while next <= to {
                self.output.push(b'\t');
                from = next;
                next += TAB;
            }
        }
        while from < to {
            self.output.push(b' ');
            from += 1;
        }
        to
    }
}

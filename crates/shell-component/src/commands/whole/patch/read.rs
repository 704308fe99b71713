//! What a patch says: unified, context and normal diffs, with whatever text between them.

/// The changes of one file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Patch {
    /// As its header has it.
    pub(super) old_name: String,
    pub(super) new_name: String,
    /// From an `Index:` line.
    pub(super) index: Option<String>,
    /// Whether the file did not exist before.
    pub(super) creates: bool,
    /// Whether it does not afterwards.
    pub(super) deletes: bool,
    pub(super) hunks: Vec<Hunk>,
}

/// A line of a hunk, with its line end if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    Common(Vec<u8>),
    Old(Vec<u8>),
    New(Vec<u8>),
}

/// Lines that change, with lines around them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Hunk {
    /// Where they are, counted from 1; 0 before the first line.
    pub(super) old_start: usize,
    pub(super) new_start: usize,
    pub(super) lines: Vec<Line>,
}

impl Hunk {
    /// The lines that it finds.
    pub(super) fn old(&self) -> Vec<&[u8]> {
        let lines = self.lines.iter().filter_map(|line| match line {
            Line::Common(text) | Line::Old(text) => Some(text.as_slice()),
            Line::New(_) => None,
        });
        lines.collect()
    }

    /// The lines that it leaves.
    pub(super) fn new_lines(&self) -> Vec<&[u8]> {
        let lines = self.lines.iter().filter_map(|line| match line {
            Line::Common(text) | Line::New(text) => Some(text.as_slice()),
            Line::Old(_) => None,
        });
        lines.collect()
    }

    /// The hunk that takes this one back.
    pub(super) fn reversed(&self) -> Self {
        let lines = self.lines.iter().map(|line| match line {
            Line::Common(text) => Line::Common(text.clone()),
            Line::Old(text) => Line::New(text.clone()),
            Line::New(text) => Line::Old(text.clone()),
        });
        Self { old_start: self.new_start, new_start: self.old_start, lines: lines.collect() }
    }

    /// As a unified diff.
    pub(super) fn text(&self) -> Vec<u8> {
        let range = |start: usize, count: usize| match count {
            1 => start.to_string(),
            _ => format!("{start},{count}"),
        };
        let old = range(self.old_start, self.old().len());
        let new = range(self.new_start, self.new_lines().len());
        let mut text = format!("@@ -{old} +{new} @@\n").into_bytes();
        for line in &self.lines {
            let (mark, line) = match line {
                Line::Common(line) => (b' ', line),
                Line::Old(line) => (b'-', line),
                Line::New(line) => (b'+', line),
            };
            text.push(mark);
            text.extend_from_slice(line);
            if line.last() != Some(&b'\n') {
                text.extend_from_slice(b"\n\\ No newline at end of file\n");
            }
        }
        text
    }
}

/// Reads everything that a text describes.
pub(super) fn patches(text: &[u8]) -> Result<Vec<Patch>, String> {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let mut reader = Reader { lines, at: 0, patches: Vec::new(), next: Patch::default() };
    while reader.at < reader.lines.len() {
        reader.step()?;
    }
    reader.close();
    Ok(reader.patches)
}

struct Reader<'a> {
    lines: Vec<&'a [u8]>,
    at: usize,
    patches: Vec<Patch>,
    next: Patch,
}

fn as_text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_owned()
}

/// The name in a header, which ends at a tab.
fn name(rest: &str) -> String {
    let name = rest.split('\t').next().unwrap_or(rest).trim_end();
    name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name).to_owned()
}

/// Whether a header says that there is no such file.
fn is_nothing(rest: &str) -> bool {
    rest.starts_with("/dev/null") || rest.contains("\t1970-01-01 00:00:00")
}

impl Reader<'_> {
    fn line(&self, ahead: usize) -> Option<String> {
        self.lines.get(self.at + ahead).map(|line| as_text(line))
    }

    fn close(&mut self) {
        let patch = std::mem::take(&mut self.next);
        if !patch.hunks.is_empty() {
            self.patches.push(patch);
        }
    }

    fn step(&mut self) -> Result<(), String> {
        let line = self.line(0).unwrap_or_default();
        let following = self.line(1).unwrap_or_default();
        if let (Some(old), Some(new)) = (line.strip_prefix("--- "), following.strip_prefix("+++ "))
        {
            self.header(old, new);
        } else if let (Some(old), Some(new)) =
            (line.strip_prefix("*** "), following.strip_prefix("--- "))
        {
            self.header(old, new);
        } else if let Some(index) = line.strip_prefix("Index:") {
            self.close();
            self.next.index = Some(index.trim().to_owned());
            self.at += 1;
        } else if line.starts_with("@@ -") {
            self.unified(&line)?;
        } else if line.starts_with("***************") {
            self.context()?;
        } else if let Some(command) = Normal::of(&line) {
            self.normal(&command)?;
        } else {
            self.at += 1;
        }
        Ok(())
    }

    fn header(&mut self, old: &str, new: &str) {
        let index = self.next.index.take();
        self.close();
        self.next = Patch {
            old_name: name(old),
            new_name: name(new),
            index,
            creates: is_nothing(old),
            deletes: is_nothing(new),
            hunks: Vec::new(),
        };
        self.at += 2;
    }

    fn malformed(&self) -> String {
        let line = self.line(0).unwrap_or_default();
        format!("malformed patch at line {}: {line}\n", self.at + 1)
    }

    fn unified(&mut self, line: &str) -> Result<(), String> {
        let ranges = || {
            let mut parts = line.strip_prefix("@@ -")?.split(' ');
            Some((range(parts.next()?)?, range(parts.next()?.strip_prefix('+')?)?))
        };
        let Some(((old_start, mut old), (new_start, mut new))) = ranges() else {
            return Err(self.malformed());
        };
        self.at += 1;
        if old == 0 && old_start == 0 {
            self.next.creates = true;
        }
        if new == 0 && new_start == 0 {
            self.next.deletes = true;
        }
        let mut hunk = Hunk { old_start, new_start, lines: Vec::new() };
        while old > 0 || new > 0 {
            let Some(line) = self.lines.get(self.at) else {
                // Editors take the spaces of empty lines at the end away.
                break;
            };
            let (mark, text) =
                line.split_first().map_or((b' ', &b"\n"[..]), |(mark, text)| (*mark, text));
            match mark {
                b' ' => hunk.lines.push(Line::Common(text.to_vec())),
                b'\n' => hunk.lines.push(Line::Common(b"\n".to_vec())),
                b'-' => hunk.lines.push(Line::Old(text.to_vec())),
                b'+' => hunk.lines.push(Line::New(text.to_vec())),
                b'\\' => {
                    without_end(&mut hunk);
                    self.at += 1;
                    continue;
                }
                _ => return Err(self.malformed()),
            }
            let counts = matches!(mark, b' ' | b'\n' | b'-');
            old = old.checked_sub(usize::from(counts)).ok_or_else(|| self.malformed())?;
            let counts = matches!(mark, b' ' | b'\n' | b'+');
            new = new.checked_sub(usize::from(counts)).ok_or_else(|| self.malformed())?;
            self.at += 1;
        }
        if self.lines.get(self.at).is_some_and(|line| line.starts_with(b"\\")) {
            without_end(&mut hunk);
            self.at += 1;
        }
        self.next.hunks.push(hunk);
        Ok(())
    }

    /// A hunk of a context diff: the old lines, and the new ones; those that are missing are the
    /// common ones of the other.
    fn context(&mut self) -> Result<(), String> {
        self.at += 1;
        let (old_start, old) = self.half("*** ", " ****")?;
        let (new_start, new) = self.half("--- ", " ----")?;
        let common = |lines: &[Marked]| -> Vec<Marked> {
            lines.iter().filter(|(mark, _)| *mark == b' ').cloned().collect()
        };
        let old = if old.is_empty() { common(&new) } else { old };
        let new = if new.is_empty() { common(&old) } else { new };
        let mut lines = Vec::new();
        let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
        loop {
            if let Some((_, text)) = old.next_if(|(mark, _)| *mark != b' ') {
                lines.push(Line::Old(text));
            } else if let Some((_, text)) = new.next_if(|(mark, _)| *mark != b' ') {
                lines.push(Line::New(text));
            } else if let Some((_, text)) = old.next() {
                let _ = new.next();
                lines.push(Line::Common(text));
            } else if let Some((_, text)) = new.next() {
                lines.push(Line::Common(text));
            } else {
                break;
            }
        }
        self.next.hunks.push(Hunk { old_start, new_start, lines });
        Ok(())
    }

    fn half(&mut self, begin: &str, end: &str) -> Result<(usize, Vec<Marked>), String> {
        let line = self.line(0).unwrap_or_default();
        let numbers = line.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
        let Some(numbers) = numbers else { return Err(self.malformed()) };
        let start = numbers.split(',').next().and_then(|start| start.parse().ok());
        let Some(start) = start else { return Err(self.malformed()) };
        self.at += 1;
        let mut lines: Vec<Marked> = Vec::new();
        while let Some(line) = self.lines.get(self.at) {
            match line {
                [mark @ (b' ' | b'-' | b'+' | b'!'), b' ', text @ ..] => {
                    if line.starts_with(b"--- ") {
                        break;
                    }
                    lines.push((*mark, text.to_vec()));
                }
                [b'\\', ..] => {
                    if let Some((_, text)) = lines.last_mut() {
                        text.pop();
                    }
                }
                _ => break,
            }
            self.at += 1;
        }
        Ok((start, lines))
    }

    fn normal(&mut self, command: &Normal) -> Result<(), String> {
        self.at += 1;
        let mut hunk = Hunk { old_start: command.old, new_start: command.new, lines: Vec::new() };
        for mark in [b'<', b'>'] {
            while let Some(text) =
                self.lines.get(self.at).and_then(|line| line.strip_prefix(&[mark, b' ']))
            {
                let text = text.to_vec();
                hunk.lines.push(if mark == b'<' { Line::Old(text) } else { Line::New(text) });
                self.at += 1;
                if self.lines.get(self.at).is_some_and(|line| line.starts_with(b"\\")) {
                    without_end(&mut hunk);
                    self.at += 1;
                }
            }
            if self.lines.get(self.at).is_some_and(|line| line.starts_with(b"---\n")) {
                self.at += 1;
            }
        }
        if hunk.lines.is_empty() {
            return Err(self.malformed());
        }
        self.next.hunks.push(hunk);
        Ok(())
    }
}

/// Takes the line end of the last line away.
fn without_end(hunk: &mut Hunk) {
    if let Some(Line::Common(text) | Line::Old(text) | Line::New(text)) = hunk.lines.last_mut()
        && text.last() == Some(&b'\n')
    {
        text.pop();
    }
}

/// `5,3` or `5`.
fn range(text: &str) -> Option<(usize, usize)> {
    match text.split_once(',') {
        Some((start, count)) => Some((start.parse().ok()?, count.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    }
}

/// A line of a context diff, with its mark.
type Marked = (u8, Vec<u8>);

/// A command of a normal diff: `2,3c4`.
struct Normal {
    old: usize,
    new: usize,
}

impl Normal {
    fn of(line: &str) -> Option<Self> {
        let at = line.find(['a', 'c', 'd'])?;
        let first = |range: &str| -> Option<usize> {
            let digits =
                |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let (start, end) = range.split_once(',').unwrap_or((range, range));
            (digits(start) && digits(end)).then(|| start.parse().ok()).flatten()
        };
        Some(Self { old: first(&line[..at])?, new: first(&line[at + 1..])? })
    }
}

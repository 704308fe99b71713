//! The files that a command reads one after another, in blocks or in whole lines.

use std::io::{self, ErrorKind, Read};

use crate::{
    command::{Input, Invocation, is_descriptor},
    engine::reason,
};

/// How much is read from a file at once.
const BLOCK: usize = 64 * 1024;

/// A file, or standard input.
pub(super) struct Feed {
    source: Source,
    buffer: Vec<u8>,
    /// What of the buffer nobody has taken.
    start: usize,
    end: usize,
    ended: bool,
}

enum Source {
    File(Box<dyn Read + Send>),
    Standard(Input),
}

impl Feed {
    /// Reads standard input, from where the command before stopped.
    pub(super) fn standard(input: Input) -> Self {
        Self::new(Source::Standard(input))
    }

    /// What is compressed in it, or itself if nothing is.
    pub(super) async fn expanded(mut self) -> io::Result<Self> {
        let mut content = Vec::new();
        while let Some(lines) = self.lines(b'\n').await? {
            content.extend_from_slice(lines);
        }
        if !content.starts_with(&[0x1f, 0x8b]) {
            return Ok(Self::new(Source::File(Box::new(io::Cursor::new(content)))));
        }
        let decoder = flate2::read::MultiGzDecoder::new(io::Cursor::new(content));
        Ok(Self::new(Source::File(Box::new(decoder))))
    }

    fn new(source: Source) -> Self {
        Self { source, buffer: Vec::new(), start: 0, end: 0, ended: false }
    }

    /// Reads on; whether there was something.
    async fn fill(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.start > 0 && self.buffer.len() - self.end < BLOCK {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let read = match &mut self.source {
            Source::File(file) => {
                if self.buffer.len() - self.end < BLOCK {
                    // Twice as large each time, so that a long line is not copied for every block.
                    let size = (self.buffer.len() * 2).max(self.end + BLOCK);
                    self.buffer.resize(size, 0);
                }
                loop {
                    match file.read(&mut self.buffer[self.end..]) {
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        read => break read?,
                    }
                }
            }
            Source::Standard(input) => {
                let chunk = input.chunk().await?;
                let needed = self.end + chunk.len();
                if self.buffer.len() < needed {
                    self.buffer.resize(needed.max(self.buffer.len() * 2), 0);
                }
                self.buffer[self.end..needed].copy_from_slice(&chunk);
                chunk.len()
            }
        };
        self.end += read;
        self.ended = read == 0;
        Ok(read > 0)
    }

    /// The next bytes, as they come.
    pub(super) async fn block(&mut self) -> io::Result<Option<&[u8]>> {
        if self.start == self.end && !self.fill().await? {
            return Ok(None);
        }
        let block = self.start..self.end;
        self.start = self.end;
        Ok(Some(&self.buffer[block]))
    }

    /// The next whole lines, as many as there are; the last may lack its end.
    pub(super) async fn lines(&mut self, end: u8) -> io::Result<Option<&[u8]>> {
        let mut searched = self.start;
        loop {
            if let Some(last) = memchr::memrchr(end, &self.buffer[searched..self.end]) {
                let lines = self.start..searched + last + 1;
                self.start = lines.end;
                return Ok(Some(&self.buffer[lines]));
            }
            let waiting = self.end - self.start;
            if !self.fill().await? {
                if waiting == 0 {
                    return Ok(None);
                }
                let rest = self.start..self.end;
                self.start = self.end;
                return Ok(Some(&self.buffer[rest]));
            }
            searched = self.start + waiting;
        }
    }

    /// Leaves the last `count` bytes that were taken for who reads next.
    pub(super) fn leave(&mut self, count: usize) {
        self.start -= count;
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Source::Standard(input) = &mut self.source
            && self.start < self.end
        {
            input.put_back(&self.buffer[self.start..self.end]);
        }
    }
}

impl Invocation<'_> {
    /// Opens what `name` means: `-` is standard input. Complains where it cannot be opened.
    pub(super) async fn feed(&mut self, name: &str) -> io::Result<Option<Feed>> {
        if name == "-" {
            return Ok(Some(Feed::standard(self.take_input())));
        }
        match self.open(name).await {
            Ok(feed) => Ok(Some(feed)),
            Err(error) => {
                let why = reason(&error);
                let message = match self.name {
                    "head" | "tail" => format!("cannot open '{name}' for reading: {why}"),
                    _ => format!("{name}: {why}"),
                };
                self.complain(message).await?;
                Ok(None)
            }
        }
    }

    /// Opens a file.
    pub(super) async fn open(&mut self, name: &str) -> io::Result<Feed> {
        if matches!(name, "/dev/stdin" | "/dev/fd/0") {
            return Ok(Feed::standard(self.take_input()));
        }
        let path = self.path(name);
        if is_descriptor(&path) {
            let content = self.descriptors.read(&path).await?;
            return Ok(Feed::new(Source::File(Box::new(io::Cursor::new(content)))));
        }
        Ok(Feed::new(Source::File(self.world.open(&path)?)))
    }
}

/// Calls `each` for every line, without and with its end.
pub(super) fn each_line(lines: &[u8], end: u8, mut each: impl FnMut(&[u8], &[u8])) {
    let mut start = 0;
    for stop in memchr::memchr_iter(end, lines) {
        each(&lines[start..stop], &lines[start..=stop]);
        start = stop + 1;
    }
    if start < lines.len() {
        each(&lines[start..], &lines[start..]);
    }
}

/// How many of them there are.
pub(super) fn count(byte: u8, bytes: &[u8]) -> usize {
    memchr::memchr_iter(byte, bytes).count()
}

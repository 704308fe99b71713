//! What guests print. Bounded per turn and per Worker, and never a reason for a guest to fail: a
//! full log drops what comes and says how much.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use worker_types::{LogLine, LogStream, TurnId};

/// Bytes of output kept of a Worker's earlier turns, newest last.
const KEPT_BYTES: usize = 256 << 10;

/// Collects the output of one turn.
#[derive(Debug)]
pub(crate) struct OutputCapture {
    turn_id: TurnId,
    limit: usize,
    pieces: Mutex<Pieces>,
}

#[derive(Debug, Default)]
struct Pieces {
    /// Runs of bytes by stream, in the order in which they were printed.
    runs: Vec<(LogStream, Vec<u8>)>,
    kept: usize,
    dropped: u64,
}

impl OutputCapture {
    pub(crate) fn new(turn_id: TurnId, limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { turn_id, limit, pieces: Mutex::default() }
    }

    /// Takes what fits and counts the rest.
    pub(crate) fn write(&self, stream: LogStream, bytes: &[u8]) {
        let mut pieces = self.lock();
        let kept = bytes.len().min(self.limit - pieces.kept);
        pieces.kept += kept;
        pieces.dropped += (bytes.len() - kept) as u64;
        if kept == 0 {
            return;
        }
        match pieces.runs.last_mut() {
            Some((last, run)) if *last == stream => run.extend_from_slice(&bytes[..kept]),
            _ => pieces.runs.push((stream, bytes[..kept].to_vec())),
        }
    }

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<LogLine> {
        let pieces = self.lock();
        let mut lines = Vec::new();
        for (stream, run) in &pieces.runs {
            let text = String::from_utf8_lossy(run);
            let of_stream = |line: &str| self.line(*stream, line.to_owned());
            lines.extend(text.lines().map(of_stream));
        }
        if pieces.dropped > 0 {
            let text = format!(
                "{} bytes of output were dropped: a turn may print {} bytes",
                pieces.dropped, self.limit
            );
            lines.push(self.line(LogStream::Host, text));
        }
        lines
    }

    /// What the guest's panic handler printed, if it printed anything.
    pub(crate) fn panic_message(&self) -> Option<String> {
        let pieces = self.lock();
        let (_, run) = pieces.runs.iter().rev().find(|(stream, _)| *stream == LogStream::Stderr)?;
        let text = String::from_utf8_lossy(run);
        let (_, message) = text.rsplit_once("panicked at ")?;
        // The first line is the place, the second the message; a hint about backtraces follows.
        let message = message.split("\nnote: ").next().unwrap_or(message).trim();
        Some(message.chars().take(1_000).collect())
    }

    fn line(&self, stream: LogStream, text: String) -> LogLine {
        LogLine { turn_id: self.turn_id, stream, text }
    }

    fn lock(&self) -> MutexGuard<'_, Pieces> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The output of a Worker's turns, oldest first.
#[derive(Debug, Default)]
pub(crate) struct WorkerLogs {
    lines: VecDeque<LogLine>,
    bytes: usize,
}

impl WorkerLogs {
    /// Adds the lines of a turn, and forgets the oldest where there are too many.
    pub(crate) fn extend(&mut self, lines: Vec<LogLine>) {
        self.bytes += lines.iter().map(Self::cost).sum::<usize>();
        self.lines.extend(lines);
        while self.bytes > KEPT_BYTES
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= Self::cost(&oldest);
        }
    }

    /// The lines of `turn`, or all.
    pub(crate) fn lines(&self, turn: Option<TurnId>) -> impl Iterator<Item = &LogLine> {
        self.lines.iter().filter(move |line| turn.is_none_or(|turn| turn == line.turn_id))
    }

    /// Empty lines cost too.
    fn cost(line: &LogLine) -> usize {
        line.text.len() + size_of::<LogLine>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_the_cut_is_stated() {
        let output = OutputCapture::new(TurnId::new(1), 10);
        output.write(LogStream::Stdout, b"12345\n");
        output.write(LogStream::Stderr, b"6789 and more");
        let lines = output.lines();
        let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(
            texts,
            ["12345", "6789", "9 bytes of output were dropped: a turn may print 10 bytes"]
        );
    }

    #[test]
    fn the_panic_message_is_found_in_the_standard_error() {
        let output = OutputCapture::new(TurnId::new(1), 1_000);
        let printed = "\nthread 'main' panicked at src/lib.rs:3:9:\nno such luck\nnote: run with";
        output.write(LogStream::Stderr, printed.as_bytes());
        assert_eq!(output.panic_message().as_deref(), Some("src/lib.rs:3:9:\nno such luck"));
    }

    #[test]
    fn the_oldest_lines_go_first() {
        let mut logs = WorkerLogs::default();
        for turn in 1..=100 {
            let text = "x".repeat(10_000);
            logs.extend(vec![LogLine {
                turn_id: TurnId::new(turn),
                stream: LogStream::Stdout,
                text,
            }]);
        }
        assert!(logs.bytes <= KEPT_BYTES);
        assert_eq!(logs.lines(Some(TurnId::new(1))).count(), 0);
        assert_eq!(logs.lines(Some(TurnId::new(100))).count(), 1);
    }
}

//! What guests print. Bounded per turn, per Worker and over all Workers, and never a reason for a guest to fail: a
//! full log drops what comes and says how much.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use worker_types::{LogLine, LogStream, TurnId, WorkerId};

/// Bytes of output kept of a Worker's earlier turns.
const WORKER_BYTES: usize = 256 << 10;

/// Bytes of output kept of all Workers together: everything that some dozen noisy ones may keep, or a
/// few lines of each of many thousand.
const RUNTIME_BYTES: usize = 8 << 20;

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

/// What the guests of a Runtime printed in turns that are over. Workers that wait for input are many:
/// all of them together have one budget, and those that printed longest ago lose their lines first.
#[derive(Debug)]
pub(crate) struct KeptLogs {
    budget: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    workers: BTreeMap<WorkerId, WorkerLogs>,
    /// The Workers that have lines, by when they printed last.
    by_age: BTreeMap<u64, WorkerId>,
    /// Counts the turns that printed.
    clock: u64,
    bytes: usize,
}

impl Default for KeptLogs {
    fn default() -> Self {
        Self { budget: RUNTIME_BYTES, kept: Mutex::default() }
    }
}

impl KeptLogs {
    /// Adds the lines of a turn, and forgets older ones where there are too many.
    pub(crate) fn keep(&self, worker_id: WorkerId, lines: Vec<LogLine>) {
        if lines.is_empty() {
            return;
        }
        let kept = &mut *self.lock();
        kept.clock += 1;
        let logs = kept.workers.entry(worker_id).or_default();
        kept.by_age.remove(&logs.printed_at);
        logs.printed_at = kept.clock;
        kept.by_age.insert(kept.clock, worker_id);
        kept.bytes -= logs.bytes;
        logs.extend(lines);
        kept.bytes += logs.bytes;
        while kept.bytes > self.budget
            && let Some((_, oldest)) = kept.by_age.pop_first()
        {
            if let Some(logs) = kept.workers.get_mut(&oldest) {
                kept.bytes -= logs.bytes;
                logs.drop_lines(|_| true);
            }
        }
    }

    /// The lines of a Worker: of `turn`, or all; and first of all, how many are missing.
    pub(crate) fn lines(&self, worker_id: WorkerId, turn: Option<TurnId>) -> Vec<LogLine> {
        let kept = self.lock();
        let logs = kept.workers.get(&worker_id);
        logs.map(|logs| logs.of_turn(turn).collect()).unwrap_or_default()
    }

    /// Forgets a Worker that was deleted.
    pub(crate) fn forget(&self, worker_id: WorkerId) {
        let kept = &mut *self.lock();
        if let Some(logs) = kept.workers.remove(&worker_id) {
            kept.bytes -= logs.bytes;
            kept.by_age.remove(&logs.printed_at);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The output of a Worker's turns, oldest first.
#[derive(Debug, Default)]
struct WorkerLogs {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// Its place among the Workers, by age.
    printed_at: u64,
    dropped: u64,
    /// The newest turn that lost lines.
    dropped_through: TurnId,
}

impl WorkerLogs {
    /// Adds the lines of a turn, and drops the oldest where there are too many.
    fn extend(&mut self, lines: Vec<LogLine>) {
        self.bytes += lines.iter().map(cost).sum::<usize>();
        self.lines.extend(lines);
        self.drop_lines(|bytes| bytes > WORKER_BYTES);
    }

    /// Drops the oldest lines as long as there are `too_many` bytes.
    fn drop_lines(&mut self, too_many: impl Fn(usize) -> bool) {
        while too_many(self.bytes)
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= cost(&oldest);
            self.dropped += 1;
            self.dropped_through = oldest.turn_id;
        }
        // What is empty is not to hold the room for what it had.
        if self.lines.is_empty() {
            self.lines = VecDeque::new();
        }
    }

    fn of_turn(&self, turn: Option<TurnId>) -> impl Iterator<Item = LogLine> {
        let all_dropped = self.dropped_through;
        let missing = self.dropped > 0 && turn.is_none_or(|turn| turn <= all_dropped);
        let missing = missing.then(|| LogLine {
            turn_id: all_dropped,
            stream: LogStream::Host,
            text: format!(
                "{} lines up to turn {all_dropped} were dropped: output is kept in memory, and the \
                 oldest of it goes first",
                self.dropped
            ),
        });
        let kept = self.lines.iter();
        let kept = kept.filter(move |line| turn.is_none_or(|turn| turn == line.turn_id));
        missing.into_iter().chain(kept.cloned())
    }
}

/// Empty lines cost too.
fn cost(line: &LogLine) -> usize {
    line.text.len() + size_of::<LogLine>()
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

    fn line(turn: u64, bytes: usize) -> LogLine {
        let text = "x".repeat(bytes - size_of::<LogLine>());
        LogLine { turn_id: TurnId::new(turn), stream: LogStream::Stdout, text }
    }

    #[test]
    fn the_oldest_lines_of_a_worker_go_first_and_are_counted() {
        let (logs, id) = (KeptLogs::default(), WorkerId::generate());
        for turn in 1..=100 {
            logs.keep(id, vec![line(turn, WORKER_BYTES / 10)]);
        }
        let lines = logs.lines(id, None);
        assert_eq!(lines.len(), 11);
        assert!(lines[0].text.starts_with("90 lines up to turn 90 were dropped"), "{lines:?}");
        assert_eq!(lines[1].turn_id, TurnId::new(91));
        let first = logs.lines(id, Some(TurnId::new(1)));
        assert!(matches!(&first[..], [missing] if missing.stream == LogStream::Host), "{first:?}");
        assert_eq!(logs.lines(id, Some(TurnId::new(100))), [line(100, WORKER_BYTES / 10)]);
    }

    #[test]
    fn workers_share_a_budget_and_who_printed_longest_ago_loses_first() {
        let logs = KeptLogs { budget: 1_000, kept: Mutex::default() };
        let [first, second, third] = [(); 3].map(|()| WorkerId::generate());
        logs.keep(first, vec![line(1, 300)]);
        logs.keep(second, vec![line(1, 200), line(1, 200)]);
        logs.keep(first, vec![line(2, 300)]);
        logs.keep(third, vec![line(1, 400)]);
        assert_eq!(logs.lines(first, None).len(), 2, "it printed lately");
        let missing = logs.lines(second, None);
        assert!(missing[0].text.starts_with("2 lines up to turn 1 were dropped"), "{missing:?}");
        assert_eq!(missing.len(), 1);
        assert_eq!(logs.lock().bytes, 1_000);

        logs.forget(first);
        logs.keep(second, vec![line(2, 600)]);
        assert_eq!(logs.lines(third, None).len(), 1, "there is room again");
        assert_eq!(logs.lines(second, Some(TurnId::new(2))).len(), 1);
        assert_eq!(logs.lines(first, None), []);
    }
}

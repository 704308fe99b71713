//! Counts what a turn takes, readable while its guests run and after they were dropped.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use fail::fail_point;
use worker_types::{Receipt, TokenUsage};

/// The counters of one turn: of its guest, and of the scripts and commands that it starts. Their threads
/// write, the supervisor reads.
#[derive(Debug)]
pub(crate) struct TurnMeter {
    started: Instant,
    polling: Mutex<Polling>,
    /// Bytes of linear memory, in all Stores.
    memory_bytes: AtomicUsize,
    peak_memory_bytes: AtomicU64,
    host_calls: AtomicU64,
    file_bytes: AtomicU64,
    output_bytes: AtomicU64,
    model_calls: AtomicU64,
    recorded_events: AtomicU64,
    recorded_bytes: AtomicU64,
    tokens: Mutex<TokenUsage>,
}

/// How long guests were polled, in microseconds: two that are polled at once count twice.
#[derive(Debug, Clone, Copy, Default)]
struct Polling {
    /// Up to `since`.
    polled_us: u64,
    /// Those that are being polled.
    running: u64,
    /// When a poll began or ended last.
    since: u64,
}

impl Polling {
    /// All of it, at a time since the turn began.
    fn at(self, now: u64) -> u64 {
        self.polled_us + self.running * now.saturating_sub(self.since)
    }
}

impl TurnMeter {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            polling: Mutex::default(),
            memory_bytes: AtomicUsize::new(0),
            peak_memory_bytes: AtomicU64::new(0),
            host_calls: AtomicU64::new(0),
            file_bytes: AtomicU64::new(0),
            output_bytes: AtomicU64::new(0),
            model_calls: AtomicU64::new(0),
            recorded_events: AtomicU64::new(0),
            recorded_bytes: AtomicU64::new(0),
            tokens: Mutex::default(),
        }
    }

    /// A guest is about to be polled.
    pub(crate) fn resume(&self) {
        self.count_polls(|running| running + 1);
    }

    /// The poll is over.
    pub(crate) fn pause(&self) {
        self.count_polls(|running| running.saturating_sub(1));
    }

    fn count_polls(&self, change: impl FnOnce(u64) -> u64) {
        let mut polling = self.polling();
        // Under the lock: another thread's later time must not be overtaken.
        let now = self.wall_us();
        let running = change(polling.running);
        *polling = Polling { polled_us: polling.at(now), running, since: now };
    }

    /// Counts time that the host computed for the guest elsewhere.
    pub(crate) fn count_cpu(&self, time: Duration) {
        self.polling().polled_us += u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    }

    /// Time spent polling guests, in microseconds.
    pub(crate) fn cpu_us(&self) -> u64 {
        let now = self.wall_us();
        self.polling().at(now)
    }

    fn polling(&self) -> MutexGuard<'_, Polling> {
        // Nothing panics between a lock and the end of its change.
        self.polling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wall_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Counts memory that a guest is about to be given, unless all guests of the turn would then hold more
    /// than `limit`. Returns whether it did.
    pub(super) fn hold_memory(&self, bytes: usize, limit: usize) -> bool {
        let add = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= limit);
        match self.memory_bytes.fetch_update(Relaxed, Relaxed, add) {
            Ok(before) => {
                self.peak_memory_bytes.fetch_max((before + bytes) as u64, Relaxed);
                true
            }
            Err(_) => false,
        }
    }

    /// A guest does not hold it any more.
    pub(super) fn release_memory(&self, bytes: usize) {
        self.memory_bytes.fetch_sub(bytes, Relaxed);
    }

    /// Counts bytes that a script or command writes to its standard streams, and returns all of them.
    pub(crate) fn count_output(&self, bytes: u64) -> u64 {
        self.output_bytes.fetch_add(bytes, Relaxed).saturating_add(bytes)
    }

    /// Counts a call of the guest into the interface function `name`, where tests inject faults.
    pub(crate) fn host_call(&self, name: &'static str) {
        tracing::trace!(name, "host call");
        fail_point!(name);
        self.host_calls.fetch_add(1, Relaxed);
    }

    /// Bytes written to files so far.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes.load(Relaxed)
    }

    pub(crate) fn count_file_bytes(&self, bytes: u64) {
        self.file_bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn count_model_call(&self) {
        self.model_calls.fetch_add(1, Relaxed);
    }

    /// Counts bytes that are about to be recorded, and returns all of them.
    pub(crate) fn record_bytes(&self, bytes: u64) -> u64 {
        self.recorded_bytes.fetch_add(bytes, Relaxed).saturating_add(bytes)
    }

    /// Counts events that are about to be recorded. Where there are more than one second's worth
    /// and `per_second` since the turn began, returns how much too early they are.
    pub(crate) fn record_events(&self, events: u64, per_second: u64) -> Option<Duration> {
        let recorded = self.recorded_events.fetch_add(events, Relaxed).saturating_add(events);
        let beyond = recorded.saturating_sub(per_second);
        let due_us = beyond.saturating_mul(1_000_000) / per_second.max(1);
        let early = due_us.saturating_sub(self.wall_us());
        (early > 0).then(|| Duration::from_micros(early))
    }

    pub(crate) fn add_tokens(&self, tokens: TokenUsage) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).add(tokens);
    }

    /// What the turn has taken so far.
    pub(crate) fn receipt(&self) -> Receipt {
        Receipt {
            wall_us: self.wall_us(),
            cpu_us: self.cpu_us(),
            peak_memory_bytes: self.peak_memory_bytes.load(Relaxed),
            host_calls: self.host_calls.load(Relaxed),
            file_bytes: self.file_bytes(),
            model_calls: self.model_calls.load(Relaxed),
            tokens: *self.tokens.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

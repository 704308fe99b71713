//! The signals that ask this process to end.

use std::io;

/// What a signal asks for, where somebody tells the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndSignal {
    /// Ctrl-C: end what goes on.
    Interrupt,
    /// SIGTERM, or the terminal went away: end.
    Terminate,
}

/// SIGINT, SIGTERM and SIGHUP, which mean the same to most: end in good order.
#[derive(Debug)]
pub(crate) struct EndSignals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    /// Absent where whoever started this process had it ignored, as `nohup` does.
    #[cfg(unix)]
    hang_up: Option<tokio::signal::unix::Signal>,
}

impl EndSignals {
    /// Listens from now on. Without anybody waiting the signals have no effect any more.
    #[cfg(unix)]
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: (!hang_up_is_ignored()).then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    /// Listens from now on.
    #[cfg(not(unix))]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Forgets what was pressed before now.
    #[cfg(unix)]
    pub(crate) fn forget_interrupts(&mut self) {
        use std::task::{Context, Poll, Waker};
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(())) = self.interrupt.poll_recv(&mut context) {}
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        self.next_kind().await;
    }

    /// Waits for the next one, and tells which it is.
    pub(crate) async fn next_kind(&mut self) -> EndSignal {
        #[cfg(unix)]
        {
            let hang_up = self.hang_up.is_some();
            tokio::select! {
                _ = self.interrupt.recv() => EndSignal::Interrupt,
                _ = self.terminate.recv() => EndSignal::Terminate,
                _ = async { self.hang_up.as_mut()?.recv().await }, if hang_up => EndSignal::Terminate,
            }
        }
        #[cfg(not(unix))]
        {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            EndSignal::Interrupt
        }
    }
}

/// Whether SIGHUP has no effect on this process. Listening to it would give it one.
#[cfg(unix)]
fn hang_up_is_ignored() -> bool {
    // A mask in hexadecimal, the lowest bit for signal 1. Where nobody says it, it has its effect.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 != 0)
}

//! What holds a Store within its limits, whatever runs in it.

use std::sync::Arc;

use wasmtime::{Store, Trap, UpdateDeadline, component::ResourceTable};
use worker_types::Limits;

use super::{Refused, TurnLimiter, TurnMeter};

/// How long a Store may compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Up to this much of the turn's time, in milliseconds.
    until_ms: u64,
    /// How much that was when it was given.
    ms: u64,
}

impl Allowance {
    /// All of a turn that has `ms` milliseconds.
    pub(crate) fn of(ms: u64) -> Self {
        Self { until_ms: ms, ms }
    }
}

/// How much a Store may have of what a turn may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// All of it.
    All,
    /// What scripts and commands may take together: a sixteenth is left to the guest that started them,
    /// so that it can say what became of one that took all it could.
    Scripts,
}

impl Share {
    pub(super) fn of(self, limit: u64) -> u64 {
        match self {
            Self::All => limit,
            Self::Scripts => limit - limit / 16,
        }
    }

    /// How long what begins now may compute: a script may take three quarters of what is left, so that
    /// the next one works after one that took all it could.
    pub(crate) fn allowance(self, limits: &Limits, meter: &TurnMeter) -> Allowance {
        let used = meter.cpu_us() / 1_000;
        let left = self.of(limits.turn_cpu_ms).saturating_sub(used);
        let ms = match self {
            Self::All => left,
            Self::Scripts => left - left / 4,
        };
        Allowance { until_ms: used + ms, ms }
    }
}

/// A table with room for as many resources as a guest may hold.
pub(crate) fn table(limits: &Limits) -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(handles(limits));
    table
}

fn handles(limits: &Limits) -> usize {
    usize::try_from(limits.turn_handles).unwrap_or(usize::MAX)
}

/// Bounds what the guest in `store` takes. While the engine's epochs tick, it yields every
/// millisecond, and traps once `meter` says that it computed for too long.
pub(crate) fn bound<T: 'static>(
    store: &mut Store<T>,
    limits: &Limits,
    allowance: Allowance,
    meter: Arc<TurnMeter>,
    limiter: impl Fn(&mut T) -> &mut TurnLimiter + Send + Sync + 'static,
) {
    store.limiter(move |state| limiter(state));
    store.set_hostcall_fuel(usize::try_from(limits.host_call_bytes).unwrap_or(usize::MAX));
    store.set_max_component_handles(handles(limits));
    // The default deadline of 0 has always passed.
    store.set_epoch_deadline(1);
    let cpu_limit_ms = allowance.until_ms;
    store.epoch_deadline_callback(move |_| {
        Ok(if meter.cpu_us() / 1_000 >= cpu_limit_ms {
            UpdateDeadline::Interrupt
        } else {
            // tokio's own yield goes behind every task that is ready; wasmtime's would starve
            // timers.
            UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
        })
    });
}

/// The limit that ended `who`, in words: by how it trapped, and by what it was refused.
pub(crate) fn exceeded(
    who: &str,
    (share, allowance): (Share, Allowance),
    trap: Option<Trap>,
    refused: Option<Refused>,
    limits: &Limits,
) -> Option<String> {
    match (trap, refused) {
        // Only the meter interrupts.
        (Some(Trap::Interrupt), _) => {
            Some(format!("{who} computed for longer than its limit of {} ms", allowance.ms))
        }
        (_, Some(Refused::Memory)) => Some(format!(
            "{who} wanted more memory than its limit of {} bytes",
            share.of(limits.turn_memory_bytes)
        )),
        (_, Some(Refused::Table)) => Some(format!(
            "{who} wanted a table with more than its limit of {} elements",
            limits.turn_table_elements
        )),
        (_, None) => None,
    }
}

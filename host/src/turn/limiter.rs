//! Bounds what a Store may hold. wasmtime asks per memory; the limit is on their sum, over all Stores of
//! a turn.

use std::sync::{Arc, OnceLock};

use wasmtime::ResourceLimiter;
use worker_types::Limits;

use super::{bounds::Share, meter::TurnMeter};

/// Memories and tables of one Store: more than any toolchain makes, few enough to account for.
const MAX_MEMORIES: usize = 32;
const MAX_TABLES: usize = 64;

/// What a guest was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Memory,
    Table,
}

/// What a guest was refused first, readable when its Store is gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusal(Arc<OnceLock<Refused>>);

impl Refusal {
    pub(crate) fn get(&self) -> Option<Refused> {
        self.0.get().copied()
    }

    fn note(&self, refused: Refused) {
        self.0.get_or_init(|| refused);
    }
}

#[derive(Debug)]
pub(crate) struct TurnLimiter {
    memory_limit: usize,
    table_limit: usize,
    instances: usize,
    /// Bytes of all memories of this Store together.
    held: usize,
    /// What the growth that was allowed last would add.
    growing: usize,
    meter: Arc<TurnMeter>,
    refusal: Refusal,
}

impl TurnLimiter {
    /// Bounds a Store that may have `share` of what the turn may.
    pub(crate) fn new(limits: &Limits, share: Share, meter: Arc<TurnMeter>) -> Self {
        let bounded = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            memory_limit: bounded(share.of(limits.turn_memory_bytes)),
            table_limit: bounded(limits.turn_table_elements),
            instances: bounded(limits.turn_instances),
            held: 0,
            growing: 0,
            meter,
            refusal: Refusal::default(),
        }
    }

    /// Where it notes what it refuses.
    pub(crate) fn refusal(&self) -> Refusal {
        self.refusal.clone()
    }
}

impl Drop for TurnLimiter {
    fn drop(&mut self) {
        self.meter.release_memory(self.held);
    }
}

impl ResourceLimiter for TurnLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if !self.meter.hold_memory(more, self.memory_limit) {
            self.refusal.note(Refused::Memory);
            return Ok(false);
        }
        self.held += more;
        self.growing = more;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        let growing = std::mem::take(&mut self.growing);
        self.held -= growing;
        self.meter.release_memory(growing);
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired <= self.table_limit;
        if !allowed {
            self.refusal.note(Refused::Table);
        }
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(limit: u64, share: Share, meter: &Arc<TurnMeter>) -> TurnLimiter {
        let limits = Limits { turn_memory_bytes: limit, ..Limits::default() };
        TurnLimiter::new(&limits, share, Arc::clone(meter))
    }

    #[test]
    fn the_memory_limit_is_on_the_sum_of_all_memories() {
        let meter = Arc::new(TurnMeter::start());
        let mut limiter = limiter(100, Share::All, &meter);
        assert!(limiter.memory_growing(0, 60, None).expect("an answer"));
        assert!(!limiter.memory_growing(0, 60, None).expect("an answer"), "a second memory");
        assert!(limiter.memory_growing(60, 100, None).expect("an answer"), "the first one grows");
        assert_eq!(meter.receipt().peak_memory_bytes, 100);
        assert_eq!(limiter.refusal().get(), Some(Refused::Memory));
    }

    #[test]
    fn invariant_9_the_stores_of_a_turn_share_its_memory_and_give_it_back() {
        let meter = Arc::new(TurnMeter::start());
        let mut guest = limiter(160, Share::All, &meter);
        assert!(guest.memory_growing(0, 50, None).expect("an answer"));
        let mut script = limiter(160, Share::Scripts, &meter);
        assert!(script.memory_growing(0, 100, None).expect("an answer"));
        assert!(!script.memory_growing(100, 101, None).expect("an answer"), "what the guest keeps");
        assert_eq!(guest.refusal().get(), None, "the guest was refused nothing");
        assert!(guest.memory_growing(50, 60, None).expect("an answer"));
        assert!(!guest.memory_growing(60, 61, None).expect("an answer"));
        drop(script);
        assert!(guest.memory_growing(60, 160, None).expect("an answer"));
        assert_eq!(meter.receipt().peak_memory_bytes, 160);
    }

    #[test]
    fn a_growth_that_the_system_refused_is_not_held() {
        let mut limiter = limiter(100, Share::All, &Arc::new(TurnMeter::start()));
        assert!(limiter.memory_growing(0, 100, None).expect("an answer"));
        limiter.memory_grow_failed(wasmtime::Error::msg("no address space")).expect("noted");
        assert!(limiter.memory_growing(0, 100, None).expect("an answer"));
    }
}

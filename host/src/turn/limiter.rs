//! Bounds what a Store may hold. wasmtime asks per memory; the limit is on their sum.

use std::sync::Arc;

use wasmtime::ResourceLimiter;
use worker_types::Limits;

use super::meter::{Refused, TurnMeter};

/// Memories and tables of one Store: more than any toolchain makes, few enough to account for.
const MAX_MEMORIES: usize = 32;
const MAX_TABLES: usize = 64;

#[derive(Debug)]
pub(crate) struct TurnLimiter {
    memory_limit: usize,
    table_limit: usize,
    instances: usize,
    /// Bytes of all memories together.
    held: usize,
    /// What the growth that was allowed last would add.
    growing: usize,
    meter: Arc<TurnMeter>,
}

impl TurnLimiter {
    pub(crate) fn new(limits: &Limits, meter: Arc<TurnMeter>) -> Self {
        let bounded = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            memory_limit: bounded(limits.turn_memory_bytes),
            table_limit: bounded(limits.turn_table_elements),
            instances: bounded(limits.turn_instances),
            held: 0,
            growing: 0,
            meter,
        }
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
        let held = self.held.saturating_add(more);
        if held > self.memory_limit {
            self.meter.refuse(Refused::Memory);
            return Ok(false);
        }
        self.held = held;
        self.growing = more;
        self.meter.note_memory(held as u64);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.held -= std::mem::take(&mut self.growing);
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
            self.meter.refuse(Refused::Table);
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

    #[test]
    fn the_memory_limit_is_on_the_sum_of_all_memories() {
        let limits = Limits { turn_memory_bytes: 100, ..Limits::default() };
        let meter = Arc::new(TurnMeter::start());
        let mut limiter = TurnLimiter::new(&limits, Arc::clone(&meter));
        assert!(limiter.memory_growing(0, 60, None).expect("an answer"));
        assert!(!limiter.memory_growing(0, 60, None).expect("an answer"), "a second memory");
        assert!(limiter.memory_growing(60, 100, None).expect("an answer"), "the first one grows");
        assert_eq!(meter.receipt().peak_memory_bytes, 100);
        assert_eq!(meter.refused(), Some(Refused::Memory));
    }

    #[test]
    fn a_growth_that_the_system_refused_is_not_held() {
        let limits = Limits { turn_memory_bytes: 100, ..Limits::default() };
        let mut limiter = TurnLimiter::new(&limits, Arc::new(TurnMeter::start()));
        assert!(limiter.memory_growing(0, 100, None).expect("an answer"));
        limiter.memory_grow_failed(wasmtime::Error::msg("no address space")).expect("noted");
        assert!(limiter.memory_growing(0, 100, None).expect("an answer"));
    }
}

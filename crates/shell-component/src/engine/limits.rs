//! The limits that bashkit is told. The host bounds time, CPU and memory, so what only counts is set
//! out of reach; what is left protects the stack, and says so when it ends a script.

use std::time::Duration;

use bashkit::{ExecutionLimits, MemoryLimits, SessionLimits};

/// What a memory of 4 GiB cannot hold, and still no sum of two overflows. What flows through is not held:
/// that has no limit here.
const OUT_OF_REACH: usize = usize::MAX / 2;

/// Text of a script: as much as the host lets in anyway.
const SCRIPT_BYTES: usize = 64 * 1024 * 1024;

/// Jobs at the same time. Each holds a copy of the shell of some 100 KiB.
pub(super) const JOBS: usize = 256;

pub(super) fn execution() -> ExecutionLimits {
    ExecutionLimits::new()
        .max_work_units(u64::MAX / 4)
        .max_aggregate_input_bytes(u64::MAX / 4)
        .max_live_intermediate_bytes(u64::MAX / 4)
        .max_commands(usize::MAX)
        .max_loop_iterations(usize::MAX)
        .max_total_loop_iterations(usize::MAX)
        .max_function_depth(usize::MAX)
        .timeout(Duration::from_secs(10 * 365 * 24 * 3600))
        .parser_timeout(Duration::from_secs(60))
        .max_input_bytes(SCRIPT_BYTES)
        .max_ast_depth(100)
        .max_parser_operations(SCRIPT_BYTES)
        .max_stdout_bytes(usize::MAX)
        .max_stderr_bytes(usize::MAX)
        .max_subst_depth(32)
        .max_subshell_depth(32)
        .max_file_descriptors(1024)
        .max_history_entries(0)
        .max_word_split_fields(OUT_OF_REACH)
        .max_word_split_bytes(OUT_OF_REACH)
        .max_background_jobs(JOBS)
}

pub(super) fn memory() -> MemoryLimits {
    MemoryLimits::unlimited()
}

pub(super) fn session() -> SessionLimits {
    SessionLimits::unlimited()
}

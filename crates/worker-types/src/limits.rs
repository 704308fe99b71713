//! The bounds a Runtime enforces.

use serde::{Deserialize, Serialize};

/// The bounds of every turn, Worker and Runtime. Each is enforced, and each is visible in the
/// Runtime's summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The longest a turn may take, in milliseconds. Default: 10 minutes.
    pub turn_wall_ms: u64,
    /// The longest a turn may compute, in milliseconds. Default: 60 seconds.
    pub turn_cpu_ms: u64,
    /// The most linear memory a turn may hold, in bytes, summed over all memories of its guest, and of its
    /// scripts and commands.
    /// Default: 256 MiB.
    pub turn_memory_bytes: u64,
    /// The most elements of each table. Default: 10,000.
    pub turn_table_elements: u64,
    /// The most core instances of a turn's guest, and of each of its scripts and commands. Default: 32.
    pub turn_instances: u64,
    /// The most bytes that one call over the guest's border may carry. Default: 4 MiB.
    pub host_call_bytes: u64,
    /// The most resource handles a turn's guest may hold, and each of its scripts and commands. Default:
    /// 1,024.
    pub turn_handles: u64,
    /// The most bytes that a turn may write to files, all of them together; each name that it makes
    /// counts as 4 KiB. Default: 4 GiB.
    pub turn_file_bytes: u64,
    /// The most files and directories that a turn may have open. Default: 256.
    pub turn_open_files: u64,
    /// The most scripts and commands of a turn that run at once. Default: 16.
    pub turn_commands: u64,
    /// The most bytes that the scripts and commands of a turn may write to their standard streams, all of
    /// them together. Default: 1 GiB.
    pub turn_output_bytes: u64,
    /// The most bytes of guest output (stdout and stderr) kept of a turn. Default: 64 KiB.
    pub turn_log_bytes: u64,
    /// The most bytes of one input or one item. Default: 1 MiB.
    pub item_bytes: u64,
    /// The most bytes that a turn may add to its Worker's log. Default: 64 MiB.
    pub turn_record_bytes: u64,
    /// Events per second that a turn may record, after as many at once; a guest that is faster
    /// waits. Default: 1,000.
    pub events_per_second: u64,
    /// The most bytes of a Worker's durable state, keys and values together. Default: 64 KiB.
    pub state_bytes: u64,
    /// The most bytes of a Worker's private directory, `scratch`: what its files hold, and 4 KiB for
    /// each name. Default: 1 GiB.
    pub scratch_bytes: u64,
    /// The most inputs that may wait for a Worker, queued and steered together. Default: 32.
    pub queue: u64,
    /// The most turns that run at once; more wait. Default: 64 per core.
    pub live_turns: u64,
    /// The most scripts and commands that run at once in all turns. Default: 1,024.
    pub live_commands: u64,
    /// The most memory that turns may hold together, in bytes: each that runs has
    /// `turn_memory_bytes` of it, and more wait. Default: half of the memory that this process may
    /// use, and at least 256 MiB.
    pub memory_total: u64,
    /// The most files and directories that turns may have open together; the process needs some more.
    /// Default: half of what the system lets this process open.
    pub open_files: u64,
    /// The most Workers a Runtime keeps. Default: 1,000,000.
    pub workers: u64,
    /// The largest component, in bytes. Default: 64 MiB.
    pub component_bytes: u64,
    /// The longest a component may take to compile, in milliseconds, where a helper process
    /// compiles. Default: 60 seconds.
    pub compile_ms: u64,
    /// The most memory, in bytes of address space, that compiling a component may take, where a
    /// helper process compiles. Default: 1 GiB.
    pub compile_memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        Self {
            turn_wall_ms: 600_000,
            turn_cpu_ms: 60_000,
            turn_memory_bytes: 256 << 20,
            turn_table_elements: 10_000,
            turn_instances: 32,
            host_call_bytes: 4 << 20,
            turn_handles: 1_024,
            turn_file_bytes: 4 << 30,
            turn_open_files: 256,
            turn_commands: 16,
            turn_output_bytes: 1 << 30,
            turn_log_bytes: 64 << 10,
            item_bytes: 1 << 20,
            turn_record_bytes: 64 << 20,
            events_per_second: 1_000,
            state_bytes: 64 << 10,
            scratch_bytes: 1 << 30,
            queue: 32,
            live_turns: cores * 64,
            live_commands: 1_024,
            memory_total: (available_memory() / 2).max(256 << 20),
            open_files: open_files() / 2,
            workers: 1_000_000,
            component_bytes: 64 << 20,
            compile_ms: 60_000,
            compile_memory_bytes: 1 << 30,
        }
    }
}

/// Open files where nothing tells how many there may be: what most systems begin with.
const ASSUMED_FILES: u64 = 1_024;

/// How many files this process may have open.
fn open_files() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    soft.and_then(|soft| soft.parse().ok()).unwrap_or(ASSUMED_FILES)
}

/// Bytes of memory where nothing tells how many there are.
const ASSUMED_MEMORY: u64 = 4 << 30;

/// The bytes of memory that this process may use: the machine's, or its control group's.
fn available_memory() -> u64 {
    let read = |path| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        kibibytes.checked_mul(1_024)
    });
    let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(group).min().unwrap_or(ASSUMED_MEMORY)
}

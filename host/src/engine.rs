//! wasmtime, configured for hostile guests: Cranelift only, epochs, every default that is too large
//! for us set low, and two allocation strategies.

mod artifact;
mod command;
mod component;
mod imports;
mod inspect;
mod instances;
mod interpreter;
mod loader;
mod loads;
mod ticker;

use std::{error::Error, path::Path, sync::Arc};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};
use worker_types::{ComponentDigest, Limits};

#[cfg(target_os = "linux")]
pub(crate) use artifact::CompileJob;
pub use artifact::{CompileError, Compiler, compile_helper};
pub(crate) use command::LoadedCommand;
pub(crate) use component::{LoadComponentError, LoadedComponent};
pub use imports::Takes;
pub use inspect::{ComponentKind, Import, InspectError, Inspection, inspect_component};
pub(crate) use interpreter::LoadedInterpreter;
use loader::Loader;
pub(crate) use loads::Loaded;
pub(crate) use ticker::{Ticker, Ticking};

/// Slots of the pool. Each reserves some GiB of addresses, of which there are 128 TiB.
const MAX_LIVE_TURNS: u32 = 4_096;
/// Core instances of a component that the pool takes. A component built by `cargo` has four: its
/// module, and the shims that the component model needs around it.
const POOL_INSTANCES_PER_COMPONENT: u32 = 10;
/// Tables of such a component: its own, and those of the shims.
const POOL_TABLES_PER_COMPONENT: u32 = 6;
/// Bytes of a finished turn's memory that stay resident in its slot: zeroing them costs less than
/// the page faults of the next turn.
const POOL_KEEP_RESIDENT: usize = 128 << 10;
/// Bytes of a finished turn's stack that stay resident.
const POOL_STACK_KEEP_RESIDENT: usize = 16 << 10;

/// The engines of a Runtime.
///
/// Components that fit run in the pool, where a turn costs microseconds. The rest (more memories,
/// tables or instances than a slot has) run on demand, where each instance is mapped anew.
#[derive(Debug)]
pub(crate) struct Engines {
    loader: Arc<Loader>,
    ticker: Ticker,
    /// Where components are loaded: the embedder's runtime, which has I/O. That of the guests does
    /// not.
    host: Handle,
}

impl Engines {
    /// Engines that load components as `compiler` compiles them, and keep what was compiled in
    /// `cache`.
    pub(crate) fn new(
        limits: &Limits,
        compiler: Compiler,
        cache: Option<&Path>,
        host: Handle,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let pooling = Engine::new(&config(Some(pool(limits))))?;
        let on_demand = Engine::new(&config(None))?;
        let ticker = Ticker::start([pooling.weak(), on_demand.weak()])?;
        let loader = Arc::new(Loader::new(pooling, on_demand, limits, compiler, cache));
        Ok(Self { loader, ticker, host })
    }

    /// Compiles and links a component, or takes what the cache has of it; or tells at once what came
    /// of that before. Dropping the future ends the compile helper.
    pub(crate) async fn load(&self, bytes: impl Into<Bytes>) -> Loaded {
        let loading = self.host.spawn(Arc::clone(&self.loader).load(bytes.into()));
        let loaded = AbortOnDropHandle::new(loading).await;
        loaded.unwrap_or_else(|error| Err(LoadComponentError::GaveUp(error).into()))
    }

    /// Compiles and links a command, or takes what the cache has of it.
    pub(crate) async fn load_command(
        &self,
        bytes: Bytes,
    ) -> Result<LoadedCommand, LoadComponentError> {
        let loading = self.host.spawn(Arc::clone(&self.loader).load_command(bytes));
        AbortOnDropHandle::new(loading).await.map_err(LoadComponentError::GaveUp)?
    }

    /// Compiles and links the shell, or takes what the cache has of it.
    pub(crate) async fn load_interpreter(
        &self,
        bytes: Bytes,
    ) -> Result<LoadedInterpreter, LoadComponentError> {
        let loading = self.host.spawn(Arc::clone(&self.loader).load_interpreter(bytes));
        AbortOnDropHandle::new(loading).await.map_err(LoadComponentError::GaveUp)?
    }

    /// What came of loading the component before, if that is to be told without its bytes.
    pub(crate) fn known(&self, digest: ComponentDigest) -> Option<Loaded> {
        self.loader.known(digest)
    }

    /// Keeps epochs ticking as long as the result lives.
    pub(crate) fn tick(&self) -> Ticking {
        self.ticker.tick()
    }
}

/// How many turns may run at once: what the limits on turns and on their memory say, within what an
/// address space has room for.
pub(crate) fn live_turns(limits: &Limits) -> u32 {
    let by_memory = limits.memory_total / limits.turn_memory_bytes.max(1);
    let turns = limits.live_turns.min(by_memory);
    u32::try_from(turns).unwrap_or(u32::MAX).clamp(1, MAX_LIVE_TURNS)
}

fn config(pool: Option<PoolingAllocationConfig>) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // Sync-looking WIT with async host functions: no async ABI, which halves the cost of a call and
    // leaves out most of what advisories were about.
    config.concurrency_support(false);
    // Proposals a guest of ours has no use for.
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config.wasm_relaxed_simd(false);
    // A guest names its functions as it likes; addresses are all that a trace of ours needs.
    config.wasm_backtrace_max_frames(None);
    // Nobody maps them to places in the guest, and they are a third of what is compiled.
    config.generate_address_map(false);
    if let Some(pool) = pool {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

fn pool(limits: &Limits) -> PoolingAllocationConfig {
    // A turn that waits for a slot has waited for its permit already.
    let turns = live_turns(limits);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(turns)
        .total_core_instances(turns * POOL_INSTANCES_PER_COMPONENT)
        .total_memories(turns)
        .total_tables(turns * POOL_TABLES_PER_COMPONENT)
        .total_stacks(turns)
        .max_core_instances_per_component(POOL_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(1)
        .max_tables_per_component(POOL_TABLES_PER_COMPONENT)
        .max_memory_size(usize::try_from(limits.turn_memory_bytes).unwrap_or(usize::MAX))
        .table_elements(usize::try_from(limits.turn_table_elements).unwrap_or(usize::MAX))
        .linear_memory_keep_resident(POOL_KEEP_RESIDENT)
        .table_keep_resident(4 << 10)
        .async_stack_keep_resident(POOL_STACK_KEEP_RESIDENT);
    pool
}

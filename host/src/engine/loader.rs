//! From the bytes of a component to something that can be instantiated.

use std::{path::Path, sync::Arc, thread};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::{sync::Semaphore, task::spawn_blocking};
use wasmtime::Engine;
use worker_types::{ComponentDigest, Limits};

use super::{
    Compiler, LoadComponentError, LoadedCommand, LoadedComponent, LoadedInterpreter,
    artifact::{Artifact, Compatibility, ComponentCache},
    instances::check_instances,
    loads::{Loaded, Loads},
};

/// Makes what was compiled of a component ready for the first engine that takes it.
type Link<T> = fn([&Engine; 2], ComponentDigest, &Artifact) -> Result<T, LoadComponentError>;

/// The longest that the shell may take to compile, on however busy a machine, and the most memory.
const INTERPRETER_COMPILE_MS: u64 = 600_000;
const INTERPRETER_COMPILE_BYTES: u64 = 4 << 30;

/// Loads components, for as long as the engines live.
#[derive(Debug)]
pub(super) struct Loader {
    pooling: Engine,
    on_demand: Engine,
    compatibility: Compatibility,
    compiler: Compiler,
    cache: Option<ComponentCache>,
    limits: Limits,
    /// To compile at once: as many as there are cores, so that neither they nor the memory are
    /// taken by however many components are asked for.
    permits: Semaphore,
    /// What came of each component so far.
    loads: Loads,
}

impl Loader {
    pub(super) fn new(
        pooling: Engine,
        on_demand: Engine,
        limits: &Limits,
        compiler: Compiler,
        cache: Option<&Path>,
    ) -> Self {
        Self {
            compatibility: Compatibility::of(&on_demand),
            pooling,
            on_demand,
            compiler,
            cache: cache.and_then(|dir| open(dir, limits)),
            limits: limits.clone(),
            permits: Semaphore::new(thread::available_parallelism().map_or(1, usize::from)),
            loads: Loads::default(),
        }
    }

    /// Loads one component, unless it is known what comes of that. It is cancelled by dropping the
    /// future.
    pub(super) async fn load(self: Arc<Self>, bytes: Bytes) -> Loaded {
        let digest = digest(bytes.clone(), self.limits.component_bytes).await?;
        self.loads.get_or_load(digest, Arc::clone(&self).load_new(digest, bytes)).await
    }

    /// What came of loading the component before.
    pub(super) fn known(&self, digest: ComponentDigest) -> Option<Loaded> {
        self.loads.known(digest)
    }

    async fn load_new(
        self: Arc<Self>,
        digest: ComponentDigest,
        bytes: Bytes,
    ) -> Result<LoadedComponent, LoadComponentError> {
        let limits = self.limits.clone();
        self.load_as(digest, bytes, LoadedComponent::link, &limits).await
    }

    /// Loads a command, for whoever keeps it.
    pub(super) async fn load_command(
        self: Arc<Self>,
        bytes: Bytes,
    ) -> Result<LoadedCommand, LoadComponentError> {
        let limits = self.limits.clone();
        self.load_once(bytes, LoadedCommand::link, &limits).await
    }

    /// Loads the shell, for whoever keeps it.
    pub(super) async fn load_interpreter(
        self: Arc<Self>,
        bytes: Bytes,
    ) -> Result<LoadedInterpreter, LoadComponentError> {
        // It is the embedder's own, and large: what bounds hostile components is not for it.
        let limits = Limits {
            component_bytes: u64::MAX,
            compile_ms: self.limits.compile_ms.max(INTERPRETER_COMPILE_MS),
            compile_memory_bytes: self.limits.compile_memory_bytes.max(INTERPRETER_COMPILE_BYTES),
            ..self.limits.clone()
        };
        self.load_once(bytes, LoadedInterpreter::link, &limits).await
    }

    async fn load_once<T: Send + 'static>(
        self: Arc<Self>,
        bytes: Bytes,
        link: Link<T>,
        limits: &Limits,
    ) -> Result<T, LoadComponentError> {
        let digest = digest(bytes.clone(), limits.component_bytes).await?;
        self.load_as(digest, bytes, link, limits).await
    }

    async fn load_as<T: Send + 'static>(
        self: Arc<Self>,
        digest: ComponentDigest,
        bytes: Bytes,
        link: Link<T>,
        limits: &Limits,
    ) -> Result<T, LoadComponentError> {
        let kept = {
            let (loader, bytes) = (Arc::clone(&self), bytes.clone());
            blocking(move || loader.look_up(digest, &bytes, link)).await?
        };
        if let Some(loaded) = kept {
            return Ok(loaded);
        }
        let artifact = {
            // It is never closed.
            let _permit = self.permits.acquire().await;
            let compiling = self.compiler.compile(&self.on_demand, bytes, limits);
            compiling.await.map_err(LoadComponentError::Compile)?
        };
        blocking(move || {
            let loaded = link(self.engines(), digest, &artifact)?;
            // Only what can be run is worth keeping.
            if let Some(cache) = &self.cache {
                cache.write(&digest, self.compatibility, &artifact);
            }
            Ok(loaded)
        })
        .await
    }

    /// What there is to know of `bytes` before anything is compiled, and what the cache has.
    fn look_up<T>(
        &self,
        digest: ComponentDigest,
        bytes: &[u8],
        link: Link<T>,
    ) -> Result<Option<T>, LoadComponentError> {
        match bytes {
            [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => return Err(LoadComponentError::CoreModule),
            [0, b'a', b's', b'm', ..] => {}
            _ => return Err(LoadComponentError::NotWebAssembly),
        }
        let kept = self.cache.as_ref().and_then(|cache| cache.read(&digest, self.compatibility));
        let linked = kept.map(|artifact| link(self.engines(), digest, &artifact)).transpose()?;
        if linked.is_none() {
            // What was compiled has passed this.
            check_instances(bytes)?;
        }
        Ok(linked)
    }

    fn engines(&self) -> [&Engine; 2] {
        [&self.pooling, &self.on_demand]
    }
}

async fn digest(bytes: Bytes, limit: u64) -> Result<ComponentDigest, LoadComponentError> {
    if bytes.len() as u64 > limit {
        return Err(LoadComponentError::TooLarge { size: bytes.len(), limit });
    }
    blocking(move || Ok(ComponentDigest::from_sha256(Sha256::digest(&bytes).into()))).await
}

fn open(dir: &Path, limits: &Limits) -> Option<ComponentCache> {
    match ComponentCache::open(dir, limits.compile_memory_bytes) {
        Ok(cache) => Some(cache),
        Err(error) => {
            tracing::warn!(%error, "compiled components are not kept: each start compiles anew");
            None
        }
    }
}

/// Computes away from the threads that serve everybody.
async fn blocking<T: Send + 'static>(
    compute: impl FnOnce() -> Result<T, LoadComponentError> + Send + 'static,
) -> Result<T, LoadComponentError> {
    spawn_blocking(compute).await.map_err(LoadComponentError::GaveUp)?
}

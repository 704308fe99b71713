//! A command that was compiled and linked: a component that exports `wasi:cli/run`.

use wasmtime::{Engine, component::Linker};
use wasmtime_wasi::p2::bindings::CommandPre;
use worker_types::ComponentDigest;

use super::{LoadComponentError, artifact::Artifact};
use crate::{capability, exec::CommandState};

/// A command, ready to be instantiated.
pub(crate) struct LoadedCommand(pub(crate) CommandPre<CommandState>);

impl LoadedCommand {
    /// Links what was compiled of a command, in the first of `engines` that takes it. This computes:
    /// not for an async task.
    pub(super) fn link(
        engines: [&Engine; 2],
        _digest: ComponentDigest,
        artifact: &Artifact,
    ) -> Result<Self, LoadComponentError> {
        // The pool refuses what does not fit its slots.
        let [pooling, on_demand] = engines;
        let (engine, component) = match artifact.load(pooling) {
            Ok(component) => (pooling, component),
            Err(_) => (on_demand, artifact.load(on_demand).map_err(LoadComponentError::Load)?),
        };
        // The base of WASI and nothing else: whatever its imports were said to be, there is no more.
        let mut linker = Linker::new(engine);
        capability::add_base_to_linker(&mut linker).map_err(LoadComponentError::Link)?;
        let pre = linker.instantiate_pre(&component).map_err(LoadComponentError::Link)?;
        CommandPre::new(pre).map(Self).map_err(LoadComponentError::Link)
    }
}

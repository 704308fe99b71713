//! A command that was compiled and linked: a component that exports `wasi:cli/run`.

use wasmtime::{Engine, component::Linker};
use wasmtime_wasi::p2::bindings::CommandPre;
use worker_types::ComponentDigest;

use super::{LoadComponentError, artifact::Artifact};
use crate::{capability, sandbox::SandboxState};

/// A command, ready to be instantiated.
pub(crate) struct LoadedCommand(CommandPre<SandboxState>);

impl LoadedCommand {
    /// Links what was compiled of a command. This computes: not for an async task.
    ///
    /// It is instantiated on demand, like everything beside turns: the slots of the pool are theirs.
    pub(super) fn link(
        [_, on_demand]: [&Engine; 2],
        _digest: ComponentDigest,
        artifact: &Artifact,
    ) -> Result<Self, LoadComponentError> {
        let component = artifact.load(on_demand).map_err(LoadComponentError::Load)?;
        // The base of WASI and nothing else: whatever its imports were said to be, there is no more.
        let mut linker = Linker::new(on_demand);
        capability::add_base_to_linker(&mut linker).map_err(LoadComponentError::Link)?;
        let pre = linker.instantiate_pre(&component).map_err(LoadComponentError::Link)?;
        CommandPre::new(pre).map(Self).map_err(LoadComponentError::Link)
    }

    pub(crate) fn pre(&self) -> &CommandPre<SandboxState> {
        &self.0
    }
}

impl std::fmt::Debug for LoadedCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoadedCommand")
    }
}

//! The shell component, compiled and linked.

use wasmtime::{Engine, component::Linker};
use worker_types::ComponentDigest;

use super::{LoadComponentError, artifact::Artifact};
use crate::{
    capability,
    shell::{self, ShellState, bindings::ShellPre},
};

/// The shell, ready to be instantiated once per script.
pub(crate) struct LoadedInterpreter(ShellPre<ShellState>);

impl LoadedInterpreter {
    /// Links what was compiled of the shell. This computes: not for an async task.
    pub(super) fn link(
        [_, on_demand]: [&Engine; 2],
        _digest: ComponentDigest,
        artifact: &Artifact,
    ) -> Result<Self, LoadComponentError> {
        let component = artifact.load(on_demand).map_err(LoadComponentError::Load)?;
        let mut linker = Linker::new(on_demand);
        capability::add_base_to_linker(&mut linker).map_err(LoadComponentError::Link)?;
        shell::add_commands_to_linker(&mut linker).map_err(LoadComponentError::Link)?;
        let pre = linker.instantiate_pre(&component).map_err(LoadComponentError::Link)?;
        ShellPre::new(pre).map(Self).map_err(LoadComponentError::Link)
    }

    pub(crate) fn pre(&self) -> &ShellPre<ShellState> {
        &self.0
    }
}

impl std::fmt::Debug for LoadedInterpreter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoadedInterpreter")
    }
}

//! From bytes to something that can be instantiated.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use wasmtime::{
    Engine,
    component::{Component, Linker},
};
use worker_types::{Capability, ComponentDigest, Grants, RuntimeError};

use super::{Engines, imports, imports::Need};
use crate::{
    capability::{self, bindings::CompanionPre},
    turn::TurnState,
};

/// A component that was compiled and linked, ready to be instantiated once per turn.
pub(crate) struct LoadedComponent {
    pub(crate) digest: ComponentDigest,
    /// The imports that need a grant.
    imports: Vec<(String, Capability)>,
    linked: Linked,
}

enum Linked {
    Ready(CompanionPre<TurnState>),
    /// It imports something that no grant provides.
    Refused(String),
}

/// Why bytes are no component that can be a Worker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadComponentError {
    #[error("it has {size} bytes, more than the limit of {limit}")]
    TooLarge { size: usize, limit: u64 },
    #[error("it is a core WebAssembly module; a Worker is a component (target wasm32-wasip2)")]
    CoreModule,
    #[error("it is not WebAssembly")]
    NotWebAssembly,
    #[error("it does not compile")]
    Compile(#[source] wasmtime::Error),
    #[error("it does not export `yoi:worker/worker@0.1.0`: its world is not one of yoi's")]
    WrongWorld(#[source] wasmtime::Error),
    #[error("an import has another type than this Runtime's")]
    Link(#[source] wasmtime::Error),
}

impl LoadedComponent {
    /// Compiles and links `bytes`. This computes for as long as the compiler needs: not for an
    /// async task.
    pub(crate) fn load(
        engines: &Engines,
        bytes: &[u8],
        max_bytes: u64,
    ) -> Result<Self, LoadComponentError> {
        if bytes.len() as u64 > max_bytes {
            return Err(LoadComponentError::TooLarge { size: bytes.len(), limit: max_bytes });
        }
        match bytes {
            [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => return Err(LoadComponentError::CoreModule),
            [0, b'a', b's', b'm', ..] => {}
            _ => return Err(LoadComponentError::NotWebAssembly),
        }
        let digest = ComponentDigest::from_sha256(Sha256::digest(bytes).into());

        // The pool refuses at compile time what does not fit its slots; a component that is broken
        // fails again on demand, and that error is the one to show.
        let (engine, component) = match Component::from_binary(&engines.pooling, bytes) {
            Ok(component) => (&engines.pooling, component),
            Err(_) => {
                let component = Component::from_binary(&engines.on_demand, bytes);
                (&engines.on_demand, component.map_err(LoadComponentError::Compile)?)
            }
        };

        let mut imports = Vec::new();
        let mut refused = None;
        for (name, _) in component.component_type().imports(engine) {
            match imports::need(name) {
                Need::Base => {}
                Need::Grant(capability) => imports.push((name.to_owned(), capability)),
                Need::Never => refused = refused.or_else(|| Some(name.to_owned())),
            }
        }
        let linked = match refused {
            Some(interface) => Linked::Refused(interface),
            None => Linked::Ready(link(engine, &component)?),
        };
        Ok(Self { digest, imports, linked })
    }

    /// What to instantiate for a Worker with `grants`, to whose profile the capabilities in
    /// `optional` are optional.
    ///
    /// # Errors
    ///
    /// The first import that is neither granted nor optional. Nothing was instantiated.
    pub(crate) fn admit(
        &self,
        grants: &Grants,
        optional: &BTreeSet<Capability>,
    ) -> Result<&CompanionPre<TurnState>, RuntimeError> {
        let pre = match &self.linked {
            Linked::Ready(pre) => pre,
            Linked::Refused(interface) => {
                let interface = interface.clone();
                return Err(RuntimeError::MissingGrant { interface, capability: None });
            }
        };
        for (interface, capability) in &self.imports {
            if !grants.has(*capability) && !optional.contains(capability) {
                let (interface, capability) = (interface.clone(), Some(*capability));
                return Err(RuntimeError::MissingGrant { interface, capability });
            }
        }
        Ok(pre)
    }
}

fn link(
    engine: &Engine,
    component: &Component,
) -> Result<CompanionPre<TurnState>, LoadComponentError> {
    // One linker serves every component: a capability that was not granted answers so itself, and
    // `admit` refuses imports before it comes to that.
    let mut linker = Linker::new(engine);
    capability::add_to_linker(&mut linker).map_err(LoadComponentError::Link)?;
    let pre = linker.instantiate_pre(component).map_err(LoadComponentError::Link)?;
    CompanionPre::new(pre).map_err(LoadComponentError::WrongWorld)
}

impl std::fmt::Debug for LoadedComponent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedComponent").field("digest", &self.digest).finish_non_exhaustive()
    }
}

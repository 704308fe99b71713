//! From bytes to something that can be instantiated.

use tokio::task::JoinError;
use wasmtime::{
    Engine,
    component::{Component, Linker},
};
use worker_types::{Capability, ComponentDigest, Grant, RuntimeError};

use super::{
    artifact::{Artifact, CompileError},
    imports::{self, Takes},
    instances::InstancesError,
};
use crate::{
    capability::{self, bindings::CoderPre},
    cell::Authority,
    turn::TurnState,
};

/// A component that was compiled and linked, ready to be instantiated once per turn.
pub(crate) struct LoadedComponent {
    pub(crate) digest: ComponentDigest,
    /// The imports that take something.
    imports: Vec<(String, Takes)>,
    linked: Linked,
}

enum Linked {
    Ready(CoderPre<TurnState>),
    /// It imports these, which no grant provides.
    Refused(Vec<String>),
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
    #[error(transparent)]
    Instances(#[from] InstancesError),
    #[error("it does not compile")]
    Compile(#[source] CompileError),
    #[error("what was compiled of it cannot be loaded")]
    Load(#[source] wasmtime::Error),
    #[error("it does not export `yoi:worker/worker@0.1.0`: its world is not one of yoi's")]
    WrongWorld(#[source] wasmtime::Error),
    #[error("an import has another type than this Runtime's")]
    Link(#[source] wasmtime::Error),
    #[error("the task that loads it gave up")]
    GaveUp(#[source] JoinError),
}

impl LoadComponentError {
    /// Whether it is the component that is to be changed, and not the host.
    pub(crate) fn is_of_component(&self) -> bool {
        match self {
            Self::TooLarge { .. }
            | Self::CoreModule
            | Self::NotWebAssembly
            | Self::Instances(_)
            | Self::WrongWorld(_)
            | Self::Link(_) => true,
            Self::Compile(error) => error.is_of_component(),
            Self::Load(_) | Self::GaveUp(_) => false,
        }
    }

    /// Whether the same component may load later, with nothing changed but the time.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::TooLarge { .. }
            | Self::CoreModule
            | Self::NotWebAssembly
            | Self::Instances(_)
            | Self::WrongWorld(_)
            | Self::Link(_) => false,
            Self::Compile(error) => error.may_pass(),
            Self::Load(_) | Self::GaveUp(_) => true,
        }
    }
}

impl LoadedComponent {
    /// Links what was compiled of the component with `digest`, in the first of `engines` that takes
    /// it. This computes: not for an async task.
    pub(super) fn link(
        engines: [&Engine; 2],
        digest: ComponentDigest,
        artifact: &Artifact,
    ) -> Result<Self, LoadComponentError> {
        // The pool refuses what does not fit its slots.
        let [pooling, on_demand] = engines;
        let (engine, component) = match artifact.load(pooling) {
            Ok(component) => (pooling, component),
            Err(_) => (on_demand, artifact.load(on_demand).map_err(LoadComponentError::Load)?),
        };

        let mut imports = Vec::new();
        let mut refused = Vec::new();
        for (name, _) in component.component_type().imports(engine) {
            match imports::explain(name).0 {
                Takes::Nothing => {}
                takes @ (Takes::Preopens | Takes::Grant(_)) => {
                    imports.push((name.to_owned(), takes));
                }
                Takes::Refused => refused.push(name.to_owned()),
            }
        }
        let linked = match refused.is_empty() {
            false => Linked::Refused(refused),
            true => Linked::Ready(link(engine, &component)?),
        };
        Ok(Self { digest, imports, linked })
    }

    /// The imports by which it could use what is granted.
    pub(crate) fn imports(&self) -> impl Iterator<Item = &str> {
        self.imports.iter().map(|(interface, _)| interface.as_str())
    }

    /// What to instantiate for a Worker with this authority. What was taken away is linked all the
    /// same, and answers so.
    ///
    /// # Errors
    ///
    /// The imports that are neither granted nor optional. Nothing was instantiated.
    pub(crate) fn admit(
        &self,
        authority: &Authority,
    ) -> Result<&CoderPre<TurnState>, RuntimeError> {
        let pre = match &self.linked {
            Linked::Ready(pre) => pre,
            Linked::Refused(interfaces) => {
                let mut interfaces = interfaces.iter().cloned();
                let interface = interfaces.next().unwrap_or_default();
                let also = interfaces.collect();
                return Err(RuntimeError::MissingGrant { interface, capability: None, also });
            }
        };
        let Authority { profile, grants, .. } = authority;
        let is_missing = |capability: Capability| {
            let revoked = || authority.is_revoked(&Grant::Capability(capability));
            !grants.has(capability) && !profile.profile.optional.contains(&capability) && !revoked()
        };
        let mut missing = self.imports.iter().filter_map(|(interface, takes)| match takes {
            Takes::Grant(capability) if is_missing(*capability) => Some((interface, *capability)),
            Takes::Grant(_) | Takes::Preopens | Takes::Nothing | Takes::Refused => None,
        });
        let Some((interface, capability)) = missing.next() else { return Ok(pre) };
        Err(RuntimeError::MissingGrant {
            interface: interface.clone(),
            capability: Some(capability),
            also: missing.map(|(interface, _)| interface.clone()).collect(),
        })
    }
}

fn link(engine: &Engine, component: &Component) -> Result<CoderPre<TurnState>, LoadComponentError> {
    // One linker serves every component: a capability that was not granted answers so itself, and
    // `admit` refuses imports before it comes to that.
    let mut linker = Linker::new(engine);
    capability::add_to_linker(&mut linker).map_err(LoadComponentError::Link)?;
    let pre = linker.instantiate_pre(component).map_err(LoadComponentError::Link)?;
    CoderPre::new(pre).map_err(LoadComponentError::WrongWorld)
}

impl std::fmt::Debug for LoadedComponent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedComponent").field("digest", &self.digest).finish_non_exhaustive()
    }
}

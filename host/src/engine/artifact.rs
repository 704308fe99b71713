//! Compiled components: machine code, so whoever loads one runs it.
//!
//! An [`Artifact`] is only made by the modules below: from what the compiler just returned, or from
//! a file whose MAC is right. That is what makes loading one sound.

mod cache;
mod compiler;
mod helper;

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use sha2::{Digest as _, Sha256};
use wasmtime::{Engine, component::Component};

pub(super) use cache::ComponentCache;
pub use compiler::{CompileError, Compiler};
#[cfg(target_os = "linux")]
pub(crate) use helper::Job as CompileJob;
pub use helper::compile_helper;

/// A compiled component that this program, or an earlier run of it, got from its compiler.
pub(super) struct Artifact {
    bytes: Vec<u8>,
    /// Where the code starts: a file has its header before it.
    code_at: usize,
}

impl Artifact {
    fn code(&self) -> &[u8] {
        self.bytes.get(self.code_at..).unwrap_or_default()
    }

    /// Makes the artifact ready for `engine`.
    ///
    /// # Errors
    ///
    /// It does not fit the engine's pool, or was compiled for another engine.
    pub(super) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: wasmtime asks that the bytes come from `Engine::precompile_component` and were
        // not changed since. There are three ways to an `Artifact`, and each of them has that:
        //
        // - The compiler in this process returned it.
        // - The compile helper wrote it: the program that the embedder named, with our own
        //   `compile_helper`, over a pipe that nobody else has. It ran the same compiler on the same
        //   hostile component as this process would have otherwise. So the assumption is the one of
        //   compiling in process: that no component makes Cranelift emit code that leaves the
        //   sandbox. A component that took over the helper *while* it was compiled could write here
        //   what it likes; in process, it would have taken over the host itself.
        // - The cache read it: its MAC was checked over exactly this buffer, which nobody else can
        //   write to, with a key that only this user can read.
        #[expect(unsafe_code, reason = "loading machine code is unsafe; see the proof above")]
        let component = unsafe { Component::deserialize(engine, self.code()) };
        component
    }
}

/// What a compiled component depends on besides the component: the version of wasmtime, its
/// configuration and the features of the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compatibility([u8; 32]);

impl Compatibility {
    pub(super) fn of(engine: &Engine) -> Self {
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self(hasher.0.finalize().into())
    }
}

impl fmt::Display for Compatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The standard library's own hasher may become another one with any release of Rust, and has 64
/// bits only.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks: the whole digest is taken.
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use worker_types::Limits;

    use super::*;
    use crate::engine::{config, pool};

    #[test]
    fn one_artifact_serves_the_pool_and_the_engine_on_demand() {
        let pooling = Engine::new(&config(Some(pool(&Limits::default())))).expect("an engine");
        let on_demand = Engine::new(&config(None)).expect("an engine");
        assert_eq!(Compatibility::of(&pooling), Compatibility::of(&on_demand));
        let bytes = on_demand.precompile_component(builtin_workers::ECHO).expect("it compiles");
        let artifact = Artifact { bytes, code_at: 0 };
        for engine in [&pooling, &on_demand] {
            artifact.load(engine).expect("it fits");
        }
    }
}

//! Runs AI workers as sandboxed WebAssembly components with a durable log.
#![allow(missing_debug_implementations, missing_docs, clippy::all)]

mod builder;
mod runtime;

pub use builder::RuntimeBuilder;
pub use runtime::{Events, Runtime};

/// Where logs are kept.
#[derive(Debug)]
pub struct Store;
impl Store {
    /// In memory.
    pub fn memory() -> Self {
        Self
    }
}

/// Why a Runtime could not be built.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeBuildError {
    /// Placeholder.
    #[error("placeholder")]
    Placeholder,
}

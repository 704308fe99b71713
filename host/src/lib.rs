//! Runs AI workers as sandboxed WebAssembly components with a durable log.

mod builder;
mod runtime;

pub use builder::RuntimeBuilder;
pub use runtime::{Events, Runtime};

//! Runs AI workers as sandboxed WebAssembly components with a durable log: the embeddable Runtime.

mod builder;
mod capability;
mod cell;
mod engine;
mod events;
mod logs;
mod projection;
mod runtime;
mod store;
mod supervisor;
mod turn;
mod worker;

pub use builder::{RuntimeBuildError, RuntimeBuilder};
pub use events::Events;
pub use runtime::Runtime;
pub use store::Store;
pub use worker_types;

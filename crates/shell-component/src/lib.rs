//! The shell: bash-compatible, inside WebAssembly.
//!
//! An instance runs one script. It sees the directories it was given and nothing else, has no network
//! and starts no process; what it cannot do itself it asks the host for by name. [`engine`] hides the
//! interpreter, [`filesystem`] is what scripts see, [`commands`] are the commands that data flows
//! through, and the rest connects them to the host. The library also compiles natively, for tests.

pub mod command;
pub mod commands;
pub mod engine;
pub mod filesystem;

#[cfg(target_os = "wasi")]
mod bindings;
#[cfg(target_os = "wasi")]
mod component;
#[cfg(target_os = "wasi")]
mod external;
#[cfg(target_os = "wasi")]
mod reactor;

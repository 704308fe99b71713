//! The Runtime with real guests.

mod component_cache;
mod components;
mod events;
mod grants;
mod harness;
mod lifecycle;
mod limits;
mod malformed;
mod models;
mod process;
#[cfg(feature = "sqlite")]
mod restart;

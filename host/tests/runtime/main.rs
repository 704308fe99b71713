//! The Runtime with real guests.

mod components;
mod events;
mod grants;
mod harness;
mod lifecycle;
mod limits;
mod models;
mod process;

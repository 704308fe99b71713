//! The Browser API against a real embedded Runtime.

mod access;
mod durable;
mod events;
mod follow;
mod openapi;
mod refusals;
mod remotes;
mod server;
mod support;
mod workers;

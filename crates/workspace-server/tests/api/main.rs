//! The Browser API against a real embedded Runtime.

mod access;
mod durable;
mod events;
mod refusals;
mod server;
mod support;
mod workers;

//! The Browser API against a real embedded Runtime.

mod access;
mod durable;
mod events;
mod follow;
mod leaks;
mod openapi;
mod refusals;
mod remote_tokens;
mod remotes;
mod server;
#[cfg(unix)]
mod sign_in;
mod support;
mod visible;
mod workers;

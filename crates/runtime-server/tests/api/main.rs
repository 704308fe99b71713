//! The API of a Runtime process, request by request.

mod access;
mod drain;
mod metrics;
#[cfg(unix)]
mod open_address;
mod openapi;
mod refusals;
mod shares;
mod sockets;
mod support;

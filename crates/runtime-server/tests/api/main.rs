//! The API of a Runtime process, request by request.

mod access;
mod drain;
mod refusals;
mod sockets;
mod support;

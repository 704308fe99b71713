//! A Runtime over HTTP: the routes under `/v1`, who may use them, and the server that serves them.
//!
//! A [`RuntimeServer`] puts a [`Runtime`](worker_runtime::Runtime) on a socket. Every request names its
//! token, and a token's scopes, labels and ceiling say what it may do; they are kept in a [`TokenFile`],
//! and a change of it counts from the next request on.

mod access;
mod api;
mod failures;
mod guard;
mod known_tokens;
mod server;
mod tokens;

pub use server::{RuntimeServer, ServeRuntimeError};
pub use tokens::{
    NewToken, ParseScopeError, Scope, TokenFile, TokenFileError, TokenId, TokenRecord,
};

//! Scripts, run natively in directories of their own.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod commands;
mod files;
mod limits;
mod sessions;
mod streams;
mod support;

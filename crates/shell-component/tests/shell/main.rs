//! Scripts, run natively in directories of their own.

mod commands;
mod files;
mod limits;
mod sessions;
mod streams;
mod support;

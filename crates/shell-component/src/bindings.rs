//! The world `shell` as wit-bindgen puts it into Rust.
#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    rust_2018_idioms,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::needless_pass_by_value,
    clippy::str_to_string,
    clippy::uninlined_format_args,
    reason = "generated code"
)]

wit_bindgen::generate!({
    path: "wit",
    world: "shell",
    with: { "wasi:io/poll@0.2.0": wasip2::io::poll },
});

use crate::component::Shell;
export!(Shell);

//! The contract in `wit/` as wit-bindgen puts it into Rust. Nothing here is part of the API: only
//! the expansion of [`worker!`](crate::worker!) names it.
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

// The widest world: a component imports only what its code calls. `wasi:io` comes with `shell`: its
// pollables are those of std's own imports, whatever 0.2 either of them says.
wit_bindgen::generate!({
    path: "wit",
    world: "coder",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "__export_worker",
    default_bindings_module: "worker_guest::bindings",
});

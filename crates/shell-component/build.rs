//! Gives the component the stack that bashkit's own limits on nesting need.

/// bashkit polls nested commands recursively: 16 function calls, 32 substitutions and a syntax tree
/// 100 levels deep take up to about 4 MiB with what the optimiser leaves of their frames. 16 MiB is
/// four times that; it costs address space only, since memory that is not touched is not allocated.
const STACK_BYTES: u32 = 16 * 1024 * 1024;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_TARGET_FAMILY").is_some_and(|family| family == "wasm") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK_BYTES}");
    }
}

//! The host's side of the WIT package `yoi:shell`, generated: what the shell component exports, and the
//! commands that it may start.
wasmtime::component::bindgen!({
    path: "../crates/shell-component/wit",
    world: "shell",
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "wasi:io/poll": wasmtime_wasi::p2::bindings::io::poll,
        "yoi:shell/commands.running": super::commands::RunningCommand,
    },
});

//! The host's side of the WIT package `yoi:worker`, generated. The world `coder` has every
//! interface of the package; a component of a smaller world imports fewer of them.
wasmtime::component::bindgen!({
    path: "../wit",
    world: "coder",
    imports: {
        "yoi:worker/session.turn-id": trappable,
        "yoi:worker/session.input": trappable,
        "yoi:worker/session.resumes": trappable,
        "yoi:worker/session.capabilities": trappable,
        "yoi:worker/session.config": trappable,
        default: async | trappable,
    },
    exports: { default: async },
    with: {
        "wasi:io/poll": wasmtime_wasi::p2::bindings::io::poll,
        "yoi:worker/llm.completion": super::llm::Completion,
        "yoi:worker/session.utterance": super::session::Utterance,
        "yoi:worker/session.tool-call": super::session::ToolCall,
        "yoi:worker/shell.running": super::shell::RunningScript,
        "yoi:worker/shell.session": super::shell::ShellSession,
    },
});

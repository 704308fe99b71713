//! The host's side of the WIT package `yoi:worker`, generated. The world `companion` has every
//! interface of the package; a component of a smaller world imports fewer of them.
wasmtime::component::bindgen!({
    path: "../wit",
    world: "companion",
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
        "yoi:worker/llm.completion": super::llm::Completion,
        "yoi:worker/session.utterance": super::session::Utterance,
        "yoi:worker/session.tool-call": super::session::ToolCall,
    },
});

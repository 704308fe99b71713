//! The border to the host. In a component it is the contract in `wit/`; natively, where Workers are
//! tested, it is a script. Both offer the same functions and handles.

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(target_arch = "wasm32")]
pub(crate) use component::{
    Completion, RunningScript, ShellSession, ToolCall, Utterance, capabilities, complete, config,
    history, input, resumes, say, state_get, state_set, take_steering, turn_id,
};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod scripted;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use scripted::{
    Completion, RunningScript, ShellSession, ToolCall, Utterance, capabilities, complete, config,
    history, input, resumes, say, state_get, state_set, take_steering, turn_id,
};

//! Core modules for WASI 0.1, made components by the adapter that comes with wasmtime.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};
use wasmparser::{Parser, Payload, Validator};
use wit_component::ComponentEncoder;

use super::ExecError;

/// How the custom sections begin that tell the encoder of another world than WASI's.
const WORLD_SECTION: &str = "component-type";

/// The component that a command for WASI 0.1 amounts to. This computes, in proportion to `module`.
///
/// The encoder takes a module for one that a compiler made, so what is not valid does not reach it, nor
/// what would make it read more than the module's own code.
pub(super) fn to_component(module: &[u8]) -> Result<Vec<u8>, ExecError> {
    let refused = |reason: String| ExecError::Adapt { reason };
    Validator::new().validate_all(module).map_err(|error| refused(error.to_string()))?;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(|error| refused(error.to_string()))?;
        if let Payload::CustomSection(section) = payload
            && section.name().starts_with(WORLD_SECTION)
        {
            return Err(refused("it is the unfinished half of a component".to_owned()));
        }
    }
    let encoded = ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| {
            encoder.adapter(
                WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
                WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
            )
        })
        .and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| refused(format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use worker_types::Limits;

    use super::*;
    use crate::engine::{ComponentKind, inspect_component};

    fn adapt(text: &str) -> Result<Vec<u8>, ExecError> {
        to_component(&wat::parse_str(text).expect("valid text format"))
    }

    #[test]
    fn a_command_for_wasi_0_1_becomes_one_for_0_2() {
        let module = "(module
            (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
            (memory (export \"memory\") 1)
            (func (export \"_start\") (call $exit (i32.const 3))))";
        let component = adapt(module).expect("a component");
        let found = inspect_component(&component, &Limits::default()).expect("a component");
        assert_eq!(found.kind, ComponentKind::Command);
        assert_eq!(found.refused(), None);
    }

    #[test]
    fn what_is_invalid_or_made_for_another_world_is_refused_in_words() {
        let invalid = "(module (func (export \"_start\") (drop)))";
        let error = adapt(invalid).expect_err("invalid").to_string();
        assert!(error.contains("cannot be run: "), "{error}");
        let half = "(module (@custom \"component-type:x\" \"\") (func (export \"_start\")))";
        let error = adapt(half).expect_err("half a component").to_string();
        assert!(error.contains("the unfinished half"), "{error}");
    }
}

//! Guests that misbehave in every way a test needs.
//!
//! The text of the input is a command; the crate `hostile-guest` lists them.

use wasmparser::{Parser, Payload};

/// Answers HTTP requests with `hello`: no Worker, and a component for `wasmtime serve`.
pub const HELLO_HTTP: &[u8] = include_bytes!(env!("GUEST_HELLO_HTTP"));

/// Every command; imports `session` and `llm`.
pub const HOSTILE: &[u8] = include_bytes!(env!("GUEST_HOSTILE"));

/// Every command but those that start with `llm`; imports `session` and no other capability.
pub const HOSTILE_BASE: &[u8] = include_bytes!(env!("GUEST_HOSTILE_BASE"));

/// Tries to connect to the address in its input, and so imports `wasi:sockets`.
pub const NETWORK: &[u8] = include_bytes!(env!("GUEST_NETWORK"));

/// Runs scripts, well or badly; imports `session` and `shell`.
pub const SCRIPTS: &[u8] = include_bytes!(env!("GUEST_SCRIPTS"));

/// A WASI command, whose first argument says what it does; imports the base of WASI alone.
pub const TOOL: &[u8] = include_bytes!(env!("GUEST_TOOL"));

/// The names of the interfaces that a component imports.
///
/// # Errors
///
/// If `component` is not a component.
pub fn imports(component: &[u8]) -> wasmparser::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            // Modules and components inside have imports of their own, met by the outer one.
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    names.push(import?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

/// Whether this import is one of the WASI interfaces that every component is linked to, at whatever
/// version: they reach nothing but what the host chose to show.
#[must_use]
pub fn is_base_interface(import: &str) -> bool {
    let name = import.split_once('@').map_or(import, |(name, _)| name);
    let Some((package, interface)) = name.split_once('/') else { return false };
    match package {
        "wasi:cli" => {
            matches!(interface, "environment" | "exit" | "stdin" | "stdout" | "stderr")
                || interface.starts_with("terminal-")
        }
        "wasi:clocks" => matches!(interface, "monotonic-clock" | "wall-clock"),
        "wasi:filesystem" => matches!(interface, "types" | "preopens"),
        "wasi:io" => matches!(interface, "error" | "poll" | "streams"),
        "wasi:random" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `component` imports beyond the base.
    #[track_caller]
    fn beyond_base(component: &[u8]) -> Vec<String> {
        let mut names = imports(component).expect("a component");
        names.retain(|name| !is_base_interface(name));
        names.sort();
        names
    }

    #[test]
    fn each_guest_imports_what_its_description_says() {
        assert_eq!(
            beyond_base(HOSTILE),
            ["yoi:worker/llm@0.1.0", "yoi:worker/session@0.1.0", "yoi:worker/types@0.1.0",]
        );
        assert_eq!(
            beyond_base(HOSTILE_BASE),
            ["yoi:worker/session@0.1.0", "yoi:worker/types@0.1.0"]
        );
        assert_eq!(
            beyond_base(SCRIPTS),
            ["yoi:worker/session@0.1.0", "yoi:worker/shell@0.1.0", "yoi:worker/types@0.1.0"]
        );
        assert!(beyond_base(TOOL).is_empty());
        let network = beyond_base(NETWORK);
        assert!(network.iter().any(|name| name.starts_with("wasi:sockets/tcp@")), "{network:?}");
    }

    #[test]
    fn bytes_that_are_no_component_have_no_imports_to_show() {
        assert!(imports(b"\0asm nonsense").is_err());
    }
}

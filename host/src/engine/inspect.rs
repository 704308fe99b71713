//! What is in a file, read without compiling it: what it is, and what it could ask for.

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use wasmparser::{BinaryReaderError, ComponentExternalKind, ExternalKind, Parser, Payload};
use worker_types::{ComponentDigest, Limits};

use super::{
    imports::{Takes, WASI_0_1, explain, explain_core},
    instances::{InstancesError, check_instances},
};

/// The most imports that are listed: wasmtime takes no more of a core module either.
const MAX_IMPORTS: usize = 100_000;

/// What is in a file of WebAssembly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Its bytes.
    pub size: u64,
    /// The SHA-256 of all of them.
    pub digest: ComponentDigest,
    /// What it can be used as.
    pub kind: ComponentKind,
    /// What it could ask for.
    pub imports: Vec<Import>,
}

/// What a file of WebAssembly can be used as, by what it exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ComponentKind {
    /// A Worker: it exports `yoi:worker/worker`.
    Worker,
    /// A command: it exports `wasi:cli/run`.
    Command,
    /// A component that is neither.
    Component,
    /// A core module for WASI 0.1 that is a command: it exports `_start`.
    CommandModule,
    /// A core module that is none.
    Module,
}

/// Something that a component imports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Import {
    /// Its name: `package:name/interface@version`, or module and function.
    pub name: String,
    /// What it lets a component do, in words that follow "it could".
    pub could: &'static str,
    /// What it takes.
    pub takes: Takes,
}

/// Why there is nothing to say of a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// It is too large.
    #[error("it has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Its bytes.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Its first bytes are others.
    #[error("it is not WebAssembly")]
    NotWebAssembly,
    /// It breaks off, or has what no tool would write.
    #[error("it is malformed")]
    Malformed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nobody would read the list.
    #[error("it has more than {MAX_IMPORTS} imports")]
    TooManyImports,
    /// It is made to take a host's memory.
    #[error("{reason}")]
    Refused {
        /// What it asks for.
        reason: String,
    },
}

impl From<BinaryReaderError> for InspectError {
    fn from(error: BinaryReaderError) -> Self {
        Self::Malformed(error.into())
    }
}

impl From<InstancesError> for InspectError {
    fn from(error: InstancesError) -> Self {
        match error {
            InstancesError::Malformed(error) => error.into(),
            refused => Self::Refused { reason: refused.to_string() },
        }
    }
}

/// Reads what `bytes` are, and what they import. Nothing is compiled and nothing runs; it takes time in
/// proportion to `bytes`. That they are valid is not looked at.
///
/// # Errors
///
/// See [`InspectError`].
pub fn inspect_component(bytes: &[u8], limits: &Limits) -> Result<Inspection, InspectError> {
    let (size, limit) = (bytes.len() as u64, limits.component_bytes);
    if size > limit {
        return Err(InspectError::TooLarge { size, limit });
    }
    let (kind, imports) = match bytes {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => module(bytes)?,
        [0, b'a', b's', b'm', ..] => component(bytes)?,
        _ => return Err(InspectError::NotWebAssembly),
    };
    let digest = ComponentDigest::from_sha256(Sha256::digest(bytes).into());
    Ok(Inspection { size, digest, kind, imports })
}

fn component(bytes: &[u8]) -> Result<(ComponentKind, Vec<Import>), InspectError> {
    check_instances(bytes)?;
    let (mut kind, mut imports, mut depth) = (ComponentKind::Component, Vec::new(), 0_u32);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            // What stands inside has imports of its own, met by the outer one.
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let name = import?.name.name;
                    note(&mut imports, name.to_owned(), explain(name))?;
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    let export = export?;
                    if export.kind != ComponentExternalKind::Instance {
                        continue;
                    }
                    match export.name.name.split_once('@') {
                        Some(("yoi:worker/worker", _)) => kind = ComponentKind::Worker,
                        Some(("wasi:cli/run", version))
                            if kind == ComponentKind::Component && version.starts_with("0.2.") =>
                        {
                            kind = ComponentKind::Command;
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok((kind, imports))
}

fn module(bytes: &[u8]) -> Result<(ComponentKind, Vec<Import>), InspectError> {
    let (mut kind, mut imports) = (ComponentKind::Module, Vec::new());
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let name = format!("{}/{}", import.module, import.name);
                    note(&mut imports, name, explain_core(import.module, import.name))?;
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    if export.name == "_start" && export.kind == ExternalKind::Func {
                        kind = ComponentKind::CommandModule;
                    }
                }
            }
            _ => {}
        }
    }
    Ok((kind, imports))
}

fn note(
    imports: &mut Vec<Import>,
    name: String,
    (takes, could): (Takes, &'static str),
) -> Result<(), InspectError> {
    if imports.len() == MAX_IMPORTS {
        return Err(InspectError::TooManyImports);
    }
    imports.push(Import { name, could, takes });
    Ok(())
}

impl ComponentKind {
    /// In a few words, with what to do with it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Worker => "a Worker: it runs turns, under a profile that names it",
            Self::Command => "a WASI command",
            Self::Component => {
                "a component that is no Worker and no command: it exports neither \
                 `yoi:worker/worker` nor `wasi:cli/run`"
            }
            Self::CommandModule => "a core module for WASI 0.1, and a command",
            Self::Module => "a core module that is no command: it exports no `_start`",
        }
    }
}

impl Inspection {
    /// The first import that nothing provides.
    #[must_use]
    pub fn refused(&self) -> Option<&Import> {
        self.imports.iter().find(|import| import.takes == Takes::Refused)
    }

    /// Whether it is a core module that imports WASI 0.1.
    #[must_use]
    pub fn uses_wasi_0_1(&self) -> bool {
        let of_wasi = |import: &Import| {
            import.name.strip_prefix(WASI_0_1).is_some_and(|rest| rest.starts_with('/'))
        };
        self.imports.iter().any(of_wasi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspect(text: &str) -> Result<Inspection, InspectError> {
        let bytes = wat::parse_str(text).expect("valid text format");
        inspect_component(&bytes, &Limits::default())
    }

    #[test]
    fn a_worker_says_what_it_could_ask_for() {
        let limits = Limits::default();
        let echo = inspect_component(builtin_workers::ECHO, &limits).expect("a component");
        assert_eq!(echo.kind, ComponentKind::Worker);
        let is_base = |import: &Import| matches!(import.takes, Takes::Nothing | Takes::Preopens);
        assert!(echo.imports.iter().all(is_base), "{echo:?}");
        let companion = inspect_component(builtin_workers::COMPANION, &limits).expect("one");
        let grants: Vec<&str> = companion
            .imports
            .iter()
            .filter(|import| import.takes == Takes::Grant(worker_types::Capability::Llm))
            .map(|import| import.name.as_str())
            .collect();
        assert_eq!(grants, ["yoi:worker/llm@0.1.0"]);
        assert_eq!(companion.refused(), None);
        let network = inspect_component(test_guests::NETWORK, &limits).expect("a component");
        let refused = network.refused().expect("an import that nothing provides");
        assert!(refused.name.starts_with("wasi:sockets/"), "{refused:?}");
    }

    #[test]
    fn a_file_is_what_it_exports() {
        let command = "(component (component $c) (instance $i (instantiate $c))
            (export \"wasi:cli/run@0.2.3\" (instance $i)))";
        let inside = format!("(component {command})");
        for (text, kind) in [
            (command, ComponentKind::Command),
            (&command.replace("0.2.3", "0.3.0"), ComponentKind::Component),
            // What stands inside another is not for us.
            (&inside, ComponentKind::Component),
            ("(component)", ComponentKind::Component),
            ("(module)", ComponentKind::Module),
            ("(module (func (export \"_start\")))", ComponentKind::CommandModule),
            ("(module (global (export \"_start\") i32 (i32.const 0)))", ComponentKind::Module),
        ] {
            assert_eq!(inspect(text).expect(text).kind, kind, "{text}");
        }
    }

    #[test]
    fn a_core_module_says_what_it_could_ask_for_by_function() {
        let module = inspect(
            "(module (import \"wasi_snapshot_preview1\" \"path_open\" (func))
                (import \"env\" \"system\" (func)))",
        )
        .expect("a module");
        assert!(module.uses_wasi_0_1());
        let takes: Vec<_> =
            module.imports.iter().map(|import| (import.name.as_str(), import.takes)).collect();
        let expected =
            [("wasi_snapshot_preview1/path_open", Takes::Nothing), ("env/system", Takes::Refused)];
        assert_eq!(takes, expected);
    }

    #[test]
    fn what_is_no_webassembly_is_refused_in_words() {
        let limits = Limits { component_bytes: 100, ..Limits::default() };
        let inspect = |bytes: &[u8]| inspect_component(bytes, &limits);
        for bytes in [&b""[..], b"\0as", b"#!/bin/sh", b"\0ASM\x01\0\0\0"] {
            assert!(matches!(inspect(bytes), Err(InspectError::NotWebAssembly)), "{bytes:?}");
        }
        for bytes in [&b"\0asm\x0d\0\x01\0\xff"[..], b"\0asm\x01\0\0\0\x02\xff", b"\0asm12"] {
            assert!(matches!(inspect(bytes), Err(InspectError::Malformed(_))), "{bytes:?}");
        }
        let error = inspect(&[0; 101]).expect_err("too large");
        assert_eq!(error.to_string(), "it has 101 bytes, more than the limit of 100");
    }

    #[test]
    fn nothing_that_breaks_off_or_lies_about_its_length_makes_the_reader_panic() {
        let limits = Limits::default();
        let echo = builtin_workers::ECHO;
        for end in (0..echo.len()).step_by(977) {
            assert!(inspect_component(&echo[..end], &limits).is_err(), "{end}");
        }
        for at in (8..echo.len()).step_by(1_031) {
            let mut bent = echo.to_vec();
            bent[at] ^= 0xff;
            // It may be valid still; what counts is that there is an answer.
            let _ = inspect_component(&bent, &limits);
        }
    }
}

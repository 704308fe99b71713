//! What a component may import, and what each import needs.

use worker_types::Capability;

/// The interfaces that every Worker has: clocks, random, standard streams, and a file system that
/// shows granted preopens only. Never sockets, never HTTP.
const BASE: [&str; 22] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "yoi:worker/session",
    "yoi:worker/types",
];

/// What it takes to link an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing.
    Base,
    /// A grant.
    Grant(Capability),
    /// No grant provides it.
    Never,
}

/// What it takes to link `import`, as a component names it: `package:name/interface@version`.
pub(super) fn need(import: &str) -> Need {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    let ours = interface.starts_with("yoi:worker/");
    // Within a minor version of WASI 0.2, and within 0.1 of ours, interfaces only grow.
    let served = if ours { version.starts_with("0.1.") } else { version.starts_with("0.2.") };
    if !served {
        Need::Never
    } else if interface == "yoi:worker/llm" {
        Need::Grant(Capability::Llm)
    } else if BASE.contains(&interface) {
        Need::Base
    } else {
        Need::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariant_1_only_the_base_list_needs_no_grant() {
        for base in ["wasi:cli/stdout@0.2.6", "wasi:random/random@0.2.0", "yoi:worker/types@0.1.0"]
        {
            assert_eq!(need(base), Need::Base, "{base}");
        }
        assert_eq!(need("yoi:worker/llm@0.1.0"), Need::Grant(Capability::Llm));
        for never in [
            "wasi:sockets/tcp@0.2.6",
            "wasi:sockets/ip-name-lookup@0.2.6",
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:random/anything-else@0.2.6",
            "wasi:cli/stdout@0.3.0",
            "wasi:cli/stdout",
            "yoi:worker/session@0.2.0",
            "yoi:worker/session",
            "yoi:worker/sessions@0.1.0",
            "env",
        ] {
            assert_eq!(need(never), Need::Never, "{never}");
        }
    }
}

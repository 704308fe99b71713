//! What a component may import, what each import takes, and what it is for.

use serde::Serialize;
use worker_types::Capability;

/// The interfaces that every guest has, each with what it lets a guest do: clocks, random, standard
/// streams, and a file system that shows granted preopens only. Never sockets, never HTTP.
const BASE: [(&str, &str); 22] = [
    ("wasi:cli/environment", "read the arguments and variables that it is given, and no others"),
    ("wasi:cli/exit", "end itself with a code"),
    ("wasi:cli/stderr", "write to its standard error"),
    ("wasi:cli/stdin", "read its standard input"),
    ("wasi:cli/stdout", "write to its standard output"),
    ("wasi:cli/terminal-input", "know a terminal that it reads from"),
    ("wasi:cli/terminal-output", "know a terminal that it writes to"),
    ("wasi:cli/terminal-stderr", "ask whether its standard error is a terminal"),
    ("wasi:cli/terminal-stdin", "ask whether its standard input is a terminal"),
    ("wasi:cli/terminal-stdout", "ask whether its standard output is a terminal"),
    ("wasi:clocks/monotonic-clock", "measure time, and wait"),
    ("wasi:clocks/wall-clock", "read date and time"),
    ("wasi:filesystem/preopens", "list the directories that it is granted, which may be none"),
    ("wasi:filesystem/types", "use files in the directories that it is granted, and no others"),
    ("wasi:io/error", "learn why reading or writing failed"),
    ("wasi:io/poll", "wait for what it reads, writes or waits for"),
    ("wasi:io/streams", "read and write what it has opened"),
    ("wasi:random/insecure", "get random numbers that need not be secret"),
    ("wasi:random/insecure-seed", "get a random number to mix its tables with"),
    ("wasi:random/random", "get random numbers"),
    ("yoi:worker/session", "read what was said to it, answer, and keep a small state"),
    ("yoi:worker/types", "nothing: these are the types of the others"),
];

/// Those of [`BASE`] that show what was granted and nothing else.
const FILES: &str = "wasi:filesystem/";

/// The interfaces that take a grant, each with what it lets a guest do.
const GRANTED: [(&str, Capability, &str); 2] = [
    ("yoi:worker/llm", Capability::Llm, "ask the models that it is granted"),
    (
        "yoi:worker/shell",
        Capability::Shell,
        "run scripts in a sandbox that sees its directories, and nothing else",
    ),
];

/// The same for a core module: the functions of WASI 0.1 by how their names begin.
const CORE_BASE: [(&str, &str); 10] = [
    ("args_", "read the arguments that it is given"),
    ("environ_", "read the variables that it is given, and no others"),
    ("clock_", "read clocks"),
    ("fd_", "use its standard streams and files in the directories that it is granted"),
    ("path_", "use files in the directories that it is granted, and no others"),
    ("poll_oneoff", "wait"),
    ("proc_exit", "end itself with a code"),
    ("proc_raise", "nothing: it always fails"),
    ("random_get", "get random numbers"),
    ("sched_yield", "let others go first"),
];

/// The module that WASI 0.1 is imported from.
pub(super) const WASI_0_1: &str = "wasi_snapshot_preview1";

/// What is never linked, by how its name begins, and what it would let a guest do.
const NEVER: [(&str, &str); 2] = [
    ("wasi:sockets/", "connect to other machines, and be connected to"),
    ("wasi:http/", "make HTTP requests, or answer them"),
];

/// What it takes to be given an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Takes {
    /// Nothing: everybody has it.
    Nothing,
    /// Everybody has it, and sees in it the directories that are granted: none without.
    Preopens,
    /// This grant.
    Grant(Capability),
    /// Nothing helps: it is refused.
    Refused,
}

/// What `import` takes, as a component names it (`package:name/interface@version`), and what it lets
/// the component do.
pub(super) fn explain(import: &str) -> (Takes, &'static str) {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    let ours = interface.starts_with("yoi:worker/");
    // Within a minor version of WASI 0.2, and within 0.1 of ours, interfaces only grow.
    let served = if ours { version.starts_with("0.1.") } else { version.starts_with("0.2.") };
    if served {
        let granted = GRANTED.iter().find(|(name, ..)| *name == interface);
        if let Some((_, capability, words)) = granted {
            return (Takes::Grant(*capability), words);
        }
        if let Some((name, words)) = BASE.iter().find(|(name, _)| *name == interface) {
            let takes = if name.starts_with(FILES) { Takes::Preopens } else { Takes::Nothing };
            return (takes, words);
        }
    }
    let known = NEVER.iter().find(|(prefix, _)| interface.starts_with(prefix));
    (Takes::Refused, known.map_or("nobody here knows: no grant provides it", |(_, words)| words))
}

/// What it takes to link the function `name` of `module` to a core module, and what it lets a guest
/// do.
pub(super) fn explain_core(module: &str, name: &str) -> (Takes, &'static str) {
    if module != WASI_0_1 {
        return (Takes::Refused, "nobody here knows: a core module has WASI 0.1 and nothing else");
    }
    match CORE_BASE.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        Some((_, words)) => (Takes::Nothing, words),
        // A module is linked with what toolchains put there; the adapter has no socket behind it.
        None if name.starts_with("sock_") => (Takes::Nothing, "nothing: it has no socket to use"),
        None => (Takes::Refused, "nobody here knows: WASI 0.1 has no such function"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariant_1_only_the_base_list_needs_no_grant() {
        for base in ["wasi:cli/stdout@0.2.6", "wasi:random/random@0.2.0", "yoi:worker/types@0.1.0"]
        {
            assert_eq!(explain(base).0, Takes::Nothing, "{base}");
        }
        assert_eq!(explain("wasi:filesystem/types@0.2.6").0, Takes::Preopens);
        for (name, capability, _) in GRANTED {
            assert_eq!(explain(&format!("{name}@0.1.0")).0, Takes::Grant(capability));
        }
        assert_eq!(GRANTED.len(), Capability::ALL.len(), "each capability is an interface");
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
            assert_eq!(explain(never).0, Takes::Refused, "{never}");
        }
    }

    #[test]
    fn every_import_that_is_linked_has_words_of_its_own() {
        let mut words: Vec<&str> = BASE.iter().map(|(_, words)| *words).collect();
        words.extend(CORE_BASE.iter().map(|(_, words)| *words));
        words.extend(GRANTED.iter().map(|(_, _, words)| *words));
        let all = words.len();
        assert!(words.iter().all(|words| !words.is_empty()));
        words.sort_unstable();
        words.dedup();
        // Files are the same in both worlds, and so are random numbers and the way to end.
        assert_eq!(words.len(), all - 3, "{words:?}");
    }

    #[test]
    fn what_is_never_linked_says_what_it_would_be_for() {
        let (takes, words) = explain("wasi:sockets/udp@0.2.6");
        assert_eq!(takes, Takes::Refused);
        assert!(words.contains("other machines"), "{words}");
        assert_eq!(explain_core(WASI_0_1, "fd_write").0, Takes::Nothing);
        assert_eq!(explain_core(WASI_0_1, "shell_out").0, Takes::Refused);
        assert_eq!(explain_core("env", "fd_write").0, Takes::Refused);
    }
}

//! The arrows between our crates point one way.

use anyhow::{Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// A crate, and crates that it must not depend on, directly or through others, whatever its
/// features.
#[derive(Debug)]
struct Border {
    package: &'static str,
    never: &'static [&'static str],
}

const BORDERS: [Border; 10] = [
    // A backend that embeds the Runtime brings its own guests and needs no wasm target to build.
    Border {
        package: "worker-runtime",
        never: &[
            "bashkit",
            "axum",
            "builtin-workers",
            "worker-guest",
            "yoi-config",
            "yoi-workspace-server",
        ],
    },
    // Both servers stand beside each other, over the Runtime; what they are configured with is handed to them.
    Border {
        package: "yoi-workspace-server",
        never: &["builtin-workers", "runtime-server", "yoi-config"],
    },
    Border {
        package: "runtime-server",
        never: &["builtin-workers", "runtime-client", "yoi-config", "yoi-workspace-server"],
    },
    // A schema, and nothing that acts on it.
    Border {
        package: "yoi-config",
        never: &["axum", "llm-engine", "tokio", "wasmtime", "worker-runtime"],
    },
    // Types, for every side: nothing that runs.
    Border {
        package: "worker-types",
        never: &["axum", "llm-engine", "reqwest", "tokio", "wasmtime", "worker-runtime"],
    },
    // A client of a Runtime is no Runtime, and what servers share decides nothing about Workers.
    Border {
        package: "runtime-client",
        never: &["axum", "llm-engine", "wasmtime", "worker-runtime", "yoi-config"],
    },
    Border {
        package: "http-api",
        never: &["llm-engine", "reqwest", "wasmtime", "worker-runtime", "yoi-config"],
    },
    // A guest: all it knows of the host is their WIT.
    Border { package: "shell-component", never: &["wasmtime", "worker-runtime", "worker-types"] },
    // Model providers know nothing of Workers.
    Border { package: "llm-engine", never: &["wasmtime", "worker-runtime", "worker-types"] },
    // Authors use the guest SDK outside this workspace: it knows the WIT and nothing of the host.
    Border {
        package: "worker-guest",
        never: &["llm-engine", "tokio", "wasmtime", "worker-runtime", "worker-types"],
    },
];

/// Fails if a crate reaches over a border.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut crossings = Vec::new();
    for border in &BORDERS {
        let mut tree = process::cargo(&workspace.root);
        tree.args(["tree", "--package", border.package, "--edges", "normal,build"]);
        tree.args(["--all-features", "--target", "all", "--prefix", "none", "--format", "{p}"]);
        let tree = process::output(&mut tree)?;
        crossings.extend(crossed(border, &tree).map(|name| {
            format!(
                "{} depends on {name} (`cargo tree -p {} -i {name}`)",
                border.package, border.package
            )
        }));
    }
    if !crossings.is_empty() {
        bail!(
            "dependencies against the direction of the design:\n    {}",
            crossings.join("\n    ")
        );
    }
    eprintln!("    {} crates keep their borders", BORDERS.len());
    Ok(())
}

/// What of `never` stands in a tree printed as one `name version …` per line.
fn crossed<'a>(border: &'a Border, tree: &'a str) -> impl Iterator<Item = &'static str> + 'a {
    border.never.iter().copied().filter(|never| {
        tree.lines().any(|line| line.split_whitespace().next().is_some_and(|name| name == *never))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BORDER: Border = Border { package: "worker-types", never: &["tokio", "wasmtime"] };

    #[test]
    fn a_forbidden_dependency_is_found_at_any_depth() {
        let tree = "worker-types v0.1.0 (/repo)\nserde v1.0.0\nwasmtime v48.0.8 (*)\n";
        assert_eq!(crossed(&BORDER, tree).collect::<Vec<_>>(), ["wasmtime"]);
    }

    #[test]
    fn a_crate_whose_name_only_begins_alike_is_none() {
        let tree = "worker-types v0.1.0 (/repo)\ntokio-util v0.7.0\nwasmtime-wasi v48.0.8\n";
        assert_eq!(crossed(&BORDER, tree).count(), 0);
    }
}

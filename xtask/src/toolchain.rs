//! The pinned toolchain, with what rust-toolchain.toml asks for on top of it.

use std::path::Path;

use anyhow::{Result, bail};

use crate::process;

/// What guests are compiled for.
pub(crate) const GUEST_TARGET: &str = "wasm32-wasip2";

/// What a task needs of the toolchain, beside a compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// To compile the guests.
    GuestTarget,
    /// Also to check the code.
    GuestTargetAndLints,
}

/// What there is of it.
#[derive(Debug, Clone, Copy)]
struct Found {
    guest_target: bool,
    clippy: bool,
    rustfmt: bool,
}

/// Installs the toolchain of rust-toolchain.toml if a part of it is missing.
///
/// Where rustup installs toolchains on its own, it has done so before we started. Where
/// `RUSTUP_AUTO_INSTALL=0` keeps it from that, it ignores `targets` and `components` in silence, and
/// only the build of the guests would tell.
pub(crate) fn ensure(root: &Path, needs: Needs) -> Result<()> {
    let absent = missing(look(root), needs);
    if absent.is_empty() {
        return Ok(());
    }
    eprintln!("==> installing what rust-toolchain.toml asks for: {}", absent.join(", "));
    if process::find_on_path(RUSTUP).is_none() {
        bail!(
            "this toolchain has no {}, and there is no rustup on PATH to add it: install rustup \
             (https://rustup.rs), or add it in the way your toolchain came",
            absent.join(", ")
        );
    }
    let mut install = process::command("rustup");
    // Without a name it reads rust-toolchain.toml, unless this variable, which rustup sets for the
    // programs it starts, names a toolchain.
    install.args(["toolchain", "install", "--no-self-update"]).env_remove("RUSTUP_TOOLCHAIN");
    process::run(install.current_dir(root))?;

    let absent = missing(look(root), needs);
    if !absent.is_empty() {
        bail!(
            "rustup installed the toolchain of rust-toolchain.toml, but the one in use still has \
             no {}: is another one chosen by `cargo +NAME` or RUSTUP_TOOLCHAIN?",
            absent.join(", ")
        );
    }
    Ok(())
}

const RUSTUP: &str = if cfg!(windows) { "rustup.exe" } else { "rustup" };

fn look(root: &Path) -> Found {
    let answer = |program: &str, arguments: &[&str]| {
        process::probe(process::command(program).args(arguments).current_dir(root))
    };
    let libraries = answer("rustc", &["--print", "target-libdir", "--target", GUEST_TARGET]);
    Found {
        guest_target: libraries.is_some_and(|path| Path::new(path.trim()).is_dir()),
        clippy: answer("cargo-clippy", &["--version"]).is_some(),
        rustfmt: answer("rustfmt", &["--version"]).is_some(),
    }
}

fn missing(found: Found, needs: Needs) -> Vec<&'static str> {
    let lints = needs == Needs::GuestTargetAndLints;
    [
        (!found.guest_target, GUEST_TARGET),
        (lints && !found.clippy, "clippy"),
        (lints && !found.rustfmt, "rustfmt"),
    ]
    .into_iter()
    .filter_map(|(missing, name)| missing.then_some(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Found = Found { guest_target: false, clippy: false, rustfmt: false };
    const EVERYTHING: Found = Found { guest_target: true, clippy: true, rustfmt: true };

    #[test]
    fn lints_are_needed_only_to_check() {
        assert_eq!(missing(NOTHING, Needs::GuestTarget), ["wasm32-wasip2"]);
        assert_eq!(
            missing(NOTHING, Needs::GuestTargetAndLints),
            ["wasm32-wasip2", "clippy", "rustfmt"]
        );
    }

    #[test]
    fn a_complete_toolchain_misses_nothing() {
        assert!(missing(EVERYTHING, Needs::GuestTargetAndLints).is_empty());
        let without_clippy = Found { clippy: false, ..EVERYTHING };
        assert_eq!(missing(without_clippy, Needs::GuestTargetAndLints), ["clippy"]);
    }

    #[test]
    fn the_guest_target_is_one_that_the_toolchain_file_installs() {
        let file = include_str!("../../rust-toolchain.toml");
        assert!(file.contains(&format!("\"{GUEST_TARGET}\"")), "{file}");
    }
}

//! The tools that the checks need: cargo's, from PATH or built below `target/tools`, and ripgrep for WASI.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::process;
use crate::toolchain::GUEST_TARGET;
use crate::workspace::Workspace;

/// A program from crates.io.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    package: &'static str,
    /// Its binary.
    name: &'static str,
    /// What is built, and the oldest that is taken from PATH: an older one may not understand our
    /// configuration, or may check less.
    version: Version,
    /// Said before building it.
    patience: &'static str,
}

/// Runs the tests.
pub(crate) const NEXTEST: Tool = Tool::of_cargo("cargo-nextest", Version(0, 9, 143));

/// Checks licences, sources and banned crates.
pub(crate) const DENY: Tool = Tool::of_cargo("cargo-deny", Version(0, 20, 2));

/// What the benchmarks of HTTP are measured beside: of the same version as our wasmtime.
pub(crate) const WASMTIME: Tool = Tool {
    package: "wasmtime-cli",
    name: "wasmtime",
    version: Version(48, 0, 8),
    patience: "a quarter of an hour, once",
};

/// A command of somebody else's, built for WASI, that tests run in the shell.
const RIPGREP: &str = "ripgrep";
const RIPGREP_VERSION: Version = Version(15, 1, 0);

/// ripgrep as a WASI component, which is built if it is not there.
pub(crate) fn ensure_ripgrep(workspace: &Workspace) -> Result<PathBuf> {
    let root = workspace.target.join("tools").join(format!("wasi-{RIPGREP_VERSION}"));
    let component = root.join("bin").join("rg.wasm");
    if component.is_file() {
        return Ok(component);
    }
    eprintln!("==> building {RIPGREP} {RIPGREP_VERSION} for WASI (two minutes, once)");
    let build = root.join("build");
    let version = RIPGREP_VERSION.to_string();
    let mut install = process::cargo(&workspace.root);
    install.args(["install", "--locked", RIPGREP, "--version", &version, "--target", GUEST_TARGET]);
    install.arg("--root").arg(&root).arg("--target-dir").arg(&build);
    process::run(&mut install)?;
    // As in `Tool::ensure`.
    let _ = std::fs::remove_dir_all(&build);
    if !component.is_file() {
        bail!("{RIPGREP} was built, but {} is not there", component.display());
    }
    Ok(component)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32, u32);

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Tool {
    const fn of_cargo(name: &'static str, version: Version) -> Self {
        Self { package: name, name, version, patience: "some minutes, once" }
    }

    /// The program, which is built if there is none that is new enough.
    pub(crate) fn ensure(self, workspace: &Workspace) -> Result<PathBuf> {
        let tools = workspace.target.join("tools");
        let file = format!("{}{}", self.name, std::env::consts::EXE_SUFFIX);
        let ours = tools.join("bin").join(&file);
        let candidates = [process::find_on_path(&file), Some(ours.clone())];
        if let Some(found) = candidates.into_iter().flatten().find(|path| self.suits(path)) {
            return Ok(found);
        }

        eprintln!("==> building {} {} ({})", self.name, self.version, self.patience);
        let build = tools.join("build");
        let version = self.version.to_string();
        let mut install = process::cargo(&workspace.root);
        install.args(["install", "--locked", self.package, "--version", &version, "--force"]);
        install.arg("--root").arg(&tools).arg("--target-dir").arg(&build);
        process::run(&mut install)?;
        // Hundreds of megabytes that nothing reads again. If they cannot be removed they only lie
        // there.
        let _ = std::fs::remove_dir_all(&build);

        if !self.suits(&ours) {
            bail!("{} was built, but does not say that it is {}", ours.display(), self.version);
        }
        Ok(ours)
    }

    fn suits(self, program: &Path) -> bool {
        process::probe(process::command(program).arg("--version"))
            .and_then(|answer| version_in(&answer))
            .is_some_and(|version| version >= self.version)
    }
}

/// Reads `NAME 1.2.3 …`.
fn version_in(answer: &str) -> Option<Version> {
    let version = answer.split_whitespace().nth(1)?;
    // A pre-release counts as its release: good enough to decide whether to build another one.
    let mut numbers = version.split(['-', '+']).next()?.split('.').map(str::parse);
    let mut number = || numbers.next()?.ok();
    Some(Version(number()?, number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_the_tools_print() {
        let nextest = "cargo-nextest 0.9.143 (60fa45f63 2026-08-04)\nrelease: 0.9.143\n";
        assert_eq!(version_in(nextest), Some(Version(0, 9, 143)));
        assert_eq!(version_in("cargo-deny 0.20.2\n"), Some(Version(0, 20, 2)));
        assert_eq!(version_in("cargo-deny 0.21.0-rc.1"), Some(Version(0, 21, 0)));
        assert_eq!(version_in(""), None);
        assert_eq!(version_in("error: no such command"), None);
    }

    #[test]
    fn versions_compare_by_number_and_not_by_letter() {
        assert!(Version(0, 9, 143) > Version(0, 9, 99));
        assert!(Version(0, 20, 2) > Version(0, 9, 143));
    }

    #[test]
    fn the_test_runner_is_new_enough_for_its_configuration() {
        let configuration = include_str!("../../.config/nextest.toml");
        let required = format!("nextest-version = \"{}\"", NEXTEST.version);
        assert!(configuration.contains(&required), "{required}");
    }
}

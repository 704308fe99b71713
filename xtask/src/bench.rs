//! `cargo xtask bench`.

use anyhow::Result;

use crate::process;
use crate::toolchain::{self, Needs};
use crate::workspace;

/// The crates that have benchmarks.
const PACKAGES: [&str; 2] = ["worker-runtime", "yoi"];

/// Runs the benchmarks in a release build.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let root = workspace::root();
    toolchain::ensure(root, Needs::GuestTarget)?;
    let mut bench = process::cargo(root);
    bench.arg("bench");
    for package in PACKAGES {
        bench.args(["--package", package]);
    }
    process::run(bench.arg("--").args(arguments))
}

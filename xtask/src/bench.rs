//! `cargo xtask bench`.

use anyhow::Result;

use crate::process;
use crate::toolchain::{self, Needs};
use crate::tools;
use crate::workspace::{self, Workspace};

/// The crates that have benchmarks.
const PACKAGES: [&str; 4] = ["worker-runtime", "runtime-server", "test-support", "yoi"];

/// Runs the benchmarks in a release build.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let root = workspace::root();
    toolchain::ensure(root, Needs::GuestTarget)?;
    let wasmtime = tools::WASMTIME.ensure(&Workspace::load()?)?;
    let mut bench = process::cargo(root);
    bench.arg("bench").env("YOI_WASMTIME", wasmtime);
    for package in PACKAGES {
        bench.args(["--package", package]);
    }
    process::run(bench.arg("--").args(arguments))
}

//! `cargo xtask crash`.

use anyhow::Result;

use crate::process;
use crate::toolchain::{self, Needs};
use crate::workspace;

/// Builds the crash driver with a Runtime that has failpoints, and runs it.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let root = workspace::root();
    toolchain::ensure(root, Needs::GuestTarget)?;
    let mut crash = process::cargo(root);
    crash.args(["run", "--package", "test-support", "--features", "failpoints"]);
    crash.args(["--bin", "yoi-crash", "--"]);
    process::run(crash.args(arguments))
}

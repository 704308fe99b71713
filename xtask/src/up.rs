//! `cargo xtask up`.

use std::process::Command;

use anyhow::Result;

use crate::arguments::Up;
use crate::process;
use crate::toolchain::{self, Needs};
use crate::workspace::{self, Workspace};

/// Builds yoi and becomes `yoi up`.
pub(crate) fn run(up: &Up) -> Result<()> {
    toolchain::ensure(workspace::root(), Needs::GuestTarget)?;
    let workspace = Workspace::load()?;

    let profile = if up.release { "release" } else { "debug" };
    let program =
        workspace.target.join(profile).join(format!("yoi{}", std::env::consts::EXE_SUFFIX));
    eprintln!(
        "==> building yoi: the guests and the host{}",
        patience(program.exists(), up.release)
    );
    let mut build = process::cargo(&workspace.root);
    build.args(["build", "--package", "yoi"]);
    if up.release {
        build.arg("--release");
    }
    process::run(&mut build)?;

    eprintln!("==> starting yoi");
    become_program(process::command(program).arg("up").args(&up.arguments))
}

/// What to expect of the build.
fn patience(built_before: bool, release: bool) -> &'static str {
    match (built_before, release) {
        (true, _) => "",
        (false, false) => " (a few minutes the first time)",
        (false, true) => " (with optimisations: many minutes the first time)",
    }
}

/// Takes our place, so that signals and the exit code are the program's own.
#[cfg(unix)]
fn become_program(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt as _;

    let program = command.get_program().to_owned();
    let error = anyhow::Error::new(command.exec());
    Err(error.context(format!("cannot start {}", program.display())))
}

#[cfg(not(unix))]
fn become_program(command: &mut Command) -> Result<()> {
    process::run(command)
}

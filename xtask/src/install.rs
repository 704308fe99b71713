//! `cargo xtask install`.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process;
use crate::toolchain::{self, Needs};
use crate::workspace;

/// The package of the programs.
const PACKAGE: &str = "yoi";

const PROGRAMS: [&str; 2] = ["yoi", "worker-runtime"];

/// Builds the binaries and puts them below `directory`, or where cargo puts what it installs.
pub(crate) fn run(directory: Option<PathBuf>) -> Result<()> {
    let root = workspace::root();
    toolchain::ensure(root, Needs::GuestTarget)?;
    // Absolute, since cargo runs in the repository, and we may not.
    let directory = match directory {
        Some(directory) => {
            std::path::absolute(directory).context("cannot tell where `--root` is")?
        }
        None => default_directory()?,
    };
    eprintln!("==> building the programs: an optimised build takes many minutes the first time");
    let mut build = process::cargo(root);
    build.args(["build", "--release", "--locked", "--package", PACKAGE]);
    for program in PROGRAMS {
        build.args(["--bin", program]);
    }
    process::run(&mut build)?;

    let programs = directory.join("bin");
    fs::create_dir_all(&programs)
        .with_context(|| format!("cannot make the directory {}", programs.display()))?;
    let built = workspace::Workspace::load()?.target.join("release");
    for program in PROGRAMS {
        replace(&built.join(program), &programs.join(program))?;
    }
    println!("\nInstalled {} in {}.", PROGRAMS.join(" and "), programs.display());
    if !is_on_path(&programs, env::var_os("PATH").as_deref()) {
        println!(
            "It is not on PATH: add `export PATH=\"{}:$PATH\"` to your shell's profile.",
            programs.display()
        );
    }
    Ok(())
}

/// Puts a copy of `from` in the place of `to`, which may be running.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let beside = to.with_extension("new");
    fs::copy(from, &beside)
        .and_then(|_| fs::rename(&beside, to))
        .with_context(|| format!("cannot write {}", to.display()))
}

/// Where `cargo install` puts things unless told otherwise.
fn default_directory() -> Result<PathBuf> {
    let directory = ["CARGO_INSTALL_ROOT", "CARGO_HOME"].into_iter().find_map(env::var_os);
    match directory {
        Some(directory) => Ok(directory.into()),
        None => {
            let home =
                env::home_dir().context("cannot tell the home directory: use `--root DIR`")?;
            Ok(home.join(".cargo"))
        }
    }
}

fn is_on_path(directory: &Path, path: Option<&OsStr>) -> bool {
    path.is_some_and(|path| env::split_paths(path).any(|entry| entry == directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_on_the_path_or_it_is_not() {
        let path = OsStr::new("/usr/bin:/opt/yoi/bin/:/bin");
        assert!(is_on_path(Path::new("/opt/yoi/bin"), Some(path)));
        assert!(!is_on_path(Path::new("/opt/yoi"), Some(path)));
        assert!(!is_on_path(Path::new("/opt/yoi/bin"), None));
    }
}

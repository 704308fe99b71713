//! `cargo xtask install`.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process;
use crate::toolchain::{self, Needs};
use crate::workspace;

/// A binary, and how it is built.
#[derive(Debug)]
struct Binary {
    name: &'static str,
    path: &'static str,
    features: &'static [&'static str],
}

const BINARIES: [Binary; 2] = [
    Binary { name: "yoi", path: "crates/yoi", features: &[] },
    Binary { name: "worker-runtime", path: "host", features: &[] },
];

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
    for binary in &BINARIES {
        eprintln!("==> installing {}", binary.name);
        let mut install = process::cargo(root);
        install.args(["install", "--locked", "--path", binary.path, "--bin", binary.name]);
        install.arg("--root").arg(&directory);
        if !binary.features.is_empty() {
            install.args(["--features", &binary.features.join(",")]);
        }
        process::run(&mut install)?;
    }

    let names: Vec<_> = BINARIES.iter().map(|binary| binary.name).collect();
    let programs = directory.join("bin");
    println!("\nInstalled {} in {}.", names.join(" and "), programs.display());
    if !is_on_path(&programs, env::var_os("PATH").as_deref()) {
        println!(
            "It is not on PATH: add `export PATH=\"{}:$PATH\"` to your shell's profile.",
            programs.display()
        );
    }
    Ok(())
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

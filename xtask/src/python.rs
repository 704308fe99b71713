//! Programs from PyPI, each in a virtual environment of its own below `target/tools`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;
use crate::{debian, process};

const DEBIAN_PACKAGES: [&str; 2] = ["python3", "python3-venv"];

/// What a virtual environment holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Environment {
    /// Its directory below `target/tools`.
    pub(crate) name: &'static str,
    /// All of it, each pinned.
    pub(crate) requirements: &'static str,
    /// What needs it, as in "and … needs it".
    pub(crate) needed_by: &'static str,
}

impl Environment {
    /// Its directory; it is made if it is not there.
    pub(crate) fn ensure(self, workspace: &Workspace) -> Result<PathBuf> {
        let venv = workspace.target.join("tools").join(self.name);
        let installed = venv.join("requirements.txt");
        if fs::read_to_string(&installed).is_ok_and(|installed| installed == self.requirements) {
            return Ok(venv);
        }
        eprintln!("==> installing {} from PyPI (some seconds, once)", self.name);
        if !made(&venv)? {
            let line = debian::line(&DEBIAN_PACKAGES);
            if !(debian::install(&DEBIAN_PACKAGES, self.name)? && made(&venv)?) {
                bail!(
                    "`python3 -m venv` does not work here, and {} needs it. On Debian:\n\n    {line}\n\n\
                     `cargo xtask test --quick` leaves that check out.",
                    self.needed_by
                );
            }
        }
        let wanted = venv.join("wanted.txt");
        fs::write(&wanted, self.requirements).context("cannot write down what is wanted")?;
        let mut pip = process::command(venv.join("bin").join("python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        // What has to be built first would run code of its own.
        process::run(pip.args(["--only-binary", ":all:", "--requirement"]).arg(&wanted))?;
        // Last: what is half installed is installed anew.
        fs::rename(&wanted, &installed).context("cannot write down what was installed")?;
        Ok(venv)
    }
}

/// Makes an empty environment, where Python can.
fn made(venv: &Path) -> Result<bool> {
    if venv.exists() {
        fs::remove_dir_all(venv).with_context(|| format!("cannot remove {}", venv.display()))?;
    }
    let mut python = process::command("python3");
    Ok(process::probe(python.args(["-m", "venv"]).arg(venv)).is_some())
}

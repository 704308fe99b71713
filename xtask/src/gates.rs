//! The checks of `cargo xtask test`, in the order in which they run.

use std::path::PathBuf;

use anyhow::Result;

use crate::console::Console;
use crate::schemathesis::Subject;
use crate::toolchain::GUEST_TARGET;
use crate::workspace::Workspace;
use crate::{arrows, console, file_length, process, schemathesis};

/// What the checks run with.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The code.
    pub(crate) workspace: Workspace,
    /// The test runner.
    pub(crate) nextest: PathBuf,
    /// The checker of dependencies; only the complete run has it.
    pub(crate) deny: Option<PathBuf>,
    /// ripgrep as a WASI component, which tests run in the shell.
    pub(crate) ripgrep: PathBuf,
    /// What asks a server by its OpenAPI; only the complete run has it.
    pub(crate) schemathesis: Option<PathBuf>,
    /// What builds the console, and the browser that it is tested in; only the complete run has them.
    pub(crate) console: Option<(Console, PathBuf)>,
    /// The profile of `.config/nextest.toml`.
    pub(crate) profile: &'static str,
    /// If not empty: only the tests whose names contain one of these.
    pub(crate) filters: Vec<String>,
}

/// One check.
pub(crate) struct Gate {
    /// Its heading.
    pub(crate) title: &'static str,
    /// Whether `--quick` runs it.
    pub(crate) quick: bool,
    /// Says what it finds; an error ends the run.
    pub(crate) check: fn(&Setting) -> Result<()>,
}

/// What fails fastest comes first. The tests come last, so that their summary ends the output.
pub(crate) const GATES: [Gate; 15] = [
    Gate { title: "format", quick: true, check: format },
    Gate { title: "length of files", quick: true, check: length_of_files },
    Gate { title: "arrows between crates", quick: true, check: arrows_between_crates },
    Gate { title: "licences, sources and banned crates", quick: false, check: dependencies },
    Gate { title: "clippy", quick: true, check: clippy },
    Gate { title: "clippy of the guests", quick: false, check: clippy_of_guests },
    Gate { title: "each feature alone", quick: false, check: each_feature_alone },
    Gate { title: "documentation", quick: false, check: documentation },
    Gate { title: "examples in the documentation", quick: false, check: documentation_tests },
    Gate { title: "a served Runtime, by its OpenAPI", quick: false, check: served_runtime },
    Gate { title: "a Backend, by its OpenAPI", quick: false, check: served_backend },
    Gate { title: "the console and its bundle", quick: false, check: console_is_built },
    Gate { title: "the console in a browser", quick: false, check: console_in_a_browser },
    Gate { title: "a backend that embeds the Runtime", quick: false, check: embedding_backend },
    TESTS,
];

/// The tests proper.
pub(crate) const TESTS: Gate = Gate { title: "tests", quick: true, check: tests };

/// The crates whose features a user chooses one by one.
const CRATES_WITH_FEATURES: [&str; 4] =
    ["llm-engine", "worker-guest", "worker-runtime", "worker-types"];

fn format(setting: &Setting) -> Result<()> {
    process::run(process::cargo(&setting.workspace.root).args(["fmt", "--all", "--check"]))
}

fn length_of_files(setting: &Setting) -> Result<()> {
    file_length::check(&setting.workspace.root)
}

fn arrows_between_crates(setting: &Setting) -> Result<()> {
    arrows::check(&setting.workspace)
}

/// Without advisories (deny.toml says why), and without its warnings, which are of two versions of
/// one crate: `cargo deny check bans` lists them.
fn dependencies(setting: &Setting) -> Result<()> {
    let Some(deny) = &setting.deny else { return Ok(()) };
    let mut check = process::command(deny);
    check.args(["deny", "--log-level", "error", "check", "licenses", "bans", "sources"]);
    process::run(check.current_dir(&setting.workspace.root))
}

fn clippy(setting: &Setting) -> Result<()> {
    let mut clippy = process::cargo(&setting.workspace.root);
    clippy.args(["clippy", "--workspace", "--all-targets", "--all-features"]);
    process::run(clippy.args(DENY_WARNINGS))
}

/// Libraries and examples: a package that is several components has them as examples. Tests of
/// guests run natively, and are checked with the rest.
fn clippy_of_guests(setting: &Setting) -> Result<()> {
    let mut clippy = process::cargo(&setting.workspace.root);
    clippy.args(["clippy", "--target", GUEST_TARGET, "--lib", "--examples", "--all-features"]);
    for guest in setting.workspace.guests() {
        clippy.args(["--package", guest]);
    }
    process::run(clippy.args(DENY_WARNINGS))
}

/// Clippy rather than `cargo check`: it takes no longer, and can deny warnings without `RUSTFLAGS`,
/// which would compile every dependency anew.
fn each_feature_alone(setting: &Setting) -> Result<()> {
    for package in CRATES_WITH_FEATURES {
        let features = setting.workspace.features(package)?;
        for feature in [None].into_iter().chain(features.into_iter().map(Some)) {
            let mut clippy = process::cargo(&setting.workspace.root);
            clippy.args(["clippy", "--package", package, "--no-default-features"]);
            if let Some(feature) = feature {
                clippy.args(["--features", feature]);
            }
            process::run(clippy.args(DENY_WARNINGS))?;
        }
    }
    Ok(())
}

fn documentation(setting: &Setting) -> Result<()> {
    let mut doc = process::cargo(&setting.workspace.root);
    doc.args(["doc", "--no-deps", "--workspace", "--all-features"]);
    process::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

fn documentation_tests(setting: &Setting) -> Result<()> {
    let mut test = process::cargo(&setting.workspace.root);
    test.args(["test", "--doc", "--workspace", "--all-features"]);
    process::run(test.args(["--", "--quiet"]))
}

fn served_runtime(setting: &Setting) -> Result<()> {
    let Some(program) = &setting.schemathesis else { return Ok(()) };
    schemathesis::check(&setting.workspace, program, Subject::Runtime, &[])
}

fn served_backend(setting: &Setting) -> Result<()> {
    let Some(program) = &setting.schemathesis else { return Ok(()) };
    schemathesis::check(&setting.workspace, program, Subject::Backend, &[])
}

fn console_is_built(setting: &Setting) -> Result<()> {
    let Some((console, _)) = &setting.console else { return Ok(()) };
    console.check()
}

fn console_in_a_browser(setting: &Setting) -> Result<()> {
    let Some((console, chromium)) = &setting.console else { return Ok(()) };
    console::browse(&setting.workspace, console, chromium)
}

/// Outside the workspace, with its own lock and its own features, as it is for somebody else.
fn embedding_backend(setting: &Setting) -> Result<()> {
    let root = &setting.workspace.root;
    let directory = root.join("examples").join("companion-backend");
    let mut format = process::cargo(&directory);
    process::run(format.args(["fmt", "--check"]))?;
    let mut test = process::cargo(&directory);
    test.args(["test", "--locked", "--target-dir"]).arg(root.join("target").join("examples"));
    process::run(&mut test)
}

fn tests(setting: &Setting) -> Result<()> {
    let mut nextest = process::command(&setting.nextest);
    nextest.current_dir(&setting.workspace.root);
    nextest.args(["nextest", "run", "--workspace", "--all-features"]);
    nextest.args(["--profile", setting.profile]).args(&setting.filters);
    nextest.env("YOI_TEST_RIPGREP", &setting.ripgrep);
    process::run(&mut nextest)
}

const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

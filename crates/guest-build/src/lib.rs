//! Builds guests of this workspace to components, from a build script.
//!
//! Cargo cannot yet depend on an artifact for another target, so the build script calls cargo. The
//! nested call has a target directory of its own, because the outer call holds the lock of the outer
//! one, and an environment without what was meant for the outer build.

use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// What guests are compiled for.
const TARGET: &str = "wasm32-wasip2";

/// The profile of the root manifest that guests are compiled with unless they ask for another.
const PROFILE: &str = "guest";

/// Variables that would make the nested build another one than the same sources give elsewhere:
/// flags for the outer target, wrappers (clippy is one), overridden profiles and directories.
const OUTER_VARIABLES: [&str; 6] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_TARGET_DIR",
    "CARGO_INCREMENTAL",
];

/// The same, by how their names begin.
const OUTER_PREFIXES: [&str; 3] = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_"];

/// Guests to build with one call of cargo.
#[derive(Debug)]
pub struct GuestBuild {
    arguments: Vec<OsString>,
    artifacts: Vec<Artifact>,
    packages: Vec<String>,
    profile: String,
}

#[derive(Debug)]
struct Artifact {
    name: String,
    /// Below the profile's directory, without an extension.
    path: PathBuf,
}

/// Guests that were built.
#[derive(Debug)]
pub struct BuiltGuests {
    components: Vec<(String, PathBuf)>,
}

/// Why guests could not be built. The message is for the person who runs the outer build.
#[derive(Debug)]
pub struct GuestBuildError(String);

impl std::fmt::Display for GuestBuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for GuestBuildError {}

impl Default for GuestBuild {
    fn default() -> Self {
        Self {
            arguments: Vec::new(),
            artifacts: Vec::new(),
            packages: Vec::new(),
            profile: PROFILE.to_owned(),
        }
    }
}

impl GuestBuild {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With another profile of the root manifest than `guest`.
    #[must_use]
    pub fn profile(mut self, profile: &str) -> Self {
        profile.clone_into(&mut self.profile);
        self
    }

    /// And the library of `package`, known as `package`.
    #[must_use]
    pub fn library(mut self, package: &str) -> Self {
        // Cargo takes it once, for all packages.
        if !self.arguments.iter().any(|argument| argument == "--lib") {
            self.arguments.push("--lib".into());
        }
        self.artifacts.push(Artifact {
            name: package.to_owned(),
            path: PathBuf::from(package.replace('-', "_")),
        });
        self.packages.push(package.to_owned());
        self
    }

    /// And the examples of `package`, each known by its own name.
    #[must_use]
    pub fn examples(mut self, package: &str, names: &[&str]) -> Self {
        for name in names {
            self.arguments.extend(["--example".into(), (*name).into()]);
            self.artifacts.push(Artifact {
                name: (*name).to_owned(),
                path: Path::new("examples").join(name.replace('-', "_")),
            });
        }
        self.packages.push(package.to_owned());
        self
    }

    /// Builds them, and tells the outer cargo what to watch.
    pub fn run(self) -> Result<BuiltGuests, GuestBuildError> {
        require_target()?;
        let root = workspace_root()?;
        let out = PathBuf::from(variable("OUT_DIR")?);
        let target_directory = target_directory(&out);

        let mut cargo = Command::new(variable("CARGO")?);
        cargo
            .current_dir(&root)
            .args(["build", "--locked", "--target", TARGET, "--profile", &self.profile])
            .args(self.packages.iter().flat_map(|package| ["--package", package]))
            .args(&self.arguments);
        for (name, _) in env::vars_os() {
            if is_for_the_outer_build(&name) {
                cargo.env_remove(name);
            }
        }
        cargo.env("CARGO_TARGET_DIR", &target_directory);

        let output = cargo.output().map_err(|error| failure("cannot start cargo", &error))?;
        if !output.status.success() {
            let log = String::from_utf8_lossy(&output.stderr);
            return Err(GuestBuildError(format!("cannot build the guests:\n{log}")));
        }

        let built = target_directory.join(TARGET).join(&self.profile);
        let mut components = Vec::new();
        let mut sources = BTreeSet::new();
        for artifact in self.artifacts {
            let path = built.join(artifact.path);
            sources.extend(listed_sources(&read(&path.with_extension("d"))?));
            // A copy, because another build may replace the original at any time.
            let component = out.join(&artifact.name).with_extension("wasm");
            fs::copy(path.with_extension("wasm"), &component)
                .map_err(|error| failure("cannot copy a component", &error))?;
            components.push((artifact.name, component));
        }
        watch_sources(&root, &sources);
        Ok(BuiltGuests { components })
    }
}

impl BuiltGuests {
    /// Each guest's name and the file that holds its component.
    pub fn components(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.components.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }

    /// Gives the crate that is built the path of each component in an environment variable, for
    /// `include_bytes!(env!("GUEST_NAME"))`: the guest's name in upper case.
    #[expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
    pub fn export(&self) {
        for (name, path) in self.components() {
            let name = name.replace('-', "_").to_uppercase();
            println!("cargo::rustc-env=GUEST_{name}={}", path.display());
        }
    }
}

/// Makes the build script fail once it has ended, and shows why. A status other than success would
/// make cargo show the directives as well.
#[expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
pub fn report(error: &dyn std::error::Error) {
    for line in error.to_string().lines() {
        println!("cargo::error={line}");
    }
}

/// Without this check the nested cargo fails with `can't find crate for std`, once per crate.
fn require_target() -> Result<(), GuestBuildError> {
    let output = Command::new(variable("RUSTC")?)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| failure("cannot start rustc", &error))?;
    let directory = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && Path::new(directory.trim()).is_dir() {
        return Ok(());
    }
    Err(GuestBuildError(format!(
        "the target {TARGET} is not installed: run `rustup toolchain install --no-self-update` in \
         this repository, which installs what its rust-toolchain.toml names"
    )))
}

/// The folder of the `Cargo.lock` above the package that is built.
fn workspace_root() -> Result<PathBuf, GuestBuildError> {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    package
        .ancestors()
        .find(|folder| folder.join("Cargo.lock").is_file())
        .map(Path::to_owned)
        .ok_or_else(|| GuestBuildError("guests are built from within their workspace".to_owned()))
}

/// A folder for the nested build beside the outer profiles. All build scripts share it, also those
/// of other profiles and of clippy: guests are the same for all, and take a while. Where the outer
/// target directory does not show its mark, the build script's own folder serves.
fn target_directory(out: &Path) -> PathBuf {
    const MARK: &str = "CACHEDIR.TAG";
    let outer = out.ancestors().find(|folder| folder.join(MARK).is_file());
    outer.unwrap_or(out).join("guests")
}

fn is_for_the_outer_build(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    OUTER_VARIABLES.contains(&name.as_ref())
        || OUTER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Watches what guests were made of: the sources that the compiler listed, the manifests of the
/// packages they lie in, which it does not list, and what all of them share.
fn watch_sources(root: &Path, sources: &BTreeSet<String>) {
    let mut watched = BTreeSet::from([root.join("Cargo.toml"), root.join("Cargo.lock")]);
    for source in sources.iter().map(Path::new) {
        watched.insert(source.to_owned());
        watched.extend(
            source.ancestors().map(|folder| folder.join("Cargo.toml")).find(|file| file.is_file()),
        );
    }
    for path in watched {
        watch(&path);
    }
}

/// The prerequisites in a makefile's rules; a space in a name is escaped.
fn listed_sources(rules: &str) -> Vec<String> {
    const ESCAPED_SPACE: &str = "\\ ";
    const STAND_IN: &str = "\0";
    rules
        .lines()
        .filter_map(|rule| rule.split_once(": "))
        .flat_map(|(_, sources)| {
            let sources = sources.replace(ESCAPED_SPACE, STAND_IN);
            sources
                .split_whitespace()
                .map(|source| source.replace(STAND_IN, " "))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
fn watch(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}

fn read(path: &Path) -> Result<String, GuestBuildError> {
    fs::read_to_string(path)
        .map_err(|error| failure(&format!("cannot read {}", path.display()), &error))
}

fn variable(name: &str) -> Result<OsString, GuestBuildError> {
    env::var_os(name)
        .ok_or_else(|| GuestBuildError(format!("{name} is not set: this runs in a build script")))
}

fn failure(what: &str, error: &io::Error) -> GuestBuildError {
    GuestBuildError(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_the_sources_of_every_rule() {
        let rules = "/o/a.wasm: /s/lib.rs /s/with\\ space.rs\n\n/o/a.d: /s/lib.rs\n";
        assert_eq!(listed_sources(rules), ["/s/lib.rs", "/s/with space.rs", "/s/lib.rs"]);
    }

    #[test]
    fn the_nested_build_sees_nothing_that_was_meant_for_the_outer_one() {
        for name in ["RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_PROFILE_RELEASE_LTO"] {
            assert!(is_for_the_outer_build(OsStr::new(name)), "{name}");
        }
        for name in ["PATH", "CARGO_HOME", "CARGO_NET_OFFLINE", "RUSTUP_TOOLCHAIN"] {
            assert!(!is_for_the_outer_build(OsStr::new(name)), "{name}");
        }
    }
}

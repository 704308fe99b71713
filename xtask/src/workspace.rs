//! What cargo knows about this workspace.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// What guests are written with.
const SDK: &str = "worker-guest";

/// The workspace that this xtask belongs to.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The repository's root.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
    packages: Vec<Package>,
}

/// What was built for the tests.
#[derive(Debug)]
pub(crate) struct TestBuild {
    target: PathBuf,
    /// What cargo says of it, a line of JSON each.
    messages: String,
}

impl TestBuild {
    /// The program.
    pub(crate) fn yoi(&self) -> PathBuf {
        self.target.join("debug").join(format!("yoi{}", std::env::consts::EXE_SUFFIX))
    }

    /// The component that a build script exported under this name.
    pub(crate) fn guest(&self, exported: &str) -> Option<PathBuf> {
        self.messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|message| message["reason"] == "build-script-executed")
            .flat_map(|message| message["env"].as_array().cloned().unwrap_or_default())
            .find(|variable| variable[0] == exported)
            .and_then(|variable| Some(variable[1].as_str()?.into()))
    }
}

#[derive(Debug)]
struct Package {
    name: String,
    /// The packages that it depends on by itself, to build or to run.
    dependencies: BTreeSet<String>,
    features: BTreeSet<String>,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn load() -> Result<Self> {
        let mut metadata = process::cargo(root());
        metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
        Self::parse(&process::output(&mut metadata)?)
    }

    fn parse(metadata: &str) -> Result<Self> {
        let metadata: Value =
            serde_json::from_str(metadata).context("cannot read the answer of `cargo metadata`")?;
        let path = |field: &str| {
            let path = metadata[field].as_str().map(PathBuf::from);
            path.with_context(|| format!("`cargo metadata` does not tell `{field}`"))
        };
        let packages = metadata["packages"]
            .as_array()
            .context("`cargo metadata` does not list packages")?
            .iter()
            .map(Package::parse)
            .collect::<Result<_>>()?;
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")?, packages })
    }

    /// Builds all that the tests need. A build of `yoi` alone would have other features of what the tests depend on,
    /// too, and compile the engine a second time.
    pub(crate) fn build_tests(&self) -> Result<TestBuild> {
        let mut build = process::cargo(&self.root);
        build.args(["test", "--no-run", "--workspace", "--all-features"]);
        let messages = process::output(build.arg("--message-format=json-render-diagnostics"))?;
        Ok(TestBuild { target: self.target.clone(), messages })
    }

    /// The packages that are compiled for wasm32-wasip2: the SDK and whatever uses it.
    pub(crate) fn guests(&self) -> Vec<&str> {
        self.packages
            .iter()
            .filter(|package| package.name == SDK || package.dependencies.contains(SDK))
            .map(|package| package.name.as_str())
            .collect()
    }

    /// The features of a package, without `default`.
    pub(crate) fn features(&self, package: &str) -> Result<Vec<&str>> {
        let package = self
            .packages
            .iter()
            .find(|candidate| candidate.name == package)
            .with_context(|| format!("the workspace has no package `{package}`"))?;
        Ok(package.features.iter().map(String::as_str).filter(|name| *name != "default").collect())
    }
}

impl Package {
    fn parse(package: &Value) -> Result<Self> {
        let parsed = || {
            Some(Self {
                name: package["name"].as_str()?.to_owned(),
                // A dependency of the tests alone has the kind `dev`.
                dependencies: package["dependencies"]
                    .as_array()?
                    .iter()
                    .filter(|dependency| dependency["kind"] != "dev")
                    .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
                    .collect(),
                features: package["features"].as_object()?.keys().cloned().collect(),
            })
        };
        parsed().context("`cargo metadata` describes a package in a way not known here")
    }
}

/// The repository's root: this crate is compiled where it is run.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        let metadata = r#"{
            "workspace_root": "/repo", "target_directory": "/repo/target",
            "packages": [
                {"name": "worker-runtime", "dependencies": [{"name": "wasmtime", "kind": null}],
                 "features": {"default": ["sqlite"], "sqlite": ["dep:rusqlite"], "server": []}},
                {"name": "test-guests", "dependencies": [{"name": "worker-guest", "kind": "dev"}],
                 "features": {}},
                {"name": "worker-echo", "dependencies": [{"name": "worker-guest", "kind": null}],
                 "features": {}},
                {"name": "worker-guest", "dependencies": [], "features": {}}
            ]
        }"#;
        Workspace::parse(metadata).unwrap()
    }

    #[test]
    fn guests_are_the_sdk_and_what_uses_it() {
        assert_eq!(workspace().guests(), ["worker-echo", "worker-guest"]);
    }

    #[test]
    fn features_leave_default_out() {
        assert_eq!(workspace().features("worker-runtime").unwrap(), ["server", "sqlite"]);
        assert!(workspace().features("worker-echo").unwrap().is_empty());
        assert!(workspace().features("elsewhere").is_err());
    }

    #[test]
    fn an_answer_without_the_expected_fields_is_an_error() {
        assert!(Workspace::parse("{}").is_err());
        assert!(Workspace::parse("not json").is_err());
    }

    #[test]
    fn a_guest_is_found_in_what_cargo_says() {
        let messages = r#"{"reason":"compiler-artifact","env":[["GUEST_A","/wrong.wasm"]]}
not JSON
{"reason":"build-script-executed","env":[]}
{"reason":"build-script-executed","env":[["GUEST_B","/b.wasm"],["GUEST_A","/a.wasm"]]}
"#;
        let built = TestBuild { target: PathBuf::new(), messages: messages.to_owned() };
        assert_eq!(built.guest("GUEST_A"), Some("/a.wasm".into()));
        assert_eq!(built.guest("GUEST_C"), None);
    }
}

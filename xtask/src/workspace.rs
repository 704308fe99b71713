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
}

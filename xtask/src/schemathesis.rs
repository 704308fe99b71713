//! Whether a served Runtime and a Backend do what their OpenAPI says: schemathesis asks them, with what fits and
//! what does not.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process;
use crate::python::Environment;
use crate::toolchain::{self, Needs};
use crate::workspace::{self, Workspace};

/// schemathesis and all it needs, in the versions that are used.
const REQUIREMENTS: &str = include_str!("../schemathesis/requirements.txt");

/// What the server of the check is configured with: no key, whatever the environment has.
const SERVER: &str = "[models.default]\nprovider = \"offline\"\nmodel = \"offline\"\n";

/// What a Backend says of itself.
const BACKEND_OPENAPI: &str =
    "crates/workspace-server/tests/api/snapshots/api__openapi__openapi.snap.json";

/// The program, in a virtual environment that is made if it is not there.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let environment = Environment {
        name: "schemathesis",
        requirements: REQUIREMENTS,
        needed_by: "the check of the API",
    };
    Ok(environment.ensure(workspace)?.join("bin").join("schemathesis"))
}

/// Whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// `yoi serve`.
    Runtime,
    /// `yoi up`.
    Backend,
}

/// `cargo xtask api`: these checks alone, with these arguments for schemathesis.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    toolchain::ensure(workspace::root(), Needs::GuestTarget)?;
    let workspace = Workspace::load()?;
    let program = ensure(&workspace)?;
    for subject in [Subject::Runtime, Subject::Backend] {
        check(&workspace, &program, subject, arguments)?;
    }
    Ok(())
}

/// Builds `yoi`, serves with it, and asks.
pub(crate) fn check(
    workspace: &Workspace,
    program: &Path,
    subject: Subject,
    arguments: &[String],
) -> Result<()> {
    let place = Place::new(workspace)?;
    let server = match subject {
        Subject::Runtime => place.serve()?,
        Subject::Backend => place.up()?,
    };
    let description = match subject {
        Subject::Runtime => format!("{}/openapi.json", server.url),
        // The Backend shows its own to nobody without a token; a test compares it with this one.
        Subject::Backend => workspace.root.join(BACKEND_OPENAPI).display().to_string(),
    };

    let ours = workspace.root.join("xtask").join("schemathesis");
    let mut run = process::command(program);
    run.current_dir(&place.directory).arg("--config-file").arg(ours.join("schemathesis.toml"));
    run.args(["run", &description, "--url", &server.url]).args(arguments);
    run.env("YOI_TOKEN", &server.token).env("SCHEMATHESIS_HOOKS", "hooks");
    run.env("PYTHONPATH", &ours).env("PYTHONDONTWRITEBYTECODE", "1");
    process::run(&mut run)
        .with_context(|| format!("what the server said is in {}", place.log().display()))
}

/// Where the server of the check lives, anew for each.
struct Place {
    yoi: PathBuf,
    directory: PathBuf,
}

/// What is served, until this is dropped.
struct Server {
    process: Child,
    url: String,
    token: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; what it keeps is thrown away.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Place {
    fn new(workspace: &Workspace) -> Result<Self> {
        let yoi = workspace.build_tests()?.yoi();
        let directory = workspace.target.join("tmp").join("schemathesis");
        if directory.exists() {
            fs::remove_dir_all(&directory).context("cannot remove what the last run left")?;
        }
        fs::create_dir_all(&directory).context("cannot make a directory for the server")?;
        fs::write(directory.join("yoi.toml"), SERVER).context("cannot configure the server")?;
        Ok(Self { yoi, directory })
    }

    fn log(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    fn serve(&self) -> Result<Server> {
        let token =
            process::output(&mut self.yoi(&["--json", "token", "new", "--scope", "admin"]))?;
        let token = token_in(&token).context("`yoi token new` prints a token")?;
        let mut server = self.start("serve")?;
        server.token = token;
        Ok(server)
    }

    fn up(&self) -> Result<Server> {
        let mut server = self.start("up")?;
        let file = self.directory.join("data").join("backend.json");
        let file = fs::read_to_string(file).context("cannot read how the Backend is reached")?;
        server.token = token_in(&file).context("a Backend writes its token")?;
        Ok(server)
    }

    fn start(&self, command: &str) -> Result<Server> {
        let mut start = self.yoi(&[command, "--listen", "127.0.0.1:0"]);
        let log = File::create(self.log()).context("cannot make a file for the server's log")?;
        let mut process = start.stdout(Stdio::piped()).stderr(log).spawn().context("no server")?;
        let output = process.stdout.take().context("the server has no output")?;
        let mut server = Server { process, url: String::new(), token: String::new() };
        // It has one line for it, when it is ready; it ends where it will never be.
        BufReader::new(output).read_line(&mut server.url).context("cannot read its address")?;
        server.url = url_in(&server.url)
            .with_context(|| format!("it did not start; {} says why", self.log().display()))?;
        Ok(server)
    }

    fn yoi(&self, arguments: &[&str]) -> std::process::Command {
        let mut yoi = process::command(&self.yoi);
        yoi.arg("--config").arg(self.directory.join("yoi.toml"));
        yoi.args(arguments).arg("--data-dir").arg(self.directory.join("data"));
        yoi
    }
}

/// The member `token` of an object.
fn token_in(json: &str) -> Option<String> {
    let json: Value = serde_json::from_str(json).ok()?;
    Some(json["token"].as_str()?.to_owned())
}

/// The address in what a server prints when it is ready, without the link's path.
fn url_in(line: &str) -> Option<String> {
    let url = line.split_whitespace().find(|word| word.starts_with("http://"))?;
    Some(url.split("/?").next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_line_of_the_server() {
        let line = "yoi serves a Runtime: http://127.0.0.1:38800\n";
        assert_eq!(url_in(line).as_deref(), Some("http://127.0.0.1:38800"));
        let line = "yoi is ready: http://127.0.0.1:8900/?token=sesame\n";
        assert_eq!(url_in(line).as_deref(), Some("http://127.0.0.1:8900"));
        assert_eq!(url_in(""), None);
    }

    #[test]
    fn every_requirement_is_pinned() {
        assert!(REQUIREMENTS.lines().all(|line| line.contains("==")), "{REQUIREMENTS}");
        assert!(REQUIREMENTS.contains("schemathesis=="));
    }
}

//! `yoi doctor`: what this machine can do, and what would mend what it cannot.

mod components;

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use llm_engine::Models;
use serde::Serialize;
use tempfile::TempDir;
use tokio::{process::Command, time::error::Elapsed};
use worker_runtime::{Enforcement, Runtime, RuntimeBuildError};
use worker_types::{CapabilityStatus, CreateWorker, Input, InputOptions, Limits, Outcome};
use yoi_config::{Config, ConfigError, Confine, TlsConfig};

use crate::{
    cli::{DoctorArgs, own_name},
    commands::{password::password_file, tls::server_tls},
    confine::{self, Tried},
    data_dir::{BackendFile, data_dir},
    exit::{Exit, ExplainedError},
    models,
    output::Output,
    runtime_setup::{self, Setup, component_files},
};

/// The target that guests are built for.
const GUEST_TARGET: &str = "wasm32-wasip2";

/// A guest that says one word needs milliseconds; this is for a machine on its knees.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(60);

/// What a Runtime says of itself and another look says better.
const SAID_BEFORE: [&str; 3] = ["offline_model", "not_confined", "confinement"];

/// What was found out about one thing.
#[derive(Debug, Serialize)]
struct Finding {
    name: String,
    status: Status,
    detail: String,
    /// What would mend it, where something is to be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// It works.
    Ok,
    /// Something is missing that one can do without.
    Warn,
    /// Something is broken.
    Fail,
}

impl Finding {
    fn is_failure(&self) -> bool {
        self.status == Status::Fail
    }

    fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), status: Status::Ok, detail: detail.into(), remedy: None }
    }

    fn warn(name: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { name: name.to_owned(), status: Status::Warn, detail: detail.into(), remedy }
    }

    fn fail(name: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { name: name.to_owned(), status: Status::Fail, detail: detail.into(), remedy }
    }
}

pub(crate) async fn run(
    args: &DoctorArgs,
    config: Result<Config, ConfigError>,
    output: Output,
) -> anyhow::Result<Exit> {
    // What the operator wants is not known where the file cannot be read: the defaults are somebody else's.
    let wanted = config.as_ref().ok().cloned();
    let mut named = wanted.clone().unwrap_or_default();
    let files: Vec<_> = component_files(&named).map(|file| file.path).collect();
    let tried = confine::try_out(&files);
    let confined = tried.as_ref().ok().filter(|_| named.server.confine != Confine::Off);
    let unreadable = confined.map(|tried| tried.unreadable.clone()).unwrap_or_default();
    let components = components::look_at_components(&mut named, &unreadable).await;
    let (mut usable, mut finding) = look_at_config(config);
    if let Some(usable) = &mut usable {
        usable.commands = named.commands;
    }
    let mut guests = try_guests(usable.as_ref().unwrap_or(&Config::default())).await;
    if let Ok(Err(error)) = &guests
        && let Some(refused) = error.downcast_ref::<ExplainedError>()
    {
        finding = Finding::fail(
            "configuration",
            refused.to_string(),
            format!("rebuild it for {GUEST_TARGET}, or name another component"),
        );
        // What ships with the product is still to be looked at.
        guests = try_guests(&Config::default()).await;
        usable = None;
    }
    let mut findings = vec![finding];
    match &wanted {
        Some(config) => {
            findings.extend(look_at_models(config).await);
            let dir = data_dir(args.data_dir.data_dir.as_deref(), config);
            findings.extend(dir.as_ref().ok().and_then(|dir| look_at_password(dir, config)));
            findings.extend(look_at_data_dir(dir));
            findings.extend(config.server.tls.as_ref().map(look_at_tls));
            findings.extend(look_at_address(config));
        }
        None => {
            let dir = args.data_dir.data_dir.clone();
            findings.extend(dir.into_iter().flat_map(|dir| look_at_data_dir(Ok(dir))));
        }
    }
    let limits = wanted.as_ref().map(|config| config.limits.clone()).unwrap_or_default();
    findings.push(look_at_compiler(&limits).await);
    let confine = wanted.as_ref().map_or(Confine::BestEffort, |config| config.server.confine);
    findings.push(look_at_confinement(confine, tried));
    findings.extend(components);
    findings.extend(look_at_guests(guests, usable.is_some()).await);
    if usable.is_none() {
        findings.push(not_looked_at(wanted.is_some()));
    }
    findings.push(look_at_toolchain().await);

    let healthy = !findings.iter().any(Finding::is_failure);
    if output.is_json() {
        output.json(&serde_json::json!({ "ok": healthy, "findings": findings }))?;
    } else {
        for finding in &findings {
            print(finding, output)?;
        }
    }
    Ok(if healthy { Exit::Done } else { Exit::Failed })
}

fn print(finding: &Finding, output: Output) -> io::Result<()> {
    let status = match finding.status {
        Status::Ok => "ok",
        Status::Warn => "warn",
        Status::Fail => "FAIL",
    };
    output.line(&format!("{status:5} {:20} {}", finding.name, finding.detail))?;
    match &finding.remedy {
        Some(remedy) => output.line(&format!("{:26} -> {remedy}", "")),
        None => Ok(()),
    }
}

/// What nothing can be said of while the configuration is broken; whether it `is_read` at least.
fn not_looked_at(is_read: bool) -> Finding {
    let what = if is_read {
        "what a Runtime would be with this configuration; the guests were tried without it"
    } else {
        "models, the data directory unless --data-dir names it, TLS, roots, components, and what a Runtime would be: \
         they stand in the configuration; the rest was tried with the defaults"
    };
    Finding::warn("not looked at", what, "mend the configuration, then run this again")
}

/// The configuration, if a Runtime could be made of it.
fn look_at_config(config: Result<Config, ConfigError>) -> (Option<Config>, Finding) {
    let name = "configuration";
    let broken = |error: &anyhow::Error| {
        Finding::fail(name, format!("{error:#}"), "mend the file, or name another with --config")
    };
    match config {
        Ok(config) => {
            let finding = match (Setup::new(&config), &config.file) {
                (Err(error), _) => broken(&error),
                (Ok(_), Some(file)) => {
                    let digest = config.digest.map(|digest| format!(", {digest}"));
                    let digest = digest.unwrap_or_default();
                    Finding::ok(name, format!("{}{digest}", file.display()))
                }
                (Ok(_), None) => Finding::ok(name, "none; everything has its default"),
            };
            let is_usable = finding.status == Status::Ok;
            (is_usable.then_some(config), finding)
        }
        Err(error) => (None, broken(&error.into())),
    }
}

async fn look_at_models(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for alias in models::known_aliases(config) {
        let name = format!("model {alias}");
        let key = config
            .models
            .get(&alias)
            .and_then(|model| model.key_variable())
            .map(|variable| format!(", key in {variable}"))
            .unwrap_or_default();
        findings.push(match models::provider(config, &alias).await {
            Err(error) => Finding::fail(
                &name,
                format!("{error:#}"),
                "set the variable, or change the model in the configuration",
            ),
            Ok(provider) => {
                let info = provider.info();
                let detail = format!("{}{key}", models::describe(&info));
                if models::is_offline(&info) && !config.models.contains_key(&alias) {
                    let remedy = format!("for a real one, {}", models::HOW_TO_SET_A_MODEL);
                    Finding::warn(&name, detail, remedy)
                } else {
                    Finding::ok(&name, detail)
                }
            }
        });
    }
    findings
}

fn look_at_data_dir(dir: anyhow::Result<PathBuf>) -> Vec<Finding> {
    let name = "data directory";
    let remedy = "name a directory of your own with --data-dir";
    let dir = match dir {
        Ok(dir) => dir,
        Err(error) => return vec![Finding::fail(name, format!("{error:#}"), remedy)],
    };
    let shown = dir.display();
    let writable = match try_to_write(&dir) {
        Ok(()) if dir.exists() => Finding::ok(name, format!("{shown} is writable")),
        Ok(()) => Finding::ok(name, format!("{shown} can be made")),
        Err(error) => Finding::fail(name, format!("{shown} is not writable: {error}"), remedy),
    };
    let backend = match BackendFile::read(&dir) {
        Ok(Some(backend)) => {
            Finding::ok("Backend", format!("runs at {} as process {}", backend.url, backend.pid))
        }
        Ok(None) => Finding::ok("Backend", "does not run; `yoi up` starts it"),
        Err(error) => Finding::warn("Backend", format!("{error:#}"), remedy),
    };
    vec![writable, backend]
}

/// What browsers would sign in to a Backend with. Where only this machine reaches it, they need none.
fn look_at_password(dir: &Path, config: &Config) -> Option<Finding> {
    let name = "password";
    let set = format!("`{} password set` sets one", own_name());
    match password_file(dir).is_set() {
        Ok(true) => Some(Finding::ok(name, "browsers sign in with it")),
        Ok(false) if is_open(config) => Some(Finding::warn(
            name,
            "there is none, so `yoi up` does not start at an address that other machines reach",
            format!("{set}; `yoi serve` needs none"),
        )),
        Ok(false) => None,
        Err(error) => {
            let detail = format!("{:#}", anyhow::Error::new(error));
            Some(Finding::fail(name, detail, set))
        }
    }
}

/// An address that other machines reach, where nothing is encrypted.
fn look_at_address(config: &Config) -> Option<Finding> {
    let listen = config.server.listen.filter(|_| is_open(config) && config.server.tls.is_none())?;
    let detail =
        format!("other machines reach {listen}, and nothing is encrypted: nothing starts there");
    let remedy = "add `tls` below [server], or listen on an address of this machine";
    Some(Finding::fail("address", detail, remedy))
}

fn is_open(config: &Config) -> bool {
    config.server.listen.is_some_and(|listen| !listen.ip().is_loopback())
}

/// What a process that serves would encrypt with.
fn look_at_tls(files: &TlsConfig) -> Finding {
    let name = "tls";
    match server_tls(files) {
        Ok(_) => Finding::ok(name, "the certificate and its key are there and belong together"),
        Err(error) => {
            let remedy = "`tls` below [server] names two files in PEM; docs/operations.md says how they are made";
            Finding::fail(name, format!("{error:#}"), remedy)
        }
    }
}

/// Writes and removes a file in `dir`, or where it is missing in the nearest directory above it.
fn try_to_write(dir: &Path) -> io::Result<()> {
    let nearest = dir.ancestors().find(|above| above.exists()).unwrap_or(Path::new("."));
    let probe = nearest.join(format!(".yoi-doctor.{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(probe)
}

/// Really compiles something, the way that `yoi up` does: in a process of its own. And lets one have less
/// memory than it wants, to see that it is kept from more.
async fn look_at_compiler(limits: &Limits) -> Finding {
    let name = "compile helper";
    let started = Instant::now();
    let check = async {
        let compiler = runtime_setup::compiler()?;
        compiler.check(limits).await?;
        let took = started.elapsed().as_millis();
        anyhow::Ok((took, compiler.is_memory_limited(limits).await?))
    };
    match check.await {
        Ok((took, true)) => {
            let detail =
                format!("starts, compiles in {took} ms, and gets no more memory than it may");
            Finding::ok(name, detail)
        }
        Ok((_, false)) if cfg!(target_os = "linux") => Finding::fail(
            name,
            "takes more memory than `compile_memory_bytes` below [limits] lets it",
            "report this, with what `uname -a` says",
        ),
        Ok((took, false)) => Finding::warn(
            name,
            format!("starts and compiles in {took} ms, and takes as much memory as it likes"),
            "only Linux limits the memory of a process",
        ),
        Err(error) => Finding::fail(
            name,
            format!("{error:#}"),
            "install yoi anew where it can be executed, and see `compile_ms` and \
             `compile_memory_bytes` below [limits]",
        ),
    }
}

/// What came of really confining a process, the way that `yoi up` does, and looking from there.
fn look_at_confinement(wanted: Confine, tried: anyhow::Result<Tried>) -> Finding {
    let name = "confinement";
    let see = "see docs/confinement.md for what a kernel needs; `confine` below [server] says what \
               `yoi up` does without";
    let missing = |detail: String| match wanted {
        Confine::Required => Finding::fail(name, detail, see),
        Confine::BestEffort | Confine::Off => Finding::warn(name, detail, see),
    };
    let tried = match tried {
        Ok(tried) => tried,
        Err(error) => return missing(format!("{error:#}")),
    };
    let detail = tried.confinement.to_string();
    if !tried.open.is_empty() || !tried.broken.is_empty() {
        let wrong = [tried.open, tried.broken].concat().join("; ");
        return Finding::fail(name, format!("{detail}, and yet {wrong}"), "report this");
    }
    match (wanted, tried.confinement.enforced) {
        (_, Enforcement::None) => missing(detail),
        (Confine::Off, _) => Finding::warn(
            name,
            "the configuration turns it off",
            "take `confine` below [server] out of it: this machine can",
        ),
        (_, Enforcement::Full) => Finding::ok(
            name,
            format!(
                "{detail}: files outside stay shut, nothing is executed, and the launcher's helpers compile"
            ),
        ),
        (_, Enforcement::Partial) => {
            Finding::warn(name, detail, "Linux 6.12 and newer can do all of it")
        }
    }
}

type Trial = Result<anyhow::Result<(Runtime, TempDir, String)>, Elapsed>;

async fn try_guests(config: &Config) -> Trial {
    tokio::time::timeout(TRIAL_TIMEOUT, trial(config)).await
}

/// What came of the trial; of the Runtime that was tried only where it `is_wanted`, and not one of the defaults.
async fn look_at_guests(trial: Trial, is_wanted: bool) -> Vec<Finding> {
    let name = "guests";
    match trial {
        Ok(Ok((runtime, _scratch, detail))) => {
            let mut findings = vec![Finding::ok(name, detail)];
            if is_wanted {
                findings.extend(look_at_runtime(&runtime));
            }
            runtime.shutdown(Duration::ZERO).await;
            findings
        }
        // What it says names what is to be changed.
        Ok(Err(error)) if error.is::<RuntimeBuildError>() => {
            let remedy = "change that in the configuration; `yoi up` would not start either";
            vec![Finding::fail("Runtime", format!("{error:#}"), remedy)]
        }
        Ok(Err(error)) => vec![Finding::fail(
            name,
            format!("{error:#}"),
            "run `RUST_LOG=worker_runtime=debug yoi run echo hi`, and report what it says",
        )],
        Err(_) => vec![Finding::fail(
            name,
            format!("the trial did not end within {} s", TRIAL_TIMEOUT.as_secs()),
            "see what else keeps this machine busy",
        )],
    }
}

/// Starts the Runtime that `yoi up` would, and really runs a guest in it: the smallest one that
/// ships with the product.
async fn trial(config: &Config) -> anyhow::Result<(Runtime, TempDir, String)> {
    let echo = "echo".parse()?;
    let started = Instant::now();
    let scratch = tempfile::tempdir().context("failed to make a temporary directory")?;
    let setup = Setup::new(config)?.scratch(scratch.path().to_owned());
    // A model that cannot be used is a finding of its own.
    let models =
        models::models(config, &setup.granted_aliases()).await.unwrap_or_else(|_| Models::none());
    let runtime = setup.build(models).await?;
    let built = started.elapsed();
    let started = Instant::now();
    let worker = runtime.create(CreateWorker::profile(echo)).await?.worker_id;
    let input = Input::text("Is anybody there?");
    let turn = runtime.input(worker, input, InputOptions::default()).await?.turn_id;
    match runtime.outcome(worker, turn).await? {
        Outcome::Completed => {
            let detail = format!(
                "compiled in {} ms, a turn took {:.1} ms",
                built.as_millis(),
                started.elapsed().as_secs_f64() * 1_000.0
            );
            Ok((runtime, scratch, detail))
        }
        Outcome::Failed { message, .. } => anyhow::bail!("the trial failed: {message}"),
        Outcome::Cancelled { .. } | Outcome::Interrupted | Outcome::Unknown => {
            anyhow::bail!("the trial was cut off")
        }
    }
}

fn look_at_runtime(runtime: &Runtime) -> Vec<Finding> {
    let name = "capabilities";
    let is_new = |found: &CapabilityStatus| !SAID_BEFORE.contains(&found.name.as_str());
    let mut available = Vec::new();
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for capability in runtime.capabilities().into_iter().filter(is_new) {
        if capability.available {
            available.push(capability.name);
        } else {
            let reason = capability.reason.unwrap_or_else(|| "the Runtime does not say why".into());
            missing.entry(reason).or_default().push(capability.name);
        }
    }
    let available = (!available.is_empty()).then(|| Finding::ok(name, available.join(", ")));
    let missing = missing
        .into_iter()
        .map(|(reason, names)| Finding::warn(name, format!("no {}", names.join(", ")), reason));
    let diagnostics = runtime
        .diagnostics()
        .into_iter()
        .filter(|diagnostic| !SAID_BEFORE.contains(&diagnostic.code.as_str()))
        .map(|diagnostic| Finding::warn("Runtime", diagnostic.code, diagnostic.message));
    available.into_iter().chain(missing).chain(diagnostics).collect()
}

async fn look_at_toolchain() -> Finding {
    let name = "guest toolchain";
    match has_guest_target().await {
        Ok(true) => Finding::ok(name, format!("Rust with {GUEST_TARGET}")),
        Ok(false) => Finding::warn(
            name,
            format!("Rust without {GUEST_TARGET}"),
            format!("only to write Workers: rustup target add {GUEST_TARGET}"),
        ),
        Err(error) => Finding::warn(
            name,
            format!("no Rust: {error:#}"),
            format!("only to write Workers: install it from https://rustup.rs with {GUEST_TARGET}"),
        ),
    }
}

/// What a program printed before it gave up, as the end of a sentence: such as rustup's word on a
/// toolchain that is not installed.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { String::new() } else { format!(": {}", lines.join("; ")) }
}

async fn has_guest_target() -> anyhow::Result<bool> {
    // The directory is named whether or not it is there.
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", GUEST_TARGET])
        .kill_on_drop(true)
        .output()
        .await
        .context("failed to run rustc")?;
    if !output.status.success() {
        anyhow::bail!("rustc ended with {}{}", output.status, complaint(&output.stderr));
    }
    let directory = String::from_utf8(output.stdout).context("rustc printed no text")?;
    Ok(Path::new(directory.trim()).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_complained_of_is_shown_in_one_line() {
        let said = complaint(b"error: toolchain '1.2' is not installed\n\n  help: run rustup\n");
        assert_eq!(said, ": error: toolchain '1.2' is not installed; help: run rustup");
        assert_eq!(complaint(b" \n"), "");
    }
}

//! Confining this process to what a Backend needs, and trying whether that works here.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use worker_runtime::{AllowedPaths, Compiler, Confinement};
use worker_types::{Access, Limits};
use yoi_config::{Config, Confine};

#[cfg(unix)]
use crate::data_dir::allocations_dir;
use crate::{cli::own_name, exit::Exit, output::Output, runtime_setup};

/// The hidden subcommand that starts compile helpers.
#[cfg(target_os = "linux")]
const LAUNCHER: &str = "launcher";

/// The hidden subcommand that tries whether a process can be confined.
const PROBE: &str = "confine-probe";

/// How a process goes on that may be confined.
#[derive(Debug)]
pub(crate) struct Confined {
    /// What compiles components there.
    pub(crate) compiler: Compiler,
    /// What was achieved.
    pub(crate) confinement: Confinement,
}

/// Confines this process to `data_dir`, and the roots and components of `config`, as far as the
/// configuration wants that. To be called before there are threads.
pub(crate) fn confine(
    config: &Config,
    data_dir: &Path,
    output: Output,
) -> anyhow::Result<Confined> {
    let is_required = match config.server.confine {
        Confine::Off => {
            let confinement = Confinement::none("the configuration turns it off");
            return Ok(Confined { compiler: runtime_setup::compiler()?, confinement });
        }
        Confine::BestEffort => false,
        Confine::Required => true,
    };
    let Confined { compiler, confinement } = match start_launcher() {
        Ok(compiler) => {
            Confined { compiler, confinement: allowed(config, data_dir).confine_process() }
        }
        Err(error) => Confined {
            compiler: runtime_setup::compiler()?,
            confinement: Confinement::none(format!("{error:#}")),
        },
    };
    if confinement.is_enforced() {
        say_what_is_missing(&confinement, output);
        return Ok(Confined { compiler, confinement });
    }
    anyhow::ensure!(
        !is_required,
        "the configuration wants this process confined (`confine` below [server]), and it is \
         {confinement}"
    );
    output.note(&format!(
        "WARNING: this process is {confinement}\n  a defect of the sandbox would reach all that this \
         user can; `{} doctor` says more",
        own_name()
    ));
    Ok(Confined { compiler: runtime_setup::compiler()?, confinement })
}

fn say_what_is_missing(confinement: &Confinement, output: Output) {
    if confinement.reason.is_some() {
        output.note(&format!("this process is {confinement}"));
    }
    for root in &confinement.absent_roots {
        output.note(&format!(
            "the root `{root}` is not there, and once it is, it stays out of reach until yoi starts \
             anew: this process is confined to what was there"
        ));
    }
}

/// What a Backend needs of the disk, besides what every program does.
fn allowed(config: &Config, data_dir: &Path) -> AllowedPaths {
    let mut allowed = AllowedPaths::new().read_write(data_dir);
    if let Some(file) = &config.file {
        allowed = allowed.read_only(file);
    }
    for file in runtime_setup::component_files(config) {
        allowed = allowed.read_only(file.path);
    }
    for (name, root) in &config.roots {
        allowed = allowed.root(name.clone(), &root.path, root.access);
    }
    #[cfg(unix)]
    if config.roots.values().any(|root| root.access == Access::ReadWrite) {
        allowed = with_allocations(allowed);
    }
    allowed
}

/// Where Runtimes tell each other what their Workers write to. It has to be there to be allowed; where
/// it cannot be made, the Runtime says so when it wants it.
#[cfg(unix)]
fn with_allocations(allowed: AllowedPaths) -> AllowedPaths {
    use std::os::unix::fs::DirBuilderExt as _;
    let Ok(dir) = allocations_dir() else { return allowed };
    match fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir) {
        Ok(()) => allowed.read_write(&dir),
        Err(_) => allowed,
    }
}

#[cfg(target_os = "linux")]
fn start_launcher() -> anyhow::Result<Compiler> {
    let program = env::current_exe().context("failed to find this program")?;
    Ok(Compiler::launcher(worker_runtime::Launcher::start(program, [LAUNCHER])?))
}

#[cfg(not(target_os = "linux"))]
fn start_launcher() -> anyhow::Result<Compiler> {
    runtime_setup::compiler()
}

/// What was seen from inside a process that confined itself.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tried {
    /// What the kernel said.
    pub(crate) confinement: Confinement,
    /// What was possible nevertheless.
    pub(crate) open: Vec<String>,
    /// What should have been possible, and why it was not.
    pub(crate) broken: Vec<String>,
    /// Those of the files it was given that could not be read, by their places, and why.
    pub(crate) unreadable: BTreeMap<usize, String>,
}

/// Lets a process of its own confine itself to reading `files`, and look about.
pub(crate) fn try_out(files: &[&Path]) -> anyhow::Result<Tried> {
    let at = ProbeDir::new().context("failed to make a directory to try it in")?;
    let (inside, outside) = (at.0.join("inside"), at.0.join("outside"));
    fs::create_dir(&inside)?;
    fs::create_dir(&outside)?;
    fs::write(outside.join("secret"), "sesame")?;
    let program = env::current_exe().context("failed to find this program")?;
    let ended = Command::new(program)
        .args(["--json", PROBE])
        .args([&inside, &outside])
        .args(files)
        .stdin(Stdio::null())
        .output()
        .context("failed to start a process to try it in")?;
    anyhow::ensure!(
        ended.status.success(),
        "the process that tried it ended with {}: {}",
        ended.status,
        String::from_utf8_lossy(&ended.stderr).trim()
    );
    serde_json::from_slice(&ended.stdout).context("the process that tried it said something else")
}

/// A directory that only this process has, and that goes with it.
struct ProbeDir(PathBuf);

impl ProbeDir {
    fn new() -> io::Result<Self> {
        let dir = env::temp_dir().join(format!("yoi-doctor.{}", std::process::id()));
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for ProbeDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "failed to remove a directory that something was tried in");
        }
    }
}

/// The process that [`try_out`] starts: may it use `inside` and read `files`, and may it not use `outside`?
pub(crate) fn probe(
    inside: &Path,
    outside: &Path,
    files: &[PathBuf],
    output: Output,
) -> anyhow::Result<Exit> {
    let program = env::current_exe();
    let compiler = start_launcher()?;
    let allowed = AllowedPaths::new().read_write(inside);
    let confinement = files.iter().fold(allowed, AllowedPaths::read_only).confine_process();
    let mut tried =
        Tried { confinement, open: Vec::new(), broken: Vec::new(), unreadable: BTreeMap::new() };
    for (place, file) in files.iter().enumerate() {
        // Opening a pipe would wait for who writes to it.
        if fs::metadata(file).is_ok_and(|found| !found.is_file()) {
            continue;
        }
        if let Err(error) = fs::File::open(file).and_then(|mut file| file.read(&mut [0])) {
            tried.unreadable.insert(place, error.to_string());
        }
    }
    if tried.confinement.is_enforced() {
        let secret = outside.join("secret");
        tried.denied("a file outside is read", fs::read(&secret));
        tried.denied("a file outside is written", fs::File::options().append(true).open(&secret));
        tried.denied("a directory outside is listed", fs::read_dir(outside));
        tried.denied("a file is made outside", fs::write(outside.join("new"), "x"));
        tried.denied("a file outside is removed", fs::remove_file(&secret));
        tried.denied("the environment is read from its file", fs::read("/proc/self/environ"));
        tried.denied("a program is executed", Command::new("/bin/sh").arg("-c").arg(":").spawn());
        tried.denied(
            "this program is executed",
            program.and_then(|program| Command::new(program).spawn()),
        );
        let later = thread::spawn(move || fs::read(secret)).join();
        tried.denied(
            "a later thread reads a file outside",
            later.unwrap_or_else(|_| Ok(Vec::new())),
        );

        let file = inside.join("file");
        let used = fs::write(&file, "x").and_then(|()| fs::read(&file)).map(drop);
        tried.possible("files inside are used", used.map_err(Into::into));
        let threads = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match threads {
            Ok(threads) => {
                let compiled = threads.block_on(compiler.check(&Limits::default()));
                tried.possible("components are compiled", compiled.map_err(Into::into));
                match threads.block_on(compiler.is_memory_limited(&Limits::default())) {
                    Ok(true) => {}
                    Ok(false) => {
                        tried.open.push("a helper takes more memory than it may".to_owned());
                    }
                    Err(error) => {
                        tried.possible("the memory of helpers is limited", Err(error.into()));
                    }
                }
            }
            Err(error) => tried.possible("components are compiled", Err(error.into())),
        }
    }
    output.json(&tried)?;
    Ok(Exit::Done)
}

impl Tried {
    fn denied<T>(&mut self, what: &str, result: io::Result<T>) {
        match result {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => self.broken.push(format!("{what}: {error}")),
            Ok(_) => self.open.push(what.to_owned()),
        }
    }

    fn possible(&mut self, what: &str, result: anyhow::Result<()>) {
        if let Err(error) = result {
            self.broken.push(format!("{what}: {error:#}"));
        }
    }
}

//! `yoi shell`: scripts and sessions of the shell that runs inside WebAssembly, with only the directories
//! it is given.

mod interactive;
mod script;
mod stdin;

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use worker_runtime::{Script, Shell, ShellError, ShellSession};
use worker_types::{Access, Grants, GuestPath, Preopen, RootName};
use yoi_config::Config;

use self::script::ScriptExit;
use crate::{
    cli::ShellArgs,
    commands::{environment, read_stdin},
    data_dir::cache_dir,
    dir_arg::Dirs,
    exit::Exit,
    output::Output,
    runtime_setup::{commands, compiler},
    signals::EndSignals,
};

/// The place of the session's own, which goes with it.
const HOME: &str = "/tmp";

/// How long the shell may compile before that is worth a remark.
const PATIENCE: Duration = Duration::from_millis(500);

/// The longest script that is read from a file, as of a configuration: more than anybody writes.
const MAX_SCRIPT_BYTES: u64 = 8 << 20;

/// What there is to run.
enum Job {
    Script(Script),
    Session,
}

pub(crate) async fn run(args: ShellArgs, config: &Config, output: Output) -> anyhow::Result<Exit> {
    // Until there is something to remove, a signal simply ends this process.
    let job = job(args.script, args.operands)?;
    let dirs = Dirs::find(&args.dirs, &Default::default())?;
    let mut variables = vec![("HOME".to_owned(), HOME.to_owned())];
    variables.push(("TMPDIR".to_owned(), HOME.to_owned()));
    variables.extend(environment(args.env));
    let mut signals = EndSignals::listen()?;
    let own = tempfile::Builder::new().prefix("yoi-").tempdir();
    let own = own.context("failed to make a temporary directory for the shell's own")?;
    let opening = open(config, &dirs, own.path(), variables);
    let session = tokio::select! {
        opened = opening => Arc::new(opened?),
        () = signals.next() => return Ok(Exit::Interrupted),
    };
    let compiled = tokio::select! {
        compiled = compile(&session, output) => compiled.map(|()| true),
        () = signals.next() => Ok(false),
    };
    let ended = match (compiled, job) {
        (Ok(true), Job::Script(script)) => {
            script::run(&session, script, &mut signals, output).await
        }
        (Ok(true), Job::Session) => interactive::run(&session, &mut signals, output).await,
        (Ok(false), _) => Ok(ScriptExit::Interrupted),
        (Err(error), _) => Err(error),
    };
    if let Err(error) = session.close().await {
        tracing::warn!(%error, "the shell's own directory is not removed");
    }
    Ok(match ended? {
        ScriptExit::Code { code, .. } => Exit::Code(code),
        ScriptExit::Interrupted => Exit::Interrupted,
    })
}

/// A script from the command line, from a file, or from standard input; a session where that is a
/// terminal.
fn job(script: Option<String>, operands: Vec<String>) -> anyhow::Result<Job> {
    let mut operands = operands.into_iter();
    let script = match script {
        // As in bash: the first operand is `$0`.
        Some(text) => {
            let name = operands.next().unwrap_or_default();
            Script { text, name, ..Script::default() }
        }
        None => match operands.next() {
            Some(file) => {
                let text = read_script(Path::new(&file))
                    .with_context(|| format!("failed to read the script {file}"))?;
                Script { text, name: file, ..Script::default() }
            }
            None if io::stdin().is_terminal() => return Ok(Job::Session),
            None => Script { text: read_stdin()?, ..Script::default() },
        },
    };
    Ok(Job::Script(Script { arguments: operands.collect(), ..script }))
}

fn read_script(path: &Path) -> anyhow::Result<String> {
    let bytes = crate::runtime_setup::read_component(path, MAX_SCRIPT_BYTES)?;
    String::from_utf8(bytes).context("it is no UTF-8 text")
}

async fn open(
    config: &Config,
    dirs: &Dirs,
    own: &Path,
    variables: Vec<(String, String)>,
) -> anyhow::Result<ShellSession> {
    let mut shell = Shell::new(builtin_workers::SHELL_COMPONENT, config.limits.clone())
        .compiler(compiler()?)
        .scratch(own);
    if let Some(cache) = cache_dir() {
        shell = shell.component_cache(cache);
    }
    for (name, component) in commands(config)? {
        shell = shell.command(name, component);
    }
    for (name, root) in &dirs.roots {
        shell = shell.root(name.clone(), root.clone());
    }
    let mut grants = Grants { preopens: dirs.preopens.clone(), ..Grants::none() };
    let home: GuestPath = HOME.parse()?;
    if dirs.written(&home).is_none() {
        let own = Preopen::new(RootName::scratch(), home).access(Access::ReadWrite);
        grants = grants.with_preopen(own);
    }
    match shell.open(grants, variables).await {
        Ok(session) => Ok(session),
        Err(ShellError::Directory(error)) => Err(dirs.explain(error)),
        Err(error) => Err(anyhow::Error::new(error).context("failed to start the shell")),
    }
}

/// Compiles the shell, and says so where that takes a while: it is done once.
async fn compile(session: &ShellSession, output: Output) -> anyhow::Result<()> {
    let mut compiling = std::pin::pin!(session.compile());
    if let Ok(compiled) = tokio::time::timeout(PATIENCE, &mut compiling).await {
        return Ok(compiled?);
    }
    output.note("compiling the shell for this machine: once, and some seconds");
    Ok(compiling.await?)
}

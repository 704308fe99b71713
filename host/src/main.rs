//! `worker-runtime`: the Runtime as a process. In this version it runs one component and ends;
//! serving Workers over HTTP comes with the network API.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool prints")]

use std::{
    borrow::Cow,
    env,
    error::Error,
    ffi::OsString,
    fs::{self, File},
    io::Read as _,
    process::ExitCode,
};

use worker_runtime::{
    AllowedPaths, Compiler, Confinement, Runtime, compile_helper, error_chain,
    worker_types::{
        ComponentRef, CreateWorker, Cursor, EventBody, Input, ItemBody, Limits, LiveEvent, Outcome,
        Profile, RuntimeError,
    },
};

/// The argument that makes this program the compile helper of another process of it.
const COMPILE: &str = "compile";

/// The argument that makes this program the launcher of another process of it.
#[cfg(target_os = "linux")]
const LAUNCHER: &str = "launcher";

const HELP: &str = "\
worker-runtime - runs a Worker component in the sandbox, without any grant

usage:
  worker-runtime check COMPONENT.wasm          says whether it is a Worker, and what it needs
  worker-runtime run COMPONENT.wasm \"INPUT\"    runs one turn; nothing is kept
  worker-runtime --help | --version

exit codes:
  0  it is a Worker; its turn completed
  1  it is none, it needs a grant, or its turn did not complete
  2  wrong usage

Components are compiled in a process of their own, `worker-runtime compile`, which is started by
another, `worker-runtime launcher`. Neither is for people.

Once it has read the component, this process can open nothing on the disk but the system's libraries,
where the kernel has Landlock. Where it has not, that is said.

For models, profiles and a page to talk to, see `yoi --help`.";

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    // They limit their own processes, so they come before the threads of tokio.
    match arguments.next() {
        Some(command) if command == COMPILE => compile_helper(arguments),
        #[cfg(target_os = "linux")]
        Some(command) if command == LAUNCHER => worker_runtime::serve_launcher([COMPILE]),
        command => run_command(command.into_iter().chain(arguments)),
    }
}

fn run_command(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<String> =
        arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--help" | "-h" | "help"] => {
            println!("{HELP}");
            Ok(true)
        }
        ["--version" | "-V"] => {
            println!("worker-runtime {}", env!("CARGO_PKG_VERSION"));
            Ok(true)
        }
        ["check", file] => in_confinement(file, check),
        ["run", file, input] => in_confinement(file, async |runtime| run(runtime, input).await),
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("worker-runtime: {}", error_chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Does `command` with a Runtime whose only profile is the component in `file`, in a process that
/// can open no other file any more.
fn in_confinement(
    file: &str,
    command: impl AsyncFnOnce(Runtime) -> Result<bool, Box<dyn Error>>,
) -> Result<bool, Box<dyn Error>> {
    let bytes = read_component(file, Limits::default().component_bytes)?;
    let (compiler, confinement) = confine()?;
    if !confinement.is_enforced() {
        eprintln!("worker-runtime: this process is {confinement}");
    }
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    threads.block_on(async { command(load(bytes, compiler, confinement).await?).await })
}

/// Starts what starts other processes, and then takes from this one what it does not need.
fn confine() -> Result<(Compiler, Confinement), Box<dyn Error>> {
    let program = env::current_exe()
        .map_err(|error| format!("cannot find this program, which compiles components: {error}"))?;
    #[cfg(target_os = "linux")]
    let compiler = Compiler::launcher(worker_runtime::Launcher::start(program, [LAUNCHER])?);
    #[cfg(not(target_os = "linux"))]
    let compiler = Compiler::helper(program, [COMPILE]);
    Ok((compiler, AllowedPaths::new().confine_process()))
}

async fn check(runtime: Runtime) -> Result<bool, Box<dyn Error>> {
    match runtime.create(CreateWorker::default()).await {
        Ok(worker) => println!("{}: a Worker that needs no grant", worker.component),
        Err(RuntimeError::MissingGrant { interface, capability: Some(capability), .. }) => {
            println!("a Worker that needs the grant `{capability}`: it imports {interface}");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(true)
}

async fn run(runtime: Runtime, input: &str) -> Result<bool, Box<dyn Error>> {
    let request = CreateWorker::default().input(Input::text(input));
    let worker = runtime.create(request).await?;
    let mut events = runtime.events(worker.worker_id, Cursor::START)?;
    while let Some(event) = events.next().await {
        let LiveEvent::Durable(event) = event? else { continue };
        match event.body {
            EventBody::ItemCompleted { item, .. } => {
                if let ItemBody::AssistantMessage { text, .. } = item.body {
                    println!("{}", printable(&text));
                }
            }
            EventBody::TurnEnded { outcome: Outcome::Completed, .. } => return Ok(true),
            EventBody::TurnEnded { outcome: Outcome::Failed { message, .. }, .. } => {
                eprintln!("failed: {}", printable(&message));
                return Ok(false);
            }
            EventBody::TurnEnded { outcome, .. } => {
                eprintln!("{outcome:?}");
                return Ok(false);
            }
            _ => {}
        }
    }
    Ok(false)
}

/// A Runtime whose only profile is this component.
async fn load(
    bytes: Vec<u8>,
    compiler: Compiler,
    confinement: Confinement,
) -> Result<Runtime, Box<dyn Error>> {
    let name = "component".parse()?;
    let component = ComponentRef::Builtin("file".parse()?);
    let profile = Profile {
        name,
        description: String::new(),
        component: component.clone(),
        optional: Default::default(),
        resume: false,
        commands: Default::default(),
        config: Default::default(),
    };
    let runtime = Runtime::builder("worker-runtime".parse()?)
        .compiler(compiler)
        .confinement(confinement)
        .default_profile(profile.name.clone())
        .components([(component, Cow::Owned(bytes))])
        .profiles([profile]);
    Ok(runtime.build().await?)
}

/// Reads a component: a regular file of at most `max_bytes`.
fn read_component(file: &str, max_bytes: u64) -> Result<Vec<u8>, String> {
    let unreadable = |error| format!("cannot read {file}: {error}");
    let found = fs::metadata(file).map_err(unreadable)?;
    // A device has no end, and a pipe that nobody writes to would be waited for.
    if !found.is_file() {
        return Err(format!("cannot read {file}: it is no regular file"));
    }
    if found.len() > max_bytes {
        let bytes = found.len();
        return Err(format!("{file} has {bytes} bytes, more than the limit of {max_bytes}"));
    }
    let mut bytes = Vec::new();
    // Of one that grows meanwhile, the Runtime refuses the byte too much.
    let opened = File::open(file).map_err(unreadable)?;
    opened.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// A guest's text without the control characters that would drive the terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_component_is_a_regular_file_within_its_limit() {
        let refused = read_component("/dev/zero", 8).expect_err("no file");
        assert_eq!(refused, "cannot read /dev/zero: it is no regular file");
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let refused = read_component(file, 8).expect_err("too long");
        assert!(refused.ends_with("more than the limit of 8"), "{refused}");
        assert!(read_component(file, 1 << 20).is_ok());
    }
}

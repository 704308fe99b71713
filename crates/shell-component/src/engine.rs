//! The interpreter: the only module that knows it is bashkit.

mod absent;
mod adapter;
mod bundled;
mod files;
mod internal;
mod limits;
mod rewrites;
mod script_input;
mod sleep;
mod stages;
mod state;
mod xargs;

use std::{
    collections::HashSet,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use bashkit::{Bash, BuiltinRegistry, ExecOptions, hooks::HookAction};

use crate::{
    command::{Command, Source},
    filesystem::World,
};

pub(crate) use adapter::is_fatal;
pub(crate) use files::reason;
pub use state::ReadStateError;

/// A script, and the session it belongs to.
#[derive(Debug, Default, Clone)]
pub struct Script {
    /// Its text.
    pub text: String,
    /// `$0`.
    pub name: String,
    /// `$1` and so on.
    pub arguments: Vec<String>,
    /// Variables that are set and exported before it begins.
    pub environment: Vec<(String, String)>,
    /// Where it begins; absent, where the session is.
    pub directory: Option<String>,
    /// What the script before it in the session left; absent, a new session.
    pub state: Option<Vec<u8>>,
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Its exit code.
    pub code: u8,
    /// Whether it said `exit`.
    pub exited: bool,
    /// Where the session is now.
    pub directory: String,
    /// What the next script begins with, if that is not too large.
    pub state: Option<Vec<u8>>,
}

/// Takes what a script writes, and waits until it is written.
pub type Sink = Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>;

/// The standard streams of a script.
pub struct Streams {
    /// Standard input.
    pub input: Box<dyn Source>,
    /// Standard output.
    pub output: Sink,
    /// Standard error.
    pub errors: Sink,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Streams")
    }
}

/// Why there is no ending.
#[derive(Debug, thiserror::Error)]
pub enum RunScriptError {
    /// The state that came with the script is none of ours.
    #[error("the session's state cannot be read")]
    State(#[source] ReadStateError),
    /// There is no randomness to be had.
    #[error("cannot get random bytes")]
    Random(#[source] getrandom::Error),
}

/// Runs `script` in `world` with `commands` besides the interpreter's own.
pub async fn run(
    script: Script,
    world: Arc<World>,
    commands: Vec<(String, Arc<dyn Command>)>,
    streams: Streams,
) -> Result<Ending, RunScriptError> {
    let saved = script.state.as_deref().map(state::read).transpose();
    let saved = saved.map_err(RunScriptError::State)?;
    let mut mark = [0; 32];
    getrandom::fill(&mut mark).map_err(RunScriptError::Random)?;
    let input = script_input::ScriptInput::new(streams.input, &mark);

    let registry = BuiltinRegistry::new();
    let aside = Arc::new(bundled::Aside::default());
    bundled::register(&registry, &input, &aside);
    registry.insert("xargs", Arc::new(xargs::Xargs));
    registry.insert("sleep", Arc::new(sleep::Sleep));
    let reached = internal::register(&registry);
    let surroundings =
        adapter::Surroundings { world: Arc::clone(&world), input, others_wrote: Arc::default() };
    let mut names = HashSet::new();
    for (name, command) in commands {
        adapter::register(&registry, &name, command, &surroundings);
        names.insert(name);
    }
    let own = names.clone();
    let others_wrote = Arc::clone(&surroundings.others_wrote);

    let said_exit = Arc::new(AtomicBool::new(false));
    let exit_hook = Arc::clone(&said_exit);
    let tool_hook = registry.clone();
    let directory =
        script.directory.as_ref().map_or_else(|| world.first_directory().to_owned(), PathBuf::from);
    let mut builder = Bash::builder()
        .fs(Arc::new(files::Files::new(Arc::clone(&world), &mark)))
        .rootfs(false)
        .limits(limits::execution())
        .memory_limits(limits::memory())
        .session_limits(limits::session())
        .username("user")
        .hostname("yoi")
        .builtin_filter(|name| !absent::MISLEADING.contains(&name))
        .command_resolver(Arc::new(absent::Network))
        .builtin_registry(registry)
        .cwd(&directory)
        .before_tool(Box::new(move |event| {
            aside.restore(&event.name, &tool_hook);
            if !own.contains(stages::unmarked(&event.name)) {
                others_wrote.store(true, Ordering::Relaxed);
            }
            HookAction::Continue(event)
        }))
        .on_exit(Box::new(move |event| {
            exit_hook.store(true, Ordering::Relaxed);
            HookAction::Continue(event)
        }));
    for (name, value) in &script.environment {
        builder = builder.env(name, value);
    }
    let mut bash = builder.build();
    let prefix = match saved {
        Some(saved) => {
            let given = script.directory.is_some().then_some(directory.as_path());
            saved.restore(&mut bash, given, &script.environment)
        }
        None => String::new(),
    };

    let view = bash.shell_state();
    let taken = view.functions.keys().chain(view.aliases.keys()).cloned().collect();
    let text = stages::mark(&script.text, &names, &taken);
    let text = stages::with_end(format!("{prefix}{text}"));
    let output = Arc::new(Mutex::new(streams.output));
    let errors = Arc::new(Mutex::new(streams.errors));
    let result = {
        let errors = Arc::clone(&errors);
        let mut traces = internal::Traces::default();
        bash.execute(&text)
            .options(ExecOptions::new().arg0(&script.name).positional(script.arguments))
            .stdout_fn(move |bytes| write(Arc::clone(&output), bytes))
            .stderr_fn(move |bytes| write(Arc::clone(&errors), traces.clean(bytes)))
            .await
    };
    let code = match result {
        Ok(result) => u8::try_from(result.exit_code & 0xff).unwrap_or(1),
        Err(error) => {
            let message = format!("{}: {error}\n", script.name);
            // Where nobody hears it, the code says that it failed.
            let _ = write(Arc::clone(&errors), message.into_bytes()).await;
            2
        }
    };
    let exited = said_exit.load(Ordering::Relaxed) && reached.code().is_none();
    let directory = bash.shell_state_view().cwd.to_string_lossy().into_owned();
    let state = match state::write(&bash, code) {
        Ok(state) => Some(state),
        Err(problem) => {
            let message = format!("{}: {problem}\n", script.name);
            let _ = write(errors, message.into_bytes()).await;
            None
        }
    };
    Ok(Ending { code, exited, directory, state })
}

async fn write(sink: Arc<Mutex<Sink>>, bytes: Vec<u8>) -> bashkit::Result<()> {
    let mut sink = sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok((*sink)(&bytes)?)
}

//! Runs scripts and keeps what they write.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use shell_component::{
    command::{Command, Pending, Source},
    commands,
    engine::{self, Ending, Script, Sink, Streams},
    filesystem::World,
};
use tokio::sync::mpsc;

/// What a script wrote, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ending: Ending,
    pub(crate) output: String,
    pub(crate) errors: String,
}

/// A shell in a directory of its own.
pub(crate) struct Shell {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) state: Option<Vec<u8>>,
    pub(crate) commands: Vec<(String, Arc<dyn Command>)>,
    pub(crate) roots: bool,
    /// Whether errors are kept with the output, in order.
    pub(crate) merge: bool,
}

impl Shell {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, state: None, commands: commands::all(), roots: true, merge: false }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a script, with `input` as its standard input.
    pub(crate) fn run_with(&mut self, text: &str, input: impl Source + 'static) -> Ran {
        let output = Arc::new(Mutex::new(Vec::new()));
        let errors = Arc::new(Mutex::new(Vec::new()));
        let streams = Streams {
            input: Box::new(input),
            output: keep(&output),
            errors: keep(if self.merge { &output } else { &errors }),
        };
        let directory = std::fs::canonicalize(self.path()).unwrap();
        let script = Script {
            text: text.to_owned(),
            name: "bash".to_owned(),
            directory: (self.state.is_none() && self.roots)
                .then(|| directory.to_string_lossy().into_owned()),
            state: self.state.take(),
            ..Script::default()
        };
        let roots = self.roots.then_some(directory);
        let world = Arc::new(World::new(roots));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let run = engine::run(script, world, self.commands.clone(), streams);
        let ending = runtime.block_on(run).unwrap();
        self.state.clone_from(&ending.state);
        let text =
            |bytes: &Mutex<Vec<u8>>| String::from_utf8_lossy(&bytes.lock().unwrap()).into_owned();
        Ran { ending, output: text(&output), errors: text(&errors) }
    }

    /// Runs a script with some text as its standard input.
    pub(crate) fn run(&mut self, text: &str, input: &str) -> Ran {
        self.run_with(text, Text(input.as_bytes().to_vec()))
    }
}

/// Runs a script by itself, and checks what it writes.
pub(crate) fn check(text: &str, wanted: &str) {
    let ran = Shell::new().run(text, "");
    assert_eq!(ran.output, wanted, "{text}\n{}", ran.errors);
}

/// The same with standard input.
pub(crate) fn check_input(text: &str, input: &str, wanted: &str) {
    let ran = Shell::new().run(text, input);
    assert_eq!(ran.output, wanted, "{text}\n{}", ran.errors);
}

fn keep(to: &Arc<Mutex<Vec<u8>>>) -> Sink {
    let to = Arc::clone(to);
    Box::new(move |bytes| {
        to.lock().unwrap().extend_from_slice(bytes);
        Ok(())
    })
}

/// Text that is all there.
pub(crate) struct Text(pub(crate) Vec<u8>);

impl Source for Text {
    fn read(&mut self) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async { Ok(std::mem::take(&mut self.0)) })
    }
}

/// Text that comes when it is sent.
pub(crate) struct Channel(pub(crate) mpsc::Receiver<Vec<u8>>);

impl Source for Channel {
    fn read(&mut self) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async { Ok(self.0.recv().await.unwrap_or_default()) })
    }
}

/// Input that nobody may read.
pub(crate) struct Untouched;

impl Source for Untouched {
    fn read(&mut self) -> Pending<'_, io::Result<Vec<u8>>> {
        panic!("the script's input was read");
    }
}

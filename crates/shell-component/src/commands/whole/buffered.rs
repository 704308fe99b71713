//! Commands that have little to read and to write: they take their input whole, and what they write is
//! written when they are done.

use std::{
    collections::HashMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    command::{Command, Invocation, Pending, is_descriptor},
    engine::reason,
    filesystem::{Device, Facts, Kind, World},
};

/// A command as a function.
pub(crate) struct Buffered {
    /// Whether standard input is read, by the arguments. Who does not need it leaves it to others.
    pub(crate) wants_input: fn(&[String]) -> bool,
    /// Runs it, and returns its exit code.
    pub(crate) run: fn(&mut Call<'_>) -> u8,
}

/// A call of such a command.
pub(crate) struct Call<'a> {
    /// The name it was called by.
    pub(crate) name: &'a str,
    /// Its arguments.
    pub(crate) arguments: &'a [String],
    /// Its environment.
    pub(crate) environment: &'a HashMap<String, String>,
    /// The files it can reach.
    pub(crate) world: Arc<World>,
    /// All of its standard input, if it wanted it.
    pub(crate) input: Vec<u8>,
    /// What it writes to its standard output.
    pub(crate) output: Vec<u8>,
    /// What it writes to its standard error.
    pub(crate) errors: Vec<u8>,
    directory: &'a Path,
    /// What there is to read from the descriptors that the arguments name.
    read_from: HashMap<PathBuf, Vec<u8>>,
    /// What is to be written to descriptors.
    written_to: Vec<(PathBuf, Vec<u8>)>,
}

impl Command for Buffered {
    fn run<'a>(&'a self, mut invocation: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let mut input = Vec::new();
            if (self.wants_input)(invocation.arguments) {
                loop {
                    let chunk = invocation.input.chunk().await?;
                    if chunk.is_empty() {
                        break;
                    }
                    input.extend_from_slice(&chunk);
                }
            }
            let mut read_from = HashMap::new();
            for path in descriptors_in(invocation.arguments) {
                // A name that is no descriptor's is missing when it is wanted.
                if let Ok(content) = invocation.descriptors.read(&path).await {
                    read_from.insert(path, content);
                }
            }
            let mut call = Call {
                name: invocation.name,
                arguments: invocation.arguments,
                environment: invocation.environment,
                world: Arc::clone(&invocation.world),
                input,
                output: Vec::new(),
                errors: Vec::new(),
                directory: invocation.directory,
                read_from,
                written_to: Vec::new(),
            };
            let code = (self.run)(&mut call);
            let (output, errors, written_to) = (call.output, call.errors, call.written_to);
            for (path, content) in written_to {
                invocation.descriptors.append(&path, &content).await?;
            }
            if !errors.is_empty() {
                invocation.errors.write(&errors).await?;
            }
            if !output.is_empty() {
                invocation.output.write(&output).await?;
            }
            Ok(code)
        })
    }
}

impl Call<'_> {
    /// The path that `name` means in the working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A whole file, or standard input for `-`. The error is in the words of the C library.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        if name == "-" || name == "/dev/stdin" {
            return Ok(self.input.clone());
        }
        let path = self.path(name);
        if let Some(content) = self.read_from.get(&path) {
            return Ok(content.clone());
        }
        if self.world.facts(&path).is_ok_and(|facts| facts.kind == Kind::Directory) {
            return Err("Is a directory".to_owned());
        }
        self.world.read(&path).map_err(|error| reason(&error))
    }

    /// What is known about a file.
    pub(crate) fn facts(&self, name: &str) -> io::Result<Facts> {
        let path = self.path(name);
        if self.read_from.contains_key(&path) {
            return Ok(Device::Null.facts());
        }
        self.world.facts(&path)
    }

    /// What is known about a file, or about the link that its name is.
    pub(crate) fn facts_of_link(&self, name: &str) -> io::Result<Facts> {
        let path = self.path(name);
        if self.read_from.contains_key(&path) {
            return Ok(Device::Null.facts());
        }
        self.world.facts_of_link(&path)
    }

    /// Replaces a file.
    pub(crate) fn write(&mut self, name: &str, content: &[u8]) -> Result<(), String> {
        let path = self.path(name);
        if is_descriptor(&path) {
            self.written_to.push((path, content.to_vec()));
            return Ok(());
        }
        let write = || {
            let mut file = self.world.create(&path, false)?;
            file.write_all(content)?;
            file.flush()
        };
        write().map_err(|error: io::Error| reason(&error))
    }

    /// Says something on standard error, after the command's name.
    pub(crate) fn complain(&mut self, message: impl fmt::Display) {
        let text = format!("{}: {message}\n", self.name);
        self.errors.extend_from_slice(text.as_bytes());
    }

    /// Writes a line to standard output.
    pub(crate) fn say(&mut self, line: impl fmt::Display) {
        self.output.extend_from_slice(format!("{line}\n").as_bytes());
    }
}

/// The paths of descriptors in the arguments, also within options.
fn descriptors_in(arguments: &[String]) -> impl Iterator<Item = PathBuf> {
    const DIRECTORY: &str = "/dev/fd/";
    arguments.iter().filter_map(|argument| {
        let at = argument.find(DIRECTORY)?;
        let number = &argument[at + DIRECTORY.len()..];
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| PathBuf::from(&argument[at..]))
    })
}

/// For commands that never read standard input.
pub(crate) fn never(_: &[String]) -> bool {
    false
}

/// For commands that always do.
pub(crate) fn always(_: &[String]) -> bool {
    true
}

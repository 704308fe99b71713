//! What a command of the shell is: it reads, writes, and ends with a code.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use crate::{
    engine::{is_fatal, reason},
    filesystem::{Device, Facts, World},
};

/// A future that a command is, or waits for.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where bytes come from.
pub trait Source: Send {
    /// The next bytes, as they come; none at the end.
    fn read(&mut self) -> Pending<'_, io::Result<Vec<u8>>>;

    /// Takes back what was read and not used, for who reads the same source next. Pipes lose it, as
    /// they do elsewhere.
    fn give_back(&mut self, _bytes: Vec<u8>) {}
}

/// Where bytes go.
pub trait Drain: Send {
    /// Writes all of `bytes`, and waits for room as long as it takes.
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> Pending<'a, io::Result<()>>;
}

/// Files that belong to the call and not to the world: what `<(…)` and `>(…)` stand for.
pub trait Descriptors: Send + Sync {
    /// All that there is to read.
    fn read<'a>(&'a self, path: &'a Path) -> Pending<'a, io::Result<Vec<u8>>>;

    /// Writes on.
    fn append<'a>(&'a self, path: &'a Path, bytes: &'a [u8]) -> Pending<'a, io::Result<()>>;
}

/// Whether a path is that of a descriptor.
#[must_use]
pub fn is_descriptor(path: &Path) -> bool {
    path.starts_with("/dev/fd")
}

/// A call of a command.
pub struct Invocation<'a> {
    /// The name it was called by.
    pub name: &'a str,
    /// Its arguments.
    pub arguments: &'a [String],
    /// Its environment.
    pub environment: &'a HashMap<String, String>,
    /// Its working directory.
    pub directory: &'a Path,
    /// The files it can reach.
    pub world: Arc<World>,
    /// Those that are its own.
    pub descriptors: Arc<dyn Descriptors>,
    /// Its standard input.
    pub input: Input,
    /// Its standard output.
    pub output: Output,
    /// Its standard error.
    pub errors: Output,
}

impl fmt::Debug for Invocation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Invocation<'_> {
    /// The path that `name` means in the working directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// What is known about the file that `name` means.
    pub fn facts(&self, name: &str) -> io::Result<Facts> {
        let path = self.path(name);
        if is_descriptor(&path) { Ok(Device::Null.facts()) } else { self.world.facts(&path) }
    }

    /// Standard input, for who reads it; it ends for who takes it again.
    #[must_use]
    pub fn take_input(&mut self) -> Input {
        std::mem::replace(&mut self.input, Input::new(Box::new(Ended)))
    }

    /// Says something on standard error, after the command's name. Where that is closed, nobody
    /// hears it.
    pub async fn complain(&mut self, message: impl fmt::Display) -> io::Result<()> {
        let text = format!("{}: {message}\n", self.name);
        match self.errors.write(text.as_bytes()).await {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Complains about a file. What is no matter of the file (a pipe nobody reads, a limit) is an
    /// error of the command itself.
    pub async fn complain_about(&mut self, file: &str, error: io::Error) -> io::Result<()> {
        if is_fatal(&error) {
            return Err(error);
        }
        self.complain(format!("{file}: {}", reason(&error))).await
    }
}

/// A command.
pub trait Command: Send + Sync {
    /// Runs it to its end, which is its code. An error is one of its standard streams.
    fn run<'a>(&'a self, invocation: Invocation<'a>) -> Pending<'a, io::Result<u8>>;
}

/// Standard input, with what was read ahead.
pub struct Input {
    source: Box<dyn Source>,
    ahead: Vec<u8>,
    position: usize,
}

impl Input {
    /// Reads from `source`.
    #[must_use]
    pub fn new(source: Box<dyn Source>) -> Self {
        Self { source, ahead: Vec::new(), position: 0 }
    }

    /// What is there, as it comes; none at the end.
    pub async fn chunk(&mut self) -> io::Result<Vec<u8>> {
        if self.position < self.ahead.len() {
            let rest = self.ahead.split_off(self.position);
            self.ahead.clear();
            self.position = 0;
            return Ok(rest);
        }
        self.source.read().await
    }

    /// Puts bytes that were read back in front of what comes.
    pub fn put_back(&mut self, bytes: &[u8]) {
        let mut ahead = bytes.to_vec();
        ahead.extend_from_slice(&self.ahead[self.position..]);
        self.ahead = ahead;
        self.position = 0;
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if self.position < self.ahead.len() {
            let rest = self.ahead.split_off(self.position);
            self.source.give_back(rest);
        }
    }
}

/// A source that has ended.
struct Ended;

impl Source for Ended {
    fn read(&mut self) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// How much a command collects before it writes: large enough that what a write costs does not
/// count.
const OUTPUT_BUFFER: usize = 32 * 1024;

/// A standard stream that is written to.
pub struct Output {
    drain: Box<dyn Drain>,
    buffer: Vec<u8>,
}

impl Output {
    /// Writes to `drain`.
    #[must_use]
    pub fn new(drain: Box<dyn Drain>) -> Self {
        Self { drain, buffer: Vec::new() }
    }

    /// Writes `bytes` at once, after what is buffered.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.flush().await?;
        self.drain.write(bytes).await
    }

    /// Where to put bytes that [`relieve`](Self::relieve) or [`flush`](Self::flush) writes.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Writes what is buffered if that is much.
    pub async fn relieve(&mut self) -> io::Result<()> {
        if self.buffer.len() >= OUTPUT_BUFFER { self.flush().await } else { Ok(()) }
    }

    /// Writes what is buffered.
    pub async fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.drain.write(&self.buffer).await?;
            self.buffer.clear();
        }
        Ok(())
    }
}

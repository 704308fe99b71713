//! The pipes that a command was given by name: `<( )` and `>( )` are `/dev/fd/63` and so on.

use std::{
    io::{self, Cursor, Read, Write},
    path::Path,
    sync::Arc,
};

/// The pipes of one command. Their other ends never make one wait.
pub(crate) trait Pipes: Send + Sync + std::fmt::Debug {
    /// Everything that comes out of the pipe.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Puts more into it.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
}

/// Whether a path is one of a pipe: the first three descriptors are the standard streams.
pub(super) fn is_pipe(path: &Path) -> bool {
    let number = path.to_str().and_then(|path| path.strip_prefix("/dev/fd/"));
    number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number >= 3)
}

pub(super) fn open(pipes: &Arc<dyn Pipes>, path: &Path) -> io::Result<Box<dyn Read + Send>> {
    Ok(Box::new(Cursor::new(pipes.read(path)?)))
}

pub(super) fn create(pipes: &Arc<dyn Pipes>, path: &Path) -> Box<dyn Write + Send> {
    Box::new(PipeWriter { pipes: Arc::clone(pipes), path: path.into() })
}

struct PipeWriter {
    pipes: Arc<dyn Pipes>,
    path: Box<Path>,
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pipes.write(&self.path, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

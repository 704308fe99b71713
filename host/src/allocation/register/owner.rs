//! The locks that say which Runtimes live. Each has a file of its own, locked with `flock` for as long
//! as anybody has it open: the Runtime, or a program that it started and that inherited it. The
//! system lets go of it with the last of them, however they end; a process that is merely stopped
//! keeps it. A process id says none of this: another process may have it by now.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, OFlags, flock};
use uuid::Uuid;

/// The name of a lock, without the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LockName(Uuid);

impl LockName {
    pub(super) fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// A name is never taken for a path, whoever wrote it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }

    /// The lock that a file is, by its name.
    pub(super) fn of_file(name: &std::ffi::OsStr) -> Option<Self> {
        Self::parse(name.to_str()?.strip_suffix(".lock")?)
    }

    pub(super) fn text(self) -> String {
        self.0.simple().to_string()
    }

    pub(super) fn path(self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.lock", self.0.simple()))
    }
}

/// A lock that is held.
pub(super) struct HeldLock {
    pub(super) name: LockName,
    pub(super) file: File,
    pub(super) inode: u64,
}

impl HeldLock {
    /// Makes a lock, and holds it.
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        let name = LockName::generate();
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(name.path(directory))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let inode = file.metadata()?.ino();
        Ok(Self { name, file, inode })
    }
}

/// What the system says of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Somebody has it open.
    Held,
    /// Nobody does.
    Free,
    /// The file is gone, or is another one: who had it open may still have.
    Lost,
}

/// Whether somebody holds the lock called `name`, which was the file with this `inode`. While somebody
/// has that open, no other file in the directory can get its number.
pub(super) fn life(directory: &Path, name: LockName, inode: u64) -> io::Result<Life> {
    let Some(file) = open(directory, name)? else { return Ok(Life::Lost) };
    if file.metadata()?.ino() != inode {
        return Ok(Life::Lost);
    }
    // Shared, so that two who ask at once do not take each other for its holder.
    let is_free = is_free(&file, FlockOperation::NonBlockingLockShared)?;
    Ok(if is_free { Life::Free } else { Life::Held })
}

/// Whether somebody holds the lock called `name`, of which nothing is recorded.
pub(super) fn is_held(directory: &Path, name: LockName) -> io::Result<bool> {
    let Some(file) = open(directory, name)? else { return Ok(false) };
    Ok(!is_free(&file, FlockOperation::NonBlockingLockShared)?)
}

fn open(directory: &Path, name: LockName) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    // Whatever was put in its place is neither followed nor waited for.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    options.read(true).custom_flags(flags.cast_signed());
    match options.open(name.path(directory)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A link.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_free(file: &File, how: FlockOperation) -> io::Result<bool> {
    match flock(file, how) {
        Ok(()) => Ok(true),
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What is another one after each start of the machine, and the same for all its processes; empty
/// where the system has nothing like it.
pub(super) fn boot() -> String {
    let boot = match cfg!(target_os = "linux") {
        true => std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
        false => String::new(),
    };
    boot.trim().to_owned()
}

//! Scratch: a private directory for each Worker, below the Runtime's own, removed with the Worker.
//!
//! A guest may have made anything in it: links to anywhere, a million entries, directories that lie
//! in each other a hundred thousand deep. Nothing here follows a link, recurses, or holds more than
//! a bounded number of handles.

use std::{
    collections::HashSet,
    io,
    path::Path,
    str::FromStr as _,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use cap_fs_ext::DirExt as _;
use cap_std::{
    ambient_authority,
    fs::{Dir, Metadata, ReadDir},
};
use worker_types::WorkerId;

/// What an entry takes of a quota beside its content: so a quota bounds their number, too.
pub(crate) const ENTRY_BYTES: u64 = 4_096;

/// Directories that lie in each other, each of them a handle while a tree is measured.
const MAX_DEPTH: usize = 128;

/// Where directories that are being removed lie, beside those of Workers.
const REMOVED: &str = "removed";

/// The private directories of a Runtime's Workers.
#[derive(Debug)]
pub(crate) struct ScratchDirectories {
    all: Dir,
    measuring: Arc<Measuring>,
}

/// The private directory of one Worker.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) dir: Dir,
    pub(crate) measuring: Arc<Measuring>,
}

/// Directories that are measured at once: each takes a handle for each level.
const MEASURED_AT_ONCE: u64 = 4;

/// Bounds how many measure at once. Whoever came first goes first: one who measures again and again
/// goes behind everybody else each time.
#[derive(Debug, Default)]
pub(crate) struct Measuring {
    queue: Mutex<Queue>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    came: u64,
    left: u64,
}

/// A place among those who measure.
#[derive(Debug)]
pub(crate) struct MeasuringPlace<'a>(&'a Measuring);

impl Measuring {
    /// Waits for a place. This blocks.
    pub(crate) fn wait(&self) -> MeasuringPlace<'_> {
        let mut queue = self.lock();
        let number = queue.came;
        queue.came += 1;
        while number >= queue.left + MEASURED_AT_ONCE {
            queue = self.left.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        MeasuringPlace(self)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics between a lock and the end of its change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MeasuringPlace<'_> {
    fn drop(&mut self) {
        self.0.lock().left += 1;
        self.0.left.notify_all();
    }
}

impl ScratchDirectories {
    /// Below `path`, which is made for this user alone.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)?;
        let all = Dir::open_ambient_dir(path, ambient_authority())?;
        Ok(Self { all, measuring: Arc::default() })
    }

    /// The directory of `worker`, to be measured.
    pub(super) fn to_measure(&self, dir: &Dir) -> io::Result<Scratch> {
        Ok(Scratch { dir: dir.try_clone()?, measuring: Arc::clone(&self.measuring) })
    }

    /// The directory of `worker`, which is made where it is not there yet.
    pub(crate) fn of(&self, worker: WorkerId) -> io::Result<Dir> {
        let name = worker.to_string();
        match self.all.open_dir_nofollow(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        self.make(&name)?;
        self.all.open_dir_nofollow(&name)
    }

    fn make(&self, name: &str) -> io::Result<()> {
        match self.all.create_dir(name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes the directory of `worker`, if it has one, with all that is in it.
    pub(crate) fn remove(&self, worker: WorkerId) -> io::Result<()> {
        self.make(REMOVED)?;
        // First out of the way: whoever finds it there knows that it is to go.
        let removed = self.all.open_dir_nofollow(REMOVED)?;
        let name = worker.to_string();
        match self.all.rename(&name, &removed, &name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => remove_tree(&removed, &name),
        }
    }

    /// Removes what an earlier life left: the directories of Workers that are not `kept`. One that
    /// cannot be removed keeps no other; the first failure is told.
    pub(crate) fn sweep(&self, kept: impl Fn(WorkerId) -> bool) -> io::Result<()> {
        let mut gone = Vec::new();
        for entry in self.all.entries()? {
            let name = entry?.file_name();
            if let Some(worker) = name.to_str().and_then(|name| WorkerId::from_str(name).ok())
                && !kept(worker)
            {
                gone.push(worker);
            }
        }
        let swept = gone.into_iter().map(|worker| self.remove(worker)).fold(Ok(()), Result::and);
        self.make(REMOVED)?;
        let removed = self.all.open_dir_nofollow(REMOVED)?;
        let left: Vec<_> = removed.entries()?.collect::<io::Result<_>>()?;
        let left = left.iter().map(|entry| remove_tree(&removed, entry.file_name()));
        left.fold(swept, Result::and)
    }
}

/// Removes a directory with all that is in it.
fn remove_tree(above: &Dir, name: impl AsRef<Path>) -> io::Result<()> {
    remove_contents(&above.open_dir_nofollow(name.as_ref())?)?;
    above.remove_dir(name)
}

/// Removes everything in `dir`. Directories are first moved up into it, so that none is deeper than
/// one below, however deep it was.
fn remove_contents(dir: &Dir) -> io::Result<()> {
    let mut moved: u64 = 0;
    loop {
        let mut found = false;
        // Listed anew until nothing is left: what is moved up may or may not be in this listing.
        for entry in dir.entries()? {
            let entry = entry?;
            found = true;
            let name = entry.file_name();
            if !is_directory(dir, &name)? {
                gone(dir.remove_file_or_symlink(&name))?;
                continue;
            }
            let below = dir.open_dir_nofollow(&name)?;
            for entry in below.entries()? {
                let name = entry?.file_name();
                if is_directory(&below, &name)? {
                    move_up(&below, &name, dir, &mut moved)?;
                } else {
                    gone(below.remove_file_or_symlink(&name))?;
                }
            }
            match dir.remove_dir(&name) {
                // Something was missed while it was listed; the next round finds it.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                removed => gone(removed)?,
            }
        }
        if !found {
            return Ok(());
        }
    }
}

/// Moves a directory into `dir`, under a name that nothing has there.
fn move_up(from: &Dir, name: &std::ffi::OsStr, dir: &Dir, moved: &mut u64) -> io::Result<()> {
    loop {
        *moved += 1;
        let free = format!("moved-{moved}");
        // A directory can be renamed over an empty one, which would be no loss.
        if dir.symlink_metadata(&free).is_err() {
            return from.rename(name, dir, free);
        }
    }
}

fn is_directory(dir: &Dir, name: &std::ffi::OsStr) -> io::Result<bool> {
    match dir.symlink_metadata(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => Ok(found?.is_dir()),
    }
}

/// Somebody else may remove the same tree.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A tree of files, to be measured.
#[derive(Debug)]
pub(crate) struct Tree<'a>(pub(crate) &'a Dir);

impl Tree<'_> {
    /// What is in it, in bytes: of each file the more of its length and of the space it takes, once
    /// for all its names, and 4 KiB for each entry. Nothing where it is deeper than can be measured.
    pub(crate) fn bytes(&self) -> io::Result<Option<u64>> {
        let mut bytes: u64 = 0;
        let mut linked = HashSet::new();
        // One handle for each level.
        let mut open: Vec<ReadDir> = vec![self.0.entries()?];
        loop {
            let depth = open.len();
            let Some(listing) = open.last_mut() else { break };
            let Some(entry) = listing.next() else {
                open.pop();
                continue;
            };
            let entry = entry?;
            bytes = bytes.saturating_add(ENTRY_BYTES);
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if metadata.is_dir() {
                if depth == MAX_DEPTH {
                    return Ok(None);
                }
                open.push(entry.open_dir()?.entries()?);
            } else if is_first_name(&metadata, &mut linked) {
                bytes = bytes.saturating_add(file_bytes(&metadata));
            }
        }
        Ok(Some(bytes))
    }
}

#[cfg(unix)]
fn is_first_name(metadata: &Metadata, linked: &mut HashSet<(u64, u64)>) -> bool {
    use cap_std::fs::MetadataExt as _;
    metadata.nlink() == 1 || linked.insert((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn is_first_name(_: &Metadata, _: &mut HashSet<(u64, u64)>) -> bool {
    true
}

/// A file with holes is as long as it says; one that is not may take more than that.
fn file_bytes(metadata: &Metadata) -> u64 {
    #[cfg(unix)]
    {
        use cap_std::fs::MetadataExt as _;
        metadata.len().max(metadata.blocks().saturating_mul(512))
    }
    #[cfg(not(unix))]
    metadata.len()
}

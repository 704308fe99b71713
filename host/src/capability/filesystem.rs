//! `wasi:filesystem`: the directories that were granted, and nothing else.
//!
//! A thin wrapper of wasmtime's implementation, which resolves every path and decides what a read-only
//! directory means. What is added here:
//!
//! - a guest opens no FIFO, socket or device ([`open`]);
//! - what it writes is counted, and bounded ([`quota`]);
//! - reads and writes that wait for the disk hold a bounded number of threads ([`streams`]);
//! - listing a directory holds a bounded piece of it ([`entries`]);
//! - files that are open at once are bounded, for a turn and for all of them;
//! - git directories are not written to, unless the root says so.
//!
//! What each call does with all this is in [`calls`].

mod calls;
mod entries;
mod handles;
mod open;
mod quota;
mod streams;
mod working_directory;

use std::{collections::BTreeMap, fmt, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::{
    filesystem::{Dir, FsPerms, OpenMode, WasiFilesystemCtx},
    p2::{
        FsError, FsResult,
        bindings::filesystem::{
            preopens,
            types::{self, ErrorCode},
        },
    },
};
use worker_types::{Access, Limits};

pub(crate) use self::{handles::Handles, working_directory::EnterError};
use self::{
    quota::{Quota, Written},
    streams::Calls,
};
use crate::{grants::OpenPreopen, runtime::TurnPreopens, turn::TurnMeter};

/// Reads and writes of one turn that may wait for the disk at once: each holds a thread.
const CALLS_AT_ONCE: usize = 8;

/// The file system of one turn.
pub(crate) struct FilesystemCtx {
    wasi: WasiFilesystemCtx,
    preopens: Vec<(Dir, String, Held)>,
    /// What is kept beside each descriptor, by its place in the table of resources.
    held: BTreeMap<u32, Held>,
    written: Arc<Written>,
    calls: Calls,
    files: OpenFiles,
    handles: Handles,
    /// The right to have the preopens themselves open.
    open: Option<Arc<OwnedSemaphorePermit>>,
}

/// A preopen and the rules there.
#[derive(Debug)]
struct Area {
    quota: Option<Arc<Quota>>,
    exposes_git: bool,
}

/// What is kept beside a descriptor or stream.
#[derive(Debug, Clone)]
struct Held {
    area: Arc<Area>,
    /// Whether it was reached through a git directory.
    in_git: bool,
    /// The right to have it open; the preopens themselves need none.
    _open: Option<Arc<OpenFile>>,
}

impl Held {
    fn quota(&self) -> Option<&Arc<Quota>> {
        self.area.quota.as_ref()
    }

    /// Whether it is in a git directory that is not to be written to.
    fn is_guarded(&self) -> bool {
        self.in_git && !self.area.exposes_git
    }

    fn freed(&self) {
        if let Some(quota) = self.quota() {
            quota.freed();
        }
    }
}

/// How many files may be open.
#[derive(Debug, Clone)]
struct OpenFiles {
    of_turn: Arc<Semaphore>,
    of_runtime: Arc<Semaphore>,
}

/// The right to have one file open.
#[derive(Debug)]
struct OpenFile {
    quota: Option<Arc<Quota>>,
    _of_turn: OwnedSemaphorePermit,
    _of_runtime: OwnedSemaphorePermit,
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        // It may have lost its name before.
        if let Some(quota) = &self.quota {
            quota.freed();
        }
    }
}

impl OpenFiles {
    fn open(&self, area: &Area) -> FsResult<Arc<OpenFile>> {
        let permit = |semaphore: &Arc<Semaphore>| Arc::clone(semaphore).try_acquire_owned();
        // WASI has no word for too many files.
        let too_many = |_| FsError::from(ErrorCode::InsufficientMemory);
        Ok(Arc::new(OpenFile {
            quota: area.quota.clone(),
            _of_turn: permit(&self.of_turn).map_err(too_many)?,
            _of_runtime: permit(&self.of_runtime).map_err(too_many)?,
        }))
    }
}

impl fmt::Debug for FilesystemCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilesystemCtx").field("held", &self.held).finish_non_exhaustive()
    }
}

impl FilesystemCtx {
    /// The file system of a turn with these directories.
    pub(crate) fn new(
        preopens: TurnPreopens,
        meter: &Arc<TurnMeter>,
        limits: &Limits,
        files: &Arc<Semaphore>,
    ) -> Self {
        let TurnPreopens { opened, permit, handles } = preopens;
        let mut quota = None;
        let preopens = opened.into_iter().map(|preopen| {
            let OpenPreopen { dir, guest_path, access, scratch, exposes_git, extent: _ } = preopen;
            let quota = scratch.map(|scratch| {
                // One for all directories in it.
                let new = || Arc::new(Quota::new(scratch, limits.scratch_bytes, Arc::clone(meter)));
                Arc::clone(quota.get_or_insert_with(new))
            });
            let (perms, mode) = match access {
                Access::ReadOnly => (FsPerms::ReadOnly, OpenMode::READ),
                Access::ReadWrite => (FsPerms::ReadWrite, OpenMode::READ | OpenMode::WRITE),
            };
            let dir = Dir::new(dir.into_std_file(), perms, mode, false);
            handles.add(&dir.dir);
            let area = Arc::new(Area { quota, exposes_git });
            (dir, guest_path.as_str().to_owned(), Held { area, in_git: false, _open: None })
        });
        let open_files = usize::try_from(limits.turn_open_files).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            preopens: preopens.collect(),
            wasi: WasiFilesystemCtx::default(),
            held: BTreeMap::new(),
            written: Arc::new(Written::new(Arc::clone(meter), limits.turn_file_bytes)),
            calls: Calls::new(CALLS_AT_ONCE),
            files: OpenFiles {
                of_turn: Arc::new(Semaphore::new(open_files.min(Semaphore::MAX_PERMITS))),
                of_runtime: Arc::clone(files),
            },
            handles,
            open: permit.map(Arc::new),
        }
    }

    /// The same directories for another Store of the turn, within the same bounds: what one writes, holds
    /// open or waits for counts for all.
    pub(crate) fn fork(&self) -> Self {
        let preopens = self
            .preopens
            .iter()
            .map(|(dir, guest_path, held)| (dir.clone(), guest_path.clone(), held.clone()));
        Self {
            preopens: preopens.collect(),
            wasi: WasiFilesystemCtx::default(),
            held: BTreeMap::new(),
            written: Arc::clone(&self.written),
            calls: self.calls.clone(),
            files: self.files.clone(),
            handles: self.handles.clone(),
            open: self.open.clone(),
        }
    }

    /// Where the first directory is seen that is not the Worker's private one, or else that.
    pub(crate) fn first_directory(&self) -> Option<&str> {
        let others = self.preopens.iter().find(|(.., held)| held.quota().is_none());
        let first = others.or_else(|| self.preopens.first());
        first.map(|(_, guest_path, _)| guest_path.as_str())
    }

    /// Where the handles of its files are remembered.
    pub(crate) fn handles(&self) -> &Handles {
        &self.handles
    }
}

/// A file system, and the resources of its Store.
#[derive(Debug)]
pub(crate) struct FilesystemView<'a> {
    pub(crate) ctx: &'a mut FilesystemCtx,
    pub(crate) table: &'a mut ResourceTable,
}

/// What a Store holds that has a file system.
pub(crate) trait HasFiles: Send + 'static {
    fn files(&mut self) -> FilesystemView<'_>;
}

struct HasFilesystem;

impl HasData for HasFilesystem {
    type Data<'a> = FilesystemView<'a>;
}

/// Links the interfaces. They show nothing without a grant.
pub(crate) fn add_to_linker<T: HasFiles>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasFilesystem>(linker, T::files)?;
    preopens::add_to_linker::<_, HasFilesystem>(linker, T::files)
}

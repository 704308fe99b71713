//! Opening a file or directory for a guest: never one that blocks or that is more than a file.
//!
//! wasmtime opens first and looks later. Opening a FIFO waits for its other end, on a thread that no
//! cancel reaches, and opening a device may already do something. Here special files are refused
//! before the open, and where one takes the place of a file in between, the open does not wait, and
//! what was opened is refused.

use std::{fs::File, io, path::Path, sync::Arc};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::fs::{Dir, FileType, OpenOptions};
use wasmtime_wasi::{
    filesystem::{self, FsPerms, OpenMode},
    p2::bindings::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags},
};

use super::quota::{Account, ChargeError, OverQuota};
use crate::grants::git_directory;

/// How a guest wants something opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    follow: bool,
    create: bool,
    exclusive: bool,
    truncate: bool,
    directory: bool,
    read: bool,
    write: bool,
    /// Whether git directories are not to be written to.
    guards_git: bool,
}

/// Why it was not.
#[derive(Debug)]
pub(super) enum OpenError {
    Code(ErrorCode),
    Io(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ChargeError> for OpenError {
    fn from(error: ChargeError) -> Self {
        match error {
            ChargeError::OverQuota(OverQuota) => Self::Code(ErrorCode::Quota),
            ChargeError::Measure(error) => Self::Io(error),
        }
    }
}

impl How {
    /// What the flags mean, as in wasmtime's own `open-at`.
    pub(super) fn new(
        path: PathFlags,
        open: OpenFlags,
        descriptor: DescriptorFlags,
    ) -> Result<Self, ErrorCode> {
        let synced = DescriptorFlags::FILE_INTEGRITY_SYNC
            | DescriptorFlags::DATA_INTEGRITY_SYNC
            | DescriptorFlags::REQUESTED_WRITE_SYNC;
        if descriptor.intersects(synced) {
            return Err(ErrorCode::Unsupported);
        }
        let made = OpenFlags::CREATE | OpenFlags::EXCLUSIVE | OpenFlags::TRUNCATE;
        let directory = open.contains(OpenFlags::DIRECTORY);
        if directory && open.intersects(made) {
            return Err(ErrorCode::Invalid);
        }
        let create = open.contains(OpenFlags::CREATE);
        let truncate = open.contains(OpenFlags::TRUNCATE);
        let write = descriptor.contains(DescriptorFlags::WRITE);
        Ok(Self {
            follow: path.contains(PathFlags::SYMLINK_FOLLOW),
            create,
            exclusive: create && open.contains(OpenFlags::EXCLUSIVE),
            truncate,
            directory,
            // What is not to be written has to be opened for something.
            read: descriptor.contains(DescriptorFlags::READ) || !write,
            write: write || create || truncate,
            guards_git: false,
        })
    }

    /// The same, where git directories are not to be written to, or may be.
    pub(super) fn guarded(self, guards_git: bool) -> Self {
        Self { guards_git, ..self }
    }

    /// Whether it may change anything.
    pub(super) fn changes(self) -> bool {
        self.write
    }

    fn mode(self) -> OpenMode {
        let mut mode = OpenMode::empty();
        mode.set(OpenMode::READ, self.read);
        mode.set(OpenMode::WRITE, self.write);
        mode
    }

    fn options(self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(self.read).write(self.write).truncate(self.truncate);
        options.create(self.create).create_new(self.exclusive);
        options.follow(if self.follow { FollowSymlinks::Yes } else { FollowSymlinks::No });
        // Of no effect on files and directories.
        options.nonblock(true);
        options
    }
}

/// Whether a change at `path` below `dir` would reach into a git directory. This blocks.
pub(super) fn reaches_git(dir: &File, path: &str, follow: bool) -> io::Result<bool> {
    let dir = Dir::from_std_file(dir.try_clone()?);
    Ok(git_directory::is_reached(&dir, path, follow))
}

/// Opens what a guest names below `dir`, and tells whether it lies in a git directory, where that
/// matters. This blocks as long as the disk does, and no longer.
pub(super) fn open(
    dir: &File,
    path: &str,
    how: How,
    perms: FsPerms,
    account: &Account,
) -> Result<(filesystem::Descriptor, bool), OpenError> {
    let dir = Dir::from_std_file(dir.try_clone()?);
    // Before anything is made or cut short there, and once more when it is open: others may exchange
    // a link in between.
    if how.guards_git && how.changes() && git_directory::is_reached(&dir, path, how.follow) {
        return Err(OpenError::Code(ErrorCode::NotPermitted));
    }
    match file_type(&dir, path, how.follow) {
        Ok(file_type) => check(file_type)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if how.create {
                account.charge_entry()?;
            }
        }
        // The open says why.
        Err(_) => {}
    }
    let opened = dir.open_with(Path::new(path), &how.options())?.into_std();
    let in_git = how.guards_git && git_directory::lies_in_named(&opened);
    if in_git && how.changes() {
        return Err(OpenError::Code(ErrorCode::NotPermitted));
    }
    let file_type = opened.metadata()?.file_type();
    if file_type.is_dir() {
        let opened = filesystem::Dir::new(opened, perms, how.mode(), false);
        return Ok((filesystem::Descriptor::Dir(opened), in_git));
    }
    if !file_type.is_file() {
        return Err(OpenError::Code(ErrorCode::NotPermitted));
    }
    if how.directory {
        return Err(OpenError::Code(ErrorCode::NotDirectory));
    }
    let opened = filesystem::File::new(opened, perms, how.mode(), false);
    if let Some(quota) = &account.quota {
        // Also one that is only read keeps what it takes when it is removed.
        quota.opened(&Arc::clone(&opened.file));
        if how.truncate {
            quota.freed();
        }
    }
    Ok((filesystem::Descriptor::File(opened), in_git))
}

fn file_type(dir: &Dir, path: &str, follow: bool) -> io::Result<FileType> {
    let metadata = if follow { dir.metadata(path) } else { dir.symlink_metadata(path) };
    Ok(metadata?.file_type())
}

/// Refuses what is no file, directory or link.
fn check(file_type: FileType) -> Result<(), OpenError> {
    if file_type.is_file() || file_type.is_dir() || file_type.is_symlink() {
        Ok(())
    } else {
        Err(OpenError::Code(ErrorCode::NotPermitted))
    }
}

//! Listing a directory piece by piece: however many entries it has, a listing holds a few.

use std::{collections::VecDeque, fs::File, io, sync::Arc};

use cap_std::fs::{Dir, DirEntry, FileType, ReadDir};
use wasmtime_wasi::p2::{
    FsResult,
    bindings::filesystem::types::{DescriptorType, DirectoryEntry},
};

use super::Held;

/// Entries that are read at once.
const BATCH: usize = 256;

/// A listing that is under way.
#[derive(Debug)]
pub(super) struct Entries {
    /// Absent while it is read elsewhere, and at the end.
    rest: Option<Rest>,
    read: VecDeque<io::Result<Entry>>,
}

/// What is not read yet, and what goes with it wherever it is read: its handle, which is open until
/// the system is done with it, and the right to have it open.
#[derive(Debug)]
pub(super) struct Rest {
    listing: ReadDir,
    _open: (Arc<File>, Held),
}

#[derive(Debug)]
struct Entry {
    /// With a replacement character for what is not UTF-8: WASI has no other names. It is seen, and
    /// nothing is opened by it.
    name: String,
    file_type: DescriptorType,
}

impl Entries {
    /// Begins to list. This blocks.
    pub(super) fn open(dir: Arc<File>, held: Held) -> io::Result<Self> {
        let listing = Dir::from_std_file(dir.try_clone()?).entries()?;
        Ok(Self { rest: Some(Rest { listing, _open: (dir, held) }), read: VecDeque::new() })
    }

    /// The next entry, if it has been read.
    pub(super) fn next(&mut self) -> Option<FsResult<DirectoryEntry>> {
        let entry = self.read.pop_front()?;
        Some(match entry {
            Ok(Entry { name, file_type }) => Ok(DirectoryEntry { type_: file_type, name }),
            Err(error) => Err(error.into()),
        })
    }

    /// What is left to be read, if anything is.
    pub(super) fn take_rest(&mut self) -> Option<Rest> {
        self.rest.take()
    }

    /// Takes what was read of the rest.
    pub(super) fn put_back(&mut self, batch: Batch) {
        self.read = batch.read;
        self.rest = batch.rest;
    }
}

/// A piece of a listing.
#[derive(Debug)]
pub(super) struct Batch {
    read: VecDeque<io::Result<Entry>>,
    rest: Option<Rest>,
}

/// Reads the next piece. This blocks.
pub(super) fn read_batch(mut rest: Rest) -> Batch {
    let listed = rest.listing.by_ref().take(BATCH);
    let read: VecDeque<_> = listed.map(|entry| entry.and_then(|entry| describe(&entry))).collect();
    let rest = (read.len() == BATCH).then_some(rest);
    Batch { read, rest }
}

fn describe(entry: &DirEntry) -> io::Result<Entry> {
    let file_type = descriptor_type(entry.file_type()?);
    let name = entry.file_name();
    let name = name.into_string().unwrap_or_else(|name| name.to_string_lossy().into_owned());
    Ok(Entry { name, file_type })
}

fn descriptor_type(file_type: FileType) -> DescriptorType {
    #[cfg(unix)]
    {
        use cap_fs_ext::FileTypeExt as _;
        if file_type.is_block_device() {
            return DescriptorType::BlockDevice;
        }
        if file_type.is_char_device() {
            return DescriptorType::CharacterDevice;
        }
        if file_type.is_fifo() {
            return DescriptorType::Fifo;
        }
        if file_type.is_socket() {
            return DescriptorType::Socket;
        }
    }
    if file_type.is_dir() {
        DescriptorType::Directory
    } else if file_type.is_symlink() {
        DescriptorType::SymbolicLink
    } else if file_type.is_file() {
        DescriptorType::RegularFile
    } else {
        DescriptorType::Unknown
    }
}

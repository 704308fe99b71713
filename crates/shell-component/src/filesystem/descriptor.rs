//! Reading files by WASI itself. What `std` does takes twice as many calls of the host for each file,
//! and they are what a search in many small files spends its time with.

use std::{
    io::{self, ErrorKind, Read},
    path::Path,
    sync::OnceLock,
};

use wasip2::filesystem::{
    preopens,
    types::{Descriptor, DescriptorFlags, DescriptorType, ErrorCode, OpenFlags, PathFlags},
};

use super::{Entry, Kind};

static PREOPENS: OnceLock<Vec<(Descriptor, String)>> = OnceLock::new();

/// The preopen that a path lies in, the one with the longest path of its own, and the rest of it.
pub(super) fn preopen(path: &Path) -> io::Result<(&'static Descriptor, &str)> {
    let preopens = PREOPENS.get_or_init(preopens::get_directories);
    let (descriptor, rest) = preopens
        .iter()
        .filter_map(|(descriptor, directory)| {
            Some((descriptor, path.strip_prefix(directory).ok()?))
        })
        .min_by_key(|(_, rest)| rest.as_os_str().len())
        .ok_or(ErrorKind::NotFound)?;
    let rest = rest.to_str().ok_or(ErrorKind::InvalidFilename)?;
    Ok((descriptor, if rest.is_empty() { "." } else { rest }))
}

pub(super) fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let (directory, path) = preopen(path)?;
    let descriptor = directory
        .open_at(PathFlags::SYMLINK_FOLLOW, path, OpenFlags::empty(), DescriptorFlags::READ)
        .map_err(error)?;
    let mut file = DescriptorFile { descriptor, offset: 0, ahead: Vec::new(), ended: false };
    // Now, since that is when a directory is known to be one.
    file.fetch(FIRST).map_err(|error| {
        let stat = file.descriptor.stat();
        let is_directory = stat.is_ok_and(|stat| stat.type_ == DescriptorType::Directory);
        if is_directory { ErrorKind::IsADirectory.into() } else { error }
    })?;
    Ok(Box::new(file))
}

/// The entries of a directory. `std` asks for the number of each, which takes a call of the host, and fails
/// for a name that is not UTF-8.
pub(super) fn list(path: &Path) -> io::Result<Vec<Entry>> {
    let (directory, path) = preopen(path)?;
    let (flags, read) = (PathFlags::SYMLINK_FOLLOW, DescriptorFlags::READ);
    let descriptor = directory.open_at(flags, path, OpenFlags::DIRECTORY, read).map_err(error)?;
    let listing = descriptor.read_directory().map_err(error)?;
    let mut entries = Vec::new();
    while let Some(entry) = listing.read_directory_entry().map_err(error)? {
        let kind = match entry.type_ {
            DescriptorType::Directory => Kind::Directory,
            DescriptorType::SymbolicLink => Kind::Link,
            DescriptorType::RegularFile => Kind::File,
            _ => Kind::Device,
        };
        entries.push(Entry { name: entry.name, kind });
    }
    Ok(entries)
}

pub(super) fn names_of(path: &Path) -> io::Result<u64> {
    let (directory, path) = preopen(path)?;
    Ok(directory.stat_at(PathFlags::empty(), path).map_err(error)?.link_count)
}

/// What tells files apart, whatever they are called.
pub(super) fn hash_of(path: &Path) -> io::Result<(u64, u64)> {
    let (directory, path) = preopen(path)?;
    let hash = directory.metadata_hash_at(PathFlags::SYMLINK_FOLLOW, path).map_err(error)?;
    Ok((hash.lower, hash.upper))
}

/// How much is read when a file is opened: most are not larger.
const FIRST: u64 = 64 * 1024;

struct DescriptorFile {
    descriptor: Descriptor,
    offset: u64,
    ahead: Vec<u8>,
    ended: bool,
}

impl DescriptorFile {
    fn fetch(&mut self, length: u64) -> io::Result<()> {
        let (bytes, ended) = self.descriptor.read(length, self.offset).map_err(error)?;
        self.offset += bytes.len() as u64;
        self.ended = ended || bytes.is_empty();
        self.ahead = bytes;
        Ok(())
    }
}

impl Read for DescriptorFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() && !self.ended {
            self.fetch(buffer.len().max(4096) as u64)?;
        }
        let length = self.ahead.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.ahead[..length]);
        if length == self.ahead.len() {
            self.ahead.clear();
        } else {
            self.ahead.drain(..length);
        }
        Ok(length)
    }
}

/// The error as `std` has it.
pub(super) fn error(code: ErrorCode) -> io::Error {
    let kind = match code {
        ErrorCode::NoEntry => ErrorKind::NotFound,
        ErrorCode::Access | ErrorCode::NotPermitted => ErrorKind::PermissionDenied,
        ErrorCode::IsDirectory => ErrorKind::IsADirectory,
        ErrorCode::NotDirectory => ErrorKind::NotADirectory,
        ErrorCode::Exist => ErrorKind::AlreadyExists,
        ErrorCode::ReadOnly => ErrorKind::ReadOnlyFilesystem,
        ErrorCode::InsufficientSpace => ErrorKind::StorageFull,
        ErrorCode::Quota => ErrorKind::QuotaExceeded,
        ErrorCode::Invalid => ErrorKind::InvalidInput,
        ErrorCode::NameTooLong => ErrorKind::InvalidFilename,
        ErrorCode::Unsupported => ErrorKind::Unsupported,
        code => return io::Error::other(code.message()),
    };
    kind.into()
}

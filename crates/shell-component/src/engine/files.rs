//! The world as bashkit sees it.

use std::{
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use bashkit::{DirEntry, FileSystem, FileSystemExt, FileType, Metadata, Result, async_trait};

use crate::filesystem::{Facts, Kind, World};

/// The world behind bashkit's interface. To bashkit's layers in between, `stat` is what it is to the
/// lowest of them: that of a link itself. The highest one follows links.
pub(super) struct Files(pub(super) Arc<World>);

#[async_trait]
impl FileSystemExt for Files {}

#[async_trait]
impl FileSystem for Files {
    async fn read_file(&self, path: &Path) -> Result<Vec<u8>> {
        Ok(self.0.read(path).map_err(plain)?)
    }

    async fn write_file(&self, path: &Path, content: &[u8]) -> Result<()> {
        Ok(self.write(path, content, false).map_err(plain)?)
    }

    async fn append_file(&self, path: &Path, content: &[u8]) -> Result<()> {
        Ok(self.write(path, content, true).map_err(plain)?)
    }

    async fn mkdir(&self, path: &Path, recursive: bool) -> Result<()> {
        Ok(self.0.make_directory(path, recursive).map_err(plain)?)
    }

    async fn remove(&self, path: &Path, recursive: bool) -> Result<()> {
        Ok(self.0.remove(path, recursive).map_err(plain)?)
    }

    async fn stat(&self, path: &Path) -> Result<Metadata> {
        Ok(metadata(&self.0.facts_of_link(path).map_err(plain)?))
    }

    async fn lstat(&self, path: &Path) -> Result<Metadata> {
        Ok(metadata(&self.0.facts_of_link(path).map_err(plain)?))
    }

    async fn read_dir(&self, path: &Path) -> Result<Vec<DirEntry>> {
        let entries = self.0.list(path).map_err(plain)?;
        Ok(entries
            .into_iter()
            .map(|entry| {
                // A name that is not UTF-8 is seen all the same; what it stands for is not known.
                let facts = self.0.facts_of_link(&path.join(&entry.name)).ok();
                DirEntry {
                    metadata: facts.as_ref().map_or_else(
                        || Metadata { file_type: file_type(entry.kind), ..Metadata::default() },
                        metadata,
                    ),
                    name: entry.name,
                }
            })
            .collect())
    }

    async fn exists(&self, path: &Path) -> Result<bool> {
        Ok(self.0.facts(path).is_ok())
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        Ok(self.0.rename(from, to).map_err(plain)?)
    }

    async fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        Ok(self.0.copy(from, to).map_err(plain)?)
    }

    async fn symlink(&self, target: &Path, link: &Path) -> Result<()> {
        Ok(self.0.make_link(target, link).map_err(plain)?)
    }

    async fn read_link(&self, path: &Path) -> Result<PathBuf> {
        Ok(self.0.read_link(path).map_err(plain)?)
    }

    async fn chmod(&self, path: &Path, mode: u32) -> Result<()> {
        Ok(self.0.set_mode(path, mode).map_err(plain)?)
    }

    async fn set_modified_time(&self, path: &Path, time: SystemTime) -> Result<()> {
        Ok(self.0.set_modified(path, time).map_err(plain)?)
    }
}

impl Files {
    fn write(&self, path: &Path, content: &[u8], append: bool) -> io::Result<()> {
        let mut file = self.0.create(path, append)?;
        file.write_all(content)?;
        file.flush()
    }
}

fn metadata(facts: &Facts) -> Metadata {
    Metadata {
        file_type: file_type(facts.kind),
        size: facts.size,
        mode: facts.mode,
        modified: facts.modified,
        created: facts.created,
    }
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        // bashkit has no type for devices; a file is what can be read and written.
        Kind::File | Kind::Device => FileType::File,
        Kind::Directory => FileType::Directory,
        Kind::Link => FileType::Symlink,
    }
}

/// The error in the words of the C library, which are what scripts and people know.
#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
fn plain(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), reason(&error))
}

/// Why it failed, in the words of the C library.
pub(crate) fn reason(error: &io::Error) -> String {
    let known = match error.kind() {
        ErrorKind::NotFound => "No such file or directory",
        ErrorKind::PermissionDenied => "Permission denied",
        ErrorKind::AlreadyExists => "File exists",
        ErrorKind::NotADirectory => "Not a directory",
        ErrorKind::IsADirectory => "Is a directory",
        ErrorKind::DirectoryNotEmpty => "Directory not empty",
        ErrorKind::ReadOnlyFilesystem => "Read-only file system",
        ErrorKind::StorageFull => "No space left on device",
        ErrorKind::QuotaExceeded => "Disk quota exceeded",
        ErrorKind::FileTooLarge => "File too large",
        ErrorKind::CrossesDevices => "Invalid cross-device link",
        ErrorKind::TooManyLinks => "Too many links",
        ErrorKind::InvalidFilename => "File name too long",
        ErrorKind::BrokenPipe => "Broken pipe",
        ErrorKind::Unsupported => "Operation not supported",
        ErrorKind::OutOfMemory => "Cannot allocate memory",
        ErrorKind::InvalidInput => "Invalid argument",
        _ => "",
    };
    let said = error.to_string();
    if known.is_empty() || error.get_ref().is_some() {
        // `(os error 40)` helps nobody.
        return said.split(" (os error").next().unwrap_or(&said).to_owned();
    }
    known.to_owned()
}

//! The world as bashkit sees it.

use std::{
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use bashkit::{DirEntry, FileSystem, FileSystemExt, FileType, Metadata, Result, async_trait};

use crate::filesystem::{Facts, Kind, World};

/// In front of a redirection's target whose content nobody wants at once. It is no path of bashkit's
/// choosing, so it is a character that paths may have, and none have.
pub(super) const LAZY: &str = "\u{2063}\u{2063}\u{2063}";

/// The world behind bashkit's interface. To bashkit's layers in between, `stat` is what it is to the
/// lowest of them: that of a link itself. The highest one follows links.
pub(super) struct Files {
    world: Arc<World>,
    /// What stands for a file's content where that is read later, before the file's path.
    mark: Vec<u8>,
}

#[async_trait]
impl FileSystemExt for Files {}

#[async_trait]
impl FileSystem for Files {
    async fn read_file(&self, path: &Path) -> Result<Vec<u8>> {
        if let Some(path) = lazy(path) {
            // That it can be opened is checked now, when bash does.
            self.world.open(&path).map_err(plain)?;
            let path = path.to_string_lossy();
            return Ok([self.mark.as_slice(), path.as_bytes()].concat());
        }
        Ok(self.world.read(path).map_err(plain)?)
    }

    async fn write_file(&self, path: &Path, content: &[u8]) -> Result<()> {
        Ok(self.write(path, content, false).map_err(plain)?)
    }

    async fn append_file(&self, path: &Path, content: &[u8]) -> Result<()> {
        Ok(self.write(path, content, true).map_err(plain)?)
    }

    async fn mkdir(&self, path: &Path, recursive: bool) -> Result<()> {
        Ok(self.world.make_directory(path, recursive).map_err(plain)?)
    }

    async fn remove(&self, path: &Path, recursive: bool) -> Result<()> {
        Ok(self.world.remove(path, recursive).map_err(plain)?)
    }

    async fn stat(&self, path: &Path) -> Result<Metadata> {
        if let Some(path) = lazy(path) {
            let facts = Facts { size: 0, ..self.world.facts(&path).map_err(plain)? };
            return Ok(metadata(&facts));
        }
        Ok(metadata(&self.world.facts_of_link(path).map_err(plain)?))
    }

    async fn lstat(&self, path: &Path) -> Result<Metadata> {
        if lazy(path).is_some() {
            return self.stat(path).await;
        }
        Ok(metadata(&self.world.facts_of_link(path).map_err(plain)?))
    }

    async fn read_dir(&self, path: &Path) -> Result<Vec<DirEntry>> {
        let entries = self.world.list(path).map_err(plain)?;
        Ok(entries
            .into_iter()
            .map(|entry| {
                // A name that is not UTF-8 is seen all the same; what it stands for is not known.
                let facts = self.world.facts_of_link(&path.join(&entry.name)).ok();
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
        Ok(self.world.facts(path).is_ok())
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        Ok(self.world.rename(from, to).map_err(plain)?)
    }

    async fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        Ok(self.world.copy(from, to).map_err(plain)?)
    }

    async fn symlink(&self, target: &Path, link: &Path) -> Result<()> {
        Ok(self.world.make_link(target, link).map_err(plain)?)
    }

    async fn read_link(&self, path: &Path) -> Result<PathBuf> {
        Ok(self.world.read_link(path).map_err(plain)?)
    }

    async fn chmod(&self, path: &Path, mode: u32) -> Result<()> {
        Ok(self.world.set_mode(path, mode).map_err(plain)?)
    }

    async fn set_modified_time(&self, path: &Path, time: SystemTime) -> Result<()> {
        Ok(self.world.set_modified(path, time).map_err(plain)?)
    }
}

impl Files {
    pub(super) fn new(world: Arc<World>, mark: &[u8]) -> Self {
        Self { world, mark: mark.to_vec() }
    }

    fn write(&self, path: &Path, content: &[u8], append: bool) -> io::Result<()> {
        let mut file = self.world.create(path, append)?;
        file.write_all(content)?;
        file.flush()
    }
}

/// The file that a path with the mark means: absolute, where the mark stands alone.
fn lazy(path: &Path) -> Option<PathBuf> {
    let mut real = PathBuf::from("/");
    let mut found = false;
    for name in path.iter().skip(1) {
        match name.to_str().and_then(|name| name.strip_prefix(LAZY)).filter(|_| !found) {
            None => real.push(name),
            Some(name) => {
                found = true;
                if name.is_empty() {
                    real = PathBuf::from("/");
                } else {
                    real.push(name);
                }
            }
        }
    }
    found.then_some(real)
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

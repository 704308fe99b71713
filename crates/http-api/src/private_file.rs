//! Small files of a data directory that are for their owner alone, such as what tells who is let in.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A file for its owner alone. It is replaced as a whole, so a reader sees all of a content or nothing of it.
#[derive(Debug, Clone)]
pub struct PrivateFile {
    path: PathBuf,
}

/// Why a private file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// The system does not let it be read or written.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    /// Others than its owner can read or write it.
    #[error("others than its owner can use it: `chmod 600` it")]
    NotPrivate,
    /// It is longer than what belongs there.
    #[error("it is longer than {limit_bytes} bytes")]
    TooLong {
        /// The most that it may have.
        limit_bytes: u64,
    },
}

/// What tells one content of a file from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    modified: Option<SystemTime>,
    bytes: u64,
    /// The file, its rights, and when either or its content changed.
    #[cfg(unix)]
    changed: (u64, u32, i64, i64),
}

impl PrivateFile {
    /// The file at `path`, which may be missing.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What tells its content from the next; nothing where it is missing. Takes a microsecond.
    #[must_use]
    pub fn stamp(&self) -> Option<FileStamp> {
        let found = fs::metadata(&self.path).ok()?;
        Some(FileStamp {
            modified: found.modified().ok(),
            bytes: found.len(),
            #[cfg(unix)]
            changed: {
                use std::os::unix::fs::MetadataExt as _;
                (found.ino(), found.mode(), found.ctime(), found.ctime_nsec())
            },
        })
    }

    /// What is in it, at most `limit_bytes`; nothing where it is missing. This waits for the disk.
    ///
    /// # Errors
    ///
    /// See [`PrivateFileError`].
    pub fn read(&self, limit_bytes: u64) -> Result<Option<Vec<u8>>, PrivateFileError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !is_private(&file.metadata()?) {
            return Err(PrivateFileError::NotPrivate);
        }
        let mut content = Vec::new();
        file.take(limit_bytes.saturating_add(1)).read_to_end(&mut content)?;
        if content.len() as u64 > limit_bytes {
            return Err(PrivateFileError::TooLong { limit_bytes });
        }
        Ok(Some(content))
    }

    /// Puts a file with this content in its place. Then it is on the disk, whatever happens to the machine. This
    /// waits for the disk.
    ///
    /// # Errors
    ///
    /// The system does not let it be written.
    pub fn replace(&self, content: &[u8]) -> io::Result<()> {
        // For its owner alone from the beginning.
        let mut beside = tempfile::NamedTempFile::new_in(self.dir())?;
        beside.write_all(content)?;
        beside.as_file().sync_all()?;
        beside.persist(&self.path).map_err(|error| error.error)?;
        self.sync_dir()
    }

    /// Removes it for good; false where there is none. This waits for the disk.
    ///
    /// # Errors
    ///
    /// The system does not let it be removed.
    pub fn remove(&self) -> io::Result<bool> {
        match fs::remove_file(&self.path) {
            Ok(()) => self.sync_dir().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn dir(&self) -> &Path {
        self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// What was there before does not come back after a power cut.
    fn sync_dir(&self) -> io::Result<()> {
        #[cfg(unix)]
        File::open(self.dir())?.sync_all()?;
        Ok(())
    }
}

#[cfg(unix)]
fn is_private(found: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o077 == 0
}

/// Elsewhere, who may do what is decided by where the directory lies.
#[cfg(not(unix))]
fn is_private(_found: &fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_replaced_as_a_whole_and_removed_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = PrivateFile::new(dir.path().join("file"));
        assert!(file.read(9).expect("readable").is_none() && file.stamp().is_none());
        file.replace(b"one").expect("written");
        let before = file.stamp();
        file.replace(b"two").expect("written");
        assert_ne!(file.stamp(), before, "as long as before, and another");
        assert_eq!(file.read(3).expect("readable").as_deref(), Some(&b"two"[..]));
        let too_long = file.read(2).expect_err("too long");
        assert!(matches!(too_long, PrivateFileError::TooLong { limit_bytes: 2 }));
        assert!(file.remove().expect("removed") && !file.remove().expect("nothing to remove"));
        assert!(fs::read_dir(dir.path()).expect("readable").next().is_none(), "nothing is left");
    }

    #[cfg(unix)]
    #[test]
    fn what_others_can_use_is_not_read_and_what_is_written_they_cannot() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().expect("a directory");
        let file = PrivateFile::new(dir.path().join("file"));
        file.replace(b"one").expect("written");
        let mode = fs::metadata(file.path()).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for mode in [0o640, 0o604, 0o620, 0o602] {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(file.path(), mode).expect("set");
            assert!(matches!(file.read(9), Err(PrivateFileError::NotPrivate)));
        }
    }
}

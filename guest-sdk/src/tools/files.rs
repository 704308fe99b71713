//! Paths and whole files.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use super::ToolError;

/// The largest file that is held in memory, for an edit or a search: a turn has 256 MiB, and an edit
/// holds a file twice.
pub(super) const MAX_FILE_BYTES: u64 = 16 << 20;

/// The directory that paths begin at unless they are absolute. Results name what lies in it by
/// relative paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The directory at this path, which is absolute: a component has no working directory of its
    /// own.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Where `path` leads. `.` and empty parts are left out.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.root.join(path).components().collect()
    }

    /// How results call `path`.
    pub(super) fn name(&self, path: &Path) -> String {
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        if relative.as_os_str().is_empty() {
            ".".to_owned()
        } else {
            relative.display().to_string()
        }
    }

    /// Why `path` could not be used, with what may have been meant.
    pub(super) fn refused(&self, verb: &str, path: &Path, error: io::Error) -> ToolError {
        let mut what = format!("cannot {verb} `{}`", self.name(path));
        if error.kind() == io::ErrorKind::NotFound
            && let Some(meant) = similar_name(path)
        {
            what.push_str(&format!(" (there is `{}`)", self.name(&meant)));
        }
        ToolError::File { what, source: error }
    }
}

/// A file beside `path` whose name differs in case or extension only, or contains it.
fn similar_name(path: &Path) -> Option<PathBuf> {
    /// Enough of a directory to look at for a hint.
    const MAX_ENTRIES: usize = 1000;
    let name = path.file_name()?.to_str()?.to_lowercase();
    let stem = path.file_stem()?.to_str()?.to_lowercase();
    let mut names: Vec<PathBuf> = fs::read_dir(path.parent()?)
        .ok()?
        .take(MAX_ENTRIES)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|other| {
            let of = |part: Option<&std::ffi::OsStr>| {
                part.and_then(|part| part.to_str()).unwrap_or_default().to_lowercase()
            };
            of(other.file_name()) == name || of(other.file_stem()) == stem
        })
        .collect();
    names.sort();
    names.into_iter().next()
}

/// The whole of a file that is small enough.
pub(super) fn read_whole(folder: &Folder, path: &Path) -> Result<Vec<u8>, ToolError> {
    let refused = |error| folder.refused("read", path, error);
    let file = File::open(path).map_err(refused)?;
    let metadata = file.metadata().map_err(refused)?;
    if metadata.is_dir() {
        return Err(is_a_directory(folder, path));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(refused)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ToolError::failed(format!(
            "`{}` is larger than {} MiB, the most that this tool works on",
            folder.name(path),
            MAX_FILE_BYTES >> 20
        )));
    }
    Ok(bytes)
}

pub(super) fn is_a_directory(folder: &Folder, path: &Path) -> ToolError {
    ToolError::failed(format!("`{}` is a directory; `glob` lists what is in it", folder.name(path)))
}

/// Makes a new file with these bytes. It appears whole or not at all: the bytes are written beside
/// it, and then get its name.
pub(super) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let mut number = 0;
    let (beside, mut file) = loop {
        let beside = path.with_file_name(format!(".{name}.{number}.new"));
        match OpenOptions::new().write(true).create_new(true).open(&beside) {
            Ok(file) => break (beside, file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 100 => {
                number += 1;
            }
            Err(error) => return Err(error),
        }
    };
    let made = file.write_all(bytes).and_then(|()| {
        drop(file);
        fs::rename(&beside, path)
    });
    if made.is_err() {
        // What is left beside is no use to anybody. The first error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    made
}

/// Puts `new` in the place of what is in a file, which was `old`, if somebody still has that.
///
/// It is written over and not replaced by another file: WASI tells and sets no mode, so another file
/// would lose that it is executable, or private, and its other names. Nothing is cut off before all
/// is written, and after an error what was there is written back.
pub(super) fn overwrite(path: &Path, old: Option<&[u8]>, new: &[u8]) -> io::Result<()> {
    // One that may not be opened stays as it is.
    let mut file = OpenOptions::new().write(true).open(path)?;
    let mut write = |bytes: &[u8]| {
        file.rewind()?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)
    };
    write(new).map_err(|error| match old.map(&mut write) {
        Some(Ok(())) => error,
        Some(Err(_)) | None => io::Error::new(
            error.kind(),
            format!("{error}; the file may have new bytes and old ones now"),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a");
        create(&path, b"x").expect("made");
        assert!(create(&directory.path().join("no/where"), b"x").is_err());
        fs::create_dir_all(directory.path().join("b/full")).expect("made");
        assert!(create(&directory.path().join("b"), b"x").is_err(), "a directory stays");
        let mut names: Vec<_> = fs::read_dir(&directory)
            .expect("listed")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["a", "b"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_written_over_stays_the_same_file() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.sh");
        fs::write(&path, "#!/bin/sh\nlong").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("set");
        let before = fs::metadata(&path).expect("metadata");
        overwrite(&path, None, b"short").expect("written over");
        let after = fs::metadata(&path).expect("metadata");
        assert_eq!(fs::read(&path).expect("read"), b"short");
        assert_eq!((before.ino(), before.mode()), (after.ino(), after.mode()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_error_says_what_became_of_the_file() {
        let error = overwrite(Path::new("/no/where"), Some(b"old"), b"new").expect_err("no file");
        assert_eq!(error.to_string(), "No such file or directory (os error 2)");
        let full = Path::new("/dev/full");
        let error = overwrite(full, Some(b"old"), b"new").expect_err("nothing has room there");
        assert!(
            error.to_string().ends_with("the file may have new bytes and old ones now"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_before_it_is_held() {
        let directory = tempfile::tempdir().expect("a directory");
        let folder = Folder::new(directory.path());
        let path = folder.resolve("a");
        File::create(&path).and_then(|file| file.set_len(MAX_FILE_BYTES + 1)).expect("made");
        let error = read_whole(&folder, &path).expect_err("too large");
        assert_eq!(
            error.to_string(),
            "`a` is larger than 16 MiB, the most that this tool works on"
        );
    }

    #[test]
    fn a_name_is_relative_within_the_folder() {
        let folder = Folder::new("/workspace");
        assert_eq!(folder.name(&folder.resolve("./a//b")), "a/b");
        assert_eq!(folder.name(&folder.resolve("/etc/x")), "/etc/x");
        assert_eq!(folder.name(&folder.resolve("/workspace")), ".");
    }
}

//! Files in the directories of the world, by paths that `std` resolves.

use std::{
    fs::{self, File, OpenOptions},
    io,
    io::Read,
    path::Path,
    time::SystemTime,
};

use super::{Entry, Kind};

pub(super) fn kind_of(kind: fs::FileType) -> Kind {
    if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Link
    } else if kind.is_file() {
        Kind::File
    } else {
        Kind::Device
    }
}

#[cfg(unix)]
pub(super) fn list(path: &Path) -> io::Result<Vec<Entry>> {
    fs::read_dir(path)?
        .map(|entry| {
            let entry = entry?;
            Ok(Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                kind: kind_of(entry.file_type()?),
            })
        })
        .collect()
}

#[cfg(unix)]
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(Box::new(file))
}

#[cfg(target_os = "wasi")]
pub(super) fn list(path: &Path) -> io::Result<Vec<Entry>> {
    super::descriptor::list(path)
}

#[cfg(target_os = "wasi")]
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    super::descriptor::open(path)
}

#[cfg(unix)]
pub(super) fn names_of(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::symlink_metadata(path)?.nlink())
}

#[cfg(target_os = "wasi")]
pub(super) fn names_of(path: &Path) -> io::Result<u64> {
    super::descriptor::names_of(path)
}

/// Whether these are names of one file.
#[cfg(unix)]
pub(super) fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (one, other) = (fs::metadata(one)?, fs::metadata(other)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

#[cfg(target_os = "wasi")]
pub(super) fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    Ok(one == other || super::descriptor::hash_of(one)? == super::descriptor::hash_of(other)?)
}

pub(super) fn remove(path: &Path, tree: bool) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        fs::remove_file(path)
    } else if tree {
        remove_tree(path)
    } else {
        fs::remove_dir(path)
    }
}

#[cfg(unix)]
use std::fs::remove_dir_all as remove_tree;

/// Removes a directory with all that is below. The standard library's keeps every directory open on the way
/// down, and a script may not have so many open.
#[cfg(target_os = "wasi")]
fn remove_tree(path: &Path) -> io::Result<()> {
    let mut left = vec![path.to_owned()];
    while let Some(directory) = left.last() {
        let mut below = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                below.push(entry.path());
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        if below.is_empty() {
            fs::remove_dir(directory)?;
            left.pop();
        } else {
            left.append(&mut below);
        }
    }
    Ok(())
}

pub(super) fn set_modified(path: &Path, time: SystemTime) -> io::Result<()> {
    let file = if fs::metadata(path)?.is_dir() {
        File::open(path)?
    } else {
        OpenOptions::new().write(true).open(path)?
    };
    file.set_modified(time)
}

#[cfg(not(unix))]
pub(super) fn begins_with_interpreter(path: &Path) -> bool {
    let mut begin = [0; 2];
    File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && &begin == b"#!"
}

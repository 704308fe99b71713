//! Whether a git directory could be written through a directory.
//!
//! A git directory holds hooks and configuration that `git` executes. Whoever writes one runs
//! programs as the user who next runs `git` there.

#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(windows)]
use std::os::windows::io::AsHandle as AsFd;
use std::{
    io,
    path::{Path, PathBuf},
};

use cap_fs_ext::DirExt as _;
use cap_std::fs::Dir;

use super::preopens::PreopenFault;

/// Entries that are looked at: more than a large repository has, and some seconds of work.
pub(super) const MAX_ENTRIES: usize = 1_000_000;

/// Directories that lie in each other and are looked at; each is a handle.
pub(super) const MAX_DEPTH: usize = 128;

/// The name of the git directory of a working tree, or of the file that leads to it.
const NAME: &str = ".git";

/// Whether something with these names is what `git` takes for one of its directories: `HEAD`, and
/// either all of its own or the way to where the rest is.
fn is_one(has: impl Fn(&str) -> bool) -> bool {
    has("HEAD") && (has("commondir") || has("objects") && has("refs"))
}

/// Links that are followed at the end of a path, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// Whether a change at a guest's `path` below `dir` would reach into a git directory, or make one,
/// links on the way included; `follow` says whether one at the end is followed. A path that leads
/// nowhere reaches nothing: whoever uses it learns why. This blocks.
pub(crate) fn is_reached(dir: &Dir, path: &str, follow: bool) -> bool {
    let mut path = PathBuf::from(path);
    for _ in 0..MAX_LINKS {
        if is_named(&path) {
            return true;
        }
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        let opened = above.map_or_else(|| dir.try_clone(), |above| dir.open_dir(above));
        let Ok(opened) = opened else { return false };
        if lies_in_named(&opened) {
            return true;
        }
        let link = path.file_name().filter(|_| follow).map(|name| opened.read_link(name));
        let Some(Ok(target)) = link else { return false };
        path = path.with_file_name(target);
    }
    // What nobody can follow is not followed to anything.
    false
}

/// Whether what is open lies below something of that name: where it is, not how it was reached.
pub(crate) fn lies_in_named(opened: &impl AsFd) -> bool {
    path_of(opened).map_or(true, |path| is_named(&path))
}

fn is_named(path: &Path) -> bool {
    path.iter().any(|name| name.eq_ignore_ascii_case(NAME))
}

/// Fails where `dir` is a git directory or lies in one.
pub(super) fn check_above(dir: &Dir) -> Result<(), PreopenFault> {
    if looks_like_one(dir) || lies_in_one(dir)? {
        return Err(PreopenFault::ExposesGit);
    }
    Ok(())
}

/// Fails where `dir` lies in a git directory, or has one in it. Links are not followed: a guest
/// cannot follow them out, and what they lead to inside is looked at itself.
pub(super) fn check(dir: &Dir) -> Result<(), PreopenFault> {
    check_above(dir)?;
    let mut entries = 0;
    let mut open = vec![(dir.entries()?, dir.try_clone()?)];
    while let Some((listing, dir)) = open.last_mut() {
        let Some(entry) = listing.next() else {
            open.pop();
            continue;
        };
        let entry = entry?;
        entries += 1;
        if entries > MAX_ENTRIES {
            return Err(PreopenFault::TooLargeForGit);
        }
        let name = entry.file_name();
        if name.eq_ignore_ascii_case(NAME) {
            return Err(PreopenFault::ExposesGit);
        }
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let below = match dir.open_dir_nofollow(&name) {
            Ok(below) => below,
            // Others work there meanwhile; and what we may not open, a guest may not either.
            Err(error) if is_harmless(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        if looks_like_one(&below) {
            return Err(PreopenFault::ExposesGit);
        }
        if open.len() == MAX_DEPTH {
            return Err(PreopenFault::TooDeepForGit);
        }
        match below.entries() {
            Ok(listing) => open.push((listing, below)),
            Err(error) if is_harmless(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn is_harmless(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

fn looks_like_one(dir: &Dir) -> bool {
    is_one(|name| dir.symlink_metadata(name).is_ok())
}

/// Looks at the directories above, up to the top of the file system.
fn lies_in_one(dir: &Dir) -> io::Result<bool> {
    let path = path_of(dir)?;
    let looks_like_one = |at: &Path| is_one(|name| at.join(name).symlink_metadata().is_ok());
    Ok(is_named(&path) || path.ancestors().any(looks_like_one))
}

/// Where what is open is now.
#[cfg(target_os = "linux")]
fn path_of(opened: &impl AsFd) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd as _;
    std::fs::read_link(format!("/proc/self/fd/{}", opened.as_fd().as_raw_fd()))
}

#[cfg(not(target_os = "linux"))]
fn path_of(_: &impl AsFd) -> io::Result<PathBuf> {
    Err(io::ErrorKind::Unsupported.into())
}

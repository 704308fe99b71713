//! Whether a git directory could be written through a directory.
//!
//! A git directory holds hooks and configuration that `git` executes. Whoever writes one runs
//! programs as the user who next runs `git` there.

use std::{
    io,
    path::{Path, PathBuf},
};

use cap_fs_ext::DirExt as _;
use cap_std::fs::Dir;

use super::preopens::{PreopenFault, fault};

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

/// Whether a guest's `path` goes through a git directory, or ends with one. File systems that do not
/// tell cases apart take any case for the name.
pub(crate) fn is_in(path: &str) -> bool {
    path.split('/').any(|name| name.eq_ignore_ascii_case(NAME))
}

/// Fails where `dir` is a git directory or lies in one.
pub(super) fn check_above(dir: &Dir) -> Result<(), PreopenFault> {
    if looks_like_one(dir) || lies_in_one(dir).map_err(|error| fault(&error))? {
        return Err(PreopenFault::ExposesGit);
    }
    Ok(())
}

/// Fails where `dir` lies in a git directory, or has one in it. Links are not followed: a guest
/// cannot follow them out, and what they lead to inside is looked at itself.
pub(super) fn check(dir: &Dir) -> Result<(), PreopenFault> {
    check_above(dir)?;
    let failed = |error: io::Error| fault(&error);
    let mut entries = 0;
    let mut open = vec![(dir.entries().map_err(failed)?, dir.try_clone().map_err(failed)?)];
    while let Some((listing, dir)) = open.last_mut() {
        let Some(entry) = listing.next() else {
            open.pop();
            continue;
        };
        let entry = entry.map_err(failed)?;
        entries += 1;
        if entries > MAX_ENTRIES {
            return Err(PreopenFault::TooLargeForGit);
        }
        let name = entry.file_name();
        if name.eq_ignore_ascii_case(NAME) {
            return Err(PreopenFault::ExposesGit);
        }
        if !entry.file_type().map_err(failed)?.is_dir() {
            continue;
        }
        let below = match dir.open_dir_nofollow(&name) {
            Ok(below) => below,
            // Others work there meanwhile; and what we may not open, a guest may not either.
            Err(error) if is_harmless(&error) => continue,
            Err(error) => return Err(fault(&error)),
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
            Err(error) => return Err(fault(&error)),
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
    Ok(path.ancestors().any(|at| {
        let is_named = at.file_name().is_some_and(|name| name.eq_ignore_ascii_case(NAME));
        is_named || looks_like_one(at)
    }))
}

/// Where a directory is now.
#[cfg(target_os = "linux")]
fn path_of(dir: &Dir) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd as _;
    std::fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd()))
}

#[cfg(not(target_os = "linux"))]
fn path_of(_: &Dir) -> io::Result<PathBuf> {
    Err(io::ErrorKind::Unsupported.into())
}

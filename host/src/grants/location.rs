//! Where a directory lies, whatever name led to it: in which file system, and where in that.
//!
//! Links, `..` and bind mounts are names; two names of one directory have one location, and a
//! directory that is mounted elsewhere lies below the one that it lies in.

#[cfg(target_os = "linux")]
mod mounts;

use std::{fmt, io, sync::Arc};

#[cfg(target_os = "linux")]
pub(crate) use mounts::Mounts;

/// A directory in a file system. The order puts whatever lies in a directory right behind it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Location {
    device: u64,
    /// The names on the way from the top of the file system, each ended by a zero byte, which no name
    /// contains: so a directory lies in another if its bytes begin with the other's.
    names: Arc<[u8]>,
}

/// What can be reached below a directory: where it lies, and where that lies which is mounted in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) location: Location,
    /// Those that lie elsewhere.
    pub(crate) mounted: Vec<Location>,
}

impl Extent {
    /// All of it.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &Location> {
        std::iter::once(&self.location).chain(&self.mounted)
    }

    /// Whether it is the same directory as `other`, and nothing is mounted in it that was not then.
    pub(crate) fn is_covered_by(&self, other: &Self) -> bool {
        let is_covered = |mounted: &Location| other.locations().any(|held| mounted.is_within(held));
        self.location == other.location && self.mounted.iter().all(is_covered)
    }
}

impl From<Location> for Extent {
    fn from(location: Location) -> Self {
        Self { location, mounted: Vec::new() }
    }
}

/// Why it cannot be told where a directory lies.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocateError {
    /// The directory was removed; a handle of it is all there is.
    #[error("it was removed")]
    Removed,
    /// It lies in no file system that this process has mounted.
    #[error("it lies in no file system that is mounted")]
    Detached,
    #[error("the system does not tell")]
    System(#[source] io::Error),
}

impl Location {
    /// The directory at `path` in the file system on `device`.
    pub(crate) fn new(device: u64, path: &[u8]) -> Self {
        let mut names = Vec::with_capacity(path.len() + 1);
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            names.extend_from_slice(name);
            names.push(0);
        }
        Self { device, names: names.into() }
    }

    /// The file system.
    #[cfg(all(unix, feature = "sqlite"))]
    pub(crate) fn device(&self) -> u64 {
        self.device
    }

    /// What it is found by in the file system.
    #[cfg(all(unix, feature = "sqlite"))]
    pub(crate) fn names(&self) -> &[u8] {
        &self.names
    }

    /// Whether it is `other`, or lies in it.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.device == other.device && self.names.starts_with(&other.names)
    }

    /// The directories that it lies in.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = Self> {
        self.ancestors_names().map(|names| Self { device: self.device, names: names.into() })
    }

    /// What these are found by.
    pub(crate) fn ancestors_names(&self) -> impl Iterator<Item = &[u8]> {
        let names: &[u8] = &self.names;
        let ends = (0..names.len()).filter(move |end| *end == 0 || names[*end - 1] == 0);
        ends.map(move |end| &names[..end])
    }
}

/// Without its path, which is nobody's business but the operator's.
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Location").field("device", &self.device).finish_non_exhaustive()
    }
}

/// Where there is no list of mounts: the device, and the path without links. Two mounts of one
/// directory are not known for the same there.
#[cfg(not(target_os = "linux"))]
#[derive(Debug, Default)]
pub(crate) struct Mounts;

#[cfg(not(target_os = "linux"))]
impl Mounts {
    /// Where `dir` lies, which was opened at `path`.
    pub(crate) fn locate(
        &self,
        dir: &cap_std::fs::Dir,
        path: &std::path::Path,
    ) -> Result<Extent, LocateError> {
        let path = path.canonicalize().map_err(LocateError::System)?;
        #[cfg(unix)]
        let device = {
            use cap_std::fs::MetadataExt as _;
            use std::os::unix::fs::MetadataExt as _;
            let held = dir.dir_metadata().map_err(LocateError::System)?;
            let there = std::fs::metadata(&path).map_err(LocateError::System)?;
            if (held.dev(), held.ino()) != (there.dev(), there.ino()) {
                return Err(LocateError::Detached);
            }
            held.dev()
        };
        #[cfg(not(unix))]
        let device = {
            let _ = dir;
            0
        };
        let names: Vec<&[u8]> =
            path.components().map(|name| name.as_os_str().as_encoded_bytes()).collect();
        Ok(Location::new(device, &names.join(&b'/')).into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_directory_lies_in_those_that_its_path_names_and_not_in_those_with_a_similar_name() {
        let at = |path: &str| Location::new(1, path.as_bytes());
        assert!(at("/a/b").is_within(&at("/a")) && at("/a/b").is_within(&at("/")));
        assert!(at("/a//b/").is_within(&at("/a/b")) && at("/a/b").is_within(&at("//a/b")));
        assert!(!at("/ab").is_within(&at("/a")) && !at("/a").is_within(&at("/a/b")));
        assert!(!at("/a").is_within(&Location::new(2, b"/a")));
        assert_eq!(at("/a/b").ancestors().collect::<Vec<_>>(), [at("/"), at("/a")]);
        assert_eq!(at("/").ancestors().count(), 0);
    }

    #[test]
    fn invariant_3_no_debug_print_of_a_location_names_a_path() {
        let told = format!("{:?}", Location::new(1, b"/secret-place"));
        assert!(!told.contains("secret"), "{told}");
    }

    proptest! {
        #[test]
        fn lying_in_a_directory_means_having_its_names_first(
            one in prop::collection::vec("[a-c]{1,2}", 0..5),
            two in prop::collection::vec("[a-c]{1,2}", 0..5),
        ) {
            let at = |names: &[String]| Location::new(7, format!("/{}", names.join("/")).as_bytes());
            let (here, there) = (at(&one), at(&two));
            prop_assert_eq!(here.is_within(&there), one.starts_with(&two));
            prop_assert_eq!(here.ancestors().any(|above| above == there),
                one.len() > two.len() && one.starts_with(&two));
            // What lies in a directory stands right behind it.
            prop_assert!(!here.is_within(&there) || here >= there);
        }
    }
}

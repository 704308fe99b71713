//! What is mounted where: `/proc/self/mountinfo`, and the place of a handle in it.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read as _, Seek as _},
    os::{
        fd::AsRawFd as _,
        unix::{ffi::OsStrExt as _, ffi::OsStringExt as _, fs::MetadataExt as _},
    },
    path::Path,
    sync::{Mutex, PoisonError},
};

use cap_std::fs::{Dir, MetadataExt as _};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{AtFlags, StatxFlags, statx},
};

use super::{Extent, LocateError, Location};

/// How often a handle is looked up anew because mounts changed meanwhile. Nobody mounts that often;
/// who does is told that the place is not known.
const TRIES: usize = 8;

/// What the system puts behind the path of a directory that was removed.
const REMOVED: &[u8] = b" (deleted)";
/// What it puts behind the root of a mount whose directory was removed.
const REMOVED_ROOT: &[u8] = b"//deleted";

/// The mounts of this process, read when they were changed.
#[derive(Debug, Default)]
pub(crate) struct Mounts(Mutex<Option<List>>);

#[derive(Debug)]
struct List {
    /// Polled for changes, and read again from its beginning.
    file: File,
    mounts: HashMap<u64, Mount>,
    /// Where something is mounted, in the order of paths, and what. A mount hides one at the same
    /// point: both are here.
    points: Vec<(Location, Location)>,
}

/// One line. It has paths of the host: it is not printed.
#[derive(Clone, PartialEq, Eq)]
struct Mount {
    device: u64,
    /// The directory of the file system that is mounted.
    root: Vec<u8>,
    /// Where that is seen.
    point: Vec<u8>,
}

impl std::fmt::Debug for Mount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mount").field("device", &self.device).finish_non_exhaustive()
    }
}

impl Mounts {
    /// Where `dir` lies, and what is mounted in it. The path that it was opened at says nothing about
    /// that.
    pub(crate) fn locate(&self, dir: &Dir, _path: &Path) -> Result<Extent, LocateError> {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let located = Self::locate_in(&mut list, dir);
        if matches!(located, Err(LocateError::System(_))) {
            // Each change is told once: the next call begins anew.
            *list = None;
        }
        located
    }

    fn locate_in(list: &mut Option<List>, dir: &Dir) -> Result<Extent, LocateError> {
        let list = match list {
            Some(list) => list,
            none => none.insert(List::open().map_err(LocateError::System)?),
        };
        for _ in 0..TRIES {
            list.refresh().map_err(LocateError::System)?;
            let id = mount_id(dir).map_err(LocateError::System)?;
            let path = path_of(dir)?;
            let found = list.extent(id, &path);
            // What was found counts if it still is so.
            if !list.has_changed().map_err(LocateError::System)? {
                return found;
            }
            list.read().map_err(LocateError::System)?;
        }
        Err(LocateError::System(io::ErrorKind::ResourceBusy.into()))
    }
}

impl List {
    fn open() -> io::Result<Self> {
        let file = File::open("/proc/self/mountinfo")?;
        let mut list = Self { file, mounts: HashMap::new(), points: Vec::new() };
        list.read()?;
        Ok(list)
    }

    fn refresh(&mut self) -> io::Result<()> {
        if self.has_changed()? { self.read() } else { Ok(()) }
    }

    /// Whether mounts changed since this was asked, or the file opened. Each change is told once.
    fn has_changed(&self) -> io::Result<bool> {
        let mut files = [PollFd::new(&self.file, PollFlags::PRI)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut files, Some(&at_once)) {
            Ok(0) => Ok(false),
            Ok(_) => Ok(true),
            // Then they are read once too often.
            Err(rustix::io::Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    fn read(&mut self) -> io::Result<()> {
        // Without what was known: if this fails, nothing is.
        self.mounts.clear();
        self.points.clear();
        let mut text = Vec::new();
        self.file.rewind()?;
        self.file.read_to_end(&mut text)?;
        self.mounts = text.split(|byte| *byte == b'\n').filter_map(parse).collect();
        let point =
            |mount: &Mount| (seen_at(&mount.point), Location::new(mount.device, &mount.root));
        self.points = self.mounts.values().map(point).collect();
        self.points.sort_unstable();
        Ok(())
    }

    /// What is seen at `path`, in the mount with this id.
    fn extent(&self, id: u64, path: &[u8]) -> Result<Extent, LocateError> {
        let mount = self.mounts.get(&id).ok_or(LocateError::Detached)?;
        let (location, at) = (mount.locate(path)?, seen_at(path));
        let from = self.points.partition_point(|(point, _)| *point < at);
        let below = self.points[from..].iter().take_while(|(point, _)| point.is_within(&at));
        let elsewhere = below.map(|(_, what)| what).filter(|what| !what.is_within(&location));
        let mut mounted: Vec<Location> = elsewhere.cloned().collect();
        mounted.sort_unstable();
        mounted.dedup();
        Ok(Extent { location, mounted })
    }
}

impl Mount {
    /// Where the directory lies that is seen at `path`.
    fn locate(&self, path: &[u8]) -> Result<Location, LocateError> {
        if self.root.ends_with(REMOVED_ROOT) {
            return Err(LocateError::Removed);
        }
        let below = match self.point.as_slice() {
            b"/" => path.strip_prefix(b"/"),
            point => path.strip_prefix(point).filter(|rest| matches!(rest, [] | [b'/', ..])),
        };
        let below = below.ok_or(LocateError::Detached)?;
        let path = [self.root.as_slice(), b"/", below].concat();
        Ok(Location::new(self.device, &path))
    }
}

/// A path of this process as a place among its paths.
fn seen_at(path: &[u8]) -> Location {
    Location::new(0, path)
}

/// The mount that a handle was opened in.
fn mount_id(dir: &Dir) -> io::Result<u64> {
    let told = statx(dir, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    if told.stx_mask & StatxFlags::MNT_ID.bits() != 0 {
        return Ok(told.stx_mnt_id);
    }
    // Before Linux 5.8.
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", dir.as_raw_fd()))?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    id.and_then(|id| id.trim().parse().ok()).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Where a handle's directory is seen now.
fn path_of(dir: &Dir) -> Result<Vec<u8>, LocateError> {
    let link = format!("/proc/self/fd/{}", dir.as_raw_fd());
    let path = std::fs::read_link(link).map_err(LocateError::System)?.into_os_string().into_vec();
    if !path.starts_with(b"/") {
        return Err(LocateError::Detached);
    }
    if path.ends_with(REMOVED) {
        // Or that is its name.
        let held = dir.dir_metadata().map_err(LocateError::System)?;
        let there = Path::new(std::ffi::OsStr::from_bytes(&path)).symlink_metadata();
        let is_there =
            there.is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino()));
        if !is_there {
            return Err(LocateError::Removed);
        }
    }
    Ok(path)
}

/// A line: the id of the mount, its parent's, the device, the root, the mount point, and more.
fn parse(line: &[u8]) -> Option<(u64, Mount)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let number = |bytes: &[u8]| -> Option<u64> { std::str::from_utf8(bytes).ok()?.parse().ok() };
    let id = number(fields.next()?)?;
    let mut device = fields.nth(1)?.splitn(2, |byte| *byte == b':').map(number);
    let device = (device.next()?? << 32) | device.next()??;
    let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
    Some((id, Mount { device, root, point }))
}

/// Without the escapes for what would end a field: a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    loop {
        match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                plain.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                rest = after;
            }
            [byte, after @ ..] => {
                plain.push(*byte);
                rest = after;
            }
            [] => return plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use cap_std::ambient_authority;
    use proptest::prelude::*;

    use super::*;

    fn open(path: &Path) -> Dir {
        Dir::open_ambient_dir(path, ambient_authority()).expect("it opens")
    }

    fn located(mounts: &Mounts, path: &Path) -> Location {
        mounts.locate(&open(path), path).expect("it lies somewhere").location
    }

    #[test]
    fn names_that_lead_to_one_directory_lead_to_one_location() {
        let at = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(at.path().join("real/in side")).expect("a directory");
        symlink("real", at.path().join("link")).expect("a link");
        let mounts = Mounts::default();
        let here = located(&mounts, &at.path().join("real/in side"));
        assert_eq!(here, located(&mounts, &at.path().join("link/in side/../in side/.")));
        assert!(here.is_within(&located(&mounts, &at.path().join("link"))));
        assert!(here.is_within(&located(&mounts, at.path())));
    }

    #[test]
    fn a_removed_directory_lies_nowhere_and_one_that_is_only_called_so_does() {
        let at = tempfile::tempdir().expect("a directory");
        let path = at.path().join("gone");
        fs::create_dir(&path).expect("a directory");
        let (mounts, dir) = (Mounts::default(), open(&path));
        fs::remove_dir(&path).expect("removed");
        assert!(matches!(mounts.locate(&dir, &path), Err(LocateError::Removed)));
        // Another one that has the name which a removed one is given.
        let called_so = at.path().join("gone (deleted)");
        fs::create_dir(&called_so).expect("a directory");
        assert!(matches!(mounts.locate(&dir, &path), Err(LocateError::Removed)));
        assert!(located(&mounts, &called_so).is_within(&located(&mounts, at.path())));
    }

    #[test]
    fn lines_are_read_as_the_kernel_writes_them() {
        let text = b"36 35 98:1 /a\\040b /mnt\\134x\\012 rw,noatime shared:1 - ext4 /dev/root rw";
        let (id, mount) = parse(text).expect("a mount");
        let device = (98 << 32) | 1;
        assert_eq!((id, mount.device), (36, device));
        assert_eq!(
            (mount.root.as_slice(), mount.point.as_slice()),
            (&b"/a b"[..], &b"/mnt\\x\n"[..])
        );
        let locate = |path: &[u8]| mount.locate(path).ok();
        assert_eq!(locate(b"/mnt\\x\n/c"), Some(Location::new(device, b"/a b/c")));
        assert_eq!(locate(b"/mnt\\x\n"), Some(Location::new(device, b"/a b")));
        assert_eq!(locate(b"/mnt\\x\nc"), None);
        let top = Mount { point: b"/".to_vec(), ..mount.clone() };
        assert_eq!(top.locate(b"/c").ok(), Some(Location::new(device, b"/a b/c")));
        let gone = Mount { root: b"/a//deleted".to_vec(), ..mount };
        assert!(matches!(gone.locate(b"/mnt\\x\n"), Err(LocateError::Removed)));
        for line in [&b""[..], b"36", b"x 35 98:1 / / rw", b"36 35 98 / / rw", b"36 35 98:1 /"] {
            assert_eq!(parse(line), None);
        }
    }

    proptest! {
        #[test]
        fn any_path_survives_the_kernels_escapes(
            root in prop::collection::vec(1_u8.., 0..40),
            point in prop::collection::vec(1_u8.., 0..40),
            id: u64, major: u32, minor: u32,
        ) {
            let escape = |path: &[u8]| path.iter().flat_map(|byte| match byte {
                b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{byte:03o}").into_bytes(),
                other => vec![*other],
            }).collect::<Vec<u8>>();
            let mut line = format!("{id} 1 {major}:{minor} ").into_bytes();
            line.extend(escape(&root));
            line.push(b' ');
            line.extend(escape(&point));
            line.extend(b" rw - tmpfs tmpfs rw");
            let device = (u64::from(major) << 32) | u64::from(minor);
            prop_assert_eq!(parse(&line), Some((id, Mount { device, root, point })));
        }

        #[test]
        fn no_line_makes_the_reader_fail(line in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&line);
        }
    }
}

//! What the shell can see: the directories it was given, their parents as far as they lead there, and
//! a few devices.
//!
//! On WASI the directories are the preopens, and `std::fs` resolves paths below them. Natively, for
//! tests, they are named. Either way nothing else exists: no `/etc/passwd`, no `/proc`.

#[cfg(target_os = "wasi")]
mod descriptor;
mod device;
mod disk;
mod link;
mod memory;

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Component, Path, PathBuf},
    sync::Mutex,
    time::SystemTime,
};

use memory::Memory;

pub use device::Device;

/// As many links as Linux follows in one lookup.
const MAX_LINKS: usize = 40;

/// The directories, and what was changed about files where the system has no place for it.
#[derive(Debug)]
pub struct World {
    roots: Vec<PathBuf>,
    /// `/tmp`, if no directory of the world is there.
    memory: Option<Memory>,
    /// WASI 0.2 has no permission bits: those that a script sets hold until it ends.
    modes: Mutex<BTreeMap<PathBuf, u32>>,
}

/// What kind of thing a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    File,
    /// Names.
    Directory,
    /// Another name.
    Link,
    /// Something that is not stored.
    Device,
}

/// What is known about a file without opening it.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// What it is.
    pub kind: Kind,
    /// How many bytes it has.
    pub size: u64,
    /// Its permission bits.
    pub mode: u32,
    /// When its content last changed.
    pub modified: SystemTime,
    /// When it was made, or last changed where that is not known.
    pub created: SystemTime,
}

/// A name in a directory.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name, with a replacement character for what is not UTF-8: such a file is seen, and cannot
    /// be opened by this name.
    pub name: String,
    /// What it stands for; links are not followed.
    pub kind: Kind,
}

/// Where a path leads.
#[derive(Debug)]
enum Place {
    Disk(PathBuf),
    /// A directory that only exists because directories of the world lie below it.
    Parent(PathBuf),
    Device(Device),
    Memory(Memory, PathBuf),
    Nowhere,
}

impl World {
    /// The directories `roots` and what is below them.
    #[must_use]
    pub fn new(roots: impl IntoIterator<Item = PathBuf>) -> Self {
        let roots: Vec<PathBuf> = roots.into_iter().map(|root| normalize(&root)).collect();
        let temporary = Path::new(memory::ROOT);
        let exists =
            roots.iter().any(|root| temporary.starts_with(root) || root.starts_with(temporary));
        let memory = (!exists).then(Memory::new);
        Self { roots, memory, modes: Mutex::default() }
    }

    /// The preopens.
    #[cfg(target_os = "wasi")]
    #[must_use]
    pub fn preopened() -> Self {
        let directories = wasip2::filesystem::preopens::get_directories();
        Self::new(directories.into_iter().map(|(_, path)| PathBuf::from(path)))
    }

    /// Where a script begins that was told nothing else.
    #[must_use]
    pub fn first_directory(&self) -> &Path {
        self.roots.first().map_or(Path::new("/"), PathBuf::as_path)
    }

    fn place(&self, path: &Path) -> Place {
        let path = normalize(path);
        if let Some(device) = Device::at(&path) {
            return Place::Device(device);
        }
        if self.roots.iter().any(|root| path.starts_with(root)) {
            return Place::Disk(path);
        }
        if let Some(memory) = &self.memory
            && path.starts_with(memory::ROOT)
        {
            return Place::Memory(memory.clone(), path);
        }
        if path == Path::new("/")
            || path == Path::new("/dev")
            || self.roots.iter().any(|root| root.starts_with(&path))
        {
            return Place::Parent(path);
        }
        Place::Nowhere
    }

    /// Runs `operation` on where the path leads. Where that fails because the system does not follow a
    /// link that leads from one directory of the world to another, runs it on what the links lead to.
    fn at<T>(
        &self,
        path: &Path,
        follow_last: bool,
        operation: impl Fn(Place) -> io::Result<T>,
    ) -> io::Result<T> {
        let place = self.place(path);
        let disk = match &place {
            Place::Disk(path) => path.clone(),
            Place::Nowhere => return Err(nowhere(path)),
            // Nothing else follows links by itself.
            Place::Memory(..) | Place::Parent(_) | Place::Device(_) => {
                return operation(self.place(&self.follow(path, follow_last)?));
            }
        };
        operation(place).or_else(|error| {
            let resolved = self.follow(&disk, follow_last)?;
            if resolved == disk { Err(error) } else { operation(self.place(&resolved)) }
        })
    }

    /// Follows the links in `path`, those in its last name only with `last`.
    pub fn follow(&self, path: &Path, last: bool) -> io::Result<PathBuf> {
        let mut waiting: Vec<_> = names(path).into_iter().rev().collect();
        let mut done = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = waiting.pop() {
            if name == ".." {
                done.pop();
                continue;
            }
            done.push(&name);
            if waiting.is_empty() && !last {
                break;
            }
            let target = match self.place(&done) {
                Place::Disk(here) => fs::read_link(here),
                Place::Memory(memory, here) => memory.read_link(&here),
                Place::Parent(_) | Place::Device(_) | Place::Nowhere => continue,
            };
            let Ok(target) = target else { continue };
            links += 1;
            if links > MAX_LINKS {
                return Err(io::Error::other("Too many levels of symbolic links"));
            }
            if target.is_absolute() {
                done = PathBuf::from("/");
            } else {
                done.pop();
            }
            waiting.extend(names(&target).into_iter().rev());
        }
        Ok(done)
    }

    /// What is known about `path`, after its links.
    pub fn facts(&self, path: &Path) -> io::Result<Facts> {
        self.at(path, true, |place| match place {
            Place::Disk(path) => Ok(self.facts_of(&path, &fs::metadata(&path)?)),
            place => place.facts(),
        })
    }

    /// What is known about `path` itself, if it is a link.
    pub fn facts_of_link(&self, path: &Path) -> io::Result<Facts> {
        self.at(path, false, |place| match place {
            Place::Disk(path) => Ok(self.facts_of(&path, &fs::symlink_metadata(&path)?)),
            place => place.facts(),
        })
    }

    fn facts_of(&self, path: &Path, metadata: &fs::Metadata) -> Facts {
        let kind = disk::kind_of(metadata.file_type());
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Facts {
            kind,
            size: metadata.len(),
            mode: self.mode_of(path, kind, metadata),
            modified,
            created: metadata.created().unwrap_or(modified),
        }
    }

    #[cfg(unix)]
    fn mode_of(&self, _path: &Path, _kind: Kind, metadata: &fs::Metadata) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        metadata.permissions().mode() & 0o7777
    }

    /// WASI 0.2 does not tell: a file is executable if it says how it is to be run.
    #[cfg(not(unix))]
    fn mode_of(&self, path: &Path, kind: Kind, metadata: &fs::Metadata) -> u32 {
        if let Some(mode) =
            self.modes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(path)
        {
            return *mode;
        }
        match kind {
            Kind::Directory | Kind::Device => 0o755,
            Kind::Link => 0o777,
            Kind::File if metadata.len() > 2 && disk::begins_with_interpreter(path) => 0o755,
            Kind::File => 0o644,
        }
    }

    /// Sets the permission bits.
    pub fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.at(path, true, |place| match place {
            Place::Disk(path) => self.store_mode(&path, mode, &fs::metadata(&path)?),
            Place::Memory(memory, path) => memory.set_mode(&path, mode),
            Place::Parent(_) | Place::Device(_) => Err(ErrorKind::PermissionDenied.into()),
            Place::Nowhere => Err(ErrorKind::NotFound.into()),
        })
    }

    #[cfg(unix)]
    fn store_mode(&self, path: &Path, mode: u32, metadata: &fs::Metadata) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let mut permissions = metadata.permissions();
        permissions.set_mode(mode);
        fs::set_permissions(path, permissions)
    }

    #[cfg(not(unix))]
    fn store_mode(&self, path: &Path, mode: u32, _metadata: &fs::Metadata) -> io::Result<()> {
        let mut modes = self.modes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        modes.insert(path.to_owned(), mode & 0o7777);
        Ok(())
    }

    /// Takes what `chmod` said of a name, and of those below it, to another name, or away.
    fn move_modes(&self, from: &Path, to: Option<&Path>) {
        let mut modes = self.modes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if modes.is_empty() {
            return;
        }
        if let Some(to) = to {
            modes.retain(|path, _| !path.starts_with(to));
        }
        let moved: Vec<_> = modes.extract_if(.., |path, _| path.starts_with(from)).collect();
        if let Some(to) = to {
            modes.extend(moved.into_iter().filter_map(|(path, mode)| {
                let below = path.strip_prefix(from).ok()?;
                Some((
                    if below.as_os_str().is_empty() { to.to_owned() } else { to.join(below) },
                    mode,
                ))
            }));
        }
    }

    /// The names in a directory, sorted.
    pub fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = self.at(path, true, |place| match place {
            Place::Disk(path) => disk::list(&path),
            Place::Memory(memory, path) => memory.list(&path),
            Place::Parent(path) => Ok(self.children(&path)),
            Place::Device(_) => Err(ErrorKind::NotADirectory.into()),
            Place::Nowhere => Err(ErrorKind::NotFound.into()),
        })?;
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn children(&self, path: &Path) -> Vec<Entry> {
        let mut names: Vec<_> = self
            .roots
            .iter()
            .filter_map(|root| root.strip_prefix(path).ok()?.iter().next())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        if path == Path::new("/") {
            names.push("dev".to_owned());
            names.extend(self.memory.is_some().then(|| "tmp".to_owned()));
        }
        names.sort_unstable();
        names.dedup();
        let mut entries: Vec<_> =
            names.into_iter().map(|name| Entry { name, kind: Kind::Directory }).collect();
        if path == Path::new("/dev") {
            entries.extend(
                Device::NAMES
                    .iter()
                    .map(|name| Entry { name: (*name).to_owned(), kind: Kind::Device }),
            );
        }
        entries
    }

    /// Opens a file for reading.
    pub fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.at(path, true, |place| match place {
            Place::Disk(path) => disk::open(&path),
            Place::Memory(memory, path) => memory.open(&path),
            Place::Device(device) => device.open(),
            Place::Parent(_) => Err(ErrorKind::IsADirectory.into()),
            Place::Nowhere => Err(ErrorKind::NotFound.into()),
        })
    }

    /// Reads a whole file.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.at(path, true, |place| match place {
            Place::Disk(path) => fs::read(path),
            Place::Memory(memory, path) => Ok(memory.content(&path)?.to_vec()),
            Place::Device(device) => device.read_whole(),
            Place::Parent(_) => Err(ErrorKind::IsADirectory.into()),
            Place::Nowhere => Err(ErrorKind::NotFound.into()),
        })
    }

    /// Opens a file for writing: with `append` after what it has, else instead of it.
    pub fn create(&self, path: &Path, append: bool) -> io::Result<Box<dyn Write + Send>> {
        self.at(path, true, |place| match place {
            Place::Disk(path) => {
                let mut options = OpenOptions::new();
                options.create(true).append(append).write(true).truncate(!append);
                Ok(Box::new(options.open(path)?) as Box<dyn Write + Send>)
            }
            Place::Memory(memory, path) => memory.create(&path, append),
            Place::Device(device) => device.create(),
            Place::Parent(_) => Err(ErrorKind::IsADirectory.into()),
            Place::Nowhere => Err(ErrorKind::NotFound.into()),
        })
    }

    /// Makes a directory, with `parents` also those above it.
    pub fn make_directory(&self, path: &Path, parents: bool) -> io::Result<()> {
        self.at(path, false, |place| match place {
            Place::Disk(path) if parents => fs::create_dir_all(path),
            Place::Disk(path) => fs::create_dir(path),
            Place::Memory(memory, path) => memory.make_directory(&path, parents),
            Place::Parent(_) if parents => Ok(()),
            Place::Parent(_) | Place::Device(_) => Err(ErrorKind::AlreadyExists.into()),
            Place::Nowhere => Err(ErrorKind::NotFound.into()),
        })
    }

    /// Removes a name, with `tree` also what is below it. Links are not followed.
    pub fn remove(&self, path: &Path, tree: bool) -> io::Result<()> {
        if self.roots.contains(&normalize(path)) {
            // What the shell was given is not its own to remove.
            return Err(io::Error::other("Device or resource busy"));
        }
        self.at(path, false, |place| match place {
            Place::Disk(path) => {
                disk::remove(&path, tree)?;
                self.move_modes(&path, None);
                Ok(())
            }
            Place::Memory(memory, path) => memory.remove(&path, tree),
            Place::Parent(_) | Place::Device(_) => Err(ErrorKind::PermissionDenied.into()),
            Place::Nowhere => Err(ErrorKind::NotFound.into()),
        })
    }

    /// Gives a file another name.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.at(from, false, |from| {
            self.at(to, false, |to| match (&from, to) {
                (Place::Disk(from), Place::Disk(to)) => {
                    fs::rename(from, &to)?;
                    self.move_modes(from, Some(&to));
                    Ok(())
                }
                (Place::Memory(memory, from), Place::Memory(_, to)) => memory.rename(from, &to),
                (Place::Disk(_), Place::Memory(..)) | (Place::Memory(..), Place::Disk(_)) => {
                    Err(ErrorKind::CrossesDevices.into())
                }
                (Place::Nowhere, _) | (_, Place::Nowhere) => Err(ErrorKind::NotFound.into()),
                _ => Err(ErrorKind::PermissionDenied.into()),
            })
        })
    }

    /// Whether both lead to the same file, through links or by two names of it.
    #[must_use]
    pub fn is_same_file(&self, one: &Path, other: &Path) -> bool {
        let (Ok(one), Ok(other)) = (self.follow(one, true), self.follow(other, true)) else {
            return false;
        };
        match (self.place(&one), self.place(&other)) {
            (Place::Disk(one), Place::Disk(other)) => disk::is_same(&one, &other).unwrap_or(false),
            (Place::Memory(_, one), Place::Memory(_, other)) => one == other,
            _ => false,
        }
    }

    /// Copies the content and, as far as they exist, the permission bits of a file.
    pub fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.is_same_file(from, to) {
            return Err(io::Error::other("the source and the target are the same file"));
        }
        let mut source = self.open(from)?;
        let mut target = self.create(to, false)?;
        io::copy(&mut source, &mut target)?;
        target.flush()?;
        if matches!(self.place(to), Place::Disk(_) | Place::Memory(..)) {
            self.set_mode(to, self.facts(from)?.mode)?;
        }
        Ok(())
    }

    /// Makes `link` lead to `target`, whatever that is.
    pub fn make_link(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.at(link, false, |link| match link {
            Place::Disk(link) => link::make(target, &link),
            Place::Memory(memory, link) => memory.make_link(target, &link),
            Place::Parent(_) | Place::Device(_) => Err(ErrorKind::AlreadyExists.into()),
            Place::Nowhere => Err(ErrorKind::NotFound.into()),
        })
    }

    /// Gives a file a name more.
    pub fn make_hard_link(&self, file: &Path, link: &Path) -> io::Result<()> {
        self.at(file, false, |file| {
            self.at(link, false, |link| match (&file, link) {
                (Place::Disk(file), Place::Disk(link)) => fs::hard_link(file, link),
                (Place::Nowhere, _) | (_, Place::Nowhere) => Err(ErrorKind::NotFound.into()),
                (Place::Disk(_), Place::Memory(..)) | (Place::Memory(..), Place::Disk(_)) => {
                    Err(ErrorKind::CrossesDevices.into())
                }
                _ => Err(ErrorKind::PermissionDenied.into()),
            })
        })
    }

    /// How many names a file has.
    pub fn names_of(&self, path: &Path) -> io::Result<u64> {
        self.at(path, false, |place| match place {
            Place::Disk(path) => disk::names_of(&path),
            _ => Ok(1),
        })
    }

    /// Where a link leads, as it says.
    pub fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.at(path, false, |place| match place {
            Place::Disk(path) => fs::read_link(path),
            Place::Memory(memory, path) => memory.read_link(&path),
            Place::Parent(_) | Place::Device(_) => Err(ErrorKind::InvalidInput.into()),
            Place::Nowhere => Err(ErrorKind::NotFound.into()),
        })
    }

    /// Sets when the content last changed.
    pub fn set_modified(&self, path: &Path, time: SystemTime) -> io::Result<()> {
        self.at(path, true, |place| match place {
            Place::Disk(path) => disk::set_modified(&path, time),
            Place::Memory(memory, path) => memory.set_modified(&path, time),
            Place::Parent(_) | Place::Device(_) => Err(ErrorKind::PermissionDenied.into()),
            Place::Nowhere => Err(ErrorKind::NotFound.into()),
        })
    }
}

impl Place {
    /// What is known about what does not lie on a disk.
    fn facts(&self) -> io::Result<Facts> {
        match self {
            Self::Memory(memory, path) => memory.facts(path),
            Self::Parent(_) => Ok(Facts::directory()),
            Self::Device(device) => Ok(device.facts()),
            Self::Disk(_) | Self::Nowhere => Err(ErrorKind::NotFound.into()),
        }
    }
}

impl Facts {
    fn directory() -> Self {
        Self {
            kind: Kind::Directory,
            size: 0,
            mode: 0o755,
            modified: SystemTime::UNIX_EPOCH,
            created: SystemTime::UNIX_EPOCH,
        }
    }
}

/// Bash's redirections know hosts below `/dev/tcp`, so that is where people look for them.
fn nowhere(path: &Path) -> io::Error {
    if ["/dev/tcp", "/dev/udp"].iter().any(|network| path.starts_with(network)) {
        return io::Error::other("this shell has no network");
    }
    ErrorKind::NotFound.into()
}

/// The names in a path, without `.`.
fn names(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            Component::ParentDir => Some("..".to_owned()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
        })
        .collect()
}

/// The path from `/`, without `.` and `..`.
#[must_use]
pub fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    normal
}

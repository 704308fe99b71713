//! What the shell can see: the directories it was given, their parents as far as they lead there, and
//! a few devices.
//!
//! On WASI the directories are the preopens, and `std::fs` resolves paths below them. Natively, for
//! tests, they are named. Either way nothing else exists: no `/etc/passwd`, no `/proc`.

mod device;
mod link;
mod pipes;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex},
    time::SystemTime,
};

pub use device::Device;
pub(crate) use pipes::Pipes;

/// As many links as Linux follows in one lookup.
const MAX_LINKS: usize = 40;

/// The directories, and what was changed about files where the system has no place for it.
#[derive(Debug, Default, Clone)]
pub struct World {
    roots: Vec<PathBuf>,
    /// WASI 0.2 has no permission bits: those that a script sets hold until it ends.
    #[cfg_attr(unix, expect(dead_code, reason = "there, files have them"))]
    modes: Arc<Mutex<BTreeMap<PathBuf, u32>>>,
    /// The pipes of one command.
    pipes: Option<Arc<dyn Pipes>>,
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
    Pipe(Arc<dyn Pipes>),
    Nowhere,
}

impl World {
    /// The directories `roots` and what is below them.
    #[must_use]
    pub fn new(roots: impl IntoIterator<Item = PathBuf>) -> Self {
        let roots = roots.into_iter().map(|root| normalize(&root)).collect();
        Self { roots, ..Self::default() }
    }

    /// The same with the pipes of one command.
    #[must_use]
    pub(crate) fn with_pipes(&self, pipes: Arc<dyn Pipes>) -> Self {
        Self { pipes: Some(pipes), ..self.clone() }
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
        if let Some(pipes) = self.pipes.as_ref().filter(|_| pipes::is_pipe(&path)) {
            return Place::Pipe(Arc::clone(pipes));
        }
        if self.roots.iter().any(|root| path.starts_with(root)) {
            return Place::Disk(path);
        }
        if path == Path::new("/")
            || path == Path::new("/dev")
            || self.roots.iter().any(|root| root.starts_with(&path))
        {
            return Place::Parent(path);
        }
        Place::Nowhere
    }

    /// Runs `operation` on the path, and where that fails because the system does not follow a link
    /// that leads from one directory of the world to another, on what the links lead to.
    fn on_disk<T>(
        &self,
        path: &Path,
        follow_last: bool,
        operation: impl Fn(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let path = match self.place(path) {
            Place::Disk(path) => path,
            Place::Parent(_) => return Err(ErrorKind::IsADirectory.into()),
            Place::Device(_) | Place::Pipe(_) => return Err(ErrorKind::PermissionDenied.into()),
            Place::Nowhere => return Err(nowhere(path)),
        };
        match operation(&path) {
            Ok(value) => Ok(value),
            Err(error) => {
                let resolved = self.follow(&path, follow_last)?;
                if resolved == path {
                    return Err(error);
                }
                match self.place(&resolved) {
                    Place::Disk(resolved) => operation(&resolved),
                    Place::Parent(_) | Place::Device(_) | Place::Pipe(_) | Place::Nowhere => {
                        Err(error)
                    }
                }
            }
        }
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
            let Place::Disk(here) = self.place(&done) else { continue };
            let Ok(target) = fs::read_link(&here) else { continue };
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
        match self.place(path) {
            Place::Parent(_) => Ok(Facts::directory()),
            Place::Device(device) => Ok(device.facts()),
            Place::Pipe(_) => Ok(Device::Null.facts()),
            Place::Disk(_) | Place::Nowhere => {
                self.on_disk(path, true, |path| Ok(self.facts_of(path, &fs::metadata(path)?)))
            }
        }
    }

    /// What is known about `path` itself, if it is a link.
    pub fn facts_of_link(&self, path: &Path) -> io::Result<Facts> {
        match self.place(path) {
            Place::Parent(_) => Ok(Facts::directory()),
            Place::Device(device) => Ok(device.facts()),
            Place::Pipe(_) => Ok(Device::Null.facts()),
            Place::Disk(_) | Place::Nowhere => self
                .on_disk(path, false, |path| Ok(self.facts_of(path, &fs::symlink_metadata(path)?))),
        }
    }

    fn facts_of(&self, path: &Path, metadata: &fs::Metadata) -> Facts {
        let kind = kind_of(metadata.file_type());
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
            Kind::File if metadata.len() > 2 && begins_with_interpreter(path) => 0o755,
            Kind::File => 0o644,
        }
    }

    /// Sets the permission bits.
    pub fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.on_disk(path, true, |path| {
            let metadata = fs::metadata(path)?;
            self.store_mode(path, mode, &metadata)
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

    /// The names in a directory, sorted.
    pub fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = match self.place(path) {
            Place::Parent(path) => self.children(&path),
            Place::Device(_) | Place::Pipe(_) => return Err(ErrorKind::NotADirectory.into()),
            Place::Disk(_) | Place::Nowhere => self.on_disk(path, true, |path| {
                fs::read_dir(path)?
                    .map(|entry| {
                        let entry = entry?;
                        Ok(Entry {
                            name: entry.file_name().to_string_lossy().into_owned(),
                            kind: kind_of(entry.file_type()?),
                        })
                    })
                    .collect::<io::Result<Vec<_>>>()
            })?,
        };
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
        match self.place(path) {
            Place::Device(device) => return device.open(),
            Place::Pipe(pipes) => return pipes::open(&pipes, path),
            Place::Disk(_) | Place::Parent(_) | Place::Nowhere => {}
        }
        self.on_disk(path, true, |path| {
            let file = File::open(path)?;
            if file.metadata()?.is_dir() {
                return Err(ErrorKind::IsADirectory.into());
            }
            Ok(Box::new(file) as Box<dyn Read + Send>)
        })
    }

    /// Reads a whole file.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.place(path) {
            Place::Device(device) => device.read_whole(),
            Place::Pipe(pipes) => pipes.read(path),
            Place::Disk(_) | Place::Parent(_) | Place::Nowhere => {
                self.on_disk(path, true, |path| fs::read(path))
            }
        }
    }

    /// Opens a file for writing: with `append` after what it has, else instead of it.
    pub fn create(&self, path: &Path, append: bool) -> io::Result<Box<dyn Write + Send>> {
        match self.place(path) {
            Place::Device(device) => return device.create(),
            Place::Pipe(pipes) => return Ok(pipes::create(&pipes, path)),
            Place::Disk(_) | Place::Parent(_) | Place::Nowhere => {}
        }
        self.on_disk(path, true, |path| {
            let mut options = OpenOptions::new();
            options.create(true).append(append).write(true).truncate(!append);
            Ok(Box::new(options.open(path)?) as Box<dyn Write + Send>)
        })
    }

    /// Makes a directory, with `parents` also those above it.
    pub fn make_directory(&self, path: &Path, parents: bool) -> io::Result<()> {
        if let Place::Parent(_) = self.place(path) {
            return if parents { Ok(()) } else { Err(ErrorKind::AlreadyExists.into()) };
        }
        self.on_disk(path, false, |path| {
            if parents { fs::create_dir_all(path) } else { fs::create_dir(path) }
        })
    }

    /// Removes a name, with `tree` also what is below it. Links are not followed.
    pub fn remove(&self, path: &Path, tree: bool) -> io::Result<()> {
        if self.roots.contains(&normalize(path)) {
            // What the shell was given is not its own to remove.
            return Err(io::Error::other("Device or resource busy"));
        }
        self.on_disk(path, false, |path| {
            if !fs::symlink_metadata(path)?.is_dir() {
                fs::remove_file(path)
            } else if tree {
                fs::remove_dir_all(path)
            } else {
                fs::remove_dir(path)
            }
        })
    }

    /// Gives a file another name.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.on_disk(from, false, |from| self.on_disk(to, false, |to| fs::rename(from, to)))
    }

    /// Copies the content and, as far as they exist, the permission bits of a file.
    pub fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut source = self.open(from)?;
        let mut target = self.create(to, false)?;
        io::copy(&mut source, &mut target)?;
        target.flush()?;
        if matches!(self.place(to), Place::Disk(_)) {
            self.set_mode(to, self.facts(from)?.mode)?;
        }
        Ok(())
    }

    /// Makes `link` lead to `target`, whatever that is.
    pub fn make_link(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.on_disk(link, false, |link| link::make(target, link))
    }

    /// Gives a file a name more.
    pub fn make_hard_link(&self, file: &Path, link: &Path) -> io::Result<()> {
        self.on_disk(file, false, |file| {
            self.on_disk(link, false, |link| fs::hard_link(file, link))
        })
    }

    /// Where a link leads, as it says.
    pub fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.on_disk(path, false, |path| fs::read_link(path))
    }

    /// Sets when the content last changed.
    pub fn set_modified(&self, path: &Path, time: SystemTime) -> io::Result<()> {
        self.on_disk(path, true, |path| {
            let file = if fs::metadata(path)?.is_dir() {
                File::open(path)?
            } else {
                OpenOptions::new().write(true).open(path)?
            };
            file.set_modified(time)
        })
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

fn kind_of(kind: fs::FileType) -> Kind {
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

#[cfg(not(unix))]
fn begins_with_interpreter(path: &Path) -> bool {
    let mut begin = [0; 2];
    File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && &begin == b"#!"
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

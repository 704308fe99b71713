//! Roots: directories that an operator named, held open from the first use on.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cap_std::{ambient_authority, fs::Dir};
use worker_types::{Access, Grants, Preopen, RootName, RootStatus};

use super::{
    location::{Extent, LocateError, Mounts},
    preopens::PreopenFault,
    scratch::ScratchDirectories,
};

/// A directory of the operator's that grants can speak of, by the name it is given under.
#[derive(Clone, PartialEq, Eq)]
pub struct Root {
    path: PathBuf,
    access: Access,
    exposes_git: bool,
}

impl Root {
    /// The directory at `path` of this host, to be looked at.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), access: Access::ReadOnly, exposes_git: false }
    }

    /// The most that a grant may ask for.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Lets Workers write to git directories in it. Whoever can do that can run programs as the user
    /// who next runs `git` there.
    #[must_use]
    pub fn expose_git(mut self) -> Self {
        self.exposes_git = true;
        self
    }

    /// Whether the root and `own` lie in each other, links resolved as far as there is something.
    pub(crate) fn overlaps(&self, own: &Path) -> bool {
        let real = |path: &Path| {
            let exists = path.ancestors().find_map(|above| {
                let real = above.canonicalize().ok()?;
                Some(real.join(path.strip_prefix(above).ok()?))
            });
            exists.unwrap_or_else(|| path.to_owned())
        };
        let (root, own) = (real(&self.path), real(own));
        root.starts_with(&own) || own.starts_with(&root)
    }

    /// Whether a grant may ask to write to it.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.access == Access::ReadWrite
    }

    pub(super) fn exposes_git(&self) -> bool {
        self.exposes_git
    }
}

/// Without its path, which is nobody's business but the operator's.
impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path: _, access, exposes_git } = self;
        f.debug_struct("Root")
            .field("access", access)
            .field("exposes_git", exposes_git)
            .finish_non_exhaustive()
    }
}

/// The roots of a Runtime, and the private directories of its Workers.
#[derive(Debug)]
pub(crate) struct Roots {
    roots: BTreeMap<RootName, HeldRoot>,
    scratch: Option<ScratchDirectories>,
    /// Held while a directory of the operator's is looked through.
    walk: Mutex<()>,
    mounts: Mounts,
}

/// A root, and its handle once it could be opened: from then on it is that directory and no other,
/// whatever is at its path.
#[derive(Debug)]
struct HeldRoot {
    root: Root,
    /// Whether the system keeps this process from using it, whatever is there.
    is_out_of_reach: bool,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    dir: Option<Arc<Dir>>,
    /// What was wrong when it was last asked for.
    fault: Option<PreopenFault>,
}

impl HeldRoot {
    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing panics between a lock and the end of its change.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle of the root, which is where it was when it was opened first.
    fn open(&self) -> Result<Dir, PreopenFault> {
        let opened = self.hold().and_then(|dir| dir.try_clone().map_err(PreopenFault::from));
        self.lock().fault = opened.as_ref().err().cloned();
        opened
    }

    /// Nothing that waits for the disk is done under the lock: others ask how the root fares.
    fn hold(&self) -> Result<Arc<Dir>, PreopenFault> {
        if self.is_out_of_reach {
            return Err(PreopenFault::OutOfReach);
        }
        let path = &self.root.path;
        let held = self.lock().dir.clone();
        let Some(dir) = held else {
            let dir = Dir::open_ambient_dir(path, ambient_authority());
            let dir = Arc::new(dir?);
            // Somebody else may have been first.
            return Ok(Arc::clone(self.lock().dir.get_or_insert(dir)));
        };
        match is_at(&dir, path) {
            Ok(true) => Ok(dir),
            Ok(false) => Err(PreopenFault::RootMoved),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(PreopenFault::RootMoved),
            Err(error) => Err(error.into()),
        }
    }
}

impl Roots {
    /// Opens `roots`, but for those in `out_of_reach`, which this process may not use any more. This
    /// blocks.
    pub(crate) fn new(
        roots: BTreeMap<RootName, Root>,
        scratch: Option<ScratchDirectories>,
        out_of_reach: &[RootName],
    ) -> Self {
        let held = |(name, root)| {
            let is_out_of_reach = out_of_reach.contains(&name);
            (name, HeldRoot { root, is_out_of_reach, held: Mutex::default() })
        };
        let mounts = Mounts::default();
        let roots = roots.into_iter().map(held).collect();
        let roots = Self { roots, scratch, walk: Mutex::default(), mounts };
        for (name, held) in &roots.roots {
            // A root that is not there yet is opened when it is; until then it is a diagnostic.
            if let Err(fault) = held.open() {
                tracing::warn!(root = %name, %fault, "a root cannot be opened");
            }
        }
        roots
    }

    /// The most that can be granted of them.
    pub(crate) fn ceiling(&self) -> Vec<Preopen> {
        let preopen = |name: &RootName, access| {
            let guest_path = format!("/{name}").parse().ok()?;
            Some(Preopen::new(name.clone(), guest_path).access(access))
        };
        let roots = self.roots.iter().map(|(name, held)| preopen(name, held.root.access));
        let scratch =
            self.scratch.as_ref().map(|_| preopen(&RootName::scratch(), Access::ReadWrite));
        roots.chain(scratch).flatten().collect()
    }

    /// Of `ceiling`, what the roots allow.
    pub(crate) fn limit(&self, ceiling: &Grants) -> Grants {
        let most = Grants { preopens: self.ceiling(), ..ceiling.clone() };
        ceiling.meet(&most)
    }

    pub(super) fn root(&self, name: &RootName) -> Option<&Root> {
        Some(&self.roots.get(name)?.root)
    }

    pub(super) fn walk(&self) -> MutexGuard<'_, ()> {
        // Nothing is kept under it.
        self.walk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn scratch(&self) -> Option<&ScratchDirectories> {
        self.scratch.as_ref()
    }

    /// A handle of the root, which is where it was when it was opened first.
    pub(super) fn open(&self, name: &RootName) -> Result<Dir, PreopenFault> {
        self.roots.get(name).ok_or(PreopenFault::UnknownRoot)?.open()
    }

    /// Where `dir` lies, which was opened for `preopen`.
    pub(super) fn locate(&self, dir: &Dir, preopen: &Preopen) -> Result<Extent, LocateError> {
        let root = self.root(&preopen.root).map(|root| root.path.as_path());
        self.mounts.locate(dir, &root.unwrap_or(Path::new("")).join(preopen.path.as_str()))
    }

    /// Whether anything can be written to.
    #[cfg(all(unix, feature = "sqlite"))]
    pub(crate) fn are_writable(&self) -> bool {
        self.roots.values().any(|held| held.root.access == Access::ReadWrite)
    }

    /// Each root, with what was wrong when it was last asked for.
    pub(crate) fn status(&self) -> impl Iterator<Item = RootStatus> {
        self.roots.iter().map(|(name, held)| {
            let fault = held.lock().fault.clone();
            RootStatus {
                name: name.clone(),
                access: held.root.access,
                available: fault.is_none(),
                reason: fault.map(|fault| fault.to_string()),
            }
        })
    }
}

/// Whether what is at `path` now is the directory that was opened there.
fn is_at(dir: &Dir, path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use cap_std::fs::MetadataExt as _;
        use std::os::unix::fs::MetadataExt as _;
        let (held, there) = (dir.dir_metadata()?, std::fs::metadata(path)?);
        Ok((held.dev(), held.ino()) == (there.dev(), there.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = dir;
        std::fs::metadata(path).map(|there| there.is_dir())
    }
}

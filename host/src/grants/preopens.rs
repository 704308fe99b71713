//! Preopens: the directories that one Worker was granted, opened for one turn.

use std::io;

use cap_fs_ext::DirExt as _;
use cap_std::fs::Dir;
use worker_types::{Access, Grants, GuestPath, Preopen, RootPath, RuntimeError, WorkerId};

use super::{
    git_directory,
    location::{Extent, LocateError},
    roots::Roots,
    scratch::Scratch,
};

/// A directory that a turn works in.
#[derive(Debug)]
pub(crate) struct OpenPreopen {
    pub(crate) dir: Dir,
    pub(crate) guest_path: GuestPath,
    pub(crate) access: Access,
    /// The Worker's own private directory, where this is in it: it has a quota.
    pub(crate) scratch: Option<Scratch>,
    /// Whether git directories in it may be written to.
    pub(crate) exposes_git: bool,
    /// Where it lies, where a Worker may write to it and it is not its own.
    pub(crate) extent: Option<Extent>,
}

/// A directory that a Worker may write to, and others perhaps, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) guest_path: GuestPath,
    pub(crate) extent: Extent,
    /// Whether others may write there that say so as well.
    pub(crate) shared: bool,
}

impl Scope {
    /// Whether a directory is one: a private directory is nobody else's, and to look harms nobody.
    pub(crate) fn is_granted_by(preopen: &Preopen) -> bool {
        preopen.access == Access::ReadWrite && !preopen.root.is_scratch()
    }
}

/// A granted directory that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{preopen}: {fault}")]
pub(crate) struct PreopenError {
    pub(crate) preopen: Box<Preopen>,
    pub(crate) fault: PreopenFault,
}

/// Why not. It names no host path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PreopenFault {
    #[error("this Runtime has no such root")]
    UnknownRoot,
    #[error("this Runtime has no place for private directories")]
    NoScratch,
    #[error(
        "the root is not where it was: it was renamed, replaced or removed after the start. Put it \
         back, or restart the Runtime to take what is there now"
    )]
    RootMoved,
    #[error(
        "the root was not there when this process confined itself to what was: restart the Runtime \
         to take what is there now"
    )]
    OutOfReach,
    #[error("it is not there")]
    NotThere,
    #[error("it is no directory")]
    NoDirectory,
    #[error(
        "a link lies on the way, and whoever may write there could lead it elsewhere. Grant the \
         directory that it leads to, or name that one as a root"
    )]
    Link,
    #[error("the Runtime's user may not open it")]
    Denied,
    #[error(
        "a git directory can be written through it, and whoever can do that can run programs as the \
         user who next runs `git` there. Grant a directory without one, or set `git = \"exposed\"` \
         for the root"
    )]
    ExposesGit,
    #[error(
        "it has more than {limit} entries, too many to look for git directories in them. Grant a \
         smaller directory, or set `git = \"exposed\"` for the root",
        limit = git_directory::MAX_ENTRIES
    )]
    TooLargeForGit,
    #[error(
        "it is not the directory that was granted: a link on the way was exchanged, or something \
         else is mounted there now. Put it back, or stop and start the Worker to take what is there"
    )]
    Exchanged,
    #[error(
        "where it lies in its file system cannot be told, and so not who else writes there: {0}"
    )]
    Unlocatable(io::ErrorKind),
    #[error(
        "directories lie in each other more than {limit} deep in it, too deep to look for git \
         directories. Grant a smaller directory, or set `git = \"exposed\"` for the root",
        limit = git_directory::MAX_DEPTH
    )]
    TooDeepForGit,
    #[error("it cannot be opened: {0}")]
    Failed(io::ErrorKind),
}

impl PreopenError {
    pub(crate) fn of(preopen: &Preopen, fault: PreopenFault) -> Self {
        Self { preopen: Box::new(preopen.clone()), fault }
    }
}

/// What went wrong with a directory. The host's own words may name a path.
impl From<io::Error> for PreopenFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotThere,
            io::ErrorKind::NotADirectory => Self::NoDirectory,
            io::ErrorKind::PermissionDenied => Self::Denied,
            kind => Self::Failed(kind),
        }
    }
}

impl From<LocateError> for PreopenFault {
    fn from(error: LocateError) -> Self {
        match error {
            LocateError::Removed => Self::NotThere,
            LocateError::Detached => Self::Unlocatable(io::ErrorKind::NotFound),
            LocateError::System(error) => Self::Unlocatable(error.kind()),
        }
    }
}

impl From<PreopenError> for RuntimeError {
    fn from(error: PreopenError) -> Self {
        let PreopenError { preopen, fault } = error;
        let (guest_path, reason) = (preopen.guest_path.clone(), fault.to_string());
        match fault {
            PreopenFault::ExposesGit
            | PreopenFault::TooLargeForGit
            | PreopenFault::TooDeepForGit => Self::ExposesGitDir { preopen: guest_path, reason },
            _ => Self::PreopenUnavailable { preopen: guest_path, reason },
        }
    }
}

impl Roots {
    /// Opens the directories in `grants` for a turn of `worker`. This blocks.
    pub(crate) fn open_preopens(
        &self,
        worker: WorkerId,
        grants: &Grants,
    ) -> Result<Vec<OpenPreopen>, PreopenError> {
        let open = |preopen: &Preopen| {
            self.open_preopen(worker, preopen).map_err(|fault| PreopenError::of(preopen, fault))
        };
        grants.preopens.iter().map(open).collect()
    }

    /// Checks that the directories in `grants` can be had by a Worker that is to be created, and what
    /// is not checked again in each turn. Returns those that it would write to. This blocks.
    pub(crate) fn admit(&self, grants: &Grants) -> Result<Vec<Scope>, PreopenError> {
        let mut scopes = Vec::new();
        for preopen in &grants.preopens {
            let admitted = match preopen.root.is_scratch() {
                // It is made by the first turn.
                true => self.scratch().map(|_| None).ok_or(PreopenFault::NoScratch),
                false => self.admit_preopen(preopen),
            };
            scopes.extend(admitted.map_err(|fault| PreopenError::of(preopen, fault))?);
        }
        Ok(scopes)
    }

    /// The directory of `preopen` as it is now, if it is one to be written to. This blocks.
    pub(crate) fn scope(&self, preopen: &Preopen) -> Result<Option<Scope>, PreopenFault> {
        match Scope::is_granted_by(preopen) {
            true => Ok(self.open_below_root(preopen)?.scope(preopen)),
            false => Ok(None),
        }
    }

    pub(crate) fn admit_preopen(&self, preopen: &Preopen) -> Result<Option<Scope>, PreopenFault> {
        let opened = self.open_below_root(preopen)?;
        match opened.access {
            Access::ReadWrite if !opened.exposes_git => {
                // One at a time: each has many handles.
                let _walk = self.walk();
                git_directory::check(&opened.dir)?;
            }
            Access::ReadWrite | Access::ReadOnly => {}
        }
        Ok(opened.scope(preopen))
    }

    fn open_preopen(
        &self,
        worker: WorkerId,
        preopen: &Preopen,
    ) -> Result<OpenPreopen, PreopenFault> {
        if !preopen.root.is_scratch() {
            return self.open_below_root(preopen);
        }
        let all = self.scratch().ok_or(PreopenFault::NoScratch)?;
        let scratch = all.of(worker)?;
        let path = preopen.path.as_str();
        scratch.create_dir_all(path)?;
        Ok(OpenPreopen {
            dir: scratch.open_dir(path)?,
            guest_path: preopen.guest_path.clone(),
            access: preopen.access,
            scratch: Some(all.to_measure(&scratch)?),
            // Nobody runs git there but the Worker.
            exposes_git: true,
            extent: None,
        })
    }

    fn open_below_root(&self, preopen: &Preopen) -> Result<OpenPreopen, PreopenFault> {
        let exposes_git = self.root(&preopen.root).ok_or(PreopenFault::UnknownRoot)?.exposes_git();
        let root = self.open(&preopen.root)?;
        let dir = match preopen.path.is_root() {
            true => root,
            false => open_below(root, &preopen.path)?,
        };
        if preopen.access == Access::ReadWrite && !exposes_git {
            // Whatever it was when it was granted.
            git_directory::check_above(&dir)?;
        }
        let extent = match Scope::is_granted_by(preopen) {
            true => Some(self.locate(&dir, preopen)?),
            false => None,
        };
        Ok(OpenPreopen {
            dir,
            guest_path: preopen.guest_path.clone(),
            access: preopen.access,
            scratch: None,
            exposes_git,
            extent,
        })
    }
}

/// Opens a directory below `root`, and follows no link on the way: a guest that may write there could
/// plant one, and what others were granted would lie where it leads.
fn open_below(root: Dir, path: &RootPath) -> Result<Dir, PreopenFault> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        if let Ok(dir) = openat2(&root, path.as_str(), flags, Mode::empty(), resolve) {
            return Ok(Dir::from_std_file(dir.into()));
        }
        // What is wrong, or that this system has no such call, is found out below.
    }
    path.as_str().split('/').try_fold(root, |above, name| match above.open_dir_nofollow(name) {
        Ok(below) => Ok(below),
        Err(error) => match above.symlink_metadata(name) {
            Ok(metadata) if metadata.is_symlink() => Err(PreopenFault::Link),
            _ => Err(error.into()),
        },
    })
}

impl OpenPreopen {
    fn scope(self, preopen: &Preopen) -> Option<Scope> {
        let Self { guest_path, extent, .. } = self;
        Some(Scope { guest_path, extent: extent?, shared: preopen.shared })
    }
}

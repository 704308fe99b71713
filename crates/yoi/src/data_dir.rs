//! The Backend's directory: who runs on it, and how the CLI finds that one.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use yoi_config::Config;

use crate::cli::own_name;

const BACKEND_FILE: &str = "backend.json";
/// The logs of Workers, in files of the store's own.
const LOG_DIRECTORY: &str = "log";

/// A client that looks whether the lock is held holds it itself for a moment; a starting Backend
/// waits that moment out.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The directory that a command means: by its option, else by the configuration, else the usual
/// place.
pub(crate) fn data_dir(option: Option<&Path>, config: &Config) -> anyhow::Result<PathBuf> {
    if let Some(dir) = option.or(config.server.data_dir.as_deref()) {
        return Ok(dir.to_owned());
    }
    base("XDG_DATA_HOME", "share")
        .context("no place for data: name one with --data-dir, or set HOME")
}

/// Where the logs of Workers are in a data directory.
pub(crate) fn log_dir(data_dir: &Path) -> PathBuf {
    data_dir.join(LOG_DIRECTORY)
}

/// Where the Runtimes of this user tell each other what their Workers write to.
pub(crate) fn allocations_dir() -> anyhow::Result<PathBuf> {
    let base = state_dir().context("no place for the record of what Workers write to: set HOME")?;
    Ok(base.join("allocations"))
}

/// Where what this user did is kept. Nowhere, where nothing names a place.
pub(crate) fn state_dir() -> Option<PathBuf> {
    base("XDG_STATE_HOME", "state")
}

/// Where what can be made anew is kept: compiled components. Nowhere, where nothing names a place.
pub(crate) fn cache_dir() -> Option<PathBuf> {
    let directory = |name| {
        std::env::var_os(name).map(PathBuf::from).filter(|directory| directory.is_absolute())
    };
    let base = directory("XDG_CACHE_HOME").or_else(|| Some(directory("HOME")?.join(".cache")));
    Some(base?.join("yoi").join("components"))
}

/// Our directory in the one that `variable` names, or in `below` of `~/.local`.
fn base(variable: &str, below: &str) -> Option<PathBuf> {
    let directory = |name| {
        std::env::var_os(name).map(PathBuf::from).filter(|directory| directory.is_absolute())
    };
    directory(variable)
        .or_else(|| directory("HOME").map(|home| home.join(".local").join(below)))
        .map(|base| base.join("yoi"))
}

/// A secret that shows itself only in the one file it is written to.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn new(token: String) -> Self {
        Self(token)
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How to reach a running Backend, as it says in its directory. Only its owner may read it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BackendFile {
    /// Its address.
    pub(crate) url: String,
    /// What lets in.
    pub(crate) token: Token,
    /// What its certificate is recognised by, where it encrypts: whatever name stands in it, and whoever vouches
    /// for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<String>,
    /// Its process, for a person who looks for it.
    pub(crate) pid: u32,
}

impl BackendFile {
    /// Reads what the Backend of `dir` says; `None` where none runs, also if one left the file
    /// behind when it was killed: whoever has its port now is not to see its token.
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Option<Self>> {
        if !is_held(dir).with_context(|| format!("failed to look into {}", dir.display()))? {
            return Ok(None);
        }
        let file = dir.join(BACKEND_FILE);
        let text = match fs::read(&file) {
            // It has the lock and is about to write, or about to end.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("failed to read {}", file.display()))?,
        };
        let found = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not what a Backend writes", file.display()))?;
        Ok(Some(found))
    }
}

/// The right to be the Backend of a directory, for as long as it lives.
#[derive(Debug)]
pub(crate) struct DataDirLease {
    dir: PathBuf,
    announced: bool,
    /// The directory itself, locked: unlike a file in it, it cannot be removed while it is in use. The
    /// kernel lets go of the lock however this process ends.
    _lock: File,
}

impl DataDirLease {
    /// Takes `dir`, which is made where it is missing. Fails where another Backend has it.
    pub(crate) fn take(dir: &Path) -> anyhow::Result<Self> {
        create_private_dir(dir)
            .with_context(|| format!("failed to make the data directory {}", dir.display()))?;
        refuse_writable_by_others(dir)?;
        let lock = File::open(dir)
            .with_context(|| format!("failed to open the data directory {}", dir.display()))?;
        for _ in 0..LOCK_TRIES {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { dir: dir.to_owned(), announced: false, _lock: lock }),
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("failed to lock {}", dir.display()));
                }
            }
        }
        anyhow::bail!(
            "yoi runs already with the data directory {}: `{} url` prints a link; for one more, \
             name another directory with --data-dir",
            dir.display(),
            own_name()
        )
    }

    /// Where the logs of Workers are, for whoever holds the directory.
    pub(crate) fn log_dir(&self) -> PathBuf {
        log_dir(&self.dir)
    }

    /// Lets the CLI find this Backend, until the lease ends.
    pub(crate) fn announce(&mut self, backend: &BackendFile) -> anyhow::Result<()> {
        write_private(&self.dir, BACKEND_FILE, &serde_json::to_vec(backend)?)?;
        self.announced = true;
        Ok(())
    }
}

/// Writes a file for this user alone, whole and private from its first moment on: beside, then renamed.
pub(crate) fn write_private(dir: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let path = dir.join(name);
    let beside = dir.join(format!("{name}.{}.tmp", std::process::id()));
    let write = || {
        let _ = fs::remove_file(&beside);
        let mut file = private_file(OpenOptions::new().create_new(true), &beside)?;
        file.write_all(content)?;
        fs::rename(&beside, &path)
    };
    write().with_context(|| format!("failed to write {}", path.display()))
}

/// Whoever can write into the directory can put another file in the place of ours, and learn what
/// the CLI sends there.
#[cfg(unix)]
fn refuse_writable_by_others(dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let found = fs::metadata(dir)
        .with_context(|| format!("failed to look at the data directory {}", dir.display()))?;
    anyhow::ensure!(
        found.mode() & 0o022 == 0,
        "others may write into the data directory {0}: run `chmod go-w {0}`, or name another one \
         with --data-dir",
        dir.display()
    );
    Ok(())
}

#[cfg(not(unix))]
fn refuse_writable_by_others(_dir: &Path) -> anyhow::Result<()> {
    Ok(())
}

impl Drop for DataDirLease {
    fn drop(&mut self) {
        if self.announced
            && let Err(error) = fs::remove_file(self.dir.join(BACKEND_FILE))
        {
            tracing::warn!(%error, "failed to remove {BACKEND_FILE}; it is of no use to anybody");
        }
    }
}

/// Makes `dir` and what is missing above it, for its owner alone.
pub(crate) fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn private_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

/// Whether a Backend holds `dir`.
fn is_held(dir: &Path) -> io::Result<bool> {
    let lock = match File::open(dir) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend() -> BackendFile {
        BackendFile {
            url: "http://127.0.0.1:1".into(),
            token: Token::new("sesame".into()),
            fingerprint: None,
            pid: 7,
        }
    }

    #[test]
    fn a_backend_is_found_while_it_holds_its_directory_and_not_after() {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("new").join("yoi");
        assert!(BackendFile::read(&dir).expect("no directory yet").is_none());
        let mut lease = DataDirLease::take(&dir).expect("a free directory");
        assert!(BackendFile::read(&dir).expect("not announced yet").is_none());
        lease.announce(&backend()).expect("announced");
        let found = BackendFile::read(&dir).expect("readable").expect("a Backend");
        assert_eq!(found.token.reveal(), "sesame");
        let other = DataDirLease::take(&dir).expect_err("the directory is taken");
        assert!(other.to_string().contains("--data-dir"), "{other}");
        drop(lease);
        assert!(BackendFile::read(&dir).expect("readable").is_none());
        assert!(!dir.join(BACKEND_FILE).exists());
    }

    #[test]
    fn a_directory_keeps_its_backend_whatever_is_removed_from_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut lease = DataDirLease::take(dir.path()).expect("a free directory");
        lease.announce(&backend()).expect("announced");
        for entry in fs::read_dir(dir.path()).expect("readable") {
            fs::remove_file(entry.expect("a file").path()).expect("removed");
        }
        DataDirLease::take(dir.path()).expect_err("the directory is taken");
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_that_others_may_write_into_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("opened");
        let refused = DataDirLease::take(dir.path()).expect_err("anybody could write there");
        assert!(refused.to_string().contains("chmod go-w"), "{refused}");
        let written = fs::read_dir(dir.path()).expect("readable").count();
        assert_eq!(written, 0, "nothing was written");
    }

    #[test]
    fn what_a_killed_backend_left_behind_is_not_believed() {
        let dir = tempfile::tempdir().expect("a directory");
        let text = serde_json::to_string(&backend()).expect("JSON");
        fs::write(dir.path().join(BACKEND_FILE), text).expect("a stale file");
        assert!(BackendFile::read(dir.path()).expect("readable").is_none());
    }

    #[cfg(unix)]
    #[test]
    fn the_file_with_the_token_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("yoi");
        let mut lease = DataDirLease::take(&dir).expect("a free directory");
        lease.announce(&backend()).expect("announced");
        let mode =
            |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&dir.join(BACKEND_FILE)), 0o600);
    }

    #[test]
    fn a_token_does_not_show_itself() {
        assert!(!format!("{:?}", backend()).contains("sesame"));
    }
}

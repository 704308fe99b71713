//! Artifacts in a directory, so that a component is compiled once and not at every start.
//!
//! An artifact is machine code: whoever could write one could run what they like. So each carries a
//! MAC under a key that lies in the same directory, for this user alone, and nothing of a file is
//! looked at before its MAC is checked. Whoever can read or replace the key is this user, or root.

mod eviction;

use std::{
    fmt, fs,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use blake3::Hasher;
use uuid::Uuid;
use worker_types::ComponentDigest;

use super::{Artifact, Compatibility};

/// What each file starts with. Another layout, or another meaning of an artifact, gets another
/// number.
const HEADER: &[u8; 16] = b"yoi artifact v2\n";
const MAC_BYTES: usize = 32;
const CODE_AT: usize = HEADER.len() + MAC_BYTES;

const KEY_FILE: &str = "key";
const KEY_BYTES: usize = 32;

/// What a file is called until it is complete.
const INCOMPLETE: &str = "tmp";
/// What it is called then.
const ARTIFACT: &str = "aot";

/// The most bytes of all artifacts together: some hundred components, each of which takes some MiB.
/// It is a cache: what goes is compiled anew when it is needed.
const KEPT_BYTES: u64 = 1 << 30;

/// Where artifacts are kept, and the key they are kept under.
pub(in crate::engine) struct ComponentCache {
    dir: PathBuf,
    /// The MAC of nothing yet: the keyed mode of BLAKE3, which takes a third of the time that HMAC with
    /// SHA-256 does. Artifacts are tens of MiB, and processes that run one script wait for this.
    mac: Hasher,
    /// The longest artifact, in bytes.
    max_bytes: u64,
    /// The most bytes of all files together.
    kept_bytes: u64,
    /// Held while room is made and taken: two at once would both count on it.
    writing: Mutex<()>,
}

/// Why a file is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::engine) enum Rejected {
    #[error("it is larger than an artifact can be")]
    TooLarge,
    #[error("it is cut short")]
    Truncated,
    #[error("it has the layout of another version")]
    OtherVersion,
    #[error("its MAC is wrong")]
    Forged,
}

/// Why a file gave no artifact.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    #[error("it is not what this cache wrote")]
    Rejected(#[from] Rejected),
}

impl ComponentCache {
    /// Opens the cache in `dir`, which is made where it is missing.
    ///
    /// # Errors
    ///
    /// The directory cannot be made or written to, or others than this user can write to it, so
    /// that neither the key nor the files in it could be trusted.
    pub(in crate::engine) fn open(dir: &Path, max_bytes: u64) -> io::Result<Self> {
        Self::open_within(dir, max_bytes, KEPT_BYTES)
    }

    fn open_within(dir: &Path, max_bytes: u64, kept_bytes: u64) -> io::Result<Self> {
        create_private_dir(dir)?;
        if !is_private(&fs::metadata(dir)?, 0o022) {
            return Err(io::Error::other("others can write into the directory"));
        }
        remove_incomplete(dir)?;
        eviction::shrink(dir, kept_bytes)?;
        let key = read_or_create_key(dir)?;
        let mac = Hasher::new_keyed(&key);
        Ok(Self { dir: dir.to_owned(), mac, max_bytes, kept_bytes, writing: Mutex::new(()) })
    }

    /// What was compiled of the component with `digest`, if it is there and really ours. A file
    /// that is not is removed.
    pub(in crate::engine) fn read(
        &self,
        digest: &ComponentDigest,
        compatibility: Compatibility,
    ) -> Option<Artifact> {
        let path = self.path(digest, compatibility);
        let error = match self.read_verified(&path, digest, compatibility) {
            Ok(artifact) => return Some(artifact),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => error,
        };
        tracing::warn!(
            component = %digest,
            error = &error as &dyn std::error::Error,
            "a compiled component is not used; it is compiled anew"
        );
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(component = %digest, %error, "failed to remove a compiled component");
        }
        None
    }

    /// Keeps `artifact`. A cache that cannot be written costs time at the next start, and nothing
    /// else, so it is no error.
    pub(in crate::engine) fn write(
        &self,
        digest: &ComponentDigest,
        compatibility: Compatibility,
        artifact: &Artifact,
    ) {
        if let Err(error) = self.try_write(digest, compatibility, artifact.code()) {
            tracing::warn!(component = %digest, %error, "failed to keep a compiled component");
        }
    }

    fn read_verified(
        &self,
        path: &Path,
        digest: &ComponentDigest,
        compatibility: Compatibility,
    ) -> Result<Artifact, ReadError> {
        let most = self.max_bytes.saturating_add(CODE_AT as u64);
        let file = File::open(path)?;
        let found = file.metadata()?.len();
        if found > most {
            return Err(Rejected::TooLarge.into());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(found).unwrap_or_default());
        // One that grows meanwhile fails its MAC.
        (&file).take(found).read_to_end(&mut bytes)?;
        let (header, rest) = bytes.split_first_chunk().ok_or(Rejected::Truncated)?;
        if header != HEADER {
            return Err(Rejected::OtherVersion.into());
        }
        let (mac, code) = rest.split_first_chunk::<MAC_BYTES>().ok_or(Rejected::Truncated)?;
        // In constant time, so that nobody can find the right one byte by byte.
        if self.mac_of(digest, compatibility, code) != *mac {
            return Err(Rejected::Forged.into());
        }
        // When it was used last. Where that cannot be written down, it goes a little early.
        let _ = file.set_modified(SystemTime::now());
        Ok(Artifact { bytes, code_at: CODE_AT })
    }

    fn try_write(
        &self,
        digest: &ComponentDigest,
        compatibility: Compatibility,
        code: &[u8],
    ) -> io::Result<()> {
        let mac = self.mac_of(digest, compatibility, code);
        let takes = (CODE_AT + code.len()) as u64;
        if takes > self.kept_bytes {
            return Err(io::Error::other("it is larger than all that is kept"));
        }
        let beside = Incomplete::write(&self.dir, &[HEADER, mac.as_bytes(), code])?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.remove_others(digest)?;
        eviction::shrink(&self.dir, self.kept_bytes - takes)?;
        fs::rename(&beside.0, self.path(digest, compatibility))
    }

    /// All that comes before the code has a fixed length, so no two contents look the same.
    fn mac_of(
        &self,
        digest: &ComponentDigest,
        compatibility: Compatibility,
        code: &[u8],
    ) -> blake3::Hash {
        let mut mac = self.mac.clone();
        mac.update(HEADER).update(digest.to_string().as_bytes());
        mac.update(&compatibility.0).update(code).finalize()
    }

    fn path(&self, digest: &ComponentDigest, compatibility: Compatibility) -> PathBuf {
        // The whole of it is under the MAC; here it only has to tell versions apart.
        let compatibility = compatibility.to_string();
        let version = compatibility.get(..16).unwrap_or(&compatibility);
        self.dir.join(format!("{}{version}.{ARTIFACT}", prefix(digest)))
    }

    /// Removes what other versions compiled of the component: updates would pile it up.
    fn remove_others(&self, digest: &ComponentDigest) -> io::Result<()> {
        let prefix = prefix(digest);
        remove_files(&self.dir, |name| name.starts_with(&prefix))
    }
}

impl fmt::Debug for ComponentCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ComponentCache")
    }
}

/// What the names of all files of a component start with.
fn prefix(digest: &ComponentDigest) -> String {
    format!("{}-", digest.to_string().trim_start_matches("sha256:"))
}

/// A file that is removed unless it was renamed.
struct Incomplete(PathBuf);

impl Incomplete {
    /// Writes `parts` to a new file in `dir` that only this user can read.
    fn write(dir: &Path, parts: &[&[u8]]) -> io::Result<Self> {
        let path = dir.join(format!("{}.{INCOMPLETE}", Uuid::now_v7().simple()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path)?;
        let incomplete = Self(path);
        parts.iter().try_for_each(|part| file.write_all(part))?;
        Ok(incomplete)
    }
}

impl Drop for Incomplete {
    fn drop(&mut self) {
        // Where it was renamed, there is nothing to remove; otherwise the next start tries again.
        let _ = fs::remove_file(&self.0);
    }
}

/// The key of the cache in `dir`. One that others can read, that is not ours or that has another
/// length is replaced; whatever was kept under it is then compiled anew.
fn read_or_create_key(dir: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let path = dir.join(KEY_FILE);
    match read_key(&path) {
        Ok(Some(key)) => return Ok(key),
        Ok(None) => {
            tracing::warn!("the key of the compiled components was not private; it is replaced");
            fs::remove_file(&path)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    // A link appears at once and complete, and never in the place of another: where somebody else
    // was faster, the key is theirs.
    let beside = Incomplete::write(dir, &[&key])?;
    match fs::hard_link(&beside.0, &path) {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read_key(&path)?.ok_or_else(|| io::Error::other("the key is not private"))
        }
        Err(error) => Err(error),
    }
}

/// The key in `path`; `None` where it is not to be trusted.
fn read_key(path: &Path) -> io::Result<Option<[u8; KEY_BYTES]>> {
    let file = File::open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || !is_private(&found, 0o077) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes.try_into().ok())
}

/// Whether it belongs to this user, and others have none of the rights in `forbidden`.
#[cfg(unix)]
fn is_private(found: &fs::Metadata, forbidden: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    found.uid() == rustix::process::geteuid().as_raw() && found.mode() & forbidden == 0
}

/// Elsewhere, who may do what is decided by where the directory lies.
#[cfg(not(unix))]
fn is_private(_found: &fs::Metadata, _forbidden: u32) -> bool {
    true
}

fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Removes what a crash left behind. A Runtime that is writing just now loses its file, and that
/// costs it no more than compiling once more.
fn remove_incomplete(dir: &Path) -> io::Result<()> {
    remove_files(dir, |name| name.strip_suffix(INCOMPLETE).is_some_and(|name| name.ends_with('.')))
}

fn remove_files(dir: &Path, which: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(&which) {
            continue;
        }
        remove(&entry.path())?;
    }
    Ok(())
}

/// Removes a file, unless another Runtime with the same directory was faster.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

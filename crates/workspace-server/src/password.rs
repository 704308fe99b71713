//! The password of the console: what is kept of it, and whether what somebody types is it.

use std::{collections::BTreeSet, fmt, fs, io, path::PathBuf};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
};
use http_api::{FileStamp, PrivateFile, PrivateFileError};
use serde::Deserialize;

/// The shortest password. It is tried over a network, a few times an hour from one address, so four words are
/// plenty; what is shorter than this is in a list of passwords.
const LEAST_CHARACTERS: usize = 12;

/// Different ones among them: twelve times the same is in every list, too.
const LEAST_DIFFERENT: usize = 5;

/// The longest: longer than any sentence, and nothing to hash.
const MOST_BYTES: usize = 1_024;

/// What one hash takes: the second choice of RFC 9106 (64 MiB, three passes), on one thread. A tenth to a third
/// of a second.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;

/// The most that a hash may ask for which somebody else put into the file.
const MOST_MEMORY_KIB: u32 = 1 << 20;
const MOST_PASSES: u32 = 16;

/// The bits that tell two hashes of one password apart, in bytes, as RFC 9106 has them.
const SALT_BYTES: usize = 16;

/// The longest file: several times a hash.
const MOST_FILE_BYTES: u64 = 1_024;

/// A password as it was typed. It shows itself nowhere.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// What somebody typed, whether or not it may be chosen.
    #[must_use]
    pub fn typed(text: String) -> Self {
        Self(text)
    }

    /// Whether it may be chosen.
    ///
    /// # Errors
    ///
    /// It has fewer than 12 characters, or than 5 different ones; or more than 1024 bytes, or one that nobody can type.
    pub fn check(&self) -> Result<(), UnusablePassword> {
        if self.0.chars().count() < LEAST_CHARACTERS {
            Err(UnusablePassword::TooShort)
        } else if self.is_too_long() {
            Err(UnusablePassword::TooLong)
        } else if self.0.chars().collect::<BTreeSet<_>>().len() < LEAST_DIFFERENT {
            Err(UnusablePassword::TooUniform)
        } else if self.0.contains(char::is_control) {
            Err(UnusablePassword::Control)
        } else {
            Ok(())
        }
    }

    fn is_too_long(&self) -> bool {
        self.0.len() > MOST_BYTES
    }
}

impl PartialEq for Password {
    /// Of two that one person typed: nothing is told by how long it takes.
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

/// Why a password may not be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnusablePassword {
    /// It would be guessed.
    #[error("a password has at least {LEAST_CHARACTERS} characters: take a few words")]
    TooShort,
    /// So would this.
    #[error("a password has at least {LEAST_DIFFERENT} different characters: take a few words")]
    TooUniform,
    /// Nobody types that.
    #[error("a password has at most {MOST_BYTES} bytes")]
    TooLong,
    /// Such as the end of a line, which a form does not send.
    #[error("a password is one line, without control characters")]
    Control,
}

/// Why the file of the password is of no use.
#[derive(Debug, thiserror::Error)]
pub enum PasswordFileError {
    /// The system does not let it be read or written.
    #[error("the file of the password cannot be used")]
    Io(#[from] io::Error),
    /// Others than its owner can read or write it.
    #[error("others than its owner can use the file of the password: `chmod 600` it")]
    NotPrivate,
    /// It has what no version of yoi wrote.
    #[error(
        "the file of the password has no Argon2id hash that can be used: `yoi password set` writes it anew"
    )]
    Malformed,
    /// The password may not be chosen.
    #[error(transparent)]
    Unusable(#[from] UnusablePassword),
}

impl From<PrivateFileError> for PasswordFileError {
    fn from(error: PrivateFileError) -> Self {
        match error {
            PrivateFileError::Io(error) => Self::Io(error),
            PrivateFileError::NotPrivate => Self::NotPrivate,
            PrivateFileError::TooLong { .. } => Self::Malformed,
        }
    }
}

/// The file in which the hash of the password is kept (Argon2id, as a PHC string), for its owner alone. The
/// password itself is kept nowhere.
#[derive(Debug, Clone)]
pub struct PasswordFile(PrivateFile);

impl PasswordFile {
    /// The file at `path`. Where it is missing, there is no password, and nobody signs in with one.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(PrivateFile::new(path))
    }

    /// Lets `password` be the one from now on. This takes the time of a hash, and waits for the disk.
    ///
    /// # Errors
    ///
    /// The password may not be chosen, or the file cannot be written.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub fn set(&self, password: &Password) -> Result<(), PasswordFileError> {
        password.check()?;
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).expect("the operating system provides randomness");
        let hashed = hasher(MEMORY_KIB, PASSES)
            .and_then(|hasher| hasher.hash_password_with_salt(password.0.as_bytes(), &salt).ok());
        // Of our own figures, and of a password that was looked at.
        let hashed = hashed.ok_or(PasswordFileError::Malformed)?;
        Ok(self.0.replace(format!("{hashed}\n").as_bytes())?)
    }

    /// Lets no password be the one; false where there was none. This waits for the disk.
    ///
    /// # Errors
    ///
    /// The system does not let the file be removed.
    pub fn remove(&self) -> Result<bool, PasswordFileError> {
        Ok(self.0.remove()?)
    }

    /// Whether there is a password. This waits for the disk.
    ///
    /// # Errors
    ///
    /// It cannot be told, since the file is of no use.
    pub fn is_set(&self) -> Result<bool, PasswordFileError> {
        self.hash().map(|hash| hash.is_some())
    }

    /// What tells that the password was changed; nothing where there is none.
    pub(crate) fn stamp(&self) -> Option<FileStamp> {
        self.0.stamp()
    }

    /// Whether `password` is the one. This takes the time of a hash, and waits for the disk.
    pub(crate) fn is(&self, password: &Password) -> Result<bool, PasswordFileError> {
        let Some(hash) = self.hash()? else { return Ok(false) };
        // No such one can have been chosen, so this tells nothing of the one that was.
        if password.is_too_long() {
            return Ok(false);
        }
        // Compares in constant time.
        Ok(Argon2::default().verify_password(password.0.as_bytes(), &hash).is_ok())
    }

    fn hash(&self) -> Result<Option<PasswordHash>, PasswordFileError> {
        // Before it is opened: to open a pipe waits for somebody who writes, and few may be compared at once.
        if fs::metadata(self.0.path()).is_ok_and(|found| !found.is_file()) {
            return Err(PasswordFileError::Malformed);
        }
        let Some(content) = self.0.read(MOST_FILE_BYTES)? else { return Ok(None) };
        let text = std::str::from_utf8(&content).map_err(|_| PasswordFileError::Malformed)?;
        let hash = PasswordHash::new(text.trim_end()).ok().filter(is_usable);
        hash.map(Some).ok_or(PasswordFileError::Malformed)
    }
}

fn hasher(memory_kib: u32, passes: u32) -> Option<Argon2<'static>> {
    let params = Params::new(memory_kib, passes, 1, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Whether something can be compared with it at a cost that can be borne.
fn is_usable(hash: &PasswordHash) -> bool {
    let params = Params::try_from(hash);
    let is_bearable = params
        .is_ok_and(|params| params.m_cost() <= MOST_MEMORY_KIB && params.t_cost() <= MOST_PASSES);
    let is_ours = hash.algorithm == Algorithm::Argon2id.ident();
    is_ours && is_bearable && hash.salt.is_some() && hash.hash.is_some()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOOD: &str = "correct horse battery";

    fn file() -> (tempfile::TempDir, PasswordFile) {
        let dir = tempfile::tempdir().expect("a directory");
        let file = PasswordFile::new(dir.path().join("password"));
        (dir, file)
    }

    fn typed(text: &str) -> Password {
        Password::typed(text.to_owned())
    }

    #[test]
    fn only_the_password_that_was_set_is_the_one() {
        let (_dir, file) = file();
        assert!(!file.is_set().expect("no file") && !file.is(&typed("")).expect("no file"));
        file.set(&typed(GOOD)).expect("set");
        assert!(file.is_set().expect("set"));
        assert!(file.is(&typed(GOOD)).expect("compared"));
        let long = GOOD.repeat(MOST_BYTES);
        for wrong in ["", "correct horse batterY", "correct horse battery ", &long] {
            assert!(!file.is(&typed(wrong)).expect("compared"));
        }
        let before = file.stamp();
        file.set(&typed("another one of these")).expect("set");
        assert!(!file.is(&typed(GOOD)).expect("compared"));
        assert_ne!(file.stamp(), before);
        assert!(file.remove().expect("removed") && !file.remove().expect("nothing to remove"));
        assert!(!file.is(&typed("another one of these")).expect("no file"));
    }

    #[test]
    fn what_is_kept_is_a_hash_by_argon2id_that_differs_each_time_and_is_its_owners() {
        let (dir, file) = file();
        let path = dir.path().join("password");
        let kept = || {
            file.set(&typed(GOOD)).expect("set");
            fs::read_to_string(&path).expect("text")
        };
        let (one, other) = (kept(), kept());
        assert!(one.starts_with("$argon2id$v=19$m=65536,t=3,p=1$"), "{one}");
        assert_ne!(one, other, "each has a salt of its own");
        assert!(!one.contains("horse"), "{one}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            for mode in [0o644, 0o640, 0o606] {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
                let refused = file.is(&typed(GOOD)).expect_err("others can read it");
                assert!(matches!(refused, PasswordFileError::NotPrivate), "{refused:?}");
                assert!(refused.to_string().contains("chmod 600"));
            }
        }
    }

    #[test]
    fn a_file_that_yoi_did_not_write_is_no_password() {
        let (dir, file) = file();
        file.set(&typed(GOOD)).expect("set");
        let path = dir.path().join("password");
        let good = fs::read_to_string(&path).expect("text");
        for bad in [
            "",
            GOOD,
            &good.replace("argon2id", "argon2i"),
            &good.replace("argon2id", "scrypt"),
            &good.replace("m=65536", "m=4294967295"),
            &good.replace("t=3", "t=4000000000"),
            good.rsplit_once('$').expect("a hash").0,
            &good.repeat(20),
        ] {
            fs::write(&path, bad).expect("written");
            let refused = file.is_set().expect_err(bad);
            assert!(matches!(refused, PasswordFileError::Malformed), "{bad}: {refused:?}");
            assert!(file.is(&typed(GOOD)).is_err(), "{bad}");
        }
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("a directory");
        assert!(file.is_set().is_err(), "what cannot be read is not the same as none");
    }

    #[test]
    fn a_password_that_would_be_guessed_or_cannot_be_typed_is_not_chosen() {
        let (_dir, file) = file();
        for (text, why) in [
            ("", UnusablePassword::TooShort),
            ("short words", UnusablePassword::TooShort),
            (&*" ".repeat(LEAST_CHARACTERS), UnusablePassword::TooUniform),
            ("1212 1212 1212", UnusablePassword::TooUniform),
            ("one line\nand another", UnusablePassword::Control),
            (&*"a".repeat(MOST_BYTES + 1), UnusablePassword::TooLong),
        ] {
            assert_eq!(typed(text).check(), Err(why), "{text:?}");
            let refused = file.set(&typed(text)).expect_err("unusable");
            assert!(text.is_empty() || !refused.to_string().contains(text), "{refused}");
        }
        assert_eq!(typed("äöü und noch was").check(), Ok(()));
        assert!(!file.is_set().expect("nothing was kept"));
    }

    #[test]
    fn a_pipe_in_its_place_is_refused_at_once() {
        let (_dir, file) = file();
        rustix::fs::mkfifoat(rustix::fs::CWD, file.0.path(), rustix::fs::Mode::RUSR)
            .expect("a pipe");
        let refused = file.is(&typed(GOOD));
        assert!(matches!(refused, Err(PasswordFileError::Malformed)), "{refused:?}");
    }

    #[test]
    fn a_password_shows_itself_nowhere() {
        assert_eq!(format!("{:?}", typed(GOOD)), "Password(***)");
    }
}

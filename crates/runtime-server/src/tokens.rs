//! The tokens of a Runtime: a file that an operator's commands write and the server reads.

use std::{collections::BTreeSet, fmt, fs::OpenOptions, io, path::PathBuf, str::FromStr};

use http_api::{PrivateFile, PrivateFileError, Secret, SecretDigest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use worker_types::{Grants, Labels};

/// The longest file that is read: some ten thousand tokens.
const MAX_FILE_BYTES: u64 = 8 << 20;

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// To look at Workers and at the Runtime.
    Observe,
    /// To create Workers and to give them work.
    Command,
    /// Everything, components and the Runtime itself included.
    Admin,
}

/// A word that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a scope: expected `observe`, `command` or `admin`")]
pub struct ParseScopeError;

impl Scope {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Command => "command",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, ParseScopeError> {
        let all = [Self::Observe, Self::Command, Self::Admin];
        all.into_iter().find(|scope| scope.name() == text).ok_or(ParseScopeError)
    }
}

/// What a token is called in lists and in the log. It gives no access.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(String);

impl TokenId {
    fn generate() -> Self {
        let random = Uuid::new_v4().simple().to_string();
        Self(format!("t-{}", random.get(..12).unwrap_or(&random)))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a new token is to be good for.
#[derive(Debug, Clone, Default)]
pub struct NewToken {
    /// A name for eyes; may be empty.
    pub name: String,
    /// What it may be used for; `admin` includes the others.
    pub scopes: BTreeSet<Scope>,
    /// Only Workers with these labels are there for it, and those it creates have them.
    pub labels: Labels,
    /// From then on it is good for nothing; absent, it has no end.
    pub expires_at: Option<Timestamp>,
    /// The most that a Worker may be granted which it creates; absent, what the Runtime allows.
    pub ceiling: Option<Grants>,
}

/// What is kept of a token. The token itself is not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRecord {
    /// What it is called.
    pub id: TokenId,
    /// A name for eyes; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub(crate) digest: SecretDigest,
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
    /// Only Workers with these labels are there for it.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on it is good for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The most that a Worker may be granted which it creates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Grants>,
}

impl TokenRecord {
    /// Whether it may be used for what takes `scope`.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// Whether it is good for nothing any more.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// Why the file of tokens is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The system does not let it be read or written.
    #[error("the file of tokens cannot be used")]
    Io(#[from] io::Error),
    /// Others than its owner can read or write it.
    #[error("others than its owner can use the file of tokens: `chmod 600` it")]
    NotPrivate,
    /// It is longer than all the tokens anybody has.
    #[error("the file of tokens is longer than {MAX_FILE_BYTES} bytes")]
    TooLong,
    /// It has what no version of yoi wrote.
    #[error("the file of tokens makes no sense")]
    Malformed(#[from] serde_json::Error),
}

/// The file in which a Runtime's tokens are kept, as digests, for its owner alone.
#[derive(Debug, Clone)]
pub struct TokenFile {
    pub(crate) file: PrivateFile,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    tokens: Vec<TokenRecord>,
}

impl TokenFile {
    /// The file at `path`. Where it is missing, there are no tokens.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { file: PrivateFile::new(path) }
    }

    /// Whether it was ever written. This waits for the disk.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.file.path().exists()
    }

    /// All tokens, in the order in which they were made. This waits for the disk.
    ///
    /// # Errors
    ///
    /// See [`TokenFileError`].
    pub fn list(&self) -> Result<Vec<TokenRecord>, TokenFileError> {
        Ok(self.read()?.tokens)
    }

    /// Makes a token. What it returns besides is kept nowhere else: it is to be handed out now. This waits
    /// for the disk.
    ///
    /// # Errors
    ///
    /// See [`TokenFileError`].
    pub fn add(&self, token: NewToken) -> Result<(TokenRecord, Secret), TokenFileError> {
        let secret = Secret::generate();
        let NewToken { name, scopes, labels, expires_at, ceiling } = token;
        let record = TokenRecord {
            id: TokenId::generate(),
            name,
            digest: secret.digest(),
            scopes,
            labels,
            created_at: Timestamp::now(),
            expires_at,
            ceiling,
        };
        self.change(|tokens| {
            tokens.push(record.clone());
            true
        })?;
        Ok((record, secret))
    }

    /// Removes a token; false where there is none of that id. This waits for the disk.
    ///
    /// # Errors
    ///
    /// See [`TokenFileError`].
    pub fn remove(&self, id: &str) -> Result<bool, TokenFileError> {
        self.change(|tokens| {
            let before = tokens.len();
            tokens.retain(|token| token.id.as_str() != id);
            tokens.len() < before
        })
    }

    /// Changes the tokens, one process after the other. Readers see all of the change or nothing. Where `change`
    /// says that there is none, nothing is written.
    fn change(
        &self,
        change: impl FnOnce(&mut Vec<TokenRecord>) -> bool,
    ) -> Result<bool, TokenFileError> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(self.file.path().with_extension("lock"))?;
        lock.lock()?;
        let mut content = self.read()?;
        if !change(&mut content.tokens) {
            return Ok(false);
        }
        let mut text = serde_json::to_vec_pretty(&content)?;
        text.push(b'\n');
        self.file.replace(&text)?;
        Ok(true)
    }

    fn read(&self) -> Result<Content, TokenFileError> {
        match self.file.read(MAX_FILE_BYTES)? {
            Some(text) => Ok(serde_json::from_slice(&text)?),
            None => Ok(Content::default()),
        }
    }
}

impl From<PrivateFileError> for TokenFileError {
    fn from(error: PrivateFileError) -> Self {
        match error {
            PrivateFileError::Io(error) => Self::Io(error),
            PrivateFileError::NotPrivate => Self::NotPrivate,
            PrivateFileError::TooLong { .. } => Self::TooLong,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file() -> (tempfile::TempDir, TokenFile) {
        let dir = tempfile::tempdir().expect("a directory");
        let file = TokenFile::new(dir.path().join("tokens.json"));
        (dir, file)
    }

    fn observer() -> NewToken {
        NewToken { scopes: [Scope::Observe].into(), ..NewToken::default() }
    }

    #[test]
    fn the_file_has_no_token_and_is_for_its_owner_alone() {
        let (dir, file) = file();
        let (record, secret) = file.add(observer()).expect("made");
        let path = dir.path().join("tokens.json");
        let text = fs::read_to_string(&path).expect("text");
        assert!(!text.contains(secret.reveal()), "{text}");
        assert!(!format!("{record:?}{secret:?}").contains(secret.reveal()));
        assert_eq!(file.list().expect("a list"), [record]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
            assert!(matches!(file.list(), Err(TokenFileError::NotPrivate)));
        }
    }

    #[test]
    fn what_makes_no_sense_is_neither_used_nor_written_over() {
        let (dir, file) = file();
        let path = dir.path().join("tokens.json");
        fs::write(&path, "{\"tokens\": 7}").expect("written");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
        }
        assert!(matches!(file.add(observer()), Err(TokenFileError::Malformed(_))));
        assert_eq!(fs::read_to_string(&path).expect("text"), "{\"tokens\": 7}");
    }

    #[test]
    fn two_who_add_at_once_lose_nothing() {
        let (_dir, file) = file();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| file.add(observer()).expect("made"));
            }
        });
        assert_eq!(file.list().expect("a list").len(), 8);
    }
}

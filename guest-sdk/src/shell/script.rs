//! What is run, and what comes of it.

use std::{fmt, time::Duration};

/// A script to run. Text converts into one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// Its text, as for `bash -c`.
    pub text: String,
    /// `$1` and so on.
    pub arguments: Vec<String>,
    /// Variables that are set and exported before it begins. They stay set in the session.
    pub environment: Vec<(String, String)>,
    /// Where it begins, absolute; absent, where the script before it in the session ended.
    pub directory: Option<String>,
    /// The longest it may take; absent or more than the grant allows, what the grant allows.
    pub timeout: Option<Duration>,
    /// What it reads.
    pub input: Input,
}

/// What a script reads from its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Input {
    /// Nothing: it finds the end at once.
    #[default]
    Closed,
    /// These bytes, then the end. They are given as it reads them, while its output is read.
    Bytes(Vec<u8>),
    /// What [`Running::write`](super::Running::write) gives it, until
    /// [`Running::close_stdin`](super::Running::close_stdin).
    Open,
}

impl Script {
    /// A script with this text, without arguments or input.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// With one more argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// With this variable, which stays set in the session.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Beginning in this directory, which is absolute.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<String>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// For at most this long.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Reading these bytes. However many they are, they block nothing: they are given as the script
    /// reads, while its output is taken.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// Reading what is written to it while it runs.
    #[must_use]
    pub fn open_input(mut self) -> Self {
        self.input = Input::Open;
        self
    }
}

impl From<&str> for Script {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Script {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// How a script ended. It displays as a sentence for a person, without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this exit code.
    Exited(u8),
    /// It took longer than it may, and was ended.
    TimedOut,
    /// It took more of something than the turn may, and was ended; the words say of what.
    Limit(String),
    /// The shell itself failed, and the words say how.
    Crashed(String),
    /// A kind that this version has no name for, in words.
    Other(String),
}

impl Ending {
    /// Whether it ended by itself with the exit code 0.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Exited(0))
    }

    /// What is known of a script whose end the host did not tell.
    pub(super) fn lost() -> Self {
        Self::Other("the shell did not say how the script ended".to_owned())
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "the script exited with code {code}"),
            Self::TimedOut => f.write_str("the script took longer than it may, and was ended"),
            Self::Limit(what) => write!(f, "the script ran into a limit of the turn: {what}"),
            Self::Crashed(how) => write!(f, "the shell failed: {how}"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

/// What comes of a running script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes of its standard output, at most 64 KiB. They may end within a character: see
    /// [`Decoder`](super::Decoder).
    Stdout(Vec<u8>),
    /// Bytes of its standard error, at most 64 KiB.
    Stderr(Vec<u8>),
    /// Its end. Nothing follows.
    Ended(Ending),
    /// A kind that this version has no name for, as JSON text. Skip it.
    Other(String),
}

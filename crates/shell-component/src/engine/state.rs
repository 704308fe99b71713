//! What a session keeps between scripts.

use std::path::Path;

use bashkit::{Bash, ShellState};
use serde::{Deserialize, Serialize};

use super::internal;

/// What the host keeps of a session at most. More is what a script should keep in a file.
const MAX_BYTES: usize = 1024 * 1024;

/// The form of the state. Another one is refused: a session does not outlive the shell's version.
const VERSION: u32 = 1;

/// Why a state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadStateError {
    /// It is larger than any that is written.
    #[error("it has {0} bytes, more than are kept")]
    TooLarge(usize),
    /// It is something else.
    #[error("it is not a state")]
    Malformed(#[source] serde_json::Error),
    /// Another version of the shell wrote it.
    #[error("it has version {0}, which this shell does not know")]
    Version(u32),
}

/// What was read.
pub(super) struct Saved(ShellState);

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    shell: ShellState,
}

pub(super) fn read(bytes: &[u8]) -> Result<Saved, ReadStateError> {
    if bytes.len() > MAX_BYTES {
        return Err(ReadStateError::TooLarge(bytes.len()));
    }
    let stored: Stored = serde_json::from_slice(bytes).map_err(ReadStateError::Malformed)?;
    if stored.version != VERSION {
        return Err(ReadStateError::Version(stored.version));
    }
    Ok(Saved(stored.shell))
}

impl Saved {
    /// Puts the state in place. What the host gives for this script goes before what the session had.
    /// Returns what has to stand in front of the script, on its first line: bashkit forgets options
    /// and `$?` before every script.
    pub(super) fn restore(
        mut self,
        bash: &mut Bash,
        directory: Option<&Path>,
        environment: &[(String, String)],
    ) -> String {
        for (name, value) in environment {
            self.0.env.insert(name.clone(), value.clone());
            self.0.variables.insert(name.clone(), value.clone());
        }
        if let Some(directory) = directory {
            directory.clone_into(&mut self.0.cwd);
            let directory = directory.to_string_lossy().into_owned();
            self.0.variables.insert("PWD".to_owned(), directory);
        }
        let mut prefix = String::new();
        let is_set =
            |variable: &str| self.0.variables.get(variable).is_some_and(|value| value == "1");
        for (option, variable) in OPTIONS {
            if is_set(variable) {
                prefix.push_str("set -o ");
                prefix.push_str(option);
                prefix.push_str("; ");
            }
        }
        if self.0.last_exit_code != 0 && !is_set("SHOPT_e") {
            prefix.push_str(&internal::status_line(self.0.last_exit_code));
        }
        bash.restore_shell_state(&self.0);
        prefix
    }
}

/// Options of `set -o`, and the variables that bashkit keeps them in. The one that shows commands comes
/// last, so as not to show the others.
const OPTIONS: [(&str, &str); 15] = [
    ("allexport", "SHOPT_a"),
    ("errtrace", "SHOPT_E"),
    ("functrace", "SHOPT_T"),
    ("ignoreeof", "SHOPT_ignoreeof"),
    ("keyword", "SHOPT_k"),
    ("noclobber", "SHOPT_C"),
    ("noglob", "SHOPT_f"),
    ("nounset", "SHOPT_u"),
    ("physical", "SHOPT_P"),
    ("pipefail", "SHOPT_pipefail"),
    ("posix", "SHOPT_posix"),
    ("verbose", "SHOPT_v"),
    ("vi", "SHOPT_vi"),
    ("errexit", "SHOPT_e"),
    ("xtrace", "SHOPT_x"),
];

/// Why a state is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteStateError {
    #[error(
        "the session's variables and functions have {0} bytes, more than the {MAX_BYTES} that are kept: what this script changed of them is lost"
    )]
    TooLarge(usize),
    #[error("the session's variables and functions cannot be kept: {0}")]
    Unspeakable(serde_json::Error),
}

/// The state of `bash`, after a script that ended with `code`.
pub(super) fn write(bash: &Bash, code: u8) -> Result<Vec<u8>, WriteStateError> {
    let mut shell = bash.shell_state();
    shell.last_exit_code = code.into();
    let stored = Stored { version: VERSION, shell };
    let bytes = serde_json::to_vec(&stored).map_err(WriteStateError::Unspeakable)?;
    if bytes.len() > MAX_BYTES {
        return Err(WriteStateError::TooLarge(bytes.len()));
    }
    Ok(bytes)
}

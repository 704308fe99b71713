//! What a session keeps between scripts.

use bashkit::{Bash, ShellState};
use serde::{Deserialize, Serialize};

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
    pub(super) fn restore(&self, bash: &mut Bash) {
        bash.restore_shell_state(&self.0);
    }
}

/// The state of `bash`, unless that is too large.
pub(super) fn write(bash: &Bash) -> Option<Vec<u8>> {
    let stored = Stored { version: VERSION, shell: bash.shell_state() };
    serde_json::to_vec(&stored).ok().filter(|bytes| bytes.len() <= MAX_BYTES)
}

//! Scripts for a bash-compatible shell that runs inside WebAssembly.
//!
//! The shell sees the Worker's own directories at the same paths, and nothing else: no native
//! process, no network, none of the host's variables. It needs the grant `shell`.
//!
//! ```
//! use worker_guest::{Failure, Turn, Worker, shell::Script, testing::TestTurn, worker};
//!
//! struct Counter;
//!
//! worker!(Counter);
//!
//! impl Worker for Counter {
//!     fn run(turn: Turn) -> Result<(), Failure> {
//!         let script = Script::new("wc -l").input(turn.text());
//!         let output = turn.shell()?.output(script, 64 << 10)?;
//!         if !output.ending.is_success() {
//!             return Err(Failure::new(output.ending.to_string()));
//!         }
//!         Ok(turn.say(output.stdout.text().trim())?)
//!     }
//! }
//!
//! let outcome = TestTurn::text("a\nb\n").grant("shell").shell_says("2\n").run::<Counter>();
//! assert_eq!(outcome.said, ["2"]);
//! assert_eq!(outcome.scripts[0].stdin, b"a\nb\n");
//! ```

mod captured;
mod decoder;
mod running;
mod script;

pub use captured::Captured;
pub use decoder::Decoder;
pub use running::{Ready, Running};
pub use script::{Ending, Input, Piece, Script};

use crate::{Error, host};

/// A session of the shell: scripts that run after each other and share what bash keeps, namely
/// variables, functions, aliases, options and the working directory.
///
/// What a script changed of them is kept if it ended by itself. Its background jobs and the files
/// it holds open end with it. A session begins in the first directory of the Worker.
#[derive(Debug)]
pub struct Shell {
    session: host::ShellSession,
}

/// What a script wrote, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its standard output, as much as was asked for.
    pub stdout: Captured,
    /// Its standard error, as much as was asked for.
    pub stderr: Captured,
    /// How it ended.
    pub ending: Ending,
}

impl Shell {
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self { session: host::ShellSession::open()? })
    }

    /// Starts a script and returns at once. The session is taken until the script is dropped: it
    /// runs one at a time. The turn's limits on time, memory and files count for the Worker and its
    /// scripts together.
    pub fn start(&mut self, script: impl Into<Script>) -> Result<Running<'_>, Error> {
        Running::start(&self.session, script.into())
    }

    /// Runs a script to its end and keeps at most `limit` bytes of each of its outputs: the
    /// beginning and the end. The rest is read and counted ([`Captured::cut`]), so that the script
    /// ends by itself.
    pub fn output(&mut self, script: impl Into<Script>, limit: usize) -> Result<Output, Error> {
        let mut output = Output {
            stdout: Captured::new(limit),
            stderr: Captured::new(limit),
            ending: Ending::lost(),
        };
        for piece in self.start(script)? {
            match piece {
                Piece::Stdout(bytes) => output.stdout.push(&bytes),
                Piece::Stderr(bytes) => output.stderr.push(&bytes),
                Piece::Ended(ending) => output.ending = ending,
                Piece::Other(_) => {}
            }
        }
        Ok(output)
    }
}

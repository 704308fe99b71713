//! One script, with the standard streams of this process.

use std::io;

use anyhow::Context as _;
use tokio::task::spawn_blocking;
use worker_runtime::{RunningScript, Script, ScriptEnd, ScriptPiece, ShellSession};

use crate::{commands::shell::stdin::Stdin, output::Output, signals::EndSignals};

/// What shells give to a program that was ended (SIGKILL).
const KILLED: u8 = 137;

/// What shells give to a program that ended itself for a fault of its own (SIGABRT).
const ABORTED: u8 = 134;

/// What shells give to a program that wrote where nobody reads (SIGPIPE).
const READER_GONE: u8 = 141;

/// How a script ended, for whoever started this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScriptExit {
    Code {
        code: u8,
        /// Whether it said `exit`.
        said_exit: bool,
    },
    /// Somebody interrupted it. Nothing of it runs on.
    Interrupted,
}

/// Runs a script to its end. Standard input is not touched until it asks.
pub(super) async fn run(
    session: &ShellSession,
    script: Script,
    signals: &mut EndSignals,
    output: Output,
) -> anyhow::Result<ScriptExit> {
    let running = session.start(script).await?;
    let ended = tokio::select! {
        ended = print(&running, output) => ended?,
        never = feed(&running) => match never? {},
        () = signals.next() => ScriptExit::Interrupted,
    };
    running.cancel().await;
    Ok(ended)
}

/// Prints what it writes, until its end.
async fn print(running: &RunningScript, output: Output) -> anyhow::Result<ScriptExit> {
    while let Some(piece) = running.next().await {
        // Where nobody reads, this waits, and a signal is not to.
        let printed = match piece {
            ScriptPiece::Stdout(bytes) => spawn_blocking(move || output.bytes(&bytes)).await,
            ScriptPiece::Stderr(bytes) => spawn_blocking(move || output.error_bytes(&bytes)).await,
            ScriptPiece::Ended(end) => return Ok(exit(end, output)),
            _ => continue,
        };
        match printed.context("failed to print")? {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(ScriptExit::Code { code: READER_GONE, said_exit: true });
            }
            printed => printed.context("failed to print what the script writes")?,
        }
    }
    anyhow::bail!("the script ended without a word")
}

fn exit(end: ScriptEnd, output: Output) -> ScriptExit {
    let (code, reason) = match end {
        ScriptEnd::Exited { code, said_exit } => return ScriptExit::Code { code, said_exit },
        ScriptEnd::Limit(limit) => (KILLED, limit),
        ScriptEnd::Crashed(reason) => (ABORTED, format!("the shell failed: {reason}")),
        _ => (KILLED, "the script took longer than it may".to_owned()),
    };
    output.error(&format!("yoi: {reason}"), None);
    ScriptExit::Code { code, said_exit: false }
}

/// What does not happen.
enum Never {}

/// Gives it of standard input what it asks for.
async fn feed(running: &RunningScript) -> anyhow::Result<Never> {
    let mut stdin = None;
    while running.wants_input().await {
        let stdin = match &mut stdin {
            Some(stdin) => stdin,
            None => stdin.insert(Stdin::open().context("failed to read standard input")?),
        };
        let bytes = stdin.read().await;
        if bytes.is_empty() || !running.write(&bytes).await {
            running.close_stdin();
            break;
        }
    }
    std::future::pending().await
}

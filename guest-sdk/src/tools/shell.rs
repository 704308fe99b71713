//! `shell`.

use std::time::Duration;

use super::{ArgumentError, Arguments, ToolError};
use crate::{
    ToolSchema, Turn,
    shell::{Captured, Ending, Piece, Script, Shell},
};

/// Bytes of output that are shown: some 8,000 tokens. Half of them from the beginning, half from
/// the end, where errors stand.
const MAX_OUTPUT_BYTES: usize = 32 << 10;

/// Runs a script in the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunScript {
    /// Its text, as for `bash -c`.
    pub script: String,
    /// Where it begins, absolute; absent, where the script before it ended.
    pub directory: Option<String>,
    /// The longest it may take; absent, what the grant allows.
    pub timeout: Option<Duration>,
}

impl RunScript {
    /// What a model calls it.
    pub const NAME: &'static str = "shell";

    /// What a model is told of it.
    #[must_use]
    pub fn schema() -> ToolSchema {
        ToolSchema::new(
            Self::NAME,
            "Runs a bash script with the usual commands (grep, sed, awk, find, jq, diff, tar, …), no \
             network, and nothing to read from standard input. Variables, functions and the working \
             directory stay for the next script. Shows both outputs in their order, at most 32 KiB of \
             them, and the exit code.",
            r#"{"type":"object","properties":{"script":{"type":"string","description":"The script."},"directory":{"type":"string","description":"Where it begins, an absolute path. Default: where the last script ended."},"timeout_seconds":{"type":"integer","minimum":1,"description":"The longest it may take. Default: what is allowed."}},"required":["script"],"additionalProperties":false}"#,
        )
    }

    /// Reads its arguments. Fails with what a model has to mend.
    pub fn from_arguments(arguments: &Arguments) -> Result<Self, ArgumentError> {
        arguments.only(&["script", "directory", "timeout_seconds"])?;
        let directory = arguments.optional_text("directory")?;
        if let Some(relative) = directory.filter(|path| !path.starts_with('/')) {
            return Err(ArgumentError::unexpected("directory", "an absolute path", relative));
        }
        let timeout = arguments.optional_whole_number("timeout_seconds")?;
        if timeout == Some(0) {
            return Err(ArgumentError::unexpected("timeout_seconds", "1 or more", "0"));
        }
        Ok(Self {
            script: arguments.text("script")?.to_owned(),
            directory: directory.map(ToOwned::to_owned),
            timeout: timeout.map(Duration::from_secs),
        })
    }

    /// Runs it in a session. A script that fails is an error with the same text as one that does
    /// not: its output and how it ended.
    pub fn run(&self, shell: &mut Shell) -> Result<String, ToolError> {
        let mut script = Script::new(&*self.script);
        script.directory.clone_from(&self.directory);
        script.timeout = self.timeout;
        let mut output = Captured::new(MAX_OUTPUT_BYTES);
        let mut ended = None;
        for piece in shell.start(script)? {
            match piece {
                Piece::Stdout(bytes) | Piece::Stderr(bytes) => output.push(&bytes),
                Piece::Ended(ending) => ended = Some(ending),
                Piece::Other(_) => {}
            }
        }
        let mut text = output.text();
        if text.is_empty() {
            text.push_str("[no output]");
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        if output.cut() > 0 {
            text.push_str("[to see all of it, write it into a file and `read` that]\n");
        }
        match &ended {
            Some(Ending::Exited(code)) => text.push_str(&format!("[exit code {code}]")),
            Some(ending) => text.push_str(&format!("[{ending}]")),
            None => text.push_str("[nobody knows how the script ended]"),
        }
        if ended == Some(Ending::Exited(0)) { Ok(text) } else { Err(ToolError::Failed(text)) }
    }
}

/// The session that a toolbox keeps: opened with the first script.
#[derive(Debug, Default)]
pub(super) struct LazyShell {
    shell: Option<Shell>,
}

impl LazyShell {
    /// Runs a script. The first one begins in `first_directory` unless it says where.
    pub(super) fn run(
        &mut self,
        turn: &Turn,
        first_directory: &str,
        mut script: RunScript,
    ) -> Result<String, ToolError> {
        let shell = match &mut self.shell {
            Some(shell) => shell,
            None => {
                script.directory.get_or_insert_with(|| first_directory.to_owned());
                self.shell.insert(turn.shell()?)
            }
        };
        script.run(shell)
    }
}

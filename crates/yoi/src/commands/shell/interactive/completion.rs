//! Completion of commands, variables and files, as the session itself knows them.

use std::{sync::Arc, time::Duration};

use reedline::{Completer, CompletionResult, Span, Suggestion};
use tokio::{runtime::Handle, time::timeout};
use worker_runtime::{Script, ScriptPiece, ShellSession};

use super::syntax::{LastWord, last_word};

/// How long a person waits for suggestions.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most that is read of suggestions.
const MAX_BYTES: usize = 256 << 10;

/// The most that is shown.
const MAX_SUGGESTIONS: usize = 500;

/// Characters that mean something to the shell.
const SPECIAL: &str = " \t\n\\'\"`$&|;<>()[]{}*?!#~";

/// Asks the session what could follow.
pub(super) struct ShellCompleter {
    session: Arc<ShellSession>,
    handle: Handle,
}

/// What a word may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Command,
    Variable,
    File,
}

impl Kind {
    /// The script that lists what begins with `$1`, one on a line; directories end in a slash.
    fn script(self) -> &'static str {
        match self {
            Self::Command => "compgen -c -- \"$1\"",
            Self::Variable => "compgen -v -- \"$1\"",
            Self::File => {
                "compgen -f -- \"$1\" | while IFS= read -r f; do \
                 if [ -d \"$f\" ]; then printf '%s/\\n' \"$f\"; else printf '%s\\n' \"$f\"; fi; done"
            }
        }
    }
}

impl ShellCompleter {
    pub(super) fn new(session: Arc<ShellSession>, handle: Handle) -> Self {
        Self { session, handle }
    }

    /// What the session lists. What it changes of itself in doing so is forgotten.
    async fn list(&self, kind: Kind, word: &str) -> String {
        let script = Script {
            text: kind.script().to_owned(),
            arguments: vec![word.to_owned()],
            ..Script::default()
        };
        let mut listed = Vec::new();
        let reading = async {
            let Ok(running) = self.session.fork().start(script).await else { return };
            running.close_stdin();
            while let Some(piece) = running.next().await {
                match piece {
                    ScriptPiece::Stdout(bytes) if listed.len() < MAX_BYTES => listed.extend(bytes),
                    _ => {}
                }
            }
        };
        // What came until then is shown.
        let _ = timeout(PATIENCE, reading).await;
        String::from_utf8_lossy(&listed).into_owned()
    }
}

impl Completer for ShellCompleter {
    fn complete(&mut self, line: &str, position: usize) -> CompletionResult {
        let before = line.get(..position).unwrap_or(line);
        let LastWord { text, is_command } = last_word(before);
        let word = unquoted(text);
        let (kind, prefix) = match word.strip_prefix('$') {
            Some(name) => (Kind::Variable, name.to_owned()),
            None if is_command && !word.contains('/') => (Kind::Command, word),
            None => (Kind::File, word),
        };
        let listed = self.handle.block_on(self.list(kind, &prefix));
        let mut names: Vec<&str> = listed.lines().filter(|name| is_plain(name)).collect();
        names.sort_unstable();
        names.dedup();
        let span = Span::new(position - text.len(), position);
        let suggestions: Vec<Suggestion> = names
            .into_iter()
            .take(MAX_SUGGESTIONS)
            .map(|name| Suggestion {
                value: match kind {
                    Kind::Variable => format!("${name}"),
                    Kind::Command | Kind::File => quoted(name),
                },
                display_override: Some(name.to_owned()),
                span,
                append_whitespace: !name.ends_with('/'),
                ..Suggestion::default()
            })
            .collect();
        CompletionResult::fresh(suggestions)
    }
}

/// Whether it can be shown as it is: a stranger may have chosen the names of files.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(char::is_control)
}

/// A word without its quotes, which need not be closed.
fn unquoted(word: &str) -> String {
    let mut plain = String::with_capacity(word.len());
    let mut characters = word.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            '\'' | '"' => {}
            other => plain.push(other),
        }
    }
    plain
}

/// A word that means `name`.
fn quoted(name: &str) -> String {
    let mut word = String::with_capacity(name.len());
    for character in name.chars() {
        if SPECIAL.contains(character) {
            word.push('\\');
        }
        word.push(character);
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_so_that_they_mean_themselves() {
        for name in ["plain.txt", "a b", "it's", "$HOME", "*", "back\\slash"] {
            assert_eq!(unquoted(&quoted(name)), name);
        }
        assert_eq!(quoted("a b"), "a\\ b");
        assert_eq!(unquoted("'a b"), "a b");
    }
}

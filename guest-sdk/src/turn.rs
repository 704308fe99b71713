//! The turn that is running.

use std::{cell::OnceCell, fmt};

use crate::{
    Completion, ConfigError, Error, FromConfig, HistoryPage, LlmError, Part, Request, host,
    message::text_of, shell::Shell,
};

/// The turn that is running: its input, and everything the Worker may do about it.
///
/// A turn runs in a fresh instance: what should outlive it goes into the state.
#[derive(Debug)]
pub struct Turn {
    /// Fetched once: the input does not change while the turn runs.
    parts: OnceCell<Vec<Part>>,
}

impl Turn {
    pub(crate) const fn new() -> Self {
        Self { parts: OnceCell::new() }
    }

    /// The ordinal of this turn within its Worker; the first is 1.
    #[must_use]
    pub fn id(&self) -> u64 {
        host::turn_id()
    }

    /// The text of the input: its text parts, on lines of their own.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(self.parts())
    }

    /// The input: at least one part.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        self.parts.get_or_init(host::input)
    }

    /// The interrupted turn that this one goes on from, if it does.
    #[must_use]
    pub fn resumes(&self) -> Option<u64> {
        host::resumes()
    }

    /// The names of the capabilities this Worker was granted, such as `llm`.
    #[must_use]
    pub fn capabilities(&self) -> Vec<String> {
        host::capabilities()
    }

    /// Whether this Worker was granted `capability`. Without it, calls that need it fail with
    /// `NotGranted`.
    #[must_use]
    pub fn has(&self, capability: &str) -> bool {
        self.capabilities().iter().any(|granted| granted == capability)
    }

    /// The newest entries of the conversation: everything so far, this turn's own messages
    /// included. At most `limit` of them, and no more than one host call may carry. Fails unless
    /// `limit` is 1 to 1,000.
    pub fn history(&self, limit: u32) -> Result<HistoryPage, Error> {
        host::history(None, limit)
    }

    /// The entries before the entry `before`, bounded like [`Turn::history`].
    pub fn history_before(&self, before: u64, limit: u32) -> Result<HistoryPage, Error> {
        host::history(Some(before), limit)
    }

    /// Says `text` as one message. It is in the Worker's log before anything that follows has an
    /// effect, and at the latest when the turn ends.
    pub fn say(&self, text: &str) -> Result<(), Error> {
        host::say(text)
    }

    /// Opens a message that is said piece by piece.
    pub fn utter(&self) -> Result<Utterance, Error> {
        Ok(Utterance { message: host::Utterance::open()?, failed: None })
    }

    /// Records that the Worker is about to run a tool of its own. The call is in the Worker's log
    /// when this returns: start the tool only then. `arguments` is JSON text, or anything that
    /// displays as such, like a `serde_json::Value`.
    pub fn begin_tool(&self, name: &str, arguments: impl fmt::Display) -> Result<ToolCall, Error> {
        host::ToolCall::begin(name, &arguments.to_string()).map(ToolCall)
    }

    /// Takes up a call that a model asked for in this turn. The host recorded it when the answer
    /// finished; it can be taken up once.
    pub fn take_tool(&self, call_id: &str) -> Result<ToolCall, Error> {
        host::ToolCall::take(call_id).map(ToolCall)
    }

    /// Inputs that arrived for this turn while it ran, oldest first. Each is given once; those not
    /// taken become turns of their own.
    pub fn take_steering(&self) -> Result<Vec<Vec<Part>>, Error> {
        host::take_steering()
    }

    /// The value that the Worker keeps under `key`, if any.
    pub fn state_get(&self, key: &str) -> Result<Option<String>, Error> {
        host::state_get(key)
    }

    /// Keeps `value` under `key`. All keys and values together are bounded (64 KiB unless the
    /// operator says otherwise). It is in the Worker's log when this returns.
    pub fn state_set(&self, key: &str, value: &str) -> Result<(), Error> {
        host::state_set(key, Some(value))
    }

    /// Forgets `key`. It is in the Worker's log when this returns.
    pub fn state_remove(&self, key: &str) -> Result<(), Error> {
        host::state_set(key, None)
    }

    /// The setting `key` of the Worker's profile, if it has one. Fails if the setting is of another
    /// type than `T`.
    pub fn config<T: FromConfig>(&self, key: &str) -> Result<Option<T>, ConfigError> {
        host::config(key)
            .map(|value| {
                T::from_config(value)
                    .ok_or_else(|| ConfigError { key: key.to_owned(), expected: T::EXPECTED })
            })
            .transpose()
    }

    /// Starts a model call and returns at once. Most failures arrive with the first piece.
    pub fn complete(&self, request: Request) -> Result<Completion, LlmError> {
        host::complete(request).map(Completion::new)
    }

    /// Opens a session of the shell, in the first directory of the Worker. Sessions share nothing
    /// but the directories. Fails with `NotGranted` unless the Worker was granted `shell`.
    pub fn shell(&self) -> Result<Shell, Error> {
        Shell::open()
    }
}

/// A message that is said piece by piece. Dropped before [`Utterance::end`], it stays in the log
/// as incomplete.
///
/// `write!` works on it; a failure of the host then shows in [`Utterance::end`].
#[derive(Debug)]
#[must_use = "the message stays incomplete unless it is ended"]
pub struct Utterance {
    message: host::Utterance,
    /// The host's answer to a failed `write!`, which has no room for it.
    failed: Option<Error>,
}

impl Utterance {
    /// Says the next piece. Live readers see it at once; it is in the log after `end`.
    pub fn delta(&mut self, text: &str) -> Result<(), Error> {
        self.message.delta(text)
    }

    /// Completes the message. It is in the Worker's log before anything that follows has an effect,
    /// and at the latest when the turn ends. After a failed `write!`
    /// it fails with the host's reason, and the message stays incomplete.
    pub fn end(self) -> Result<(), Error> {
        match self.failed {
            Some(error) => Err(error),
            None => self.message.end(),
        }
    }
}

impl fmt::Write for Utterance {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.delta(text).map_err(|error| {
            self.failed.get_or_insert(error);
            fmt::Error
        })
    }
}

/// A call of a tool that the Worker runs itself. Dropped before [`ToolCall::end`], the call is
/// answered as interrupted: every call has exactly one result.
#[derive(Debug)]
#[must_use = "the call is answered as interrupted unless it is ended"]
pub struct ToolCall(host::ToolCall);

impl ToolCall {
    /// The id that pairs the call with its result.
    #[must_use]
    pub fn id(&self) -> String {
        self.0.id()
    }

    /// Records the result: what the tool answered, or why it failed.
    pub fn end(self, result: Result<&str, &str>) -> Result<(), Error> {
        self.0.end(result)
    }
}

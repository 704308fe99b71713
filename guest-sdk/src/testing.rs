//! Runs a Worker natively, on a scripted host.
//!
//! The host behaves like the real one: what is not granted is refused, what was not ended stays
//! incomplete, and the model's answers are recorded as they are read. It does not bound sizes,
//! except that of the state.

use std::collections::BTreeMap;

use crate::{
    CompletionEvent, ConfigValue, Failure, FinishReason, LlmError, Message, Part, Request,
    ToolRequestPiece, Turn, Worker,
    host::scripted::{
        self, Host, Said,
        shell::{Plan, Ran},
    },
    shell::{Ending, Piece, Script},
};

/// A turn to run: its input, what came before, and what the model will do.
#[derive(Debug)]
#[must_use = "nothing happens until it is run"]
pub struct TestTurn {
    host: Host,
    history: Vec<Message>,
}

/// What a turn came to.
#[derive(Debug, Clone, PartialEq)]
pub struct TestOutcome {
    /// How the turn ended.
    pub result: Result<(), Failure>,
    /// What the Worker itself said, message by message.
    pub said: Vec<String>,
    /// Messages that the Worker began and did not end.
    pub incomplete: Vec<String>,
    /// What the model said, call by call. The host records it; the Worker need not say it again.
    pub answers: Vec<TestAnswer>,
    /// The tools that the Worker ran or the model asked for, in the order in which the host heard
    /// of them.
    pub tool_calls: Vec<TestToolCall>,
    /// What the Worker keeps.
    pub state: BTreeMap<String, String>,
    /// The model calls that the Worker made, refused ones included.
    pub requests: Vec<Request>,
    /// The scripts that the Worker started, in all of its sessions.
    pub scripts: Vec<TestScript>,
}

/// What the model said in one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestAnswer {
    /// The text that the Worker read.
    pub text: String,
    /// Whether the Worker read it to its finish.
    pub complete: bool,
}

/// A script that the Worker started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestScript {
    /// The script. Its input is not here, but in `stdin`.
    pub script: Script,
    /// What it was given to read.
    pub stdin: Vec<u8>,
    /// Whether the Worker ended its standard input.
    pub stdin_closed: bool,
    /// Whether the Worker read its end; else it was cancelled.
    pub ended: bool,
}

/// A tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestToolCall {
    /// Pairs the call with its result.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// The arguments, as JSON text.
    pub arguments: String,
    /// What the tool answered or why it failed; absent if the Worker never said, and then the host
    /// answers the call as interrupted.
    pub result: Option<Result<String, String>>,
}

impl TestTurn {
    /// A turn with this text as its input, and with nothing granted.
    pub fn text(text: impl Into<String>) -> Self {
        Self::parts([Part::Text(text.into())])
    }

    /// A turn with these parts as its input, and with nothing granted.
    pub fn parts(parts: impl IntoIterator<Item = Part>) -> Self {
        let host = Host { turn_id: 1, input: parts.into_iter().collect(), ..Host::default() };
        Self { host, history: Vec::new() }
    }

    /// With this ordinal; without, the turn is the first.
    pub fn id(mut self, id: u64) -> Self {
        self.host.turn_id = id;
        self
    }

    /// Going on from this interrupted turn.
    pub fn resumes(mut self, id: u64) -> Self {
        self.host.resumes = Some(id);
        self
    }

    /// After this conversation. The input follows it by itself.
    pub fn history(mut self, messages: impl IntoIterator<Item = Message>) -> Self {
        self.history.extend(messages);
        self
    }

    /// With this setting in the profile.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<ConfigValue>) -> Self {
        self.host.config.insert(key.into(), value.into());
        self
    }

    /// With this value kept from an earlier turn.
    pub fn state(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.host.state.insert(key.into(), value.into());
        self
    }

    /// With this capability granted, such as `llm`.
    pub fn grant(mut self, capability: impl Into<String>) -> Self {
        self.host.capabilities.push(capability.into());
        self
    }

    /// With this input arriving while the turn runs.
    pub fn steering(mut self, text: impl Into<String>) -> Self {
        self.host.steering.push(vec![Part::Text(text.into())]);
        self
    }

    /// In its next call the model says these pieces and stops.
    pub fn model_says<T: Into<String>>(self, pieces: impl IntoIterator<Item = T>) -> Self {
        let pieces = pieces.into_iter().map(|piece| CompletionEvent::Text(piece.into()));
        self.model_answers(pieces.chain([CompletionEvent::Finish(FinishReason::Stop)]).map(Ok))
    }

    /// In its next call the model asks for one tool. `arguments` is JSON text.
    pub fn model_asks_for(self, call_id: &str, tool: &str, arguments: &str) -> Self {
        self.model_answers([
            Ok(CompletionEvent::ToolRequest(ToolRequestPiece {
                index: 0,
                call_id: Some(call_id.to_owned()),
                name: Some(tool.to_owned()),
                arguments: arguments.to_owned(),
            })),
            Ok(CompletionEvent::Finish(FinishReason::ToolRequests)),
        ])
    }

    /// The model's next call fails with its first piece.
    pub fn model_fails(self, error: LlmError) -> Self {
        self.model_answers([Err(error)])
    }

    /// In its next call the model does exactly this.
    pub fn model_answers(
        mut self,
        events: impl IntoIterator<Item = Result<CompletionEvent, LlmError>>,
    ) -> Self {
        self.host.script.push_back(events.into_iter().collect());
        self
    }

    /// The next script writes this to its standard output, and exits with 0.
    pub fn shell_says(self, text: impl Into<String>) -> Self {
        self.shell_gives([Piece::Stdout(text.into().into_bytes()), Piece::Ended(Ending::Exited(0))])
    }

    /// The next script gives exactly these pieces, and takes whatever it is given to read.
    pub fn shell_gives(mut self, pieces: impl IntoIterator<Item = Piece>) -> Self {
        self.host.scripts.planned.push_back(Plan::Give(pieces.into_iter().collect()));
        self
    }

    /// The next script gives back what it reads, like `cat` with a pipe of 64 KiB: it takes no more
    /// until its output is taken.
    pub fn shell_copies_input(mut self) -> Self {
        self.host.scripts.planned.push_back(Plan::Copy(Vec::new().into()));
        self
    }

    /// Scripts beyond those that were planned one by one give the pieces that `shell` answers.
    pub fn shell(mut self, shell: impl FnMut(&Script) -> Vec<Piece> + 'static) -> Self {
        self.host.scripts.otherwise = Some(Box::new(shell));
        self
    }

    /// Runs the turn.
    ///
    /// # Panics
    ///
    /// If the Worker does, if it calls a model or starts a script more often than the test said what
    /// they do, or if it waits for a script that waits for it.
    #[must_use]
    pub fn run<W: Worker>(self) -> TestOutcome {
        let Self { mut host, history } = self;
        host.log = history;
        host.log.push(Message::User(host.input.clone()));

        let (result, host) = scripted::run(host, || W::run(Turn::new()));

        let (said, incomplete): (Vec<Said>, _) =
            host.utterances.into_iter().partition(|said| said.complete);
        TestOutcome {
            result,
            said: said.into_iter().map(|said| said.text).collect(),
            incomplete: incomplete.into_iter().map(|said| said.text).collect(),
            answers: host
                .answers
                .into_iter()
                .map(|Said { text, complete, .. }| TestAnswer { text, complete })
                .collect(),
            tool_calls: host
                .calls
                .into_iter()
                .map(|call| TestToolCall {
                    call_id: call.request.call_id,
                    name: call.request.name,
                    arguments: call.request.arguments,
                    result: call.result,
                })
                .collect(),
            state: host.state,
            requests: host.requests,
            scripts: host
                .scripts
                .ran
                .into_iter()
                .map(|Ran { script, stdin, stdin_closed, ended }| TestScript {
                    script,
                    stdin,
                    stdin_closed,
                    ended,
                })
                .collect(),
        }
    }
}

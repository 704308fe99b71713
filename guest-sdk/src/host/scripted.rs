//! The host of a native test: one turn on this thread, with the answers that the test wrote down.

pub(crate) mod shell;

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
};

use crate::{
    AssistantMessage, CompletionEvent, ConfigValue, Context, Entry, Error, HistoryPage, LlmError,
    Message, Part, Request, ToolRequest, ToolRequestPiece, ToolResponse,
};

pub(crate) use shell::{RunningScript, ShellSession};

/// The bound of a Worker's state unless an operator says otherwise.
const MAX_STATE_BYTES: usize = 64 << 10;

/// The most entries in one page of history.
const MAX_HISTORY_ENTRIES: u32 = 1000;

/// What the model is told of a call that was dropped.
const INTERRUPTED: &str = "interrupted: outcome unknown";

thread_local! {
    static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// A turn, as far as it is known before it runs, and what becomes of it.
#[derive(Debug, Default)]
pub(crate) struct Host {
    pub(crate) turn_id: u64,
    pub(crate) input: Vec<Part>,
    pub(crate) resumes: Option<u64>,
    pub(crate) capabilities: Vec<String>,
    pub(crate) config: BTreeMap<String, ConfigValue>,
    pub(crate) steering: Vec<Vec<Part>>,
    /// What the model does in each call to come.
    pub(crate) script: VecDeque<VecDeque<Result<CompletionEvent, LlmError>>>,
    pub(crate) state: BTreeMap<String, String>,
    /// What was said before, the input, and what the turn itself adds. The id of an item is its
    /// place, from 1.
    pub(crate) log: Vec<Message>,
    pub(crate) utterances: Vec<Said>,
    pub(crate) answers: Vec<Said>,
    pub(crate) calls: Vec<Call>,
    pub(crate) requests: Vec<Request>,
    pub(crate) scripts: shell::Scripts,
}

/// A message that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) complete: bool,
    /// Its place in the log, which it takes with its first piece and keeps.
    entry: Option<usize>,
}

impl Said {
    fn open(&mut self, log: &mut Vec<Message>) {
        if self.entry.is_none() {
            log.push(Message::assistant(""));
            self.entry = Some(log.len() - 1);
        }
    }

    /// Puts into the log what there is of it.
    fn close(&self, log: &mut [Message]) {
        if let Some(entry) = self.entry
            && let Message::Assistant(message) = &mut log[entry]
        {
            message.text.clone_from(&self.text);
        }
    }
}

/// A call of a tool that the Worker runs.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: ToolRequest,
    /// Whether the Worker may still take it up.
    can_be_taken: bool,
    pub(crate) result: Option<Result<String, String>>,
}

impl Call {
    fn answered(&self, text: &str, is_error: bool) -> Message {
        Message::Tool(ToolResponse {
            call_id: self.request.call_id.clone(),
            text: text.to_owned(),
            is_error,
        })
    }
}

/// Runs `turn` on this thread with `host` behind it.
pub(crate) fn run<T>(host: Host, turn: impl FnOnce() -> T) -> (T, Host) {
    /// Puts back what was there, also when the Worker panics.
    struct Restore(Option<Host>);
    impl Drop for Restore {
        fn drop(&mut self) {
            HOST.set(self.0.take());
        }
    }
    let _restore = Restore(HOST.replace(Some(host)));
    let result = turn();
    let host = HOST.take().expect("a turn puts the host back that it ran on");
    (result, host)
}

fn with<T>(use_host: impl FnOnce(&mut Host) -> T) -> T {
    HOST.with_borrow_mut(|host| {
        use_host(host.as_mut().expect("a Worker's host exists only while its turn runs"))
    })
}

/// Like [`with`], for handles that go away: one that its turn left behind has nothing to tell.
fn with_if_running(use_host: impl FnOnce(&mut Host)) {
    HOST.with_borrow_mut(|host| host.as_mut().map(use_host));
}

pub(crate) fn turn_id() -> u64 {
    with(|host| host.turn_id)
}

pub(crate) fn input() -> Vec<Part> {
    with(|host| host.input.clone())
}

pub(crate) fn resumes() -> Option<u64> {
    with(|host| host.resumes)
}

pub(crate) fn capabilities() -> Vec<String> {
    with(|host| host.capabilities.clone())
}

pub(crate) fn history(before: Option<u64>, limit: u32) -> Result<HistoryPage, Error> {
    if limit == 0 || limit > MAX_HISTORY_ENTRIES {
        let message = format!("a history page has 1 to {MAX_HISTORY_ENTRIES} entries, not {limit}");
        return Err(Error::Other(message));
    }
    with(|host| {
        let mut entries = conversation(&host.log);
        if let Some(before) = before {
            entries.retain(|entry| entry.id < before);
        }
        let first = entries.len().saturating_sub(limit as usize);
        Ok(HistoryPage { entries: entries.split_off(first), more: first > 0 })
    })
}

/// What the log reads like: a tool request belongs to the text before it, and a message without
/// either is not there yet.
fn conversation(log: &[Message]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (message, id) in log.iter().zip(1..) {
        if let Message::Assistant(assistant) = message
            && assistant.text.is_empty()
        {
            if let Some(Entry { message: Message::Assistant(said), .. }) = entries.last_mut() {
                said.tool_requests.extend_from_slice(&assistant.tool_requests);
                continue;
            }
            if assistant.tool_requests.is_empty() {
                continue;
            }
        }
        entries.push(Entry { id, message: message.clone() });
    }
    entries
}

pub(crate) fn say(text: &str) -> Result<(), Error> {
    let mut utterance = Utterance::open()?;
    utterance.delta(text)?;
    utterance.end()
}

pub(crate) fn take_steering() -> Result<Vec<Vec<Part>>, Error> {
    Ok(with(|host| std::mem::take(&mut host.steering)))
}

pub(crate) fn state_get(key: &str) -> Result<Option<String>, Error> {
    Ok(with(|host| host.state.get(key).cloned()))
}

pub(crate) fn state_set(key: &str, value: Option<&str>) -> Result<(), Error> {
    with(|host| {
        let Some(value) = value else {
            host.state.remove(key);
            return Ok(());
        };
        let others: usize = host
            .state
            .iter()
            .filter(|(other, _)| *other != key)
            .map(|(key, value)| key.len() + value.len())
            .sum();
        if others + key.len() + value.len() > MAX_STATE_BYTES {
            return Err(Error::Other(format!("the state is limited to {MAX_STATE_BYTES} bytes")));
        }
        host.state.insert(key.to_owned(), value.to_owned());
        Ok(())
    })
}

pub(crate) fn config(key: &str) -> Option<ConfigValue> {
    with(|host| host.config.get(key).cloned())
}

pub(crate) fn complete(request: Request) -> Result<Completion, LlmError> {
    with(|host| {
        let granted = host.capabilities.iter().any(|name| name == "llm");
        let named = kinds_have_names(&request.context);
        host.requests.push(request);
        if !granted {
            return Err(LlmError::NotGranted);
        }
        if !named {
            return Err(LlmError::Invalid("a message or a part is of an unknown kind".into()));
        }
        let events =
            host.script.pop_front().expect("the test says what the model does in each call");
        host.answers.push(Said::default());
        Ok(Completion { events, answer: host.answers.len() - 1, tools: BTreeMap::new() })
    })
}

fn kinds_have_names(context: &Context) -> bool {
    let Context::Messages(messages) = context else { return true };
    messages.iter().all(|message| match message {
        Message::User(parts) => !parts.iter().any(|part| matches!(part, Part::Other(_))),
        Message::Assistant(_) | Message::Tool(_) => true,
        Message::Other(_) => false,
    })
}

/// A message of the Worker. Unless it is ended it stays incomplete, dropped or not.
#[derive(Debug)]
pub(crate) struct Utterance {
    /// Its place among the turn's utterances.
    index: usize,
}

impl Utterance {
    pub(crate) fn open() -> Result<Self, Error> {
        with(|host| {
            let mut said = Said::default();
            said.open(&mut host.log);
            host.utterances.push(said);
            Ok(Self { index: host.utterances.len() - 1 })
        })
    }

    pub(crate) fn delta(&mut self, text: &str) -> Result<(), Error> {
        with(|host| host.utterances[self.index].text.push_str(text));
        Ok(())
    }

    pub(crate) fn end(self) -> Result<(), Error> {
        with(|host| host.utterances[self.index].complete = true);
        Ok(())
    }
}

impl Drop for Utterance {
    fn drop(&mut self) {
        with_if_running(|host| host.utterances[self.index].close(&mut host.log));
    }
}

/// A tool call in the Worker's hands. Unless it is ended it has no result, dropped or not.
#[derive(Debug)]
pub(crate) struct ToolCall {
    /// Its place among the turn's calls.
    index: usize,
}

impl ToolCall {
    pub(crate) fn begin(name: &str, arguments: &str) -> Result<Self, Error> {
        with(|host| {
            let index = host.calls.len();
            let request = ToolRequest {
                call_id: format!("call-{}", index + 1),
                name: name.to_owned(),
                arguments: arguments.to_owned(),
            };
            host.log.push(asked(request.clone()));
            host.calls.push(Call { request, can_be_taken: false, result: None });
            Ok(Self { index })
        })
    }

    pub(crate) fn take(call_id: &str) -> Result<Self, Error> {
        with(|host| {
            let open = host
                .calls
                .iter()
                .position(|call| call.can_be_taken && call.request.call_id == call_id);
            let index = open.ok_or_else(|| {
                Error::Other(format!("no model asked for the call `{call_id}`, or it was taken up"))
            })?;
            host.calls[index].can_be_taken = false;
            Ok(Self { index })
        })
    }

    pub(crate) fn id(&self) -> String {
        with(|host| host.calls[self.index].request.call_id.clone())
    }

    pub(crate) fn end(self, result: Result<&str, &str>) -> Result<(), Error> {
        with(|host| {
            let call = &mut host.calls[self.index];
            call.result = Some(result.map(ToOwned::to_owned).map_err(ToOwned::to_owned));
            let is_error = result.is_err();
            let (Ok(text) | Err(text)) = result;
            host.log.push(call.answered(text, is_error));
        });
        Ok(())
    }
}

impl Drop for ToolCall {
    fn drop(&mut self) {
        with_if_running(|host| {
            let call = &host.calls[self.index];
            if call.result.is_none() {
                host.log.push(call.answered(INTERRUPTED, true));
            }
        });
    }
}

/// A model call. Unless its finish is read the answer stays incomplete, dropped or not.
#[derive(Debug)]
pub(crate) struct Completion {
    events: VecDeque<Result<CompletionEvent, LlmError>>,
    /// Its place among the turn's answers.
    answer: usize,
    /// What the model asked for so far, by index.
    tools: BTreeMap<u32, ToolRequest>,
}

impl Completion {
    pub(crate) fn next(&mut self) -> Result<Option<CompletionEvent>, LlmError> {
        let event = self.events.pop_front();
        match &event {
            Some(Ok(CompletionEvent::Text(text))) => with(|host| {
                let answer = &mut host.answers[self.answer];
                answer.open(&mut host.log);
                answer.text.push_str(text);
            }),
            Some(Ok(CompletionEvent::ToolRequest(piece))) => self.collect(piece),
            Some(Ok(CompletionEvent::Finish(_))) => self.record(),
            Some(Ok(
                CompletionEvent::Reasoning(_)
                | CompletionEvent::Usage(_)
                | CompletionEvent::Other(_),
            )) => {}
            Some(Err(_)) | None => self.close(),
        }
        event.transpose()
    }

    fn collect(&mut self, piece: &ToolRequestPiece) {
        let request = self.tools.entry(piece.index).or_insert_with(|| ToolRequest {
            call_id: String::new(),
            name: String::new(),
            arguments: String::new(),
        });
        request.call_id.push_str(piece.call_id.as_deref().unwrap_or_default());
        request.name.push_str(piece.name.as_deref().unwrap_or_default());
        request.arguments.push_str(&piece.arguments);
    }

    /// What the model asked for counts only now that its answer is known to be whole.
    fn record(&mut self) {
        let requests: Vec<ToolRequest> = std::mem::take(&mut self.tools).into_values().collect();
        with(|host| {
            let answer = &mut host.answers[self.answer];
            answer.complete = true;
            answer.close(&mut host.log);
            host.log.extend(requests.iter().cloned().map(asked));
            host.calls.extend(requests.into_iter().map(|request| Call {
                request,
                can_be_taken: true,
                result: None,
            }));
        });
    }

    /// What the model said until now is in the log, and nothing of what it asked for.
    fn close(&self) {
        with_if_running(|host| host.answers[self.answer].close(&mut host.log));
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.close();
    }
}

fn asked(request: ToolRequest) -> Message {
    Message::Assistant(AssistantMessage { text: String::new(), tool_requests: vec![request] })
}

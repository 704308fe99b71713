//! The host of a native test: one turn on this thread, with the answers that the test wrote down.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
};

use crate::{
    AssistantMessage, CompletionEvent, ConfigValue, Entry, Error, HistoryPage, LlmError, Message,
    Part, Request, ToolRequest, ToolRequestPiece, ToolResponse,
};

/// The bound of a Worker's state unless an operator says otherwise.
const MAX_STATE_BYTES: usize = 64 << 10;

/// The most entries in one page of history.
const MAX_HISTORY_ENTRIES: u32 = 1000;

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
    /// The conversation: what was said before, the input, and what is completed in the turn. The
    /// id of an entry is its place, from 1.
    pub(crate) log: Vec<Message>,
    /// The id of the input.
    pub(crate) input_id: usize,
    pub(crate) utterances: Vec<Said>,
    pub(crate) answers: Vec<Said>,
    pub(crate) calls: Vec<Call>,
    pub(crate) requests: Vec<Request>,
}

/// A message that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) complete: bool,
}

/// A call of a tool that the Worker runs.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: ToolRequest,
    /// Whether the Worker may still take it up.
    can_be_taken: bool,
    pub(crate) result: Option<Result<String, String>>,
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
    with(|host| {
        let end = before.map_or(host.input_id, |id| {
            usize::try_from(id).unwrap_or(usize::MAX).saturating_sub(1).min(host.log.len())
        });
        let start = end.saturating_sub(limit.clamp(1, MAX_HISTORY_ENTRIES) as usize);
        let entries = (start..end)
            .map(|index| Entry { id: index as u64 + 1, message: host.log[index].clone() })
            .collect();
        Ok(HistoryPage { entries, more: start > 0 })
    })
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
        host.requests.push(request);
        if !granted {
            return Err(LlmError::NotGranted);
        }
        let events =
            host.script.pop_front().expect("the test says what the model does in each call");
        host.answers.push(Said::default());
        Ok(Completion { events, answer: host.answers.len() - 1, tools: BTreeMap::new() })
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
            host.utterances.push(Said::default());
            Ok(Self { index: host.utterances.len() - 1 })
        })
    }

    pub(crate) fn delta(&mut self, text: &str) -> Result<(), Error> {
        with(|host| host.utterances[self.index].text.push_str(text));
        Ok(())
    }

    pub(crate) fn end(self) -> Result<(), Error> {
        with(|host| {
            let said = &mut host.utterances[self.index];
            said.complete = true;
            host.log.push(Message::assistant(&said.text));
        });
        Ok(())
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
            host.log.push(asked(String::new(), vec![request.clone()]));
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
            host.log.push(Message::Tool(ToolResponse {
                call_id: call.request.call_id.clone(),
                text: text.to_owned(),
                is_error,
            }));
        });
        Ok(())
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
        let event = self.events.pop_front().transpose()?;
        match &event {
            Some(CompletionEvent::Text(text)) => {
                with(|host| host.answers[self.answer].text.push_str(text));
            }
            Some(CompletionEvent::ToolRequest(piece)) => self.collect(piece),
            Some(CompletionEvent::Finish(_)) => self.record(),
            Some(CompletionEvent::Reasoning(_) | CompletionEvent::Usage(_)) | None => {}
        }
        Ok(event)
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
            host.log.push(asked(answer.text.clone(), requests.clone()));
            host.calls.extend(requests.into_iter().map(|request| Call {
                request,
                can_be_taken: true,
                result: None,
            }));
        });
    }
}

const fn asked(text: String, tool_requests: Vec<ToolRequest>) -> Message {
    Message::Assistant(AssistantMessage { text, tool_requests })
}

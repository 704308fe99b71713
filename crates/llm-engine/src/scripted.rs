//! A model that plays a script, for tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::stream;
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    FinishReason, ModelError, ModelEvent, ModelInfo, ModelProvider, ModelRequest, ModelStream,
    ToolRequestPiece,
};

/// One thing a scripted call does.
#[derive(Debug, Clone)]
pub enum Step {
    /// Yields the event.
    Event(ModelEvent),
    /// Yields the error.
    Error(ModelError),
    /// Waits until the gate is open.
    Gate(Gate),
    /// Opens the gate: whoever reads the answer has taken everything before.
    Open(Gate),
    /// Never yields anything again.
    Hang,
}

impl Step {
    /// A piece of text.
    pub fn text(text: impl Into<String>) -> Self {
        Step::Event(ModelEvent::Text(text.into()))
    }

    /// A whole tool request in one piece.
    pub fn tool_request(index: u32, call_id: &str, name: &str, arguments: &Value) -> Self {
        Step::Event(ModelEvent::ToolRequest(ToolRequestPiece {
            index,
            call_id: Some(call_id.to_owned()),
            name: Some(name.to_owned()),
            arguments: arguments.to_string(),
        }))
    }

    /// The end of an answer that requested no tools.
    pub fn stop() -> Self {
        Step::Event(ModelEvent::Finish(FinishReason::Stop))
    }

    /// The end of an answer that requested tools.
    pub fn tools_requested() -> Self {
        Step::Event(ModelEvent::Finish(FinishReason::ToolRequests))
    }
}

/// Closed until opened, then open for ever. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Opens it.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is open.
    pub async fn passed(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// Plays one script per call, in order, and records the requests. Clones share both.
///
/// A call beyond the script fails as [`ModelError::Other`], unless
/// [`otherwise`](ScriptedModel::otherwise) says what it does.
#[derive(Debug, Clone, Default)]
pub struct ScriptedModel {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    script: Mutex<Script>,
    /// Requests seen, in order.
    requests: watch::Sender<Vec<ModelRequest>>,
    open_streams: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Script {
    calls: VecDeque<Vec<Step>>,
    otherwise: Option<Vec<Step>>,
}

impl ScriptedModel {
    /// A model without a script.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what the next call without a script does. If the steps do not end the answer, it ends
    /// as [`ModelError::Incomplete`].
    #[must_use]
    pub fn call(self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.script().calls.push_back(steps.into_iter().collect());
        self
    }

    /// Adds a call that answers `text`.
    #[must_use]
    pub fn answer(self, text: impl Into<String>) -> Self {
        self.call([Step::text(text), Step::stop()])
    }

    /// Adds a call that requests one tool.
    #[must_use]
    pub fn request_tool(self, call_id: &str, name: &str, arguments: &Value) -> Self {
        self.call([Step::tool_request(0, call_id, name, arguments), Step::tools_requested()])
    }

    /// Adds a call that fails.
    #[must_use]
    pub fn fail(self, error: ModelError) -> Self {
        self.call([Step::Error(error)])
    }

    /// Adds a call that never answers.
    #[must_use]
    pub fn hang(self) -> Self {
        self.call([Step::Hang])
    }

    /// What every call beyond the script does.
    #[must_use]
    pub fn otherwise(self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.script().otherwise = Some(steps.into_iter().collect());
        self
    }

    /// The requests seen so far, in order.
    pub fn requests(&self) -> Vec<ModelRequest> {
        self.shared.requests.borrow().clone()
    }

    /// Waits until at least `count` requests were seen.
    pub async fn wait_for_requests(&self, count: usize) {
        let mut requests = self.shared.requests.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = requests.wait_for(|requests| requests.len() >= count).await;
    }

    /// Waits until exactly `count` answers are being read: started, and neither ended nor
    /// dropped. Zero says that a cancel reached the model.
    pub async fn wait_for_open_streams(&self, count: usize) {
        let mut open = self.shared.open_streams.subscribe();
        // As above.
        let _ = open.wait_for(|open| *open == count).await;
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ModelProvider for ScriptedModel {
    fn info(&self) -> ModelInfo {
        ModelInfo { provider: "scripted".to_owned(), model: "script".to_owned() }
    }

    async fn stream(&self, request: ModelRequest) -> Result<ModelStream, ModelError> {
        let steps = {
            let mut script = self.script();
            script.calls.pop_front().or_else(|| script.otherwise.clone())
        };
        let open = OpenStream::new(self.shared.clone());
        self.shared.requests.send_modify(|requests| requests.push(request));
        let steps = steps.ok_or_else(|| ModelError::Other {
            message: "the script has no more calls".to_owned(),
        })?;
        Ok(Box::pin(stream::unfold((steps.into_iter(), open), |(mut steps, open)| async move {
            loop {
                match steps.next()? {
                    Step::Event(event) => return Some((Ok(event), (steps, open))),
                    Step::Error(error) => return Some((Err(error), (steps, open))),
                    Step::Gate(gate) => gate.passed().await,
                    Step::Open(gate) => gate.open(),
                    Step::Hang => std::future::pending().await,
                }
            }
        })))
    }
}

/// Counts one stream for as long as it lives.
struct OpenStream(Arc<Shared>);

impl OpenStream {
    fn new(shared: Arc<Shared>) -> Self {
        shared.open_streams.send_modify(|open| *open += 1);
        Self(shared)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.open_streams.send_modify(|open| *open -= 1);
    }
}

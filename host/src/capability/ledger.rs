//! How host functions put things into the Worker's log, which its task owns. What a guest says waits in
//! the turn's outbox and is committed soon; what precedes an effect is in the log when the call
//! returns.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::{Notify, oneshot};
use worker_types::{InputPart, ItemBody, ItemId, ItemStatus, Limits, Origin, RuntimeError, Seq};

use super::call_usage::ModelCall;
use crate::{cell::WorkerCell, turn::TurnMeter, worker::Command};

/// What an event costs beside its content: ids, times, names of fields.
const EVENT_BYTES: u64 = 128;

/// Records that a guest may be ahead of its Worker's task.
const BACKLOG: usize = 64;

/// What a host function wants of the log.
#[derive(Debug)]
pub(crate) enum LedgerRequest {
    /// To be committed before anything that follows; nobody waits.
    Stage(Command),
    /// To be committed together, with everything that was staged before.
    Commit { commands: Vec<Command>, reply: oneshot::Sender<Result<Recorded, RuntimeError>> },
    /// What the turn was steered with, taken into the conversation.
    TakeSteering { reply: oneshot::Sender<Result<Vec<Vec<InputPart>>, RuntimeError>> },
    /// A value of the durable state.
    Value { key: String, reply: oneshot::Sender<Result<Option<String>, RuntimeError>> },
}

/// The way from the host functions of one turn to the Worker's task. What is merely staged waits
/// here, without a word to the task, until the guest waits too: for the host, or for others that
/// compute, which it does every millisecond.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Absent once the turn is over.
    waiting: Mutex<Option<Waiting>>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Oldest first.
    requests: Vec<LedgerRequest>,
    /// The model calls that are not counted.
    calls: Vec<Arc<ModelCall>>,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { waiting: Mutex::new(Some(Waiting::default())), ready: Notify::new() }
    }

    /// Adds a request, and returns how many there are.
    fn push(&self, request: LedgerRequest) -> Result<usize, RecordError> {
        let mut waiting = self.lock();
        let Waiting { requests, .. } = waiting.as_mut().ok_or(RecordError::TurnOver)?;
        requests.push(request);
        Ok(requests.len())
    }

    /// Tells the task that there are requests, if there are.
    fn hand_over(&self) {
        if self.lock().as_ref().is_some_and(|waiting| !waiting.requests.is_empty()) {
            self.ready.notify_one();
        }
    }

    /// Waits until there are requests.
    pub(crate) async fn take(&self) -> Vec<LedgerRequest> {
        self.ready.notified().await;
        let mut waiting = self.lock();
        waiting.as_mut().map(|waiting| mem::take(&mut waiting.requests)).unwrap_or_default()
    }

    /// Takes what is to be in the log with the end of the turn: what was said, and what the model
    /// calls that are open have cost. From here on host functions are told that the turn is over.
    pub(crate) fn close(&self, meter: &TurnMeter) -> Vec<Command> {
        let Waiting { requests, calls } = self.lock().take().unwrap_or_default();
        let said = requests.into_iter().filter_map(|request| match request {
            LedgerRequest::Stage(command) => Some(command),
            // Nobody waits for the answer any more.
            _ => None,
        });
        said.chain(calls.iter().filter_map(|call| call.count(meter))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waiting>> {
        // Nothing panics between a lock and the end of its change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log after a commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorded {
    pub(crate) last_item: ItemId,
    pub(crate) last_seq: Seq,
}

/// A turn's way into the log of its Worker.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    outbox: Arc<Outbox>,
    cell: Arc<WorkerCell>,
    meter: Arc<TurnMeter>,
    item_bytes: usize,
    turn_bytes: u64,
    events_per_second: u64,
}

/// Why something is not in the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// The rules do not allow it.
    #[error(transparent)]
    Refused(RuntimeError),
    /// An item grew too large.
    #[error("an item may have at most {limit_bytes} bytes")]
    ItemTooLarge { limit_bytes: usize },
    /// The turn wrote too much.
    #[error("a turn may record at most {limit_bytes} bytes")]
    TurnTooLarge { limit_bytes: u64 },
    /// The turn is over; what the guest wants no longer matters.
    #[error("the turn is over")]
    TurnOver,
}

impl Ledger {
    pub(crate) fn new(
        outbox: Arc<Outbox>,
        cell: Arc<WorkerCell>,
        meter: Arc<TurnMeter>,
        limits: &Limits,
    ) -> Self {
        Self {
            outbox,
            cell,
            meter,
            item_bytes: usize::try_from(limits.item_bytes).unwrap_or(usize::MAX),
            turn_bytes: limits.turn_record_bytes,
            events_per_second: limits.events_per_second,
        }
    }

    /// Commits `commands` together. They are in the log when this returns. A guest that records
    /// faster than it may waits here.
    pub(crate) async fn record(&self, commands: Vec<Command>) -> Result<Recorded, RecordError> {
        self.admit(&commands).await?;
        self.ask(|reply| LedgerRequest::Commit { commands, reply }).await
    }

    /// The same for what was charged as it came: it is not refused for its size any more.
    pub(crate) async fn record_charged(
        &self,
        commands: Vec<Command>,
    ) -> Result<Recorded, RecordError> {
        self.pace(commands.len()).await;
        self.ask(|reply| LedgerRequest::Commit { commands, reply }).await
    }

    /// Opens the account of a model call. What it will have cost is charged now: counting it neither
    /// waits nor fails.
    pub(crate) async fn open_call(&self, call: &Arc<ModelCall>) -> Result<(), RecordError> {
        self.charge(EVENT_BYTES)?;
        self.pace(1).await;
        let mut waiting = self.outbox.lock();
        waiting.as_mut().ok_or(RecordError::TurnOver)?.calls.push(Arc::clone(call));
        Ok(())
    }

    /// Counts a model call, unless it was counted already.
    pub(crate) fn count_call(&self, call: &Arc<ModelCall>) {
        // At the end of the turn the rest were counted.
        let mut waiting = self.outbox.lock();
        let Some(Waiting { requests, calls }) = waiting.as_mut() else { return };
        let counted = calls.extract_if(.., |open| Arc::ptr_eq(open, call));
        requests
            .extend(counted.filter_map(|call| call.count(&self.meter)).map(LedgerRequest::Stage));
    }

    /// Notes what the turn's next commit is to have, at the latest that of its end.
    pub(crate) async fn stage(&self, command: Command) -> Result<(), RecordError> {
        self.admit(std::slice::from_ref(&command)).await?;
        if self.outbox.push(LedgerRequest::Stage(command))? >= BACKLOG {
            self.flush().await?;
        }
        Ok(())
    }

    /// Commits what was staged, so that whoever reads the log sees all of it.
    pub(crate) async fn flush(&self) -> Result<Recorded, RecordError> {
        self.ask(|reply| LedgerRequest::Commit { commands: Vec::new(), reply }).await
    }

    /// Has what was staged committed soon: the guest waits for something, and says no more at once.
    pub(crate) fn hand_over(&self) {
        self.outbox.hand_over();
    }

    /// Takes in what the turn was steered with.
    pub(crate) async fn take_steering(&self) -> Result<Vec<Vec<InputPart>>, RecordError> {
        self.ask(|reply| LedgerRequest::TakeSteering { reply }).await
    }

    /// A value of the durable state.
    pub(crate) async fn value(&self, key: String) -> Result<Option<String>, RecordError> {
        self.ask(|reply| LedgerRequest::Value { key, reply }).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, RuntimeError>>) -> LedgerRequest,
    ) -> Result<T, RecordError> {
        let (reply, answer) = oneshot::channel();
        self.outbox.push(request(reply))?;
        self.outbox.hand_over();
        answer.await.map_err(|_| RecordError::TurnOver)?.map_err(RecordError::Refused)
    }

    /// Counts what is about to be recorded, and waits where it comes too fast.
    async fn admit(&self, commands: &[Command]) -> Result<(), RecordError> {
        self.charge(commands.iter().map(content_bytes).sum())?;
        self.pace(commands.len()).await;
        Ok(())
    }

    /// Counts events, and waits where they come too fast.
    async fn pace(&self, events: usize) {
        let early = self.meter.record_events(events as u64, self.events_per_second);
        if let Some(early) = early {
            tokio::time::sleep(early).await;
        }
    }

    /// Records an item that is said all at once.
    pub(crate) async fn add_item(&self, origin: Origin, body: ItemBody) -> Result<(), RecordError> {
        self.stage(Command::AddItem { origin, body }).await
    }

    /// Records an item that must be in the log before what it announces happens.
    pub(crate) async fn announce_item(
        &self,
        origin: Origin,
        body: ItemBody,
    ) -> Result<(), RecordError> {
        self.record(vec![Command::AddItem { origin, body }]).await.map(drop)
    }

    /// Opens an item whose text follows.
    pub(crate) async fn open_item(
        &self,
        origin: Origin,
        body: ItemBody,
    ) -> Result<ItemId, RecordError> {
        let recorded = self.record(vec![Command::OpenItem { origin, body }]).await?;
        Ok(recorded.last_item)
    }

    /// Adds to the text of an open item: live readers see it at once, the log when it is closed.
    pub(crate) fn push_text(&self, id: ItemId, text: &str) -> Result<(), RecordError> {
        self.charge(json_bytes(text))?;
        // Held meanwhile, so that no reader sees what the end of the turn does not have.
        let waiting = self.outbox.lock();
        if waiting.is_none() {
            return Err(RecordError::TurnOver);
        }
        if self.cell.push_text(id, text, self.item_bytes) {
            Ok(())
        } else {
            Err(RecordError::ItemTooLarge { limit_bytes: self.item_bytes })
        }
    }

    /// The command that makes an open item final with the text it has now.
    pub(crate) fn close(&self, id: ItemId, status: ItemStatus) -> Command {
        Command::CloseItem { id, text: self.cell.text(id), status }
    }

    /// Makes an open item final.
    pub(crate) async fn close_item(
        &self,
        id: ItemId,
        status: ItemStatus,
    ) -> Result<(), RecordError> {
        self.stage(self.close(id, status)).await
    }

    /// Counts the beginning of an item that is held here until it can be recorded whole.
    pub(crate) fn charge_item(&self, name: &str) -> Result<(), RecordError> {
        self.charge(EVENT_BYTES + json_bytes(name))
    }

    /// Counts a piece of such an item, which has `length` bytes without it.
    pub(crate) fn charge_piece(&self, length: usize, piece: &str) -> Result<(), RecordError> {
        self.charge(json_bytes(piece))?;
        if length + piece.len() <= self.item_bytes {
            Ok(())
        } else {
            Err(RecordError::ItemTooLarge { limit_bytes: self.item_bytes })
        }
    }

    /// Counts what is about to be added to the log.
    fn charge(&self, bytes: u64) -> Result<(), RecordError> {
        if self.meter.record_bytes(bytes) > self.turn_bytes {
            return Err(RecordError::TurnTooLarge { limit_bytes: self.turn_bytes });
        }
        Ok(())
    }

    /// Refuses a text that no item may have.
    pub(crate) fn check_size(&self, text: &str) -> Result<(), RecordError> {
        if text.len() <= self.item_bytes {
            Ok(())
        } else {
            Err(RecordError::ItemTooLarge { limit_bytes: self.item_bytes })
        }
    }
}

/// The bytes that a command adds to the log.
fn content_bytes(command: &Command) -> u64 {
    let content = match command {
        Command::AddItem { body, .. } => match body {
            ItemBody::AssistantMessage { text, .. }
            | ItemBody::Reasoning { text }
            | ItemBody::ToolResult { text, .. } => json_bytes(text),
            ItemBody::ToolCall { arguments: Value::String(text), .. } => json_bytes(text),
            other => other.len() as u64,
        },
        Command::SetValue { key, value, .. } => {
            json_bytes(key) + value.as_deref().map_or(0, json_bytes)
        }
        // An open item's text was counted when it came; the rest is none of the guest's.
        _ => 0,
    };
    EVENT_BYTES + content
}

/// The bytes of a text in JSON, where a control character takes six.
fn json_bytes(text: &str) -> u64 {
    let controls = text.bytes().filter(u8::is_ascii_control).count();
    (text.len() + 5 * controls) as u64
}

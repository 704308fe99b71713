//! The rules of a Worker, without I/O: [`decide`] turns a command into the events that record it,
//! [`evolve`] folds an event into the state. What is not in the log did not happen.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use worker_types::{
    EventBody, InputPart, Item, ItemBody, ItemId, ItemStatus, ModelAlias, Origin, Outcome, Receipt,
    RuntimeError, Seq, StopReason, TokenUsage, ToolOutcome, TurnId, Usage, WorkerStatus,
};

#[cfg(test)]
mod tests;

/// What a tool call is answered with that nobody answered.
pub(crate) const INTERRUPTED: &str = "interrupted: outcome unknown";

/// The fold of a Worker's log, as far as deciding needs it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct WorkerState {
    pub(crate) last_seq: Seq,
    pub(crate) created_at: Timestamp,
    pub(crate) usage: Usage,
    last_turn: TurnId,
    last_item: ItemId,
    /// How the newest turn ended; absent before the first end and while a turn runs.
    last_outcome: Option<Outcome>,
    phase: Phase,
    /// The durable key-value state of the guest.
    values: BTreeMap<String, String>,
}

/// What a Worker is doing.
#[derive(Debug, Clone, Default, PartialEq)]
enum Phase {
    /// Nothing. Leaves to `Turn` with an input, to `Stopped` with a stop.
    #[default]
    Idle,
    /// A turn was accepted. Leaves to `Idle` when it ends, to `Stopped` with a stop.
    Turn(Box<OpenTurn>),
    /// Nothing, until a start leaves to `Idle`.
    Stopped,
}

/// The turn that was accepted and has not ended.
#[derive(Debug, Clone, PartialEq)]
struct OpenTurn {
    id: TurnId,
    started: bool,
    input: Arc<[InputPart]>,
    /// Items that were started and not completed.
    items: BTreeMap<ItemId, ItemBody>,
    /// Tool calls without a result.
    calls: BTreeSet<String>,
}

/// What somebody wants of a Worker. Ids are given by [`decide`].
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// A new turn with this input, started in the same commit where `begin` says so.
    Input { parts: Vec<InputPart>, begin: bool },
    /// The accepted turn starts to run.
    Begin,
    /// An item opens.
    OpenItem { origin: Origin, body: ItemBody },
    /// An open item is final.
    CloseItem { id: ItemId, text: String, status: ItemStatus },
    /// An item that is said all at once.
    AddItem { origin: Origin, body: ItemBody },
    /// A model call was paid for.
    RecordUsage { model: ModelAlias, tokens: TokenUsage },
    /// The guest keeps or forgets a value; all of them may take `limit_bytes`.
    SetValue { key: String, value: Option<String>, limit_bytes: u64 },
    /// The turn is over. `texts` are those of the items that are still open.
    EndTurn { outcome: Outcome, receipt: Receipt, texts: BTreeMap<ItemId, String> },
    /// No more turns; ends the open one.
    Stop { receipt: Receipt, texts: BTreeMap<ItemId, String> },
    /// Turns may run again.
    Start,
}

/// The events that record `command`; none where it changes nothing.
///
/// # Errors
///
/// Why the command is refused; the state is then as it was.
pub(crate) fn decide(
    state: &WorkerState,
    command: Command,
) -> Result<Vec<EventBody>, RuntimeError> {
    match command {
        Command::Input { parts, begin } => accept(state, parts, begin),
        Command::Begin => {
            let turn = state.open_turn()?;
            Ok(if turn.started {
                vec![]
            } else {
                vec![EventBody::TurnStarted { turn_id: turn.id }]
            })
        }
        Command::OpenItem { origin, body } => {
            let item = state.next_item(origin, ItemStatus::InProgress, body)?;
            Ok(vec![EventBody::ItemStarted { turn_id: item.turn_id, item }])
        }
        Command::AddItem { origin, body } => {
            let open = |call_id| Ok(state.open_turn()?.calls.contains(call_id));
            match &body {
                ItemBody::ToolResult { call_id, .. } if !open(call_id)? => {
                    return Err(invalid(format!("no open tool call has the id `{call_id}`")));
                }
                ItemBody::ToolCall { call_id, .. } if open(call_id)? => {
                    return Err(invalid(format!("the tool call `{call_id}` is open already")));
                }
                _ => {}
            }
            let item = state.next_item(origin, ItemStatus::Completed, body)?;
            Ok(vec![completed(item)])
        }
        Command::CloseItem { id, text, status } => {
            let body = state.open_turn()?.items.get(&id);
            let body = body.ok_or_else(|| invalid(format!("item {id} is not open")))?;
            Ok(vec![completed(state.closed_item(id, body, text, status)?)])
        }
        Command::RecordUsage { model, tokens } => {
            let turn_id = state.open_turn()?.id;
            Ok(vec![EventBody::UsageRecorded { turn_id, model, tokens }])
        }
        Command::SetValue { key, value, limit_bytes } => {
            let turn_id = state.open_turn()?.id;
            if state.value_bytes_with(&key, value.as_deref()) > limit_bytes {
                let what = "the Worker's state".to_owned();
                return Err(RuntimeError::PayloadTooLarge { what, limit_bytes });
            }
            Ok(vec![EventBody::StateSet { turn_id, key, value }])
        }
        Command::EndTurn { outcome, receipt, texts } => end_turn(state, outcome, receipt, texts),
        Command::Stop { receipt, texts } => match &state.phase {
            Phase::Stopped => Ok(vec![]),
            Phase::Idle => Ok(vec![EventBody::WorkerStopped]),
            Phase::Turn(_) => {
                let outcome = Outcome::Cancelled { reason: StopReason::Stop };
                let mut events = end_turn(state, outcome, receipt, texts)?;
                events.push(EventBody::WorkerStopped);
                Ok(events)
            }
        },
        Command::Start => match &state.phase {
            Phase::Stopped => Ok(vec![EventBody::WorkerStarted]),
            Phase::Idle | Phase::Turn(_) => Ok(vec![]),
        },
    }
}

/// The events that record all of `commands`, in one commit.
///
/// # Errors
///
/// Why the first command that is refused is refused; none of them is then recorded.
pub(crate) fn decide_all(
    state: &WorkerState,
    commands: Vec<Command>,
) -> Result<Vec<EventBody>, RuntimeError> {
    let mut draft = None;
    let mut events = Vec::new();
    let mut commands = commands.into_iter().peekable();
    while let Some(command) = commands.next() {
        let decided = decide(draft.as_ref().unwrap_or(state), command)?;
        if commands.peek().is_some() {
            // The next command is decided on a state in which this one is done.
            let draft = draft.get_or_insert_with(|| state.clone());
            decided.iter().for_each(|event| evolve(draft, Timestamp::UNIX_EPOCH, event));
        }
        events.extend(decided);
    }
    Ok(events)
}

/// Folds an event that was decided for this very state into it.
pub(crate) fn evolve(state: &mut WorkerState, at: Timestamp, event: &EventBody) {
    state.last_seq = state.last_seq.next();
    match event {
        EventBody::WorkerCreated { .. } => state.created_at = at,
        EventBody::WorkerStopped => state.phase = Phase::Stopped,
        EventBody::WorkerStarted => state.phase = Phase::Idle,
        EventBody::InputAccepted { item, .. } => {
            state.last_turn = item.turn_id;
            state.last_item = item.id;
            state.last_outcome = None;
            let input = match &item.body {
                ItemBody::UserMessage { parts } => parts.as_slice().into(),
                _ => Arc::default(),
            };
            state.phase = Phase::Turn(Box::new(OpenTurn {
                id: item.turn_id,
                started: false,
                input,
                items: BTreeMap::new(),
                calls: BTreeSet::new(),
            }));
        }
        EventBody::TurnStarted { .. } => {
            if let Phase::Turn(turn) = &mut state.phase {
                turn.started = true;
            }
        }
        EventBody::TurnEnded { outcome, receipt, .. } => {
            state.last_outcome = Some(outcome.clone());
            state.usage.add(Usage::of(receipt));
            state.phase = Phase::Idle;
        }
        EventBody::ItemStarted { item, .. } => {
            state.last_item = item.id;
            if let Phase::Turn(turn) = &mut state.phase {
                turn.items.insert(item.id, item.body.clone());
            }
        }
        EventBody::ItemCompleted { item, .. } => {
            state.last_item = state.last_item.max(item.id);
            if let Phase::Turn(turn) = &mut state.phase {
                turn.complete(item);
            }
        }
        EventBody::StateSet { key, value, .. } => {
            match value {
                Some(value) => state.values.insert(key.clone(), value.clone()),
                None => state.values.remove(key),
            };
        }
        EventBody::UsageRecorded { .. } | EventBody::Notice { .. } | EventBody::Unknown => {}
    }
}

impl WorkerState {
    /// What others see of the phase.
    pub(crate) fn status(&self) -> WorkerStatus {
        match &self.phase {
            Phase::Idle => WorkerStatus::Idle,
            Phase::Turn(turn) => WorkerStatus::Running { turn_id: turn.id },
            Phase::Stopped => WorkerStatus::Stopped,
        }
    }

    /// The turn that was accepted and has not ended, and whether it has started.
    pub(crate) fn unfinished_turn(&self) -> Option<(TurnId, bool)> {
        match &self.phase {
            Phase::Turn(turn) => Some((turn.id, turn.started)),
            Phase::Idle | Phase::Stopped => None,
        }
    }

    /// The newest turn that was accepted.
    pub(crate) fn last_turn(&self) -> TurnId {
        self.last_turn
    }

    /// How the newest turn ended, if it has.
    pub(crate) fn last_outcome(&self) -> Option<&Outcome> {
        self.last_outcome.as_ref()
    }

    /// The newest item.
    pub(crate) fn last_item(&self) -> ItemId {
        self.last_item
    }

    /// The input of the open turn.
    pub(crate) fn input(&self) -> Arc<[InputPart]> {
        match &self.phase {
            Phase::Turn(turn) => Arc::clone(&turn.input),
            Phase::Idle | Phase::Stopped => Arc::default(),
        }
    }

    /// The value that the guest keeps under `key`.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    fn value_bytes_with(&self, key: &str, value: Option<&str>) -> u64 {
        let others = self.values.iter().filter(|(other, _)| *other != key);
        let others: usize = others.map(|(key, value)| key.len() + value.len()).sum();
        let own = value.map_or(0, |value| key.len() + value.len());
        (others + own) as u64
    }

    fn open_turn(&self) -> Result<&OpenTurn, RuntimeError> {
        match &self.phase {
            Phase::Turn(turn) => Ok(turn),
            Phase::Idle => Err(invalid("no turn is running".to_owned())),
            Phase::Stopped => Err(RuntimeError::WorkerStopped),
        }
    }

    fn next_item(
        &self,
        origin: Origin,
        status: ItemStatus,
        body: ItemBody,
    ) -> Result<Item, RuntimeError> {
        let turn_id = self.open_turn()?.id;
        Ok(Item { id: self.last_item.next(), turn_id, origin, status, body })
    }

    fn closed_item(
        &self,
        id: ItemId,
        opened: &ItemBody,
        text: String,
        status: ItemStatus,
    ) -> Result<Item, RuntimeError> {
        let (origin, body) = match opened {
            // A model's name stands on what the host heard it say; a guest speaks without one.
            ItemBody::AssistantMessage { model: Some(model), .. } => {
                (Origin::Host, ItemBody::AssistantMessage { text, model: Some(model.clone()) })
            }
            ItemBody::AssistantMessage { model: None, .. } => {
                (Origin::Guest, ItemBody::AssistantMessage { text, model: None })
            }
            ItemBody::Reasoning { .. } => (Origin::Host, ItemBody::Reasoning { text }),
            other => {
                return Err(invalid(format!("an item of this kind cannot be open: {other:?}")));
            }
        };
        Ok(Item { id, turn_id: self.open_turn()?.id, origin, status, body })
    }
}

impl OpenTurn {
    fn complete(&mut self, item: &Item) {
        self.items.remove(&item.id);
        match &item.body {
            ItemBody::ToolCall { call_id, .. } => {
                self.calls.insert(call_id.clone());
            }
            ItemBody::ToolResult { call_id, .. } => {
                self.calls.remove(call_id);
            }
            ItemBody::UserMessage { .. }
            | ItemBody::AssistantMessage { .. }
            | ItemBody::Reasoning { .. }
            | ItemBody::Notice { .. }
            | ItemBody::Unknown => {}
        }
    }
}

fn accept(
    state: &WorkerState,
    parts: Vec<InputPart>,
    begin: bool,
) -> Result<Vec<EventBody>, RuntimeError> {
    match &state.phase {
        Phase::Turn(turn) => return Err(RuntimeError::Busy { turn_id: turn.id }),
        Phase::Stopped => return Err(RuntimeError::WorkerStopped),
        Phase::Idle => {}
    }
    let turn_id = state.last_turn.next();
    let item = Item {
        id: state.last_item.next(),
        turn_id,
        origin: Origin::Host,
        status: ItemStatus::Completed,
        body: ItemBody::UserMessage { parts },
    };
    let mut events = vec![EventBody::InputAccepted { turn_id, item }];
    if begin {
        events.push(EventBody::TurnStarted { turn_id });
    }
    Ok(events)
}

/// Ends the open turn: open items end as incomplete with their text, open calls are answered, and
/// one `turn.ended` follows.
fn end_turn(
    state: &WorkerState,
    outcome: Outcome,
    receipt: Receipt,
    mut texts: BTreeMap<ItemId, String>,
) -> Result<Vec<EventBody>, RuntimeError> {
    let turn = state.open_turn()?;
    let mut events = Vec::with_capacity(1 + turn.items.len() + turn.calls.len());
    if !turn.started {
        events.push(EventBody::TurnStarted { turn_id: turn.id });
    }
    for (id, body) in &turn.items {
        let text = texts.remove(id).unwrap_or_default();
        events.push(completed(state.closed_item(*id, body, text, ItemStatus::Incomplete)?));
    }
    let mut last_item = state.last_item;
    for call_id in &turn.calls {
        last_item = last_item.next();
        events.push(completed(Item {
            id: last_item,
            turn_id: turn.id,
            origin: Origin::Host,
            status: ItemStatus::Completed,
            body: ItemBody::ToolResult {
                call_id: call_id.clone(),
                outcome: ToolOutcome::Interrupted,
                text: INTERRUPTED.to_owned(),
            },
        }));
    }
    events.push(EventBody::TurnEnded { turn_id: turn.id, outcome, receipt });
    Ok(events)
}

fn completed(item: Item) -> EventBody {
    EventBody::ItemCompleted { turn_id: item.turn_id, item }
}

fn invalid(reason: String) -> RuntimeError {
    RuntimeError::InvalidInput { reason }
}

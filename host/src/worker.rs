//! The rules of a Worker, without I/O: [`decide`] turns a command into the events that record it,
//! [`evolve`] folds an event into the state. What is not in the log did not happen.

mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use worker_types::{
    ComponentDigest, EventBody, Grant, IfBusy, InputPart, Item, ItemBody, ItemId, ItemStatus,
    ModelAlias, Origin, Outcome, Profile, Receipt, RuntimeError, Seq, StopReason, TokenUsage,
    ToolOutcome, TurnId,
};

pub(crate) use state::{Upgrade, WorkerState, evolve};

use state::Phase;

/// What a tool call is answered with that nobody answered.
pub(crate) const INTERRUPTED: &str = "interrupted: outcome unknown";

/// What somebody wants of a Worker. Ids are given by [`decide`].
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// The first of all: `created` is the `worker.created` to record.
    Create { created: Box<EventBody> },
    /// A new turn with this input, started in the same commit where `begin` says so. While another
    /// turn runs `if_busy` decides, and at most `queue` inputs may wait.
    Input { parts: Vec<InputPart>, if_busy: IfBusy, begin: bool, queue: u64 },
    /// The next thing that waits becomes the accepted turn.
    Next,
    /// The accepted turn starts to run.
    Begin,
    /// The guest takes in what it was steered with.
    TakeSteering,
    /// An input that waits in the queue is not wanted any more.
    CancelQueued { turn_id: TurnId },
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
    /// These grants are taken away; a turn that has started ends.
    Revoke { grants: Vec<Grant>, receipt: Receipt, texts: BTreeMap<ItemId, String> },
    /// The Worker goes by this profile and component from here on.
    Upgrade { profile: Box<Profile>, component: ComponentDigest },
    /// Turns may run again.
    Start,
    /// The Worker goes, for ever.
    Delete,
    /// Events up to `through` are removed, but those that carry items.
    Trim { through: Seq },
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
        Command::Create { created } => Ok(vec![*created]),
        Command::Input { parts, if_busy, begin, queue } => match state.busy_turn() {
            None if state.is_stopped() => Err(RuntimeError::WorkerStopped),
            None => Ok(accept(state, state.last_turn.next(), parts, begin)),
            Some(turn_id) => wait(state, turn_id, parts, if_busy, queue),
        },
        Command::Next => next_turn(state),
        Command::Begin => {
            let turn = state.open_turn()?;
            let started = EventBody::TurnStarted { turn_id: turn.id, resumes: turn.resumes };
            Ok(if turn.started { vec![] } else { vec![started] })
        }
        Command::TakeSteering => take_steering(state),
        Command::CancelQueued { turn_id } => Ok(match state.queued(turn_id) {
            true => vec![cancelled(turn_id, StopReason::Cancel)],
            false => vec![],
        }),
        Command::OpenItem { origin, body } => {
            let item = state.next_item(origin, ItemStatus::InProgress, body)?;
            Ok(vec![EventBody::ItemStarted { turn_id: item.turn_id, item }])
        }
        Command::AddItem { origin, body } => {
            let open = |call_id| -> Result<_, RuntimeError> {
                Ok(state.open_turn()?.calls.contains(call_id))
            };
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
        Command::Stop { receipt, texts } => stop(state, receipt, texts),
        Command::Revoke { grants, receipt, texts } => revoke(state, grants, receipt, texts),
        Command::Upgrade { profile, component } => match state.busy_turn() {
            Some(turn_id) => Err(RuntimeError::Busy { turn_id }),
            None if state.is_deleted() => Err(RuntimeError::WorkerStopped),
            None => Ok(vec![EventBody::WorkerUpgraded { profile, component }]),
        },
        Command::Start => match &state.phase {
            Phase::Stopped => Ok(vec![EventBody::WorkerStarted]),
            Phase::Idle | Phase::Turn(_) | Phase::Deleted => Ok(vec![]),
        },
        Command::Delete => match &state.phase {
            Phase::Stopped => Ok(vec![EventBody::WorkerDeleted]),
            Phase::Deleted => Ok(vec![]),
            Phase::Idle | Phase::Turn(_) => Err(RuntimeError::WorkerNotStopped),
        },
        Command::Trim { through } if state.trimmed < through && through < state.last_seq => {
            Ok(vec![EventBody::WorkerTrimmed { through }])
        }
        Command::Trim { .. } => Ok(vec![]),
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
            decided.iter().for_each(|event| evolve(draft, event));
        }
        events.extend(decided);
    }
    Ok(events)
}

/// A turn with its input.
fn accept(
    state: &WorkerState,
    turn_id: TurnId,
    parts: Vec<InputPart>,
    begin: bool,
) -> Vec<EventBody> {
    let item = user_message(state.last_item.next(), turn_id, parts);
    let mut events = vec![EventBody::InputAccepted { turn_id, item }];
    if begin {
        events.push(EventBody::TurnStarted { turn_id, resumes: None });
    }
    events
}

/// What becomes of an input while the turn `busy` runs, or waits to.
fn wait(
    state: &WorkerState,
    busy: TurnId,
    parts: Vec<InputPart>,
    if_busy: IfBusy,
    queue: u64,
) -> Result<Vec<EventBody>, RuntimeError> {
    if if_busy == IfBusy::Reject {
        return Err(RuntimeError::Busy { turn_id: busy });
    }
    if state.waiting_inputs() >= queue {
        let reason = format!("{queue} inputs already wait for this Worker");
        return Err(RuntimeError::Capacity { reason });
    }
    // What has not started yet cannot be steered.
    Ok(vec![if if_busy == IfBusy::Steer && state.turn_has_started() {
        EventBody::InputSteered { turn_id: busy, parts }
    } else {
        EventBody::InputQueued { turn_id: state.last_turn.next(), parts }
    }])
}

/// Takes up what waits: first the turn to go on from, then the queue.
fn next_turn(state: &WorkerState) -> Result<Vec<EventBody>, RuntimeError> {
    if let Some(turn_id) = state.open_turn_id() {
        return Err(RuntimeError::Busy { turn_id });
    }
    let Some(next) = &state.next else { return Ok(vec![]) };
    if let Some(resumption) = &next.resumption {
        let (turn_id, resumes) = (state.last_turn.next(), Some(resumption.of));
        return Ok(vec![EventBody::TurnStarted { turn_id, resumes }]);
    }
    Ok(next
        .queue
        .front()
        .map_or_else(Vec::new, |queued| accept(state, queued.turn_id, queued.parts.clone(), false)))
}

/// What the guest was steered with becomes part of the conversation, unless a call waits for its
/// result: nothing may stand between the two.
fn take_steering(state: &WorkerState) -> Result<Vec<EventBody>, RuntimeError> {
    let turn = state.open_turn()?;
    if !turn.calls.is_empty() {
        return Ok(vec![]);
    }
    let mut id = state.last_item;
    let taken = turn.steering.iter().map(|parts| {
        id = id.next();
        completed(user_message(id, turn.id, parts.clone()))
    });
    Ok(taken.collect())
}

/// Ends the open turn, cancels what waits, and stops.
fn stop(
    state: &WorkerState,
    receipt: Receipt,
    texts: BTreeMap<ItemId, String>,
) -> Result<Vec<EventBody>, RuntimeError> {
    if state.is_stopped() {
        return Ok(vec![]);
    }
    let mut events = Vec::new();
    if state.open_turn().is_ok() {
        let outcome = Outcome::Cancelled { reason: StopReason::Stop };
        events = end_turn(state, outcome, receipt, texts)?;
    }
    // What the turn was steered with and did not take in was queued by its end.
    let left = events.iter().filter_map(|event| match event {
        EventBody::InputQueued { turn_id, .. } => Some(*turn_id),
        _ => None,
    });
    let waiting: Vec<TurnId> = state.queue().map(|queued| queued.turn_id).chain(left).collect();
    events.extend(waiting.into_iter().map(|turn_id| cancelled(turn_id, StopReason::Stop)));
    events.push(EventBody::WorkerStopped);
    Ok(events)
}

/// Takes grants away, those that were not before, and ends the turn that began with them.
fn revoke(
    state: &WorkerState,
    mut grants: Vec<Grant>,
    receipt: Receipt,
    texts: BTreeMap<ItemId, String>,
) -> Result<Vec<EventBody>, RuntimeError> {
    grants.retain(|grant| !state.revoked().contains(grant));
    if grants.is_empty() || state.is_deleted() {
        return Ok(vec![]);
    }
    let mut events = vec![EventBody::GrantRevoked { grants }];
    if state.turn_has_started() {
        let outcome = Outcome::Cancelled { reason: StopReason::GrantRevoked };
        events.extend(end_turn(state, outcome, receipt, texts)?);
    }
    Ok(events)
}

/// Ends the open turn: open items end as incomplete with their text, open calls are answered, and
/// one `turn.ended` follows. What the turn was steered with and did not take in is queued.
fn end_turn(
    state: &WorkerState,
    outcome: Outcome,
    receipt: Receipt,
    mut texts: BTreeMap<ItemId, String>,
) -> Result<Vec<EventBody>, RuntimeError> {
    let turn = state.open_turn()?;
    let mut events = Vec::with_capacity(1 + turn.items.len() + turn.calls.len());
    if !turn.started {
        events.push(EventBody::TurnStarted { turn_id: turn.id, resumes: turn.resumes });
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
    let mut last_turn = state.last_turn;
    for parts in &turn.steering {
        last_turn = last_turn.next();
        events.push(EventBody::InputQueued { turn_id: last_turn, parts: parts.clone() });
    }
    events.push(EventBody::TurnEnded { turn_id: turn.id, outcome, receipt });
    Ok(events)
}

/// The end of an input that never had its turn.
fn cancelled(turn_id: TurnId, reason: StopReason) -> EventBody {
    let outcome = Outcome::Cancelled { reason };
    EventBody::TurnEnded { turn_id, outcome, receipt: Receipt::default() }
}

fn user_message(id: ItemId, turn_id: TurnId, parts: Vec<InputPart>) -> Item {
    Item {
        id,
        turn_id,
        origin: Origin::Host,
        status: ItemStatus::Completed,
        body: ItemBody::UserMessage { parts },
    }
}

fn completed(item: Item) -> EventBody {
    EventBody::ItemCompleted { turn_id: item.turn_id, item }
}

fn invalid(reason: String) -> RuntimeError {
    RuntimeError::InvalidInput { reason }
}

//! The state of a Worker: the fold of its log.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use worker_types::{
    ComponentDigest, EventBody, Grant, InputPart, Item, ItemBody, ItemId, ItemStatus, Origin,
    Outcome, Profile, RuntimeError, Seq, TokenUsage, TurnId, Usage, WorkerStatus,
};

use super::invalid;

/// How often in a row an interrupted turn is gone on from: what interrupts it may be its own doing.
const MAX_RESUMES: u32 = 3;

/// The fold of a Worker's log, as far as deciding needs it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WorkerState {
    pub(crate) last_seq: Seq,
    /// Retention removed events up to this one.
    #[serde(default)]
    pub(crate) trimmed: Seq,
    pub(crate) usage: Usage,
    /// The newest turn that has an id.
    pub(super) last_turn: TurnId,
    pub(super) last_item: ItemId,
    pub(super) phase: Phase,
    /// What is to be done after the turn that runs. Most Workers have nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<Box<Next>>,
    /// Whether the profile asks for interrupted turns to be gone on from.
    #[serde(default)]
    resume: bool,
    /// What the Worker goes by, since it was upgraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upgraded: Option<Box<Upgrade>>,
    /// What was taken away of its grants.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    revoked: BTreeSet<Grant>,
    /// The durable key-value state of the guest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    values: BTreeMap<String, String>,
}

/// What a Worker goes by, since it was upgraded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Upgrade {
    pub(crate) profile: Profile,
    pub(crate) component: ComponentDigest,
}

/// What a Worker is doing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// Nothing. Leaves to `Turn` with an input, to `Stopped` with a stop.
    #[default]
    Idle,
    /// A turn was accepted. Leaves to `Idle` when it ends, to `Stopped` with a stop.
    Turn(Box<OpenTurn>),
    /// Nothing, until a start leaves to `Idle` or a delete to `Deleted`.
    Stopped,
    /// Nothing, for ever.
    Deleted,
}

/// The turn that was accepted and has not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenTurn {
    pub(super) id: TurnId,
    pub(super) started: bool,
    input: Arc<[InputPart]>,
    /// The interrupted turn that this one goes on from.
    pub(super) resumes: Option<TurnId>,
    /// How many turns in a row went on from an interrupted one, this one included.
    resumed: u32,
    /// Inputs for this turn that the guest has not taken in.
    pub(super) steering: VecDeque<Vec<InputPart>>,
    /// What the model calls of this turn took that are in the log.
    tokens: TokenUsage,
    /// Items that were started and not completed.
    pub(super) items: BTreeMap<ItemId, ItemBody>,
    /// Tool calls without a result.
    pub(super) calls: BTreeSet<String>,
}

/// What is to be done when no turn runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Next {
    /// The interrupted turn to go on from; before anything that is queued.
    pub(super) resumption: Option<Resumption>,
    pub(super) queue: VecDeque<QueuedInput>,
}

/// A turn that was interrupted and will be gone on from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Resumption {
    pub(super) of: TurnId,
    input: Arc<[InputPart]>,
    resumed: u32,
}

/// An input that waits for its turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct QueuedInput {
    pub(super) turn_id: TurnId,
    pub(super) parts: Vec<InputPart>,
}

/// Folds an event that was decided for this very state into it.
pub(crate) fn evolve(state: &mut WorkerState, event: &EventBody) {
    state.last_seq = state.last_seq.next();
    match event {
        EventBody::WorkerCreated { profile, .. } => state.resume = profile.resume,
        EventBody::WorkerUpgraded { profile, component } => {
            state.resume = profile.resume;
            let (profile, component) = ((**profile).clone(), *component);
            state.upgraded = Some(Box::new(Upgrade { profile, component }));
        }
        EventBody::GrantRevoked { grants } => state.revoked.extend(grants.iter().cloned()),
        EventBody::WorkerStopped => {
            state.phase = Phase::Stopped;
            state.next = None;
        }
        EventBody::WorkerStarted => state.phase = Phase::Idle,
        EventBody::WorkerDeleted => state.phase = Phase::Deleted,
        EventBody::WorkerTrimmed { through } => state.trimmed = *through,
        EventBody::InputAccepted { item, .. } => {
            state.last_turn = state.last_turn.max(item.turn_id);
            state.last_item = item.id;
            state.leave_queue(item.turn_id);
            let input = match &item.body {
                ItemBody::UserMessage { parts } => parts.as_slice().into(),
                _ => Arc::default(),
            };
            state.phase = Phase::Turn(Box::new(OpenTurn::new(item.turn_id, input)));
        }
        EventBody::InputQueued { turn_id, parts } => {
            state.last_turn = state.last_turn.max(*turn_id);
            let queued = QueuedInput { turn_id: *turn_id, parts: parts.clone() };
            state.next.get_or_insert_default().queue.push_back(queued);
        }
        EventBody::InputSteered { parts, .. } => {
            if let Phase::Turn(turn) = &mut state.phase {
                turn.steering.push_back(parts.clone());
            }
        }
        EventBody::TurnStarted { turn_id, resumes } => state.start_turn(*turn_id, *resumes),
        EventBody::TurnEnded { turn_id, outcome, receipt } => {
            state.usage.add(Usage::of(receipt));
            state.end_turn(*turn_id, outcome);
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
        EventBody::UsageRecorded { tokens, .. } => {
            if let Phase::Turn(turn) = &mut state.phase {
                turn.tokens.add(*tokens);
            }
        }
        EventBody::Notice { .. } | EventBody::Unknown => {}
    }
}

impl WorkerState {
    /// What others see of the phase. What waits for its turn counts as running: nobody else's input
    /// would be taken.
    pub(crate) fn status(&self) -> WorkerStatus {
        match (&self.phase, self.busy_turn()) {
            (Phase::Stopped | Phase::Deleted, _) => WorkerStatus::Stopped,
            (_, Some(turn_id)) => WorkerStatus::Running { turn_id },
            (_, None) => WorkerStatus::Idle,
        }
    }

    /// What it goes by, if it is not what it was created with.
    pub(crate) fn upgraded(&self) -> Option<&Upgrade> {
        self.upgraded.as_deref()
    }

    /// What was taken away of the grants that it was created with.
    pub(crate) fn revoked(&self) -> &BTreeSet<Grant> {
        &self.revoked
    }

    /// Whether nothing is left to do: no turn, and nothing that waits for one.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.busy_turn().is_none()
    }

    /// Whether the Worker is gone.
    pub(crate) fn is_deleted(&self) -> bool {
        self.phase == Phase::Deleted
    }

    /// The turn that was accepted and has not ended.
    pub(crate) fn open_turn_id(&self) -> Option<TurnId> {
        self.open_turn().ok().map(|turn| turn.id)
    }

    /// Whether the open turn has started.
    pub(crate) fn turn_has_started(&self) -> bool {
        self.open_turn().is_ok_and(|turn| turn.started)
    }

    /// The turn to be done with before another input can start one: the open one, or else the first
    /// of those that wait.
    pub(crate) fn busy_turn(&self) -> Option<TurnId> {
        self.open_turn_id().or_else(|| {
            let next = self.next.as_ref()?;
            match &next.resumption {
                Some(_) => Some(self.last_turn.next()),
                None => next.queue.front().map(|queued| queued.turn_id),
            }
        })
    }

    /// Whether an input waits in the queue for this turn.
    pub(crate) fn queued(&self, turn_id: TurnId) -> bool {
        self.queue().any(|queued| queued.turn_id == turn_id)
    }

    /// The newest turn that has an id.
    pub(crate) fn last_turn(&self) -> TurnId {
        self.last_turn
    }

    /// The newest item.
    pub(crate) fn last_item(&self) -> ItemId {
        self.last_item
    }

    /// The items that are open.
    pub(crate) fn open_items(&self) -> impl Iterator<Item = ItemId> {
        self.open_turn().ok().into_iter().flat_map(|turn| turn.items.keys().copied())
    }

    /// The input of the open turn.
    pub(crate) fn input(&self) -> Arc<[InputPart]> {
        self.open_turn().map(|turn| Arc::clone(&turn.input)).unwrap_or_default()
    }

    /// What the open turn's model calls took, as far as the log knows.
    pub(crate) fn turn_tokens(&self) -> TokenUsage {
        self.open_turn().map_or_else(|_| TokenUsage::default(), |turn| turn.tokens)
    }

    /// The interrupted turn that the open one goes on from.
    pub(crate) fn resumes(&self) -> Option<TurnId> {
        self.open_turn().ok()?.resumes
    }

    /// The value that the guest keeps under `key`.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    pub(super) fn value_bytes_with(&self, key: &str, value: Option<&str>) -> u64 {
        let others = self.values.iter().filter(|(other, _)| *other != key);
        let others: usize = others.map(|(key, value)| key.len() + value.len()).sum();
        let own = value.map_or(0, |value| key.len() + value.len());
        (others + own) as u64
    }

    pub(super) fn open_turn(&self) -> Result<&OpenTurn, RuntimeError> {
        match &self.phase {
            Phase::Turn(turn) => Ok(turn),
            Phase::Idle => Err(invalid("no turn is running".to_owned())),
            Phase::Stopped | Phase::Deleted => Err(RuntimeError::WorkerStopped),
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped | Phase::Deleted)
    }

    pub(super) fn queue(&self) -> impl Iterator<Item = &QueuedInput> {
        self.next.iter().flat_map(|next| &next.queue)
    }

    /// How many inputs wait: in the queue, or to be taken in by the open turn.
    pub(super) fn waiting_inputs(&self) -> u64 {
        let steering = self.open_turn().map_or(0, |turn| turn.steering.len());
        (self.queue().count() + steering) as u64
    }

    fn leave_queue(&mut self, turn_id: TurnId) {
        let Some(next) = &mut self.next else { return };
        next.queue.retain(|queued| queued.turn_id != turn_id);
        if next.queue.is_empty() && next.resumption.is_none() {
            self.next = None;
        }
    }

    fn start_turn(&mut self, turn_id: TurnId, resumes: Option<TurnId>) {
        self.last_turn = self.last_turn.max(turn_id);
        let resumption = self.next.as_mut().and_then(|next| next.resumption.take());
        if let (Some(of), Some(resumption)) = (resumes, resumption) {
            let mut turn = OpenTurn::new(turn_id, resumption.input);
            turn.resumes = Some(of);
            turn.resumed = resumption.resumed;
            self.phase = Phase::Turn(Box::new(turn));
        }
        if let Phase::Turn(turn) = &mut self.phase {
            turn.started = true;
        }
        self.leave_queue(turn_id);
    }

    fn end_turn(&mut self, turn_id: TurnId, outcome: &Outcome) {
        match std::mem::take(&mut self.phase) {
            Phase::Turn(turn) if turn.id == turn_id => {
                let again = self.resume && turn.resumed < MAX_RESUMES;
                if again && *outcome == Outcome::Interrupted {
                    let resumed = turn.resumed + 1;
                    let resumption = Resumption { of: turn.id, input: turn.input, resumed };
                    self.next.get_or_insert_default().resumption = Some(resumption);
                }
            }
            // The end of an input that waited: what runs goes on.
            other => {
                self.phase = other;
                self.leave_queue(turn_id);
            }
        }
    }

    pub(super) fn next_item(
        &self,
        origin: Origin,
        status: ItemStatus,
        body: ItemBody,
    ) -> Result<Item, RuntimeError> {
        let turn_id = self.open_turn()?.id;
        Ok(Item { id: self.last_item.next(), turn_id, origin, status, body })
    }

    pub(super) fn closed_item(
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
    fn new(id: TurnId, input: Arc<[InputPart]>) -> Self {
        Self {
            id,
            started: false,
            input,
            resumes: None,
            resumed: 0,
            steering: VecDeque::new(),
            tokens: TokenUsage::default(),
            items: BTreeMap::new(),
            calls: BTreeSet::new(),
        }
    }

    fn complete(&mut self, item: &Item) {
        self.items.remove(&item.id);
        match &item.body {
            ItemBody::ToolCall { call_id, .. } => {
                self.calls.insert(call_id.clone());
            }
            ItemBody::ToolResult { call_id, .. } => {
                self.calls.remove(call_id);
            }
            // Within a turn a user speaks by steering it.
            ItemBody::UserMessage { .. } => self.take_steering(),
            ItemBody::AssistantMessage { .. }
            | ItemBody::Reasoning { .. }
            | ItemBody::Notice { .. }
            | ItemBody::Unknown => {}
        }
    }

    /// What the turn was steered with is taken in oldest first, and all of it at once.
    fn take_steering(&mut self) {
        self.steering.pop_front();
    }
}

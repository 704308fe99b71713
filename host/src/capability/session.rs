//! `yoi:worker/session`: the turn, the transcript and the durable state.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use worker_types::{
    ConfigValue, InputPart, ItemBody, ItemId, ItemStatus, Origin, Profile, ToolOutcome, TurnId,
};

use super::{
    bindings::yoi::worker::{
        session::{
            self, ConfigValue as WitConfigValue, Entry, HistoryPage, ToolOutcome as WitOutcome,
        },
        types,
    },
    conversation::{
        arguments_from_text, conversation, message_bytes, message_for_guest, part_for_guest,
    },
    filesystem::Handles,
    ledger::{Ledger, RecordError},
};
use crate::{
    cell::{Authority, WorkerCell},
    projection,
    runtime::Inner,
    turn::{TurnMeter, TurnState},
    worker::{Command, INTERRUPTED},
};

/// The most entries of one `history` call.
const MAX_HISTORY: u32 = 1_000;

/// The longest name of a tool, in bytes; providers allow 64.
pub(crate) const MAX_TOOL_NAME_BYTES: usize = 256;

/// Utterances that a turn may have open at once: their texts are held until they end.
const MAX_UTTERANCES: usize = 16;

/// What the session of one turn knows.
#[derive(Debug)]
pub(crate) struct SessionCtx {
    pub(crate) runtime: Arc<Inner>,
    pub(crate) cell: Arc<WorkerCell>,
    pub(crate) authority: Authority,
    /// Where the handles of its files are remembered.
    pub(crate) files: Handles,
    pub(crate) turn_id: TurnId,
    pub(crate) input: Arc<[InputPart]>,
    /// The interrupted turn that this one goes on from.
    pub(crate) resumes: Option<TurnId>,
    pub(crate) ledger: Ledger,
    pub(crate) meter: Arc<TurnMeter>,
    /// Tool calls that models asked for in this turn and nobody has taken up.
    pub(crate) requested_calls: Vec<String>,
    /// Utterances that are open.
    pub(crate) utterances: usize,
    /// Tool calls of this turn, the guest's own and those that models asked for.
    pub(crate) calls: u64,
}

impl SessionCtx {
    /// A tool call's id that is unique within the Worker. Those of models are unique within one
    /// answer at best.
    pub(crate) fn new_call_id(&mut self) -> String {
        self.calls += 1;
        format!("call-{}-{}", self.turn_id, self.calls)
    }

    fn profile(&self) -> &Profile {
        &self.authority.profile.profile
    }
}

/// A message that the guest says piece by piece.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Utterance {
    item: ItemId,
}

/// A tool call that the guest runs.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct ToolCall {
    call_id: String,
}

/// A session, and the resources of its Store.
#[derive(Debug)]
pub(crate) struct SessionView<'a> {
    pub(crate) ctx: &'a mut SessionCtx,
    pub(crate) table: &'a mut ResourceTable,
}

struct HasSession;

impl HasData for HasSession {
    type Data<'a> = SessionView<'a>;
}

/// Links the interface. It needs no grant.
pub(crate) fn add_to_linker(linker: &mut Linker<TurnState>) -> wasmtime::Result<()> {
    session::add_to_linker::<_, HasSession>(linker, TurnState::session)?;
    types::add_to_linker::<_, HasSession>(linker, TurnState::session)
}

impl types::Host for SessionView<'_> {}

impl session::Host for SessionView<'_> {
    fn turn_id(&mut self) -> wasmtime::Result<u64> {
        self.ctx.meter.host_call("session.turn-id");
        Ok(self.ctx.turn_id.get())
    }

    fn input(&mut self) -> wasmtime::Result<Vec<types::Part>> {
        self.ctx.meter.host_call("session.input");
        Ok(self.ctx.input.iter().map(part_for_guest).collect())
    }

    fn resumes(&mut self) -> wasmtime::Result<Option<u64>> {
        self.ctx.meter.host_call("session.resumes");
        Ok(self.ctx.resumes.map(TurnId::get))
    }

    fn capabilities(&mut self) -> wasmtime::Result<Vec<String>> {
        self.ctx.meter.host_call("session.capabilities");
        let granted = self.ctx.authority.grants.capabilities();
        Ok(granted.map(|capability| capability.name().to_owned()).collect())
    }

    async fn history(
        &mut self,
        before: Option<u64>,
        limit: u32,
    ) -> wasmtime::Result<Result<HistoryPage, types::Error>> {
        self.ctx.meter.host_call("session.history");
        if limit == 0 || limit > MAX_HISTORY {
            let message = format!("a history page has 1 to {MAX_HISTORY} entries, not {limit}");
            return Ok(Err(types::Error::Other(message)));
        }
        let recorded = match self.ctx.ledger.flush().await {
            Ok(recorded) => recorded,
            Err(error) => return guest_result(Err(error)),
        };
        let max_bytes = self.ctx.runtime.limits.host_call_bytes;
        let before = before.map_or(recorded.last_item.next(), ItemId::new);
        let mut newest = projection::Newest::before(before);
        let mut messages = Vec::new();
        // One message more than is wanted: the oldest that was read may have its beginning further
        // back.
        let enough = |messages: usize, bytes: u64| {
            messages > limit as usize || (messages > 1 && bytes > max_bytes)
        };
        while !enough(messages.len(), newest.bytes()) {
            let (store, id) = (&self.ctx.runtime.store, self.ctx.cell.id);
            if !newest.read_on(store, id, recorded.last_seq).await? {
                break;
            }
            messages = conversation(newest.items());
        }
        let whole = newest.is_all();
        if !whole && messages.len() > 1 {
            messages.remove(0);
        }
        let mut bytes = 0;
        let fitting = messages.iter().rev().take(limit as usize).take_while(|(_, message)| {
            // At least one, or whoever pages would never get past it.
            let first = bytes == 0;
            bytes += 1 + message_bytes(message);
            first || bytes <= max_bytes
        });
        let first = messages.len() - fitting.count();
        let entries = messages.split_off(first).into_iter();
        let entries = entries
            .map(|(id, message)| Entry { id: id.get(), message: message_for_guest(message) });
        Ok(Ok(HistoryPage { entries: entries.collect(), more: first > 0 || !whole }))
    }

    async fn say(&mut self, text: String) -> wasmtime::Result<Result<(), types::Error>> {
        self.ctx.meter.host_call("session.say");
        if let Err(error) = self.ctx.ledger.check_size(&text) {
            return guest_result(Err(error));
        }
        let body = ItemBody::AssistantMessage { text, model: None };
        guest_result(self.ctx.ledger.add_item(Origin::Guest, body).await)
    }

    async fn take_steering(
        &mut self,
    ) -> wasmtime::Result<Result<Vec<Vec<types::Part>>, types::Error>> {
        self.ctx.meter.host_call("session.take-steering");
        let taken = self.ctx.ledger.take_steering().await;
        let for_guest = |parts: Vec<InputPart>| parts.iter().map(part_for_guest).collect();
        guest_result(taken.map(|inputs| inputs.into_iter().map(for_guest).collect()))
    }

    async fn state_get(
        &mut self,
        key: String,
    ) -> wasmtime::Result<Result<Option<String>, types::Error>> {
        self.ctx.meter.host_call("session.state-get");
        guest_result(self.ctx.ledger.value(key).await)
    }

    async fn state_set(
        &mut self,
        key: String,
        value: Option<String>,
    ) -> wasmtime::Result<Result<(), types::Error>> {
        self.ctx.meter.host_call("session.state-set");
        let limit_bytes = self.ctx.runtime.limits.state_bytes;
        let command = Command::SetValue { key, value, limit_bytes };
        guest_result(self.ctx.ledger.record(vec![command]).await.map(drop))
    }

    fn config(&mut self, key: String) -> wasmtime::Result<Option<WitConfigValue>> {
        self.ctx.meter.host_call("session.config");
        Ok(self.ctx.profile().config.get(&key).map(|value| match value {
            ConfigValue::Boolean(value) => WitConfigValue::Boolean(*value),
            ConfigValue::Integer(value) => WitConfigValue::Integer(*value),
            ConfigValue::Number(value) => WitConfigValue::Number(*value),
            ConfigValue::Text(value) => WitConfigValue::Text(value.clone()),
        }))
    }
}

impl session::HostUtterance for SessionView<'_> {
    async fn open(&mut self) -> wasmtime::Result<Result<Resource<Utterance>, types::Error>> {
        self.ctx.meter.host_call("session.utterance.open");
        if self.ctx.utterances == MAX_UTTERANCES {
            let message = format!("a turn may have {MAX_UTTERANCES} utterances open at once");
            return Ok(Err(types::Error::Other(message)));
        }
        let body = ItemBody::AssistantMessage { text: String::new(), model: None };
        match self.ctx.ledger.open_item(Origin::Guest, body).await {
            Ok(item) => {
                self.ctx.utterances += 1;
                Ok(Ok(self.table.push(Utterance { item })?))
            }
            Err(error) => guest_result(Err(error)),
        }
    }

    async fn delta(
        &mut self,
        this: Resource<Utterance>,
        text: String,
    ) -> wasmtime::Result<Result<(), types::Error>> {
        self.ctx.meter.host_call("session.utterance.delta");
        let item = self.table.get(&this)?.item;
        guest_result(self.ctx.ledger.push_text(item, &text))
    }

    async fn end(
        &mut self,
        this: Resource<Utterance>,
    ) -> wasmtime::Result<Result<(), types::Error>> {
        self.ctx.meter.host_call("session.utterance.end");
        let item = self.table.delete(this)?.item;
        self.ctx.utterances -= 1;
        guest_result(self.ctx.ledger.close_item(item, ItemStatus::Completed).await)
    }

    async fn drop(&mut self, this: Resource<Utterance>) -> wasmtime::Result<()> {
        let item = self.table.delete(this)?.item;
        self.ctx.utterances -= 1;
        guest_result(self.ctx.ledger.close_item(item, ItemStatus::Incomplete).await).map(drop)
    }
}

impl session::HostToolCall for SessionView<'_> {
    async fn begin(
        &mut self,
        name: String,
        arguments: String,
    ) -> wasmtime::Result<Result<Resource<ToolCall>, types::Error>> {
        self.ctx.meter.host_call("session.tool-call.begin");
        if let Err(error) = self.ctx.ledger.check_size(&arguments) {
            return guest_result(Err(error));
        }
        if name.len() > MAX_TOOL_NAME_BYTES {
            let message = format!("a tool's name has at most {MAX_TOOL_NAME_BYTES} bytes");
            return Ok(Err(types::Error::Other(message)));
        }
        let call_id = self.ctx.new_call_id();
        let body = ItemBody::ToolCall {
            call_id: call_id.clone(),
            name,
            arguments: arguments_from_text(arguments),
        };
        match self.ctx.ledger.announce_item(Origin::Guest, body).await {
            Ok(()) => Ok(Ok(self.table.push(ToolCall { call_id })?)),
            Err(error) => guest_result(Err(error)),
        }
    }

    async fn take(
        &mut self,
        call_id: String,
    ) -> wasmtime::Result<Result<Resource<ToolCall>, types::Error>> {
        self.ctx.meter.host_call("session.tool-call.take");
        match self.ctx.requested_calls.iter().position(|requested| *requested == call_id) {
            Some(index) => {
                let call_id = self.ctx.requested_calls.swap_remove(index);
                Ok(Ok(self.table.push(ToolCall { call_id })?))
            }
            None => {
                let message = format!("no model asked for a call `{call_id}` that is not taken up");
                Ok(Err(types::Error::Other(message)))
            }
        }
    }

    async fn id(&mut self, this: Resource<ToolCall>) -> wasmtime::Result<String> {
        self.ctx.meter.host_call("session.tool-call.id");
        Ok(self.table.get(&this)?.call_id.clone())
    }

    async fn end(
        &mut self,
        this: Resource<ToolCall>,
        outcome: WitOutcome,
    ) -> wasmtime::Result<Result<(), types::Error>> {
        self.ctx.meter.host_call("session.tool-call.end");
        let call_id = self.table.delete(this)?.call_id;
        if let Err(error) = self.ctx.ledger.check_size(&outcome.text) {
            // The tool ran, and its call is over: that its answer cannot be kept is the answer.
            let text = format!("the result cannot be kept: {error}");
            let body = ItemBody::ToolResult { call_id, outcome: ToolOutcome::Error, text };
            self.ctx.ledger.add_item(Origin::Host, body).await?;
            return guest_result(Err(error));
        }
        let result = if outcome.is_error { ToolOutcome::Error } else { ToolOutcome::Ok };
        let body = ItemBody::ToolResult { call_id, outcome: result, text: outcome.text };
        guest_result(self.ctx.ledger.add_item(Origin::Guest, body).await)
    }

    async fn drop(&mut self, this: Resource<ToolCall>) -> wasmtime::Result<()> {
        let call_id = self.table.delete(this)?.call_id;
        let body = ItemBody::ToolResult {
            call_id,
            outcome: ToolOutcome::Interrupted,
            text: INTERRUPTED.to_owned(),
        };
        guest_result(self.ctx.ledger.add_item(Origin::Host, body).await).map(drop)
    }
}

/// What the guest may know of an error, and a trap for the rest.
fn guest_result<T>(result: Result<T, RecordError>) -> wasmtime::Result<Result<T, types::Error>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error @ RecordError::TurnOver) => Err(error.into()),
        Err(error) => Ok(Err(types::Error::Other(error.to_string()))),
    }
}

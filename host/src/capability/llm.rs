//! `yoi:worker/llm`: model calls. The host records what a model says; the guest only pulls it.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use futures_util::StreamExt as _;
use llm_engine::{
    FinishReason, Message, Model, ModelError, ModelEvent, ModelRequest, ToolRequestPiece,
    ToolSchema,
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
};
use tracing::Instrument as _;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use worker_types::{Capability, Grant, ItemBody, ItemId, ItemStatus, ModelAlias, Origin};

use super::{
    bindings::yoi::worker::llm::{self, CompletionEvent, LlmError, Request},
    call_usage::{CallUsage, ModelCall},
    conversation::{arguments_from_text, conversation, message_from_guest},
    ledger::{Ledger, RecordError},
    session::{MAX_TOOL_NAME_BYTES, SessionCtx},
};
use crate::{projection, turn::TurnState, worker::Command};

/// Pieces that a provider may be ahead of the guest; beyond that its connection waits.
const PIECES_AHEAD: usize = 64;

/// The most content of a Worker's history that a model is sent: more than any model reads.
const MAX_CONTEXT_BYTES: u64 = 32 << 20;

/// Model calls that one turn may have open at once.
const OPEN_CALLS: usize = 16;

/// The model calls of one turn. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct LlmCtx {
    /// Where calls run: not among the guests, which may spin.
    host: Handle,
    calls: JoinSet<()>,
    /// The calls that may be open: begun, and neither read to their end nor dropped.
    open: Arc<Semaphore>,
}

impl LlmCtx {
    pub(crate) fn new(host: Handle) -> Self {
        Self { host, calls: JoinSet::new(), open: Arc::new(Semaphore::new(OPEN_CALLS)) }
    }
}

/// A running model call.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Completion {
    pieces: mpsc::Receiver<Result<ModelEvent, ModelError>>,
    call: AbortHandle,
    alias: ModelAlias,
    text: Option<ItemId>,
    reasoning: Option<ItemId>,
    requests: BTreeMap<u32, RequestedTool>,
    usage: CallUsage,
    /// Whether its end is in the log, and nothing follows.
    finished: bool,
}

/// A tool request that is being pieced together.
#[derive(Debug, Default)]
struct RequestedTool {
    /// The host's id for the call; the guest is given it in place of the model's.
    call_id: String,
    name: String,
    arguments: String,
}

/// The model calls of a turn, its session, and the resources of its Store.
#[derive(Debug)]
pub(crate) struct LlmView<'a> {
    pub(crate) ctx: &'a mut LlmCtx,
    pub(crate) session: &'a mut SessionCtx,
    pub(crate) table: &'a mut ResourceTable,
}

struct HasLlm;

impl HasData for HasLlm {
    type Data<'a> = LlmView<'a>;
}

/// Links the interface. Without the grant `llm` every call answers `not-granted`.
pub(crate) fn add_to_linker(linker: &mut Linker<TurnState>) -> wasmtime::Result<()> {
    llm::add_to_linker::<_, HasLlm>(linker, TurnState::llm)
}

impl llm::Host for LlmView<'_> {
    async fn complete(
        &mut self,
        request: Request,
    ) -> wasmtime::Result<Result<Resource<Completion>, LlmError>> {
        self.session.meter.host_call("llm.complete");
        let Some(alias) = self.granted(&request.model) else {
            let llm = Grant::Capability(Capability::Llm);
            return Ok(Err(match self.session.authority.is_revoked(&llm) {
                true => LlmError::Revoked,
                false => LlmError::NotGranted,
            }));
        };
        let Some(model) = self.session.runtime.models.get(alias.as_str()) else {
            let message = format!("the operator has configured no model `{alias}`");
            return Ok(Err(LlmError::Other(message)));
        };
        while self.ctx.calls.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&self.ctx.open).try_acquire_owned() else {
            let message = format!("a turn may have {OPEN_CALLS} model calls open at once");
            return Ok(Err(LlmError::Other(message)));
        };
        let request = match model_request(self.session, request).await? {
            Ok(request) => request,
            Err(error) => return Ok(Err(error)),
        };
        // What the call will have cost is to be recorded whatever happens until then.
        let account = Arc::new(ModelCall::new(alias.clone()));
        let usage = match CallUsage::open(&account, &self.session.ledger, permit).await {
            Ok(usage) => usage,
            Err(error @ RecordError::TurnOver) => return Err(error.into()),
            Err(error) => return Ok(Err(LlmError::Other(error.to_string()))),
        };
        self.session.meter.count_model_call();
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        let streaming = stream(model, request, sender, account).in_current_span();
        let call = self.ctx.calls.spawn_on(streaming, &self.ctx.host);
        Ok(Ok(self.table.push(Completion {
            pieces,
            call,
            alias,
            text: None,
            reasoning: None,
            requests: BTreeMap::new(),
            usage,
            finished: false,
        })?))
    }
}

impl LlmView<'_> {
    fn granted(&self, alias: &str) -> Option<ModelAlias> {
        let models = &self.session.authority.grants.llm.as_ref()?.models;
        models.iter().find(|granted| granted.as_str() == alias).cloned()
    }
}

/// What the provider is asked, or what is wrong with the guest's request.
async fn model_request(
    session: &SessionCtx,
    request: Request,
) -> wasmtime::Result<Result<ModelRequest, LlmError>> {
    if let Some((name, _)) = request.options.first() {
        return Ok(Err(LlmError::Invalid(format!("unknown option `{name}`"))));
    }
    // What came before the call is in the log before it is made.
    let until = session.ledger.flush().await?.last_seq;
    let messages = match request.context {
        llm::Context::History => {
            let (store, id) = (&session.runtime.store, session.cell.id);
            match projection::items(store, id, until, MAX_CONTEXT_BYTES).await? {
                Some(items) => {
                    Ok(conversation(&items).into_iter().map(|(_, message)| message).collect())
                }
                None => return Ok(Err(LlmError::ContextOverflow)),
            }
        }
        llm::Context::Messages(messages) => {
            messages.into_iter().map(message_from_guest).collect::<Result<Vec<Message>, _>>()
        }
    };
    let tools = request.tools.into_iter().map(|tool| {
        let parameters = serde_json::from_str(&tool.parameters).map_err(|error| {
            format!("the parameters of tool `{}` are no JSON: {error}", tool.name)
        })?;
        Ok(ToolSchema { name: tool.name, description: tool.description, parameters })
    });
    let tools = tools.collect::<Result<Vec<_>, String>>();
    let request = messages.and_then(|messages| {
        Ok(ModelRequest {
            system: request.system,
            messages,
            tools: tools?,
            max_output_tokens: request.max_output_tokens,
            temperature: request.temperature,
        })
    });
    Ok(request.map_err(LlmError::Invalid))
}

/// Runs one call; whoever drops the receiver ends it.
async fn stream(
    model: Model,
    request: ModelRequest,
    pieces: mpsc::Sender<Result<ModelEvent, ModelError>>,
    account: Arc<ModelCall>,
) {
    let mut stream = model.stream(request);
    while let Some(piece) = stream.next().await {
        if let Ok(ModelEvent::Usage(usage)) = &piece {
            account.report(*usage);
        }
        // The turn may be over: then nobody needs to know.
        if pieces.send(piece).await.is_err() {
            return;
        }
    }
}

impl llm::HostCompletion for LlmView<'_> {
    async fn next(
        &mut self,
        this: Resource<Completion>,
    ) -> wasmtime::Result<Result<Option<CompletionEvent>, LlmError>> {
        self.session.meter.host_call("llm.completion.next");
        let ledger = self.session.ledger.clone();
        let completion = self.table.get_mut(&this)?;
        if completion.finished {
            return Ok(Ok(None));
        }
        let mut piece = completion.pieces.recv().await.unwrap_or(Err(ModelError::Cancelled));
        let recorded = match &mut piece {
            Ok(ModelEvent::Finish(reason)) => completion
                .finish(&ledger, reason)
                .await
                .map(|calls| self.session.requested_calls.extend(calls)),
            Ok(event) => completion.record(self.session, event).await,
            Err(_) => completion.give_up(&ledger).await,
        };
        match (recorded, piece) {
            (Ok(()), Ok(piece)) => Ok(Ok(Some(event_for_guest(piece)))),
            (Ok(()), Err(error)) => {
                tracing::warn!(
                    model = %completion.alias,
                    error = &error as &dyn std::error::Error,
                    "a model call failed"
                );
                Ok(Err(error_for_guest(error)))
            }
            (Err(error @ RecordError::TurnOver), _) => Err(error.into()),
            (Err(error), _) => {
                // The answer cannot be recorded, so nothing may be done with it.
                completion.give_up(&ledger).await?;
                Ok(Err(LlmError::Other(error.to_string())))
            }
        }
    }

    async fn drop(&mut self, this: Resource<Completion>) -> wasmtime::Result<()> {
        let ledger = self.session.ledger.clone();
        let mut completion = self.table.delete(this)?;
        Ok(completion.give_up(&ledger).await?)
    }
}

impl Completion {
    /// Records a piece before the guest sees it.
    async fn record(
        &mut self,
        session: &mut SessionCtx,
        event: &mut ModelEvent,
    ) -> Result<(), RecordError> {
        let ledger = &session.ledger;
        match event {
            ModelEvent::Text(text) => {
                let id = match self.text {
                    Some(id) => id,
                    None => {
                        let model = Some(self.alias.clone());
                        let body = ItemBody::AssistantMessage { text: String::new(), model };
                        *self.text.insert(ledger.open_item(Origin::Host, body).await?)
                    }
                };
                ledger.push_text(id, text)
            }
            ModelEvent::Reasoning(text) => {
                let id = match self.reasoning {
                    Some(id) => id,
                    None => {
                        let body = ItemBody::Reasoning { text: String::new() };
                        *self.reasoning.insert(ledger.open_item(Origin::Host, body).await?)
                    }
                };
                ledger.push_text(id, text)
            }
            ModelEvent::ToolRequest(piece) => self.hold(session, piece),
            // The call's task has noted it.
            ModelEvent::Usage(_) | ModelEvent::Finish(_) => Ok(()),
        }
    }

    /// Holds a piece of a tool request until the answer is complete. A request that begins is given
    /// an id of ours. All of it is charged as it comes: a model may never come to the end.
    fn hold(
        &mut self,
        session: &mut SessionCtx,
        piece: &mut ToolRequestPiece,
    ) -> Result<(), RecordError> {
        let name = piece.name.as_ref();
        let name = name.map(|name| name.chars().take(MAX_TOOL_NAME_BYTES / 4).collect::<String>());
        let request = match self.requests.entry(piece.index) {
            Entry::Occupied(begun) => begun.into_mut(),
            Entry::Vacant(new) => {
                session.ledger.charge_item(name.as_deref().unwrap_or_default())?;
                let call_id = session.new_call_id();
                new.insert(RequestedTool { call_id, ..RequestedTool::default() })
            }
        };
        if let Some(id) = &mut piece.call_id {
            id.clone_from(&request.call_id);
        }
        if let Some(name) = name {
            request.name = name;
        }
        session.ledger.charge_piece(request.arguments.len(), &piece.arguments)?;
        request.arguments.push_str(&piece.arguments);
        Ok(())
    }

    /// Records the end of an answer, and with it the tool calls it asked for. Returns their ids.
    /// Where that fails the answer is not finished: it is to be given up.
    async fn finish(
        &mut self,
        ledger: &Ledger,
        reason: &FinishReason,
    ) -> Result<Vec<String>, RecordError> {
        if *reason != FinishReason::ToolRequests {
            // The answer was cut or withheld: so may be the arguments, and nobody is to act on them.
            self.requests.clear();
        }
        self.usage.settle();
        let mut commands = self.close_items(ledger, ItemStatus::Completed);
        let mut calls = Vec::new();
        for request in std::mem::take(&mut self.requests).into_values() {
            calls.push(request.call_id.clone());
            let body = ItemBody::ToolCall {
                call_id: request.call_id,
                name: request.name,
                arguments: arguments_from_text(request.arguments),
            };
            commands.push(Command::AddItem { origin: Origin::Host, body });
        }
        ledger.record_charged(commands).await?;
        self.finished = true;
        Ok(calls)
    }

    /// Records that the answer was cut off. What it asked for is forgotten: it must not be acted
    /// upon.
    async fn give_up(&mut self, ledger: &Ledger) -> Result<(), RecordError> {
        self.call.abort();
        if self.finished {
            return Ok(());
        }
        self.usage.settle();
        self.requests.clear();
        let commands = self.close_items(ledger, ItemStatus::Incomplete);
        if !commands.is_empty() {
            ledger.record_charged(commands).await?;
        }
        self.finished = true;
        Ok(())
    }

    fn close_items(&self, ledger: &Ledger, status: ItemStatus) -> Vec<Command> {
        let open = [self.reasoning, self.text].into_iter().flatten();
        open.map(|id| ledger.close(id, status)).collect()
    }
}

fn event_for_guest(event: ModelEvent) -> CompletionEvent {
    match event {
        ModelEvent::Text(text) => CompletionEvent::Text(text),
        ModelEvent::Reasoning(text) => CompletionEvent::Reasoning(text),
        ModelEvent::ToolRequest(piece) => CompletionEvent::ToolRequest(llm::ToolRequestPiece {
            index: piece.index,
            call_id: piece.call_id,
            name: piece.name,
            arguments: piece.arguments,
        }),
        ModelEvent::Usage(usage) => CompletionEvent::Usage(llm::Usage {
            input: usage.input,
            output: usage.output,
            cached_input: usage.cached_input,
            reasoning: usage.reasoning,
        }),
        ModelEvent::Finish(reason) => CompletionEvent::Finish(match reason {
            FinishReason::Stop => llm::FinishReason::Stop,
            FinishReason::Length => llm::FinishReason::Length,
            FinishReason::ToolRequests => llm::FinishReason::ToolRequests,
            FinishReason::ContentFilter => llm::FinishReason::ContentFilter,
            FinishReason::Other(reason) => llm::FinishReason::Other(reason),
        }),
    }
}

fn error_for_guest(error: ModelError) -> LlmError {
    match error {
        ModelError::RateLimited { retry_after } => LlmError::RateLimited(llm::RateLimit {
            retry_after_ms: retry_after
                .map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        }),
        ModelError::ContextOverflow => LlmError::ContextOverflow,
        ModelError::Overloaded => LlmError::Overloaded,
        ModelError::Auth => LlmError::Auth,
        ModelError::Invalid { message } => LlmError::Invalid(message),
        ModelError::Stalled => LlmError::Stalled,
        ModelError::Cancelled => LlmError::Cancelled,
        error => LlmError::Other(error.to_string()),
    }
}

//! What a model call takes, as its provider reports it: counted once, however the call ends.

use std::sync::{Arc, Mutex, PoisonError};

use llm_engine::ModelUsage;
use tokio::sync::OwnedSemaphorePermit;
use worker_types::{ModelAlias, TokenUsage};

use super::ledger::{Ledger, RecordError};
use crate::{turn::TurnMeter, worker::Command};

/// A call whose cost is not counted yet. Its task, the guest and the Worker's task share it.
#[derive(Debug)]
pub(crate) struct ModelCall {
    model: ModelAlias,
    /// What the provider has reported so far.
    reported: Mutex<Option<TokenUsage>>,
}

impl ModelCall {
    pub(super) fn new(model: ModelAlias) -> Self {
        Self { model, reported: Mutex::default() }
    }

    /// Replaces what was reported before: a provider counts the whole call. The call's task says it,
    /// whether or not the guest ever pulls that piece.
    pub(super) fn report(&self, usage: ModelUsage) {
        let ModelUsage { input, output, cached_input, reasoning } = usage;
        *self.reported.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(TokenUsage { input, output, cached_input, reasoning });
    }

    /// Counts what is known in the receipt, and returns what the log is to have of it. What is
    /// reported later is not counted.
    pub(super) fn count(&self, meter: &TurnMeter) -> Option<Command> {
        let tokens = (*self.reported.lock().unwrap_or_else(PoisonError::into_inner))?;
        meter.add_tokens(tokens);
        Some(Command::RecordUsage { model: self.model.clone(), tokens })
    }
}

/// The guest's end of the account. Dropping it counts what is known; of a turn that is cut off, the
/// Worker's task counts what is open.
#[derive(Debug)]
pub(super) struct CallUsage {
    call: Arc<ModelCall>,
    ledger: Ledger,
    /// Its share of the calls that may be open, while it is.
    permit: Option<OwnedSemaphorePermit>,
}

impl CallUsage {
    /// Opens the account of `call`.
    pub(super) async fn open(
        call: &Arc<ModelCall>,
        ledger: &Ledger,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, RecordError> {
        ledger.open_call(call).await?;
        Ok(Self { call: Arc::clone(call), ledger: ledger.clone(), permit: Some(permit) })
    }

    /// Counts what is known, in the receipt and in the log, unless that was done.
    pub(super) fn settle(&mut self) {
        self.ledger.count_call(&self.call);
        self.permit = None;
    }
}

impl Drop for CallUsage {
    fn drop(&mut self) {
        self.settle();
    }
}

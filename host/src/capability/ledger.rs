//! How host functions put things into the Worker's log: the supervisor owns it, and answers when
//! they are committed.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use worker_types::{ItemBody, ItemId, ItemStatus, Origin, RuntimeError};

use crate::{cell::WorkerCell, worker::Command};

/// Commands that are to be committed together.
#[derive(Debug)]
pub(crate) struct LedgerRequest {
    pub(crate) commands: Vec<Command>,
    pub(crate) reply: oneshot::Sender<Result<Recorded, RuntimeError>>,
}

/// Where the last command of a request ended up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorded {
    /// The newest item of the Worker.
    pub(crate) last_item: ItemId,
}

/// A turn's way into the log of its Worker.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    requests: mpsc::Sender<LedgerRequest>,
    cell: Arc<WorkerCell>,
    item_bytes: usize,
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
    /// The turn is over; what the guest wants no longer matters.
    #[error("the turn is over")]
    TurnOver,
}

impl Ledger {
    pub(crate) fn new(
        requests: mpsc::Sender<LedgerRequest>,
        cell: Arc<WorkerCell>,
        item_bytes: u64,
    ) -> Self {
        Self { requests, cell, item_bytes: usize::try_from(item_bytes).unwrap_or(usize::MAX) }
    }

    /// Commits `commands` together. They are in the log when this returns.
    pub(crate) async fn record(&self, commands: Vec<Command>) -> Result<Recorded, RecordError> {
        let (reply, answer) = oneshot::channel();
        let request = LedgerRequest { commands, reply };
        self.requests.send(request).await.map_err(|_| RecordError::TurnOver)?;
        answer.await.map_err(|_| RecordError::TurnOver)?.map_err(RecordError::Refused)
    }

    /// Records an item that is said all at once.
    pub(crate) async fn add_item(&self, origin: Origin, body: ItemBody) -> Result<(), RecordError> {
        self.record(vec![Command::AddItem { origin, body }]).await.map(drop)
    }

    /// Opens an item whose text follows.
    pub(crate) async fn open_item(
        &self,
        origin: Origin,
        body: ItemBody,
    ) -> Result<ItemId, RecordError> {
        let recorded = self.record(vec![Command::OpenItem { origin, body }]).await?;
        self.cell.open_text(recorded.last_item);
        Ok(recorded.last_item)
    }

    /// Adds to the text of an open item: live readers see it at once, the log when it is closed.
    pub(crate) fn push_text(&self, id: ItemId, text: &str) -> Result<(), RecordError> {
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
        self.record(vec![self.close(id, status)]).await.map(drop)
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

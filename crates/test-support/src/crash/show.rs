//! Everything that a Runtime has.

use worker_runtime::Runtime;
use worker_types::{
    Cursor, Item, ItemId, RuntimeError, Seq, TranscriptQuery, WorkerId, WorkerQuery, WorkerView,
};

use super::record::FoundWorker;
use crate::operations::Answer;

/// All Workers.
///
/// # Errors
///
/// What the Runtime says.
pub fn workers(runtime: &Runtime) -> Answer<Vec<WorkerView>> {
    let mut workers = Vec::new();
    let mut query = WorkerQuery::default();
    loop {
        let page = runtime.workers(&query)?;
        workers.extend(page.workers);
        query.after = page.next;
        if query.after.is_none() {
            return Ok(workers);
        }
    }
}

/// All there is of a Worker; its transcript and usage, where it is at rest.
///
/// # Errors
///
/// What the Runtime says.
pub async fn found(runtime: &Runtime, view: WorkerView, at_rest: bool) -> Answer<FoundWorker> {
    let id = view.worker_id;
    let mut events = Vec::new();
    let (mut cursor, mut trimmed) = (Cursor::START, Seq::ZERO);
    loop {
        let page = match runtime.event_page(id, cursor, 1_000).await {
            Err(RuntimeError::CursorGap { oldest }) => {
                (cursor, trimmed) = (oldest, oldest.seq);
                events.clear();
                continue;
            }
            page => page?,
        };
        if page.events.is_empty() {
            break;
        }
        cursor = page.next;
        events.extend(page.events);
    }
    let at_rest = if at_rest {
        Some((transcript(runtime, id).await?, runtime.usage(id, None, 1_000).await?))
    } else {
        None
    };
    Ok(FoundWorker { view, trimmed, events, at_rest })
}

async fn transcript(runtime: &Runtime, id: WorkerId) -> Answer<Vec<Item>> {
    let mut items = Vec::new();
    let mut after = Some(ItemId::ZERO);
    loop {
        let max_item_bytes = Some(8 << 20);
        let query = TranscriptQuery { after, max_item_bytes, ..Default::default() };
        let page = runtime.transcript(id, query).await?;
        items.extend(page.items);
        if !page.more_after {
            return Ok(items);
        }
        after = page.last_item;
    }
}

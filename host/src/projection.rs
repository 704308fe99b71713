//! Folds of a Worker's log that people and models read: the transcript, and pages of it.

use std::collections::BTreeMap;

use worker_types::{
    Cursor, Event, EventBody, Item, ItemBody, ItemId, Outcome, Seq, TranscriptPage,
    TranscriptQuery, TurnId, WorkerId,
};

use crate::store::{Store, StoreError};

/// Events read from the log at once.
const PAGE: usize = 1_000;

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1_000;
const DEFAULT_MAX_BYTES: u64 = 1 << 20;
const MAX_MAX_BYTES: u64 = 8 << 20;

/// The items of a Worker in the order of the conversation.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    items: Vec<Item>,
    /// Where the items are that were opened and not completed.
    open: BTreeMap<ItemId, usize>,
    /// The input that waits for its turn to start.
    pending: Option<Item>,
}

impl Transcript {
    /// Folds the log up to and including `until`.
    pub(crate) async fn load(
        store: &Store,
        worker_id: WorkerId,
        until: Seq,
    ) -> Result<Self, StoreError> {
        let mut transcript = Self::default();
        let mut read = Seq::ZERO;
        while read < until {
            for event in store.read(worker_id, read, until, PAGE).await? {
                read = event.seq;
                transcript.apply(event);
            }
            if read < until {
                // A long log is folded in pieces: others on this thread do not wait for all of it.
                tokio::task::yield_now().await;
            }
        }
        Ok(transcript)
    }

    fn apply(&mut self, event: Event) {
        match event.body {
            EventBody::InputAccepted { item, .. } => self.pending = Some(item),
            EventBody::TurnStarted { .. } => self.items.extend(self.pending.take()),
            EventBody::ItemStarted { item, .. } => {
                self.open.insert(item.id, self.items.len());
                self.items.push(item);
            }
            // An item that was opened keeps its place.
            EventBody::ItemCompleted { item, .. } => match self.open.remove(&item.id) {
                Some(place) => self.items[place] = item,
                None => self.items.push(item),
            },
            _ => {}
        }
    }

    /// All items, oldest first.
    pub(crate) fn items(&self) -> &[Item] {
        &self.items
    }

    /// Gives the open items their text so far.
    pub(crate) fn with_open_texts(mut self, mut texts: BTreeMap<ItemId, String>) -> Self {
        for item in self.items.iter_mut().rev() {
            if texts.is_empty() {
                break;
            }
            if let Some(so_far) = texts.remove(&item.id)
                && let ItemBody::AssistantMessage { text, .. } | ItemBody::Reasoning { text } =
                    &mut item.body
            {
                *text = so_far;
            }
        }
        self
    }

    /// The page that `query` asks for.
    pub(crate) fn page(self, query: TranscriptQuery, cursor: Cursor) -> TranscriptPage {
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize;
        let max_bytes = query.max_bytes.unwrap_or(DEFAULT_MAX_BYTES).min(MAX_MAX_BYTES);
        let position = |id: ItemId| self.items.iter().position(|item| item.id == id);
        // An id that is not in the transcript bounds nothing: ids are not reused, and an input that
        // waits is at the end.
        let start = query.after.and_then(position).map_or(0, |after| after + 1);
        let end = query.before.and_then(position).unwrap_or(self.items.len()).max(start);

        let mut bytes = 0;
        let mut fits = |item: &&Item| {
            let first = bytes == 0;
            // Never zero, so that the first item is known.
            bytes += 1 + item.body.len() as u64;
            first || bytes <= max_bytes
        };
        let window = &self.items[start..end];
        // After a given item the page grows forward, else backward from the end.
        let (from, to) = if query.after.is_some() {
            let count = window.iter().take(limit).take_while(&mut fits).count();
            (start, start + count)
        } else {
            let count = window.iter().rev().take(limit).take_while(&mut fits).count();
            (end - count, end)
        };
        let total = self.items.len();
        let items: Vec<Item> = self.items.into_iter().skip(from).take(to - from).collect();
        TranscriptPage {
            first_item: items.first().map(|item| item.id),
            last_item: items.last().map(|item| item.id),
            more_before: from > 0,
            more_after: to < total,
            items,
            cursor,
        }
    }
}

/// The outcome of the turn `turn_id`, if it ended in the log up to `until`.
pub(crate) async fn outcome(
    store: &Store,
    worker_id: WorkerId,
    turn_id: TurnId,
    until: Seq,
) -> Result<Option<Outcome>, StoreError> {
    let mut read = Seq::ZERO;
    while read < until {
        for event in store.read(worker_id, read, until, PAGE).await? {
            read = event.seq;
            if let EventBody::TurnEnded { turn_id: ended, outcome, .. } = event.body
                && ended == turn_id
            {
                return Ok(Some(outcome));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use worker_types::{ItemStatus, Origin};

    use super::*;

    fn transcript(count: u64) -> Transcript {
        let items = (1..=count).map(|id| Item {
            id: ItemId::new(id),
            turn_id: TurnId::new(1),
            origin: Origin::Guest,
            status: ItemStatus::Completed,
            body: ItemBody::AssistantMessage { text: "x".repeat(99), model: None },
        });
        Transcript { items: items.collect(), ..Transcript::default() }
    }

    fn ids(page: &TranscriptPage) -> Vec<u64> {
        page.items.iter().map(|item| item.id.get()).collect()
    }

    proptest! {
        #[test]
        fn pages_in_either_direction_cover_the_transcript_once(
            count in 0..40u64, limit in 1..10u32, max_bytes in 0..1_000u64
        ) {
            let query = TranscriptQuery {
                limit: Some(limit), max_bytes: Some(max_bytes), ..Default::default()
            };
            let mut backward = Vec::new();
            let mut page = transcript(count).page(query, Cursor::START);
            loop {
                backward.splice(0..0, ids(&page));
                if !page.more_before { break }
                let query = TranscriptQuery { before: page.first_item, ..query };
                page = transcript(count).page(query, Cursor::START);
            }
            let mut forward = Vec::new();
            let mut after = Some(ItemId::ZERO);
            loop {
                // Nothing has the ordinal zero, so the first page begins at the start.
                let page = transcript(count).page(TranscriptQuery { after, ..query }, Cursor::START);
                prop_assert!(page.items.len() <= limit as usize);
                forward.extend(ids(&page));
                if !page.more_after { break }
                after = page.last_item;
            }
            let all: Vec<u64> = (1..=count).collect();
            prop_assert_eq!(&backward, &all);
            prop_assert_eq!(&forward, &all);
        }
    }

    #[test]
    fn a_page_is_bounded_by_bytes_but_shows_at_least_one_item() {
        let page = |max_bytes| {
            let query = TranscriptQuery { max_bytes: Some(max_bytes), ..Default::default() };
            ids(&transcript(9).page(query, Cursor::START))
        };
        assert_eq!(page(0), [9]);
        assert_eq!(page(250), [8, 9]);
    }
}

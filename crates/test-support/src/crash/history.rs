//! What was told over all lives, in order, and what it amounts to.

use std::collections::BTreeMap;

use worker_types::{Cursor, FeedCursor, InputAccepted, WorkerId};

use super::record::{Record, Reply, Request};

/// A record, where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The life that told it.
    pub life: u64,
    /// When the parent read it, in milliseconds of that life.
    pub at_ms: u64,
    /// What was told.
    pub record: Record,
}

/// Everything that was told.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// In the order in which it was told.
    pub entries: Vec<Entry>,
    /// How long each life was, in milliseconds.
    pub lives: BTreeMap<u64, u64>,
}

/// A request and its answer, as places in the history.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// The request.
    pub request: Request,
    /// Where it was sent.
    pub sent: usize,
    /// Where it was answered, and how.
    pub answered: Option<(usize, Reply)>,
}

impl Exchange {
    /// Where it was done, if that was told.
    #[must_use]
    pub fn done(&self) -> Option<usize> {
        match &self.answered {
            Some((at, Reply::Done)) => Some(*at),
            _ => None,
        }
    }

    /// Where an input was accepted, and how.
    #[must_use]
    pub fn accepted(&self) -> Option<(usize, InputAccepted)> {
        match &self.answered {
            Some((at, Reply::Accepted(accepted))) => Some((*at, *accepted)),
            _ => None,
        }
    }

    /// Whether it had no effect for certain.
    #[must_use]
    pub fn was_refused(&self) -> bool {
        self.answered.as_ref().is_some_and(|(_, reply)| reply.is_definite_refusal())
    }
}

impl History {
    /// Adds what a life told.
    pub fn push(&mut self, life: u64, at_ms: u64, record: Record) {
        let lived = self.lives.entry(life).or_default();
        *lived = at_ms.max(*lived);
        self.entries.push(Entry { life, at_ms, record });
    }

    /// The requests that were sent before the place `until`; answers after it do not count.
    #[must_use]
    pub fn exchanges(&self, until: usize) -> Vec<Exchange> {
        let mut places = BTreeMap::new();
        let mut exchanges: Vec<Exchange> = Vec::new();
        for (at, entry) in self.entries[..until].iter().enumerate() {
            match &entry.record {
                Record::Sent { op, request } => {
                    places.insert((entry.life, *op), exchanges.len());
                    let request = request.clone();
                    exchanges.push(Exchange { request, sent: at, answered: None });
                }
                Record::Answered { op, reply } => {
                    if let Some(place) = places.get(&(entry.life, *op)) {
                        exchanges[*place].answered = Some((at, reply.clone()));
                    }
                }
                _ => {}
            }
        }
        exchanges
    }

    /// Where the reader of the feed goes on.
    #[must_use]
    pub fn feed_cursor(&self) -> FeedCursor {
        let last = self.entries.iter().rev().find_map(|entry| match &entry.record {
            Record::Fed { cursor, .. } => Some(*cursor),
            _ => None,
        });
        last.unwrap_or(FeedCursor::START)
    }

    /// Where the readers of Workers go on.
    #[must_use]
    pub fn cursors(&self) -> Vec<(WorkerId, Cursor)> {
        let mut cursors = BTreeMap::new();
        for entry in &self.entries {
            match &entry.record {
                Record::Published { event, cursor } => {
                    cursors.insert(event.worker_id, *cursor);
                }
                Record::Found { worker } => {
                    cursors.entry(worker.view.worker_id).or_insert(Cursor::START);
                }
                _ => {}
            }
        }
        cursors.into_iter().collect()
    }
}

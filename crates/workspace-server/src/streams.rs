//! Events as they come, wherever their Runtime is.

use runtime_client::{RemoteEvents, RemoteFeed};
use worker_runtime::{Events, Feed};
use worker_types::{Cursor, Event, FeedCursor, LiveEvent, RuntimeError, RuntimeId};

use crate::remote::translated;

/// The events of one Worker.
#[derive(Debug)]
pub enum WorkerEvents {
    /// From a Runtime in this process.
    Embedded(Events),
    /// From one in another process.
    Remote(RuntimeId, Box<RemoteEvents>),
}

impl WorkerEvents {
    /// Waits for the next; `None` once the Runtime has shut down or the Worker is gone. Dropping the future
    /// loses nothing.
    pub async fn next(&mut self) -> Option<Result<LiveEvent, RuntimeError>> {
        match self {
            Self::Embedded(events) => events.next().await,
            Self::Remote(id, events) => {
                Some(events.next().await?.map_err(|error| translated(id, error)))
            }
        }
    }

    /// The place after the last durable event that `next` returned.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        match self {
            Self::Embedded(events) => events.cursor(),
            Self::Remote(_, events) => events.cursor(),
        }
    }
}

/// The events of all Workers of one Runtime.
#[derive(Debug)]
pub enum RuntimeFeed {
    /// Of a Runtime in this process.
    Embedded(Feed),
    /// Of one in another process.
    Remote(RuntimeId, Box<RemoteFeed>),
}

impl RuntimeFeed {
    /// Waits for the next; `None` once the Runtime has shut down. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event, RuntimeError>> {
        match self {
            Self::Embedded(feed) => feed.next().await,
            Self::Remote(id, feed) => {
                Some(feed.next().await?.map_err(|error| translated(id, error)))
            }
        }
    }

    /// The place after the last event that `next` returned.
    #[must_use]
    pub fn cursor(&self) -> FeedCursor {
        match self {
            Self::Embedded(feed) => feed.cursor(),
            Self::Remote(_, feed) => feed.cursor(),
        }
    }
}

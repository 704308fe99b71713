//! The feed: what changed, over all Workers.

use std::collections::BTreeMap;

use futures_util::future::{join, join_all};
use worker_types::{Event, EventBody, FeedCursor, Input, RuntimeError, Seq, WorkerId};

use super::{
    Setting,
    guest::{log, of, run, sound, worker},
};
use crate::operations::{FeedStream, Operations};

/// The host of these tests.
#[must_use]
pub fn setting() -> Setting {
    Setting::default()
}

async fn whole_feed(host: &impl Operations, limit: usize) -> (Vec<Event>, FeedCursor) {
    let mut events = Vec::new();
    let mut cursor = FeedCursor::START;
    loop {
        let page = host.feed_page(cursor, limit).await.expect("a page");
        assert!(page.events.len() <= limit);
        cursor = page.next;
        if page.events.is_empty() {
            return (events, cursor);
        }
        events.extend(page.events);
    }
}

/// Of every Worker all events, in its own order.
pub async fn the_feed_has_every_event_in_the_order_of_commits(host: &impl Operations) {
    let ids = join_all((0..5).map(|_| worker(host, "base"))).await;
    for _ in 0..3 {
        join_all(ids.iter().map(|id| run(host, *id, "tool"))).await;
    }
    // One after the other is one after the other in the feed.
    let late = worker(host, "echo").await;
    let (feed, _) = whole_feed(host, 7).await;
    assert_eq!(feed.last().map(|event| event.worker_id), Some(late));
    let mut by_worker: BTreeMap<WorkerId, Vec<Event>> = BTreeMap::new();
    for event in feed {
        by_worker.entry(event.worker_id).or_default().push(event);
    }
    for id in ids.into_iter().chain([late]) {
        sound(host, id).await;
        assert_eq!(by_worker.remove(&id), Some(log(host, id).await));
    }
    assert!(by_worker.is_empty(), "{by_worker:?}");
}

/// A page's cursor, a stream's, and that of an event in the middle.
pub async fn a_reader_of_the_feed_goes_on_from_its_cursor(host: &impl Operations) {
    for _ in 0..3 {
        let id = worker(host, "base").await;
        run(host, id, "print: x").await;
    }
    let (all, end) = whole_feed(host, 100).await;
    let mut feed = host.feed(FeedCursor::START).await.expect("a stream");
    for event in all {
        let page = host.feed_page(feed.cursor(), 1).await.expect("a page");
        assert_eq!(page.events.as_slice(), std::slice::from_ref(&event));
        assert_eq!(feed.next().await, Some(Ok(event)));
        assert_eq!(feed.cursor(), page.next);
    }
    assert_eq!(feed.cursor(), end);
}

/// Also when it has been waiting for long.
pub async fn whoever_waits_at_the_end_of_the_feed_is_woken(host: &impl Operations) {
    let mut feed = host.feed(FeedCursor::START).await.expect("a stream");
    for round in 0..100 {
        let (event, created) = join(feed.next(), host.create(of("echo"))).await;
        let event = event.expect("an open stream").expect("a readable log");
        assert_eq!(event.worker_id, created.expect("a Worker").worker_id, "round {round}");
        assert_eq!(event.seq, Seq::new(1));
    }
}

/// Whoever knew the Worker from the feed learns from the feed that it is gone.
pub async fn a_deletion_stands_in_the_feed_and_ends_what_was_there(host: &impl Operations) {
    let id = worker(host, "base").await;
    let kept = host.create(of("echo").input(Input::text("x"))).await.expect("a Worker").worker_id;
    run(host, id, "tool").await;
    let (before, cursor) = whole_feed(host, 100).await;
    assert!(before.len() > 5);
    host.stop(id).await.expect("stopped");
    host.delete(id).await.expect("deleted");
    let news = host.feed_page(cursor, 100).await.expect("a page").events;
    let of_worker: Vec<_> = news.iter().filter(|event| event.worker_id == id).collect();
    assert_eq!(of_worker.last().map(|event| &event.body), Some(&EventBody::WorkerDeleted));
    // Who comes later reads of it that it was deleted, and nothing else.
    let (after, _) = whole_feed(host, 100).await;
    let of_worker: Vec<_> = after.iter().filter(|event| event.worker_id == id).collect();
    assert_eq!(of_worker.len(), 1, "{of_worker:?}");
    assert_eq!(of_worker[0].body, EventBody::WorkerDeleted);
    sound(host, kept).await;
    let of_kept: Vec<_> = whole_feed(host, 100).await.0;
    let of_kept: Vec<_> = of_kept.into_iter().filter(|event| event.worker_id == kept).collect();
    assert_eq!(of_kept, log(host, kept).await);
    let unknown = Err(RuntimeError::UnknownWorker { worker_id: id });
    assert_eq!(host.stop(id).await, unknown);
}

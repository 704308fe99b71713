//! Pages of a log, and what is no place in it.

use worker_types::{Cursor, Event, FeedCursor, LogId, RuntimeError, Seq};

use super::{
    Setting,
    guest::{log, run, worker},
};
use crate::operations::{Answer, Operations};

/// The host of these tests.
#[must_use]
pub fn setting() -> Setting {
    Setting::default()
}

/// Pages of any size make up the log.
pub async fn pages_of_a_log_follow_one_another(host: &impl Operations) {
    let id = worker(host, "echo").await;
    for text in ["one", "two", "three"] {
        run(host, id, text).await;
    }
    let all = log(host, id).await;
    for limit in [1, 2, 7, 100] {
        let mut paged = Vec::new();
        let mut cursor = Cursor::START;
        loop {
            let page = host.event_page(id, cursor, limit).await.expect("a page");
            assert!(page.events.len() <= limit);
            cursor = page.next;
            if page.events.is_empty() {
                break;
            }
            paged.extend(page.events);
        }
        assert_eq!(paged, all);
    }
    let bare = Cursor { log_id: None, seq: Seq::new(2) };
    let page = host.event_page(id, bare, 1).await.expect("a bare number is a place");
    assert_eq!(page.events[0].seq, Seq::new(3));
}

/// The bound is the end of the log: where it is, there is an empty page; beyond it, an error.
pub async fn cursors_of_the_future_and_of_another_log_are_refused(host: &impl Operations) {
    let id = worker(host, "echo").await;
    let end = host.event_page(id, Cursor::START, 1).await.expect("a page").next;
    assert_eq!(host.event_page(id, end, 1).await.expect("a page").events, []);
    let future = Cursor { seq: end.seq.next(), ..end };
    let foreign = Cursor::new(LogId::generate(), Seq::new(1));
    let other = worker(host, "echo").await;
    let of_another = host.event_page(other, Cursor::START, 1).await.expect("a page").next;
    for cursor in [future, foreign, of_another, Cursor { log_id: None, seq: Seq::new(u64::MAX) }] {
        is_invalid(host.event_page(id, cursor, 1).await);
        is_invalid(host.events(id, cursor).await);
    }
}

/// The same for the feed.
pub async fn feed_cursors_of_the_future_and_of_another_log_are_refused(host: &impl Operations) {
    worker(host, "echo").await;
    let end = host.feed_page(FeedCursor::START, 100).await.expect("a page").next;
    assert_eq!(host.feed_page(end, 1).await.expect("a page").events, []);
    let future = FeedCursor { position: end.position + 1, ..end };
    let foreign = FeedCursor::new(LogId::generate(), 1);
    for cursor in [future, foreign, FeedCursor { log_id: None, position: u64::MAX }] {
        is_invalid(host.feed_page(cursor, 1).await);
        is_invalid(host.feed(cursor).await);
    }
}

/// What is shown can be kept as JSON and read again.
pub async fn an_event_survives_its_json(host: &impl Operations) {
    let id = worker(host, "base").await;
    for text in ["tool: {\"k\": [1, 2]}", "utter: a|b", "state-set: k=v", "fail: no", "say: 10"] {
        run(host, id, text).await;
    }
    for event in log(host, id).await {
        let json = serde_json::to_string(&event).expect("an event serialises");
        assert_eq!(serde_json::from_str::<Event>(&json).expect("and back"), event);
    }
}

#[track_caller]
fn is_invalid<T>(answer: Answer<T>) {
    match answer {
        Err(RuntimeError::InvalidCursor { .. }) => {}
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the cursor was taken"),
    }
}

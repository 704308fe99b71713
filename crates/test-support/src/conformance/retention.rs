//! What is removed, what is not, and how a reader learns of it.

use worker_types::{
    Cursor, EventBody, FeedCursor, Outcome, Retention, RuntimeError, TranscriptQuery, TurnId,
    WorkerId,
};

use super::{
    Setting,
    guest::{at_rest, log, log_after, run, said, sound, transcript, worker},
};
use crate::{
    invariants::{Rule, check_sequence},
    operations::Operations,
};

/// Events a Worker of this host may have that carry no item.
const MAX_EVENTS: u64 = 10;

/// The host of these tests.
#[must_use]
pub fn setting() -> Setting {
    let retention = Retention { max_events: Some(MAX_EVENTS), ..Retention::default() };
    Setting { retention, ..Setting::default() }
}

/// A Worker with more events than may be kept, before and after retention; the log as it was.
async fn trimmed(host: &impl Operations) -> (WorkerId, Vec<worker_types::Event>, Cursor) {
    let id = worker(host, "base").await;
    for number in 0..20 {
        assert_eq!(run(host, id, &format!("state-set: k={number}")).await, Outcome::Completed);
        assert_eq!(run(host, id, "utter: a|b").await, Outcome::Completed);
    }
    at_rest(host, id).await;
    let before = log(host, id).await;
    host.enforce_retention().await.expect("enforced");
    match host.event_page(id, Cursor::START, 1).await {
        Err(RuntimeError::CursorGap { oldest }) => (id, before, oldest),
        other => panic!("{other:?}"),
    }
}

/// Typed, with the place to go on from; never a silent gap.
pub async fn a_reader_behind_the_trimmed_log_is_told_where_it_begins(host: &impl Operations) {
    let (id, before, oldest) = trimmed(host).await;
    let behind = Cursor { seq: worker_types::Seq::new(oldest.seq.get() - 1), ..oldest };
    let gap = RuntimeError::CursorGap { oldest };
    for cursor in [Cursor::START, behind] {
        assert_eq!(host.event_page(id, cursor, 10).await.map(drop), Err(gap.clone()));
        match host.events(id, cursor).await {
            Err(error) => assert_eq!(error, gap),
            Ok(_) => panic!("the removed events cannot be read"),
        }
    }
    let after = log_after(host, id, oldest).await;
    assert_eq!(check_sequence(&after, oldest.seq), []);
    let (trim, kept) = after.split_last().expect("a log");
    assert_eq!(trim.body, EventBody::WorkerTrimmed { through: oldest.seq });
    assert_eq!(*kept, before[before.len() - kept.len()..]);
    assert!(host.events(id, oldest).await.is_ok());
    assert_eq!(run(host, id, "print: on").await, Outcome::Completed);
    let more = log_after(host, id, oldest).await;
    assert!(more.len() > after.len());
    assert!(check_sequence(&more, oldest.seq).iter().all(|v| v.rule != Rule::Sequence));
}

/// What `history` may send is kept, and so is what was counted.
pub async fn transcript_state_and_usage_outlive_the_events_they_came_from(host: &impl Operations) {
    let id = worker(host, "base").await;
    for number in 0..20 {
        assert_eq!(run(host, id, &format!("state-set: k={number}")).await, Outcome::Completed);
        assert_eq!(run(host, id, &format!("say: {}", number + 1)).await, Outcome::Completed);
    }
    let (items, before) = (transcript(host, id).await, sound(host, id).await);
    let usage = host.usage(id, None, 1).await.expect("usage").total;
    host.enforce_retention().await.expect("enforced");
    assert!(host.event_page(id, Cursor::START, 1).await.is_err());
    assert_eq!(transcript(host, id).await, items);
    let query = TranscriptQuery { limit: Some(3), ..Default::default() };
    assert_eq!(host.transcript(id, query).await.expect("a page").items, items[items.len() - 3..]);
    for item in &items {
        assert_eq!(host.item(id, item.id).await.as_ref(), Ok(item));
    }
    assert_eq!(host.usage(id, None, 1).await.expect("usage").total, usage);
    assert_eq!(usage, before.usage);
    let gone = host.outcome(id, TurnId::new(1)).await;
    assert!(matches!(gone, Err(RuntimeError::InvalidInput { .. })), "{gone:?}");
    assert_eq!(run(host, id, "state-get: k").await, Outcome::Completed);
    assert_eq!(said(host, id).await.last().map(String::as_str), Some("19"));
    assert_eq!(run(host, id, "history").await, Outcome::Completed);
    let history = said(host, id).await.pop().expect("an answer");
    assert!(history.contains("user: state-set: k=0\n"), "{history}");
}

/// And again nothing.
pub async fn nothing_is_removed_that_the_bounds_allow(host: &impl Operations) {
    let id = worker(host, "base").await;
    run(host, id, "print: x").await;
    let before = log(host, id).await;
    host.enforce_retention().await.expect("enforced");
    assert_eq!(log(host, id).await, before);
    let (id, _, oldest) = trimmed(host).await;
    let after = log_after(host, id, oldest).await;
    host.enforce_retention().await.expect("enforced");
    assert_eq!(log_after(host, id, oldest).await, after);
}

/// A reader of the feed can tell what it will not find any more.
pub async fn the_feed_tells_of_removals(host: &impl Operations) {
    let (id, before, oldest) = trimmed(host).await;
    let mut feed = Vec::new();
    let mut cursor = FeedCursor::START;
    loop {
        let page = host.feed_page(cursor, 1_000).await.expect("a page");
        if page.events.is_empty() {
            break;
        }
        cursor = page.next;
        feed.extend(page.events);
    }
    let trims = feed.iter().filter(|event| {
        event.worker_id == id && event.body == EventBody::WorkerTrimmed { through: oldest.seq }
    });
    assert_eq!(trims.count(), 1);
    assert!(feed.len() < before.len(), "{} events are left", feed.len());
    let mut last = worker_types::Seq::ZERO;
    for event in feed.iter().filter(|event| event.worker_id == id) {
        assert!(event.seq > last, "in order");
        last = event.seq;
        // What is left of the time before is what carries items, unchanged.
        if event.seq <= oldest.seq {
            assert!(before.contains(event), "{event:?}");
        }
    }
}

//! Invariant 11: every event once, in order, and live text without gap or repetition.

use std::collections::BTreeMap;

use futures_util::future::join;
use worker_types::{Cursor, EventBody, ItemBody, ItemId, LiveEvent, Outcome, Seq, TranscriptQuery};

use super::{
    Setting,
    guest::{give, log, next, run, said, sound, worker},
};
use crate::operations::{EventStream, Operations};

/// The host of these tests.
#[must_use]
pub fn setting() -> Setting {
    Setting::default()
}

/// What a reader makes of a stream: the durable events, and the text of each item as it saw it grow.
#[derive(Default)]
struct Reader {
    last: Seq,
    texts: BTreeMap<ItemId, String>,
    deltas: usize,
    snapshots: usize,
}

impl Reader {
    fn after(last: Seq) -> Self {
        Self { last, ..Self::default() }
    }

    /// Takes an event in; true once a turn has ended.
    fn take(&mut self, event: LiveEvent) -> bool {
        match event {
            LiveEvent::Durable(event) => {
                assert_eq!(event.seq, self.last.next(), "no gap, no repetition");
                self.last = event.seq;
                match event.body {
                    EventBody::ItemCompleted { item, .. } => {
                        if let ItemBody::AssistantMessage { text, .. } = item.body
                            && let Some(seen) = self.texts.get(&item.id)
                        {
                            assert!(text.starts_with(seen), "{seen:?} is no beginning of {text:?}");
                        }
                    }
                    EventBody::TurnEnded { .. } => return true,
                    _ => {}
                }
            }
            LiveEvent::Delta(delta) => {
                let text = self.texts.entry(delta.item_id).or_default();
                assert_eq!(delta.offset, text.len() as u64, "no gap, no repetition");
                text.push_str(&delta.text);
                self.deltas += 1;
            }
            LiveEvent::Snapshot(snapshot) => {
                let text = self.texts.entry(snapshot.item_id).or_default();
                assert!(snapshot.text.starts_with(text.as_str()), "{text:?} was said before");
                *text = snapshot.text;
                self.snapshots += 1;
            }
        }
        false
    }

    async fn until_the_end_of_a_turn(&mut self, events: &mut impl EventStream) {
        while !self.take(next(events).await) {}
    }
}

/// Until the text is seen while it grows.
pub async fn a_reader_from_the_start_sees_text_grow_and_every_event_once(host: &impl Operations) {
    let id = worker(host, "base").await;
    let mut events = host.events(id, Cursor::START).await.expect("a stream");
    let mut reader = Reader::default();
    for _ in 0..200 {
        let turn = run(host, id, "utter-many: 400");
        let (outcome, ()) = join(turn, reader.until_the_end_of_a_turn(&mut events)).await;
        assert_eq!(outcome, Outcome::Completed);
        assert_eq!(events.cursor().seq, reader.last);
        if reader.deltas + reader.snapshots > 0 {
            assert_eq!(sound(host, id).await.last_seq, reader.last);
            return;
        }
    }
    panic!("nothing was seen before it was complete");
}

/// The guest goes on speaking until it is gone; nobody hears it.
pub async fn a_reader_sees_no_text_that_a_cancelled_item_does_not_keep(host: &impl Operations) {
    let id = worker(host, "base").await;
    let mut events = host.events(id, Cursor::START).await.expect("a stream");
    let mut reader = Reader::default();
    for _ in 0..10 {
        give(host, id, "flood-text", Default::default()).await;
        let deltas = reader.deltas;
        while reader.deltas < deltas + 5 {
            reader.take(next(&mut events).await);
        }
        let cancel = async { host.cancel(id, None).await.expect("cancelled") };
        join(cancel, reader.until_the_end_of_a_turn(&mut events)).await;
    }
    assert_eq!(sound(host, id).await.last_seq, reader.last);
}

/// A page is loaded, and a stream begins where the page is true.
pub async fn who_attaches_in_the_middle_gets_the_text_so_far_and_then_the_rest(
    host: &impl Operations,
) {
    let id = worker(host, "base").await;
    let mut first = host.events(id, Cursor::START).await.expect("a stream");
    let turn_id = give(host, id, "utter-hang", Default::default()).await.turn_id;
    let mut early = Reader::default();
    while early.texts.values().all(|text| text != "before the hang") {
        early.take(next(&mut first).await);
    }

    let page = host.transcript(id, TranscriptQuery::default()).await.expect("a transcript");
    let shown = page.items.last().expect("the open item");
    let text = "before the hang".to_owned();
    assert_eq!(shown.body, ItemBody::AssistantMessage { text, model: None });
    assert_eq!(host.item(id, shown.id).await.expect("the item"), *shown);
    let mut second = host.events(id, page.cursor).await.expect("a stream");
    let mut late = Reader::after(page.cursor.seq);
    while late.texts.is_empty() {
        late.take(next(&mut second).await);
    }
    assert_eq!(late.texts, early.texts);
    host.cancel(id, Some(turn_id)).await.expect("cancelled");
    late.until_the_end_of_a_turn(&mut second).await;
    early.until_the_end_of_a_turn(&mut first).await;
    assert_eq!(early.last, late.last);
    assert_eq!(said(host, id).await, ["before the hang"]);
    sound(host, id).await;
}

/// It slows nobody and misses nothing.
pub async fn a_reader_who_falls_behind_is_served_from_the_log(host: &impl Operations) {
    let id = worker(host, "base").await;
    let mut events = host.events(id, Cursor::START).await.expect("a stream");
    let mut reader = Reader::default();
    reader.take(next(&mut events).await);
    for _ in 0..3 {
        assert_eq!(run(host, id, "utter-many: 2000").await, Outcome::Completed);
        assert_eq!(run(host, id, "say-many: 300").await, Outcome::Completed);
    }
    let last = sound(host, id).await.last_seq;
    while reader.last < last {
        reader.take(next(&mut events).await);
    }
    assert_eq!(events.cursor().seq, last);
}

/// Every event is a place to go on from.
pub async fn a_stream_goes_on_from_the_cursor_of_another(host: &impl Operations) {
    let id = worker(host, "base").await;
    for text in ["say-many: 3", "tool", "utter: a|b"] {
        run(host, id, text).await;
    }
    let all = log(host, id).await;
    let mut events = host.events(id, Cursor::START).await.expect("a stream");
    for event in all {
        let mut other = host.events(id, events.cursor()).await.expect("a stream");
        assert_eq!(next(&mut other).await, LiveEvent::Durable(event.clone()));
        assert_eq!(next(&mut events).await, LiveEvent::Durable(event));
    }
}

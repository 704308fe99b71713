//! Invariant 11 for what models say: every event once, in order, and live text without gap or
//! repetition. What guests say is in the conformance suite.

use llm_engine::{Gate, ModelEvent, ScriptedModel, Step};
use worker_types::{Cursor, EventBody, ItemBody, ItemId, LiveEvent, Seq, TranscriptQuery};

use crate::harness::*;

/// What a reader makes of a stream: the durable events, and the text of each item as it saw it
/// grow.
#[derive(Default)]
struct Reader {
    last: Seq,
    texts: std::collections::BTreeMap<ItemId, String>,
}

impl Reader {
    fn from(seq: Seq) -> Self {
        Self { last: seq, ..Self::default() }
    }

    /// Takes an event in; true once the turn has ended.
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
            }
            LiveEvent::Snapshot(snapshot) => {
                self.texts.insert(snapshot.item_id, snapshot.text);
            }
        }
        false
    }
}

fn pieces(gate: &Gate) -> ScriptedModel {
    ScriptedModel::new().call([
        Step::text("Hello "),
        Step::text("there"),
        Step::Gate(gate.clone()),
        Step::text(", world"),
        Step::stop(),
    ])
}

#[tokio::test]
async fn a_reader_from_the_start_sees_the_text_grow_and_every_event_once() {
    let gate = Gate::closed();
    gate.open();
    let runtime = runtime_with_model(pieces(&gate)).await;
    let id = llm_worker(&runtime, "companion").await;
    let mut events = runtime.events(id, Cursor::START).expect("a stream");
    send(&runtime, id, "hi").await;
    let mut reader = Reader::default();
    while !reader.take(next(&mut events).await) {}
    assert_eq!(events.cursor().seq, reader.last);
    assert_eq!(said(&runtime, id).await, ["Hello there, world"]);
}

#[tokio::test]
async fn who_attaches_in_the_middle_gets_the_text_so_far_and_then_the_rest() {
    let gate = Gate::closed();
    let runtime = runtime_with_model(pieces(&gate)).await;
    let id = llm_worker(&runtime, "companion").await;
    let mut first = runtime.events(id, Cursor::START).expect("a stream");
    send(&runtime, id, "hi").await;
    let mut early = Reader::default();
    while early.texts.values().all(|text| text != "Hello there") {
        early.take(next(&mut first).await);
    }

    // A page is loaded now: the transcript has the text so far, and so has the stream after it.
    let page = runtime.transcript(id, TranscriptQuery::default()).await.expect("a transcript");
    let shown = page.items.last().expect("the open item");
    assert_eq!(
        shown.body,
        ItemBody::AssistantMessage { text: "Hello there".into(), model: Some(alias("default")) }
    );
    let mut second = runtime.events(id, page.cursor).expect("a stream");
    let mut late = Reader::from(page.cursor.seq);
    late.take(next(&mut second).await);
    assert_eq!(late.texts.get(&shown.id).map(String::as_str), Some("Hello there"));
    gate.open();
    while !late.take(next(&mut second).await) {}
    while !early.take(next(&mut first).await) {}
    assert_eq!(early.last, late.last);
}

#[tokio::test]
async fn a_reader_who_falls_behind_is_served_from_the_log() {
    let many: Vec<Step> =
        (0..2_000).map(|n| Step::Event(ModelEvent::Text(format!("{n} ")))).collect();
    let model = ScriptedModel::new().call(many.into_iter().chain([Step::stop()]));
    let runtime = runtime_with_model(model).await;
    let id = llm_worker(&runtime, "companion").await;
    let mut events = runtime.events(id, Cursor::START).expect("a stream");
    // The reader reads its first events and then looks away until the turn is over.
    let mut reader = Reader::default();
    reader.take(next(&mut events).await);
    assert!(turn(&runtime, id, "hi").await.is_completed());
    while !reader.take(next(&mut events).await) {}
}

//! What a log in memory costs. What it does is in the contract of all stores.

use worker_types::{InputPart, ItemBody, Origin, TurnId};

use super::*;
use crate::store::test_support::*;

#[test]
fn the_log_and_the_index_of_an_echo_turn_take_less_than_450_bytes() {
    let mut worker = TestWorker::new();
    let turn_id = TurnId::new(1);
    let parts = vec![InputPart::Text { text: "hello".to_owned() }];
    let body = ItemBody::UserMessage { parts };
    let input = Item { origin: Origin::Host, body, ..item(1, turn_id, "") };
    let bodies = [
        created(),
        EventBody::InputAccepted { turn_id, item: input },
        EventBody::TurnStarted { turn_id, resumes: None },
        completed(2, turn_id, "hello"),
        ended(turn_id),
    ];
    let events = worker.events(bodies);
    let mut log = Log::default();
    log.append(worker.id, &Encoded::new(worker.id, &events).expect("encoded")).expect("appended");
    let place = size_of::<u32>() + size_of::<(WorkerId, Log)>();
    let (buffers, feed) = (log.heap_bytes(), events.len() * Feed::ENTRY_BYTES);
    let all = buffers + feed + place * 17 / 16;
    assert!(
        all < 450,
        "{all} bytes: {buffers} of buffers, {feed} of the feed, {place} of its place"
    );
}

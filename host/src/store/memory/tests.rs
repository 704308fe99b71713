//! What is special about logs in memory: what they cost, and that they are full one day. What they do
//! is in the contract of all stores.

use std::borrow::Cow;

use worker_types::{
    ComponentRef, CreateWorker, Input, InputPart, ItemBody, ItemStatus, Origin, Profile,
    RuntimeError, TurnId, WorkerStatus,
};

use super::*;
use crate::Runtime;
use crate::store::test_support::*;
use crate::store::{Kind, Store};
use crate::worker::evolve;

#[test]
fn the_log_the_index_and_the_state_after_an_echo_turn_take_less_than_530_bytes() {
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
    let mut state = WorkerState::default();
    events.iter().for_each(|event| evolve(&mut state, &event.body));
    let commit = Commit { rest: Some(&state), ..commit(worker.id, &events) };
    let mut encoded = Encoded::new(&commit).expect("encoded");
    let mut log = Log::default();
    log.rest = encoded.rest.take();
    log.append(worker.id, &encoded, LOG_BYTES).expect("appended");
    let place = size_of::<u32>() + size_of::<(WorkerId, SharedLog)>();
    // With the two counts of its `Arc`.
    let fixed = size_of::<Mutex<Log>>() + 2 * size_of::<usize>();
    let (buffers, feed) = (log.heap_bytes(), events.len() * Feed::ENTRY_BYTES);
    let all = buffers + feed + fixed + place * 17 / 16;
    assert!(
        all < 530,
        "{all} bytes: {buffers} of buffers, {feed} of the feed, {fixed} of itself, {place} of its \
         place"
    );
}

/// A Worker with a turn in which an item is open, whose log has no room for more.
async fn full(store: &Store) -> TestWorker {
    let mut worker = TestWorker::create(store).await;
    let turn = TurnId::new(1);
    let input = EventBody::InputAccepted { turn_id: turn, item: item(1, turn, "hello") };
    let begun = EventBody::TurnStarted { turn_id: turn, resumes: None };
    worker.append(store, vec![input, begun, started(2, turn)], false).await;
    // There is hardly a smaller event than the second.
    let mut filling = [notice("and on"), completed(9, turn, "")].into_iter();
    let mut fills = filling.next();
    while let Some(body) = &fills {
        let mut next = worker.clone();
        match next.try_append(store, vec![body.clone()], false).await {
            Ok(()) => worker = next,
            Err(StoreError::Full { .. }) => fills = filling.next(),
            Err(error) => panic!("{error:?}"),
        }
    }
    worker
}

fn incomplete(id: u64, turn: TurnId, text: &str) -> EventBody {
    let item = Item { status: ItemStatus::Incomplete, ..item(id, turn, text) };
    EventBody::ItemCompleted { turn_id: turn, item }
}

#[tokio::test]
async fn a_turn_whose_log_is_full_is_ended_and_its_worker_stopped_and_deleted() {
    let store = Store::memory_of(4_000);
    let mut worker = full(&store).await;
    let turn = TurnId::new(1);
    worker.append(&store, vec![incomplete(2, turn, "so far"), ended(turn)], true).await;
    worker.append(&store, vec![EventBody::WorkerStopped], true).await;
    let refused = worker.clone().try_append(&store, vec![EventBody::WorkerStarted], true).await;
    assert!(matches!(refused, Err(StoreError::Full { .. })), "{refused:?}");
    worker.append(&store, vec![EventBody::WorkerDeleted], true).await;
    assert!(store.workers(None, 9).await.expect("the Workers").is_empty());
}

#[tokio::test]
async fn nothing_that_a_guest_says_has_room_in_a_full_log_not_even_with_the_end_of_its_turn() {
    let store = Store::memory_of(4_000);
    let worker = full(&store).await;
    let turn = TurnId::new(1);
    for said in [
        vec![completed(2, turn, "done")],
        vec![incomplete(2, turn, "dropped")],
        vec![completed(3, turn, "the last words"), ended(turn)],
        vec![notice("x"), ended(turn)],
        vec![started(3, turn), incomplete(3, turn, ""), ended(turn)],
    ] {
        let refused = worker.clone().try_append(&store, said, false).await;
        assert!(matches!(refused, Err(StoreError::Full { .. })), "{refused:?}");
    }
    let last = store.last_seq(worker.id).await.expect("it");
    assert_eq!(last, worker.last());
}

#[tokio::test]
async fn a_worker_that_talked_its_log_full_can_be_stopped_and_deleted() {
    let component = ComponentRef::Builtin("base".parse().expect("a valid name"));
    let profile = r#"{"name":"base","component":"builtin:base"}"#;
    let profile: Profile = serde_json::from_str(profile).expect("a profile");
    let name = profile.name.clone();
    let runtime = Runtime::builder("test".parse().expect("a valid id"))
        .store(Store::memory_of(4_000))
        .components([(component, Cow::Borrowed(test_guests::HOSTILE_BASE))])
        .profiles([profile])
        .build()
        .await
        .expect("a Runtime");
    let talks = CreateWorker::profile(name).input(Input::text("say: 30000"));
    let id = runtime.create(talks).await.expect("a Worker").worker_id;
    let ended = runtime.outcome(id, TurnId::new(1)).await;
    assert!(!ended.is_ok_and(|outcome| outcome.is_completed()));
    // The task that found no room may be on its way out.
    while let Err(error) = runtime.stop(id).await {
        assert!(matches!(error, RuntimeError::WorkerUnavailable { .. }), "{error:?}");
        tokio::task::yield_now().await;
    }
    assert_eq!(runtime.worker(id).expect("it").status, WorkerStatus::Stopped);
    runtime.delete(id).await.expect("deleted");
}

#[tokio::test]
async fn a_trim_makes_room_in_a_full_log() {
    let store = Store::memory_of(4_000);
    let mut worker = full(&store).await;
    let turn = TurnId::new(1);
    worker.append(&store, vec![incomplete(2, turn, ""), ended(turn)], true).await;
    let through = worker.last();
    worker.append(&store, vec![EventBody::WorkerTrimmed { through }], true).await;
    worker.turn(&store, "there is room again").await;
}

#[expect(clippy::await_holding_lock, reason = "that nobody waits for it is what this is about")]
#[tokio::test]
async fn a_long_log_that_is_rewritten_keeps_no_other_worker_waiting() {
    let store = Store::memory();
    let busy = TestWorker::create(&store).await;
    let mut other = TestWorker::create(&store).await;
    let Kind::Memory(memory) = &store.0 else { panic!("not in memory") };
    let log = memory.log(busy.id).expect("its log");
    let rewriting = log.lock().expect("the lock");
    other.turn(&store, "meanwhile").await;
    let through = Seq::new(5);
    other.append(&store, vec![EventBody::WorkerTrimmed { through }], true).await;
    let read = store.read(other.id, through, other.last(), 9).await.expect("the log");
    assert_eq!(read, other.log[5..]);
    // The first event of the feed is of the log that is locked.
    assert_eq!(store.feed(1, 9).await.expect("the feed").len(), 5);
    TestWorker::create(&store).await;
    drop(rewriting);
}

#[tokio::test]
async fn readers_of_the_feed_find_what_is_left_while_it_is_tidied() {
    let store = Store::memory();
    let mut worker = TestWorker::create(&store).await;
    for _ in 0..400 {
        worker.turn(&store, "text").await;
    }
    let through = worker.last();
    worker.append(&store, vec![EventBody::WorkerTrimmed { through }], true).await;
    let Kind::Memory(memory) = &store.0 else { panic!("not in memory") };
    let left = store.feed(0, usize::MAX).await.expect("the feed");
    // The first, two items a turn, the last before the trim, and its record.
    assert_eq!(left.len(), 1 + 800 + 1);
    assert_eq!(memory.lock().places(0, usize::MAX).len(), left.len());
}

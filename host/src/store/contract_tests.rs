//! What every store does, whatever it is kept in.

mod any_sequence;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use worker_types::{
    ComponentDigest, Event, EventBody, ItemId, ItemStatus, Retention, Seq, TurnId, WorkerId,
};

use super::{test_support::*, *};

/// Runs each of these functions with a new store of every kind.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&super::Store::memory()).await;
            })*
        }

        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let directory = tempfile::tempdir().expect("a directory");
                let store = super::Store::sqlite(directory.path()).expect("a store");
                super::$name(&store).await;
            })*
        }
    };
}

contract! {
    reads_back_what_was_appended_in_pages,
    a_page_is_bounded_by_bytes_and_has_at_least_one_event,
    events_that_do_not_follow_are_refused_and_change_nothing,
    a_commit_says_whether_its_worker_rests,
    workers_come_in_the_order_of_their_ids,
    a_page_of_workers_is_bounded_and_passes_over_those_that_are_deleted,
    items_come_in_their_newest_form_up_to_an_event,
    pages_of_items_are_bounded,
    ends_of_turns_are_found_by_turn,
    pieces_of_texts_are_kept_until_their_item_is_completed,
    a_piece_that_does_not_follow_is_refused_with_its_commit,
    keys_are_remembered_by_scope_until_they_are_forgotten,
    the_feed_has_the_events_of_all_workers_in_the_order_of_commits,
    a_trim_removes_events_without_items_and_says_so_to_readers,
    a_trim_never_goes_beyond_the_snapshot,
    trimming_makes_the_bounds_hold_and_comes_to_an_end,
    an_active_worker_is_not_trimmable,
    a_deleted_worker_leaves_its_tombstone,
    components_are_kept_by_digest_until_they_are_removed,
    a_large_log_is_trimmed_and_deleted_in_full,
}

async fn all(store: &Store, worker: &TestWorker) -> Vec<Event> {
    store.read(worker.id, Seq::ZERO, worker.last(), usize::MAX).await.expect("the log")
}

async fn reads_back_what_was_appended_in_pages(store: &Store) {
    let mut worker = TestWorker::create(store).await;
    worker.append(store, (0..9).map(|n| notice(&format!("number {n}"))).collect(), false).await;
    let read = async |after, until, limit| {
        store.read(worker.id, Seq::new(after), Seq::new(until), limit).await.expect("a page")
    };
    assert_eq!(read(0, 10, 3).await, worker.log[..3]);
    assert_eq!(read(3, 10, 100).await, worker.log[3..]);
    assert_eq!(read(3, 5, 100).await, worker.log[3..5]);
    assert_eq!(read(3, u64::MAX, 100).await, worker.log[3..]);
    assert_eq!(read(u64::MAX, u64::MAX, 100).await, []);
    assert_eq!(read(10, 10, 100).await, []);
    assert_eq!(read(0, 10, 0).await, []);
    assert_eq!(store.last_seq(worker.id).await.expect("it"), Seq::new(10));
    let unknown = WorkerId::generate();
    assert_eq!(store.read(unknown, Seq::ZERO, Seq::new(9), 9).await.expect("no log"), []);
    assert_eq!(store.last_seq(unknown).await.expect("none"), Seq::ZERO);
}

async fn a_page_is_bounded_by_bytes_and_has_at_least_one_event(store: &Store) {
    let mut worker = TestWorker::create(store).await;
    let large = notice(&"x".repeat(2 * PAGE_BYTES));
    worker.append(store, vec![large, notice("a"), notice("b")], false).await;
    let read = async |after| {
        store.read(worker.id, Seq::new(after), Seq::new(4), 9).await.expect("a page").len()
    };
    assert_eq!([read(0).await, read(1).await, read(2).await], [1, 1, 2]);
    assert_eq!(store.feed(1, 9).await.expect("a page").len(), 1);
    assert_eq!(store.feed(2, 9).await.expect("a page").len(), 2);
}

async fn events_that_do_not_follow_are_refused_and_change_nothing(store: &Store) {
    let mut worker = TestWorker::new();
    let events = worker.events([created(), notice("a"), notice("b"), notice("c")]);
    let refused = async |events: &[Event]| {
        let refused = store.append(commit(worker.id, events)).await;
        assert!(matches!(refused, Err(StoreError::Gap { .. })), "{refused:?}");
    };
    refused(&events[1..]).await;
    refused(&[]).await;
    refused(&[Event { seq: Seq::new(1), ..events[1].clone() }]).await;
    store.append(commit(worker.id, &events[..2])).await.expect("the first events");
    refused(&events[..2]).await;
    refused(&events[3..]).await;
    refused(&[events[2].clone(), events[2].clone()]).await;
    refused(&[Event { worker_id: WorkerId::generate(), ..events[2].clone() }]).await;
    let another = worker.state.clone();
    let commit = Commit { rest: Some(&another), ..commit(worker.id, &events[2..3]) };
    assert!(matches!(store.append(commit).await, Err(StoreError::Gap { .. })));
    assert_eq!(all(store, &worker).await, events[..2]);
    assert_eq!(*store.feed_head().borrow(), 2);
}

async fn a_commit_says_whether_its_worker_rests(store: &Store) {
    let mut worker = TestWorker::create(store).await;
    let resting = worker.state.clone();
    let stored = async || {
        let mut workers = all_workers(store).await;
        workers.pop().expect("one").expect("it").rest
    };
    assert_eq!(stored().await, Some(resting.clone()));
    worker.append(store, vec![notice("busy")], false).await;
    assert_eq!(stored().await, None);
    assert_eq!(store.snapshot(worker.id).await.expect("it"), Some(resting));
    let rests = Commit { rest: Some(&worker.state), ..commit(worker.id, &[]) };
    store.append(rests).await.expect("without events");
    assert_eq!(stored().await, Some(worker.state.clone()));
    assert_eq!(store.snapshot(worker.id).await.expect("it"), Some(worker.state));
    assert_eq!(store.snapshot(WorkerId::generate()).await.expect("none"), None);
}

async fn workers_come_in_the_order_of_their_ids(store: &Store) {
    let mut workers: Vec<_> = (0..20).map(|_| TestWorker::new()).collect();
    for worker in workers.iter_mut().rev() {
        worker.append(store, vec![created()], true).await;
    }
    let stored = all_workers(store).await;
    let stored: Vec<_> = stored.into_iter().map(|worker| worker.expect("it")).collect();
    let ids = |worker: &StoredWorker| worker.worker_id;
    assert!(stored.iter().map(ids).eq(workers.iter().map(|worker| worker.id)));
    assert!(stored.iter().zip(&workers).all(|(stored, worker)| stored.created == worker.log[0]));
}

async fn a_page_of_workers_is_bounded_and_passes_over_those_that_are_deleted(store: &Store) {
    let mut workers = Vec::new();
    for _ in 0..9 {
        workers.push(TestWorker::create(store).await);
    }
    for deleted in [0, 1, 2, 3, 8] {
        workers[deleted].append(store, vec![EventBody::WorkerDeleted], true).await;
    }
    let page = async |after: Option<usize>, limit| {
        let after = after.map(|index| workers[index].id);
        let page = store.workers(after, limit).await.expect("a page");
        let index = |id| workers.iter().position(|worker| worker.id == id).expect("one of them");
        page.iter().map(|read| index(worker_id(read))).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 3).await, [4, 5, 6]);
    assert_eq!(page(Some(0), 3).await, [4, 5, 6]);
    assert_eq!(page(Some(6), 3).await, [7]);
    assert_eq!(page(Some(7), 3).await, [0; 0]);
}

async fn items_come_in_their_newest_form_up_to_an_event(store: &Store) {
    let turn = TurnId::new(1);
    let mut worker = TestWorker::create(store).await;
    let accepted = EventBody::InputAccepted { turn_id: turn, item: item(1, turn, "hello") };
    let bodies = vec![
        accepted,
        started(2, turn),
        notice("between"),
        completed(3, turn, "all at once"),
        completed(2, turn, "done"),
    ];
    worker.append(store, bodies, false).await;
    let items = async |range, until| {
        let items = store.items(worker.id, range, Seq::new(until), 9, PAGE_BYTES).await;
        let items = items.expect("items");
        items.into_iter().map(|item| (item.id.get(), item.status)).collect::<Vec<_>>()
    };
    let (open, done) = (ItemStatus::InProgress, ItemStatus::Completed);
    let first = ItemRange::After(ItemId::ZERO);
    assert_eq!(items(first, 1).await, []);
    assert_eq!(items(first, 4).await, [(1, done), (2, open)]);
    assert_eq!(items(first, 5).await, [(1, done), (2, open), (3, done)]);
    assert_eq!(items(first, 6).await, [(1, done), (2, done), (3, done)]);
    assert_eq!(items(ItemRange::After(ItemId::new(2)), 6).await, [(3, done)]);
    assert_eq!(items(ItemRange::After(ItemId::new(u64::MAX)), 6).await, []);
    let last = ItemRange::Before(ItemId::new(u64::MAX));
    assert_eq!(items(last, 5).await, [(3, done), (2, open), (1, done)]);
    assert_eq!(items(last, u64::MAX).await, [(3, done), (2, done), (1, done)]);
    assert_eq!(items(ItemRange::Before(ItemId::new(3)), 6).await, [(2, done), (1, done)]);
    assert_eq!(items(ItemRange::Before(ItemId::new(1)), 6).await, []);
}

async fn pages_of_items_are_bounded(store: &Store) {
    let mut worker = TestWorker::create(store).await;
    for _ in 0..5 {
        worker.turn(store, &"x".repeat(10_000)).await;
    }
    let count = async |range, limit, max_bytes| {
        let items = store.items(worker.id, range, worker.last(), limit, max_bytes).await;
        items.expect("items").len()
    };
    for range in [ItemRange::After(ItemId::ZERO), ItemRange::Before(ItemId::new(11))] {
        assert_eq!(count(range, 3, usize::MAX).await, 3);
        assert_eq!(count(range, 0, usize::MAX).await, 0);
        assert_eq!(count(range, 9, 0).await, 1);
        assert!((4..=5).contains(&count(range, 9, 25_000).await));
    }
}

async fn ends_of_turns_are_found_by_turn(store: &Store) {
    let mut worker = TestWorker::create(store).await;
    for _ in 0..5 {
        worker.turn(store, "text").await;
    }
    let end = store.turn_end(worker.id, TurnId::new(2)).await.expect("it").expect("an event");
    assert_eq!(end, worker.log[10]);
    assert_eq!(store.turn_end(worker.id, TurnId::new(6)).await.expect("none"), None);
    let ends = async |before: Option<u64>, limit| {
        let ends = store.turn_ends(worker.id, before.map(TurnId::new), limit).await;
        let turn = |event: Event| event.body.turn_id().expect("a turn").get();
        ends.expect("ends").into_iter().map(turn).collect::<Vec<_>>()
    };
    assert_eq!(ends(None, 2).await, [4, 5]);
    assert_eq!(ends(Some(4), 2).await, [2, 3]);
    assert_eq!(ends(Some(2), 9).await, [1]);
    assert_eq!(ends(Some(1), 9).await, [0; 0]);
    assert_eq!(ends(None, 0).await, [0; 0]);
}

async fn append_texts(
    store: &Store,
    worker: &TestWorker,
    texts: &[TextPiece],
) -> Result<(), StoreError> {
    store.append(Commit { texts, ..commit(worker.id, &[]) }).await
}

async fn pieces_of_texts_are_kept_until_their_item_is_completed(store: &Store) {
    let turn = TurnId::new(1);
    let mut worker = TestWorker::create(store).await;
    let events = worker.events([started(1, turn), started(2, turn)]);
    let texts = [piece(1, 0, "ä"), piece(1, 2, "b"), piece(2, 0, "x")];
    let opened = Commit { texts: &texts, ..commit(worker.id, &events) };
    store.append(opened).await.expect("the first pieces");
    append_texts(store, &worker, &[piece(1, 3, "c")]).await.expect("one more");
    let expected = [(ItemId::new(1), "äbc".to_owned()), (ItemId::new(2), "x".to_owned())];
    assert_eq!(store.texts(worker.id).await.expect("texts"), expected.into());

    let events = worker.events([completed(1, turn, "äbcd")]);
    let last = [piece(1, 4, "d"), piece(2, 1, "y")];
    store.append(Commit { texts: &last, ..commit(worker.id, &events) }).await.expect("done");
    let expected = [(ItemId::new(2), "xy".to_owned())];
    assert_eq!(store.texts(worker.id).await.expect("texts"), expected.into());
    worker.append(store, vec![completed(2, turn, "xy")], true).await;
    assert_eq!(store.texts(worker.id).await.expect("texts"), BTreeMap::new());
    assert_eq!(store.texts(WorkerId::generate()).await.expect("none"), BTreeMap::new());
}

async fn a_piece_that_does_not_follow_is_refused_with_its_commit(store: &Store) {
    let mut worker = TestWorker::create(store).await;
    worker.append(store, vec![started(1, TurnId::new(1))], false).await;
    append_texts(store, &worker, &[piece(1, 0, "abc")]).await.expect("the first piece");
    let before = worker.clone();
    for offset in [0, 2, 4, u64::MAX] {
        let events = worker.clone().events([notice("with it")]);
        let texts = [piece(1, offset, "d")];
        let refused = store.append(Commit { texts: &texts, ..commit(worker.id, &events) }).await;
        assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
    }
    assert_eq!(all(store, &before).await, before.log);
    let expected = [(ItemId::new(1), "abc".to_owned())];
    assert_eq!(store.texts(worker.id).await.expect("texts"), expected.into());
}

fn record(worker_id: Option<WorkerId>, key: &str, at: i64) -> KeyRecord {
    let operation =
        if worker_id.is_some() { KeyedOperation::Input } else { KeyedOperation::Create };
    let (principal, key) = ("somebody".to_owned(), key.to_owned());
    KeyRecord {
        scope: KeyScope { principal, operation, worker_id, key },
        request: [at as u8; 32],
        answer: format!("{{\"at\":{at}}}").into_bytes(),
        at: second(at),
    }
}

async fn keys_are_remembered_by_scope_until_they_are_forgotten(store: &Store) {
    let mut worker = TestWorker::new();
    let (first, second_key) = (record(None, "a", 1), record(Some(worker.id), "a", 2));
    for record in [&first, &second_key] {
        let bodies = if worker.log.is_empty() { created() } else { notice("more") };
        let events = worker.events([bodies]);
        let commit = Commit { key: Some(record), ..commit(worker.id, &events) };
        store.append(commit).await.expect("with a key");
    }
    let key = async |record: &KeyRecord| store.key(&record.scope).await.expect("an answer");
    assert_eq!(key(&first).await, Some(first.clone()));
    assert_eq!(key(&second_key).await, Some(second_key.clone()));
    assert_eq!(key(&record(Some(WorkerId::generate()), "a", 0)).await, None);
    assert_eq!(key(&record(None, "b", 0)).await, None);

    let again = record(None, "a", 3);
    let events = worker.events([notice("later")]);
    let refused = Commit { key: Some(&again), ..commit(worker.id, &[]) };
    store.append(refused).await.expect("a key alone");
    assert_eq!(key(&first).await, Some(again));
    store.append(commit(worker.id, &events)).await.expect("without a key");

    assert_eq!(store.forget_keys(second(2)).await.expect("none"), 0);
    assert_eq!(store.forget_keys(second(3)).await.expect("one"), 1);
    assert_eq!(key(&second_key).await, None);
    assert!(key(&first).await.is_some());
}

async fn the_feed_has_the_events_of_all_workers_in_the_order_of_commits(store: &Store) {
    let mut head = store.feed_head();
    let (mut one, mut two) = (TestWorker::create(store).await, TestWorker::create(store).await);
    one.append(store, vec![notice("a"), notice("b")], false).await;
    two.append(store, vec![notice("c")], false).await;
    head.wait_for(|head| *head == 5).await.expect("the store lives");
    let feed = store.feed(0, 9).await.expect("the feed");
    assert!(feed.iter().map(|event| event.position).eq(1..=5));
    let expected = [&one.log[0], &two.log[0], &one.log[1], &one.log[2], &two.log[1]];
    assert!(feed.iter().map(|event| &event.event).eq(expected));
    assert_eq!(store.feed(2, 2).await.expect("a page"), feed[2..4]);
    assert_eq!(store.feed(5, 2).await.expect("no page"), []);
    assert_eq!(store.feed(u64::MAX, 2).await.expect("no page"), []);
}

async fn trim(store: &Store, worker: &mut TestWorker, through: Seq) {
    worker.append(store, vec![EventBody::WorkerTrimmed { through }], true).await;
}

async fn a_trim_removes_events_without_items_and_says_so_to_readers(store: &Store) {
    let mut worker = TestWorker::create(store).await;
    worker.turn(store, "one").await;
    worker.turn(store, "two").await;
    trim(store, &mut worker, Seq::new(8)).await;
    let read =
        async |after, until| store.read(worker.id, Seq::new(after), Seq::new(until), 99).await;
    for after in [0, 1, 7] {
        let trimmed = read(after, 99).await;
        let Err(StoreError::Trimmed { through }) = trimmed else { panic!("{trimmed:?}") };
        assert_eq!(through, Seq::new(8));
    }
    assert_eq!(read(3, 3).await.expect("nothing asked for"), []);
    assert_eq!(read(8, 99).await.expect("the rest"), worker.log[8..]);
    let items = store.items(worker.id, ItemRange::After(ItemId::ZERO), worker.last(), 9, 9_999);
    assert_eq!(items.await.expect("the transcript").len(), 4);
    assert_eq!(store.turn_end(worker.id, TurnId::new(1)).await.expect("none"), None);
    assert_eq!(store.turn_ends(worker.id, None, 9).await.expect("one").len(), 1);
    let left = store.feed(0, 99).await.expect("the feed");
    let left: Vec<_> = left.iter().map(|event| event.position).collect();
    assert_eq!(left, [1, 2, 5, 7, 9, 10, 11, 12]);
    // An earlier mark takes nothing back.
    trim(store, &mut worker, Seq::new(3)).await;
    let trimmed = store.read(worker.id, Seq::new(7), worker.last(), 9).await;
    assert!(matches!(trimmed, Err(StoreError::Trimmed { .. })));
    assert_eq!(store.last_seq(worker.id).await.expect("it"), worker.last());
    worker.turn(store, "three").await;
    let rest = store.read(worker.id, Seq::new(8), worker.last(), 99).await;
    assert_eq!(rest.expect("the rest"), worker.log[8..]);
}

async fn a_trim_never_goes_beyond_the_snapshot(store: &Store) {
    let mut worker = TestWorker::create(store).await;
    worker.append(store, vec![notice("a"), notice("b")], true).await;
    worker.append(store, vec![notice("needed"), notice("too")], false).await;
    let through = Seq::new(u64::MAX);
    worker.append(store, vec![EventBody::WorkerTrimmed { through }], false).await;
    let read = store.read(worker.id, Seq::new(3), worker.last(), 99).await;
    assert_eq!(read.expect("what the snapshot does not cover"), worker.log[3..]);
    assert!(matches!(
        store.read(worker.id, Seq::new(2), worker.last(), 99).await,
        Err(StoreError::Trimmed { .. })
    ));
    // Nor does it remove itself.
    trim(store, &mut worker, through).await;
    let last = Seq::new(worker.last().get() - 1);
    let read = store.read(worker.id, last, worker.last(), 99).await;
    assert_eq!(read.expect("the last event"), worker.log[last.get() as usize..]);
}

async fn trimming_makes_the_bounds_hold_and_comes_to_an_end(store: &Store) {
    let day = |retention| (retention, second(86_400));
    for (retention, now) in [
        day(Retention { max_events: Some(6), ..Retention::default() }),
        day(Retention { max_events: Some(0), ..Retention::default() }),
        day(Retention { max_bytes: Some(600), ..Retention::default() }),
        day(Retention { max_age_s: Some(60), ..Retention::default() }),
        (Retention { max_age_s: Some(20), ..Retention::default() }, second(30)),
    ] {
        let mut worker = TestWorker::create(store).await;
        for _ in 0..6 {
            worker.turn(store, "text").await;
        }
        let mut rounds = 0;
        while let Some((_, through)) = store
            .trimmable(&retention, now)
            .await
            .expect("an answer")
            .into_iter()
            .find(|(id, _)| *id == worker.id)
        {
            assert!(through < worker.last());
            trim(store, &mut worker, through).await;
            rounds += 1;
            assert!(rounds < 4, "{retention:?}");
        }
        assert!(rounds > 0, "{retention:?}");
        let items =
            store.items(worker.id, ItemRange::After(ItemId::ZERO), worker.last(), 99, 99_999);
        assert_eq!(items.await.expect("the transcript").len(), 12);
        let plain = |event: &FeedEvent| {
            let body = &event.event.body;
            event.event.worker_id == worker.id
                && item_of(body).is_none()
                && !matches!(body, EventBody::WorkerCreated { .. })
        };
        let feed = store.feed(0, 9_999).await.expect("the feed");
        let left: Vec<_> = feed.iter().filter(|event| plain(event)).collect();
        // A trim cannot remove what was last before it, nor itself.
        let most = retention.max_events.map_or(99, |most| most.max(2) as usize);
        assert!(left.len() <= most, "{left:?}");
        let old = left.iter().filter(|event| event.event.at < second(10));
        assert_eq!(retention.max_age_s.map_or(0, |_| old.count()), 0);
    }
}

async fn an_active_worker_is_not_trimmable(store: &Store) {
    let retention = Retention { max_events: Some(1), ..Retention::default() };
    let mut worker = TestWorker::create(store).await;
    worker.turn(store, "text").await;
    let trimmable = async || store.trimmable(&retention, second(0)).await.expect("an answer").len();
    assert_eq!(trimmable().await, 1);
    worker.append(store, vec![notice("busy")], false).await;
    assert_eq!(trimmable().await, 0);
    let unbounded = store.trimmable(&Retention::default(), second(0)).await;
    assert_eq!(unbounded.expect("an answer"), []);
}

async fn a_deleted_worker_leaves_its_tombstone(store: &Store) {
    let mut worker = TestWorker::create(store).await;
    let mut other = TestWorker::create(store).await;
    worker.turn(store, "text").await;
    other.turn(store, "other").await;
    let events = worker.events([started(3, TurnId::new(2))]);
    let texts = [piece(3, 0, "abc")];
    store.append(Commit { texts: &texts, ..commit(worker.id, &events) }).await.expect("open");
    worker.append(store, vec![EventBody::WorkerDeleted], false).await;

    let workers = all_workers(store).await;
    assert_eq!(workers.len(), 1);
    assert_eq!(workers[0].as_ref().expect("it").worker_id, other.id);
    let range = ItemRange::After(ItemId::ZERO);
    let items = store.items(worker.id, range, worker.last(), 9, 9_999).await;
    assert_eq!(items.expect("none"), []);
    assert_eq!(store.texts(worker.id).await.expect("none"), BTreeMap::new());
    assert_eq!(store.snapshot(worker.id).await.expect("none"), None);
    assert_eq!(store.turn_end(worker.id, TurnId::new(1)).await.expect("none"), None);
    assert_eq!(store.turn_ends(worker.id, None, 9).await.expect("none"), []);
    assert!(matches!(
        store.read(worker.id, Seq::ZERO, worker.last(), 9).await,
        Err(StoreError::Trimmed { through }) if through.next() == worker.last()
    ));
    let before_last = Seq::new(worker.last().get() - 1);
    let tombstone = store.read(worker.id, before_last, worker.last(), 9).await;
    assert_eq!(tombstone.expect("the last event"), worker.log[before_last.get() as usize..]);

    let feed = store.feed(0, 99).await.expect("the feed");
    let own = feed.iter().filter(|event| event.event.worker_id == worker.id);
    assert_eq!(own.map(|event| event.position).collect::<Vec<_>>(), [14]);
    assert_eq!(all(store, &other).await, other.log);

    let after = worker.try_append(store, vec![notice("a ghost")], false).await;
    assert!(matches!(after, Err(StoreError::Gap { .. })));
    let mut again = TestWorker { id: worker.id, ..TestWorker::new() };
    let after = again.try_append(store, vec![created()], true).await;
    assert!(matches!(after, Err(StoreError::Gap { .. })));
    // Positions go on.
    other.append(store, vec![notice("on")], false).await;
    assert_eq!(store.feed(14, 9).await.expect("one")[0].position, 15);
}

async fn components_are_kept_by_digest_until_they_are_removed(store: &Store) {
    let bytes = b"\0asm and so on";
    let digest = ComponentDigest::from_sha256(Sha256::digest(bytes).into());
    assert_eq!(store.component(digest).await.expect("none"), None);
    for _ in 0..2 {
        store.put_component(digest, bytes).await.expect("kept");
        let kept = store.component(digest).await.expect("it");
        assert_eq!(kept, Some(Bytes::from_static(bytes)));
        assert!(store.has_component(digest).await.expect("an answer"));
    }
    for was_there in [true, false] {
        assert_eq!(store.remove_component(digest).await.expect("an answer"), was_there);
        assert!(!store.has_component(digest).await.expect("an answer"));
    }
    assert_eq!(store.component(digest).await.expect("none"), None);
}

async fn a_large_log_is_trimmed_and_deleted_in_full(store: &Store) {
    let mut worker = TestWorker::create(store).await;
    for _ in 0..3 {
        worker.append(store, (0..700).map(|_| notice("x")).collect(), true).await;
        worker.turn(store, "text").await;
    }
    let count = async || store.feed(0, usize::MAX).await.expect("the feed").len();
    let last = worker.last();
    trim(store, &mut worker, last).await;
    // The first, six with items, what was last, and the record of the trim.
    assert_eq!(count().await, 1 + 6 + 1);
    worker.append(store, vec![EventBody::WorkerDeleted], true).await;
    assert_eq!(count().await, 1);
}

//! Commits in groups, and commits that fail.

use std::sync::{atomic::Ordering::Relaxed, mpsc};

use super::{
    super::writer::{Job, Shared},
    held, inner, open,
};
use crate::store::{Store, StoreError, StoreHealth, test_support::*};
use tokio::task::JoinSet;

async fn healthy(store: &Store) {
    let mut health = store.health();
    health.wait_for(|health| *health == StoreHealth::Healthy).await.expect("the store lives");
}

async fn failed(store: &Store) -> String {
    let mut health = store.health();
    let is_failed = |health: &StoreHealth| matches!(health, StoreHealth::Failed { .. });
    match &*health.wait_for(is_failed).await.expect("the store lives") {
        StoreHealth::Failed { reason } => reason.clone(),
        StoreHealth::Healthy => panic!("healthy"),
    }
}

/// Keeps the writer busy until the sender is dropped.
async fn hold(store: &std::sync::Arc<Store>, tasks: &mut JoinSet<()>) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel();
    let holding = std::sync::Arc::clone(store);
    tasks.spawn(async move {
        inner(&holding).write(Job::Hold(held)).await.expect("held");
    });
    release
}

#[tokio::test]
async fn commits_that_wait_share_a_transaction_and_a_refused_one_harms_none() {
    let at = tempfile::tempdir().expect("a directory");
    let store = std::sync::Arc::new(open(at.path(), |_| {}));
    let transactions = || inner(&store).shared.transactions.load(Relaxed);
    let mut workers = Vec::new();
    for _ in 0..64 {
        workers.push(TestWorker::create(&store).await);
    }
    let mut tasks = JoinSet::new();
    let before = transactions();
    let release = hold(&store, &mut tasks).await;
    let free = inner(&store).queue.available_permits();
    for (index, mut worker) in workers.into_iter().enumerate() {
        let store = std::sync::Arc::clone(&store);
        tasks.spawn(async move {
            if index % 8 == 0 {
                worker.events([notice("lost on the way")]);
                let refused = worker.try_append(&store, vec![notice("x")], true).await;
                assert!(matches!(refused, Err(StoreError::Gap { .. })), "{refused:?}");
                worker.log.truncate(1);
                assert_eq!(held(&store, &worker).await, 1);
            } else {
                worker.turn(&store, "text").await;
                assert_eq!(held(&store, &worker).await, 6);
            }
        });
    }
    while inner(&store).queue.available_permits() + 64 > free {
        tokio::task::yield_now().await;
    }
    drop(release);
    while let Some(task) = tasks.join_next().await {
        task.expect("no panic");
    }
    // The hold's group, one of what waited behind it, and what came while that was written.
    assert!(transactions() - before <= 8, "{}", transactions() - before);
    assert_eq!(*store.feed_head().borrow(), 64 + 56 * 5);
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_lost_and_it_goes_on_when_there_is_room() {
    let at = tempfile::tempdir().expect("a directory");
    let bounded = |shared: &Shared| shared.faults.max_pages.store(120, Relaxed);
    let store = open(at.path(), bounded);
    let mut worker = TestWorker::create(&store).await;
    let mut acknowledged = worker.log.len();
    let error = loop {
        let mut next = worker.clone();
        let bodies = next.turn_bodies(&"x".repeat(20_000));
        match next.try_append(&store, bodies, true).await {
            Ok(()) => (worker, acknowledged) = (next, worker.log.len() + 5),
            Err(error) => break error,
        }
    };
    let StoreError::InDoubt { reason } = error else { panic!("{error:?}") };
    assert_eq!(reason, "the disk is full");
    healthy(&store).await;
    assert_eq!(worker.log.len(), acknowledged);
    assert_eq!(held(&store, &worker).await, acknowledged);
    inner(&store).shared.faults.max_pages.store(1 << 30, Relaxed);
    // Until it is opened the next time the old bound holds.
    loop {
        let mut next = worker.clone();
        let bodies = next.turn_bodies(&"x".repeat(20_000));
        match next.try_append(&store, bodies, true).await {
            Ok(()) => break worker = next,
            Err(StoreError::InDoubt { .. } | StoreError::Unavailable { .. }) => {
                healthy(&store).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(held(&store, &worker).await, acknowledged + 5);
    drop(store);
    assert_eq!(held(&open(at.path(), |_| {}), &worker).await, acknowledged + 5);
}

#[cfg(feature = "failpoints")]
mod injected {
    use worker_types::Seq;

    use super::*;

    fn faulty(shared: &Shared) {
        shared.faults.failpoints.store(true, Relaxed);
    }

    fn set(name: &str, action: &str) {
        fail::cfg(name, action).expect("a failpoint");
    }

    #[tokio::test]
    async fn a_failed_commit_is_in_doubt_for_all_of_its_group_and_the_store_comes_back() {
        for what in ["lost", "kept"] {
            let scenario = fail::FailScenario::setup();
            let at = tempfile::tempdir().expect("a directory");
            let store = std::sync::Arc::new(open(at.path(), faulty));
            let mut workers = Vec::new();
            for _ in 0..8 {
                workers.push(TestWorker::create(&store).await);
            }
            let health = store.health();
            set("store::commit", &format!("1*return({what})"));
            let mut others = JoinSet::new();
            let release = hold(&store, &mut others).await;
            let free = inner(&store).queue.available_permits();
            let mut tasks = JoinSet::new();
            for mut worker in workers {
                let store = std::sync::Arc::clone(&store);
                tasks.spawn(async move {
                    let bodies = worker.turn_bodies("text");
                    let result = worker.try_append(&store, bodies, true).await;
                    (worker, result)
                });
            }
            while inner(&store).queue.available_permits() + 8 > free {
                tokio::task::yield_now().await;
            }
            drop(release);
            while let Some(task) = tasks.join_next().await {
                let (worker, result) = task.expect("no panic");
                match result {
                    Ok(()) => {}
                    Err(StoreError::InDoubt { reason }) => {
                        assert_eq!(reason, "an input/output error");
                    }
                    // The group that failed was the hold's alone.
                    Err(StoreError::Unavailable { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
                healthy(&store).await;
                let held = held(&store, &worker).await;
                assert!(held == 1 || held == 6, "{held}");
            }
            assert!(health.has_changed().expect("the store lives"));
            let feed = store.feed(0, 999).await.expect("the feed");
            let head = *store.feed_head().borrow();
            assert!(feed.iter().map(|event| event.position).eq(1..=head));
            scenario.teardown();
        }
    }

    #[tokio::test]
    async fn what_a_failed_commit_did_is_known_after_it() {
        let scenario = fail::FailScenario::setup();
        let at = tempfile::tempdir().expect("a directory");
        let store = open(at.path(), faulty);
        let mut worker = TestWorker::create(&store).await;
        for (what, expected) in [("lost", 1), ("kept", 2)] {
            set("store::commit", &format!("1*return({what})"));
            let mut next = worker.clone();
            let doubt = next.try_append(&store, vec![notice("x")], true).await;
            assert!(matches!(doubt, Err(StoreError::InDoubt { .. })), "{doubt:?}");
            healthy(&store).await;
            assert_eq!(held(&store, &next).await, expected);
            assert_eq!(*store.feed_head().borrow(), expected as u64);
            if expected == 2 {
                worker = next;
            }
        }
        worker.turn(&store, "on").await;
        assert_eq!(held(&store, &worker).await, 7);
        scenario.teardown();
    }

    #[tokio::test]
    async fn while_the_store_cannot_be_reopened_commits_and_reads_are_refused_at_once() {
        let scenario = fail::FailScenario::setup();
        let at = tempfile::tempdir().expect("a directory");
        let store = open(at.path(), faulty);
        let mut worker = TestWorker::create(&store).await;
        set("store::reopen", "return");
        set("store::commit", "1*return(lost)");
        let doubt = worker.clone().try_append(&store, vec![notice("x")], true).await;
        assert!(matches!(doubt, Err(StoreError::InDoubt { .. })), "{doubt:?}");
        assert_eq!(failed(&store).await, "an input/output error");
        let refused = worker.clone().try_append(&store, vec![notice("x")], true).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
        // It waits for the first attempt, and is refused when that fails.
        let refused = store.read(worker.id, Seq::ZERO, worker.last(), 9).await;
        assert!(matches!(refused, Err(StoreError::Unreadable { .. })), "{refused:?}");
        fail::remove("store::reopen");
        healthy(&store).await;
        worker.turn(&store, "on").await;
        assert_eq!(held(&store, &worker).await, 6);
        scenario.teardown();
    }

    #[tokio::test]
    async fn a_panic_of_the_writer_leaves_nobody_waiting_and_the_store_comes_back() {
        let scenario = fail::FailScenario::setup();
        let at = tempfile::tempdir().expect("a directory");
        let store = open(at.path(), faulty);
        let mut worker = TestWorker::create(&store).await;
        for (point, kept) in [
            ("store::before_commit", 0),
            ("store::after_commit", 1),
            ("store::before_reply", 1),
            ("store::reopen", 0),
        ] {
            if point == "store::reopen" {
                set("store::commit", "1*return(lost)");
            }
            set(point, "1*panic(injected)");
            let mut next = worker.clone();
            let doubt = next.try_append(&store, vec![notice("x")], true).await;
            assert!(matches!(doubt, Err(StoreError::InDoubt { .. })), "{point}: {doubt:?}");
            failed(&store).await;
            healthy(&store).await;
            assert_eq!(held(&store, &next).await, worker.log.len() + kept, "{point}");
            if kept == 1 {
                worker = next;
            }
        }
        worker.turn(&store, "on").await;
        assert_eq!(held(&store, &worker).await, worker.log.len());
        scenario.teardown();
    }
}

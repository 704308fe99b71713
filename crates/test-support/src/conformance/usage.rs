//! What turns took.

use worker_types::{Cursor, IfBusy, LiveEvent, Outcome, TurnId, Usage};

use super::{
    Setting,
    guest::{begin, give, next, run, sound, worker},
};
use crate::operations::Operations;

/// The host of these tests.
#[must_use]
pub fn setting() -> Setting {
    Setting::default()
}

/// Turns make up Workers, and Workers the Runtime.
pub async fn usage_of_turns_workers_and_the_runtime_adds_up(host: &impl Operations) {
    let mut all = Usage::default();
    for count in [3, 1, 0] {
        let id = worker(host, "base").await;
        for _ in 0..count {
            assert_eq!(run(host, id, "print: x").await, Outcome::Completed);
        }
        let running = begin(host, id, "utter-hang").await;
        // A turn that is stopped before its guest ran has taken nothing.
        let mut events = host.events(id, Cursor::START).await.expect("a stream");
        while let LiveEvent::Durable(_) = next(&mut events).await {}
        give(host, id, "never", IfBusy::Queue).await;
        host.stop(id).await.expect("stopped");
        let report = sound(host, id).await;
        let usage = host.usage(id, None, 100).await.expect("usage");
        assert_eq!(usage.total, report.usage);
        assert!(!usage.more_before);
        let mut total = Usage::default();
        for turn in &usage.turns {
            let (_, outcome, receipt) =
                report.turns[&turn.turn_id].ended.as_ref().expect("it ended");
            assert_eq!((&turn.outcome, &turn.receipt), (outcome, receipt));
            total.add(Usage::of(&turn.receipt));
        }
        assert_eq!(total, usage.total);
        let spun = usage.turns.iter().find(|turn| turn.turn_id == running).expect("it is there");
        assert!(spun.receipt.wall_us > 0, "{spun:?}");
        all.add(usage.total);
    }
    assert_eq!(host.summary().await.expect("a summary").overview.usage, all);
}

/// Each turn on one page.
pub async fn turns_are_shown_in_pages_from_the_newest_back(host: &impl Operations) {
    let id = worker(host, "base").await;
    for _ in 0..7 {
        run(host, id, "print: x").await;
    }
    let mut seen: Vec<TurnId> = Vec::new();
    let mut before = None;
    loop {
        let page = host.usage(id, before, 3).await.expect("usage");
        assert!(page.turns.len() <= 3);
        assert_eq!(page.total.turns, 7);
        before = page.turns.first().map(|turn| turn.turn_id);
        seen.splice(0..0, page.turns.into_iter().map(|turn| turn.turn_id));
        if !page.more_before {
            break;
        }
    }
    assert_eq!(seen, (1..=7).map(TurnId::new).collect::<Vec<_>>());
}

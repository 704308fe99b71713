//! A wall clock that is stepped, forward and back: what is in a log, and who may ask for what with
//! which key, does not depend on it.

use test_support::{
    crash::record::{FoundWorker, Reply},
    invariants::{check, check_sequence},
    serve::{Call, Told},
};
use worker_types::{Event, InputAccepted, Seq, WorkerId};

use crate::{
    host::{Host, Story},
    shim::Disk,
};

const HOUR: i64 = 3_600;

fn open(disk: &Disk) -> Host {
    let host = disk.start();
    assert_eq!(host.next(), Told::Opened);
    host
}

fn step(disk: &Disk, seconds: i64) {
    disk.fails(&format!("clock={seconds}"));
}

fn keyed(story: &mut Story) -> InputAccepted {
    match story.input("keyed", "tool: 1", true) {
        Reply::Accepted(accepted) => accepted,
        other => panic!("{other:?}"),
    }
}

fn enforce_retention(host: &mut Host) {
    assert_eq!(host.call(&Call::EnforceRetention), Told::Done);
}

fn the_worker(host: &mut Host, id: WorkerId) -> FoundWorker {
    let is_it = |worker: &FoundWorker| worker.view.worker_id == id;
    host.shown().into_iter().find(is_it).expect("the Worker")
}

/// Proves that the clock was stepped by about `seconds` between the first event and the last.
fn assert_stepped(events: &[Event], seconds: i64) {
    let [first, .., last] = events else { panic!("{events:?}") };
    let went = last.at.as_second() - first.at.as_second();
    assert!((went - seconds).abs() < 600, "the clock went by {went} s");
}

fn order_ids_and_keys_outlast_a_step_of(seconds: i64) {
    let disk = Disk::new();
    let mut story = Story::begin(open(&disk));
    let answer = keyed(&mut story);
    let mut ids = vec![story.worker_id, story.creates("before the step")];
    step(&disk, seconds);
    ids.push(story.creates("after the step"));
    assert!(ids.is_sorted(), "ids sort by creation: {ids:?}");
    story.completes("after the step");
    enforce_retention(&mut story.host);
    assert_eq!(keyed(&mut story), answer, "a key of minutes is not forgotten");

    let worker = the_worker(&mut story.host, ids[0]);
    let report = check(&worker.events);
    assert_eq!(report.complaints_at_rest(), [""; 0]);
    assert_stepped(&worker.events, seconds);

    // Another process does not know what time it was before.
    let mut story = story.restarts(|| disk.start());
    enforce_retention(&mut story.host);
    assert_eq!(keyed(&mut story), answer);
    ids.push(story.creates("after a restart"));
    story.completes("after a restart");
    let mut shown: Vec<_> = story.host.shown().iter().map(|worker| worker.view.worker_id).collect();
    shown.sort_unstable();
    ids.sort_unstable();
    assert_eq!(shown, ids);
    story.ends(|| open(&disk));
}

#[test]
fn order_ids_and_keys_outlast_a_clock_that_is_set_forward() {
    order_ids_and_keys_outlast_a_step_of(HOUR);
}

#[test]
fn order_ids_and_keys_outlast_a_clock_that_is_set_back() {
    order_ids_and_keys_outlast_a_step_of(-HOUR);
}

/// A host that keeps events for half an hour, with a Worker that has had inputs before and after a
/// step; what is there before anything is removed, and after.
fn retention_over_a_step_of(seconds: i64) -> (FoundWorker, FoundWorker) {
    let disk = Disk::new();
    let host = disk.start_with(&["1800"]);
    assert_eq!(host.next(), Told::Opened);
    let mut story = Story::begin(host);
    step(&disk, seconds);
    story.completes("after the step");
    let before = the_worker(&mut story.host, story.worker_id);
    assert_stepped(&before.events, seconds);
    enforce_retention(&mut story.host);
    let after = the_worker(&mut story.host, story.worker_id);
    // It comes to an end: an idle Worker is not trimmed again and again.
    enforce_retention(&mut story.host);
    let later = the_worker(&mut story.host, story.worker_id);
    assert_eq!(later.view.last_seq, after.view.last_seq);
    story.completes("and on");
    assert_eq!(check_sequence(&after.events, after.trimmed), []);
    let transcript = |worker: &FoundWorker| worker.at_rest.clone().map(|(items, _)| items);
    assert_eq!(transcript(&before), transcript(&after), "the transcript stays");
    assert_eq!(before.view.usage, after.view.usage);
    (before, after)
}

#[test]
fn a_clock_that_is_set_forward_makes_events_old_and_removes_none_that_came_after_it() {
    let (before, after) = retention_over_a_step_of(HOUR);
    assert!(after.trimmed > Seq::ZERO);
    let begun = before.events[0].at.as_second();
    let young = |event: &&Event| event.at.as_second() - begun > HOUR / 2;
    let kept: Vec<_> = before.events.iter().filter(young).collect();
    assert!(!kept.is_empty());
    assert!(kept.iter().all(|event| after.events.contains(event)));
}

#[test]
fn a_clock_that_is_set_back_removes_nothing() {
    let (before, after) = retention_over_a_step_of(-HOUR);
    assert_eq!((after.trimmed, after.events), (Seq::ZERO, before.events));
}

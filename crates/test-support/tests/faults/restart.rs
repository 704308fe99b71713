//! What a kill leaves of what was going on.

use std::{path::Path, thread, time::Duration};

use test_support::{
    crash::record::{FoundWorker, Reply, Request},
    invariants::check,
    serve::{Call, Told},
};
use worker_types::{IfBusy, ItemBody, ItemStatus, Outcome, TurnId, WorkerId, WorkerStatus};

use crate::host::Host;

/// Twice the time in which a text is kept, and what a loaded machine takes for it.
const KEPT_AFTER: Duration = Duration::from_millis(1_500);

fn create(host: &mut Host, resume: bool, text: &str) -> WorkerId {
    let (token, text) = ("worker".to_owned(), Some(text.to_owned()));
    let request = Request::Create { token, lane: 0, resume, text, keyed: false };
    match host.call(&Call::Ask { request }) {
        Told::Reply { reply: Reply::Created(id) } => id,
        other => panic!("{other:?}"),
    }
}

fn the_worker(host: &mut Host) -> FoundWorker {
    match host.call(&Call::Show { at_rest: false }) {
        Told::Shown { mut workers } => workers.pop().expect("a Worker"),
        other => panic!("{other:?}"),
    }
}

fn has_started(worker: &FoundWorker, turn_id: TurnId) -> bool {
    check(&worker.events).turns.get(&turn_id).is_some_and(|turn| turn.started.is_some())
}

/// Opens the store after a kill, and waits until what was interrupted has its end.
fn reopen(store: &Path, interrupted: TurnId) -> (Host, FoundWorker) {
    let mut host = Host::open(store);
    loop {
        let worker = the_worker(&mut host);
        if check(&worker.events).outcome(interrupted).is_some() {
            return (host, worker);
        }
    }
}

#[test]
fn an_utterance_that_a_kill_cuts_keeps_what_was_said_a_moment_before() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut host = Host::open(directory.path());
    create(&mut host, false, "utter-hang");
    let is_open = |worker: &FoundWorker| {
        check(&worker.events).unfinished.iter().any(|what| what.starts_with("item"))
    };
    while !is_open(&the_worker(&mut host)) {}
    // The promise is about time.
    thread::sleep(KEPT_AFTER);
    host.kill();
    let (host, worker) = reopen(directory.path(), TurnId::new(1));
    let report = check(&worker.events);
    assert_eq!(report.complaints_at_rest(), [""; 0]);
    assert_eq!(report.outcome(TurnId::new(1)), Some(&Outcome::Interrupted));
    let last = report.items.values().last().expect("the utterance");
    assert_eq!(last.status, ItemStatus::Incomplete);
    let text = "before the hang".to_owned();
    assert_eq!(last.body, ItemBody::AssistantMessage { text, model: None });
    host.shut_down();
}

#[test]
fn a_turn_that_is_interrupted_again_and_again_is_gone_on_from_three_times() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut host = Host::open(directory.path());
    create(&mut host, true, "spin");
    for turn in 1..=4 {
        let turn_id = TurnId::new(turn);
        while !has_started(&the_worker(&mut host), turn_id) {}
        host.kill();
        host = reopen(directory.path(), turn_id).0;
    }
    let worker = host.shown().pop().expect("the Worker");
    let report = check(&worker.events);
    assert_eq!(report.complaints_at_rest(), [""; 0]);
    let resumed: Vec<_> = report.turns.values().map(|turn| turn.resumes).collect();
    let turn = |number| Some(TurnId::new(number));
    assert_eq!(resumed, [None, turn(1), turn(2), turn(3)]);
    assert_eq!(worker.view.status, WorkerStatus::Idle);
    // The next input is another matter.
    let (worker_id, token, text) = (worker.view.worker_id, "b".to_owned(), "tool: 1".to_owned());
    let if_busy = IfBusy::Reject;
    let request = Request::Input { worker_id, token, text, if_busy, keyed: false };
    let told = host.call(&Call::Ask { request });
    assert!(matches!(told, Told::Reply { reply: Reply::Accepted(_) }), "{told:?}");
    host.shut_down();
}

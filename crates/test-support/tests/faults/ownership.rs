//! One process at a time owns a store.

use std::{path::Path, process::Command};

use rustix::process::Signal;
use test_support::serve::Told;

use crate::host::{Host, Story, program};

fn is_refused(directory: &Path) {
    let host = Host::start(Command::new(program()).arg("serve").arg(directory));
    let Told::Refused { reason } = host.next() else { panic!("a second owner was let in") };
    assert!(!reason.is_empty());
}

#[test]
fn a_second_process_is_refused_while_the_first_lives_and_gets_the_store_when_it_is_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = directory.path().join("store");
    let mut story = Story::begin(Host::open(&store));
    is_refused(&store);
    story.completes("after a refusal");
    // No pause between the kill and the next owner.
    story.ends(|| Host::open(&store));
}

#[test]
fn an_owner_that_is_stopped_by_a_signal_keeps_its_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = directory.path().join("store");
    let mut story = Story::begin(Host::open(&store));
    story.host.signal(Signal::STOP);
    for _ in 0..3 {
        is_refused(&store);
    }
    story.host.signal(Signal::CONT);
    story.completes("after it went on");
    story.ends(|| Host::open(&store));
}

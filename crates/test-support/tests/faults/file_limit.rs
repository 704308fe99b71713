//! Files that may not grow any more: what a full disk is where nobody may have a small one. The
//! limit is one on the process (RLIMIT_FSIZE), so this works for every user.

use std::{thread, time::Duration, time::Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use test_support::serve::{Call, Told};

use crate::host::{Host, PATIENCE, Story};

/// Less than the database and its log have already: nothing has room, the copy of the log into the
/// database neither.
const ROOM: u64 = 32 << 10;

fn limit(host: &Host, bytes: Option<u64>) {
    let pid = i32::try_from(host.pid()).ok().and_then(Pid::from_raw);
    // What it inherited from us; it can be had back.
    let maximum = getrlimit(Resource::Fsize).maximum;
    let limit = Rlimit { current: bytes.or(maximum), maximum };
    prlimit(pid, Resource::Fsize, limit).expect("the limit of a process of our own");
}

fn times_met(host: &mut Host) -> u64 {
    match host.call(&Call::FileLimitMet) {
        Told::FileLimitMet { times } => times,
        other => panic!("{other:?}"),
    }
}

/// The kernel itself says that a write met the limit. Its signal may be a moment behind.
fn wait_until_met(host: &mut Host) {
    let started = Instant::now();
    while times_met(host) == 0 {
        assert!(started.elapsed() < PATIENCE, "the fault was met");
        thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn refuses_what_does_not_fit_and_comes_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = directory.path().join("store");
    let mut story = Story::begin(Host::open(&store));
    assert_eq!(times_met(&mut story.host), 0);
    limit(&story.host, Some(ROOM));
    story.until_refused("failing", "print: x");
    wait_until_met(&mut story.host);
    story.is_unavailable();
    match story.reads() {
        Ok(workers) => assert_eq!(workers.len(), 1),
        Err(error) => assert!(error.is_retryable(), "{error:?}"),
    }
    story.is_unavailable();
    limit(&story.host, None);
    story.host.wait_until_ready();
    story.completes("after");
    story.ends(|| Host::open(&store));
}

#[test]
fn files_that_may_not_grow_are_refused_and_room_brings_the_store_back() {
    refuses_what_does_not_fit_and_comes_back();
}

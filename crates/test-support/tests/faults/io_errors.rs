//! Reads, writes and syncs that fail.

use std::{collections::BTreeMap, path::PathBuf};

use test_support::{crash::record::Reply, serve::Told};
use worker_types::RuntimeError;

use crate::{
    host::{Host, Story},
    shim::{Disk, Done},
};

const EIO: &str = "5";
const EACCES: &str = "13";
const ENOSPC: &str = "28";
const EROFS: &str = "30";

/// Lets `kinds` of calls fail with `errno`, and looks at what the Runtime says, what it keeps and
/// whether it comes back.
fn survives(kinds: &[&str], errno: &str) -> Vec<Done> {
    let disk = Disk::new();
    let host = disk.start();
    assert_eq!(host.next(), Told::Opened);
    let mut story = Story::begin(host);

    let faults: Vec<String> = kinds.iter().map(|kind| format!("{kind}={errno}")).collect();
    disk.fails(&faults.join(" "));
    story.until_refused("failing", "print: x");
    let fired = kinds.iter().any(|kind| disk.count(&format!("{kind}-failed")) > 0);
    assert!(fired, "the fault was met: {:?}", disk.done());
    story.is_unavailable();
    match story.reads() {
        Ok(workers) => assert!(!workers.is_empty()),
        Err(error) => assert!(error.is_retryable(), "{error:?}"),
    }
    story.is_unavailable();

    disk.fails("");
    story.host.wait_until_ready();
    story.completes("after");
    assert!(story.reads().is_ok());
    let done = disk.done();
    let store = disk.store();
    story.ends(|| Host::open(&store));
    done
}

#[test]
fn a_write_that_fails_is_refused_and_forgotten_when_the_disk_works_again() {
    survives(&["write"], EIO);
}

#[test]
fn a_write_without_room_is_refused_and_forgotten_when_there_is_room_again() {
    survives(&["write"], ENOSPC);
}

#[test]
fn a_file_system_that_becomes_read_only_is_refused_until_it_can_be_written_again() {
    survives(&["write", "open"], EROFS);
}

#[test]
fn after_a_failed_sync_the_file_is_opened_anew_and_the_sync_is_never_tried_again() {
    let done = survives(&["sync"], EIO);
    let first = done.iter().position(|done| done.what == "sync-failed").expect("it failed");
    // Descriptors of which a sync failed, until they are closed.
    let mut tainted: BTreeMap<i32, PathBuf> = BTreeMap::new();
    let mut reopened = 0;
    for done in &done[first..] {
        match done.what.as_str() {
            "sync-failed" | "sync" => {
                assert_eq!(tainted.get(&done.descriptor), None, "a sync was tried again");
                if done.what == "sync-failed" {
                    tainted.insert(done.descriptor, done.path.clone());
                }
            }
            "close" => drop(tainted.remove(&done.descriptor)),
            "open" if done.path == wal(&done.path) => reopened += 1,
            _ => {}
        }
    }
    assert!(tainted.is_empty(), "{tainted:?} was not closed");
    assert!(reopened > 0, "the log was opened anew");
    assert_eq!(done[first].path, wal(&done[first].path), "it was the log's sync");
    // The next sync that succeeded on the log was on a file that was opened after the failure.
    let failed = &done[first].path;
    let synced = done[first..].iter().position(|done| done.what == "sync" && done.path == *failed);
    let synced = first + synced.expect("it was synced in the end");
    let between = &done[first..synced];
    let closed = between.iter().position(|done| done.what == "close" && done.path == *failed);
    let opened = between.iter().rposition(|done| done.what == "open" && done.path == *failed);
    assert!(closed.is_some() && closed < opened, "{between:#?}");
}

fn wal(path: &std::path::Path) -> PathBuf {
    path.with_file_name("log.sqlite3-wal")
}

#[test]
fn while_the_store_fails_whatever_asks_it_for_something_is_told_to_come_again() {
    let disk = Disk::new();
    let host = disk.start();
    assert_eq!(host.next(), Told::Opened);
    let mut story = Story::begin(host);
    disk.fails(&format!("sync={EIO} write={EIO} open={EIO}"));
    story.until_refused("failing", "print: x");
    for number in 0..200 {
        // A key is looked up before anything is decided.
        let replies = [
            story.input(&format!("keyed-{number}"), "print: x", true),
            story.input("before", "tool: 1", false),
        ];
        for reply in replies {
            let Reply::Refused(error) = &reply else { panic!("{reply:?}") };
            let unavailable = matches!(error, RuntimeError::RuntimeUnavailable { .. });
            assert!(unavailable && error.is_retryable(), "{error:?}");
        }
        match story.reads() {
            Ok(workers) => assert!(!workers.is_empty()),
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_refused_at_the_start_and_taken_when_it_can() {
    let disk = Disk::new();
    std::fs::create_dir(disk.store()).expect("a directory");
    disk.fails(&format!("open={EACCES}"));
    let host = disk.start();
    let Told::Refused { reason } = host.next() else { panic!("it was opened") };
    assert!(!reason.is_empty());
    assert!(disk.count("open-failed") > 0);
    drop(host);
    disk.fails("");
    let host = disk.start();
    assert_eq!(host.next(), Told::Opened);
    let store = disk.store();
    Story::begin(host).ends(|| Host::open(&store));
}

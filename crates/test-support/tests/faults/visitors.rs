//! Who reads a store that another process has open, whose disk fails meanwhile.

use test_support::serve::Told;
use worker_runtime::{BackupStoreError, CheckProgress, ReadStoreError, Store};

use crate::{
    host::{Host, Story},
    shim::Disk,
};

const EIO: &str = "5";

/// A Runtime on a disk that can be made to fail.
fn story(disk: &Disk) -> Story {
    let host = disk.start();
    assert_eq!(host.next(), Told::Opened);
    Story::begin(host)
}

/// Lets the disk fail under the Runtime, which recovers from that by itself.
fn recovers(disk: &Disk, story: &mut Story) {
    disk.fails(&format!("sync={EIO}"));
    story.until_refused("failing", "print: x");
    assert!(disk.count("sync-failed") > 0, "the fault was met: {:?}", disk.done());
    disk.fails("");
    story.host.wait_until_ready();
    story.completes("after");
}

#[test]
fn a_store_recovers_under_a_backup_of_which_nothing_is_left() {
    let disk = Disk::new();
    let mut story = story(&disk);
    let (store, copy) = (disk.store(), disk.store().with_file_name("copy"));
    let mut once = Some(());
    let backed_up = Store::backup(&store, &copy, |_| {
        if once.take().is_some() {
            recovers(&disk, &mut story);
        }
    });
    let is_void =
        matches!(backed_up, Err(BackupStoreError::Read(ReadStoreError::Recovered { .. })));
    assert!(is_void && once.is_none(), "{backed_up:?}");
    assert!(!copy.exists());

    Store::backup(&store, &copy, |_| {}).expect("it goes on, and can be read");
    assert!(!Store::check(&copy, |_| {}).expect("the copy").is_damaged());
    story.ends(|| Host::open(&store));
}

#[test]
fn a_store_recovers_under_a_check_which_then_says_nothing() {
    let disk = Disk::new();
    let mut story = story(&disk);
    let store = disk.store();
    let checked = Store::check(&store, |at| {
        if let CheckProgress::Database { .. } = at {
            recovers(&disk, &mut story);
        }
    });
    assert!(matches!(checked, Err(ReadStoreError::Recovered { .. })), "{checked:?}");

    assert!(!Store::check(&store, |_| {}).expect("it goes on").is_damaged());
    story.ends(|| Host::open(&store));
}

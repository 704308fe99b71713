//! What a turn may write: a quota on the Worker's private directory, and a bound on all of a turn's
//! files together.

use std::{
    fs::File,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use crate::{
    grants::{ENTRY_BYTES, Scratch, Tree},
    turn::TurnMeter,
};

/// A guest has used up what it may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("over the quota of what may be written")]
pub(super) struct OverQuota;

/// Why a charge was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChargeError {
    #[error(transparent)]
    OverQuota(#[from] OverQuota),
    #[error("the private directory cannot be measured")]
    Measure(#[from] io::Error),
}

/// What a turn has written, of what it may write to all files together. A new name counts as 4 KiB.
#[derive(Debug)]
pub(super) struct Written {
    meter: Arc<TurnMeter>,
    limit: u64,
    charged: AtomicU64,
}

impl Written {
    pub(super) fn new(meter: Arc<TurnMeter>, limit: u64) -> Self {
        Self { meter, limit, charged: AtomicU64::new(0) }
    }

    fn charge(&self, bytes: u64) -> Result<(), OverQuota> {
        let add = |charged: u64| charged.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.charged.fetch_update(Relaxed, Relaxed, add).map(drop).map_err(|_| OverQuota)
    }
}

/// Where what a guest writes in one place is charged.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) written: Arc<Written>,
    pub(super) quota: Option<Arc<Quota>>,
}

impl Account {
    /// Counts bytes that a file is about to be given, of which it grows by `growth`. This may measure,
    /// which blocks.
    pub(super) fn charge(&self, bytes: u64, growth: u64) -> Result<(), ChargeError> {
        // What the directory refuses is not written, and does not count for the turn.
        self.quota.as_ref().map_or(Ok(()), |quota| quota.charge(growth))?;
        self.written.charge(bytes)?;
        self.written.meter.count_file_bytes(bytes);
        Ok(())
    }

    /// Counts a new name. This may measure, which blocks.
    pub(super) fn charge_entry(&self) -> Result<(), ChargeError> {
        self.quota.as_ref().map_or(Ok(()), |quota| quota.charge(ENTRY_BYTES))?;
        Ok(self.written.charge(ENTRY_BYTES)?)
    }
}

/// The quota of a Worker's private directory, for one turn.
///
/// It is charged for growth before it happens, and never given back what is removed: when it is used
/// up, the directory is measured, as at the beginning. So it is exact where that matters, and costs
/// nothing where it does not.
#[derive(Debug)]
pub(super) struct Quota {
    scratch: Scratch,
    limit: u64,
    meter: Arc<TurnMeter>,
    /// At most this much is used; absent until the directory was measured.
    used: Mutex<Option<u64>>,
    /// Whether anything may have been removed since it was measured. Not under the lock: it is noted
    /// where nothing may wait for a measurement.
    freed: AtomicBool,
    /// Files that were opened to be written: one that is removed meanwhile takes its space until it
    /// is closed.
    open: Mutex<Vec<Weak<File>>>,
    /// Counts measurements, for tests.
    measured: AtomicU64,
}

impl Quota {
    pub(super) fn new(scratch: Scratch, limit: u64, meter: Arc<TurnMeter>) -> Self {
        Self {
            scratch,
            limit,
            meter,
            used: Mutex::default(),
            freed: AtomicBool::new(false),
            open: Mutex::default(),
            measured: AtomicU64::new(0),
        }
    }

    /// Counts growth that is about to happen. This may measure, which blocks.
    fn charge(&self, bytes: u64) -> Result<(), ChargeError> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match *used {
            Some(known) if known.saturating_add(bytes) <= self.limit => known,
            // Measuring again would find the same.
            Some(_) if !self.freed.swap(false, Relaxed) => return Err(OverQuota.into()),
            _ => *used.insert(self.measure()?),
        };
        let after = known.saturating_add(bytes);
        if after > self.limit {
            return Err(OverQuota.into());
        }
        *used = Some(after);
        Ok(())
    }

    /// Something was removed, or may have been.
    pub(super) fn freed(&self) {
        self.freed.store(true, Relaxed);
    }

    /// A file is open to be written.
    pub(super) fn opened(&self, file: &Arc<File>) {
        let mut open = self.open();
        open.retain(|file| file.strong_count() > 0);
        open.push(Arc::downgrade(file));
    }

    fn open(&self) -> MutexGuard<'_, Vec<Weak<File>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A guest that makes the host measure again and again does so in its own time.
    fn measure(&self) -> io::Result<u64> {
        let _place = self.scratch.measuring.wait();
        // Not the time that others take, who measure theirs.
        let started = Instant::now();
        let bytes = self.bytes();
        self.meter.count_cpu(started.elapsed());
        self.measured.fetch_add(1, Relaxed);
        bytes
    }

    fn bytes(&self) -> io::Result<u64> {
        // What is too deep to be measured is full.
        let Some(named) = Tree(&self.scratch.dir).bytes()? else { return Ok(u64::MAX) };
        let open: Vec<_> = self.open().iter().filter_map(Weak::upgrade).collect();
        let nameless = open.iter().map(|file| nameless_bytes(file)).sum::<io::Result<u64>>()?;
        Ok(named.saturating_add(nameless))
    }
}

/// What a file takes that has no name any more.
#[cfg(unix)]
fn nameless_bytes(file: &File) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = file.metadata()?;
    Ok(match metadata.nlink() {
        0 => metadata.len().max(metadata.blocks().saturating_mul(512)),
        _ => 0,
    })
}

#[cfg(not(unix))]
fn nameless_bytes(_: &File) -> io::Result<u64> {
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use cap_std::{ambient_authority, fs::Dir};

    use super::*;

    fn quota(limit: u64) -> (tempfile::TempDir, Quota) {
        let dir = tempfile::tempdir().expect("a directory");
        let handle = Dir::open_ambient_dir(dir.path(), ambient_authority()).expect("it opens");
        let scratch = Scratch { dir: handle, measuring: Arc::default() };
        (dir, Quota::new(scratch, limit, Arc::new(TurnMeter::start())))
    }

    fn is_over(charged: Result<(), ChargeError>) -> bool {
        match charged {
            Ok(()) => false,
            Err(ChargeError::OverQuota(OverQuota)) => true,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_was_there_before_counts() {
        let (dir, quota) = quota(10_000);
        fs::write(dir.path().join("old"), [0; 5_000]).expect("a file");
        assert!(is_over(quota.charge(2_000)));
        fs::remove_file(dir.path().join("old")).expect("removed");
        quota.freed();
        assert!(!is_over(quota.charge(2_000)));
    }

    #[test]
    fn a_full_directory_is_not_measured_for_every_refusal() {
        let (_dir, quota) = quota(1_000);
        for _ in 0..100 {
            assert!(is_over(quota.charge(1_001)));
        }
        assert_eq!(quota.measured.load(Relaxed), 1);
        quota.freed();
        for _ in 0..100 {
            assert!(is_over(quota.charge(1_001)));
        }
        assert_eq!(quota.measured.load(Relaxed), 2);
        assert!(!is_over(quota.charge(1_000)));
    }

    #[test]
    fn a_file_that_was_removed_and_is_still_open_counts() {
        let (dir, quota) = quota(20_000);
        let path = dir.path().join("file");
        fs::write(&path, [0; 15_000]).expect("a file");
        let file = Arc::new(File::open(&path).expect("it opens"));
        quota.opened(&file);
        fs::remove_file(&path).expect("removed");
        quota.freed();
        assert!(is_over(quota.charge(10_000)));
        drop(file);
        quota.freed();
        assert!(!is_over(quota.charge(10_000)));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_counts_once_for_all_its_names_and_with_its_holes() {
        let (dir, quota) = quota(1 << 30);
        let path = dir.path().join("file");
        File::create(&path).and_then(|file| file.set_len(1 << 29)).expect("a file with a hole");
        fs::hard_link(&path, dir.path().join("other")).expect("a second name");
        assert_eq!(quota.measure().expect("measured"), (1 << 29) + 2 * ENTRY_BYTES);
    }
}

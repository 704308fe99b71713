//! A copy of a store, of one moment, made while whoever owns it goes on.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};
use worker_types::LogId;

use super::{
    database::{self, Files},
    failure, open,
    visit::{ReadStoreError, Visit},
};
use crate::store::Store;

/// Pages of 4 KiB that are copied between two words on how far it is.
const STEP_PAGES: i32 = 1_024;

/// Why there is no copy of a store. Nothing is left of what was copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupStoreError {
    /// There is something where the copy was to be.
    #[error("`{}` is not empty: name a directory that is not there yet", directory.display())]
    NotEmpty {
        /// The directory that was named for the copy.
        directory: PathBuf,
    },
    /// The directory for the copy cannot be made or written.
    #[error(
        "cannot write to `{}`: name a directory that this user can write to",
        directory.display()
    )]
    Directory {
        /// The directory that was named for the copy.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The logs cannot be read.
    #[error(transparent)]
    Read(#[from] ReadStoreError),
    /// Reading or writing failed on the way.
    #[error("failed to copy the logs into `{}`: {reason}; mend that and try again", directory.display())]
    Copy {
        /// The directory that was named for the copy.
        directory: PathBuf,
        /// What happened, in a few words.
        reason: String,
    },
}

/// How far a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupProgress {
    /// Bytes that are copied.
    pub copied: u64,
    /// Bytes that there are.
    pub total: u64,
}

impl Store {
    /// Copies the store on disk in `directory` into the directory `into`, which is not there yet or is
    /// empty, and tells `watch` how far it is. The copy is a store of its own: with all that was
    /// committed when this was called, for its owner alone, synced, and with an identity of its own, so
    /// that cursors into the original are none into the copy, which goes its own way. What is damaged in
    /// the original is damaged in the copy ([`Store::check`]).
    ///
    /// A Runtime in another process may have the store open and goes on; what it writes meanwhile stays
    /// in its write-ahead log until this ends. In the process that has it open this must not be called.
    /// It blocks.
    ///
    /// # Errors
    ///
    /// See [`BackupStoreError`].
    pub fn backup(
        directory: impl AsRef<Path>,
        into: impl AsRef<Path>,
        watch: impl FnMut(BackupProgress),
    ) -> Result<(), BackupStoreError> {
        let (from, to) = (Files::new(directory.as_ref()), Files::new(into.as_ref()));
        let visit = Visit::begin(&from)?;
        let made = make_directory(&to)?;
        let copied = copy(&visit, &to, watch);
        if copied.is_err() {
            // What failed is what there is to say.
            let _ = fs::remove_file(to.unfinished());
            if made {
                let _ = fs::remove_dir(to.directory());
            }
        }
        copied
    }
}

/// Makes the directory for a copy; false where an empty one is there.
fn make_directory(to: &Files) -> Result<bool, BackupStoreError> {
    let at = to.directory();
    let unusable = |source| BackupStoreError::Directory { directory: at.to_owned(), source };
    match fs::read_dir(at) {
        Ok(mut entries) => match entries.next() {
            None => Ok(false),
            Some(_) => Err(BackupStoreError::NotEmpty { directory: at.to_owned() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            open::create_directory(at).map_err(unusable)?;
            Ok(true)
        }
        Err(error) => Err(unusable(error)),
    }
}

/// Copies what `visit` sees under another name, and renames it when it is whole and on the disk.
fn copy(
    visit: &Visit,
    to: &Files,
    watch: impl FnMut(BackupProgress),
) -> Result<(), BackupStoreError> {
    let directory = || to.directory().to_owned();
    let unusable = |source| BackupStoreError::Directory { directory: directory(), source };
    let failed = |error: &rusqlite::Error| {
        tracing::error!(%error, "a backup failed");
        BackupStoreError::Copy { directory: directory(), reason: failure::reason(error).to_owned() }
    };
    let not_synced = |error: io::Error| BackupStoreError::Copy {
        directory: directory(),
        reason: error.kind().to_string(),
    };
    let unfinished = to.unfinished();
    open::create_file(&unfinished).map_err(unusable)?;
    let mut connection = database::open_copy(&unfinished).map_err(|error| failed(&error))?;
    copy_pages(visit, &mut connection, watch).map_err(|error| failed(&error))?;
    visit.still_counts()?;
    let finished =
        finish(&connection).and_then(|()| connection.close().map_err(|(_, error)| error));
    finished.map_err(|error| failed(&error))?;
    File::open(&unfinished)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, to.database()))
        .and_then(|()| to.sync_directory())
        .map_err(not_synced)
}

fn copy_pages(
    visit: &Visit,
    to: &mut Connection,
    mut watch: impl FnMut(BackupProgress),
) -> rusqlite::Result<()> {
    let page_size: i64 =
        visit.connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let page_size = page_size.unsigned_abs();
    let backup = Backup::new(&visit.connection, to)?;
    loop {
        let step = backup.step(STEP_PAGES)?;
        let progress = backup.progress();
        let bytes = |pages: i32| u64::from(pages.unsigned_abs()) * page_size;
        let total = bytes(progress.pagecount);
        watch(BackupProgress { copied: total - bytes(progress.remaining).min(total), total });
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            // Both files are as good as ours: whoever has a lock is not going to give it back.
            _ => return Err(database::failure(rusqlite::ffi::SQLITE_BUSY)),
        }
    }
}

/// Gives the copy an identity of its own, and makes one file of it.
fn finish(copy: &Connection) -> rusqlite::Result<()> {
    copy.execute(
        "UPDATE meta SET value = ?1 WHERE name = 'log_id'",
        [LogId::generate().to_string()],
    )?;
    database::leave_wal(copy)
}

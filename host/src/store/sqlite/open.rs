//! Opening a store: whose it is, whether it is whole, and which version it has.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read},
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use worker_types::LogId;

use super::{
    database::{self, Checkpoint, Files, length},
    failure, schema,
};

/// The oldest version that the migrations lead on from.
const OLDEST: i32 = 1;
/// The header of every SQLite database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Why a store on disk cannot be opened. It is for the operator who named the directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenStoreError {
    /// The directory is missing and cannot be created, is no directory, or refuses this user.
    #[error(
        "cannot keep logs in `{}`: name a directory that this user can write to",
        directory.display()
    )]
    Directory {
        /// The directory that was named.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another store is open on the directory, or being checked or copied.
    #[error(
        "the logs in `{}` are in use by another process, such as a Runtime: stop it, or name another \
         directory",
        directory.display()
    )]
    Locked {
        /// The directory that was named.
        directory: PathBuf,
    },
    /// The database in the directory is some other program's.
    #[error(
        "the database in `{}` was not made by yoi: name another directory",
        directory.display()
    )]
    Foreign {
        /// The directory that was named.
        directory: PathBuf,
    },
    /// A newer version of yoi has written there.
    #[error(
        "the logs in `{}` have version {found}, and this yoi knows versions up to {supported}: \
         use a newer yoi",
        directory.display()
    )]
    Newer {
        /// The directory that was named.
        directory: PathBuf,
        /// The version of the store.
        found: i32,
        /// The newest version this program knows.
        supported: i32,
    },
    /// The store is so old that nothing leads on from it.
    #[error(
        "the logs in `{}` have version {found}, and this yoi leads on from version {oldest} at \
         the earliest: open them once with a version of yoi in between",
        directory.display()
    )]
    Older {
        /// The directory that was named.
        directory: PathBuf,
        /// The version of the store.
        found: i32,
        /// The oldest version this program can bring up to date.
        oldest: i32,
    },
    /// The end of the database is missing.
    #[error(
        "the end of the database in `{}` is missing: restore the whole directory from a backup",
        directory.display()
    )]
    Truncated {
        /// The directory that was named.
        directory: PathBuf,
    },
    /// What the database begins with, or how it is laid out, is damaged.
    #[error(
        "the database in `{}` is damaged: restore the whole directory from a backup",
        directory.display()
    )]
    Corrupt {
        /// The directory that was named.
        directory: PathBuf,
    },
    /// The system failed while the store was opened.
    #[error("failed to open the logs in `{}`: {reason}; mend that and try again", directory.display())]
    Failed {
        /// The directory that was named.
        directory: PathBuf,
        /// What happened, in a few words.
        reason: String,
    },
}

/// A store that is open, recovered and of the version that this program writes.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) log_id: LogId,
    /// The directory, locked as long as the store lives: the system lets go of it when the process
    /// ends, however it ends.
    pub(super) lock: File,
}

/// Opens the store in `files`, which is made if nothing is there; `steps` are its migrations.
pub(super) fn open(files: &Files, steps: &[&str]) -> Result<Opened, OpenStoreError> {
    let at = files.directory();
    let lock = lock(files)?;
    if !database_exists(files).map_err(|error| io_failure(at, &error))? {
        create(files, steps)?;
    }
    check_header(files, steps)?;
    database::renew_wal(files).map_err(|error| io_failure(at, &error))?;
    let connection = recover(files, steps)?;
    let log_id = log_id(&connection).map_err(|error| sqlite_failure(at, &error))?;
    let log_id = log_id.ok_or_else(|| OpenStoreError::Corrupt { directory: at.to_owned() })?;
    Ok(Opened { connection, log_id, lock })
}

/// Makes sure that the directory is there and nobody else's. The lock is on the directory itself: a
/// file for it could be removed by somebody who thinks it stale, and then there are two owners.
fn lock(files: &Files) -> Result<File, OpenStoreError> {
    let directory = files.directory();
    if !directory.is_dir() {
        let unusable = |source| unusable(directory, source);
        create_directory(directory).map_err(unusable)?;
    }
    lock_directory(directory)
}

/// Makes a directory that is there nobody else's.
pub(super) fn lock_directory(directory: &Path) -> Result<File, OpenStoreError> {
    let unusable = |source| unusable(directory, source);
    let owned = File::open(directory).map_err(unusable)?;
    match owned.try_lock() {
        Ok(()) => Ok(owned),
        Err(TryLockError::WouldBlock) => {
            Err(OpenStoreError::Locked { directory: directory.to_owned() })
        }
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

fn unusable(directory: &Path, source: io::Error) -> OpenStoreError {
    OpenStoreError::Directory { directory: directory.to_owned(), source }
}

/// For this user only: transcripts are nobody else's business.
pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// Whether there is, or was, a database. A log without its database is no reason to begin anew.
fn database_exists(files: &Files) -> io::Result<bool> {
    Ok(fs::exists(files.database())? || length(&files.wal())? > 0)
}

/// Makes a database under another name and renames it when it is whole and on the disk: one that is
/// there by its name was whole once.
fn create(files: &Files, steps: &[&str]) -> Result<(), OpenStoreError> {
    let at = files.directory();
    let unfinished = files.unfinished();
    let mut journal = unfinished.clone().into_os_string();
    journal.push("-journal");
    for leftover in [unfinished.clone(), PathBuf::from(journal)] {
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_failure(at, &error));
            }
            _ => {}
        }
    }
    create_file(&unfinished).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            OpenStoreError::Directory { directory: at.to_owned(), source: error }
        }
        _ => io_failure(at, &error),
    })?;
    make(&unfinished, steps).map_err(|error| sqlite_failure(at, &error))?;
    fs::rename(&unfinished, files.database())
        .and_then(|()| files.sync_directory())
        .map_err(|error| io_failure(at, &error))
}

/// Creates an empty file that only its owner may read, also in a directory that others may enter.
/// SQLite gives the files beside it the same rights.
pub(super) fn create_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn make(path: &Path, steps: &[&str]) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    schema::migrate(&mut connection, steps)?;
    connection.execute(
        "INSERT INTO meta (name, value) VALUES ('log_id', ?1)",
        [LogId::generate().to_string()],
    )?;
    connection.close().map_err(|(_, error)| error)
}

/// Looks at the database's first bytes before SQLite does: what is not ours stays untouched.
fn check_header(files: &Files, steps: &[&str]) -> Result<(), OpenStoreError> {
    let directory = || files.directory().to_owned();
    let failed = |error| io_failure(files.directory(), &error);
    let mut header = [0; 100];
    let read = match File::open(files.database()) {
        Ok(mut file) => file.read_exact(&mut header),
        Err(error) => Err(error),
    };
    match read {
        Ok(()) => {}
        Err(error)
            if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound) =>
        {
            return Err(OpenStoreError::Truncated { directory: directory() });
        }
        Err(error) => return Err(failed(error)),
    }
    let number = |offset: usize| {
        let bytes = &header[offset..offset + 4];
        bytes.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
    };
    if !header.starts_with(MAGIC) {
        return Err(OpenStoreError::Corrupt { directory: directory() });
    }
    if number(68).cast_signed() != schema::APPLICATION_ID {
        return Err(OpenStoreError::Foreign { directory: directory() });
    }
    check_version(files, number(60).cast_signed(), steps)?;
    // With frames in the log, the pages that are missing here may be there.
    let page_size = match u64::from(number(16) >> 16) {
        1 => 65_536,
        size => size,
    };
    let is_short = length(&files.database()).map_err(failed)? < u64::from(number(28)) * page_size;
    if is_short && length(&files.wal()).map_err(failed)? == 0 {
        return Err(OpenStoreError::Truncated { directory: directory() });
    }
    Ok(())
}

pub(super) fn check_version(
    files: &Files,
    found: i32,
    steps: &[&str],
) -> Result<(), OpenStoreError> {
    let directory = || files.directory().to_owned();
    let supported = steps.len() as i32;
    if found > supported {
        return Err(OpenStoreError::Newer { directory: directory(), found, supported });
    }
    if found < OLDEST {
        return Err(OpenStoreError::Older { directory: directory(), found, oldest: OLDEST });
    }
    Ok(())
}

/// Opens the database, makes what its log holds durable in it, and brings it up to date.
///
/// What is checked costs the same for a store of any size: that the file is as long as its header
/// says, that tables and indexes are those of its version, that the tables that a start reads can
/// be entered at both ends, and that a transaction can be written. It does not find a damaged page
/// in the middle of a log: that is found when it is read, and is the failure of that Worker alone.
fn recover(files: &Files, steps: &[&str]) -> Result<Connection, OpenStoreError> {
    let at = files.directory();
    let failed = |error| sqlite_failure(at, &error);
    let mut connection = database::open_writer(files).map_err(failed)?;
    let version = schema::version(&connection).map_err(failed)?;
    check_version(files, version, steps)?;
    database::use_wal(&connection).map_err(failed)?;
    database::checkpoint(&connection, Checkpoint::Truncate).map_err(failed)?;
    if database::is_truncated(&connection, files).map_err(failed)? {
        return Err(OpenStoreError::Truncated { directory: at.to_owned() });
    }
    schema::migrate(&mut connection, steps).map_err(failed)?;
    if !schema::is_intact(&connection, steps).map_err(failed)? {
        return Err(OpenStoreError::Corrupt { directory: at.to_owned() });
    }
    enter_tables(&connection).map_err(failed)?;
    database::probe(&mut connection).map_err(failed)?;
    files.sync_directory().map_err(|error| io_failure(at, &error))?;
    Ok(connection)
}

/// Goes down both edges of what a start relies on.
fn enter_tables(connection: &Connection) -> rusqlite::Result<()> {
    for sql in [
        "SELECT min(position), max(position) FROM events",
        "SELECT min(key), max(key) FROM workers",
        "SELECT min(id), max(id) FROM workers",
        "SELECT count(*) FROM workers WHERE swept < trimmed",
    ] {
        connection.query_row(sql, [], |_| Ok(()))?;
    }
    Ok(())
}

pub(super) fn log_id(connection: &Connection) -> rusqlite::Result<Option<LogId>> {
    let sql = "SELECT value FROM meta WHERE name = 'log_id'";
    let text = connection.query_row(sql, [], |row| row.get::<_, String>(0));
    match text {
        Ok(text) => Ok(text.parse().ok()),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn io_failure(directory: &Path, error: &io::Error) -> OpenStoreError {
    tracing::error!(directory = %directory.display(), %error, "the store cannot be opened");
    OpenStoreError::Failed { directory: directory.to_owned(), reason: error.kind().to_string() }
}

pub(super) fn sqlite_failure(directory: &Path, error: &rusqlite::Error) -> OpenStoreError {
    tracing::error!(directory = %directory.display(), %error, "the store cannot be opened");
    let directory = directory.to_owned();
    if failure::is_damage(error) {
        return OpenStoreError::Corrupt { directory };
    }
    OpenStoreError::Failed { directory, reason: failure::reason(error).to_owned() }
}

//! Opening the register: the directory is this user's alone, and the database in it is whole and ours.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, Error, ErrorCode, OpenFlags};
use uuid::Uuid;

/// `yoia`: what tells the register from any other SQLite database.
const APPLICATION_ID: i32 = 0x796f_6961;
/// The layout below.
const VERSION: i32 = 1;

/// How long one waits for another Runtime that writes. It does so for microseconds, unless it was
/// stopped in the middle.
pub(super) const BUSY: Duration = Duration::from_secs(2);

/// Statements that are kept prepared: those of claims, whose paths differ in depth.
const STATEMENTS: usize = 64;

/// `path` has the names from the top of the file system, each ended by a zero byte. An id of an owner
/// is not given again: a mistake of a Runtime about itself is not to make it another.
const SCHEMA: &str = "
CREATE TABLE owners (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lock TEXT NOT NULL UNIQUE,
    inode INTEGER NOT NULL,
    boot TEXT NOT NULL,
    runtime TEXT NOT NULL
) STRICT;

CREATE TABLE claims (
    device INTEGER NOT NULL,
    path BLOB NOT NULL,
    owner INTEGER NOT NULL,
    worker BLOB NOT NULL,
    preopen TEXT NOT NULL,
    shared INTEGER NOT NULL,
    PRIMARY KEY (device, path, owner, worker, preopen)
) STRICT, WITHOUT ROWID;
";

/// Why the record of the directories that Workers write to cannot be used. It is for the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenAllocationsError {
    /// The directory is missing and cannot be created, is no directory, or refuses this user.
    #[error("cannot keep a record in `{}`: name a directory that this user can write to", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others could change the record.
    #[error("`{}` is not this user's alone: make it so (`chmod 700`), or name another directory", directory.display())]
    Exposed {
        /// The directory.
        directory: PathBuf,
    },
    /// The database is some other program's.
    #[error("the database in `{}` was not made by yoi: name another directory", directory.display())]
    Foreign {
        /// The directory.
        directory: PathBuf,
    },
    /// Another version of yoi has made it.
    #[error(
        "the record in `{}` has version {found}, and this yoi knows version {known}: use the same \
         yoi for all, or stop all Runtimes of this user and remove the directory",
        directory.display(),
        known = VERSION
    )]
    Version {
        /// The directory.
        directory: PathBuf,
        /// The version that is there.
        found: i32,
    },
    /// It cannot be read.
    #[error(
        "the record in `{}` is damaged: stop all Runtimes of this user, then remove the directory",
        directory.display()
    )]
    Damaged {
        /// The directory.
        directory: PathBuf,
    },
    /// A Runtime lives of which nothing is recorded any more.
    #[error(
        "the record in `{}` was removed or replaced while a Runtime was running: stop all Runtimes \
         of this user, then try again",
        directory.display()
    )]
    Removed {
        /// The directory.
        directory: PathBuf,
    },
    /// The system failed.
    #[error("failed to open the record in `{}`: {reason}; mend that and try again", directory.display())]
    Failed {
        /// The directory.
        directory: PathBuf,
        /// What happened, in a few words.
        reason: String,
    },
}

/// What identifies a file.
pub(super) type FileId = (u64, u64);

/// The database of the register.
pub(super) fn database(directory: &Path) -> PathBuf {
    directory.join("allocations.sqlite3")
}

/// Which file the database is now.
pub(super) fn identity(directory: &Path) -> io::Result<FileId> {
    let metadata = fs::symlink_metadata(database(directory))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Opens the database, which is made if there is none.
pub(super) fn open(directory: &Path) -> Result<(Connection, FileId), OpenAllocationsError> {
    let at = || directory.to_owned();
    make_directory(directory)?;
    let failed = |error: io::Error| OpenAllocationsError::Failed {
        directory: at(),
        reason: error.kind().to_string(),
    };
    if !database(directory).try_exists().map_err(failed)? {
        create(directory)?;
    }
    let before = identity(directory).map_err(failed)?;
    let connection = connect(directory)?;
    if identity(directory).map_err(failed)? != before {
        return Err(OpenAllocationsError::Removed { directory: at() });
    }
    Ok((connection, before))
}

fn make_directory(directory: &Path) -> Result<(), OpenAllocationsError> {
    let at = || directory.to_owned();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    let metadata = made.and_then(|()| fs::metadata(directory));
    let metadata =
        metadata.map_err(|source| OpenAllocationsError::Directory { directory: at(), source })?;
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !is_ours || metadata.mode() & 0o077 != 0 {
        return Err(OpenAllocationsError::Exposed { directory: at() });
    }
    Ok(())
}

/// Makes a database under a name of its own, and gives it the right one when it is whole, unless
/// somebody was faster.
fn create(directory: &Path) -> Result<(), OpenAllocationsError> {
    let source =
        |source| OpenAllocationsError::Directory { directory: directory.to_owned(), source };
    let unfinished = directory.join(format!("{}.new", Uuid::now_v7().simple()));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(source)?;
    let made = make(&unfinished).map_err(|error| failure(directory, &error));
    let named = made.and_then(|()| match fs::hard_link(&unfinished, database(directory)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(source(error)),
        _ => Ok(()),
    });
    let removed = fs::remove_file(&unfinished).map_err(source);
    named.and(removed)
}

fn make(path: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    // The directory tells nothing that a loss of power could make wrong: nobody lives afterwards.
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.execute_batch(SCHEMA)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    connection.close().map_err(|(_, error)| error)
}

fn connect(directory: &Path) -> Result<Connection, OpenAllocationsError> {
    let at = || directory.to_owned();
    let failed = |error| failure(directory, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(database(directory), flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let (application, version) =
        (number("application_id").map_err(failed)?, number("user_version").map_err(failed)?);
    match (application, version) {
        (APPLICATION_ID, VERSION) => {}
        (APPLICATION_ID, found) => {
            return Err(OpenAllocationsError::Version { directory: at(), found });
        }
        // It has its name only once it is whole.
        (0, 0) if is_empty(&connection).map_err(failed)? => {
            return Err(OpenAllocationsError::Damaged { directory: at() });
        }
        _ => return Err(OpenAllocationsError::Foreign { directory: at() }),
    }
    // What is written in a log first survives a kill in the middle; and with `NORMAL` a loss of power
    // leaves it whole, if not complete. Only a checkpoint waits for the disk.
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    let check: String =
        connection.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(failed)?;
    if check != "ok" {
        return Err(OpenAllocationsError::Damaged { directory: at() });
    }
    Ok(connection)
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
}

/// A failure of the database, for the operator. The log has its own words.
pub(super) fn failure(directory: &Path, error: &Error) -> OpenAllocationsError {
    tracing::error!(%error, "the record of the directories that Workers write to cannot be opened");
    let directory = directory.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            OpenAllocationsError::Damaged { directory }
        }
        _ => OpenAllocationsError::Failed { directory, reason: reason(error).to_owned() },
    }
}

/// A few words for what happened: for anybody, so without paths and without SQL.
pub(super) fn reason(error: &Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another Runtime of this user holds it and does not go on"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => "it is damaged",
        Some(ErrorCode::DiskFull) => "the disk is full",
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "it cannot be written to"
        }
        Some(ErrorCode::SystemIoFailure) => "an input/output error",
        _ => "the database failed",
    }
}

//! The files of a store, and connections to them.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

/// What the write-ahead log is cut down to when it starts anew.
const WAL_KEPT_BYTES: i64 = 8 << 20;
/// How long a checkpoint waits for readers, which take milliseconds.
const BUSY: Duration = Duration::from_secs(1);
/// Pages that the writer keeps in memory: 16 MiB, a negative number being kibibytes.
const WRITER_CACHE: i32 = -16_384;
/// Pages that each reader keeps in memory: 4 MiB.
const READER_CACHE: i32 = -4_096;
/// Statements that a connection keeps prepared: more than there are.
const STATEMENTS: usize = 64;

/// The files in a store's directory.
#[derive(Debug, Clone)]
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn database(&self) -> PathBuf {
        self.directory.join("log.sqlite3")
    }

    pub(super) fn wal(&self) -> PathBuf {
        self.directory.join("log.sqlite3-wal")
    }

    /// The index of the write-ahead log, which connections share.
    pub(super) fn index(&self) -> PathBuf {
        self.directory.join("log.sqlite3-shm")
    }

    /// A database that is not finished yet.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.directory.join("log.sqlite3.new")
    }

    /// Makes the names of files that were created or renamed durable.
    pub(super) fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

/// The length of a file; zero where there is none.
pub(super) fn length(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Writes the write-ahead log anew, byte by byte as it is, syncs it, and removes its index, which is made
/// anew from it; see the module's docs on why. No connection of this process may be open: its locks on
/// the files would go with the handle here.
pub(super) fn renew_wal(files: &Files) -> io::Result<()> {
    rewrite_wal(files)?;
    match fs::remove_file(files.index()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn rewrite_wal(files: &Files) -> io::Result<()> {
    let mut file = match OpenOptions::new().read(true).write(true).open(files.wal()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    loop {
        file.seek(SeekFrom::Start(offset))?;
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return file.sync_all();
        }
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(&buffer[..read])?;
        offset += read as u64;
    }
}

/// The one connection that writes.
pub(super) fn open_writer(files: &Files) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(files.database(), flags)?;
    configure(&connection, WRITER_CACHE)?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    Ok(connection)
}

/// A connection for a reader; the writer's is open.
pub(super) fn open_reader(files: &Files) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(files.database(), flags)?;
    configure(&connection, READER_CACHE)?;
    Ok(connection)
}

/// A connection for who has the directory and changes nothing in it: no file is made, removed or written.
pub(super) fn open_untouched(files: &Files) -> rusqlite::Result<Connection> {
    let is_logged = length(&files.wal()).map_err(|_| failure(rusqlite::ffi::SQLITE_IOERR))? > 0;
    let connection = if is_logged {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(files.database(), flags)?;
        // Before anything is read: then the index of the log is in memory, and not in a file.
        connection.pragma_update_and_check(None, "locking_mode", "exclusive", |_| Ok(()))?;
        connection
    } else {
        // Even without a log, SQLite would make its file.
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(immutable(&files.database()), flags)?
    };
    configure(&connection, READER_CACHE)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// The name of a file that nobody changes while it is open, as SQLite takes it.
fn immutable(path: &Path) -> String {
    let encoded = |byte: &u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(*byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    let name: String = path.as_os_str().as_encoded_bytes().iter().map(encoded).collect();
    format!("file:{name}?immutable=1")
}

/// The connection to a copy that is being made. A copy that is cut off is thrown away, so nothing
/// has to be kept to take it back, and nothing is synced before all of it is there.
pub(super) fn open_copy(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update_and_check(None, "locking_mode", "exclusive", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    Ok(connection)
}

/// Makes one file of a database: what was its log is in it.
pub(super) fn leave_wal(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get(0))?;
    if mode == "delete" { Ok(()) } else { Err(failure(rusqlite::ffi::SQLITE_CANTOPEN)) }
}

fn configure(connection: &Connection, cache: i32) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Checkpoints happen where they are written down, and closing after a failure must leave the
    // log as it is.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "cache_size", cache)?;
    // Pages that make no sense are refused when they are read, not when they are believed.
    connection.pragma_update(None, "cell_size_check", true)
}

/// Switches to the write-ahead log, where this has not been done.
pub(super) fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode == "wal" { Ok(()) } else { Err(failure(rusqlite::ffi::SQLITE_CANTOPEN)) }
}

/// How a checkpoint deals with readers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Checkpoint {
    /// Copies what it can, and waits for nobody.
    Passive,
    /// Copies everything, and waits until the log can start anew.
    Restart,
    /// Copies everything and empties the log; it is an error if that is not possible.
    Truncate,
}

/// Copies the log into the database, syncs that, and returns how many frames the log has left.
pub(super) fn checkpoint(connection: &Connection, how: Checkpoint) -> rusqlite::Result<i64> {
    let sql = match how {
        Checkpoint::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Checkpoint::Restart => "PRAGMA wal_checkpoint(RESTART)",
        Checkpoint::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    let (busy, frames): (bool, i64) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    match how {
        Checkpoint::Truncate if busy => Err(failure(rusqlite::ffi::SQLITE_BUSY)),
        _ => Ok(frames),
    }
}

/// Whether the database's file is shorter than it says itself. Its log has to be empty.
pub(super) fn is_truncated(connection: &Connection, files: &Files) -> rusqlite::Result<bool> {
    let pages: u64 = pragma_number(connection, "page_count")?;
    let page_size: u64 = pragma_number(connection, "page_size")?;
    // Only looked at, not opened: closing a file drops every lock that the process has on it.
    let length = length(&files.database()).map_err(|_| failure(rusqlite::ffi::SQLITE_IOERR))?;
    Ok(length < pages * page_size)
}

fn pragma_number(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    let number: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
    Ok(u64::try_from(number).unwrap_or(0))
}

/// Writes and syncs something that matters to nobody: as much as a commit may well have, so that a
/// disk with room for a few more bytes does not count as one that works.
pub(super) fn probe(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute(
        "INSERT OR REPLACE INTO meta (name, value) VALUES ('probe', zeroblob(65536))",
        [],
    )?;
    transaction.commit()
}

/// An error as SQLite would have given it.
pub(super) fn failure(code: std::ffi::c_int) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)
}

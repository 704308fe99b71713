//! Reading the files of a store that this process does not own, and maybe another one does.

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
};

use rusqlite::Connection;

use super::{
    database::{self, Files},
    open::{self, OpenStoreError},
    schema,
};

/// Why the logs in a directory cannot be checked or copied. It is for the operator who named the
/// directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadStoreError {
    /// There is no store.
    #[error("there are no logs in `{}`: name a directory that has some", directory.display())]
    Missing {
        /// The directory that was named.
        directory: PathBuf,
    },
    /// The store is not one that this program knows, or cannot be read at all.
    #[error(transparent)]
    Open(#[from] OpenStoreError),
    /// What was read counts for nothing: the process whose logs these are opened them anew meanwhile.
    #[error(
        "the Runtime with the logs in `{}` started, or recovered from a failure of its disk, while \
         they were read: try again",
        directory.display()
    )]
    Recovered {
        /// The directory that was named.
        directory: PathBuf,
    },
}

impl ReadStoreError {
    /// Whether what is stored is at fault, as a whole.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Open(OpenStoreError::Truncated { .. } | OpenStoreError::Corrupt { .. })
        )
    }
}

/// A look at a store as it is at one moment. Nothing in the directory is changed by it.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) connection: Connection,
    files: Files,
    owner: Owner,
}

#[derive(Debug)]
enum Owner {
    /// This process, as long as it looks: nobody else can open the store.
    Us { _lock: File },
    /// Another one. The index of its log is this file.
    Another { index: FileId },
}

impl Visit {
    /// Begins to look at the store in `files`.
    pub(super) fn begin(files: &Files) -> Result<Self, ReadStoreError> {
        let at = files.directory();
        let failed = |error| open::sqlite_failure(at, &error);
        for file in [files.database(), files.wal()] {
            match fs::symlink_metadata(&file) {
                Ok(found) if found.is_file() => {}
                // Nobody would ever write into a pipe.
                Ok(_) => return Err(OpenStoreError::Foreign { directory: at.to_owned() }.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound && file == files.wal() => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(ReadStoreError::Missing { directory: at.to_owned() });
                }
                Err(error) => return Err(open::io_failure(at, &error).into()),
            }
        }
        let visit = match open::lock_directory(at) {
            Ok(lock) => {
                let connection = database::open_untouched(files).map_err(failed)?;
                begin_reading(&connection).map_err(failed)?;
                Self { connection, files: files.clone(), owner: Owner::Us { _lock: lock } }
            }
            Err(OpenStoreError::Locked { .. }) => {
                let index = index(files)?;
                let connection = database::open_reader(files).map_err(failed)?;
                begin_reading(&connection).map_err(failed)?;
                Self { connection, files: files.clone(), owner: Owner::Another { index } }
            }
            Err(error) => return Err(error.into()),
        };
        // The index that was there before is the one that is open, or else nobody knows which is.
        visit.still_counts()?;
        visit.check_schema()?;
        Ok(visit)
    }

    /// Whether what was read up to now is what the store had when it began to be.
    pub(super) fn still_counts(&self) -> Result<(), ReadStoreError> {
        match &self.owner {
            Owner::Another { index: begun } if index(&self.files)? != *begun => {
                Err(ReadStoreError::Recovered { directory: self.files.directory().to_owned() })
            }
            Owner::Another { .. } | Owner::Us { .. } => Ok(()),
        }
    }

    /// Looks whether the database is a store that this program knows. The file itself is not opened:
    /// closing it would drop the locks that SQLite has on it.
    fn check_schema(&self) -> Result<(), OpenStoreError> {
        let directory = || self.files.directory().to_owned();
        let failed = |error| open::sqlite_failure(self.files.directory(), &error);
        let connection = &self.connection;
        let id = connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0));
        if id.map_err(failed)? != schema::APPLICATION_ID {
            return Err(OpenStoreError::Foreign { directory: directory() });
        }
        let version = schema::version(connection).map_err(failed)?;
        open::check_version(&self.files, version, schema::STEPS)?;
        let steps = usize::try_from(version).unwrap_or(0).min(schema::STEPS.len());
        if !schema::is_intact(connection, &schema::STEPS[..steps]).map_err(failed)?
            || open::log_id(connection).map_err(failed)?.is_none()
        {
            return Err(OpenStoreError::Corrupt { directory: directory() });
        }
        Ok(())
    }
}

/// From here on the connection sees one moment, until it is closed.
fn begin_reading(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN")?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

/// What tells a file from another one of its name, as long as it is open.
type FileId = (u64, u64);

/// The index of the log of a store that another process has open.
fn index(files: &Files) -> Result<FileId, ReadStoreError> {
    match file_id(files) {
        Ok(id) => Ok(id),
        // It is made when the store is opened, and goes for a moment when it recovers.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(ReadStoreError::Recovered { directory: files.directory().to_owned() })
        }
        Err(error) => Err(open::io_failure(files.directory(), &error).into()),
    }
}

#[cfg(unix)]
fn file_id(files: &Files) -> io::Result<FileId> {
    use std::os::unix::fs::MetadataExt as _;

    let found = fs::metadata(files.index())?;
    Ok((found.dev(), found.ino()))
}

/// Other systems have no such number: there, a store is read while nobody has it open.
#[cfg(not(unix))]
fn file_id(_files: &Files) -> io::Result<FileId> {
    Err(io::ErrorKind::Unsupported.into())
}

//! What SQLite's errors mean here. The words for them may reach the API's callers: no path, no SQL.
//! The operator's log gets the error itself.

use rusqlite::{Error, ErrorCode};
use worker_types::WorkerId;

use crate::store::StoreError;

/// A few words for what happened.
pub(super) fn reason(error: &Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full",
        Some(ErrorCode::SystemIoFailure) => "an input/output error",
        Some(ErrorCode::ReadOnly) => "the database is read-only",
        Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "the database cannot be opened"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => "the database is damaged",
        Some(ErrorCode::OutOfMemory) => "out of memory",
        Some(ErrorCode::TooBig) => "a value is too large",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "something else holds the database"
        }
        _ => "the database failed",
    }
}

/// Whether what is stored is at fault, not the way to it.
pub(super) fn is_damage(error: &Error) -> bool {
    match error {
        Error::SqliteFailure(failure, _) => {
            matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        }
        // A value that does not have the type of its column.
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..) => true,
        _ => false,
    }
}

/// Whether an error while a commit is written is that of a row of its own, which others have nothing
/// to do with.
pub(super) fn is_of_one_row(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
    )
}

/// Damage where something is kept that Workers share.
pub(super) fn table_damaged(what: &str, error: &Error) -> StoreError {
    tracing::error!(%error, what, "a table of the store is damaged");
    StoreError::TableDamaged { reason: format!("the database is damaged where {what} are kept") }
}

/// Why a read did not give what it should.
#[derive(Debug)]
pub(super) enum ReadError {
    Sqlite(Error),
    /// What is there makes no sense.
    Damaged(String),
    Trimmed(worker_types::Seq),
    /// The feed has nothing sensible up to this position.
    FeedDamaged {
        through: u64,
        worker_id: Option<WorkerId>,
        reason: String,
    },
    /// The connections are closed while the store is being reopened.
    Closed,
    /// The reader is gone, or panicked.
    Gone,
}

impl From<Error> for ReadError {
    fn from(error: Error) -> Self {
        Self::Sqlite(error)
    }
}

impl ReadError {
    pub(super) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged(reason.into())
    }

    /// One event of the feed that makes no sense.
    pub(super) fn feed_damaged(through: u64, seq: u64, worker_id: Option<WorkerId>) -> Self {
        let reason = match worker_id {
            Some(worker_id) => format!("event {seq} of Worker {worker_id} cannot be read"),
            None => format!("an event of an unknown Worker cannot be read, its number is {seq}"),
        };
        Self::FeedDamaged { through, worker_id, reason }
    }

    /// Whether what is stored is at fault, not the way to it.
    pub(super) fn is_of_data(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::FeedDamaged { .. } => true,
            Self::Sqlite(error) => is_damage(error),
            Self::Trimmed(_) | Self::Closed | Self::Gone => false,
        }
    }

    /// As the error of a read of one Worker: damage is that Worker's alone.
    pub(super) fn of_worker(self, worker_id: WorkerId) -> StoreError {
        match self {
            Self::Damaged(reason) => StoreError::Damaged { worker_id, reason },
            Self::Sqlite(error) if is_damage(&error) => {
                tracing::error!(worker = %worker_id, %error, "a Worker's log is damaged");
                let reason = "the database is damaged where it is kept".to_owned();
                StoreError::Damaged { worker_id, reason }
            }
            other => other.of_store(),
        }
    }

    /// As the error of a read of what Workers share: `what` is damaged, and trying again does not help.
    pub(super) fn of_table(self, what: &str) -> StoreError {
        match self {
            Self::Damaged(reason) => StoreError::TableDamaged { reason },
            Self::Sqlite(error) if is_damage(&error) => table_damaged(what, &error),
            other => other.of_store(),
        }
    }

    /// As the error of a read that is not about one Worker.
    pub(super) fn of_store(self) -> StoreError {
        let reason = match self {
            Self::Trimmed(through) => return StoreError::Trimmed { through },
            Self::FeedDamaged { through, worker_id, reason } => {
                return StoreError::FeedDamaged { through, worker_id, reason };
            }
            Self::Damaged(reason) => reason,
            Self::Sqlite(error) => {
                tracing::error!(%error, "a read of the store failed");
                reason(&error).to_owned()
            }
            Self::Closed => "it is being reopened after a failure".to_owned(),
            Self::Gone => "the read was not finished".to_owned(),
        };
        StoreError::Unreadable { reason }
    }
}

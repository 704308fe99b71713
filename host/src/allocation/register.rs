//! What Runtimes of one user tell each other: a database of who holds what, and for each Runtime a
//! lock (see [`owner`]) that says whether it still lives.
//!
//! Whether a Runtime lives is decided inside a transaction that has the database for itself, and so
//! is the making and the removal of a lock: nobody sees one half done. What a crash can leave is a
//! lock that nobody holds, with its row or without, and the next one to look removes both.
//!
//! What cannot be told is taken for held, never for free.

mod open;
mod owner;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{
    Connection, OptionalExtension as _, Transaction, TransactionBehavior, params, params_from_iter,
    types::Value,
};
use worker_types::{RuntimeId, ScopeHolder, WorkerId};

use self::{
    open::FileId,
    owner::{HeldLock, Life, LockName},
};
use super::ClaimError;
use crate::grants::{Location, Scope};

pub use open::OpenAllocationsError;

/// How long the end of a Runtime waits for another one that writes. What it cannot remove then, the
/// next one removes.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Above every path: no name has so many bytes.
const ABOVE_ALL: [u8; 256] = [0xff; 256];

/// The register, with one Runtime in it.
pub(super) struct Register {
    directory: PathBuf,
    database: FileId,
    /// One at a time: what waits for the disk waits here.
    connection: Mutex<Connection>,
    owner: i64,
    lock: Option<File>,
    /// What is not held any more and still is in the database.
    retired: Mutex<Vec<(WorkerId, Scope)>>,
}

/// Without the directory, which is nobody's business but the operator's: files and connections, too,
/// would print where they are.
impl std::fmt::Debug for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Register").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// A Runtime in the register.
struct Owner {
    id: i64,
    lock: LockName,
    inode: u64,
    boot: String,
}

/// Why the register does not answer.
#[derive(Debug, thiserror::Error)]
enum RegisterError {
    #[error("the database failed")]
    Database(#[from] rusqlite::Error),
    #[error("a lock cannot be looked at")]
    Lock(#[source] io::Error),
    /// A row makes no sense.
    #[error("the database is damaged")]
    Damaged,
    /// The files are not those that were opened.
    #[error("the record was removed or replaced under a running Runtime")]
    Removed,
}

impl RegisterError {
    /// For whoever asked for a scope; the log has the rest.
    fn into_claim_error(self) -> ClaimError {
        tracing::error!(
            error = crate::error_chain(&self),
            "the record of the directories that Workers write to cannot be used"
        );
        let reason = match &self {
            Self::Database(error) => open::reason(error).to_owned(),
            Self::Lock(error) => error.kind().to_string(),
            Self::Damaged => "it is damaged".to_owned(),
            Self::Removed => "it was removed or replaced: restart this Runtime".to_owned(),
        };
        ClaimError::Unknown { reason }
    }
}

impl Register {
    /// Joins the Runtimes that keep their register in `directory`.
    pub(super) fn open(
        directory: &Path,
        runtime_id: &RuntimeId,
    ) -> Result<Self, OpenAllocationsError> {
        let (mut connection, database) = open::open(directory)?;
        let joined = join(&mut connection, directory, runtime_id);
        let (owner, lock) = joined.map_err(|error| {
            let directory = directory.to_owned();
            match error {
                RegisterError::Database(error) => open::failure(&directory, &error),
                RegisterError::Lock(source) => {
                    OpenAllocationsError::Directory { directory, source }
                }
                RegisterError::Damaged => OpenAllocationsError::Damaged { directory },
                RegisterError::Removed => OpenAllocationsError::Removed { directory },
            }
        })?;
        Ok(Self {
            directory: directory.to_owned(),
            database,
            connection: Mutex::new(connection),
            owner,
            lock: Some(lock),
            retired: Mutex::default(),
        })
    }

    /// Records that `worker` holds `scopes`, unless another Runtime's Worker holds one of them.
    pub(super) fn claim(&self, worker: WorkerId, scopes: &[Scope]) -> Result<(), ClaimError> {
        if scopes.is_empty() {
            return Ok(());
        }
        let mut connection = self.connection();
        let recorded = self.write(&mut connection, |transaction, others, gone| {
            if others {
                for (scope, location) in places(scopes) {
                    let place = (location, scope.shared);
                    if let Some(holder) = self.taken(transaction, place, gone)? {
                        let preopen = scope.guest_path.clone();
                        return Ok(Err(ClaimError::Taken { preopen, holder }));
                    }
                }
            }
            let sql = "INSERT OR REPLACE INTO claims (device, path, owner, worker, preopen, shared) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let mut insert = transaction.prepare_cached(sql)?;
            for (Scope { guest_path, shared, .. }, location) in places(scopes) {
                let (device, worker) = (location.device().cast_signed(), worker.as_bytes());
                let (owner, names) = (self.owner, location.names());
                insert.execute(params![device, names, owner, worker, guest_path.as_str(), shared])?;
            }
            Ok(Ok(()))
        });
        recorded.unwrap_or_else(|error| {
            if let RegisterError::Database(_) = &error {
                // Whether they are there is not known.
                self.retire(worker, scopes.iter().cloned());
            }
            Err(error.into_claim_error())
        })
    }

    /// Notes what `worker` holds no more, for the next transaction.
    pub(super) fn retire(&self, worker: WorkerId, scopes: impl IntoIterator<Item = Scope>) {
        self.retired().extend(scopes.into_iter().map(|scope| (worker, scope)));
    }

    /// Removes what is held no more. What cannot be removed now is with the next claim or release; with
    /// the end of this Runtime it is free in any case.
    pub(super) fn flush(&self) {
        if self.retired().is_empty() {
            return;
        }
        let mut connection = self.connection();
        if let Err(error) = self.write(&mut connection, |_, _, _| Ok(())) {
            let error = crate::error_chain(&error);
            tracing::warn!(error, "other Runtimes do not hear yet that a directory is free");
        }
    }

    /// The lock once more: whoever has it holds all scopes of this Runtime.
    pub(super) fn hold(&self) -> io::Result<OwnedFd> {
        match &self.lock {
            Some(lock) => Ok(lock.try_clone()?.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Writes with the database for itself. `write` learns whether there are other Runtimes, and says
    /// which of them are gone: their locks are removed after the commit.
    fn write<T>(
        &self,
        connection: &mut Connection,
        write: impl FnOnce(&Transaction<'_>, bool, &mut Vec<LockName>) -> Result<T, RegisterError>,
    ) -> Result<T, RegisterError> {
        let directory = &self.directory;
        if open::identity(directory).ok() != Some(self.database) {
            return Err(RegisterError::Removed);
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sql = "SELECT EXISTS (SELECT 1 FROM owners WHERE id = ?1), \
                   EXISTS (SELECT 1 FROM owners WHERE id <> ?1)";
        let (known, others): (bool, bool) = transaction
            .prepare_cached(sql)?
            .query_row([self.owner], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if !known {
            return Err(RegisterError::Removed);
        }
        let retired = std::mem::take(&mut *self.retired());
        let mut gone = Vec::new();
        let written = self
            .remove(&transaction, &retired)
            .and_then(|()| write(&transaction, others, &mut gone))
            .and_then(|written| Ok((written, transaction.commit()?)));
        match written {
            Ok((written, ())) => {
                remove_files(directory, &gone);
                Ok(written)
            }
            Err(error) => {
                self.retired().extend(retired);
                Err(error)
            }
        }
    }

    fn remove(
        &self,
        transaction: &Transaction<'_>,
        retired: &[(WorkerId, Scope)],
    ) -> Result<(), RegisterError> {
        let sql = "DELETE FROM claims WHERE device = ?1 AND path = ?2 AND owner = ?3 \
                   AND worker = ?4 AND preopen = ?5";
        let mut delete = transaction.prepare_cached(sql)?;
        for (worker, scope) in retired {
            for (Scope { guest_path, .. }, location) in places(std::slice::from_ref(scope)) {
                let device = location.device().cast_signed();
                let (owner, names, worker) = (self.owner, location.names(), worker.as_bytes());
                delete.execute(params![device, names, owner, worker, guest_path.as_str()])?;
            }
        }
        Ok(())
    }

    /// The Worker of another living Runtime that stands in the way of a place, which is to be shared or
    /// not. What dead ones left there is removed.
    fn taken(
        &self,
        transaction: &Transaction<'_>,
        place: (&Location, bool),
        gone: &mut Vec<LockName>,
    ) -> Result<Option<ScopeHolder>, RegisterError> {
        while let Some((owner, worker)) = self.first_conflict(transaction, place)? {
            let sql = "SELECT lock, inode, boot, runtime FROM owners WHERE id = ?1";
            let found = transaction.prepare_cached(sql)?.query_row([owner], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, String>(3)?))
            });
            let (lock, inode, boot, runtime): (String, i64, String, _) =
                found.optional()?.ok_or(RegisterError::Damaged)?;
            let lock = LockName::parse(&lock).ok_or(RegisterError::Damaged)?;
            let owner = Owner { id: owner, lock, inode: inode.cast_unsigned(), boot };
            if owner.is_alive(&self.directory)? {
                let runtime_id = runtime.parse().map_err(|_| RegisterError::Damaged)?;
                let worker_id = WorkerId::from_bytes(worker);
                return Ok(Some(ScopeHolder { runtime_id, worker_id }));
            }
            owner.remove(transaction)?;
            gone.push(lock);
        }
        Ok(None)
    }

    /// A claim of another Runtime, alive or not, on what a place is, contains or lies in.
    fn first_conflict(
        &self,
        transaction: &Transaction<'_>,
        (location, shared): (&Location, bool),
    ) -> Result<Option<(i64, [u8; 16])>, RegisterError> {
        let names = location.names();
        let above: Vec<&[u8]> = location.ancestors_names().collect();
        let mut end = names.to_vec();
        match end.last_mut() {
            // After all names that go on behind this one's end.
            Some(last) => *last = 1,
            None => end.extend(ABOVE_ALL),
        }
        let blob = |bytes: &[u8]| Value::Blob(bytes.to_vec());
        let fixed = [
            Value::Integer(location.device().cast_signed()),
            Value::Integer(self.owner),
            Value::Integer(shared.into()),
            blob(names),
            Value::Blob(end),
        ];
        let marks = vec!["?"; above.len()].join(", ");
        let select = "SELECT owner, worker FROM claims \
                      WHERE device = ?1 AND owner <> ?2 AND NOT (shared AND ?3)";
        let sql = format!(
            "SELECT * FROM ({select} AND path >= ?4 AND path < ?5 LIMIT 1) UNION ALL \
             SELECT * FROM ({select} AND path IN ({marks}) LIMIT 1) LIMIT 1"
        );
        let values = fixed.into_iter().chain(above.into_iter().map(blob));
        let mut statement = transaction.prepare_cached(&sql)?;
        let found =
            statement.query_row(params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(found.optional()?)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A transaction that a panic interrupts is rolled back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retired(&self) -> MutexGuard<'_, Vec<(WorkerId, Scope)>> {
        // Nothing panics between a lock and the end of its change.
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Register {
    /// Leaves, unless a program that it started still holds the lock: then the next one to look at it
    /// after that program's end removes it.
    fn drop(&mut self) {
        let lock = self.lock.take();
        let mut connection = self.connection();
        let left = connection.busy_timeout(LAST_WORDS).map_err(RegisterError::from);
        let left = left.and_then(|()| leave(&mut connection, &self.directory, self.owner, lock));
        if let Err(error) = left {
            let error = crate::error_chain(&error);
            tracing::warn!(error, "a Runtime leaves its entry for the next one to remove");
        }
    }
}

/// Each place of each of `scopes`.
fn places(scopes: &[Scope]) -> impl Iterator<Item = (&Scope, &Location)> {
    scopes.iter().flat_map(|scope| scope.extent.locations().map(move |location| (scope, location)))
}

/// Enters a Runtime, and removes those that are gone.
fn join(
    connection: &mut Connection,
    directory: &Path,
    runtime_id: &RuntimeId,
) -> Result<(i64, File), RegisterError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let owners = owners(&transaction)?;
    let mut gone = Vec::new();
    for owner in &owners {
        if !owner.is_alive(directory)? {
            owner.remove(&transaction)?;
            gone.push(owner.lock);
        }
    }
    for entry in std::fs::read_dir(directory).map_err(RegisterError::Lock)? {
        let name = entry.map_err(RegisterError::Lock)?.file_name();
        let Some(lock) = LockName::of_file(&name) else { continue };
        if owners.iter().any(|owner| owner.lock == lock) {
            continue;
        }
        if owner::is_held(directory, lock).map_err(RegisterError::Lock)? {
            return Err(RegisterError::Removed);
        }
        // Of a Runtime that ended before it was entered, or while it left.
        gone.push(lock);
    }
    let HeldLock { name, file, inode } =
        HeldLock::create(directory).map_err(RegisterError::Lock)?;
    transaction.execute(
        "INSERT INTO owners (lock, inode, boot, runtime) VALUES (?1, ?2, ?3, ?4)",
        params![name.text(), inode.cast_signed(), owner::boot(), runtime_id.as_str()],
    )?;
    let owner = transaction.last_insert_rowid();
    transaction.commit()?;
    remove_files(directory, &gone);
    Ok((owner, file))
}

/// Removes a Runtime that lets go of its lock, if nobody else holds that.
fn leave(
    connection: &mut Connection,
    directory: &Path,
    owner: i64,
    lock: Option<File>,
) -> Result<(), RegisterError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    // Also where the register is not to be had.
    drop(lock);
    let transaction = transaction?;
    let Some(owner) = owners(&transaction)?.into_iter().find(|other| other.id == owner) else {
        return Ok(());
    };
    if owner.is_alive(directory)? {
        return Ok(());
    }
    owner.remove(&transaction)?;
    transaction.commit()?;
    remove_files(directory, &[owner.lock]);
    Ok(())
}

fn owners(transaction: &Transaction<'_>) -> Result<Vec<Owner>, RegisterError> {
    let mut select = transaction.prepare("SELECT id, lock, inode, boot FROM owners")?;
    let rows = select
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?, row.get(3)?)))?;
    let owners = rows.map(|row| {
        let (id, lock, inode, boot): (i64, String, i64, String) = row?;
        let lock = LockName::parse(&lock).ok_or(RegisterError::Damaged)?;
        Ok(Owner { id, lock, inode: inode.cast_unsigned(), boot })
    });
    owners.collect()
}

/// Removes locks that nobody holds and nothing is recorded of. What stays is removed by the next
/// Runtime that joins.
fn remove_files(directory: &Path, gone: &[LockName]) {
    for lock in gone {
        if let Err(error) = std::fs::remove_file(lock.path(directory))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the lock of a Runtime that is gone cannot be removed");
        }
    }
}

impl Owner {
    /// Whether somebody holds its lock, or may do so.
    fn is_alive(&self, directory: &Path) -> Result<bool, RegisterError> {
        match owner::life(directory, self.lock, self.inode).map_err(RegisterError::Lock)? {
            Life::Held => Ok(true),
            Life::Free => Ok(false),
            Life::Lost => {
                let boot = owner::boot();
                let is_older = !boot.is_empty() && !self.boot.is_empty() && boot != self.boot;
                if !is_older {
                    tracing::warn!(
                        lock = self.lock.text(),
                        "the lock of a Runtime was removed or replaced, so its directories count as \
                         held: stop all Runtimes of this user and remove the record, or restart the \
                         machine"
                    );
                }
                Ok(!is_older)
            }
        }
    }

    fn remove(&self, transaction: &Transaction<'_>) -> Result<(), RegisterError> {
        transaction.prepare_cached("DELETE FROM claims WHERE owner = ?1")?.execute([self.id])?;
        transaction.prepare_cached("DELETE FROM owners WHERE id = ?1")?.execute([self.id])?;
        Ok(())
    }
}

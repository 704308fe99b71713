//! What a commit does to the tables, inside the transaction of its group.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Transaction, named_params};
use worker_types::{ComponentDigest, Seq, WorkerId};

use super::{
    encoding::{EncodedCommit, EncodedEvent, EncodedKey, number, ordinal},
    failure,
};
use crate::store::{StoreError, misplaced};

/// Events that one step of a sweep looks at: some milliseconds.
const SWEEP_EVENTS: i64 = 512;
/// Bytes of events that one step of a sweep removes, and one event more: SQLite visits every page
/// that it frees.
const SWEEP_BYTES: i64 = 4 << 20;

/// The tables, while a group is written.
pub(super) struct Tables<'a> {
    pub(super) transaction: &'a Transaction<'a>,
    /// What the next event gets; written back when the group is committed.
    pub(super) next_position: i64,
    /// Workers with events to remove that are not removed yet.
    pub(super) to_sweep: Vec<i64>,
    /// Whether what is being written is an idempotency key: damage there is not the Worker's.
    pub(super) in_keys: bool,
}

/// A Worker's row, as far as a commit needs it.
struct WorkerRow {
    key: i64,
    active: bool,
    deleted: bool,
    trimmed: i64,
    rest_seq: i64,
    last_seq: i64,
}

/// Done, or refused with nothing written.
type Applied = Result<u64, StoreError>;

impl Tables<'_> {
    /// An error of SQLite fails the whole group; a refusal is the commit's own.
    pub(super) fn apply(&mut self, commit: &EncodedCommit) -> rusqlite::Result<Applied> {
        let worker_id = commit.worker_id;
        let worker = self.worker(worker_id)?;
        if let Err(refused) = self.check(worker.as_ref(), commit)? {
            return Ok(Err(refused));
        }
        self.or_take_back(worker_id, |tables| tables.write(worker, commit).map(|()| 1))
    }

    /// Deletes a Worker, whatever its log is like.
    pub(super) fn bury(
        &mut self,
        worker_id: WorkerId,
        event: &EncodedEvent,
    ) -> rusqlite::Result<Applied> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT key, deleted, max(rest_seq, trimmed,
                coalesce((SELECT max(seq) FROM events WHERE worker = workers.key), 0))
                FROM workers WHERE id = ?1",
        )?;
        let row = statement.query_row([worker_id.as_bytes()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, row.get::<_, i64>(2)?))
        });
        drop(statement);
        let Some((key, false, last)) = row.optional()? else {
            return Ok(Err(gap(worker_id, 0, event.seq)));
        };
        let seq = event.seq.max(last.saturating_add(1));
        let body = event.body.clone();
        let deleted = EncodedEvent { seq, at: event.at, item: None, ended_turn: None, body };
        self.or_take_back(worker_id, |tables| {
            tables.insert_event(key, &deleted)?;
            tables.delete(key, seq)?;
            Ok(ordinal(seq))
        })
    }

    /// A row that cannot be written where others can is the failure of this Worker alone.
    fn or_take_back(
        &mut self,
        worker_id: WorkerId,
        write: impl FnOnce(&mut Self) -> rusqlite::Result<u64>,
    ) -> rusqlite::Result<Applied> {
        self.execute("SAVEPOINT before_commit", ())?;
        let (next_position, to_sweep) = (self.next_position, self.to_sweep.len());
        match write(self) {
            Ok(written) => {
                self.execute("RELEASE before_commit", ())?;
                Ok(Ok(written))
            }
            Err(error) if failure::is_of_one_row(&error) => {
                tracing::error!(worker = %worker_id, %error, "a commit was taken back");
                self.execute("ROLLBACK TO before_commit", ())?;
                self.execute("RELEASE before_commit", ())?;
                self.next_position = next_position;
                self.to_sweep.truncate(to_sweep);
                let reason = "it cannot be added to".to_owned();
                Ok(Err(StoreError::Damaged { worker_id, reason }))
            }
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, worker: Option<WorkerRow>, commit: &EncodedCommit) -> rusqlite::Result<()> {
        let worker = match worker {
            Some(worker) => self.update_worker(worker, commit)?,
            None => self.insert_worker(commit)?,
        };
        for event in &commit.events {
            self.insert_event(worker.key, event)?;
        }
        for item in &commit.completed {
            self.execute(
                "DELETE FROM texts WHERE worker = ?1 AND item = ?2",
                (worker.key, number(item.get())),
            )?;
        }
        for piece in commit.kept_texts() {
            self.execute(
                "INSERT INTO texts (worker, item, start, text) VALUES (?1, ?2, ?3, ?4)",
                (
                    worker.key,
                    number(piece.item_id.get()),
                    number(piece.offset),
                    piece.text.as_bytes(),
                ),
            )?;
        }
        if let Some(key) = &commit.key {
            self.in_keys = true;
            self.insert_key(key)?;
            self.in_keys = false;
        }
        if commit.deletes {
            self.delete(worker.key, worker.last_seq + commit.events.len() as i64)?;
        } else if commit.trims {
            self.trim(&worker, commit)?;
        }
        Ok(())
    }

    fn worker(&self, worker_id: WorkerId) -> rusqlite::Result<Option<WorkerRow>> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT key, active, deleted, trimmed, rest_seq,
                (SELECT max(seq) FROM events WHERE worker = workers.key)
                FROM workers WHERE id = ?1",
        )?;
        let row = statement.query_row([worker_id.as_bytes()], |row| {
            Ok(WorkerRow {
                key: row.get(0)?,
                active: row.get(1)?,
                deleted: row.get(2)?,
                trimmed: row.get(3)?,
                rest_seq: row.get(4)?,
                last_seq: row.get::<_, Option<i64>>(5)?.unwrap_or(0),
            })
        });
        row.optional()
    }

    fn check(
        &self,
        worker: Option<&WorkerRow>,
        commit: &EncodedCommit,
    ) -> rusqlite::Result<Result<(), StoreError>> {
        let worker_id = commit.worker_id;
        let last = worker.map_or(0, |worker| worker.last_seq);
        let offered = commit.events.first().map_or(0, |event| event.seq);
        let follows = commit.follows.map_or(last, |follows| number(follows.get()));
        let is_known = worker.is_some() || offered == 1;
        if !is_known || follows != last || worker.is_some_and(|worker| worker.deleted) {
            return Ok(Err(gap(worker_id, last, offered)));
        }
        let end = last + commit.events.len() as i64;
        if let Some(rest) = commit.rest.as_ref().filter(|rest| rest.seq != end) {
            return Ok(Err(gap(worker_id, last, rest.seq)));
        }
        let mut lengths = HashMap::new();
        for piece in commit.kept_texts() {
            let length = match (lengths.get(&piece.item_id), worker) {
                (Some(length), _) => *length,
                (None, None) => 0,
                (None, Some(worker)) => self.text_length(worker.key, piece.item_id.get())?,
            };
            if piece.offset != length {
                return Ok(Err(misplaced(worker_id, piece.item_id)));
            }
            lengths.insert(piece.item_id, length + piece.text.len() as u64);
        }
        Ok(Ok(()))
    }

    fn text_length(&self, worker: i64, item: u64) -> rusqlite::Result<u64> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT start + length(text) FROM texts WHERE worker = ?1 AND item = ?2
                ORDER BY start DESC LIMIT 1",
        )?;
        let length = statement.query_row((worker, number(item)), |row| row.get(0)).optional()?;
        Ok(ordinal(length.unwrap_or(0)))
    }

    /// A Worker that begins with this commit. `check` has seen to it that there is an event.
    fn insert_worker(&self, commit: &EncodedCommit) -> rusqlite::Result<WorkerRow> {
        let created = commit.events.first().ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let rest_seq = commit.rest.as_ref().map_or(0, |rest| rest.seq);
        self.execute(
            "INSERT INTO workers (id, active, rest_seq, created_at, created, rest)
                VALUES (:id, :active, :rest_seq, :created_at, :created, :rest)",
            named_params! {
                ":id": commit.worker_id.as_bytes(),
                ":active": commit.rest.is_none(),
                ":rest_seq": rest_seq,
                ":created_at": created.at,
                ":created": created.body,
                ":rest": commit.rest.as_ref().map(|rest| &rest.state),
            },
        )?;
        Ok(WorkerRow {
            key: self.transaction.last_insert_rowid(),
            active: commit.rest.is_none(),
            deleted: false,
            trimmed: 0,
            rest_seq,
            last_seq: 0,
        })
    }

    /// What a commit says about whether its Worker rests. Most say nothing new.
    fn update_worker(
        &self,
        mut worker: WorkerRow,
        commit: &EncodedCommit,
    ) -> rusqlite::Result<WorkerRow> {
        if let Some(rest) = &commit.rest {
            self.execute(
                "UPDATE workers SET active = 0, rest_seq = ?2, rest = ?3 WHERE key = ?1",
                (worker.key, rest.seq, &rest.state),
            )?;
            worker.rest_seq = rest.seq;
        } else if !commit.events.is_empty() && !worker.active {
            self.execute("UPDATE workers SET active = 1 WHERE key = ?1", [worker.key])?;
        }
        Ok(worker)
    }

    fn insert_event(&mut self, worker: i64, event: &EncodedEvent) -> rusqlite::Result<()> {
        self.execute(
            "INSERT INTO events (position, worker, seq, at, item, ended_turn, body)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                self.next_position,
                worker,
                event.seq,
                event.at,
                event.item,
                event.ended_turn,
                &event.body,
            ),
        )?;
        self.next_position += 1;
        Ok(())
    }

    /// Where a key is remembered already, the new acceptance takes its place: the old one was too
    /// old to be asked for.
    fn insert_key(&self, key: &EncodedKey) -> rusqlite::Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO keys (principal, operation, worker, key, request, at, answer)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                &key.scope.principal,
                key.scope.operation,
                &key.scope.worker,
                &key.scope.key,
                key.request,
                key.at,
                &key.answer,
            ),
        )
    }

    /// From here on readers see nothing but the tombstone; the rest is swept.
    fn delete(&mut self, worker: i64, tombstone: i64) -> rusqlite::Result<()> {
        self.execute("DELETE FROM texts WHERE worker = ?1", [worker])?;
        self.execute(
            "UPDATE workers SET active = 0, deleted = 1, trimmed = ?2, swept = 0, rest_seq = 0,
                created = x'', rest = NULL WHERE key = ?1",
            (worker, tombstone - 1),
        )?;
        self.to_sweep.push(worker);
        Ok(())
    }

    /// From here on readers go by the new mark. What one step can remove is removed at once, and
    /// the rest of a big log is swept after the commit: removed all at once, it would keep every
    /// other commit waiting.
    fn trim(&mut self, worker: &WorkerRow, commit: &EncodedCommit) -> rusqlite::Result<()> {
        let through = number(commit.trims_through.get()).min(worker.rest_seq);
        if through <= worker.trimmed.max(1) {
            return Ok(());
        }
        self.execute("UPDATE workers SET trimmed = ?2 WHERE key = ?1", (worker.key, through))?;
        if self.sweep(worker.key)? {
            self.to_sweep.push(worker.key);
        }
        Ok(())
    }

    /// Removes some of the events that a Worker's marks say are removed. Returns whether there may
    /// be more.
    pub(super) fn sweep(&self, worker: i64) -> rusqlite::Result<bool> {
        let marks = self
            .transaction
            .prepare_cached("SELECT deleted, trimmed, swept FROM workers WHERE key = ?1")?
            .query_row([worker], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((deleted, trimmed, swept)) = marks else { return Ok(false) };
        let (deleted, trimmed, swept): (bool, i64, i64) = (deleted, trimmed, swept);
        let mut reached = swept;
        let mut bytes = 0;
        let mut doomed = Vec::new();
        {
            let mut statement = self.transaction.prepare_cached(
                "SELECT position, seq, item IS NULL, length(body) FROM events
                    WHERE worker = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4",
            )?;
            let mut rows = statement.query((worker, swept, trimmed, SWEEP_EVENTS))?;
            while bytes < SWEEP_BYTES
                && let Some(row) = rows.next()?
            {
                reached = row.get(1)?;
                if deleted || (reached > 1 && row.get(2)?) {
                    doomed.push(row.get::<_, i64>(0)?);
                    bytes += row.get::<_, i64>(3)?;
                }
            }
        }
        for position in doomed {
            self.execute("DELETE FROM events WHERE position = ?1", [position])?;
        }
        // None left: the mark is reached, whatever is missing before it.
        let reached = if reached == swept { trimmed } else { reached };
        self.execute("UPDATE workers SET swept = ?2 WHERE key = ?1", (worker, reached))?;
        Ok(reached < trimmed)
    }

    pub(super) fn put_component(
        &self,
        digest: ComponentDigest,
        bytes: &[u8],
    ) -> rusqlite::Result<Applied> {
        let digest = digest.to_string();
        let mut found =
            self.transaction.prepare_cached("SELECT 1 FROM components WHERE digest = ?1")?;
        if !found.exists([digest.as_bytes()])? {
            self.execute(
                "INSERT INTO components (digest, bytes) VALUES (?1, ?2)",
                (digest.as_bytes(), bytes),
            )?;
        }
        Ok(Ok(0))
    }

    /// Removes a component; returns whether it was there, as a number.
    pub(super) fn remove_component(&self, digest: ComponentDigest) -> rusqlite::Result<Applied> {
        let digest = digest.to_string();
        let mut statement =
            self.transaction.prepare_cached("DELETE FROM components WHERE digest = ?1")?;
        Ok(Ok(statement.execute([digest.as_bytes()])? as u64))
    }

    /// Forgets these keys; returns how many were there.
    pub(super) fn forget_keys(&self, ids: &[i64]) -> rusqlite::Result<Applied> {
        let mut statement = self.transaction.prepare_cached("DELETE FROM keys WHERE id = ?1")?;
        let mut forgotten = 0;
        for id in ids {
            forgotten += statement.execute([id])? as u64;
        }
        Ok(Ok(forgotten))
    }

    fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.transaction.prepare_cached(sql)?.execute(parameters).map(drop)
    }
}

fn gap(worker_id: WorkerId, last: i64, offered: i64) -> StoreError {
    let seq = |seq| Seq::new(ordinal(seq));
    StoreError::Gap { worker_id, last: seq(last), offered: seq(offered) }
}

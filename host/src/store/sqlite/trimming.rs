//! Which Workers hold more than retention allows.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use worker_types::{Retention, Seq, WorkerId};

use super::{encoding::ordinal, failure::ReadError, queries::id_of};
use crate::store::retention::{Excess, Totals, oldest};

/// Workers that are looked at in one read: a store of many must not keep a reader for seconds.
const WORKERS: i64 = 64;

/// A part of the answer.
#[derive(Debug)]
pub(super) struct Trimmable {
    pub(super) found: Vec<(WorkerId, Seq)>,
    /// Where to go on; none at the end.
    pub(super) next: Option<i64>,
}

/// A Worker at rest whose snapshot is current.
struct Resting {
    key: i64,
    id: WorkerId,
    trimmed: i64,
    last_seq: i64,
}

/// Looks at some Workers whose keys are greater than `after`.
pub(super) fn trimmable(
    connection: &Connection,
    after: i64,
    retention: &Retention,
    now: Timestamp,
) -> Result<Trimmable, ReadError> {
    let mut statement = connection.prepare_cached(
        "SELECT key, id, trimmed, rest_seq, active OR deleted,
            (SELECT max(seq) FROM events WHERE worker = workers.key)
            FROM workers WHERE key > ?1 ORDER BY key LIMIT ?2",
    )?;
    let mut rows = statement.query((after, WORKERS))?;
    let (mut found, mut next) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        let last_seq = row.get::<_, Option<i64>>(5)?.unwrap_or(0);
        let key = row.get(0)?;
        next = Some(key);
        // Nobody can be asked to trim a Worker that has no name.
        let Some(id) = id_of(row, 1)? else { continue };
        let worker = Resting { key, id, trimmed: row.get(2)?, last_seq };
        let is_busy: bool = row.get(4)?;
        if is_busy || row.get::<_, i64>(3)? != last_seq {
            continue;
        }
        match through(connection, &worker, retention, now) {
            Ok(Some(through)) => found.push((worker.id, through)),
            Ok(None) => {}
            // Nothing is removed of a log that cannot be read.
            Err(error) => {
                tracing::error!(worker = %worker.id, ?error, "retention skips a Worker");
            }
        }
    }
    Ok(Trimmable { found, next })
}

fn through(
    connection: &Connection,
    worker: &Resting,
    retention: &Retention,
    now: Timestamp,
) -> Result<Option<Seq>, ReadError> {
    let from = worker.trimmed.max(1);
    let oldest = oldest(retention, now).map_or(i64::MIN, Timestamp::as_microsecond);
    // A log cannot hold more events than it has numbers: most Workers end here.
    let bound = retention.max_events.unwrap_or(u64::MAX);
    if retention.max_bytes.is_none()
        && ordinal(worker.last_seq - from) <= bound
        && first(connection, worker.key, from)?.is_none_or(|at| at >= oldest)
    {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached(
        "SELECT count(*), total(length(body)), max(CASE WHEN at < ?3 THEN seq END) FROM events
            WHERE worker = ?1 AND seq > ?2 AND item IS NULL",
    )?;
    let totals = statement.query_row((worker.key, from, oldest), |row| {
        Ok(Totals {
            events: ordinal(row.get(0)?),
            bytes: row.get::<_, f64>(1)? as u64,
            old_through: Seq::new(ordinal(row.get::<_, Option<i64>>(2)?.unwrap_or(0))),
        })
    })?;
    let Some(mut excess) = Excess::of(totals, retention) else { return Ok(None) };
    let mut statement = connection.prepare_cached(
        "SELECT seq, length(body), body FROM events
            WHERE worker = ?1 AND seq > ?2 AND seq < ?3 AND item IS NULL ORDER BY seq",
    )?;
    let mut rows = statement.query((worker.key, from, worker.last_seq))?;
    while let Some(row) = rows.next()? {
        let is_record = excess.is_undecided() && row.get_ref(2)?.as_blob().is_ok_and(is_record);
        if !excess.takes(Seq::new(ordinal(row.get(0)?)), ordinal(row.get(1)?), is_record) {
            break;
        }
    }
    Ok(excess.through())
}

/// The time of a log's first removable event. Where clocks stepped a later one may be older: it
/// goes when this one does.
fn first(connection: &Connection, worker: i64, from: i64) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT at FROM events WHERE worker = ?1 AND seq > ?2 AND item IS NULL
            ORDER BY seq LIMIT 1",
    )?;
    statement.query_row((worker, from), |row| row.get(0)).optional()
}

fn is_record(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Kind<'a> {
        #[serde(rename = "type")]
        name: &'a str,
    }
    serde_json::from_slice::<Kind<'_>>(body).is_ok_and(|kind| kind.name == "worker.trimmed")
}

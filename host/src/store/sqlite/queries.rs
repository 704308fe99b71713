//! The reads, each in a transaction of its reader. Bodies come back as they are stored: they are
//! decoded on the thread of whoever asked.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};
use worker_types::{Event, ItemId, Seq, TurnId, WorkerId};

use super::{
    encoding::{EncodedScope, number, ordinal, time, turn_bound},
    failure::{ReadError, is_damage},
};
use crate::store::{ItemPage, ItemRange, KeyRecord, KeyScope, PAGE_BYTES, StoredWorker};

/// Keys that one transaction forgets.
const FORGOTTEN_KEYS: i64 = 1_000;

type Result<T> = std::result::Result<T, ReadError>;

/// An event's row.
#[derive(Debug)]
pub(super) struct RawEvent {
    pub(super) seq: i64,
    at: i64,
    pub(super) body: Vec<u8>,
}

impl RawEvent {
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { seq: row.get(0)?, at: row.get(1)?, body: row.get(2)? })
    }

    pub(super) fn decode(self, worker_id: WorkerId) -> Result<Event> {
        let seq = Seq::new(ordinal(self.seq));
        let damaged = |reason: String| ReadError::Damaged(format!("event {seq}: {reason}"));
        let body =
            serde_json::from_slice(&self.body).map_err(|error| damaged(error.to_string()))?;
        let at = time(self.at).ok_or_else(|| damaged("its time is out of range".to_owned()))?;
        Ok(Event { seq, at, worker_id, body })
    }
}

/// A Worker's marks.
struct Marks {
    key: i64,
    trimmed: i64,
    deleted: bool,
}

fn marks(connection: &Connection, worker_id: WorkerId) -> Result<Option<Marks>> {
    let mut statement =
        connection.prepare_cached("SELECT key, trimmed, deleted FROM workers WHERE id = ?1")?;
    let marks = statement.query_row([worker_id.as_bytes()], |row| {
        Ok(Marks { key: row.get(0)?, trimmed: row.get(1)?, deleted: row.get(2)? })
    });
    Ok(marks.optional()?)
}

/// A Worker that is not deleted.
fn live(connection: &Connection, worker_id: WorkerId) -> Result<Option<Marks>> {
    Ok(marks(connection, worker_id)?.filter(|marks| !marks.deleted))
}

/// Rows until `take` says that it is enough.
pub(super) fn each(
    statement: &mut CachedStatement<'_>,
    parameters: impl Params,
    mut take: impl FnMut(&Row<'_>) -> Result<bool>,
) -> Result<()> {
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        if !take(row)? {
            break;
        }
    }
    Ok(())
}

/// What fits into a page: always one.
pub(super) struct Page {
    bytes: usize,
    max_bytes: usize,
    entries: usize,
    limit: usize,
}

impl Page {
    pub(super) fn new(limit: usize, max_bytes: usize) -> Self {
        Self { bytes: 0, max_bytes, entries: 0, limit }
    }

    pub(super) fn takes(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        let fits = self.entries == 0 || self.bytes <= self.max_bytes;
        self.entries += 1;
        fits && self.entries <= self.limit
    }
}

pub(super) fn read(
    connection: &Connection,
    worker_id: WorkerId,
    after: Seq,
    until: Seq,
    limit: usize,
) -> Result<Vec<RawEvent>> {
    let Some(worker) = marks(connection, worker_id)? else { return Ok(Vec::new()) };
    let (after, until) = (number(after.get()), number(until.get()));
    if after >= until || limit == 0 {
        return Ok(Vec::new());
    }
    if after < worker.trimmed {
        return Err(ReadError::Trimmed(Seq::new(ordinal(worker.trimmed))));
    }
    let mut events: Vec<RawEvent> = Vec::new();
    let mut page = Page::new(limit, PAGE_BYTES);
    let mut statement = connection.prepare_cached(
        "SELECT seq, at, body FROM events WHERE worker = ?1 AND seq > ?2 AND seq <= ?3
            ORDER BY seq",
    )?;
    each(&mut statement, (worker.key, after, until), |row| {
        let expected = events.last().map_or(after, |event| event.seq) + 1;
        let event = RawEvent::from_row(row)?;
        if event.seq != expected {
            return Err(ReadError::damaged(format!("event {expected} is missing")));
        }
        let takes = page.takes(event.body.len());
        if takes {
            events.push(event);
        }
        Ok(takes)
    })?;
    Ok(events)
}

pub(super) fn items(
    connection: &Connection,
    worker_id: WorkerId,
    ItemPage { range, until, limit, max_bytes }: ItemPage,
) -> Result<Vec<RawEvent>> {
    let Some(worker) = live(connection, worker_id)? else { return Ok(Vec::new()) };
    let until = number(until.get());
    // Of each item the newest row; the index alone says which.
    let (sql, bound) = match range {
        ItemRange::Before(item) => (
            "SELECT item, seq, position FROM events
                WHERE worker = ?1 AND item < ?2 AND item IS NOT NULL AND seq <= ?3
                ORDER BY item DESC, seq DESC",
            number(item.get()),
        ),
        ItemRange::After(item) => (
            "SELECT item, max(seq), position FROM events
                WHERE worker = ?1 AND item > ?2 AND item IS NOT NULL AND seq <= ?3
                GROUP BY item ORDER BY item",
            number(item.get()),
        ),
    };
    let mut items: Vec<RawEvent> = Vec::new();
    let mut last: Option<i64> = None;
    let mut page = Page::new(limit, max_bytes);
    let mut bodies =
        connection.prepare_cached("SELECT seq, at, body FROM events WHERE position = ?1")?;
    let mut statement = connection.prepare_cached(sql)?;
    each(&mut statement, (worker.key, bound, until), |row| {
        let item: i64 = row.get(0)?;
        // An older form of the same item.
        if last == Some(item) {
            return Ok(true);
        }
        let next_to = last.or(matches!(range, ItemRange::After(_)).then_some(bound));
        if next_to.is_some_and(|next_to| next_to.abs_diff(item) != 1) {
            return Err(ReadError::damaged(format!("an item beside item {item} is missing")));
        }
        last = Some(item);
        let position: i64 = row.get(2)?;
        let event = bodies.query_row([position], RawEvent::from_row)?;
        let takes = page.takes(event.body.len());
        if takes {
            items.push(event);
        }
        Ok(takes)
    })?;
    Ok(items)
}

pub(super) fn turn_end(
    connection: &Connection,
    worker_id: WorkerId,
    turn: TurnId,
) -> Result<Option<RawEvent>> {
    let Some(worker) = live(connection, worker_id)? else { return Ok(None) };
    let mut statement = connection.prepare_cached(
        // The plus keeps the planner from going through the log by `seq` instead.
        "SELECT seq, at, body FROM events WHERE worker = ?1 AND ended_turn = ?2 AND +seq > ?3",
    )?;
    let parameters = (worker.key, number(turn.get()), worker.trimmed);
    Ok(statement.query_row(parameters, RawEvent::from_row).optional()?)
}

pub(super) fn turn_ends(
    connection: &Connection,
    worker_id: WorkerId,
    before: Option<TurnId>,
    limit: usize,
) -> Result<Vec<RawEvent>> {
    let Some(worker) = live(connection, worker_id)? else { return Ok(Vec::new()) };
    let mut ends = Vec::new();
    if limit == 0 {
        return Ok(ends);
    }
    let mut statement = connection.prepare_cached(
        "SELECT seq, at, body FROM events WHERE worker = ?1 AND ended_turn < ?2 AND +seq > ?3
            ORDER BY ended_turn DESC",
    )?;
    each(&mut statement, (worker.key, turn_bound(before), worker.trimmed), |row| {
        ends.push(RawEvent::from_row(row)?);
        Ok(ends.len() < limit)
    })?;
    ends.reverse();
    Ok(ends)
}

/// Pieces in order, each with where it begins.
pub(super) fn texts(
    connection: &Connection,
    worker_id: WorkerId,
) -> Result<Vec<(ItemId, u64, Vec<u8>)>> {
    let mut pieces = Vec::new();
    let Some(worker) = live(connection, worker_id)? else { return Ok(pieces) };
    let mut statement = connection.prepare_cached(
        "SELECT item, start, text FROM texts WHERE worker = ?1 ORDER BY item, start",
    )?;
    each(&mut statement, [worker.key], |row| {
        pieces.push((ItemId::new(ordinal(row.get(0)?)), ordinal(row.get(1)?), row.get(2)?));
        Ok(true)
    })?;
    Ok(pieces)
}

pub(super) fn snapshot(connection: &Connection, worker_id: WorkerId) -> Result<Option<Vec<u8>>> {
    let mut statement =
        connection.prepare_cached("SELECT rest FROM workers WHERE id = ?1 AND deleted = 0")?;
    let rest = statement.query_row([worker_id.as_bytes()], |row| row.get(0)).optional()?;
    Ok(rest.flatten())
}

pub(super) fn last_seq(connection: &Connection, worker_id: WorkerId) -> Result<Seq> {
    let mut statement = connection.prepare_cached(
        "SELECT max(seq) FROM events WHERE worker = (SELECT key FROM workers WHERE id = ?1)",
    )?;
    let last: Option<i64> = statement.query_row([worker_id.as_bytes()], |row| row.get(0))?;
    Ok(Seq::new(ordinal(last.unwrap_or(0))))
}

/// A Worker's row, or that it cannot be read.
pub(super) type RawWorker = (WorkerId, Result<(RawEvent, Option<Vec<u8>>)>);

/// Workers in the order of their ids. Each row is entered by itself, so that a damaged page costs
/// the Workers on it and no other; the index of ids and the table itself stand in for each other.
pub(super) fn workers(
    connection: &Connection,
    after: Option<WorkerId>,
    limit: usize,
) -> Result<Vec<RawWorker>> {
    let after = after.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
    let mut by_id =
        connection.prepare_cached("SELECT id, key FROM workers WHERE id > ?1 ORDER BY id")?;
    let mut page = WorkerPage::new(connection, limit)?;
    let read = each(&mut by_id, [&after], |row| match id_of(row, 0)? {
        Some(id) => Ok(page.take(id, row.get(1)?)),
        None => Ok(true),
    });
    match read {
        Err(ReadError::Sqlite(error)) if is_damage(&error) => {
            tracing::error!(%error, "the index of Workers is damaged");
        }
        read => return read.map(|()| page.workers),
    }
    let mut statement =
        connection.prepare_cached("SELECT id, key FROM workers NOT INDEXED WHERE id > ?1")?;
    let mut listed: Vec<(WorkerId, i64)> = Vec::new();
    each(&mut statement, [&after], |row| {
        if let Some(id) = id_of(row, 0)? {
            listed.push((id, row.get(1)?));
        }
        Ok(true)
    })?;
    listed.sort_unstable();
    let mut page = WorkerPage::new(connection, limit)?;
    for (id, key) in listed {
        if !page.take(id, key) {
            break;
        }
    }
    Ok(page.workers)
}

/// The id in a Worker's row; none where it is damaged, which is said by [`nameless`].
pub(super) fn id_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<WorkerId>> {
    let id = row.get_ref(column)?.as_bytes_or_null().ok().flatten();
    Ok(id.and_then(|id| id.try_into().ok()).map(WorkerId::from_bytes))
}

/// The keys of some Workers whose ids are none.
pub(super) fn nameless(connection: &Connection) -> Result<Vec<i64>> {
    let mut keys: Vec<i64> = Vec::new();
    let mut statement = connection.prepare_cached(
        "SELECT key FROM workers WHERE typeof(id) <> 'blob' OR length(id) <> 16 LIMIT 100",
    )?;
    let read = each(&mut statement, (), |row| {
        keys.push(row.get(0)?);
        Ok(true)
    });
    match read {
        // Whoever lists the Workers says that there is damage.
        Err(ReadError::Sqlite(error)) if is_damage(&error) => Ok(keys),
        read => read.map(|()| keys),
    }
}

/// The rows of some Workers.
struct WorkerPage<'a> {
    row: CachedStatement<'a>,
    workers: Vec<RawWorker>,
    page: Page,
}

impl<'a> WorkerPage<'a> {
    fn new(connection: &'a Connection, limit: usize) -> Result<Self> {
        let row = connection.prepare_cached(
            "SELECT deleted, active, created_at, created, rest FROM workers WHERE key = ?1",
        )?;
        Ok(Self { row, workers: Vec::new(), page: Page::new(limit, PAGE_BYTES) })
    }

    /// Takes one more, unless it is deleted. False: it has no place on this page.
    fn take(&mut self, worker_id: WorkerId, key: i64) -> bool {
        let Some(row) = self.enter(key).transpose() else { return true };
        let bytes = row
            .as_ref()
            .map_or(0, |(created, rest)| created.body.len() + rest.as_ref().map_or(0, Vec::len));
        let takes = self.page.takes(bytes);
        if takes {
            self.workers.push((worker_id, row));
        }
        takes
    }

    fn enter(&mut self, key: i64) -> Result<Option<(RawEvent, Option<Vec<u8>>)>> {
        let mut rows = self.row.query([key])?;
        let Some(row) = rows.next()? else {
            return Err(ReadError::damaged("its row is missing"));
        };
        if row.get(0)? {
            return Ok(None);
        }
        let created = RawEvent { seq: 1, at: row.get(2)?, body: row.get(3)? };
        let rest: Option<Vec<u8>> = if row.get(1)? { None } else { row.get(4)? };
        Ok(Some((created, rest)))
    }
}

/// A Worker out of its row.
pub(super) fn decode_worker(
    worker_id: WorkerId,
    (created, rest): (RawEvent, Option<Vec<u8>>),
) -> Result<StoredWorker> {
    let created = created.decode(worker_id)?;
    // Where it makes no sense the Worker is listed all the same: who loads it is told.
    let rest = rest.and_then(|json| serde_json::from_slice(&json).ok());
    Ok(StoredWorker { worker_id, created, rest })
}

pub(super) fn key(
    connection: &Connection,
    scope: &KeyScope,
    encoded: &EncodedScope,
) -> Result<Option<KeyRecord>> {
    let mut statement = connection.prepare_cached(
        "SELECT request, answer, at FROM keys
            WHERE principal = ?1 AND operation = ?2 AND worker = ?3 AND key = ?4",
    )?;
    let EncodedScope { principal, operation, worker, key } = encoded;
    let row = statement.query_row((principal, operation, worker, key), |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    });
    let Some((request, answer, at)) = row.optional()? else { return Ok(None) };
    let at = time(at).ok_or_else(|| ReadError::damaged("the time of a key is out of range"))?;
    Ok(Some(KeyRecord { scope: scope.clone(), request, answer, at }))
}

/// Some of the keys from before `before`, oldest first, each with its time.
pub(super) fn old_keys(
    connection: &Connection,
    before: i64,
    after: Option<(i64, i64)>,
) -> Result<Vec<(i64, i64)>> {
    let (at, id) = after.unwrap_or((i64::MIN, i64::MIN));
    let mut keys = Vec::new();
    let mut statement = connection.prepare_cached(
        "SELECT at, id FROM keys WHERE at < ?1 AND (at, id) > (?2, ?3) ORDER BY at, id LIMIT ?4",
    )?;
    each(&mut statement, (before, at, id, FORGOTTEN_KEYS), |row| {
        keys.push((row.get(0)?, row.get(1)?));
        Ok(true)
    })?;
    Ok(keys)
}

pub(super) fn component(connection: &Connection, digest: &str) -> Result<Option<Vec<u8>>> {
    let mut statement =
        connection.prepare_cached("SELECT bytes FROM components WHERE digest = ?1")?;
    Ok(statement.query_row([digest.as_bytes()], |row| row.get(0)).optional()?)
}

pub(super) fn has_component(connection: &Connection, digest: &str) -> Result<bool> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM components WHERE digest = ?1")?;
    Ok(statement.exists([digest.as_bytes()])?)
}

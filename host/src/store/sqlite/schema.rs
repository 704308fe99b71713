//! The tables, and how a store of an earlier version is brought up to date.

use rusqlite::{Connection, TransactionBehavior};

/// `yoi1`: what tells a store from any other SQLite database.
pub(super) const APPLICATION_ID: i32 = 0x796f_6931;

/// What brings a store from one version to the next: the first makes version 1 out of nothing. A
/// step that has been released is never changed.
pub(super) const STEPS: &[&str] = &[V1];

/// `position` is the order of the feed. The positions of removed events are not given again: what
/// is removed of a Worker lies before an event of it that stays (`worker.trimmed`,
/// `worker.deleted`), so the greatest position is always there to be read.
///
/// The columns that a row is found by stand before its `body`, which may be a mebibyte: SQLite puts
/// what does not fit into a page into a chain of its own, so the tree stays flat and its inner pages
/// hold nothing but positions.
///
/// `trimmed`: the events of a Worker up to this one are removed (all of them, where it is
/// `deleted`; else those that carry no item). Up to `swept` that has been done; readers do not
/// wait for it, they go by `trimmed`.
const V1: &str = "
CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE components (
    key INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE workers (
    key INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    active INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0,
    trimmed INTEGER NOT NULL DEFAULT 0,
    swept INTEGER NOT NULL DEFAULT 0,
    rest_seq INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    created BLOB NOT NULL,
    rest BLOB
) STRICT;
CREATE INDEX workers_to_sweep ON workers (key) WHERE swept < trimmed;

CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    worker INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    item INTEGER,
    ended_turn INTEGER,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_by_seq ON events (worker, seq);
CREATE INDEX events_by_item ON events (worker, item, seq) WHERE item IS NOT NULL;
CREATE INDEX events_by_ended_turn ON events (worker, ended_turn) WHERE ended_turn IS NOT NULL;

CREATE TABLE texts (
    key INTEGER PRIMARY KEY,
    worker INTEGER NOT NULL,
    item INTEGER NOT NULL,
    start INTEGER NOT NULL,
    text BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX texts_by_start ON texts (worker, item, start);

CREATE TABLE keys (
    id INTEGER PRIMARY KEY,
    principal TEXT NOT NULL,
    operation INTEGER NOT NULL,
    worker BLOB NOT NULL,
    key TEXT NOT NULL,
    request BLOB NOT NULL,
    at INTEGER NOT NULL,
    answer BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX keys_by_scope ON keys (principal, operation, worker, key);
CREATE INDEX keys_by_age ON keys (at);
";

/// The version of the store; 0 where there is none yet.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Takes the steps that are missing, each in a transaction of its own that also counts it: one that
/// is interrupted is taken again from its start.
pub(super) fn migrate(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let done = usize::try_from(version(connection)?).unwrap_or(0);
    for (step, number) in steps.iter().zip(1_i32..).skip(done) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
        tracing::info!(version = number, "the store's schema was brought up to date");
    }
    Ok(())
}

/// Whether the tables and indexes are those that `steps` make: read from one page or two.
pub(super) fn is_intact(connection: &Connection, steps: &[&str]) -> rusqlite::Result<bool> {
    let mut expected = Connection::open_in_memory()?;
    migrate_silently(&mut expected, steps)?;
    Ok(objects(connection)? == objects(&expected)?)
}

fn migrate_silently(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    steps.iter().try_for_each(|step| connection.execute_batch(step))
}

fn objects(connection: &Connection) -> rusqlite::Result<Vec<(String, String, Option<String>)>> {
    let sql = "SELECT type, name, sql FROM sqlite_schema
        WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name";
    let mut statement = connection.prepare(sql)?;
    let objects = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    objects.collect()
}

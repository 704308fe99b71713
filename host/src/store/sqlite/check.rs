//! Whether all that a store has can be read, and makes sense.

use std::{fmt, path::Path};

use rusqlite::Connection;
use serde::{Serialize, de::IgnoredAny};
use sha2::{Digest as _, Sha256};
use worker_types::{ComponentDigest, Event, EventBody, ItemId, Seq, WorkerId};

use super::{
    database::Files,
    decode,
    encoding::{ordinal, time},
    failure::ReadError,
    join_texts, open,
    queries::{self, RawEvent, RawWorker},
    visit::{ReadStoreError, Visit},
};
use crate::{
    store::{ItemPage, ItemRange, PAGE_BYTES, Store, StoreError, into_item},
    worker::{WorkerState, evolve},
};

/// Rows that are read at once.
const PAGE: usize = 1_000;
/// What SQLite finds wrong with the database is listed up to here.
const DATABASE_DAMAGE: u32 = 100;

type Result<T, E = ReadError> = std::result::Result<T, E>;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreCheck {
    /// The Workers that are not deleted, in the order of their ids.
    pub workers: Vec<WorkerCheck>,
    /// What is damaged of what Workers share. The pages of a damaged Worker are among it, too.
    pub damage: Vec<Damage>,
}

impl StoreCheck {
    /// Whether anything is damaged.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.damage.is_empty() || self.damaged_workers().next().is_some()
    }

    /// The Workers of which something is damaged.
    pub fn damaged_workers(&self) -> impl Iterator<Item = &WorkerCheck> {
        self.workers.iter().filter(|worker| !worker.damage.is_empty())
    }
}

/// What a check found of a Worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkerCheck {
    /// Which one.
    pub worker_id: WorkerId,
    /// How many events of its log were read.
    pub events: u64,
    /// How many items of its transcript were read.
    pub items: u64,
    /// What is damaged; nothing, as a rule.
    pub damage: Vec<Damage>,
}

/// Something that cannot be read, or makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Damage {
    /// What of.
    pub part: DamagedPart,
    /// In which way, for people: without paths, and without what Workers said.
    pub reason: String,
}

/// What [`Damage`] is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DamagedPart {
    /// The pages of the database, tables and indexes.
    Database,
    /// The components that are kept.
    Components,
    /// The idempotency keys.
    Keys,
    /// The list of Workers.
    Workers,
    /// The feed of all Workers.
    Feed,
    /// What a Worker was created with.
    Creation,
    /// A Worker's log: its events, without a hole and up to the last.
    Log,
    /// The fold of a Worker's log that it is loaded from.
    Snapshot,
    /// The items of a Worker's transcript.
    Items,
    /// The text of a Worker's items that are open.
    Texts,
}

impl fmt::Display for DamagedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database => "database",
            Self::Components => "components",
            Self::Keys => "keys",
            Self::Workers => "workers",
            Self::Feed => "feed",
            Self::Creation => "creation",
            Self::Log => "log",
            Self::Snapshot => "snapshot",
            Self::Items => "items",
            Self::Texts => "texts",
        })
    }
}

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckProgress {
    /// It goes through the pages of the database, which takes as long as reading all of it.
    Database {
        /// Their bytes.
        bytes: u64,
    },
    /// It goes through the logs of Workers.
    Workers {
        /// Those that are done.
        done: u64,
    },
}

impl Store {
    /// Reads all that the store on disk in `directory` has, as it is at one moment, and tells `watch` how
    /// far it is: the pages of the database; of each Worker its events, whether one is missing, whether
    /// their fold is the snapshot, its items and texts; components, keys and the feed. Nothing in the
    /// directory is changed by it.
    ///
    /// A Runtime in another process may have the store open and goes on; what it writes meanwhile stays
    /// in its write-ahead log until this ends. In the process that has it open this must not be called.
    /// It blocks, for as long as it takes to read everything twice.
    ///
    /// # Errors
    ///
    /// Nothing can be said of the store; see [`ReadStoreError`]. Damage is no error, unless nothing else
    /// is left ([`ReadStoreError::is_damage`]).
    pub fn check(
        directory: impl AsRef<Path>,
        mut watch: impl FnMut(CheckProgress),
    ) -> Result<StoreCheck, ReadStoreError> {
        let files = Files::new(directory.as_ref());
        let visit = Visit::begin(&files)?;
        let checked = check(&visit.connection, &mut watch);
        // What changed under it is no damage.
        visit.still_counts()?;
        checked.map_err(|error| match error {
            ReadError::Sqlite(error) => open::sqlite_failure(files.directory(), &error).into(),
            other => ReadStoreError::Open(open::OpenStoreError::Failed {
                directory: files.directory().to_owned(),
                reason: other.of_store().to_string(),
            }),
        })
    }
}

fn check(connection: &Connection, watch: &mut dyn FnMut(CheckProgress)) -> Result<StoreCheck> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let bytes = ordinal(number("page_count")?.saturating_mul(number("page_size")?));
    watch(CheckProgress::Database { bytes });
    let mut found = StoreCheck { workers: Vec::new(), damage: Vec::new() };
    for look in [database, components, keys, feed, nameless] {
        found.damage.extend(look(connection)?);
    }
    let mut after = None;
    loop {
        let page = match queries::workers(connection, after, PAGE) {
            Err(error) if error.is_of_data() => {
                let reason = format!("they cannot be listed: {}", words(error));
                found.damage.push(Damage { part: DamagedPart::Workers, reason });
                return Ok(found);
            }
            page => page?,
        };
        let Some((last, _)) = page.last() else { return Ok(found) };
        after = Some(*last);
        for row in page {
            found.workers.push(worker(connection, row)?);
            watch(CheckProgress::Workers { done: found.workers.len() as u64 });
        }
    }
}

/// What is wrong with what `look` looks at, if it is that and not the way to it.
fn of_data<T>(
    damage: &mut Vec<Damage>,
    part: DamagedPart,
    look: impl FnOnce() -> Result<T>,
) -> Result<Option<T>> {
    match look() {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_of_data() => {
            damage.push(Damage { part, reason: words(error) });
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn words(error: ReadError) -> String {
    match error {
        ReadError::Damaged(reason) | ReadError::FeedDamaged { reason, .. } => reason,
        ReadError::Sqlite(_) => "the database is damaged where it is kept".to_owned(),
        other => other.of_store().to_string(),
    }
}

fn database(connection: &Connection) -> Result<Vec<Damage>> {
    let part = DamagedPart::Database;
    let mut damage = Vec::new();
    let said = of_data(&mut damage, part, || {
        let mut said: Vec<String> = Vec::new();
        connection.pragma(None, "integrity_check", DATABASE_DAMAGE, |row| {
            said.push(row.get(0)?);
            Ok(())
        })?;
        Ok(said)
    })?;
    let said = said.into_iter().flatten().filter(|line| line != "ok");
    damage.extend(said.flat_map(|text| {
        let lines: Vec<_> = text.lines().map(|line| line.trim().to_owned()).collect();
        lines.into_iter().map(|reason| Damage { part, reason })
    }));
    Ok(damage)
}

fn components(connection: &Connection) -> Result<Vec<Damage>> {
    let part = DamagedPart::Components;
    let mut damage = Vec::new();
    let mut wrong = Vec::new();
    let read = of_data(&mut damage, part, || {
        let mut statement = connection.prepare_cached("SELECT digest, bytes FROM components")?;
        queries::each(&mut statement, (), |row| {
            let (name, bytes): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let digest = ComponentDigest::from_sha256(Sha256::digest(bytes).into());
            if digest.to_string().as_bytes() != name {
                wrong.push(format!("{} does not have its digest", String::from_utf8_lossy(&name)));
            }
            Ok(true)
        })
    });
    read?;
    damage.extend(wrong.into_iter().map(|reason| Damage { part, reason }));
    Ok(damage)
}

fn keys(connection: &Connection) -> Result<Vec<Damage>> {
    let part = DamagedPart::Keys;
    let mut damage = Vec::new();
    let mut wrong = 0_u64;
    let read = of_data(&mut damage, part, || {
        let mut statement = connection.prepare_cached("SELECT request, at, answer FROM keys")?;
        queries::each(&mut statement, (), |row| {
            let (request, answer): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(2)?);
            let is_whole = request.len() == 32
                && time(row.get(1)?).is_some()
                && serde_json::from_slice::<IgnoredAny>(&answer).is_ok();
            wrong += u64::from(!is_whole);
            Ok(true)
        })
    });
    read?;
    if wrong > 0 {
        damage.push(Damage { part, reason: format!("{wrong} of them make no sense") });
    }
    Ok(damage)
}

/// What only the feed shows: events of nobody, and the ends of Workers that are deleted.
fn feed(connection: &Connection) -> Result<Vec<Damage>> {
    let part = DamagedPart::Feed;
    let mut damage = Vec::new();
    let strays = of_data(&mut damage, part, || {
        let sql = "SELECT count(*) FROM events e
            WHERE NOT EXISTS (SELECT 1 FROM workers w WHERE w.key = e.worker)";
        Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?)
    })?;
    if let Some(strays) = strays.filter(|strays| *strays > 0) {
        damage.push(Damage { part, reason: format!("{strays} of its events are of no Worker") });
    }
    let mut deleted = Vec::new();
    of_data(&mut damage, part, || {
        let mut statement = connection.prepare_cached("SELECT id FROM workers WHERE deleted")?;
        queries::each(&mut statement, (), |row| {
            deleted.extend(queries::id_of(row, 0)?);
            Ok(true)
        })
    })?;
    for worker_id in deleted {
        of_data(&mut damage, part, || {
            let last = queries::last_seq(connection, worker_id)?;
            let before = Seq::new(last.get().saturating_sub(1));
            let end = queries::read(connection, worker_id, before, last, 1)?;
            let end = end.into_iter().map(|event| event.decode(worker_id)).next().transpose()?;
            match end {
                Some(Event { body: EventBody::WorkerDeleted, .. }) => Ok(()),
                _ => Err(ReadError::damaged(format!(
                    "the deletion of Worker {worker_id} is missing"
                ))),
            }
        })?;
    }
    Ok(damage)
}

fn nameless(connection: &Connection) -> Result<Vec<Damage>> {
    let part = DamagedPart::Workers;
    let keys = queries::nameless(connection)?.into_iter();
    let reason = |key| format!("the id of a Worker cannot be read, row {key}");
    Ok(keys.map(|key| Damage { part, reason: reason(key) }).collect())
}

fn worker(connection: &Connection, (worker_id, row): RawWorker) -> Result<WorkerCheck> {
    let mut found = WorkerCheck { worker_id, events: 0, items: 0, damage: Vec::new() };
    let damage = &mut found.damage;
    of_data(damage, DamagedPart::Creation, || match row?.0.decode(worker_id)?.body {
        EventBody::WorkerCreated { .. } => Ok(()),
        _ => Err(ReadError::damaged("it is another event")),
    })?;
    let rest = of_data(damage, DamagedPart::Snapshot, || {
        let json = queries::snapshot(connection, worker_id)?;
        let state = json.map(|json| serde_json::from_slice::<WorkerState>(&json)).transpose();
        state.map_err(|error| ReadError::damaged(error.to_string()))
    })?;
    let mut log = Log { connection, worker_id, events: 0, fold: WorkerState::default() };
    let is_whole = match rest {
        Some(rest) => of_data(damage, DamagedPart::Log, || log.read(rest.as_ref()))?,
        None => None,
    };
    found.events = log.events;
    if is_whole == Some(Fold::Differs) {
        let reason = "it is not the fold of its log".to_owned();
        damage.push(Damage { part: DamagedPart::Snapshot, reason });
    }
    let last_item = is_whole.map(|_| log.fold.last_item());
    let items = &mut found.items;
    of_data(damage, DamagedPart::Items, || read_items(connection, worker_id, last_item, items))?;
    of_data(damage, DamagedPart::Texts, || {
        let pieces = queries::texts(connection, worker_id)?;
        join_texts(worker_id, pieces).map(drop).map_err(of_store)
    })?;
    Ok(found)
}

/// Whether a snapshot is what the events make of it, as far as they are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fold {
    Agrees,
    Differs,
}

struct Log<'a> {
    connection: &'a Connection,
    worker_id: WorkerId,
    events: u64,
    fold: WorkerState,
}

impl Log<'_> {
    /// Reads all events, folds them, and compares that with the snapshot on the way. Where retention
    /// removed the beginning, the snapshot is where the fold begins.
    fn read(&mut self, rest: Option<&WorkerState>) -> Result<Fold> {
        let until = queries::last_seq(self.connection, self.worker_id)?;
        if let Some(rest) = rest
            && rest.last_seq > until
        {
            let reason = format!("it ends at event {until}, not at {}", rest.last_seq);
            return Err(ReadError::damaged(reason));
        }
        let mut fold = Fold::Agrees;
        let mut after = Seq::ZERO;
        let mut compare = true;
        while after < until {
            let page = match queries::read(self.connection, self.worker_id, after, until, PAGE) {
                Err(ReadError::Trimmed(through)) if after < through => {
                    let rest = rest.filter(|rest| rest.last_seq >= through).ok_or_else(|| {
                        ReadError::damaged("the snapshot of what was removed is missing")
                    })?;
                    (self.fold, after, compare) = (rest.clone(), through, false);
                    continue;
                }
                page => page?,
            };
            let Some(last) = page.last() else {
                let reason = format!("it ends at event {after}, not at {until}");
                return Err(ReadError::damaged(reason));
            };
            after = Seq::new(ordinal(last.seq));
            for event in decode(self.worker_id, page).map_err(of_store)? {
                self.events += 1;
                let creates = matches!(event.body, EventBody::WorkerCreated { .. });
                if creates != (event.seq == crate::store::FIRST) {
                    let reason = format!("event {} creates it, or its first does not", event.seq);
                    return Err(ReadError::damaged(reason));
                }
                // What the fold begins with has these.
                if event.seq <= self.fold.last_seq {
                    continue;
                }
                evolve(&mut self.fold, &event.body);
                let is_rest = rest.filter(|rest| compare && rest.last_seq == event.seq);
                if is_rest.is_some_and(|rest| *rest != self.fold) {
                    fold = Fold::Differs;
                }
            }
        }
        Ok(fold)
    }
}

/// Reads all items up to `last`, where that is known; `read` counts them.
fn read_items(
    connection: &Connection,
    worker_id: WorkerId,
    last: Option<ItemId>,
    read: &mut u64,
) -> Result<()> {
    let mut after = ItemId::ZERO;
    loop {
        let page = ItemPage {
            range: ItemRange::After(after),
            until: Seq::new(u64::MAX),
            limit: PAGE,
            max_bytes: PAGE_BYTES,
        };
        let page: Vec<RawEvent> = queries::items(connection, worker_id, page)?;
        if page.is_empty() {
            break;
        }
        for event in decode(worker_id, page).map_err(of_store)? {
            let item = into_item(event.body);
            let item = item.ok_or_else(|| ReadError::damaged("an event has lost its item"))?;
            after = item.id;
            *read += 1;
        }
    }
    match last {
        Some(last) if last != after => {
            Err(ReadError::damaged(format!("they end at item {after}, not at {last}")))
        }
        _ => Ok(()),
    }
}

/// The damage in an error that has a Worker's id already.
fn of_store(error: StoreError) -> ReadError {
    match error {
        StoreError::Damaged { reason, .. } => ReadError::damaged(reason),
        other => ReadError::damaged(other.to_string()),
    }
}

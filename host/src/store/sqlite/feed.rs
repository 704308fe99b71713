//! The feed of all Workers, and where it goes on behind what is damaged.

use rusqlite::{Connection, OptionalExtension};
use worker_types::WorkerId;

use super::{
    encoding::{number, ordinal},
    failure::{ReadError, is_damage},
    queries::{Page, RawEvent, each},
};
use crate::store::PAGE_BYTES;

/// An event of the feed, with its position and the Worker it is of.
pub(super) type RawFeedEvent = (u64, WorkerId, RawEvent);

/// The events of the feed after `after`, of which `head` is the last position.
///
/// What comes before damage is a page of its own. A page that would begin with damage is
/// [`ReadError::FeedDamaged`], which says how far it goes.
pub(super) fn feed(
    connection: &Connection,
    after: u64,
    limit: usize,
    head: u64,
) -> Result<Vec<RawFeedEvent>, ReadError> {
    // Not "after the one before": that would be looked for on the page of the one before.
    let first = after.saturating_add(1);
    let mut events = Vec::new();
    let mut page = Page::new(limit, PAGE_BYTES);
    // What is removed and not swept yet is not shown. A row without its Worker is an error below.
    let mut statement = connection.prepare_cached(
        "SELECT e.seq, e.at, e.body, e.position, w.id
            FROM events e LEFT JOIN workers w ON w.key = e.worker
            WHERE e.position >= ?1 AND (w.key IS NULL OR e.seq > w.trimmed
                OR (w.deleted = 0 AND (e.item IS NOT NULL OR e.seq = 1)))
            ORDER BY e.position",
    )?;
    let read = each(&mut statement, [number(first)], |row| {
        let event = RawEvent::from_row(row)?;
        let worker_id = row.get::<_, Option<[u8; 16]>>(4)?;
        let worker_id = worker_id.ok_or_else(|| ReadError::damaged("an event of no Worker"))?;
        let takes = page.takes(event.body.len());
        if takes {
            let position = ordinal(row.get(3)?);
            events.push((position, WorkerId::from_bytes(worker_id), event));
        }
        Ok(takes)
    });
    match read {
        // The reader gets what comes before the damage; the next page says what is wrong.
        Err(_) if !events.is_empty() => Ok(events),
        Err(error) if error.is_of_data() => {
            tracing::error!(first, ?error, "the feed is damaged");
            Err(damage(connection, first, head)?)
        }
        read => read.map(|()| events),
    }
}

/// How far the damage goes that begins at `first`: over one event, where its place can be read.
fn damage(connection: &Connection, first: u64, head: u64) -> Result<ReadError, ReadError> {
    let mut statement = connection.prepare_cached(
        "SELECT e.position, e.seq, w.id FROM events e LEFT JOIN workers w ON w.key = e.worker
            WHERE e.position >= ?1 AND (w.key IS NULL OR e.seq > w.trimmed
                OR (w.deleted = 0 AND (e.item IS NOT NULL OR e.seq = 1)))
            ORDER BY e.position LIMIT 1",
    )?;
    let place = statement.query_row([number(first)], |row| {
        let worker_id = row.get::<_, Option<[u8; 16]>>(2)?.map(WorkerId::from_bytes);
        Ok((ordinal(row.get(0)?), ordinal(row.get(1)?), worker_id))
    });
    match place {
        Ok((through, seq, worker_id)) => Ok(ReadError::feed_damaged(through, seq, worker_id)),
        Err(error) if is_damage(&error) => {
            let through = readable_from(connection, first, head)?.saturating_sub(1);
            let reason = format!("events up to position {through} of the feed cannot be read");
            Ok(ReadError::FeedDamaged { through, worker_id: None, reason })
        }
        Err(error) => Err(error.into()),
    }
}

/// The first position after `damaged` from which events can be read; the one after `head` where
/// there is none. Events lie on pages in the order of their positions, so the end of a damaged page
/// is found by halving.
fn readable_from(connection: &Connection, damaged: u64, head: u64) -> Result<u64, ReadError> {
    let mut statement = connection.prepare_cached(
        "SELECT position FROM events WHERE position >= ?1 ORDER BY position LIMIT 1",
    )?;
    let mut is_readable = |position: u64| {
        let found = statement.query_row([number(position)], |row| row.get::<_, i64>(0)).optional();
        match found {
            Ok(_) => Ok(true),
            Err(error) if is_damage(&error) => Ok(false),
            Err(error) => Err(ReadError::from(error)),
        }
    };
    // At least one is passed over, whatever is wrong with it.
    let (mut bad, mut good) = (damaged, damaged + 1);
    while good <= head && !is_readable(good)? {
        (bad, good) = (good, good + 2 * (good - damaged));
    }
    good = good.min(head + 1);
    while good - bad > 1 {
        let middle = bad + (good - bad) / 2;
        if is_readable(middle)? {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Ok(good)
}

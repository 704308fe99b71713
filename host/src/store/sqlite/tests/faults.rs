//! What tests do to one store and to no other of the process.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use rusqlite::Connection;

#[derive(Debug, Default)]
pub(in crate::store::sqlite) struct Faults {
    /// Whether the failpoints of the process reach this store.
    pub(in crate::store::sqlite) failpoints: AtomicBool,
    /// The most pages that the database may have; zero for no bound.
    pub(in crate::store::sqlite) max_pages: AtomicU64,
}

impl Faults {
    pub(in crate::store::sqlite) fn reach_here(&self) -> bool {
        self.failpoints.load(Relaxed)
    }

    /// Does to a new connection what is asked for.
    pub(in crate::store::sqlite) fn apply(&self, connection: &Connection) -> rusqlite::Result<()> {
        match self.max_pages.load(Relaxed) {
            0 => Ok(()),
            pages => connection.pragma_update(None, "max_page_count", pages as i64),
        }
    }
}

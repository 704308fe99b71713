//! The order of all commits, as positions of twelve bytes each.

/// Entries of a chunk. A chunk never grows beyond what it was made for: one `Vec` over all would
/// double, and copy everything while it does.
pub(super) const CHUNK: usize = 1_024;

/// Where the event is that has a position: in the log `log`, at `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) log: u32,
    pub(super) seq: u32,
}

#[derive(Debug, Default)]
pub(super) struct Feed {
    chunks: Vec<Chunk>,
    head: u64,
    entries: usize,
    /// How many entries are of events that were removed.
    dead: usize,
}

#[derive(Debug)]
struct Chunk {
    base: u64,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// The position is this much after the chunk's base.
    offset: u32,
    place: Place,
}

impl Feed {
    /// What an event takes here.
    #[cfg(test)]
    pub(super) const ENTRY_BYTES: usize = size_of::<Entry>();

    /// The position of the last entry there ever was.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Gives the next position to the event at `place`.
    pub(super) fn push(&mut self, place: Place) {
        self.head += 1;
        self.insert(self.head, place);
    }

    fn insert(&mut self, position: u64, place: Place) {
        let offset = |chunk: &Chunk| u32::try_from(position - chunk.base).ok();
        let last = self.chunks.last_mut().filter(|chunk| chunk.entries.len() < CHUNK);
        match last.and_then(|chunk| offset(chunk).map(|offset| (chunk, offset))) {
            Some((chunk, offset)) => chunk.entries.push(Entry { offset, place }),
            None => {
                let mut entries = Vec::with_capacity(CHUNK);
                entries.push(Entry { offset: 0, place });
                self.chunks.push(Chunk { base: position, entries });
            }
        }
        self.entries += 1;
    }

    /// The entries after `after`, those of removed events among them.
    pub(super) fn after(&self, after: u64) -> impl Iterator<Item = (u64, Place)> {
        let first = self.chunks.partition_point(|chunk| chunk.base <= after).saturating_sub(1);
        self.chunks[first..]
            .iter()
            .flat_map(|chunk| {
                let position = |entry: &Entry| chunk.base + u64::from(entry.offset);
                chunk.entries.iter().map(move |entry| (position(entry), entry.place))
            })
            .skip_while(move |(position, _)| *position <= after)
    }

    /// Says that `count` events were removed. Returns whether that is half of all, and their entries
    /// should go.
    pub(super) fn removed(&mut self, count: usize) -> bool {
        self.dead += count;
        self.dead >= CHUNK && self.dead * 2 >= self.entries
    }

    /// Forgets the entries with these positions, which are sorted and are those of removed events.
    pub(super) fn forget(&mut self, gone: &[u64]) {
        let (Some(first), Some(last)) = (gone.first(), gone.last()) else { return };
        let begin = self.chunks.partition_point(|chunk| chunk.base <= *first).saturating_sub(1);
        let end = self.chunks.partition_point(|chunk| chunk.base <= *last);
        let mut touched: Vec<Chunk> = self.chunks.drain(begin..end).collect();
        let held = |chunks: &[Chunk]| chunks.iter().map(|chunk| chunk.entries.len()).sum::<usize>();
        let before = held(&touched);
        for Chunk { base, entries } in &mut touched {
            entries.retain(|entry| gone.binary_search(&(*base + u64::from(entry.offset))).is_err());
            entries.shrink_to_fit();
        }
        touched.retain(|chunk| !chunk.entries.is_empty());
        let forgotten = before - held(&touched);
        self.chunks.splice(begin..begin, touched);
        self.entries -= forgotten;
        self.dead = self.dead.saturating_sub(forgotten);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_removed_events_go_and_positions_stay() {
        let mut feed = Feed::default();
        let place = |seq| Place { log: 0, seq };
        (1..=5_000).for_each(|seq| feed.push(place(seq)));
        assert!(!feed.removed(2_499));
        assert!(feed.removed(1));
        let odd: Vec<u64> = (1..=5_000).filter(|position| *position % 2 == 1).collect();
        odd.chunks(100).for_each(|gone| feed.forget(gone));
        assert_eq!((feed.entries, feed.dead), (2_500, 0));
        // All of some chunks, and what is gone already.
        let early: Vec<u64> = (1..=3_000).collect();
        feed.forget(&early);
        assert_eq!((feed.entries, feed.chunks.len()), (1_000, 3));
        assert_eq!(feed.after(0).next(), Some((3_002, place(3_002))));
        feed.push(place(5_001));
        let all: Vec<_> = feed.after(4_996).collect();
        assert_eq!(all, [(4_998, place(4_998)), (5_000, place(5_000)), (5_001, place(5_001))]);
        assert_eq!(feed.after(5_001).next(), None);
        assert_eq!(feed.after(u64::MAX).next(), None);
    }
}

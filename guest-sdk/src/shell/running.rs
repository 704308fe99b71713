//! A script that runs.

use std::marker::PhantomData;

use super::{Ending, Input, Piece, Script, Shell};
use crate::{Error, host};

/// The most bytes that are offered to a script in one call: what its pipe could hold anyway.
const MAX_OFFER_BYTES: usize = 64 << 10;

/// A script that runs: an iterator over its pieces, which ends after [`Piece::Ended`].
///
/// While nobody takes pieces, a script that writes waits. Dropping it cancels the script: nothing
/// of it runs on when the drop returns.
#[derive(Debug)]
#[must_use = "the script is cancelled when this is dropped"]
pub struct Running<'shell> {
    script: host::RunningScript,
    /// What the script is still to read.
    feed: Option<Feed>,
    ended: bool,
    /// One script of a session runs at a time, and none outlives it.
    session: PhantomData<&'shell mut Shell>,
}

/// Input that was there from the start.
#[derive(Debug)]
struct Feed {
    bytes: Vec<u8>,
    taken: usize,
}

/// What a [`Running`] script can do now without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// `next` has a piece, or the end.
    pub to_take: bool,
    /// `write` takes something, or tells that nobody will read.
    pub to_write: bool,
}

impl Running<'_> {
    pub(super) fn start(session: &host::ShellSession, mut script: Script) -> Result<Self, Error> {
        let input = std::mem::take(&mut script.input);
        let mut running = session.start(script)?;
        let feed = match input {
            Input::Open => None,
            Input::Bytes(bytes) if !bytes.is_empty() => Some(Feed { bytes, taken: 0 }),
            Input::Bytes(_) | Input::Closed => {
                running.close_stdin();
                None
            }
        };
        Ok(Self { script: running, feed, ended: false, session: PhantomData })
    }

    /// Waits until there is a piece to take or room to write, and says which. It waits for neither
    /// once the script has ended.
    ///
    /// A script that reads little has room most of the time: call this while there is something to
    /// write, and else `next`. [`Script::input`] does all of it by itself.
    pub fn ready(&mut self) -> Ready {
        if self.ended {
            return Ready { to_take: true, to_write: true };
        }
        self.script.ready()
    }

    /// Gives a script with [`Input::Open`] more to read: how many of the bytes were taken, which
    /// may be none while it reads nothing; absent once nobody will read them. Never waits.
    pub fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.ended {
            return None;
        }
        let taken = self.script.write(&bytes[..bytes.len().min(MAX_OFFER_BYTES)])?;
        // A host that took more than it was given is wrong about it.
        Some(usize::try_from(taken).unwrap_or(usize::MAX).min(bytes.len()))
    }

    /// Ends its standard input. Until then a script with [`Input::Open`] waits where it reads.
    pub fn close_stdin(&mut self) {
        self.feed = None;
        self.script.close_stdin();
    }

    /// Offers what is left of the input. Returns whether something still is.
    fn feed(&mut self) -> bool {
        while let Some(Feed { bytes, taken }) = &mut self.feed {
            let end = bytes.len().min(*taken + MAX_OFFER_BYTES);
            match self.script.write(&bytes[*taken..end]) {
                Some(0) => return true,
                Some(more) => {
                    *taken += usize::try_from(more).unwrap_or(usize::MAX).min(end - *taken);
                    if *taken == bytes.len() {
                        self.close_stdin();
                    }
                }
                None => self.close_stdin(),
            }
        }
        false
    }
}

impl Iterator for Running<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if self.ended {
            return None;
        }
        // A script that waits for room to write reads nothing, so neither side may wait for only
        // one of the two.
        while self.feed() && !self.script.ready().to_take {}
        let piece = self.script.next().unwrap_or_else(|| Piece::Ended(Ending::lost()));
        self.ended = matches!(piece, Piece::Ended(_));
        Some(piece)
    }
}

impl std::iter::FusedIterator for Running<'_> {}

//! Text that is said as it comes, in as many messages as it takes.

use worker_guest::{Error, Turn, Utterance};

/// The most bytes of text in one message: what an item may have unless the operator says otherwise.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// What is being said. Nothing is said of nothing: the first message opens with the first text.
#[derive(Debug)]
pub(crate) struct Speech<'turn> {
    turn: &'turn Turn,
    message: Option<Utterance>,
    /// How many more bytes the open message may have.
    room: usize,
}

impl<'turn> Speech<'turn> {
    pub(crate) const fn new(turn: &'turn Turn) -> Self {
        Self { turn, message: None, room: 0 }
    }

    /// Says the next piece. A message that is full ends, between two characters, and another one
    /// goes on.
    pub(crate) fn say(&mut self, mut text: &str) -> Result<(), Error> {
        while !text.is_empty() {
            let (now, later) = text.split_at(text.floor_char_boundary(self.room));
            if now.is_empty() {
                self.end()?;
                self.room = MAX_MESSAGE_BYTES;
                continue;
            }
            if self.message.is_none() {
                self.message = Some(self.turn.utter()?);
            }
            if let Some(message) = &mut self.message {
                message.delta(now)?;
            }
            self.room -= now.len();
            text = later;
        }
        Ok(())
    }

    /// Completes the open message, if there is one.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        self.message.take().map_or(Ok(()), Utterance::end)
    }
}

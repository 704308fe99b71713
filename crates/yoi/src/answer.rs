//! Prints what a Worker answers in one turn, as it comes.

use std::{collections::BTreeMap, io};

use worker_types::{
    EventBody, Item, ItemBody, ItemDelta, ItemId, LiveEvent, NoticeLevel, Outcome, StopReason,
    TurnId,
};

use crate::{exit::Exit, output::Output};

/// Prints the answer of one turn.
#[derive(Debug)]
pub(crate) struct AnswerPrinter {
    output: Output,
    turn: TurnId,
    messages: Messages,
    /// Whether the cursor stands behind text.
    in_line: bool,
}

impl AnswerPrinter {
    pub(crate) fn new(output: Output, turn: TurnId) -> Self {
        Self { output, turn, messages: Messages::default(), in_line: false }
    }

    /// Prints what `event` adds; the outcome, if it ends the turn.
    pub(crate) fn event(&mut self, event: &LiveEvent) -> io::Result<Option<Outcome>> {
        if self.output.is_json() {
            self.output.event(event)?;
        }
        match event {
            LiveEvent::Durable(event) => match &event.body {
                EventBody::ItemStarted { item, .. } => self.item(item, false)?,
                EventBody::ItemCompleted { item, .. } => self.item(item, true)?,
                EventBody::TurnEnded { turn_id, outcome, .. } if *turn_id == self.turn => {
                    self.end_line()?;
                    return Ok(Some(outcome.clone()));
                }
                EventBody::Notice { text, level } => self.notice(*level, text)?,
                _ => {}
            },
            LiveEvent::Delta(delta) => {
                let new = self.messages.piece(delta).to_owned();
                self.text(&new)?;
            }
            LiveEvent::Snapshot(snapshot) => self.all_of(snapshot.item_id, &snapshot.text)?,
        }
        Ok(None)
    }

    /// Ends the line that is being printed.
    pub(crate) fn end_line(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.in_line) {
            self.output.bytes(b"\n")?;
        }
        Ok(())
    }

    fn item(&mut self, item: &Item, is_final: bool) -> io::Result<()> {
        if item.turn_id != self.turn {
            return Ok(());
        }
        match &item.body {
            ItemBody::AssistantMessage { text, .. } => {
                self.messages.open(item.id);
                self.all_of(item.id, text)?;
                if is_final {
                    self.messages.close(item.id);
                    self.end_line()?;
                }
            }
            ItemBody::ToolCall { name, .. } if is_final => {
                self.end_line()?;
                self.output.note(&format!("tool: {name}"));
            }
            ItemBody::Notice { level, text } if is_final => self.notice(*level, text)?,
            ItemBody::UserMessage { .. }
            | ItemBody::Reasoning { .. }
            | ItemBody::ToolCall { .. }
            | ItemBody::ToolResult { .. }
            | ItemBody::Notice { .. }
            | ItemBody::Unknown => {}
        }
        Ok(())
    }

    /// Prints what is new in `text`, which is all of the item so far.
    fn all_of(&mut self, item: ItemId, text: &str) -> io::Result<()> {
        let new = self.messages.all_of(item, text).to_owned();
        self.text(&new)
    }

    fn text(&mut self, new: &str) -> io::Result<()> {
        if new.is_empty() || self.output.is_json() {
            return Ok(());
        }
        self.in_line = !new.ends_with('\n');
        self.output.text(new)
    }

    fn notice(&mut self, level: NoticeLevel, text: &str) -> io::Result<()> {
        self.end_line()?;
        let word = match level {
            NoticeLevel::Info => "note",
            NoticeLevel::Warning => "warning",
        };
        self.output.note(&format!("{word}: {text}"));
        Ok(())
    }
}

/// The messages of the answer that are not complete yet: how many bytes of each were printed.
///
/// The same text may come more than once, as a piece, as all of it so far and as the complete
/// message; each byte is printed once.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    printed: BTreeMap<ItemId, usize>,
}

impl Messages {
    pub(crate) fn open(&mut self, item: ItemId) {
        self.printed.entry(item).or_insert(0);
    }

    pub(crate) fn close(&mut self, item: ItemId) {
        self.printed.remove(&item);
    }

    /// What is new in a piece. One that does not join on, because others before it were lost, adds
    /// nothing: the complete message makes up for it.
    pub(crate) fn piece<'a>(&mut self, delta: &'a ItemDelta) -> &'a str {
        let Some(printed) = self.printed.get_mut(&delta.item_id) else { return "" };
        let new = usize::try_from(delta.offset)
            .ok()
            .and_then(|offset| printed.checked_sub(offset))
            .and_then(|known| delta.text.get(known..))
            .unwrap_or_default();
        *printed += new.len();
        new
    }

    /// What is new in all of a message so far.
    pub(crate) fn all_of<'a>(&mut self, item: ItemId, text: &'a str) -> &'a str {
        let Some(printed) = self.printed.get_mut(&item) else { return "" };
        let new = text.get(*printed..).unwrap_or_default();
        *printed += new.len();
        new
    }
}

/// How a turn that was cancelled ended, and why where nobody asked for that itself.
pub(crate) fn cancelled(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Cancel | StopReason::Unknown => "cancelled",
        StopReason::Stop => "cancelled: the Worker was stopped",
        StopReason::GrantRevoked => "cancelled: a grant that it began with was revoked",
    }
}

/// Says how a turn ended, where it did not complete.
pub(crate) fn report(output: Output, outcome: &Outcome, interrupted: bool) -> Exit {
    match outcome {
        Outcome::Completed => return Exit::Done,
        Outcome::Failed { message, .. } => {
            output.error(&format!("the turn failed: {message}"), None);
        }
        Outcome::Cancelled { reason } => output.note(cancelled(*reason)),
        Outcome::Interrupted => {
            output.note("interrupted: the Runtime went away before the turn ended");
        }
        Outcome::Unknown => output.note("the turn ended in a way that this version does not know"),
    }
    if interrupted { Exit::Interrupted } else { Exit::Failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_of_a_message_is_printed_once_whatever_comes_twice_or_not_at_all() {
        let item = ItemId::new(2);
        let piece = |offset, text: &str| ItemDelta { item_id: item, offset, text: text.to_owned() };
        let mut messages = Messages::default();
        assert_eq!(messages.piece(&piece(0, "a thought")), "", "no message of the answer");
        messages.open(item);
        assert_eq!(messages.piece(&piece(0, "Hé")), "Hé");
        assert_eq!(messages.piece(&piece(0, "Hé")), "");
        assert_eq!(messages.piece(&piece(1, "éllo")), "llo");
        assert_eq!(messages.piece(&piece(9, "after a gap")), "");
        assert_eq!(messages.all_of(item, "Héllo, w"), ", w");
        assert_eq!(messages.piece(&piece(8, "wo")), "o");
        assert_eq!(messages.piece(&piece(9, "or")), "r");
        assert_eq!(messages.piece(&piece(4, "split \u{e9}")), "");
        assert_eq!(messages.all_of(item, "Héllo, world"), "ld");
        messages.close(item);
        assert_eq!(messages.all_of(item, "Héllo, world"), "");
    }
}

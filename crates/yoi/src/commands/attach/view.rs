//! What a person sees of a Worker: its transcript as it comes, in lines.
//!
//! Nothing is kept of what was printed but how much of each open item that is, so what is shown may be as long
//! as a Worker likes.

use std::{collections::BTreeMap, io};

use worker_types::{
    CutItem, Event, EventBody, Item, ItemBody, ItemId, ItemStatus, LiveEvent, Outcome, Receipt,
    TurnId, WorkerId,
};

use crate::{
    answer::Messages,
    commands::{
        show::ended_in,
        transcript::{size, words},
    },
    output::{Output, one_line},
};

/// How many characters are shown of what is folded to one line: most of a line of a terminal.
const FOLDED: usize = 100;

#[derive(Debug)]
pub(super) struct View {
    output: Output,
    worker: WorkerId,
    /// How much of each open item is printed.
    messages: Messages,
    open: BTreeMap<ItemId, Shown>,
    /// The item whose text the cursor stands behind.
    current: Option<ItemId>,
    /// Whether the cursor stands at the begin of a line.
    at_margin: bool,
}

/// How an open item is shown.
#[derive(Debug)]
struct Shown {
    who: String,
    has_begun: bool,
    fold: Option<Fold>,
}

/// An item of which only the begin of the first line is shown, dimmed.
#[derive(Debug)]
struct Fold {
    /// Characters that may still be shown.
    left: usize,
    /// Whether there is more than is shown.
    is_full: bool,
}

impl View {
    pub(super) fn new(worker: WorkerId, output: Output) -> Self {
        Self {
            output,
            worker,
            messages: Messages::default(),
            open: BTreeMap::new(),
            current: None,
            at_margin: true,
        }
    }

    /// Shows what an event adds.
    pub(super) fn event(&mut self, event: &LiveEvent) -> io::Result<()> {
        if self.output.is_json() {
            return self.output.event(event);
        }
        match event {
            LiveEvent::Durable(event) => self.durable(event),
            LiveEvent::Delta(delta) => {
                let new = self.messages.piece(delta).to_owned();
                self.say(delta.item_id, &new)
            }
            LiveEvent::Snapshot(snapshot) => self.all_of(snapshot.item_id, &snapshot.text),
        }
    }

    fn durable(&mut self, event: &Event) -> io::Result<()> {
        match &event.body {
            EventBody::InputAccepted { item, .. } | EventBody::ItemCompleted { item, .. } => {
                self.item(item, None)
            }
            EventBody::ItemStarted { item, .. } => self.item(item, None),
            EventBody::TurnStarted { turn_id, resumes: Some(before) } => {
                self.aside(&format!("turn {turn_id} goes on from turn {before}"))
            }
            EventBody::TurnEnded { turn_id, outcome, receipt } => {
                self.open.clear();
                self.messages = Messages::default();
                self.turn_ended(*turn_id, outcome, receipt)
            }
            EventBody::Notice { text, .. } => self.block("notice: ", text, false),
            EventBody::GrantRevoked { grants } => {
                let grants: Vec<String> = grants.iter().map(ToString::to_string).collect();
                self.aside(&format!("revoked: {}", grants.join(", ")))
            }
            EventBody::WorkerUpgraded { component, .. } => {
                self.aside(&format!("it goes by the component {component} now"))
            }
            EventBody::WorkerStarted => self.aside("it is started"),
            EventBody::WorkerStopped
            | EventBody::WorkerDeleted
            | EventBody::WorkerCreated { .. }
            | EventBody::WorkerTrimmed { .. }
            | EventBody::InputQueued { .. }
            | EventBody::InputSteered { .. }
            | EventBody::TurnStarted { resumes: None, .. }
            | EventBody::UsageRecorded { .. }
            | EventBody::StateSet { .. }
            | EventBody::Unknown => Ok(()),
        }
    }

    /// Shows an item, as far as it is there and was not shown; `cut` where only its begin is there.
    pub(super) fn item(&mut self, item: &Item, cut: Option<&CutItem>) -> io::Result<()> {
        let (who, text) = words(&item.body);
        self.messages.open(item.id);
        let fold = matches!(item.body, ItemBody::Reasoning { .. } | ItemBody::ToolCall { .. });
        self.open.entry(item.id).or_insert_with(|| Shown {
            who,
            has_begun: false,
            fold: fold.then_some(Fold { left: FOLDED, is_full: false }),
        });
        if item.status == ItemStatus::InProgress {
            // What a page has of it may be cut; all of it so far comes with the events.
            return if cut.is_none() { self.all_of(item.id, &text) } else { Ok(()) };
        }
        self.all_of(item.id, &text)?;
        if self.open.get(&item.id).is_some_and(|shown| !shown.has_begun) {
            self.begin(item.id)?;
        }
        self.messages.close(item.id);
        let is_current = self.current == Some(item.id);
        self.end_line()?;
        let Some(Shown { who, fold, .. }) = self.open.remove(&item.id) else { return Ok(()) };
        // Others may have spoken since.
        let head = if is_current { "    … ".to_owned() } else { format!("{who}: ") };
        if item.status == ItemStatus::Incomplete {
            self.aside(&format!("{head}cut off"))?;
        }
        let is_folded = fold.is_some_and(|fold| fold.is_full);
        let folded = CutItem { item_id: item.id, bytes: text.len() as u64 };
        match cut.or(is_folded.then_some(&folded)) {
            Some(cut) => self.aside(&format!("{head}{}", size(self.worker, cut))),
            None => Ok(()),
        }
    }

    /// Says how a turn ended.
    pub(super) fn turn_ended(
        &mut self,
        turn: TurnId,
        outcome: &Outcome,
        receipt: &Receipt,
    ) -> io::Result<()> {
        let ended = format!("turn {turn} {}", ended_in(outcome, receipt));
        match outcome {
            Outcome::Failed { message, .. } => self.block(&format!("{ended}: "), message, false),
            _ => self.aside(&ended),
        }
    }

    /// A remark of ours, on a line of its own.
    pub(super) fn aside(&mut self, text: &str) -> io::Result<()> {
        self.end_line()?;
        self.head(text, true)?;
        self.end_line()
    }

    /// Ends the line that is being printed.
    pub(super) fn end_line(&mut self) -> io::Result<()> {
        self.current = None;
        if !std::mem::replace(&mut self.at_margin, true) {
            self.output.bytes(b"\n")?;
        }
        Ok(())
    }

    /// Shows what is new in `text`, which is all of the item so far.
    fn all_of(&mut self, id: ItemId, text: &str) -> io::Result<()> {
        let new = self.messages.all_of(id, text).to_owned();
        self.say(id, &new)
    }

    /// Shows the next piece of an item.
    fn say(&mut self, id: ItemId, new: &str) -> io::Result<()> {
        if new.is_empty() {
            return Ok(());
        }
        match self.open.get_mut(&id).and_then(|shown| shown.fold.as_mut()) {
            Some(fold) if fold.is_full => Ok(()),
            Some(fold) => {
                let piece = fold.take(new);
                self.begin(id)?;
                self.write(&piece, true)
            }
            None => {
                self.begin(id)?;
                self.write(new, false)
            }
        }
    }

    /// Goes to where an item is shown.
    fn begin(&mut self, id: ItemId) -> io::Result<()> {
        let Some(shown) = self.open.get_mut(&id) else { return Ok(()) };
        if self.current == Some(id) {
            return Ok(());
        }
        let goes_on = if std::mem::replace(&mut shown.has_begun, true) { " (goes on)" } else { "" };
        let (head, dim) = (format!("{}{goes_on}: ", shown.who), shown.fold.is_some());
        self.end_line()?;
        self.current = Some(id);
        self.head(&head, dim)
    }

    /// A text with its head, on lines of their own.
    fn block(&mut self, head: &str, text: &str, dim: bool) -> io::Result<()> {
        self.end_line()?;
        self.head(head, dim)?;
        self.write(text, dim)?;
        self.end_line()
    }

    /// Begins a line.
    fn head(&mut self, text: &str, dim: bool) -> io::Result<()> {
        self.at_margin = false;
        self.output.harmless(&one_line(text), dim)
    }

    /// Goes on with a line. All that follow are indented, so that nobody's text looks like somebody else's.
    fn write(&mut self, text: &str, dim: bool) -> io::Result<()> {
        let mut shown = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            if self.at_margin && line != "\n" {
                shown.push_str("    ");
            }
            shown.push_str(line);
            self.at_margin = line.ends_with('\n');
        }
        self.output.harmless(&shown, dim)
    }
}

impl Fold {
    /// What is shown of the next piece.
    fn take(&mut self, piece: &str) -> String {
        let line = piece.lines().next().unwrap_or_default();
        let mut shown: String = line.chars().take(self.left).collect();
        self.left -= shown.chars().count();
        if shown.len() < piece.len() {
            self.is_full = true;
            shown.push('…');
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_folded_the_begin_of_the_first_line_is_shown_once() {
        let folded = |pieces: &[&str]| {
            let mut fold = Fold { left: 5, is_full: false };
            let shown: Vec<String> = pieces.iter().map(|piece| fold.take(piece)).collect();
            (shown.concat(), fold.is_full)
        };
        assert_eq!(folded(&["ab", "cde"]), ("abcde".to_owned(), false));
        assert_eq!(folded(&["äb", "cdef"]), ("äbcde…".to_owned(), true));
        assert_eq!(folded(&["abcde", "f"]), ("abcde…".to_owned(), true));
        assert_eq!(folded(&["a\nb"]), ("a…".to_owned(), true));
    }
}

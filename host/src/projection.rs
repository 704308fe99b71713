//! What people and models read of a Worker's log: its items, and pages of them.

use serde_json::Value;
use worker_types::{
    Cursor, CutItem, InputPart, Item, ItemBody, ItemId, ItemStatus, Seq, TranscriptPage,
    TranscriptQuery, WorkerId,
};

use crate::{
    cell::WorkerCell,
    store::{ItemRange, Store, StoreError},
};

/// Items read from the store at once, and their bytes.
const PAGE: usize = 256;
const PAGE_BYTES: usize = 1 << 20;

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1_000;
const DEFAULT_MAX_BYTES: u64 = 1 << 20;
const MAX_MAX_BYTES: u64 = 8 << 20;
const DEFAULT_MAX_ITEM_BYTES: u64 = 64 << 10;
/// Bytes of whole items that a page may take to read, and one item more: what is shown of each may
/// be next to nothing, and to know that it is long it has to be read.
const MAX_READ_BYTES: u64 = 2 * MAX_MAX_BYTES;

/// A Worker's transcript as of one event of its log.
#[derive(Debug)]
pub(crate) struct Transcript<'a> {
    pub(crate) store: &'a Store,
    pub(crate) worker_id: WorkerId,
    pub(crate) until: Seq,
    pub(crate) last_item: ItemId,
    /// It has the texts so far of the items that are open.
    pub(crate) cell: &'a WorkerCell,
}

impl Transcript<'_> {
    /// One item, whole.
    pub(crate) async fn item(&self, id: ItemId) -> Result<Option<Item>, StoreError> {
        let Some(before) = id.get().checked_sub(1).map(ItemId::new) else { return Ok(None) };
        let range = ItemRange::After(before);
        let items = self.store.items(self.worker_id, range, self.until, 1, PAGE_BYTES).await?;
        let Some(item) = items.into_iter().find(|item| item.id == id) else { return Ok(None) };
        self.shown(item, u64::MAX).await.map(|(item, _)| Some(item))
    }

    /// The page that `query` asks for.
    pub(crate) async fn page(self, query: TranscriptQuery) -> Result<TranscriptPage, StoreError> {
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize;
        let max_bytes = query.max_bytes.unwrap_or(DEFAULT_MAX_BYTES).min(MAX_MAX_BYTES);
        let max_item_bytes = query.max_item_bytes.unwrap_or(DEFAULT_MAX_ITEM_BYTES);
        // After a given item the page grows forward, else backward from the end.
        let forward = query.after.is_some();
        let mut range = match (query.after, query.before) {
            (Some(after), _) => ItemRange::After(after),
            (None, Some(before)) => ItemRange::Before(before),
            (None, None) => ItemRange::Before(self.last_item.next()),
        };
        // Items are counted from one, without gaps: this one comes next.
        let mut due = match range {
            ItemRange::After(after) => after.next(),
            ItemRange::Before(before) => {
                ItemId::new(before.min(self.last_item.next()).get().saturating_sub(1))
            }
        };
        let within = |id: ItemId| !forward || query.before.is_none_or(|before| id < before);

        let (mut items, mut cut, mut bytes, mut read_bytes) = (Vec::new(), Vec::new(), 0, 0);
        'full: loop {
            let wanted = (limit - items.len()).min(PAGE);
            let read = self.store.items(self.worker_id, range, self.until, wanted, PAGE_BYTES);
            let read = read.await?;
            if read.is_empty() {
                let is_all = due == ItemId::ZERO || due > self.last_item || !within(due);
                if !is_all {
                    return Err(self.missing(due).await);
                }
                break;
            }
            for item in read {
                if item.id != due {
                    return Err(self.missing(due).await);
                }
                due = if forward { due.next() } else { ItemId::new(due.get() - 1) };
                range =
                    if forward { ItemRange::After(item.id) } else { ItemRange::Before(item.id) };
                let (item, whole) = self.shown(item, max_item_bytes).await?;
                read_bytes += whole.unwrap_or(item.body.len() as u64);
                bytes += item.body.len() as u64;
                let fits = bytes <= max_bytes && read_bytes <= MAX_READ_BYTES;
                let room = items.is_empty() || fits;
                if !room || !within(item.id) {
                    break 'full;
                }
                cut.extend(whole.map(|bytes| CutItem { item_id: item.id, bytes }));
                items.push(item);
                if items.len() == limit {
                    break 'full;
                }
            }
        }
        if !forward {
            items.reverse();
            cut.reverse();
        }

        let (first_item, last_item) =
            (items.first().map(|item: &Item| item.id), items.last().map(|item: &Item| item.id));
        // Items are counted from one, without gaps. An empty page lies at one of the ends.
        let at_start = query.after.is_none_or(|after| after == ItemId::ZERO);
        let more_before = match first_item {
            Some(first) => first > ItemId::ZERO.next(),
            None => forward && !at_start && self.last_item > ItemId::ZERO,
        };
        let more_after = match last_item {
            Some(last) => last < self.last_item,
            None => !forward && self.last_item > ItemId::ZERO,
        };
        let cursor = Cursor::new(self.store.log_id().of_worker(self.cell.id), self.until);
        Ok(TranscriptPage { items, cut, first_item, last_item, more_before, more_after, cursor })
    }

    /// Why an item is not there that should be.
    async fn missing(&self, id: ItemId) -> StoreError {
        let before = Seq::new(self.until.get().saturating_sub(1));
        match self.store.read(self.worker_id, before, self.until, 1).await {
            // It was deleted meanwhile.
            Err(error @ StoreError::Trimmed { .. }) => error,
            _ => {
                let reason = format!("item {id} is missing");
                StoreError::Damaged { worker_id: self.worker_id, reason }
            }
        }
    }

    /// The item with at most `max` bytes of content, and how many it has where that is more. One that
    /// is open has its text so far.
    async fn shown(&self, mut item: Item, max: u64) -> Result<(Item, Option<u64>), StoreError> {
        if item.status == ItemStatus::InProgress
            && let ItemBody::AssistantMessage { text, .. } | ItemBody::Reasoning { text } =
                &mut item.body
        {
            if let Some((so_far, bytes)) = self.cell.open_text(item.id, max) {
                *text = so_far;
                let is_cut = (text.len() as u64) < bytes;
                return Ok((item, is_cut.then_some(bytes)));
            }
            // It was completed since: its text is in the log, after the end of this page.
            let before = ItemRange::After(ItemId::new(item.id.get().saturating_sub(1)));
            let last = Seq::new(u64::MAX);
            let newest = self.store.items(self.worker_id, before, last, 1, PAGE_BYTES).await?;
            if let Some(Item {
                id,
                body:
                    ItemBody::AssistantMessage { text: whole, .. } | ItemBody::Reasoning { text: whole },
                ..
            }) = newest.into_iter().next()
                && id == item.id
            {
                *text = whole;
            }
        }
        Ok(shortened(item, max))
    }
}

/// The newest items of a Worker, read backward in pieces: others on this thread do not wait for all
/// of a long transcript, and nobody holds more of it than they need.
#[derive(Debug)]
pub(crate) struct Newest {
    items: Vec<Item>,
    /// What is read is after this one, or there is nothing before it.
    before: ItemId,
    bytes: u64,
}

impl Newest {
    /// None yet of those before this one.
    pub(crate) fn before(before: ItemId) -> Self {
        Self { items: Vec::new(), before, bytes: 0 }
    }

    /// What was read, oldest first.
    pub(crate) fn items(&self) -> &[Item] {
        &self.items
    }

    /// The bytes of their content.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether nothing is before them.
    pub(crate) fn is_all(&self) -> bool {
        self.before <= ItemId::ZERO.next()
    }

    /// Reads some more, as of `until`. Returns false where there are none.
    pub(crate) async fn read_on(
        &mut self,
        store: &Store,
        worker_id: WorkerId,
        until: Seq,
    ) -> Result<bool, StoreError> {
        if self.is_all() {
            return Ok(false);
        }
        let range = ItemRange::Before(self.before);
        let mut read = store.items(worker_id, range, until, PAGE, PAGE_BYTES).await?;
        let Some(oldest) = read.last() else { return Ok(false) };
        self.before = oldest.id;
        self.bytes += read.iter().map(|item| item.body.len() as u64).sum::<u64>();
        read.reverse();
        self.items.splice(0..0, read);
        tokio::task::yield_now().await;
        Ok(true)
    }
}

/// All items of a Worker up to `until`, oldest first; `None` where they have more than `max_bytes`
/// of content.
pub(crate) async fn items(
    store: &Store,
    worker_id: WorkerId,
    until: Seq,
    max_bytes: u64,
) -> Result<Option<Vec<Item>>, StoreError> {
    let (mut items, mut bytes): (Vec<Item>, u64) = (Vec::new(), 0);
    loop {
        let after = ItemRange::After(items.last().map_or(ItemId::ZERO, |item| item.id));
        let read = store.items(worker_id, after, until, PAGE, PAGE_BYTES).await?;
        if read.is_empty() {
            return Ok(Some(items));
        }
        bytes += read.iter().map(|item| item.body.len() as u64).sum::<u64>();
        if bytes > max_bytes {
            return Ok(None);
        }
        items.extend(read);
        // A long transcript is read in pieces: others on this thread do not wait for all of it.
        tokio::task::yield_now().await;
    }
}

/// The item with at most `max` bytes of content, and how many it has where that is more.
fn shortened(mut item: Item, max: u64) -> (Item, Option<u64>) {
    let bytes = item.body.len() as u64;
    if bytes <= max {
        return (item, None);
    }
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    match &mut item.body {
        ItemBody::AssistantMessage { text, .. }
        | ItemBody::Reasoning { text }
        | ItemBody::ToolResult { text, .. }
        | ItemBody::Notice { text, .. } => cut_text(text, max),
        ItemBody::ToolCall { arguments, .. } => {
            let mut text = arguments.to_string();
            cut_text(&mut text, max);
            *arguments = Value::String(text);
        }
        ItemBody::UserMessage { parts } => cut_parts(parts, max),
        ItemBody::Unknown => {}
    }
    (item, Some(bytes))
}

/// The parts that fit, and the beginning of the first that does not.
fn cut_parts(parts: &mut Vec<InputPart>, max: usize) {
    let mut room = max;
    let mut keep = 0;
    while let Some(part) = parts.get(keep)
        && part.len() <= room
    {
        room -= part.len();
        keep += 1;
    }
    let beginning = match parts.get(keep) {
        Some(InputPart::Text { text }) => Some(text.clone()),
        Some(InputPart::Json { json }) => Some(json.to_string()),
        // The beginning of a picture is none.
        Some(InputPart::Image { .. }) | None => None,
    };
    parts.truncate(keep);
    if let Some(mut text) = beginning {
        cut_text(&mut text, room);
        parts.push(InputPart::Text { text });
    }
}

fn cut_text(text: &mut String, max: usize) {
    text.truncate(text.floor_char_boundary(max));
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use worker_types::{ComponentDigest, Event, EventBody, Grants, Labels, Origin, TurnId};

    use super::*;
    use crate::{cell::Head, runtime::WorkerMeta, store::Commit};

    fn item(body: ItemBody) -> Item {
        Item {
            id: ItemId::new(1),
            turn_id: TurnId::new(1),
            origin: Origin::Guest,
            status: ItemStatus::Completed,
            body,
        }
    }

    fn said(text: &str) -> ItemBody {
        ItemBody::AssistantMessage { text: text.to_owned(), model: None }
    }

    fn cell(worker_id: WorkerId) -> WorkerCell {
        let meta = WorkerMeta::unknown(worker_id, "nothing of it matters".to_owned());
        let (meta, authority) = meta.expect("a Worker");
        WorkerCell::new(worker_id, meta, authority)
    }

    /// A store with a Worker whose log is this, after its first event.
    async fn store_of(worker_id: WorkerId, bodies: impl IntoIterator<Item = EventBody>) -> Store {
        let store = Store::memory();
        let profile = r#"{"name":"echo","component":"builtin:echo"}"#;
        let created = EventBody::WorkerCreated {
            display_name: None,
            profile: Box::new(serde_json::from_str(profile).expect("a profile")),
            component: ComponentDigest::from_sha256([7; 32]),
            grants: Grants::default(),
            labels: Labels::default(),
        };
        let numbered = (1..).map(Seq::new).zip(std::iter::once(created).chain(bodies));
        let event = |(seq, body)| Event { seq, at: Timestamp::UNIX_EPOCH, worker_id, body };
        let events: Vec<Event> = numbered.map(event).collect();
        let commit = Commit { worker_id, events: &events, rest: None, texts: &[], key: None };
        store.append(commit).await.expect("committed");
        store
    }

    /// A page that is true up to an item's beginning, of a Worker that goes on.
    #[tokio::test]
    async fn of_an_open_item_a_page_has_no_more_than_was_asked_for_also_when_it_is_completed() {
        let (worker_id, turn_id) = (WorkerId::generate(), TurnId::new(1));
        let (open, whole) = (item(said("")), item(said("a text")));
        let open = Item { status: ItemStatus::InProgress, ..open };
        let started = EventBody::ItemStarted { turn_id, item: open };
        let completed = EventBody::ItemCompleted { turn_id, item: whole };
        let bodies = [started, completed];
        let store = store_of(worker_id, bodies.clone()).await;
        let event =
            |seq, body| Event { seq: Seq::new(seq), at: Timestamp::UNIX_EPOCH, worker_id, body };
        let cell = cell(worker_id);
        let [started, completed] = bodies;
        cell.publish(&[event(2, started)], Head::default());
        assert!(cell.push_text(ItemId::new(1), "a te", 99));
        let shown = async |max_item_bytes| {
            let (until, last_item) = (Seq::new(2), ItemId::new(1));
            let transcript = Transcript { store: &store, worker_id, until, last_item, cell: &cell };
            let query = TranscriptQuery { max_item_bytes, ..TranscriptQuery::default() };
            let mut page = transcript.page(query).await.expect("a page");
            let shown = page.items.pop().expect("an item");
            assert_eq!(shown.status, ItemStatus::InProgress);
            (shown.body, page.cut.pop().map(|cut| cut.bytes))
        };
        assert_eq!(shown(Some(3)).await, (said("a t"), Some(4)));
        assert_eq!(shown(None).await, (said("a te"), None));
        cell.publish(&[event(3, completed)], Head::default());
        assert_eq!(shown(Some(3)).await, (said("a t"), Some(6)));
        assert_eq!(shown(None).await, (said("a text"), None));
    }

    /// What a Worker with one long item after the other has to show, when next to nothing is asked
    /// for.
    #[tokio::test]
    async fn a_page_is_bounded_by_what_has_to_be_read_for_it() {
        const ITEMS: u64 = 40;
        let worker_id = WorkerId::generate();
        let bodies = (1..=ITEMS).map(|id| {
            let item = Item { id: ItemId::new(id), ..item(said(&"x".repeat(1 << 20))) };
            EventBody::ItemCompleted { turn_id: item.turn_id, item }
        });
        let store = store_of(worker_id, bodies).await;
        let cell = cell(worker_id);
        let page = async |query: TranscriptQuery| {
            let (until, last_item) = (Seq::new(ITEMS + 1), ItemId::new(ITEMS));
            let transcript = Transcript { store: &store, worker_id, until, last_item, cell: &cell };
            transcript.page(query).await.expect("a page")
        };
        let sparse = TranscriptQuery {
            limit: Some(1_000),
            max_item_bytes: Some(0),
            ..TranscriptQuery::default()
        };
        let newest = page(sparse).await;
        assert_eq!(newest.items.len() as u64, MAX_READ_BYTES >> 20);
        assert!(newest.more_before && !newest.more_after);
        let before = page(TranscriptQuery { before: newest.first_item, ..sparse }).await;
        assert_eq!(before.last_item.map(ItemId::next), newest.first_item, "no item is passed over");
        let oldest = page(TranscriptQuery { after: Some(ItemId::ZERO), ..sparse }).await;
        assert_eq!(oldest.items.len() as u64, MAX_READ_BYTES >> 20);
        assert!(oldest.more_after && !oldest.more_before);
    }

    #[test]
    fn what_fits_is_shown_whole() {
        assert_eq!(shortened(item(said("four")), 4), (item(said("four")), None));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(shortened(item(said("aäb")), 2), (item(said("a")), Some(4)));
    }

    #[test]
    fn of_a_message_the_parts_that_fit_are_shown_and_the_beginning_of_the_next() {
        let text = |text: &str| InputPart::Text { text: text.to_owned() };
        let picture =
            InputPart::Image { media_type: "image/png".to_owned(), data: "AAAA".repeat(99) };
        let shown = |parts: Vec<InputPart>, max| match shortened(
            item(ItemBody::UserMessage { parts }),
            max,
        ) {
            (Item { body: ItemBody::UserMessage { parts }, .. }, Some(_)) => parts,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            shown(vec![text("one"), text("two"), text("three")], 5),
            [text("one"), text("tw")]
        );
        assert_eq!(shown(vec![text("one"), picture, text("three")], 9), [text("one")]);
    }

    #[test]
    fn the_arguments_of_a_call_are_cut_as_text() {
        let call = ItemBody::ToolCall {
            call_id: "c".into(),
            name: "t".into(),
            arguments: serde_json::json!({"key": "value"}),
        };
        let (cut, whole) = shortened(item(call), 6);
        assert!(whole.is_some());
        let ItemBody::ToolCall { arguments, .. } = cut.body else { panic!("{cut:?}") };
        assert_eq!(arguments, Value::String(r#"{"key""#.to_owned()));
    }
}

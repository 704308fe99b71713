//! The transcript, in pages.

use worker_types::{Cursor, ItemBody, ItemId, Outcome, TranscriptPage, TranscriptQuery, WorkerId};

use super::{
    Setting,
    guest::{run, sound, transcript, worker},
};
use crate::operations::Operations;

/// The host of these tests.
#[must_use]
pub fn setting() -> Setting {
    Setting::default()
}

async fn page(host: &impl Operations, id: WorkerId, query: TranscriptQuery) -> TranscriptPage {
    host.transcript(id, query).await.expect("a page")
}

/// Everything that makes items.
pub async fn the_transcript_is_the_fold_of_the_log(host: &impl Operations) {
    let id = worker(host, "base").await;
    for text in [
        "hello",
        "utter: a|b|c",
        "utter-drop: half",
        "tool: {\"k\": 1}",
        "tool-fail: no",
        "tool-drop",
        "say-many: 5",
        "fail: no",
        "tool-trap",
    ] {
        run(host, id, text).await;
    }
    // This compares the two.
    let report = sound(host, id).await;
    assert!(report.items.len() > 20, "{report:#?}");
    let newest = page(host, id, TranscriptQuery::default()).await;
    assert_eq!(newest.cursor.seq, report.last_seq);
    assert_eq!(newest.items.len(), report.items.len());
    assert_eq!(host.event_page(id, newest.cursor, 1).await.expect("a page").events, []);
    assert!(host.events(id, newest.cursor).await.is_ok());
    assert_ne!(newest.cursor, Cursor::START);
    let third = host.item(id, ItemId::new(3)).await.expect("an item");
    assert_eq!(Some(&third), report.items.get(&ItemId::new(3)));
}

/// Forward, backward, and from the middle.
pub async fn a_transcript_reads_alike_in_both_directions(host: &impl Operations) {
    let id = worker(host, "base").await;
    assert_eq!(run(host, id, "say-many: 23").await, Outcome::Completed);
    let all = transcript(host, id).await;
    assert_eq!(all.len(), 24);
    for limit in [1, 5, 24, 100] {
        let mut forward = Vec::new();
        let mut after = Some(ItemId::ZERO);
        loop {
            let query = TranscriptQuery { after, limit: Some(limit), ..Default::default() };
            let page = page(host, id, query).await;
            assert_eq!(page.more_before, !forward.is_empty(), "{page:?}");
            assert_eq!(page.first_item, page.items.first().map(|item| item.id));
            after = page.last_item;
            forward.extend(page.items);
            if !page.more_after {
                break;
            }
        }
        assert_eq!(forward, all);

        let mut backward = Vec::new();
        let mut before = None;
        loop {
            let query = TranscriptQuery { before, limit: Some(limit), ..Default::default() };
            let page = page(host, id, query).await;
            assert_eq!(page.more_after, !backward.is_empty(), "{page:?}");
            before = page.first_item;
            backward.splice(0..0, page.items);
            if !page.more_before {
                break;
            }
        }
        assert_eq!(backward, all);
    }
}

/// The page says which, and how much there is.
pub async fn a_long_item_is_cut_on_a_page_and_whole_by_its_id(host: &impl Operations) {
    let id = worker(host, "base").await;
    assert_eq!(run(host, id, "say: 200000").await, Outcome::Completed);
    let shown = page(host, id, TranscriptQuery::default()).await;
    let [_, cut] = shown.items.as_slice() else { panic!("{shown:?}") };
    let ItemBody::AssistantMessage { text, .. } = &cut.body else { panic!("{cut:?}") };
    assert!(!text.is_empty() && text.len() <= 65_536, "{} bytes", text.len());
    assert_eq!(shown.cut.len(), 1);
    assert_eq!((shown.cut[0].item_id, shown.cut[0].bytes), (cut.id, 200_000));
    let whole = host.item(id, cut.id).await.expect("the item");
    let ItemBody::AssistantMessage { text, .. } = &whole.body else { panic!("{whole:?}") };
    assert_eq!(text.len(), 200_000);

    let query = TranscriptQuery { max_item_bytes: Some(1 << 20), ..Default::default() };
    let shown = page(host, id, query).await;
    assert_eq!((shown.cut.as_slice(), shown.items.last()), (&[][..], Some(&whole)));
}

/// A bound smaller than an item shows one all the same.
pub async fn a_page_is_bounded_in_bytes_and_never_empty(host: &impl Operations) {
    let id = worker(host, "base").await;
    for _ in 0..4 {
        assert_eq!(run(host, id, "say: 10000").await, Outcome::Completed);
    }
    let mut read = 0;
    let mut after = Some(ItemId::ZERO);
    loop {
        let query = TranscriptQuery { after, max_bytes: Some(12_000), ..Default::default() };
        let page = page(host, id, query).await;
        let bytes: usize = page.items.iter().map(|item| item.body.len()).sum();
        assert!(!page.items.is_empty() && bytes < 24_000, "{bytes} bytes");
        read += page.items.len();
        after = page.last_item;
        if !page.more_after {
            break;
        }
    }
    assert_eq!(read, 8);
    let query = TranscriptQuery { max_bytes: Some(1), ..Default::default() };
    assert_eq!(page(host, id, query).await.items.len(), 1);
}

//! What the tests of the suite ask for again and again.

use std::time::Duration;

use worker_types::{
    CreateWorker, Cursor, Event, EventBody, IfBusy, Input, InputAccepted, InputDisposition,
    InputOptions, InputPart, Item, ItemBody, LiveEvent, Outcome, ProfileName, RuntimeError,
    TranscriptQuery, TurnId, WorkerId, WorkerStatus,
};

use crate::{
    invariants::{self, LogReport},
    operations::{EventStream, Operations},
};

/// The profile with this name.
pub(super) fn name(text: &str) -> ProfileName {
    text.parse().expect("a valid name")
}

/// A request for a Worker of this profile.
pub(super) fn of(profile: &str) -> CreateWorker {
    CreateWorker::profile(name(profile))
}

/// A new Worker without grants.
pub(super) async fn worker(host: &impl Operations, profile: &str) -> WorkerId {
    host.create(of(profile)).await.expect("a Worker").worker_id
}

/// Gives an input, which must be accepted.
pub(super) async fn give(
    host: &impl Operations,
    id: WorkerId,
    text: &str,
    if_busy: IfBusy,
) -> InputAccepted {
    let accepted = host.input(id, Input::text(text), InputOptions::if_busy(if_busy)).await;
    accepted.expect("an accepted input")
}

/// Starts a turn and waits until it has started, but not for its end.
pub(super) async fn begin(host: &impl Operations, id: WorkerId, text: &str) -> TurnId {
    let accepted = give(host, id, text, IfBusy::Reject).await;
    assert_eq!(accepted.status, InputDisposition::Running);
    let mut events = host.events(id, Cursor::START).await.expect("a stream");
    until_event(&mut events, |event| {
        matches!(event.body, EventBody::TurnStarted { turn_id, .. } if turn_id == accepted.turn_id)
    })
    .await;
    accepted.turn_id
}

/// Runs a turn to its end.
pub(super) async fn run(host: &impl Operations, id: WorkerId, text: &str) -> Outcome {
    let turn_id = give(host, id, text, IfBusy::Reject).await.turn_id;
    host.outcome(id, turn_id).await.expect("an outcome")
}

/// Waits until the Worker has nothing to do.
pub(super) async fn at_rest(host: &impl Operations, id: WorkerId) {
    while let WorkerStatus::Running { turn_id } = status(host, id).await {
        // One that waits behind another ends some time, or becomes another turn.
        match host.outcome(id, turn_id).await {
            Ok(_) | Err(RuntimeError::InvalidInput { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
}

/// What the Worker is doing.
pub(super) async fn status(host: &impl Operations, id: WorkerId) -> WorkerStatus {
    host.worker(id).await.expect("the Worker").status
}

/// The whole log, which retention has not trimmed.
pub(super) async fn log(host: &impl Operations, id: WorkerId) -> Vec<Event> {
    log_after(host, id, Cursor::START).await
}

/// The log from a cursor on.
pub(super) async fn log_after(
    host: &impl Operations,
    id: WorkerId,
    mut cursor: Cursor,
) -> Vec<Event> {
    let mut log = Vec::new();
    loop {
        let page = host.event_page(id, cursor, 1_000).await.expect("a page");
        if page.events.is_empty() {
            return log;
        }
        cursor = page.next;
        log.extend(page.events);
    }
}

/// The whole transcript, with items of any length.
pub(super) async fn transcript(host: &impl Operations, id: WorkerId) -> Vec<Item> {
    let mut items = Vec::new();
    let mut after = Some(worker_types::ItemId::ZERO);
    loop {
        let max_item_bytes = Some(8 << 20);
        let query = TranscriptQuery { after, max_item_bytes, ..Default::default() };
        let page = host.transcript(id, query).await.expect("a transcript");
        items.extend(page.items);
        if !page.more_after {
            return items;
        }
        after = page.last_item;
    }
}

/// Everything the Worker said.
pub(super) async fn said(host: &impl Operations, id: WorkerId) -> Vec<String> {
    let items = transcript(host, id).await;
    let texts = items.into_iter().filter_map(|item| match item.body {
        ItemBody::AssistantMessage { text, .. } => Some(text),
        _ => None,
    });
    texts.collect()
}

/// The first text of an input.
pub(super) fn text(parts: &[InputPart]) -> &str {
    match parts.first() {
        Some(InputPart::Text { text }) => text,
        _ => "",
    }
}

/// Checks the log of a Worker that has nothing to do, and that what else is shown of it agrees.
pub(super) async fn sound(host: &impl Operations, id: WorkerId) -> LogReport {
    at_rest(host, id).await;
    let events = log(host, id).await;
    let report = invariants::check(&events);
    assert_eq!(report.complaints_at_rest(), [""; 0], "{events:#?}");
    let view = host.worker(id).await.expect("the Worker");
    assert_eq!(view.last_seq, report.last_seq);
    assert_eq!(view.usage, report.usage);
    assert_eq!(view.status == WorkerStatus::Stopped, report.stopped);
    let items: Vec<Item> = report.items.values().cloned().collect();
    assert_eq!(transcript(host, id).await, items);
    report
}

/// The next event, which must come.
pub(super) async fn next(events: &mut impl EventStream) -> LiveEvent {
    events.next().await.expect("an open stream").expect("a readable log")
}

/// Reads on until a durable event is `wanted`.
pub(super) async fn until_event(
    events: &mut impl EventStream,
    mut wanted: impl FnMut(&Event) -> bool,
) -> Event {
    loop {
        if let LiveEvent::Durable(event) = next(events).await
            && wanted(&event)
        {
            return event;
        }
    }
}

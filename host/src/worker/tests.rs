use proptest::prelude::*;
use worker_types::{Event, WorkerId};

use super::*;
use crate::Store;

fn command() -> impl Strategy<Value = Command> {
    let text = || prop::sample::select(vec!["", "a", "long enough"]).prop_map(str::to_owned);
    let call = || (0..4u8).prop_map(|n| format!("call-{n}"));
    let item = || (0..12u64).prop_map(ItemId::new);
    let said = || ItemBody::AssistantMessage { text: String::new(), model: None };
    prop_oneof![
        3 => (text(), any::<bool>()).prop_map(|(text, begin)| Command::Input {
            parts: vec![InputPart::Text { text }],
            begin
        }),
        1 => Just(Command::Begin),
        2 => Just(Command::OpenItem { origin: Origin::Guest, body: said() }),
        1 => Just(Command::OpenItem {
            origin: Origin::Host,
            body: ItemBody::Reasoning { text: String::new() }
        }),
        1 => Just(Command::RecordUsage {
            model: "default".parse().expect("a valid alias"),
            tokens: TokenUsage { input: Some(3), ..TokenUsage::default() }
        }),
        2 => (item(), text()).prop_map(|(id, text)| Command::CloseItem {
            id,
            text,
            status: ItemStatus::Completed
        }),
        2 => call().prop_map(|call_id| Command::AddItem {
            origin: Origin::Guest,
            body: ItemBody::ToolCall { call_id, name: "t".into(), arguments: 1.into() }
        }),
        2 => call().prop_map(|call_id| Command::AddItem {
            origin: Origin::Guest,
            body: ItemBody::ToolResult {
                call_id,
                outcome: ToolOutcome::Ok,
                text: String::new()
            }
        }),
        1 => (text(), prop::option::of(text())).prop_map(|(key, value)| Command::SetValue {
            key,
            value,
            limit_bytes: 20
        }),
        2 => Just(Command::EndTurn {
            outcome: Outcome::Completed,
            receipt: Receipt::default(),
            texts: BTreeMap::new()
        }),
        1 => Just(Command::Stop { receipt: Receipt::default(), texts: BTreeMap::new() }),
        2 => Just(Command::Start),
    ]
}

/// Runs the commands as a supervisor would and returns the log; refused ones leave no trace.
fn run(commands: Vec<Command>) -> (WorkerState, Vec<EventBody>) {
    let mut state = WorkerState::default();
    let mut log = Vec::new();
    for command in commands {
        for event in decide(&state, command).unwrap_or_default() {
            evolve(&mut state, Timestamp::UNIX_EPOCH, &event);
            log.push(event);
        }
    }
    (state, log)
}

/// The same events as a store gives them back.
fn stored(log: &[EventBody]) -> Vec<Event> {
    let store = Store::memory();
    let worker_id = WorkerId::generate();
    let events: Vec<Event> = log
        .iter()
        .zip(1..)
        .map(|(body, seq)| Event {
            seq: Seq::new(seq),
            at: Timestamp::UNIX_EPOCH,
            worker_id,
            body: body.clone(),
        })
        .collect();
    let until = Seq::new(events.len() as u64);
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
        store.append(&events).await.expect("appended");
        store.read(worker_id, Seq::ZERO, until, usize::MAX).await.expect("read back")
    })
}

proptest! {
    #[test]
    fn invariant_5_the_state_is_the_fold_of_what_the_store_gives_back(
        commands in prop::collection::vec(command(), 0..60)
    ) {
        let (state, log) = run(commands);
        let mut folded = WorkerState::default();
        for event in stored(&log) {
            evolve(&mut folded, event.at, &event.body);
            prop_assert_eq!(folded.last_seq, event.seq, "no gap in seq");
        }
        prop_assert_eq!(folded, state);
    }

    #[test]
    fn commands_in_one_commit_do_what_they_do_one_after_the_other(
        before in prop::collection::vec(command(), 0..10),
        batch in prop::collection::vec(command(), 1..6)
    ) {
        let (state, _) = run(before);
        let mut one_by_one = state.clone();
        let mut expected = Ok(Vec::new());
        for command in batch.clone() {
            let decided = decide(&one_by_one, command);
            if let Ok(events) = &decided {
                for event in events {
                    evolve(&mut one_by_one, Timestamp::UNIX_EPOCH, event);
                }
            }
            expected = expected.and_then(|mut all: Vec<EventBody>| {
                all.extend(decided?);
                Ok(all)
            });
            if expected.is_err() {
                break;
            }
        }
        prop_assert_eq!(decide_all(&state, batch), expected);
    }

    #[test]
    fn invariant_6_every_turn_ends_once_and_every_call_has_one_result(
        commands in prop::collection::vec(command(), 0..60)
    ) {
        let (state, mut log) = run(commands);
        // Whatever is still open ends with a stop, as it does at a shutdown.
        let stop = Command::Stop { receipt: Receipt::default(), texts: BTreeMap::new() };
        log.extend(decide(&state, stop).expect("a stop is never refused"));

        let mut running = None;
        let mut turns = 0;
        let mut open_items = BTreeSet::new();
        let mut open_calls = BTreeSet::new();
        for event in &log {
            match event {
                EventBody::InputAccepted { item, .. } => {
                    turns += 1;
                    prop_assert_eq!(item.turn_id, TurnId::new(turns), "turns are counted");
                    prop_assert_eq!(running, None, "one turn at a time");
                    running = Some(item.turn_id);
                }
                EventBody::TurnStarted { turn_id } => prop_assert_eq!(running, Some(*turn_id)),
                EventBody::TurnEnded { turn_id, .. } => {
                    prop_assert_eq!(running.take(), Some(*turn_id));
                    prop_assert!(open_items.is_empty(), "no item stays open: {open_items:?}");
                    prop_assert!(open_calls.is_empty(), "no call stays open: {open_calls:?}");
                }
                EventBody::ItemStarted { item, .. } => {
                    prop_assert!(open_items.insert(item.id), "item ids are unique");
                }
                EventBody::ItemCompleted { item, .. } => {
                    open_items.remove(&item.id);
                    match &item.body {
                        ItemBody::ToolCall { call_id, .. } => {
                            let new = open_calls.insert(call_id.clone());
                            prop_assert!(new, "an open call's id is not given to another");
                        }
                        ItemBody::ToolResult { call_id, .. } => {
                            prop_assert!(open_calls.remove(call_id), "a result has its call");
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        prop_assert_eq!(running, None, "every turn ends");
    }
}

fn text(text: &str) -> Command {
    Command::Input { parts: vec![InputPart::Text { text: text.into() }], begin: true }
}

#[test]
fn invariant_7_a_second_input_is_refused_with_the_running_turn() {
    let (state, _) = run(vec![text("one")]);
    assert_eq!(decide(&state, text("two")), Err(RuntimeError::Busy { turn_id: TurnId::new(1) }));
}

#[test]
fn a_stopped_worker_refuses_input_until_it_is_started() {
    let stop = Command::Stop { receipt: Receipt::default(), texts: BTreeMap::new() };
    let (state, log) = run(vec![text("one"), stop]);
    assert!(matches!(
        log.as_slice(),
        [
            ..,
            EventBody::TurnEnded { outcome: Outcome::Cancelled { .. }, .. },
            EventBody::WorkerStopped
        ]
    ));
    assert_eq!(decide(&state, text("two")), Err(RuntimeError::WorkerStopped));
}

#[test]
fn an_open_item_ends_incomplete_with_the_text_so_far() {
    let open = Command::OpenItem {
        origin: Origin::Guest,
        body: ItemBody::AssistantMessage { text: String::new(), model: None },
    };
    let (state, _) = run(vec![text("one"), open]);
    let end = Command::EndTurn {
        outcome: Outcome::Interrupted,
        receipt: Receipt::default(),
        texts: BTreeMap::from([(ItemId::new(2), "half a".to_owned())]),
    };
    let events = decide(&state, end).expect("the turn ends");
    let EventBody::ItemCompleted { item, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(item.status, ItemStatus::Incomplete);
    assert_eq!(item.body, ItemBody::AssistantMessage { text: "half a".into(), model: None });
}

#[test]
fn the_guests_state_is_bounded_with_keys_and_values_together() {
    let set = |key: &str, value: &str| Command::SetValue {
        key: key.into(),
        value: Some(value.into()),
        limit_bytes: 8,
    };
    let (state, _) = run(vec![text("one"), set("key", "value")]);
    assert_eq!(state.value("key"), Some("value"));
    assert!(decide(&state, set("key", "other")).is_ok(), "replacing a value frees the old one");
    assert!(matches!(
        decide(&state, set("k", "v")),
        Err(RuntimeError::PayloadTooLarge { limit_bytes: 8, .. })
    ));
}

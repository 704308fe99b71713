use std::collections::BTreeSet;

use proptest::prelude::*;
use worker_types::{Grants, Profile, Seq, WorkerStatus};

use super::*;

fn command() -> impl Strategy<Value = Command> {
    let text = || prop::sample::select(vec!["", "a", "long enough"]).prop_map(str::to_owned);
    let call = || (0..4u8).prop_map(|n| format!("call-{n}"));
    let item = || (0..12u64).prop_map(ItemId::new);
    let said = || ItemBody::AssistantMessage { text: String::new(), model: None };
    prop_oneof![
        4 => (text(), if_busy(), any::<bool>()).prop_map(|(text, if_busy, begin)| Command::Input {
            parts: vec![InputPart::Text { text }],
            if_busy,
            begin,
            queue: 4
        }),
        3 => Just(Command::Next),
        1 => Just(Command::Begin),
        1 => Just(Command::TakeSteering),
        1 => (0..12u64).prop_map(|id| Command::CancelQueued { turn_id: TurnId::new(id) }),
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
        3 => prop::sample::select(vec![Outcome::Completed, Outcome::Interrupted]).prop_map(
            |outcome| Command::EndTurn {
                outcome,
                receipt: Receipt::default(),
                texts: BTreeMap::new()
            }
        ),
        1 => Just(Command::Stop { receipt: Receipt::default(), texts: BTreeMap::new() }),
        2 => Just(Command::Start),
        1 => Just(revoke(&["llm"])),
        1 => Just(upgrade()),
        1 => (0..40u64).prop_map(|seq| Command::Trim { through: Seq::new(seq) }),
    ]
}

fn revoke(grants: &[&str]) -> Command {
    let grants = grants.iter().map(|grant| grant.parse().expect("a grant")).collect();
    Command::Revoke { grants, receipt: Receipt::default(), texts: BTreeMap::new() }
}

fn upgrade() -> Command {
    let Command::Create { created } = create() else { panic!("a creation") };
    let EventBody::WorkerCreated { profile, .. } = *created else { panic!("a creation") };
    let profile = Box::new(Profile { resume: false, ..*profile });
    Command::Upgrade { profile, component: ComponentDigest::from_sha256([9; 32]) }
}

fn if_busy() -> impl Strategy<Value = IfBusy> {
    prop::sample::select(vec![IfBusy::Reject, IfBusy::Queue, IfBusy::Steer])
}

/// The creation of a Worker whose interrupted turns are gone on from.
fn create() -> Command {
    let name: worker_types::ProfileName = "any".parse().expect("a valid name");
    let profile = Profile {
        component: worker_types::ComponentRef::Builtin(name.clone()),
        name,
        description: String::new(),
        optional: Default::default(),
        resume: true,
        commands: Default::default(),
        config: Default::default(),
    };
    Command::Create {
        created: Box::new(EventBody::WorkerCreated {
            display_name: None,
            profile: Box::new(profile),
            component: worker_types::ComponentDigest::from_sha256([0; 32]),
            grants: Grants::none(),
            labels: Default::default(),
        }),
    }
}

/// Runs the commands as a supervisor would and returns the log; refused ones leave no trace.
fn run(commands: Vec<Command>) -> (WorkerState, Vec<EventBody>) {
    let mut state = WorkerState::default();
    let mut log = Vec::new();
    for command in std::iter::once(create()).chain(commands) {
        for event in decide(&state, command).unwrap_or_default() {
            evolve(&mut state, &event);
            log.push(event);
        }
    }
    (state, log)
}

/// The same as a store gives it back.
fn stored<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let json = serde_json::to_vec(value).expect("it serialises");
    serde_json::from_slice(&json).expect("and comes back")
}

proptest! {
    #[test]
    fn invariant_5_the_state_is_the_fold_of_what_a_store_gives_back(
        commands in prop::collection::vec(command(), 0..60), snapshot_at in 0..60_usize
    ) {
        let (state, log) = run(commands);
        let (before, after) = log.split_at(snapshot_at.min(log.len()));
        let mut folded = WorkerState::default();
        before.iter().for_each(|event| evolve(&mut folded, &stored(event)));
        let mut folded = stored(&folded);
        after.iter().for_each(|event| evolve(&mut folded, &stored(event)));
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
                    evolve(&mut one_by_one, event);
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
        // Whatever is still open ends with a stop.
        let stop = Command::Stop { receipt: Receipt::default(), texts: BTreeMap::new() };
        log.extend(decide(&state, stop).expect("a stop is never refused"));

        let mut running = None;
        let mut started = BTreeSet::new();
        let mut ended = BTreeSet::new();
        let mut queued = BTreeSet::new();
        let mut last_item = ItemId::ZERO;
        let mut open_items = BTreeSet::new();
        let mut open_calls = BTreeSet::new();
        for event in &log {
            match event {
                EventBody::InputAccepted { item, .. } => {
                    prop_assert_eq!(running, None, "one turn at a time");
                    prop_assert_eq!(item.id, last_item.next(), "items are counted");
                    last_item = item.id;
                    queued.remove(&item.turn_id);
                    running = Some(item.turn_id);
                }
                EventBody::InputQueued { turn_id, .. } => {
                    prop_assert!(queued.insert(*turn_id));
                }
                EventBody::InputSteered { turn_id, .. } => {
                    prop_assert_eq!(running, Some(*turn_id));
                }
                EventBody::TurnStarted { turn_id, resumes } => {
                    prop_assert!(started.insert(*turn_id), "a turn starts once");
                    if let (Some(resumes), None) = (resumes, running) {
                        prop_assert!(ended.contains(resumes));
                        running = Some(*turn_id);
                    }
                    prop_assert_eq!(running, Some(*turn_id));
                }
                EventBody::TurnEnded { turn_id, .. } => {
                    prop_assert!(ended.insert(*turn_id), "a turn ends once");
                    if queued.remove(turn_id) {
                        continue;
                    }
                    prop_assert_eq!(running.take(), Some(*turn_id));
                    prop_assert!(open_items.is_empty(), "no item stays open: {open_items:?}");
                    prop_assert!(open_calls.is_empty(), "no call stays open: {open_calls:?}");
                }
                EventBody::ItemStarted { item, .. } => {
                    prop_assert_eq!(item.id, last_item.next(), "items are counted");
                    last_item = item.id;
                    open_items.insert(item.id);
                }
                EventBody::ItemCompleted { item, .. } => {
                    if !open_items.remove(&item.id) {
                        prop_assert_eq!(item.id, last_item.next(), "items are counted");
                        last_item = item.id;
                    }
                    match &item.body {
                        ItemBody::UserMessage { .. } => {
                            prop_assert!(open_calls.is_empty(), "never between call and result");
                        }
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
        prop_assert!(queued.is_empty(), "no accepted input is dropped: {queued:?}");
        prop_assert!(started.is_subset(&ended));
    }

    #[test]
    fn invariant_7_what_a_turn_was_steered_with_is_taken_in_or_queued_once(
        commands in prop::collection::vec(command(), 0..60)
    ) {
        let mut state = WorkerState::default();
        let mut waiting = Vec::new();
        for command in std::iter::once(create()).chain(commands) {
            let decided = decide(&state, command).unwrap_or_default();
            let ends = decided.iter().any(|event| {
                matches!(event, EventBody::TurnEnded { turn_id, .. } if Some(*turn_id) == state.open_turn_id())
            });
            let mut left = Vec::new();
            for event in &decided {
                match event {
                    EventBody::InputSteered { parts, .. } => waiting.push(parts.clone()),
                    EventBody::InputQueued { parts, .. } if ends => left.push(parts.clone()),
                    EventBody::ItemCompleted { item, .. } => {
                        if let ItemBody::UserMessage { parts } = &item.body {
                            prop_assert_eq!(parts, &waiting.remove(0), "oldest first");
                        }
                    }
                    _ => {}
                }
                evolve(&mut state, event);
            }
            if ends {
                prop_assert_eq!(&left, &waiting, "no accepted input is dropped");
                waiting.clear();
            }
        }
    }
}

fn text(text: &str) -> Command {
    input(text, IfBusy::Reject)
}

fn input(text: &str, if_busy: IfBusy) -> Command {
    Command::Input { parts: parts(text), if_busy, begin: true, queue: 2 }
}

fn parts(text: &str) -> Vec<InputPart> {
    vec![InputPart::Text { text: text.into() }]
}

fn end(outcome: Outcome) -> Command {
    Command::EndTurn { outcome, receipt: Receipt::default(), texts: BTreeMap::new() }
}

fn stop() -> Command {
    Command::Stop { receipt: Receipt::default(), texts: BTreeMap::new() }
}

#[test]
fn queued_inputs_have_their_turns_in_order_and_no_more_than_fit_wait() {
    let queue = |text| input(text, IfBusy::Queue);
    let (state, _) = run(vec![text("one"), queue("two"), queue("three")]);
    assert!(matches!(decide(&state, queue("four")), Err(RuntimeError::Capacity { .. })));
    let rest = [end(Outcome::Completed), Command::Next, end(Outcome::Completed), Command::Next];
    let before = [text("one"), queue("two"), queue("three")];
    let (state, log) = run(before.into_iter().chain(rest).collect());
    let accepted: Vec<_> = log
        .iter()
        .filter_map(|event| match event {
            EventBody::InputAccepted { turn_id, item } => Some((turn_id.get(), item.body.clone())),
            _ => None,
        })
        .collect();
    let said = |text| ItemBody::UserMessage { parts: parts(text) };
    assert_eq!(accepted, [(1, said("one")), (2, said("two")), (3, said("three"))]);
    assert_eq!(state.busy_turn(), Some(TurnId::new(3)));
}

#[test]
fn between_two_queued_turns_the_worker_is_busy() {
    let (state, _) = run(vec![text("one"), input("two", IfBusy::Queue), end(Outcome::Completed)]);
    assert_eq!(state.status(), WorkerStatus::Running { turn_id: TurnId::new(2) });
    assert_eq!(decide(&state, text("three")), Err(RuntimeError::Busy { turn_id: TurnId::new(2) }));
}

#[test]
fn what_a_turn_was_steered_with_and_did_not_take_in_has_its_own_turn() {
    let (state, log) = run(vec![text("one"), input("and", IfBusy::Steer), end(Outcome::Completed)]);
    let queued = EventBody::InputQueued { turn_id: TurnId::new(2), parts: parts("and") };
    assert!(log.contains(&queued), "{log:?}");
    assert_eq!(state.busy_turn(), Some(TurnId::new(2)));
}

#[test]
fn steering_waits_for_the_result_of_an_open_call() {
    let call = |body| Command::AddItem { origin: Origin::Guest, body };
    let begin = ItemBody::ToolCall { call_id: "c".into(), name: "t".into(), arguments: 1.into() };
    let result =
        ItemBody::ToolResult { call_id: "c".into(), outcome: ToolOutcome::Ok, text: String::new() };
    let before = vec![text("one"), input("and", IfBusy::Steer), call(begin)];
    let (state, _) = run(before.clone());
    assert_eq!(decide(&state, Command::TakeSteering), Ok(vec![]));
    let (state, _) = run(before.into_iter().chain([call(result)]).collect());
    let taken = decide(&state, Command::TakeSteering).expect("it is taken in");
    let [EventBody::ItemCompleted { item, .. }] = taken.as_slice() else { panic!("{taken:?}") };
    assert_eq!(item.body, ItemBody::UserMessage { parts: parts("and") });
}

#[test]
fn an_interrupted_turn_is_gone_on_from_three_times_in_a_row() {
    let mut commands = vec![text("one"), input("two", IfBusy::Queue)];
    for _ in 0..3 {
        commands.extend([end(Outcome::Interrupted), Command::Next]);
        let (state, _) = run(commands.clone());
        assert!(state.resumes().is_some());
        assert_eq!(&*state.input(), parts("one"));
    }
    commands.extend([end(Outcome::Interrupted), Command::Next]);
    let (state, _) = run(commands);
    assert_eq!(state.resumes(), None);
    assert_eq!(&*state.input(), parts("two"), "the queue comes after it");
}

#[test]
fn a_stop_ends_what_waits_and_what_would_be_gone_on_from() {
    let (state, log) = run(vec![
        text("one"),
        input("two", IfBusy::Queue),
        input("and", IfBusy::Steer),
        stop(),
        Command::Start,
    ]);
    assert!(state.is_at_rest());
    let ends = log.iter().filter(|event| matches!(event, EventBody::TurnEnded { .. })).count();
    assert_eq!(ends, 3);
    let (state, _) = run(vec![text("one"), end(Outcome::Interrupted), stop(), Command::Start]);
    assert_eq!(state.status(), WorkerStatus::Idle);
}

#[test]
fn only_a_stopped_worker_is_deleted_and_then_takes_nothing() {
    let (state, _) = run(vec![]);
    assert_eq!(decide(&state, Command::Delete), Err(RuntimeError::WorkerNotStopped));
    let (state, _) = run(vec![stop(), Command::Delete, Command::Start]);
    assert!(state.is_deleted());
    assert_eq!(decide(&state, text("one")), Err(RuntimeError::WorkerStopped));
}

#[test]
fn a_revoked_grant_is_recorded_once_and_ends_the_turn_that_began_with_it() {
    let (state, _) = run(vec![text("one"), input("two", IfBusy::Queue)]);
    let events = decide(&state, revoke(&["llm", "preopen:/w"])).expect("decided");
    let [EventBody::GrantRevoked { grants }, EventBody::TurnEnded { outcome, .. }] = &*events
    else {
        panic!("{events:?}")
    };
    assert_eq!(grants.len(), 2);
    assert_eq!(*outcome, Outcome::Cancelled { reason: StopReason::GrantRevoked });
    let (state, _) = run(vec![text("one"), input("two", IfBusy::Queue), revoke(&["llm"])]);
    assert_eq!(state.busy_turn(), Some(TurnId::new(2)), "what waits still has its turn");
    assert_eq!(decide(&state, revoke(&["llm"])), Ok(vec![]), "it cannot be taken twice");
    let more = decide(&state, revoke(&["llm", "preopen:/w"])).expect("decided");
    assert!(matches!(&*more, [EventBody::GrantRevoked { grants }] if grants.len() == 1));
}

#[test]
fn a_worker_is_upgraded_between_turns_and_not_during_one() {
    let (state, _) = run(vec![text("one")]);
    assert_eq!(decide(&state, upgrade()), Err(RuntimeError::Busy { turn_id: TurnId::new(1) }));
    let (state, _) = run(vec![text("one"), end(Outcome::Completed), upgrade()]);
    let upgraded = state.upgraded().expect("an upgrade");
    assert_eq!(upgraded.component, ComponentDigest::from_sha256([9; 32]));
    let (state, _) = run(vec![upgrade(), text("one"), end(Outcome::Interrupted)]);
    assert!(state.is_at_rest(), "its profile goes on from nothing any more");
    let (state, _) = run(vec![stop(), upgrade()]);
    assert_eq!(state.status(), WorkerStatus::Stopped);
    assert!(decide(&run(vec![stop(), Command::Delete]).0, upgrade()).is_err());
}

#[test]
fn invariant_7_a_second_input_is_refused_with_the_running_turn() {
    let (state, _) = run(vec![text("one")]);
    assert_eq!(decide(&state, text("two")), Err(RuntimeError::Busy { turn_id: TurnId::new(1) }));
}

#[test]
fn a_stopped_worker_refuses_input_until_it_is_started() {
    let (state, log) = run(vec![text("one"), stop()]);
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

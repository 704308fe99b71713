//! Creating, feeding, cancelling, stopping and starting Workers.

use std::time::Duration;

use llm_engine::{OfflineModel, ScriptedModel};
use worker_types::{
    CreateWorker, Cursor, EventBody, FailureKind, Input, InputOptions, InputPart, ItemBody,
    ItemStatus, LiveEvent, Outcome, RuntimeError, RuntimeStatus, Seq, StopReason, TranscriptQuery,
    TurnId, WorkerId, WorkerQuery, WorkerStatus,
};

use crate::harness::*;

#[tokio::test]
async fn echo_says_back_what_it_was_told() {
    let runtime = runtime().await;
    assert_eq!(answer(&runtime, "echo", "hello").await, "hello");
}

#[tokio::test]
async fn creation_and_first_input_are_one_call() {
    let runtime = runtime().await;
    let request = CreateWorker::profile(name("echo"))
        .display_name("First")
        .label("user", "42")
        .input(Input::text("hello"));
    let worker = runtime.create(request).await.expect("a Worker");
    let outcome = runtime.outcome(worker.worker_id, TurnId::new(1)).await;
    assert_eq!(outcome, Ok(Outcome::Completed));
    let worker = runtime.worker(worker.worker_id).expect("the Worker");
    assert_eq!(worker.status, WorkerStatus::Idle);
    assert_eq!(worker.display_name.as_deref(), Some("First"));
    assert_eq!(worker.usage.turns, 1);
    assert!(worker.usage.cpu_us > 0, "a turn computes");
    let log = log(&runtime, worker.worker_id).await;
    let kinds: Vec<_> = log.iter().map(|event| std::mem::discriminant(&event.body)).collect();
    assert_eq!(log.last().map(|event| event.seq), Some(worker.last_seq));
    assert_eq!(kinds.len(), 5, "{log:#?}");
}

#[tokio::test]
async fn a_default_profile_is_used_where_none_is_named() {
    let runtime = builder().default_profile(name("echo")).build().await.expect("a Runtime");
    let worker = runtime.create(CreateWorker::default()).await.expect("a Worker");
    assert_eq!(worker.profile, name("echo"));

    let without = crate::harness::runtime().await;
    let refused = without.create(CreateWorker::default()).await;
    assert!(matches!(refused, Err(RuntimeError::InvalidInput { .. })), "{refused:?}");
}

#[tokio::test]
async fn an_unknown_profile_is_refused_with_those_that_exist() {
    let runtime = runtime().await;
    let refused = runtime.create(CreateWorker::profile(name("poet"))).await;
    let Err(RuntimeError::UnknownProfile { known, .. }) = refused else { panic!("{refused:?}") };
    assert!(known.contains(&"echo".to_owned()));
}

#[tokio::test]
async fn every_operation_on_an_unknown_worker_says_so() {
    let runtime = runtime().await;
    let id = WorkerId::generate();
    let unknown = RuntimeError::UnknownWorker { worker_id: id };
    let input = runtime.input(id, Input::text("x"), InputOptions::default()).await;
    assert_eq!(input, Err(unknown.clone()));
    assert_eq!(runtime.cancel(id, None).await, Err(unknown.clone()));
    assert_eq!(runtime.stop(id).await, Err(unknown.clone()));
    assert_eq!(runtime.start(id).await, Err(unknown.clone()));
    assert_eq!(runtime.worker(id), Err(unknown.clone()));
    assert_eq!(runtime.outcome(id, TurnId::new(1)).await, Err(unknown.clone()));
    assert_eq!(runtime.transcript(id, TranscriptQuery::default()).await, Err(unknown.clone()));
    assert_eq!(runtime.event_page(id, Cursor::START, 1).await, Err(unknown.clone()));
    assert_eq!(runtime.logs(id, None).await, Err(unknown.clone()));
    assert_eq!(runtime.events(id, Cursor::START).map(drop), Err(unknown));
}

#[tokio::test]
async fn inputs_that_say_nothing_or_too_much_are_refused_and_the_next_one_runs() {
    let runtime = runtime().await;
    let id = worker(&runtime, "echo").await;
    let limit = worker_types::Limits::default().item_bytes;
    let image = |media_type: &str, data: &str| Input {
        parts: vec![InputPart::Image { media_type: media_type.into(), data: data.into() }],
    };
    let empty = [
        Input { parts: vec![] },
        Input::text(""),
        image("text/html", "AAAA"),
        image("image/png", "!"),
    ];
    for input in empty {
        let refused = runtime.input(id, input, InputOptions::default()).await;
        assert!(matches!(refused, Err(RuntimeError::InvalidInput { .. })), "{refused:?}");
    }
    let large = "x".repeat(usize::try_from(limit).expect("fits") + 1);
    let refused = runtime.input(id, Input::text(large), InputOptions::default()).await;
    assert!(matches!(refused, Err(RuntimeError::PayloadTooLarge { .. })), "{refused:?}");
    assert_eq!(turn(&runtime, id, "still here").await, Outcome::Completed);
    assert_eq!(said(&runtime, id).await, ["still here"]);
}

#[tokio::test]
async fn labels_and_names_with_control_characters_or_without_end_are_refused() {
    let runtime = runtime().await;
    let echo = || CreateWorker::profile(name("echo"));
    let many = (0..33).fold(echo(), |request, n| request.label(format!("k{n}"), "v"));
    let bad = [
        echo().label("", "v"),
        echo().label("k".repeat(64), "v"),
        echo().label("k", "v".repeat(257)),
        echo().label("k", "a\u{1b}[2J"),
        echo().display_name("a\nb"),
        echo().display_name("x".repeat(257)),
        many,
    ];
    for request in bad {
        let refused = runtime.create(request).await;
        assert!(matches!(refused, Err(RuntimeError::InvalidInput { .. })), "{refused:?}");
    }
    assert_eq!(runtime.overview().idle, 0, "nothing was created");
}

#[tokio::test]
async fn invariant_7_of_inputs_at_once_exactly_one_runs() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    let inputs = (0..100).map(|_| runtime.input(id, Input::text("spin"), InputOptions::default()));
    let results = futures_util::future::join_all(inputs).await;
    let accepted = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(accepted, 1);
    for refused in results.into_iter().filter_map(Result::err) {
        // One Worker holds a bounded queue of requests; beyond it a caller is told to come again.
        assert!(
            refused == RuntimeError::Busy { turn_id: TurnId::new(1) }
                || matches!(refused, RuntimeError::Capacity { .. }),
            "{refused:?}"
        );
    }
    runtime.cancel(id, None).await.expect("cancelled");
}

#[tokio::test]
async fn invariant_8_cancel_ends_a_guest_that_spins_and_the_worker_takes_the_next_input() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    for command in ["spin", "spin-in-host-calls", "sleep: 600000", "utter-hang"] {
        let turn_id = send(&runtime, id, command).await;
        runtime.cancel(id, Some(turn_id)).await.expect("cancelled");
        let outcome = runtime.outcome(id, turn_id).await;
        assert_eq!(outcome, Ok(Outcome::Cancelled { reason: StopReason::Cancel }), "{command}");
        assert_eq!(turn(&runtime, id, "print: next").await, Outcome::Completed, "{command}");
    }
}

#[tokio::test]
async fn cancel_of_another_turn_or_of_none_changes_nothing() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    runtime.cancel(id, None).await.expect("nothing to cancel");
    let turn_id = send(&runtime, id, "spin").await;
    runtime.cancel(id, Some(TurnId::new(99))).await.expect("not the running turn");
    let running = runtime.worker(id).expect("the Worker").status;
    assert_eq!(running, WorkerStatus::Running { turn_id });
    runtime.cancel(id, Some(turn_id)).await.expect("cancelled");
}

#[tokio::test]
async fn a_cancelled_utterance_stays_in_the_transcript_as_incomplete() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    let mut events = runtime.events(id, Cursor::START).expect("a stream");
    let turn_id = send(&runtime, id, "utter-hang").await;
    let delta = until(&mut events, |event| match event {
        LiveEvent::Delta(delta) => Some(delta.text.clone()),
        LiveEvent::Snapshot(snapshot) => Some(snapshot.text.clone()),
        LiveEvent::Durable(_) => None,
    })
    .await;
    runtime.cancel(id, Some(turn_id)).await.expect("cancelled");
    let page = runtime.transcript(id, TranscriptQuery::default()).await.expect("a transcript");
    let item = page.items.last().expect("the utterance");
    assert_eq!(item.status, ItemStatus::Incomplete);
    assert_eq!(item.body, ItemBody::AssistantMessage { text: delta, model: None });
}

#[tokio::test]
async fn a_stopped_worker_stays_stopped_until_it_is_started() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    let turn_id = send(&runtime, id, "spin").await;
    runtime.stop(id).await.expect("stopped");
    let outcome = runtime.outcome(id, turn_id).await;
    assert_eq!(outcome, Ok(Outcome::Cancelled { reason: StopReason::Stop }));
    assert_eq!(runtime.worker(id).expect("the Worker").status, WorkerStatus::Stopped);
    let refused = runtime.input(id, Input::text("x"), InputOptions::default()).await;
    assert_eq!(refused, Err(RuntimeError::WorkerStopped));
    runtime.stop(id).await.expect("a second stop is nothing new");
    runtime.start(id).await.expect("started");
    runtime.start(id).await.expect("a second start is nothing new");
    assert_eq!(turn(&runtime, id, "print: again").await, Outcome::Completed);
    let bodies: Vec<_> = log(&runtime, id).await.into_iter().map(|event| event.body).collect();
    let stops = bodies.iter().filter(|body| **body == EventBody::WorkerStopped).count();
    let starts = bodies.iter().filter(|body| **body == EventBody::WorkerStarted).count();
    assert_eq!((stops, starts), (1, 1));
}

#[tokio::test]
async fn outcomes_of_earlier_turns_can_be_asked_for_and_those_of_no_turn_not() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    turn(&runtime, id, "fail: first").await;
    turn(&runtime, id, "second").await;
    let first = runtime.outcome(id, TurnId::new(1)).await.expect("an outcome");
    assert!(matches!(first, Outcome::Failed { message, .. } if message == "first"));
    let none = runtime.outcome(id, TurnId::new(3)).await;
    assert!(matches!(none, Err(RuntimeError::InvalidInput { .. })), "{none:?}");
}

#[tokio::test]
async fn workers_are_listed_in_pages_by_label_and_status() {
    let runtime = runtime().await;
    let mut ids = Vec::new();
    for n in 0..7 {
        let request = CreateWorker::profile(name("echo")).label("even", (n % 2 == 0).to_string());
        ids.push(runtime.create(request).await.expect("a Worker").worker_id);
    }
    runtime.stop(ids[1]).await.expect("stopped");

    let mut listed = Vec::new();
    let mut query = WorkerQuery { limit: Some(3), ..Default::default() };
    loop {
        let page = runtime.workers(&query).expect("a page");
        listed.extend(page.workers.iter().map(|worker| worker.worker_id));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(listed, ids, "in the order of creation");

    let even =
        WorkerQuery { labels: [("even".into(), "true".into())].into(), ..Default::default() };
    assert_eq!(runtime.workers(&even).expect("a page").workers.len(), 4);
    let stopped = WorkerQuery { status: Some("stopped".into()), ..Default::default() };
    assert_eq!(runtime.workers(&stopped).expect("a page").workers.len(), 1);
    let nonsense = WorkerQuery { status: Some("tired".into()), ..Default::default() };
    assert!(matches!(runtime.workers(&nonsense), Err(RuntimeError::InvalidInput { .. })));
    let overview = runtime.overview();
    assert_eq!((overview.idle, overview.running, overview.stopped), (6, 0, 1));
}

#[tokio::test]
async fn a_failing_guest_leaves_a_reason_and_a_worker_that_goes_on() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    for (command, reason) in [
        ("fail: no such luck", "no such luck"),
        ("panic: at the disco", "at the disco"),
        ("trap", "unreachable"),
        ("exit: 3", "exited with code 1"),
    ] {
        let outcome = turn(&runtime, id, command).await;
        let Outcome::Failed { message, .. } = &outcome else { panic!("{command}: {outcome:?}") };
        assert!(message.contains(reason), "{command}: {message}");
    }
    assert_eq!(turn(&runtime, id, "print: fine").await, Outcome::Completed);
    assert_eq!(runtime.overview().usage.turns, 5);
}

#[tokio::test]
async fn what_a_guest_prints_is_in_the_logs_of_its_turn() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    turn(&runtime, id, "print: one").await;
    turn(&runtime, id, "print: two").await;
    let texts = async |turn| -> Vec<String> {
        let page = runtime.logs(id, turn).await.expect("logs");
        page.lines.into_iter().map(|line| line.text).collect()
    };
    assert_eq!(texts(None).await, ["one", "two"]);
    assert_eq!(texts(Some(TurnId::new(2))).await, ["two"]);
}

#[tokio::test]
async fn invariant_6_an_abandoned_tool_call_gets_its_one_result() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    turn(&runtime, id, "tool: x").await;
    turn(&runtime, id, "tool-drop").await;
    turn(&runtime, id, "tool-trap").await;
    let page = runtime.transcript(id, TranscriptQuery::default()).await.expect("a transcript");
    let mut calls = Vec::new();
    let mut results = Vec::new();
    for item in &page.items {
        match &item.body {
            ItemBody::ToolCall { call_id, .. } => calls.push(call_id.as_str()),
            ItemBody::ToolResult { call_id, .. } => results.push(call_id.as_str()),
            _ => {}
        }
    }
    assert_eq!(calls.len(), 3);
    assert_eq!(calls, results);
}

#[tokio::test]
async fn the_guests_state_and_history_outlive_the_instance() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    turn(&runtime, id, "state-set: colour=green").await;
    turn(&runtime, id, "state-get: colour").await;
    assert!(said(&runtime, id).await.pop().expect("an answer").contains("green"));
    turn(&runtime, id, "history").await;
    let history = said(&runtime, id).await.pop().expect("an answer");
    assert!(history.contains("state-set: colour=green"), "{history}");
}

#[tokio::test]
async fn shutdown_interrupts_what_does_not_end_and_refuses_what_comes_late() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    let turn_id = send(&runtime, id, "spin").await;
    let mut events = runtime.events(id, Cursor::START).expect("a stream");
    runtime.shutdown(Duration::from_millis(50)).await;
    assert_eq!(runtime.status(), RuntimeStatus::Draining);
    let refused = runtime.input(id, Input::text("x"), InputOptions::default()).await;
    assert!(matches!(refused, Err(RuntimeError::RuntimeUnavailable { .. })), "{refused:?}");
    let mut last = Seq::ZERO;
    let mut outcome = None;
    while let Some(event) = events.next().await {
        if let LiveEvent::Durable(event) = event.expect("a readable log") {
            assert_eq!(event.seq, last.next(), "no gap");
            last = event.seq;
            if let EventBody::TurnEnded { outcome: ended, .. } = event.body {
                outcome = Some(ended);
            }
        }
    }
    assert_eq!(outcome, Some(Outcome::Interrupted));
    assert_eq!(runtime.outcome(id, turn_id).await, Ok(Outcome::Interrupted));
}

#[tokio::test]
async fn several_runtimes_live_in_one_process() {
    let (one, two) = (runtime().await, runtime().await);
    let id = worker(&one, "echo").await;
    assert!(two.worker(id).is_err());
    assert_eq!(turn(&one, id, "mine").await, Outcome::Completed);
    one.shutdown(Duration::ZERO).await;
    assert_eq!(answer(&two, "echo", "still here").await, "still here");
}

#[tokio::test]
async fn the_history_has_what_the_turn_itself_said_and_did() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    assert_eq!(turn(&runtime, id, "earlier").await, Outcome::Completed);
    assert_eq!(turn(&runtime, id, "say-history: one").await, Outcome::Completed);
    assert_eq!(
        said(&runtime, id).await.pop().expect("the history"),
        "5 entries, more: false\nuser: earlier\nassistant: earlier\nuser: say-history: one\n\
         assistant: one\ntool: worked"
    );
}

#[tokio::test]
async fn a_history_page_without_a_sensible_limit_is_an_error_and_no_trap() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    for limit in [0, 1_001, u32::MAX] {
        let outcome = turn(&runtime, id, &format!("history: {limit}")).await;
        let Outcome::Failed { kind, message } = outcome else { panic!("{limit}: {outcome:?}") };
        assert_eq!(kind, FailureKind::Guest, "{message}");
        assert_eq!(message, format!("a history page has 1 to 1000 entries, not {limit}"));
    }
    assert_eq!(turn(&runtime, id, "history: 1").await, Outcome::Completed);
    assert_eq!(said(&runtime, id).await, ["1 entries, more: true\nuser: history: 1"]);
}

#[tokio::test]
async fn options_and_kinds_that_nobody_defined_are_invalid() {
    let runtime = runtime_with_model(OfflineModel::instant()).await;
    let id = llm_worker(&runtime, "hostile").await;
    assert_eq!(turn(&runtime, id, "llm-option: effort").await, Outcome::Completed);
    assert_eq!(said(&runtime, id).await, ["invalid: unknown option `effort`"]);
    for command in ["llm-other: {}", "llm-other-part: {}"] {
        let outcome = turn(&runtime, id, command).await;
        let Outcome::Failed { kind, message } = outcome else { panic!("{command}: {outcome:?}") };
        assert_eq!(kind, FailureKind::Guest, "{message}");
        assert!(message.contains("of an unknown kind"), "{message}");
    }
}

#[tokio::test]
async fn a_tool_call_is_taken_up_once() {
    let model = ScriptedModel::new().request_tool("c1", "lookup", &serde_json::json!({}));
    let runtime = runtime_with_model(model).await;
    let id = llm_worker(&runtime, "hostile").await;
    assert_eq!(turn(&runtime, id, "llm-take-twice").await, Outcome::Completed);
    let taken = said(&runtime, id).await.pop().expect("how it went");
    assert!(taken.starts_with("first: ok\nsecond: error: no model asked for"), "{taken}");
    assert_eq!(turn(&runtime, id, "tool-take: nobody").await, Outcome::Completed);
    let taken = said(&runtime, id).await.pop().expect("how it went");
    assert!(taken.starts_with("first: error: no model asked for"), "{taken}");
}

#[tokio::test]
async fn json_that_nests_too_deep_to_be_read_back_is_refused_or_kept_as_text() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    for depth in [65, 100, 124, 126, 127] {
        let json = serde_json::from_str(&nested(depth)).expect("within the parser's bound");
        let input = Input { parts: vec![InputPart::Json { json }] };
        let refused = runtime.input(id, input, InputOptions::default()).await;
        assert!(matches!(refused, Err(RuntimeError::InvalidInput { .. })), "{depth}: {refused:?}");
        let outcome = turn(&runtime, id, &format!("tool: {}", nested(depth))).await;
        assert_eq!(outcome, Outcome::Completed, "{depth}");
    }
    let many = Input { parts: vec![InputPart::Text { text: "x".into() }; 257] };
    let refused = runtime.input(id, many, InputOptions::default()).await;
    assert!(matches!(refused, Err(RuntimeError::InvalidInput { .. })), "{refused:?}");
    assert!(!log(&runtime, id).await.is_empty(), "the log can be read");
    runtime.transcript(id, TranscriptQuery::default()).await.expect("and so can the transcript");
}

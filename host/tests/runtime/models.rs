//! Model calls: what is recorded, what reaches the guest, and what a failure leaves.

use std::sync::Arc;

use llm_engine::{
    FinishReason, Gate, Message, ModelError, ModelEvent, ModelUsage, Models, OfflineModel, Part,
    ScriptedModel, Step, ToolRequestPiece,
};
use worker_runtime::Runtime;
use worker_types::{
    EventBody, FailureKind, ItemBody, ItemStatus, Limits, Origin, Outcome, StopReason, TokenUsage,
    TranscriptQuery, WorkerId,
};

use crate::harness::*;

#[tokio::test]
async fn the_offline_companion_chats_and_remembers() {
    let runtime = runtime_with_model(OfflineModel::instant()).await;
    let id = llm_worker(&runtime, "companion").await;
    assert_eq!(turn(&runtime, id, "hello").await, Outcome::Completed);
    assert_eq!(turn(&runtime, id, "how are you?").await, Outcome::Completed);
    let said = said(&runtime, id).await;
    assert_eq!(said.len(), 2);
    assert!(said.iter().all(|text| text.contains("offline")), "{said:?}");
    let offline = runtime.diagnostics().iter().any(|d| d.code == "offline_model");
    assert!(offline, "an operator is told");
}

#[tokio::test]
async fn the_context_history_is_the_whole_conversation() {
    let model = ScriptedModel::new().answer("one").answer("two");
    let runtime = runtime_with_model(model.clone()).await;
    let id = llm_worker(&runtime, "companion").await;
    turn(&runtime, id, "first").await;
    turn(&runtime, id, "second").await;
    let texts: Vec<String> = model.requests()[1]
        .messages
        .iter()
        .map(|message| match message {
            Message::User(parts) => match &parts[0] {
                Part::Text(text) => format!("user: {text}"),
                other => panic!("{other:?}"),
            },
            Message::Assistant(message) => format!("assistant: {}", message.text),
            Message::Tool(_) => panic!("no tool was called"),
        })
        .collect();
    assert_eq!(texts, ["user: first", "assistant: one", "user: second"]);
    assert!(model.requests()[1].system.is_some(), "the companion has a prompt");
}

#[tokio::test]
async fn the_host_records_answer_reasoning_and_usage_itself() {
    let usage = ModelUsage { input: Some(7), output: Some(5), cached_input: None, reasoning: None };
    let model = ScriptedModel::new().call([
        Step::Event(ModelEvent::Reasoning("let me see".into())),
        Step::text("42"),
        Step::Event(ModelEvent::Usage(usage)),
        Step::stop(),
    ]);
    let runtime = runtime_with_model(model).await;
    let id = llm_worker(&runtime, "companion").await;
    assert_eq!(turn(&runtime, id, "what is it?").await, Outcome::Completed);
    let page = runtime.transcript(id, TranscriptQuery::default()).await.expect("a transcript");
    let kinds: Vec<_> = page
        .items
        .iter()
        .map(|item| match &item.body {
            ItemBody::UserMessage { .. } => "user",
            ItemBody::Reasoning { .. } => "reasoning",
            ItemBody::AssistantMessage { .. } => "assistant",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["user", "reasoning", "assistant"]);
    assert!(page.items.iter().all(|item| item.origin == Origin::Host));
    let tokens = TokenUsage { input: Some(7), output: Some(5), ..Default::default() };
    assert_eq!(runtime.worker(id).expect("the Worker").usage.tokens, tokens);
    assert_eq!(runtime.overview().usage.tokens, tokens);
    let log = log(&runtime, id).await;
    let recorded = log.iter().filter(|e| matches!(e.body, EventBody::UsageRecorded { .. }));
    assert_eq!(recorded.count(), 1);
}

#[tokio::test]
async fn every_way_a_provider_fails_ends_the_turn_with_a_reason_and_not_the_worker() {
    let failures = [
        (ModelError::Auth, "credentials"),
        (ModelError::RateLimited { retry_after: None }, "too many model calls"),
        (ModelError::Overloaded, "overloaded"),
        (ModelError::ContextOverflow, "context"),
        (ModelError::Stalled, "silent"),
        (ModelError::Invalid { message: "broken JSON".into() }, "broken JSON"),
        (ModelError::Unreachable { message: "connection refused".into() }, "connection refused"),
        (ModelError::Incomplete, "before it was complete"),
    ];
    for (error, reason) in failures {
        let model = ScriptedModel::new()
            .call([Step::text("half an ans"), Step::Error(error.clone())])
            .answer("back again");
        let runtime = runtime_with_model(model).await;
        let id = llm_worker(&runtime, "companion").await;
        let outcome = turn(&runtime, id, "hi").await;
        let Outcome::Failed { message, .. } = &outcome else { panic!("{error:?}: {outcome:?}") };
        assert!(message.contains(reason), "{error:?}: {message}");
        let page = runtime.transcript(id, TranscriptQuery::default()).await.expect("a transcript");
        let half = page.items.last().expect("the answer");
        assert_eq!(half.status, ItemStatus::Incomplete, "nothing is lost");
        assert_eq!(turn(&runtime, id, "again").await, Outcome::Completed);
        assert_eq!(said(&runtime, id).await.pop().as_deref(), Some("back again"));
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_a_failure_and_its_tool_requests_are_forgotten() {
    let arguments = serde_json::json!({"command": "rm -rf /tmp/x"});
    let model = ScriptedModel::new()
        .call([Step::tool_request(0, "call-1", "shell", &arguments)])
        .answer("back again");
    let runtime = runtime_with_model(model).await;
    let id = llm_worker(&runtime, "companion").await;
    assert!(matches!(turn(&runtime, id, "hi").await, Outcome::Failed { .. }));
    let page = runtime.transcript(id, TranscriptQuery::default()).await.expect("a transcript");
    assert!(!page.items.iter().any(|item| matches!(item.body, ItemBody::ToolCall { .. })));
}

#[tokio::test]
async fn a_tool_request_that_nobody_takes_up_is_answered_at_the_end_of_the_turn() {
    let arguments = serde_json::json!({"path": "a"});
    let model = ScriptedModel::new().request_tool("call-1", "read", &arguments);
    let runtime = runtime_with_model(model).await;
    let id = llm_worker(&runtime, "companion").await;
    turn(&runtime, id, "hi").await;
    let page = runtime.transcript(id, TranscriptQuery::default()).await.expect("a transcript");
    let results = page.items.iter().filter(
        |item| matches!(&item.body, ItemBody::ToolResult { call_id, .. } if call_id == "call-1-1"),
    );
    assert_eq!(results.count(), 1);
}

#[tokio::test]
async fn invariant_8_cancel_reaches_the_model_stream() {
    let model = ScriptedModel::new().hang();
    let runtime = runtime_with_model(model.clone()).await;
    let id = llm_worker(&runtime, "companion").await;
    let turn_id = send(&runtime, id, "hi").await;
    model.wait_for_open_streams(1).await;
    runtime.cancel(id, Some(turn_id)).await.expect("cancelled");
    model.wait_for_open_streams(0).await;
    let outcome = runtime.outcome(id, turn_id).await;
    assert_eq!(outcome, Ok(Outcome::Cancelled { reason: StopReason::Cancel }));
}

#[tokio::test]
async fn a_completion_that_the_guest_drops_ends_and_stays_incomplete() {
    let model = ScriptedModel::new().call([Step::text("one "), Step::Hang]);
    let runtime = runtime_with_model(model.clone()).await;
    let id = llm_worker(&runtime, "hostile").await;
    assert_eq!(turn(&runtime, id, "llm-drop").await, Outcome::Completed);
    model.wait_for_open_streams(0).await;
    let page = runtime.transcript(id, TranscriptQuery::default()).await.expect("a transcript");
    let incomplete = page.items.iter().filter(|item| item.status == ItemStatus::Incomplete);
    assert_eq!(incomplete.count(), 1);
}

#[tokio::test]
async fn tool_requests_of_an_answer_that_was_cut_are_forgotten() {
    let arguments = serde_json::json!({"command": "rm -rf /tmp/x"});
    let model = ScriptedModel::new().call([
        Step::tool_request(0, "call-1", "shell", &arguments),
        Step::Event(ModelEvent::Finish(FinishReason::Length)),
    ]);
    let runtime = runtime_with_model(model).await;
    let id = llm_worker(&runtime, "companion").await;
    assert_eq!(turn(&runtime, id, "hi").await, Outcome::Completed);
    let page = runtime.transcript(id, TranscriptQuery::default()).await.expect("a transcript");
    assert!(!page.items.iter().any(|item| matches!(item.body, ItemBody::ToolCall { .. })));
}

#[tokio::test]
async fn a_call_id_that_a_model_gives_twice_is_two_calls_with_a_result_each() {
    let arguments = serde_json::json!({});
    let asks = || {
        [
            Step::tool_request(0, "same", "read", &arguments),
            Step::tool_request(1, "same", "read", &arguments),
            Step::tools_requested(),
        ]
    };
    let runtime = runtime_with_model(ScriptedModel::new().call(asks()).call(asks())).await;
    let id = llm_worker(&runtime, "companion").await;
    turn(&runtime, id, "one").await;
    turn(&runtime, id, "two").await;
    let page = runtime.transcript(id, TranscriptQuery::default()).await.expect("a transcript");
    let mut calls = std::collections::BTreeSet::new();
    let mut results = std::collections::BTreeSet::new();
    for item in page.items {
        match item.body {
            ItemBody::ToolCall { call_id, .. } => assert!(calls.insert(call_id), "used twice"),
            ItemBody::ToolResult { call_id, .. } => assert!(results.insert(call_id), "used twice"),
            _ => {}
        }
    }
    assert_eq!(calls.len(), 4);
    assert_eq!(calls, results);
}

fn seven_tokens() -> Step {
    let usage = ModelUsage { output: Some(7), ..ModelUsage::default() };
    Step::Event(ModelEvent::Usage(usage))
}

/// The tokens in the Worker's receipts, and those in its log.
async fn written(runtime: &Runtime, id: WorkerId) -> (Option<u64>, Option<u64>) {
    let receipts = runtime.worker(id).expect("the Worker").usage.tokens;
    let mut recorded = TokenUsage::default();
    for event in log(runtime, id).await {
        if let EventBody::UsageRecorded { tokens, .. } = event.body {
            recorded.add(tokens);
        }
    }
    (receipts.output, recorded.output)
}

#[tokio::test]
async fn what_a_call_took_is_counted_once_when_its_turn_is_cancelled() {
    let reached = Gate::closed();
    let call = [seven_tokens(), Step::text("x"), Step::Open(reached.clone()), Step::Hang];
    let runtime = runtime_with_model(ScriptedModel::new().call(call)).await;
    let id = llm_worker(&runtime, "hostile").await;
    let turn_id = send(&runtime, id, "llm: hi").await;
    reached.passed().await;
    runtime.cancel(id, Some(turn_id)).await.expect("cancelled");
    assert_eq!(written(&runtime, id).await, (Some(7), Some(7)));
}

#[tokio::test]
async fn what_a_call_took_is_counted_once_when_its_turn_ends_without_it() {
    let call = [seven_tokens(), Step::text("x"), Step::Hang];
    let runtime = runtime_with_model(ScriptedModel::new().call(call)).await;
    let id = llm_worker(&runtime, "hostile").await;
    assert_eq!(turn(&runtime, id, "llm-hold").await, Outcome::Completed);
    assert_eq!(written(&runtime, id).await, (Some(7), Some(7)));
}

#[tokio::test]
async fn what_a_provider_reported_is_counted_also_where_the_guest_never_read_it() {
    // The guest begins two calls, reads the first up to its failure, and drops the other.
    let (first, second, go_on) = (Gate::closed(), Gate::closed(), Gate::closed());
    let call = |reached: &Gate| {
        let failure = Step::Error(ModelError::Overloaded);
        [seven_tokens(), Step::Open(reached.clone()), Step::Gate(go_on.clone()), failure]
    };
    let model = ScriptedModel::new().call(call(&first)).call(call(&second));
    let runtime = runtime_with_model(model).await;
    let id = llm_worker(&runtime, "hostile").await;
    let turn_id = send(&runtime, id, "llm-many: 2").await;
    first.passed().await;
    second.passed().await;
    go_on.open();
    let outcome = runtime.outcome(id, turn_id).await.expect("an outcome");
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    assert_eq!(written(&runtime, id).await, (Some(14), Some(14)));
}

/// A turn that may record 2,000 bytes, with a model that makes `call`.
async fn short_of_room(call: Vec<Step>) -> (Runtime, WorkerId, Outcome) {
    let models = Models::none().with("default", Arc::new(ScriptedModel::new().call(call)));
    let limits = Limits { turn_record_bytes: 2_000, ..Limits::default() };
    let runtime = builder().models(models).limits(limits).build().await.expect("a Runtime");
    let id = llm_worker(&runtime, "hostile").await;
    let outcome = turn(&runtime, id, "llm-tools: x").await;
    (runtime, id, outcome)
}

#[tokio::test]
async fn an_answer_that_cannot_be_recorded_is_an_error_for_the_guest_and_stays_incomplete() {
    let call = vec![seven_tokens(), Step::text("x"), Step::text("y".repeat(3_000)), Step::Hang];
    let (runtime, id, outcome) = short_of_room(call).await;
    let Outcome::Failed { kind: FailureKind::Guest, message } = &outcome else {
        panic!("{outcome:?}")
    };
    assert!(message.contains("at most 2000 bytes"), "{message}");
    let page = runtime.transcript(id, TranscriptQuery::default()).await.expect("a transcript");
    assert_eq!(page.items.last().expect("the answer").status, ItemStatus::Incomplete);
    assert_eq!(written(&runtime, id).await, (Some(7), Some(7)));
}

#[tokio::test]
async fn tool_requests_that_never_end_are_cut_off_as_they_come() {
    // Each of them fits; all together do not.
    let piece = |index| {
        let (call_id, name) = (Some("call".to_owned()), Some("lookup".to_owned()));
        let arguments = "x".repeat(300);
        Step::Event(ModelEvent::ToolRequest(ToolRequestPiece { index, call_id, name, arguments }))
    };
    let (_, _, outcome) = short_of_room((0..10).map(piece).chain([Step::Hang]).collect()).await;
    let Outcome::Failed { kind: FailureKind::Guest, message } = &outcome else {
        panic!("{outcome:?}")
    };
    assert!(message.contains("at most 2000 bytes"), "{message}");
}

use super::*;
use std::sync::Arc;

use crate::{CallLimits, Gate, Model, ModelRequest, ModelUsage, Models, ScriptedModel, Step};
use futures_util::{StreamExt as _, stream};

type Item = Result<ModelEvent, ModelError>;

fn model(scripted: &ScriptedModel) -> Model {
    let limits = CallLimits { tries: 1, ..CallLimits::default() };
    let models = Models::none().with_limits("test", Arc::new(scripted.clone()), limits);
    models.get("test").unwrap()
}

/// What a caller sees of a provider that does `steps`, up to the end of the stream.
async fn seen(steps: impl IntoIterator<Item = Step>) -> Vec<Item> {
    let scripted = ScriptedModel::new().call(steps);
    let stream = model(&scripted).stream(ModelRequest::default());
    stream.collect().await
}

/// A stream whose deadline is far away.
fn guarded(inner: ModelStream, idle_timeout: Duration) -> GuardedStream {
    GuardedStream::new(inner, idle_timeout, Instant::now() + Duration::from_secs(3_600))
}

fn text(text: &str) -> Item {
    Ok(ModelEvent::Text(text.to_owned()))
}

fn finish(reason: FinishReason) -> Item {
    Ok(ModelEvent::Finish(reason))
}

fn piece(index: u32, arguments: &str) -> Step {
    Step::Event(ModelEvent::ToolRequest(ToolRequestPiece {
        index,
        arguments: arguments.to_owned(),
        ..ToolRequestPiece::default()
    }))
}

fn first_piece(index: u32) -> Step {
    Step::Event(ModelEvent::ToolRequest(ToolRequestPiece {
        index,
        call_id: Some(format!("call-{index}")),
        name: Some("read".to_owned()),
        arguments: String::new(),
    }))
}

#[tokio::test]
async fn nothing_follows_the_finish() {
    let items = seen([Step::text("a"), Step::stop(), Step::text("b")]).await;
    assert_eq!(items, [text("a"), finish(FinishReason::Stop)]);
}

#[tokio::test]
async fn nothing_follows_an_error() {
    let items = seen([Step::Error(ModelError::Overloaded), Step::text("b")]).await;
    assert_eq!(items, [Err(ModelError::Overloaded)]);
}

#[tokio::test]
async fn an_end_without_a_finish_is_incomplete() {
    let items = seen([Step::text("a")]).await;
    assert_eq!(items, [text("a"), Err(ModelError::Incomplete)]);
}

#[tokio::test]
async fn the_providers_stream_is_dropped_at_the_end_even_if_ours_is_kept() {
    let scripted = ScriptedModel::new().answer("a");
    let mut stream = model(&scripted).stream(ModelRequest::default());
    assert_eq!(stream.next().await, Some(text("a")));
    scripted.wait_for_open_streams(1).await;
    while stream.next().await.is_some() {}
    scripted.wait_for_open_streams(0).await;
    drop(stream);
}

#[tokio::test]
async fn dropping_the_stream_drops_the_providers() {
    let scripted = ScriptedModel::new().hang();
    let mut stream = model(&scripted).stream(ModelRequest::default());
    assert!(futures_util::poll!(stream.next()).is_pending());
    scripted.wait_for_open_streams(1).await;
    drop(stream);
    scripted.wait_for_open_streams(0).await;
}

#[tokio::test]
async fn whether_tools_are_awaited_is_decided_by_the_requests() {
    let items = seen([first_piece(0), piece(0, "{}"), Step::stop()]).await;
    assert_eq!(items.last(), Some(&finish(FinishReason::ToolRequests)));
    let items = seen([Step::text("a"), Step::tools_requested()]).await;
    assert!(matches!(items.last(), Some(Err(ModelError::Invalid { .. }))));
}

#[tokio::test]
async fn requests_cut_short_by_the_limit_stay_cut_short() {
    let length = Step::Event(ModelEvent::Finish(FinishReason::Length));
    let items = seen([first_piece(0), piece(0, "{\"pa"), length]).await;
    assert_eq!(items.last(), Some(&finish(FinishReason::Length)));
}

#[tokio::test]
async fn a_request_that_names_no_tool_is_invalid() {
    let items = seen([piece(0, "{}"), Step::tools_requested()]).await;
    assert!(matches!(items[..], [Err(ModelError::Invalid { .. })]));
}

#[tokio::test]
async fn more_requests_than_allowed_are_invalid() {
    let limit = u32::try_from(MAX_TOOL_REQUESTS).unwrap();
    let items = seen((0..=limit).map(first_piece)).await;
    assert_eq!(items.len(), MAX_TOOL_REQUESTS + 1);
    assert!(matches!(items.last(), Some(Err(ModelError::Invalid { .. }))));
}

#[tokio::test]
async fn usage_passes_through() {
    let usage = ModelEvent::Usage(ModelUsage { input: Some(3), ..ModelUsage::default() });
    let items = seen([Step::Event(usage.clone()), Step::stop()]).await;
    assert_eq!(items, [Ok(usage), finish(FinishReason::Stop)]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_stalls_after_the_idle_timeout() {
    let started = Instant::now();
    let items = seen([Step::text("a"), Step::Hang]).await;
    assert_eq!(items, [text("a"), Err(ModelError::Stalled)]);
    let waited = started.elapsed();
    assert!(
        waited >= CallLimits::default().idle_timeout
            && waited < CallLimits::default().idle_timeout * 2
    );
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_even_start_stalls() {
    #[derive(Debug)]
    struct NeverStarts;

    #[async_trait::async_trait]
    impl crate::ModelProvider for NeverStarts {
        fn info(&self) -> crate::ModelInfo {
            ScriptedModel::new().info()
        }

        async fn stream(&self, _request: ModelRequest) -> Result<ModelStream, ModelError> {
            std::future::pending().await
        }
    }

    let models = Models::none().with("test", Arc::new(NeverStarts));
    let model = models.get("test").unwrap();
    let items: Vec<Item> = model.stream(ModelRequest::default()).collect().await;
    assert_eq!(items, [Err(ModelError::Stalled)]);
}

#[tokio::test(start_paused = true)]
async fn events_without_content_are_no_signs_of_life() {
    let empties = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok(ModelEvent::Text(String::new())), ()))
    });
    let stream = guarded(Box::pin(empties), Duration::from_secs(10));
    let items: Vec<Item> = stream.collect().await;
    assert_eq!(items, [Err(ModelError::Stalled)]);
}

#[tokio::test]
async fn a_flood_of_events_without_content_stalls_too() {
    let flood = stream::repeat_with(|| Ok(ModelEvent::Text(String::new())));
    let stream = guarded(Box::pin(flood), Duration::from_millis(20));
    let items: Vec<Item> = stream.collect().await;
    assert_eq!(items, [Err(ModelError::Stalled)]);
}

#[tokio::test(start_paused = true)]
async fn each_event_starts_the_idle_timeout_anew() {
    let slow = stream::unfold(0, |count| async move {
        tokio::time::sleep(Duration::from_secs(9)).await;
        let event = match count {
            0..5 => ModelEvent::Text("a".to_owned()),
            _ => ModelEvent::Finish(FinishReason::Stop),
        };
        Some((Ok(event), count + 1))
    });
    let stream = guarded(Box::pin(slow), Duration::from_secs(10));
    let items: Vec<Item> = stream.collect().await;
    assert_eq!(items.last(), Some(&finish(FinishReason::Stop)));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_no_stalled_provider() {
    let gate = Gate::closed();
    let scripted = ScriptedModel::new().call([
        Step::text("a"),
        Step::Gate(gate.clone()),
        Step::text("b"),
        Step::stop(),
    ]);
    let mut stream = model(&scripted).stream(ModelRequest::default());
    assert_eq!(stream.next().await, Some(text("a")));
    tokio::time::advance(CallLimits::default().idle_timeout * 2).await;
    gate.open();
    assert_eq!(stream.next().await, Some(text("b")));
    assert_eq!(stream.next().await, Some(finish(FinishReason::Stop)));
    assert_eq!(stream.next().await, None);
}

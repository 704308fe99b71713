//! Events, of one Worker or of one Runtime: a page as JSON, or what is there and what follows as a stream.

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use futures_util::{Stream, stream};
use http::HeaderMap;
use http_api::{
    ApiQuery, CallerName, EventsQuery, Problem, SseEvent, live_message, message,
    openapi::{CursorRefusals, RegistryRefusals, TokenRefusals},
    place_after, vary_by_accept, wants_stream,
};
use worker_types::{Cursor, EventPage, FeedCursor, FeedPage, RuntimeError};

use super::{AtRuntime, AtWorker, OfWorker, RuntimePath, WorkerPath};
use crate::{RuntimeFeed, WorkerEvents, auth::Stay, backend::AppState};

/// The events of a Worker: a page, or a stream.
///
/// The stream is for who sends `Accept: text/event-stream`. The data of its messages are `LiveEvent`s, and
/// their `event` is the type; those in the log have the place after them as `id`. A `problem` is the last.
#[utoipa::path(
    get,
    path = "/runtimes/{runtime_id}/workers/{worker_id}/events",
    operation_id = "worker_events",
    tag = "Workers",
    params(
        WorkerPath,
        ("after" = Option<Cursor>, Query, description = "What follows this place; absent for the start."),
        ("limit" = Option<u64>, Query, description = "At most this many on a page."),
        (
            "Last-Event-ID" = Option<String>,
            Header,
            description = "Of a stream: the last `id` that was seen, which counts instead of `after`.",
        ),
    ),
    responses(
        TokenRefusals,
        RegistryRefusals,
        CursorRefusals,
        (
            status = 200,
            description = "The events after the place, or those and what follows.",
            content((OfWorker<EventPage> = "application/json"), (String = "text/event-stream")),
        ),
    ),
    security(("token" = []))
)]
pub(super) async fn of_worker(
    State(state): State<AppState>,
    (Extension(caller), Extension(stay)): (Extension<CallerName>, Extension<Stay>),
    at: AtWorker,
    ApiQuery(query): ApiQuery<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut response = if wants_stream(&headers) {
        let after = place_after(Cursor::START, query.after.as_deref(), Some(&headers))?;
        let share = state.event_streams.admit(&caller)?;
        let events = at.source.events(at.id(), after).await?;
        state.event_streams.answer(share, messages(events), stay.over())
    } else {
        let after = place_after(Cursor::START, query.after.as_deref(), None)?;
        let page = at.source.event_page(at.id(), after, query.limit()).await?;
        at.json(page).into_response()
    };
    vary_by_accept(&mut response);
    Ok(response)
}

/// The events of all Workers of a Runtime: a page, or a stream. Not where only some of them are visible here.
#[utoipa::path(
    get,
    path = "/runtimes/{runtime_id}/events",
    operation_id = "runtime_events",
    tag = "Runtimes",
    params(
        RuntimePath,
        ("after" = Option<FeedCursor>, Query, description = "What follows this place; absent for the start."),
        ("limit" = Option<u64>, Query, description = "At most this many on a page."),
        (
            "Last-Event-ID" = Option<String>,
            Header,
            description = "Of a stream: the last `id` that was seen, which counts instead of `after`.",
        ),
    ),
    responses(
        TokenRefusals,
        RegistryRefusals,
        CursorRefusals,
        (
            status = 200,
            description = "The events after the place, or those and what follows.",
            content((FeedPage = "application/json"), (String = "text/event-stream")),
        ),
    ),
    security(("token" = []))
)]
pub(super) async fn of_runtime(
    State(state): State<AppState>,
    (Extension(caller), Extension(stay)): (Extension<CallerName>, Extension<Stay>),
    AtRuntime(runtime): AtRuntime,
    ApiQuery(query): ApiQuery<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !runtime.visible_labels().is_empty() {
        let what = "the events of a Runtime of which only some Workers are visible here".to_owned();
        return Err(RuntimeError::Unsupported { what }.into());
    }
    let source = runtime.source();
    let mut response = if wants_stream(&headers) {
        let after = place_after(FeedCursor::START, query.after.as_deref(), Some(&headers))?;
        let share = state.event_streams.admit(&caller)?;
        let feed = source.feed(after).await?;
        state.event_streams.answer(share, feed_messages(feed), stay.over())
    } else {
        let after = place_after(FeedCursor::START, query.after.as_deref(), None)?;
        Json(source.feed_page(after, query.limit()).await?).into_response()
    };
    vary_by_accept(&mut response);
    Ok(response)
}

fn messages(events: WorkerEvents) -> impl Stream<Item = Result<SseEvent, RuntimeError>> {
    stream::unfold(events, async |mut events| {
        let next = events.next().await?;
        let message = next.map(|event| live_message(&event, events.cursor()));
        Some((message, events))
    })
}

/// Of what is damaged the feed tells, and goes on behind it.
fn feed_messages(feed: RuntimeFeed) -> impl Stream<Item = Result<SseEvent, RuntimeError>> {
    stream::unfold(feed, async |mut feed| {
        let next = feed.next().await?;
        let id = Some(feed.cursor().to_string());
        let message = match next {
            Ok(event) => message(event.body.name(), &event, id),
            Err(error) => http_api::problem_message(error, id),
        };
        Some((Ok(message), feed))
    })
}

//! Events, of one Worker or of all: a page as JSON, or what is there and what follows as a stream.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use futures_util::{Stream, stream};
use http::HeaderMap;
use http_api::{
    ApiQuery, EventsQuery, Problem, SseEvent, live_message, message,
    openapi::{CursorRefusals, NameRefusals, QueryRefusals, StoreRefusals, TokenRefusals},
    place_after, problem_message, vary_by_accept, wants_stream,
};
use worker_runtime::{Events, Feed};
use worker_types::{Cursor, EventPage, FeedCursor, FeedPage, RuntimeError};

use crate::{
    access::{Observed, Observer, OfWorker},
    server::ServerState,
};

/// The events of a Worker: a page, or a stream.
///
/// The stream is for who sends `Accept: text/event-stream`. The data of its messages are `LiveEvent`s, and
/// their `event` is the type; those in the log have the place after them as `id`. A `problem` is the last.
#[utoipa::path(
    get,
    path = "/workers/{worker_id}/events",
    operation_id = "worker_events",
    tag = "Workers",
    params(
        OfWorker,
        ("after" = Option<Cursor>, Query, description = "What follows this place; absent for the start."),
        (
            "limit" = Option<u64>,
            Query,
            description = "At most this many on a page; 100 by default, and never more than 1,000.",
        ),
        (
            "Last-Event-ID" = Option<String>,
            Header,
            description = "Of a stream: the last `id` that was seen, which counts instead of `after`.",
        ),
    ),
    responses(
        TokenRefusals,
        NameRefusals,
        CursorRefusals,
        StoreRefusals,
        (
            status = 200,
            description = "The events after the place, or those and what follows.",
            content((EventPage = "application/json"), (String = "text/event-stream")),
        ),
    ),
    security(("token" = ["observe"]))
)]
pub(super) async fn of_worker(
    State(state): State<ServerState>,
    Observer(caller): Observer,
    Observed(worker): Observed,
    ApiQuery(query): ApiQuery<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut response = if wants_stream(&headers) {
        let after = place_after(Cursor::START, query.after.as_deref(), Some(&headers))?;
        let share = state.event_streams.admit(&caller.name())?;
        let events = state.runtime.events(worker, after)?;
        let unwelcome = state.tokens.until_gone(&caller.0);
        state.event_streams.answer(share, worker_messages(events), unwelcome)
    } else {
        let after = place_after(Cursor::START, query.after.as_deref(), None)?;
        Json(state.runtime.event_page(worker, after, query.limit()).await?).into_response()
    };
    vary_by_accept(&mut response);
    Ok(response)
}

/// The events of all Workers: a page, or a stream.
///
/// The stream is for who sends `Accept: text/event-stream`. The data of its messages are `Event`s, and their
/// `event` is the type; a `problem` tells what cannot be read any more. Not for a token with labels.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "runtime_events",
    tag = "Runtime",
    params(
        ("after" = Option<FeedCursor>, Query, description = "What follows this place; absent for the start."),
        (
            "limit" = Option<u64>,
            Query,
            description = "At most this many on a page; 100 by default, and never more than 1,000.",
        ),
        (
            "Last-Event-ID" = Option<String>,
            Header,
            description = "Of a stream: the last `id` that was seen, which counts instead of `after`.",
        ),
    ),
    responses(
        TokenRefusals,
        QueryRefusals,
        StoreRefusals,
        (
            status = 200,
            description = "The events after the place, or those and what follows.",
            content((FeedPage = "application/json"), (String = "text/event-stream")),
        ),
    ),
    security(("token" = ["observe"]))
)]
pub(super) async fn of_runtime(
    State(state): State<ServerState>,
    Observer(caller): Observer,
    ApiQuery(query): ApiQuery<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if caller.is_bound() {
        return Err(Problem::forbidden(
            "the feed tells of all Workers, and the token is for those with certain labels: read the \
             events of each",
        ));
    }
    let mut response = if wants_stream(&headers) {
        let after = place_after(FeedCursor::START, query.after.as_deref(), Some(&headers))?;
        let share = state.event_streams.admit(&caller.name())?;
        let feed = state.runtime.feed(after)?;
        let unwelcome = state.tokens.until_gone(&caller.0);
        state.event_streams.answer(share, feed_messages(feed), unwelcome)
    } else {
        let after = place_after(FeedCursor::START, query.after.as_deref(), None)?;
        Json(state.runtime.feed_page(after, query.limit()).await?).into_response()
    };
    vary_by_accept(&mut response);
    Ok(response)
}

fn worker_messages(events: Events) -> impl Stream<Item = Result<SseEvent, RuntimeError>> {
    stream::unfold(events, async |mut events| {
        let next = events.next().await?;
        let message = next.map(|event| live_message(&event, events.cursor()));
        Some((message, events))
    })
}

/// Of what is damaged the feed tells, and goes on behind it.
fn feed_messages(feed: Feed) -> impl Stream<Item = Result<SseEvent, RuntimeError>> {
    stream::unfold(feed, async |mut feed| {
        let next = feed.next().await?;
        let id = feed.cursor().to_string();
        let message = match next {
            Ok(event) => message(event.body.name(), &event, Some(id)),
            Err(error) => problem_message(error, Some(id)),
        };
        Some((Ok(message), feed))
    })
}

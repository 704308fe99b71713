//! A Worker's events: a page of the log as JSON, or the log and what follows as a stream.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event as SseEvent, KeepAlive},
    },
};
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Deserialize;
use tokio::{sync::OwnedSemaphorePermit, task};
use tokio_util::sync::CancellationToken;
use worker_types::{Cursor, LiveEvent, RuntimeError};

use super::{OfWorker, WorkerPath};
use crate::{
    WorkerEvents,
    backend::AppState,
    extract::{ApiPath, ApiQuery},
    problem::Problem,
};

/// Events on a page that names no limit.
const DEFAULT_PAGE: usize = 100;

/// How often a silent stream says that it lives: well within the minute after which proxies and
/// browsers give up on a silent connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What a stream sends before everything else that is to be done has its turn: well below a
/// millisecond's work, so that a hundred readers of long logs keep nobody waiting.
const BURST_BYTES: usize = 32 << 10;

static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    after: Option<String>,
    /// Of a page, and the Runtime bounds it; a stream has no end.
    limit: Option<usize>,
}

pub(super) async fn events(
    State(state): State<AppState>,
    ApiPath(path): ApiPath<WorkerPath>,
    ApiQuery(query): ApiQuery<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let source = state.registry.lookup(&path.0)?;
    let mut response = if wants_stream(&headers) {
        let after = match last_event_id(&headers)? {
            Some(last_seen) => last_seen,
            None => cursor(query.after.as_deref())?,
        };
        let permit = state.event_streams.clone().try_acquire_owned().map_err(|_| {
            let reason = "as many event streams are open as this Backend serves at once";
            RuntimeError::Capacity { reason: reason.to_owned() }
        })?;
        let events = source.events(path.1, after).await?;
        let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
        let stream = stream_of(events, permit, state.shutdown);
        Sse::new(stream).keep_alive(heartbeat).into_response().map(in_bursts)
    } else {
        let limit = query.limit.unwrap_or(DEFAULT_PAGE);
        let page = source.event_page(path.1, cursor(query.after.as_deref())?, limit).await?;
        OfWorker::json(path, page).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn wants_stream(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// What a reader that reconnects has seen. It is newer than the `after` in the address, which is
/// from when the reader first connected.
fn last_event_id(headers: &HeaderMap) -> Result<Option<Cursor>, RuntimeError> {
    match headers.get(&LAST_EVENT_ID) {
        Some(value) if !value.is_empty() => {
            let text = value.to_str().map_err(|_| RuntimeError::InvalidCursor {
                reason: "the Last-Event-ID is not text".to_owned(),
            })?;
            cursor(Some(text)).map(Some)
        }
        Some(_) | None => Ok(None),
    }
}

fn cursor(text: Option<&str>) -> Result<Cursor, RuntimeError> {
    match text {
        Some(text) => text.parse().map_err(|error: worker_types::ParseCursorError| {
            RuntimeError::InvalidCursor { reason: error.to_string() }
        }),
        None => Ok(Cursor::START),
    }
}

/// Ends when the Worker's events do, when one of them cannot be read, or on shutdown: a graceful
/// shutdown waits for open responses, and this one would stay open. The permit goes with it.
fn stream_of(
    events: WorkerEvents,
    permit: OwnedSemaphorePermit,
    shutdown: CancellationToken,
) -> impl Stream<Item = Result<SseEvent, Infallible>> + Send {
    stream::unfold(Some((events, permit, shutdown)), async |state| {
        let (mut events, permit, shutdown) = state?;
        let next = tokio::select! {
            biased;
            () = shutdown.cancelled() => None,
            next = events.next() => next,
        };
        match next? {
            Ok(event) => {
                let message = message(event, events.cursor());
                Some((Ok(message), Some((events, permit, shutdown))))
            }
            Err(error) => Some((Ok(problem_message(error)), None)),
        }
    })
}

/// The same body, which lets others run after every burst. A log is read faster than it is sent,
/// and a connection is served for as long as its stream has something to say.
fn in_bursts(body: Body) -> Body {
    let pieces = stream::unfold((body.into_data_stream(), 0), async |(mut pieces, sent)| {
        let sent = if sent < BURST_BYTES {
            sent
        } else {
            task::yield_now().await;
            0
        };
        let piece = pieces.next().await?;
        let bytes = piece.as_ref().map_or(0, Bytes::len);
        Some((piece, (pieces, sent + bytes)))
    });
    Body::from_stream(pieces)
}

fn message(event: LiveEvent, cursor: Cursor) -> SseEvent {
    match event {
        LiveEvent::Durable(event) => {
            let message = SseEvent::default().id(cursor.to_string()).event(event.body.name());
            with_json(message, &event)
        }
        LiveEvent::Delta(delta) => live("item.delta", &delta),
        LiveEvent::Snapshot(snapshot) => live("item.snapshot", &snapshot),
    }
}

/// A message without an id, so that a reader's place does not move.
fn live(name: &str, body: &impl serde::Serialize) -> SseEvent {
    with_json(SseEvent::default().event(name), body)
}

/// The last message of a stream that failed. Not called `error`: that is the browser's own word
/// for a lost connection.
fn problem_message(error: RuntimeError) -> SseEvent {
    live("problem", &Problem::from(error))
}

/// Writes `body` into the message. Events are plain data, so an error is a fault in their types; the
/// reader sees a comment, and the log has the cause.
fn with_json(message: SseEvent, body: &impl serde::Serialize) -> SseEvent {
    message.json_data(body).unwrap_or_else(|error| {
        let cause: &dyn std::error::Error = &error;
        tracing::error!(error = cause, "an event could not be serialised");
        SseEvent::default().comment("an event could not be serialised")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_stream_is_for_those_who_ask_for_it() {
        for accept in ["text/event-stream", "*/*;q=0.1, Text/Event-Stream; q=1"] {
            assert!(wants_stream(&headers(header::ACCEPT, accept)), "{accept}");
        }
        for accept in ["", "*/*", "application/json", "text/event-streams"] {
            assert!(!wants_stream(&headers(header::ACCEPT, accept)), "{accept}");
        }
        assert!(!wants_stream(&HeaderMap::new()));
    }

    #[test]
    fn an_empty_last_event_id_is_none_and_a_foreign_one_is_an_error() {
        let read = |value| last_event_id(&headers(LAST_EVENT_ID.clone(), value));
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("7").map(|cursor| cursor.map(|cursor| cursor.seq.get())), Ok(Some(7)));
        assert!(matches!(read("nowhere"), Err(RuntimeError::InvalidCursor { .. })));
    }
}

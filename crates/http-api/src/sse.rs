//! Events as a stream (server-sent events): what follows a cursor, then what comes, with a heartbeat.

use std::{convert::Infallible, str::FromStr, time::Duration};

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse as _, Response, Sse, sse::KeepAlive},
};
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::task;
use tokio_util::sync::CancellationToken;
use worker_types::{Cursor, LiveEvent, ParseCursorError, RuntimeError};

use crate::{CallerName, Problem, Share, Shares};

/// A message of a stream.
pub type SseEvent = axum::response::sse::Event;

/// How often a silent stream says that it lives: well within the minute after which proxies and
/// browsers give up on a silent connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What a stream sends before everything else that is to be done has its turn: well below a
/// millisecond's work, so that a hundred readers of long logs keep nobody waiting.
const BURST_BYTES: usize = 32 << 10;

static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Whether the client asks for a stream.
#[must_use]
pub fn wants_stream(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// Where to go on from: after what a reader that reconnects has seen, which is newer than the `after` in
/// the address, from when the reader first connected; else after that; else from `start`.
///
/// # Errors
///
/// `InvalidCursor`.
pub fn place_after<C: FromStr<Err = ParseCursorError>>(
    start: C,
    after: Option<&str>,
    headers: Option<&HeaderMap>,
) -> Result<C, RuntimeError> {
    let invalid = |reason| RuntimeError::InvalidCursor { reason };
    let last_seen = headers.and_then(|headers| headers.get(&LAST_EVENT_ID));
    let text = match last_seen {
        Some(value) if !value.is_empty() => {
            Some(value.to_str().map_err(|_| invalid("the Last-Event-ID is not text".to_owned()))?)
        }
        Some(_) | None => after,
    };
    let Some(text) = text else { return Ok(start) };
    text.parse().map_err(|error: ParseCursorError| invalid(error.to_string()))
}

/// The event streams of a server: as many at once as it has room for, and until it shuts down.
#[derive(Debug, Clone)]
pub struct EventStreams {
    shares: Shares,
    shutdown: CancellationToken,
}

impl EventStreams {
    /// As many as there are `shares`. They end when `shutdown` is cancelled.
    #[must_use]
    pub fn new(shares: Shares, shutdown: CancellationToken) -> Self {
        Self { shares, shutdown }
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shares.taken()
    }

    /// The right to one more, for `caller`.
    ///
    /// # Errors
    ///
    /// `Capacity`.
    pub fn admit(&self, caller: &CallerName) -> Result<Share, RuntimeError> {
        Ok(self.shares.take(caller)?)
    }

    /// The stream of `messages`. It ends with them, with the first error, which it tells, once its reader is
    /// `unwelcome`, or on shutdown: a graceful shutdown waits for open answers, and this one would stay open.
    pub fn answer<M>(
        &self,
        share: Share,
        messages: M,
        unwelcome: impl Future<Output = ()> + Send + 'static,
    ) -> Response
    where
        M: Stream<Item = Result<SseEvent, RuntimeError>> + Send + 'static,
    {
        let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
        let shutdown = self.shutdown.clone().cancelled_owned();
        let until = async move {
            tokio::select! {
                () = shutdown => {}
                () = unwelcome => {}
            }
        };
        let messages = stream::unfold(Some((Box::pin(messages), share)), async |state| {
            let (mut messages, share) = state?;
            match messages.next().await? {
                Ok(message) => Some((Ok::<_, Infallible>(message), Some((messages, share)))),
                Err(error) => Some((Ok(problem_message(error, None)), None)),
            }
        });
        let messages = messages.take_until(Box::pin(until));
        Sse::new(messages).keep_alive(heartbeat).into_response().map(in_bursts)
    }
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

/// The message of an event of a Worker. Only what is in the log has an id: the place after it.
pub fn live_message(event: &LiveEvent, cursor: Cursor) -> SseEvent {
    match event {
        LiveEvent::Durable(event) => message(event.body.name(), event, Some(cursor.to_string())),
        LiveEvent::Delta(delta) => message("item.delta", delta, None),
        LiveEvent::Snapshot(snapshot) => message("item.snapshot", snapshot, None),
    }
}

/// A message; without an id, a reader's place does not move. Events are plain data, so an error is a fault
/// in their types; the reader sees a comment, and the log has the cause.
pub fn message(name: &str, body: &impl serde::Serialize, id: Option<String>) -> SseEvent {
    let message = SseEvent::default().event(name);
    let message = match id {
        Some(id) => message.id(id),
        None => message,
    };
    message.json_data(body).unwrap_or_else(|error| {
        let cause: &dyn std::error::Error = &error;
        tracing::error!(error = cause, "an event could not be serialised");
        SseEvent::default().comment("an event could not be serialised")
    })
}

/// What went wrong. Not called `error`: that is the browser's own word for a lost connection. With the
/// place behind what cannot be told, the stream goes on; without, it was the last message.
pub fn problem_message(error: RuntimeError, id: Option<String>) -> SseEvent {
    message("problem", &Problem::from(error), id)
}

/// The headers of an answer that is a page or a stream, as the client asked.
pub fn vary_by_accept(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
        let read = |value| {
            let headers = headers(LAST_EVENT_ID.clone(), value);
            place_after(Cursor::START, Some("5"), Some(&headers)).map(|cursor| cursor.seq.get())
        };
        assert_eq!((read(""), read("7")), (Ok(5), Ok(7)));
        assert!(matches!(read("nowhere"), Err(RuntimeError::InvalidCursor { .. })));
        assert_eq!(place_after(Cursor::START, None, None), Ok(Cursor::START));
    }
}

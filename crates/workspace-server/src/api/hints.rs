//! `/api/events`, the one stream that a browser needs: hints of what changes anywhere, and all events of the Workers that it
//! shows.

use std::str::FromStr as _;

use axum::{Extension, extract::State, response::Response};
use futures_util::{
    FutureExt as _, Stream, StreamExt as _,
    stream::{self, SelectAll},
};
use http::HeaderMap;
use http_api::{
    ApiQuery, CallerName, Problem, SseEvent, message,
    openapi::{QueryRefusals, TokenRefusals},
    vary_by_accept, wants_stream,
};
use serde::Serialize;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use worker_types::{Cursor, LiveEvent, RuntimeError, RuntimeId, WorkerId};

use crate::{WorkerEvents, auth::Stay, backend::AppState, hints::Hint};

/// Workers that one stream follows. A person looks at a few.
const MOST_FOLLOWED: usize = 32;

type Messages = stream::BoxStream<'static, Result<SseEvent, RuntimeError>>;

/// What changes in all Runtimes, and the events of the Workers that are followed.
///
/// `changed` tells that a Worker has a new event, and `runtime` that a Runtime came, went, is reached again or
/// not any more: hints, of which none is repeated. Of each Worker that is followed comes what its own stream
/// would tell, under the same names, with `runtime_id` and `worker_id`; what is in its log has its `cursor`,
/// where a client goes on that opens the stream anew. `follow.failed` ends one of them.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "events",
    tag = "Backend",
    params((
        "follow" = Option<Vec<String>>,
        Query,
        description = "A Worker whose events to send: `runtime_id/worker_id/cursor`, where the cursor may be \
                       empty for the start. At most 32.",
    )),
    responses(
        TokenRefusals,
        QueryRefusals,
        (status = 200, description = "What comes.", content((String = "text/event-stream"))),
    ),
    security(("token" = []))
)]
pub(super) async fn events(
    State(state): State<AppState>,
    Extension(caller): Extension<CallerName>,
    Extension(stay): Extension<Stay>,
    ApiQuery(pairs): ApiQuery<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !wants_stream(&headers) {
        let reason = "hints come as a stream only: ask with `Accept: text/event-stream`";
        return Err(Problem::invalid_input(reason));
    }
    let followed = pairs.into_iter().map(follow).collect::<Result<Vec<_>, _>>()?;
    if followed.len() > MOST_FOLLOWED {
        let reason = format!("a stream follows at most {MOST_FOLLOWED} Workers");
        return Err(Problem::invalid_input(reason));
    }
    let share = state.event_streams.admit(&caller)?;
    // Before the Workers are asked: what changes in between is told twice rather than not at all.
    let hints: Messages = Box::pin(hint_messages(state.registry.hints()));
    let mut all: SelectAll<Messages> = followed
        .into_iter()
        // Each by itself: a Runtime that does not answer holds up no other.
        .map(|followed| Box::pin(open(state.clone(), followed).flatten_stream()) as Messages)
        .collect();
    all.push(hints);
    let mut response = state.event_streams.answer(share, all, stay.over());
    vary_by_accept(&mut response);
    Ok(response)
}

/// A Worker, and the place in its log from which on its events are sent.
#[derive(Debug, Clone)]
struct Followed {
    runtime_id: RuntimeId,
    worker_id: WorkerId,
    after: Cursor,
}

fn follow((name, value): (String, String)) -> Result<Followed, Problem> {
    if name != "follow" {
        let reason = format!("unknown parameter `{name}`: expected `follow`");
        return Err(Problem::invalid_input(reason));
    }
    let wrong = || Problem::invalid_input("a Worker to follow is `runtime_id/worker_id/cursor`");
    let mut parts = value.splitn(3, '/');
    let (Some(runtime_id), Some(worker_id), Some(cursor)) =
        (parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong());
    };
    let after = if cursor.is_empty() {
        Cursor::START
    } else {
        Cursor::from_str(cursor)
            .map_err(|error| RuntimeError::InvalidCursor { reason: error.to_string() })?
    };
    let runtime_id = runtime_id.parse().map_err(|_| wrong())?;
    let worker_id = worker_id.parse().map_err(|_| wrong())?;
    Ok(Followed { runtime_id, worker_id, after })
}

/// The messages of one Worker, or the one that says why there are none.
async fn open(state: AppState, followed: Followed) -> Messages {
    let Followed { runtime_id, worker_id, after } = &followed;
    let events = match state.registry.of_worker(runtime_id, *worker_id).await {
        Ok(source) => source.events(*worker_id, *after).await,
        Err(error) => Err(error),
    };
    match events {
        Ok(events) => Box::pin(worker_messages(followed, events)),
        Err(error) => Box::pin(stream::iter([Ok(failed(&followed, error))])),
    }
}

fn worker_messages(
    followed: Followed,
    events: WorkerEvents,
) -> impl Stream<Item = Result<SseEvent, RuntimeError>> {
    stream::unfold(Some((followed, events)), async |state| {
        let (followed, mut events) = state?;
        match events.next().await? {
            Ok(event) => {
                let message = told(&followed, &event, events.cursor());
                Some((Ok(message), Some((followed, events))))
            }
            // The others go on.
            Err(error) => Some((Ok(failed(&followed, error)), None)),
        }
    })
}

/// Something about a Worker that is followed.
#[derive(Serialize)]
struct Told<'a, T> {
    runtime_id: &'a RuntimeId,
    worker_id: WorkerId,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Cursor>,
    #[serde(flatten)]
    what: T,
}

fn told(followed: &Followed, event: &LiveEvent, cursor: Cursor) -> SseEvent {
    let Followed { runtime_id, worker_id, .. } = followed;
    let (runtime_id, worker_id) = (runtime_id, *worker_id);
    match event {
        LiveEvent::Durable(event) => {
            // The event has the Worker's id itself.
            #[derive(Serialize)]
            struct Durable<'a> {
                runtime_id: &'a RuntimeId,
                cursor: Cursor,
                #[serde(flatten)]
                event: &'a worker_types::Event,
            }
            message(event.body.name(), &Durable { runtime_id, cursor, event }, None)
        }
        LiveEvent::Delta(what) => {
            message("item.delta", &Told { runtime_id, worker_id, cursor: None, what }, None)
        }
        LiveEvent::Snapshot(what) => {
            message("item.snapshot", &Told { runtime_id, worker_id, cursor: None, what }, None)
        }
    }
}

fn failed(followed: &Followed, error: RuntimeError) -> SseEvent {
    #[derive(Serialize)]
    struct Failed {
        problem: Problem,
    }
    let Followed { runtime_id, worker_id, .. } = followed;
    let what = Failed { problem: error.into() };
    message("follow.failed", &Told { runtime_id, worker_id: *worker_id, cursor: None, what }, None)
}

fn hint_messages(hints: Receiver<Hint>) -> impl Stream<Item = Result<SseEvent, RuntimeError>> {
    stream::unfold(hints, async |mut hints| {
        let message = match hints.recv().await {
            Ok(Hint::Worker(changed)) => message("changed", &changed, None),
            Ok(Hint::Runtime(changed)) => message("runtime", &changed, None),
            Err(RecvError::Lagged(_)) => SseEvent::default().event("missed").data("{}"),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(message), hints))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, response::IntoResponse as _};
    use tokio::sync::broadcast;
    use worker_types::RuntimeStatus;

    use super::*;
    use crate::hints::RuntimeChanged;

    #[tokio::test]
    async fn who_falls_behind_is_told_to_ask_anew_and_then_what_comes() {
        let (sender, receiver) = broadcast::channel(2);
        for number in 0..5 {
            let runtime_id = format!("runtime-{number}").parse().expect("an id");
            let status = Some(RuntimeStatus::Ready);
            sender.send(Hint::Runtime(RuntimeChanged { runtime_id, status })).expect("sent");
        }
        drop(sender);
        let answer = axum::response::Sse::new(hint_messages(receiver)).into_response();
        let text = to_bytes(answer.into_body(), usize::MAX).await.expect("a stream that ends");
        let text = String::from_utf8(text.into()).expect("text");
        let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        assert_eq!(names, ["missed", "runtime", "runtime"], "{text}");
        assert!(text.contains("runtime-4") && !text.contains("runtime-2"), "{text}");
    }
}

//! A Worker's events: a page of the log as JSON, or the log and what follows as a stream.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use futures_util::{Stream, stream};
use http::HeaderMap;
use http_api::{
    ApiPath, ApiQuery, EventsQuery, Problem, SseEvent, live_message, place_after, vary_by_accept,
    wants_stream,
};
use worker_types::{Cursor, RuntimeError};

use super::{OfWorker, WorkerPath};
use crate::{WorkerEvents, backend::AppState};

pub(super) async fn events(
    State(state): State<AppState>,
    ApiPath(path): ApiPath<WorkerPath>,
    ApiQuery(query): ApiQuery<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let source = state.registry.lookup(&path.0)?;
    let mut response = if wants_stream(&headers) {
        let after = place_after(Cursor::START, query.after.as_deref(), Some(&headers))?;
        let permit = state.event_streams.admit()?;
        let events = source.events(path.1, after).await?;
        // A session has no end of its own.
        state.event_streams.answer(permit, messages(events), std::future::pending())
    } else {
        let after = place_after(Cursor::START, query.after.as_deref(), None)?;
        let page = source.event_page(path.1, after, query.limit()).await?;
        OfWorker::json(path, page).into_response()
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

//! The spans that say of each line of the log which Worker and which turn it is about.

use tracing::{Span, error_span};
use worker_types::{TurnId, WorkerId};

/// Of what the task of a Worker does. An error span, like the other: a filter that lets errors pass lets their
/// Worker pass.
pub(crate) fn of_worker(worker: WorkerId) -> Span {
    error_span!("worker", %worker)
}

/// Of what happens in a turn. It has no parent, so that it says all there is to say, once.
pub(crate) fn of_turn(worker: WorkerId, turn: TurnId) -> Span {
    error_span!(parent: None, "turn", %worker, %turn)
}

/// `body`, in the span of whoever calls this: for threads, which know of none.
pub(crate) fn in_current<T>(body: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let span = Span::current();
    move || span.in_scope(body)
}

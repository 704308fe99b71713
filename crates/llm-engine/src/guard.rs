//! The contract of a model stream, enforced over whatever a provider does.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::{FinishReason, ModelError, ModelEvent, ModelStream, ToolRequestPiece};

/// The most tool requests one answer may hold. Models ask for a handful at once; the bound keeps
/// a broken provider from filling the memory of whoever collects them.
const MAX_TOOL_REQUESTS: usize = 128;

/// A provider's stream under the contract of [`ModelStream`].
pub(crate) struct GuardedStream {
    /// Gone after the end, so that the connection is closed even if the stream itself is kept.
    inner: Option<ModelStream>,
    idle_timeout: Duration,
    /// Runs only while the provider is being waited for: a slow reader is no stalled provider.
    idle: Option<Pin<Box<Sleep>>>,
    deadline: Pin<Box<Sleep>>,
    tool_requests: BTreeSet<u32>,
}

impl GuardedStream {
    pub(crate) fn new(inner: ModelStream, idle_timeout: Duration, deadline: Instant) -> Self {
        Self {
            inner: Some(inner),
            idle_timeout,
            idle: None,
            deadline: Box::pin(sleep_until(deadline)),
            tool_requests: BTreeSet::new(),
        }
    }

    /// The event as the caller shall see it; `None` for one without content, which is skipped and
    /// does not count as a sign of life.
    fn check(&mut self, event: ModelEvent) -> Result<Option<ModelEvent>, ModelError> {
        match event {
            ModelEvent::Text(text) | ModelEvent::Reasoning(text) if text.is_empty() => Ok(None),
            ModelEvent::ToolRequest(piece) => self.check_piece(piece),
            ModelEvent::Finish(reason) => {
                self.check_finish(reason).map(|reason| Some(ModelEvent::Finish(reason)))
            }
            ModelEvent::Text(_) | ModelEvent::Reasoning(_) | ModelEvent::Usage(_) => {
                Ok(Some(event))
            }
        }
    }

    fn check_piece(&mut self, piece: ToolRequestPiece) -> Result<Option<ModelEvent>, ModelError> {
        if self.tool_requests.insert(piece.index) {
            if piece.name.is_none() || piece.call_id.is_none() {
                return Err(invalid("a tool request does not say which tool it is for"));
            }
            if self.tool_requests.len() > MAX_TOOL_REQUESTS {
                return Err(invalid("the answer holds too many tool requests"));
            }
        } else if piece.name.is_none() && piece.call_id.is_none() && piece.arguments.is_empty() {
            return Ok(None);
        }
        Ok(Some(ModelEvent::ToolRequest(piece)))
    }

    /// Providers name the reason unreliably, so whether tools are awaited is decided by whether
    /// any were requested.
    fn check_finish(&self, reason: FinishReason) -> Result<FinishReason, ModelError> {
        let requested = !self.tool_requests.is_empty();
        match reason {
            FinishReason::Stop if requested => Ok(FinishReason::ToolRequests),
            FinishReason::ToolRequests if !requested => Err(invalid(
                "the provider announced a tool request, but sent none that can be read",
            )),
            FinishReason::Stop
            | FinishReason::Length
            | FinishReason::ToolRequests
            | FinishReason::ContentFilter
            | FinishReason::Other(_) => Ok(reason),
        }
    }

    fn end(&mut self) {
        self.inner = None;
        self.idle = None;
    }
}

impl Stream for GuardedStream {
    type Item = Result<ModelEvent, ModelError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        // First: a provider that always has more to say would never be waited for.
        if this.deadline.as_mut().poll(context).is_ready() {
            this.end();
            return Poll::Ready(Some(Err(ModelError::Deadline)));
        }
        // One event without content at a time: a provider that sends nothing else must not keep
        // this thread, nor outrun the idle timeout.
        let answer = match inner.as_mut().poll_next(context) {
            Poll::Ready(Some(Ok(event))) => match this.check(event) {
                Ok(Some(event)) => Some(Ok(event)),
                Ok(None) => {
                    context.waker().wake_by_ref();
                    None
                }
                Err(error) => Some(Err(error)),
            },
            Poll::Ready(Some(Err(error))) => Some(Err(error)),
            Poll::Ready(None) => Some(Err(ModelError::Incomplete)),
            Poll::Pending => None,
        };
        if let Some(answer) = answer {
            this.idle = None;
            if matches!(answer, Ok(ModelEvent::Finish(_)) | Err(_)) {
                this.end();
            }
            return Poll::Ready(Some(answer));
        }
        let idle_timeout = this.idle_timeout;
        let idle = this.idle.get_or_insert_with(|| Box::pin(sleep(idle_timeout)));
        if idle.as_mut().poll(context).is_ready() {
            this.end();
            return Poll::Ready(Some(Err(ModelError::Stalled)));
        }
        Poll::Pending
    }
}

fn invalid(message: &str) -> ModelError {
    ModelError::Invalid { message: message.to_owned() }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;

//! One call of a model: its place among the others, its tries before anything has come, and its deadline.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use crate::guard::GuardedStream;
use crate::{Model, ModelError, ModelEvent, ModelProvider, ModelRequest, ModelStream};

/// How long the first pause before another try is, and the longest: each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// A provider that asks for more time than this is not waited for: whoever asks decides what to do meanwhile.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// What the calls of one model may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// How long a call may go without a content event before it fails as [`ModelError::Stalled`]. Pings are
    /// none. Two minutes by default: models that hide their reasoning are silent for about one.
    pub idle_timeout: Duration,
    /// How long a call may take from its start to its end, with all that it waits for, before it fails as
    /// [`ModelError::Deadline`]. Ten minutes by default.
    pub deadline: Duration,
    /// How often a call is tried that fails before anything came of it, in a way that may pass by itself. Four
    /// times by default, and never less than once. What a provider asks to wait is waited.
    pub tries: u32,
    /// How many calls may be open at once; further ones wait for a place. 64 by default.
    pub concurrent: usize,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(120),
            deadline: Duration::from_secs(600),
            tries: 4,
            concurrent: 64,
        }
    }
}

/// The places for the calls of one model.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Places {
    pub(crate) fn new(limits: CallLimits) -> Self {
        Self(Arc::new(Semaphore::new(limits.concurrent.clamp(1, Semaphore::MAX_PERMITS))))
    }

    async fn take(&self) -> Result<OwnedSemaphorePermit, ModelError> {
        // Nobody closes it.
        Arc::clone(&self.0).acquire_owned().await.map_err(|_| ModelError::Cancelled)
    }
}

/// The answer to `request`; nothing is asked before it is read.
pub(crate) fn call(model: &Model, request: ModelRequest) -> ModelStream {
    let Model { alias, provider, limits, places } = model.clone();
    let opening = async move {
        let deadline = Instant::now() + limits.deadline;
        let tries = async {
            // Kept between tries: who is told to wait makes no room for others to be told the same.
            let place = Arc::new(places.take().await?);
            open(&alias, &*provider, request, limits, (deadline, place)).await
        };
        timeout_at(deadline, tries).await.unwrap_or(Err(ModelError::Deadline))
    };
    Box::pin(stream::once(opening).try_flatten())
}

/// Tries until the first event is there; the stream begins with it.
async fn open(
    alias: &str,
    provider: &dyn ModelProvider,
    request: ModelRequest,
    limits: CallLimits,
    (deadline, place): (Instant, Arc<OwnedSemaphorePermit>),
) -> Result<ModelStream, ModelError> {
    let mut pause = FIRST_PAUSE;
    let mut left = limits.tries.max(1);
    loop {
        let failure = match first(provider, request.clone(), limits, (deadline, &place)).await {
            Ok((event, rest)) => {
                return Ok(Box::pin(stream::once(future::ready(Ok(event))).chain(rest)));
            }
            Err(failure) => failure,
        };
        left -= 1;
        let Some(wait) = wait_after(&failure, pause).filter(|_| left > 0) else {
            return Err(failure);
        };
        if Instant::now() + wait >= deadline {
            return Err(failure);
        }
        tracing::warn!(model = alias, %failure, ?wait, "a model call is tried again");
        sleep(wait).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The first event of one try, and what follows it.
async fn first(
    provider: &dyn ModelProvider,
    request: ModelRequest,
    limits: CallLimits,
    (deadline, place): (Instant, &Arc<OwnedSemaphorePermit>),
) -> Result<(ModelEvent, GuardedStream), ModelError> {
    let opened = tokio::time::timeout(limits.idle_timeout, provider.stream(request)).await;
    let inner = opened.map_err(|_elapsed| ModelError::Stalled)??;
    let place = Arc::clone(place);
    // The place goes with the connection, which the guard closes at the end of the answer.
    let inner = inner.map(move |item| {
        let _place = &place;
        item
    });
    let mut guarded = GuardedStream::new(Box::pin(inner), limits.idle_timeout, deadline);
    match guarded.next().await {
        Some(event) => Ok((event?, guarded)),
        None => Err(ModelError::Incomplete),
    }
}

/// How long to wait before another try; `None` where another one is of no use, or would take too long. Half of a
/// pause of our own is left to chance, so that those who failed together do not come back together.
fn wait_after(failure: &ModelError, pause: Duration) -> Option<Duration> {
    match failure {
        ModelError::RateLimited { retry_after: Some(asked) } => {
            (*asked <= LONGEST_ASKED).then(|| *asked + pause.mul_f64(fastrand::f64() / 2.0))
        }
        ModelError::RateLimited { retry_after: None }
        | ModelError::Overloaded
        | ModelError::Unreachable { .. }
        | ModelError::Incomplete => Some(pause.mul_f64(0.5 + fastrand::f64() / 2.0)),
        // One that says nothing took all the time that there was.
        ModelError::Stalled
        | ModelError::Deadline
        | ModelError::ContextOverflow
        | ModelError::Auth
        | ModelError::Invalid { .. }
        | ModelError::Cancelled
        | ModelError::Other { .. } => None,
    }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;

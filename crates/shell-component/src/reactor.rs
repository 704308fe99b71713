//! Waiting inside the component, which has one thread: while nothing can go on, the runtime's thread
//! waits for what the tasks wait for.

use std::{
    future::poll_fn,
    sync::{Mutex, PoisonError},
    task::{Poll, Waker},
    time::Duration,
};

use wasip2::{
    clocks::monotonic_clock,
    io::poll::{self, Pollable},
};

/// The longest wait, since tokio does not tell when its next timer is due: timers are at most so late
/// while something is waited for.
const LONGEST_WAIT: Duration = Duration::from_millis(5);

static WAITING: Mutex<Vec<(Pollable, Waker)>> = Mutex::new(Vec::new());

/// Waits until `pollable` is ready.
pub(crate) async fn ready(pollable: Pollable) {
    let mut pollable = Some(pollable);
    poll_fn(move |context| {
        if let Some(pollable) = pollable.take() {
            if pollable.ready() {
                return Poll::Ready(());
            }
            waiting().push((pollable, context.waker().clone()));
            return Poll::Pending;
        }
        // Woken: by the reactor, or by somebody else, and then this is asked again by whoever waits.
        Poll::Ready(())
    })
    .await;
}

/// What the runtime does before its thread sleeps.
pub(crate) fn park() {
    let mut waiting = waiting();
    if waiting.is_empty() {
        return;
    }
    let timer =
        monotonic_clock::subscribe_duration(LONGEST_WAIT.as_nanos().try_into().unwrap_or(u64::MAX));
    let mut pollables: Vec<&Pollable> = waiting.iter().map(|(pollable, _)| pollable).collect();
    pollables.push(&timer);
    let mut ready: Vec<usize> =
        poll::poll(&pollables).into_iter().map(|index| index as usize).collect();
    drop(pollables);
    ready.sort_unstable_by(|a, b| b.cmp(a));
    for index in ready {
        if index < waiting.len() {
            let (_, waker) = waiting.swap_remove(index);
            waker.wake();
        }
    }
}

fn waiting() -> std::sync::MutexGuard<'static, Vec<(Pollable, Waker)>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

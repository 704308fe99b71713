//! Waiting inside the component, which has one thread: while nothing can go on, the runtime's thread
//! waits for what the tasks wait for.

use std::{
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use wasip2::{
    clocks::monotonic_clock,
    io::poll::{self, Pollable},
};

/// The longest wait, since tokio does not tell when its next timer is due: timers are at most so late
/// while something is waited for.
const LONGEST_WAIT: Duration = Duration::from_millis(5);

static WAITING: Mutex<Waiting> = Mutex::new(Waiting { tasks: Vec::new(), last: 0 });

/// What is waited for.
struct Waiting {
    tasks: Vec<Task>,
    /// The number of the newest.
    last: u64,
}

struct Task {
    number: u64,
    pollable: Pollable,
    waker: Waker,
}

/// Waits until `pollable` is ready.
pub(crate) fn ready(pollable: Pollable) -> Ready {
    Ready { pollable: Some(pollable), number: None }
}

/// A wait. Dropped, it is given up, and its pollable goes.
pub(crate) struct Ready {
    /// Until it is waited for.
    pollable: Option<Pollable>,
    /// While it is waited for.
    number: Option<u64>,
}

impl Future for Ready {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(pollable) = self.pollable.take() {
            if pollable.ready() {
                return Poll::Ready(());
            }
            let mut waiting = waiting();
            waiting.last += 1;
            let (number, waker) = (waiting.last, context.waker().clone());
            waiting.tasks.push(Task { number, pollable, waker });
            self.number = Some(number);
            return Poll::Pending;
        }
        let mut waiting = waiting();
        // Only what is ready is taken away.
        match waiting.tasks.iter_mut().find(|task| Some(task.number) == self.number) {
            Some(task) => {
                task.waker.clone_from(context.waker());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if self.number.is_some() {
            waiting().tasks.retain(|task| Some(task.number) != self.number);
        }
    }
}

/// What the runtime does before its thread sleeps.
pub(crate) fn park() {
    let mut waiting = waiting();
    if waiting.tasks.is_empty() {
        return;
    }
    let timer =
        monotonic_clock::subscribe_duration(LONGEST_WAIT.as_nanos().try_into().unwrap_or(u64::MAX));
    let mut pollables: Vec<&Pollable> = waiting.tasks.iter().map(|task| &task.pollable).collect();
    pollables.push(&timer);
    let mut ready: Vec<usize> =
        poll::poll(&pollables).into_iter().map(|index| index as usize).collect();
    drop(pollables);
    ready.sort_unstable_by(|a, b| b.cmp(a));
    for index in ready {
        if index < waiting.tasks.len() {
            waiting.tasks.swap_remove(index).waker.wake();
        }
    }
}

fn waiting() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

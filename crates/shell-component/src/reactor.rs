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

static WAITING: Mutex<Waiting> = Mutex::new(Waiting { next: 0, entries: Vec::new() });

struct Waiting {
    next: u64,
    entries: Vec<Entry>,
}

struct Entry {
    id: u64,
    pollable: Pollable,
    waker: Waker,
}

/// Waits until a pollable is ready. Dropping it drops the pollable, which has to be gone before what
/// it belongs to.
pub(crate) struct Ready {
    state: State,
}

enum State {
    Fresh(Option<Pollable>),
    Waiting(u64),
}

/// Waits until `pollable` is ready.
pub(crate) fn ready(pollable: Pollable) -> Ready {
    Ready { state: State::Fresh(Some(pollable)) }
}

impl Future for Ready {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut waiting = waiting();
        match &mut self.state {
            State::Fresh(pollable) => {
                let Some(pollable) = pollable.take().filter(|pollable| !pollable.ready()) else {
                    return Poll::Ready(());
                };
                let id = waiting.next;
                waiting.next += 1;
                waiting.entries.push(Entry { id, pollable, waker: context.waker().clone() });
                drop(waiting);
                self.state = State::Waiting(id);
                Poll::Pending
            }
            State::Waiting(id) => match waiting.entries.iter_mut().find(|entry| entry.id == *id) {
                Some(entry) => {
                    entry.waker.clone_from(context.waker());
                    Poll::Pending
                }
                None => Poll::Ready(()),
            },
        }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if let State::Waiting(id) = self.state {
            waiting().entries.retain(|entry| entry.id != id);
        }
    }
}

/// What the runtime does before its thread sleeps.
pub(crate) fn park() {
    let mut waiting = waiting();
    if waiting.entries.is_empty() {
        return;
    }
    let longest = u64::try_from(LONGEST_WAIT.as_nanos()).unwrap_or(u64::MAX);
    let timer = monotonic_clock::subscribe_duration(longest);
    let mut pollables: Vec<&Pollable> =
        waiting.entries.iter().map(|entry| &entry.pollable).collect();
    pollables.push(&timer);
    let mut ready = poll::poll(&pollables);
    drop(pollables);
    // From the last on, so that the others keep their places.
    ready.sort_unstable_by(|a, b| b.cmp(a));
    for index in ready {
        let index = index as usize;
        if index < waiting.entries.len() {
            waiting.entries.swap_remove(index).waker.wake();
        }
    }
}

fn waiting() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

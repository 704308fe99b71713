//! Cancels and callers that go away at every point where a future can be dropped.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Condvar, Mutex},
    task::Poll,
};

use fail::FailScenario;
use test_support::{embedded, invariants};
use tokio::sync::Notify;
use worker_runtime::{Runtime, Store};
use worker_types::{
    CreateWorker, Cursor, Event, IfBusy, Input, InputOptions, Outcome, RuntimeError, StopReason,
    TurnId, WorkerId, WorkerQuery,
};

/// What makes a guest wait for the host in every way it can, and compute.
const COMMANDS: [&str; 7] =
    ["say-many: 70", "utter: a|b", "tool", "state-set: k=v", "steering", "history", "sleep: 1"];

/// More polls than any of these takes.
const MANY: usize = 200;

/// Counts the polls of guests, and holds the one it was told to.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
    held: Notify,
}

#[derive(Debug, Default)]
struct GateState {
    polls: usize,
    hold_at: Option<usize>,
}

impl Gate {
    /// Reached by every poll of a guest.
    fn pass(&self) {
        let mut state = self.state.lock().expect("the gate");
        state.polls += 1;
        let poll = state.polls;
        if state.hold_at == Some(poll) {
            self.held.notify_one();
        }
        while state.hold_at == Some(poll) {
            state = self.changed.wait(state).expect("the gate");
        }
    }

    fn hold_at(&self, poll: usize) {
        *self.state.lock().expect("the gate") = GateState { polls: 0, hold_at: Some(poll) };
    }

    fn open(&self) {
        self.state.lock().expect("the gate").hold_at = None;
        self.changed.notify_all();
    }

    fn polls(&self) -> usize {
        self.state.lock().expect("the gate").polls
    }
}

async fn runtime() -> Runtime {
    embedded::builder(Store::memory()).build().await.expect("a Runtime")
}

fn base() -> CreateWorker {
    CreateWorker::profile("base".parse().expect("a name"))
}

async fn log(runtime: &Runtime, id: WorkerId) -> Vec<Event> {
    let (mut events, mut cursor) = (Vec::new(), Cursor::START);
    loop {
        let page = runtime.event_page(id, cursor, 1_000).await.expect("the log");
        if page.events.is_empty() {
            return events;
        }
        cursor = page.next;
        events.extend(page.events);
    }
}

/// Runs one more turn, and checks the whole log.
async fn check_that_it_works(runtime: &Runtime, id: WorkerId, what: &str) {
    let accepted = runtime.input(id, Input::text("print: x"), InputOptions::default()).await;
    let turn_id = accepted.expect("an accepted input").turn_id;
    assert_eq!(runtime.outcome(id, turn_id).await, Ok(Outcome::Completed), "{what}");
    let report = invariants::check(&log(runtime, id).await);
    assert_eq!(report.complaints_at_rest(), Vec::<String>::new(), "{what}");
}

#[tokio::test]
async fn a_cancel_at_any_poll_of_a_guest_ends_the_turn_without_waiting_for_the_guest() {
    let scenario = FailScenario::setup();
    let gate = Arc::new(Gate::default());
    let passing = Arc::clone(&gate);
    fail::cfg_callback("turn::poll", move || passing.pass()).expect("a failpoint");
    let runtime = runtime().await;
    let id = runtime.create(base()).await.expect("a Worker").worker_id;
    for command in COMMANDS {
        let mut held = 0;
        for poll in 1..MANY {
            let what = format!("{command}, poll {poll}");
            gate.hold_at(poll);
            let accepted = runtime.input(id, Input::text(command), InputOptions::default()).await;
            let turn_id = accepted.expect("an accepted input").turn_id;
            let outcome = tokio::select! {
                () = gate.held.notified() => None,
                outcome = runtime.outcome(id, turn_id) => Some(outcome),
            };
            if outcome.is_some() {
                assert_eq!(outcome, Some(Ok(Outcome::Completed)), "{what}");
                break;
            }
            held += 1;
            runtime.cancel(id, None).await.expect("cancelled");
            let outcome = runtime.outcome(id, turn_id).await;
            let cancelled = Outcome::Cancelled { reason: StopReason::Cancel };
            assert_eq!(outcome, Ok(cancelled), "{what}");

            // The next turn is accepted, and waits until the guest of this one is gone.
            let next = runtime.input(id, Input::text("print: x"), InputOptions::default()).await;
            let next = next.expect("an accepted input").turn_id;
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            assert_eq!(gate.polls(), poll, "{what}: two guests of one Worker");
            gate.open();
            assert_eq!(runtime.outcome(id, next).await, Ok(Outcome::Completed), "{what}");
        }
        gate.open();
        assert!((1..MANY - 1).contains(&held), "{command} was held {held} times");
    }
    check_that_it_works(&runtime, id, "all").await;
    scenario.teardown();
}

/// Polls `future` this many times at most. Returns whether it has ended.
async fn poll_times(future: impl Future, times: usize) -> bool {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|context| {
        if polls == times {
            return Poll::Ready(false);
        }
        polls += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if polls == times => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// What a caller may go away from.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Create,
    Input,
    Outcome,
    Cancel,
    Stop,
    Start,
    Delete,
}

impl Operation {
    const ALL: [Self; 7] = [
        Self::Create,
        Self::Input,
        Self::Outcome,
        Self::Cancel,
        Self::Stop,
        Self::Start,
        Self::Delete,
    ];

    /// Whether it is asked of a Worker that is stopped; else a turn runs.
    fn of_stopped(self) -> bool {
        matches!(self, Self::Start | Self::Delete)
    }

    /// Begins it for a Worker whose second turn runs. Returns whether it was done in so many polls.
    async fn polled(self, runtime: &Runtime, id: WorkerId, polls: usize) -> bool {
        let say = || Input::text("say-many: 2");
        let queue = InputOptions { if_busy: IfBusy::Queue, ..Default::default() };
        match self {
            Self::Create => poll_times(runtime.create(base().input(say())), polls).await,
            Self::Input => poll_times(runtime.input(id, say(), queue), polls).await,
            Self::Outcome => poll_times(runtime.outcome(id, TurnId::new(1)), polls).await,
            Self::Cancel => poll_times(runtime.cancel(id, None), polls).await,
            Self::Stop => poll_times(runtime.stop(id), polls).await,
            Self::Start => poll_times(runtime.start(id), polls).await,
            Self::Delete => poll_times(runtime.delete(id), polls).await,
        }
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_at_any_poll_leaves_workers_that_work() {
    let runtime = runtime().await;
    for operation in Operation::ALL {
        let mut polls = 0;
        loop {
            let say = base().input(Input::text("say-many: 2"));
            let id = runtime.create(say).await.expect("a Worker").worker_id;
            runtime.outcome(id, TurnId::new(1)).await.expect("an outcome");
            let hang = runtime.input(id, Input::text("sleep: 600000"), Default::default()).await;
            hang.expect("an accepted input");
            if operation.of_stopped() {
                runtime.stop(id).await.expect("stopped");
            }
            if operation.polled(&runtime, id, polls).await {
                break;
            }
            polls += 1;
            assert!(polls < MANY, "{operation:?} never ends");
        }
        assert!(polls > 0, "{operation:?} needs a poll");
    }
    let page = runtime.workers(&WorkerQuery::default()).expect("the Workers");
    assert_eq!(page.next, None, "all of them");
    for worker in page.workers {
        let (id, what) = (worker.worker_id, format!("{worker:?}"));
        // It takes its turn after all that was asked for before.
        match runtime.stop(id).await {
            Ok(()) => {}
            // A delete that nobody waited for.
            Err(RuntimeError::UnknownWorker { .. }) => continue,
            Err(error) => panic!("{what}: {error}"),
        }
        runtime.start(id).await.expect("started");
        check_that_it_works(&runtime, id, &what).await;
    }
}

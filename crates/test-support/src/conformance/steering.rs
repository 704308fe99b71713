//! Inputs for the turn that runs.

use futures_util::future::join;
use worker_types::{
    IfBusy, Input, InputDisposition, InputOptions, ItemBody, Outcome, StopReason, WorkerStatus,
};

use super::{
    Setting,
    guest::{begin, give, run, said, sound, status, text, transcript, worker},
};
use crate::{invariants::Fate, operations::Operations};

/// The host of these tests.
#[must_use]
pub fn setting() -> Setting {
    Setting::default()
}

/// Nothing runs, so it is an input like any other.
pub async fn an_input_that_steers_an_idle_worker_starts_a_turn(host: &impl Operations) {
    let id = worker(host, "base").await;
    let accepted = give(host, id, "hello", IfBusy::Steer).await;
    assert_eq!(accepted.status, InputDisposition::Running);
    assert_eq!(host.outcome(id, accepted.turn_id).await, Ok(Outcome::Completed));
    assert_eq!(said(host, id).await, ["hello"]);
    sound(host, id).await;
}

/// The guest takes it in as soon as it asks; whether it does before the input is there is a race,
/// which is run until both have won.
pub async fn an_input_that_the_turn_takes_in_is_a_part_of_it(host: &impl Operations) {
    let (mut taken, mut left) = (0, 0);
    for _ in 0..2_000 {
        let id = worker(host, "base").await;
        let options = InputOptions::if_busy(IfBusy::Steer);
        let inputs = join(
            host.input(id, Input::text("steering"), InputOptions::default()),
            host.input(id, Input::text("more"), options),
        );
        let (Ok(first), Ok(second)) = inputs.await else { continue };
        let report = sound(host, id).await;
        assert_eq!(report.inputs.len(), 2);
        if second.status != InputDisposition::Steered {
            continue;
        }
        assert_eq!(second.turn_id, first.turn_id);
        match report.inputs[1].fate {
            Fate::TakenIn(turn_id) => {
                assert_eq!(turn_id, first.turn_id);
                assert_eq!(said(host, id).await, ["1 inputs\nmore"]);
                let users =
                    transcript(host, id).await.into_iter().filter_map(|item| match item.body {
                        ItemBody::UserMessage { parts } => {
                            Some((item.turn_id, text(&parts).to_owned()))
                        }
                        _ => None,
                    });
                let expected = [(turn_id, "steering".to_owned()), (turn_id, "more".to_owned())];
                assert_eq!(users.collect::<Vec<_>>(), expected);
                taken += 1;
            }
            Fate::Turn(turn_id) => {
                assert_ne!(turn_id, first.turn_id);
                assert_eq!(said(host, id).await, ["0 inputs", "more"]);
                left += 1;
            }
            other => panic!("{other:?}"),
        }
        if taken >= 3 && left >= 1 || taken >= 50 {
            return;
        }
    }
    panic!("{taken} inputs were taken in, and {left} left");
}

/// In the order in which they were accepted.
pub async fn inputs_that_the_turn_leaves_have_turns_of_their_own(host: &impl Operations) {
    let id = worker(host, "base").await;
    let running = begin(host, id, "spin").await;
    for text in ["one", "two"] {
        let accepted = give(host, id, text, IfBusy::Steer).await;
        assert_eq!(accepted.status, InputDisposition::Steered);
        assert_eq!(accepted.turn_id, running);
    }
    host.cancel(id, Some(running)).await.expect("cancelled");
    let report = sound(host, id).await;
    assert_eq!(said(host, id).await, ["one", "two"]);
    let fates: Vec<Fate> = report.inputs[1..].iter().map(|input| input.fate).collect();
    assert!(fates.iter().all(|fate| matches!(fate, Fate::Turn(_))), "{fates:?}");
}

/// Two inputs are two, whatever they say.
pub async fn steering_and_queue_do_not_mix_up_inputs_that_say_the_same(host: &impl Operations) {
    let id = worker(host, "base").await;
    let running = begin(host, id, "spin").await;
    let steered = give(host, id, "same", IfBusy::Steer).await;
    assert_eq!(steered.status, InputDisposition::Steered);
    assert_eq!(give(host, id, "same", IfBusy::Queue).await.status, InputDisposition::Queued);
    assert_eq!(give(host, id, "same", IfBusy::Steer).await.status, InputDisposition::Steered);
    host.cancel(id, Some(running)).await.expect("cancelled");
    sound(host, id).await;
    assert_eq!(said(host, id).await, ["same", "same", "same"]);
}

/// It has an end like everything that was accepted.
pub async fn what_was_steered_and_left_is_cancelled_by_a_stop(host: &impl Operations) {
    let id = worker(host, "base").await;
    begin(host, id, "spin").await;
    give(host, id, "never", IfBusy::Steer).await;
    host.stop(id).await.expect("stopped");
    let report = sound(host, id).await;
    let Fate::Cancelled(turn_id) = report.inputs[1].fate else { panic!("{report:?}") };
    let stopped = Outcome::Cancelled { reason: StopReason::Stop };
    assert_eq!(host.outcome(id, turn_id).await, Ok(stopped));
    assert_eq!(status(host, id).await, WorkerStatus::Stopped);
    host.start(id).await.expect("started");
    assert_eq!(run(host, id, "print: again").await, Outcome::Completed);
    assert_eq!(said(host, id).await, [""; 0]);
}

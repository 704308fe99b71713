//! Every refusal is typed, and carries what its caller needs to act.

use worker_types::{
    Capability, Cursor, Grants, Input, InputOptions, InputPart, ItemId, Limits, Outcome,
    RuntimeError, TranscriptQuery, TurnId, WorkerId,
};

use super::{
    Setting,
    guest::{name, of, run, said, worker},
};
use crate::operations::{Answer, Operations};

/// Workers this host takes.
const WORKERS: u64 = 3;

/// The host of these tests.
#[must_use]
pub fn setting() -> Setting {
    let limits = Limits { workers: WORKERS, ..Limits::default() };
    Setting { limits, companion: true, ..Setting::default() }
}

#[track_caller]
fn is<T: std::fmt::Debug>(answer: &Answer<T>, error: &RuntimeError) {
    assert_eq!(answer.as_ref().err(), Some(error), "{answer:?}");
}

/// All operations agree.
pub async fn every_operation_on_an_unknown_worker_says_so(host: &impl Operations) {
    let id = WorkerId::generate();
    let unknown = RuntimeError::UnknownWorker { worker_id: id };
    is(&host.input(id, Input::text("x"), InputOptions::default()).await, &unknown);
    is(&host.cancel(id, None).await, &unknown);
    is(&host.cancel(id, Some(TurnId::new(1))).await, &unknown);
    is(&host.stop(id).await, &unknown);
    is(&host.start(id).await, &unknown);
    is(&host.delete(id).await, &unknown);
    is(&host.worker(id).await, &unknown);
    is(&host.outcome(id, TurnId::new(1)).await, &unknown);
    is(&host.transcript(id, TranscriptQuery::default()).await, &unknown);
    is(&host.item(id, ItemId::new(1)).await, &unknown);
    is(&host.event_page(id, Cursor::START, 1).await, &unknown);
    is(&host.events(id, Cursor::START).await.map(drop), &unknown);
    is(&host.logs(id, None).await, &unknown);
    is(&host.usage(id, None, 1).await, &unknown);
    assert!(!unknown.is_retryable());
}

/// Turns and items that never were.
pub async fn what_does_not_exist_cannot_be_asked_for(host: &impl Operations) {
    let id = worker(host, "echo").await;
    run(host, id, "hello").await;
    let none = host.outcome(id, TurnId::new(2)).await;
    assert!(matches!(none, Err(RuntimeError::InvalidInput { .. })), "{none:?}");
    let item_id = ItemId::new(3);
    is(&host.item(id, item_id).await, &RuntimeError::UnknownItem { item_id });
    assert_eq!(host.outcome(id, TurnId::new(1)).await, Ok(Outcome::Completed));
}

/// A person can choose from the answer.
pub async fn an_unknown_profile_is_refused_with_those_that_exist(host: &impl Operations) {
    let refused = host.create(of("poet")).await;
    let Err(RuntimeError::UnknownProfile { profile, known }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(profile, name("poet"));
    assert!(["base", "echo"].iter().all(|name| known.iter().any(|known| known == name)));
}

/// The first thing that exceeds is named.
pub async fn a_grant_beyond_the_ceiling_is_refused_with_what_exceeds(host: &impl Operations) {
    let grants = Grants::none().with_llm(["dear".parse().expect("a valid alias")]);
    let refused = host.create(of("echo").grants(grants)).await;
    let Err(RuntimeError::GrantExceedsCeiling { exceeds }) = refused else { panic!("{refused:?}") };
    assert!(exceeds.contains("llm"), "{exceeds}");
}

/// So is what a component needs and does not have.
pub async fn a_missing_grant_is_refused_with_the_import_and_the_capability(host: &impl Operations) {
    let refused = host.create(of("companion")).await;
    let Err(RuntimeError::MissingGrant { interface, capability, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(interface.starts_with("yoi:worker/llm"), "{interface}");
    assert_eq!(capability, Some(Capability::Llm));
}

/// Empty messages, and parts that are none.
pub async fn inputs_that_say_nothing_are_refused(host: &impl Operations) {
    let id = worker(host, "echo").await;
    let image = |media_type: &str, data: &str| Input {
        parts: vec![InputPart::Image { media_type: media_type.into(), data: data.into() }],
    };
    let empty = [
        Input { parts: vec![] },
        Input::text(""),
        image("text/html", "AAAA"),
        image("image/png", "!"),
        Input { parts: vec![InputPart::Text { text: "x".into() }; 257] },
    ];
    for input in empty {
        let refused = host.input(id, input.clone(), InputOptions::default()).await;
        assert!(matches!(refused, Err(RuntimeError::InvalidInput { .. })), "{refused:?}");
        let refused = host.create(of("echo").input(input)).await;
        assert!(matches!(refused, Err(RuntimeError::InvalidInput { .. })), "{refused:?}");
    }
    assert_eq!(run(host, id, "still here").await, Outcome::Completed);
    assert_eq!(said(host, id).await, ["still here"]);
}

/// The limit is in the answer.
pub async fn inputs_that_say_too_much_are_refused_with_the_limit(host: &impl Operations) {
    let id = worker(host, "echo").await;
    let limit = Limits::default().item_bytes;
    let text = "x".repeat(usize::try_from(limit).expect("fits") + 1);
    let refused = host.input(id, Input::text(text.clone()), InputOptions::default()).await;
    let Err(RuntimeError::PayloadTooLarge { limit_bytes, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(limit_bytes, limit);
    let refused = host.create(of("echo").input(Input::text(text))).await;
    assert!(matches!(refused, Err(RuntimeError::PayloadTooLarge { .. })), "{refused:?}");
}

/// A bound that somebody can make room under is retryable.
pub async fn more_workers_than_the_limit_are_refused_and_a_deletion_makes_room(
    host: &impl Operations,
) {
    let first = worker(host, "echo").await;
    for _ in 1..WORKERS {
        worker(host, "echo").await;
    }
    let refused = host.create(of("echo")).await.expect_err("too many");
    assert!(matches!(refused, RuntimeError::Capacity { .. }), "{refused:?}");
    assert!(refused.is_retryable());
    host.stop(first).await.expect("stopped");
    host.delete(first).await.expect("deleted");
    worker(host, "echo").await;
}

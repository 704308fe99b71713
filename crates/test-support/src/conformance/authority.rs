//! What a Worker may do: as much as it was granted, and never more than before.

use bytes::Bytes;
use worker_types::{
    Access, ComponentDigest, ComponentRef, CreateWorker, EventBody, Grant, Grants, IfBusy, Outcome,
    Preopen, RootName, RuntimeError, StopReason, WorkerId, WorkerStatus,
};

use super::{
    Setting,
    guest::{begin, give, log, name, of, run, said, sound, worker},
};
use crate::operations::Operations;

const REVOKED: Outcome = Outcome::Cancelled { reason: StopReason::GrantRevoked };

/// The host of these tests.
#[must_use]
pub fn setting() -> Setting {
    Setting::default()
}

/// A private directory at `/tmp`.
fn scratch() -> Grants {
    let preopen = Preopen::new(RootName::scratch(), "/tmp".parse().expect("a guest path"));
    Grants::none().with_preopen(preopen.access(Access::ReadWrite))
}

fn with_scratch() -> CreateWorker {
    of("base").grants(scratch())
}

fn grant(text: &str) -> Grant {
    text.parse().expect("a grant")
}

async fn answer(host: &impl Operations, id: WorkerId, script: &[&str]) -> String {
    let command = format!("files: {}", script.join("\n"));
    assert_eq!(run(host, id, &command).await, Outcome::Completed);
    said(host, id).await.pop().expect("an answer")
}

/// It is nobody else's, and is there again in the next turn.
pub async fn a_private_directory_is_kept_between_turns_and_seen_by_its_worker(
    host: &impl Operations,
) {
    let one = host.create(with_scratch()).await.expect("a Worker");
    assert_eq!(one.grants, scratch());
    let two = host.create(with_scratch()).await.expect("a Worker").worker_id;
    let one = one.worker_id;
    assert_eq!(answer(host, one, &["open\t/tmp\tmine\twc"]).await, "ok");
    assert_eq!(answer(host, one, &["lstat\t/tmp\tmine"]).await, "ok DescriptorType::RegularFile 0");
    assert_eq!(answer(host, two, &["lstat\t/tmp\tmine"]).await, "no-entry");
    assert_eq!(answer(host, worker(host, "base").await, &["preopens"]).await, "ok");
}

/// What a person could not have meant is refused before anything is made.
pub async fn grants_that_contradict_themselves_are_refused(host: &impl Operations) {
    let twice =
        Grants { preopens: [scratch().preopens, scratch().preopens].concat(), ..Grants::none() };
    let refused = host.create(of("base").grants(twice)).await;
    assert!(matches!(refused, Err(RuntimeError::InvalidInput { .. })), "{refused:?}");
    let elsewhere = Preopen::new("etc".parse().expect("a name"), "/etc".parse().expect("a path"));
    let refused = host.create(of("base").grants(Grants::none().with_preopen(elsewhere))).await;
    assert!(matches!(refused, Err(RuntimeError::GrantExceedsCeiling { .. })), "{refused:?}");
}

/// The turn that began with it ends, and what waits runs without it.
pub async fn a_revoked_grant_ends_the_turn_and_is_gone_from_the_next(host: &impl Operations) {
    let id = host.create(with_scratch()).await.expect("a Worker").worker_id;
    let turn_id = begin(host, id, "spin").await;
    let next = give(host, id, "files: preopens", IfBusy::Queue).await.turn_id;
    host.revoke(id, vec![grant("preopen:/tmp")]).await.expect("revoked");
    assert_eq!(host.outcome(id, turn_id).await, Ok(REVOKED));
    assert_eq!(host.outcome(id, next).await, Ok(Outcome::Completed));
    assert_eq!(said(host, id).await, ["ok"]);
    let view = host.worker(id).await.expect("it");
    assert_eq!((view.grants, view.revoked), (Grants::none(), vec![grant("preopen:/tmp")]));

    // Once is enough, also while something runs without it; what was never given cannot be taken.
    let turn_id = begin(host, id, "spin").await;
    host.revoke(id, vec![grant("preopen:/tmp")]).await.expect("it is gone already");
    assert_eq!(host.worker(id).await.expect("it").status, WorkerStatus::Running { turn_id });
    host.cancel(id, Some(turn_id)).await.expect("cancelled");
    let started = |body: &EventBody| matches!(body, EventBody::TurnStarted { .. });
    assert_eq!(log(host, id).await.iter().filter(|event| started(&event.body)).count(), 3);
    let revoked = |body: &EventBody| matches!(body, EventBody::GrantRevoked { .. });
    assert_eq!(log(host, id).await.iter().filter(|event| revoked(&event.body)).count(), 1);
    for grants in [vec![], vec![grant("llm")]] {
        let refused = host.revoke(id, grants).await;
        assert!(matches!(refused, Err(RuntimeError::InvalidInput { .. })), "{refused:?}");
    }
    sound(host, id).await;
}

/// Between turns, to what is known, and with what it has.
pub async fn a_worker_is_upgraded_between_turns_to_what_its_grants_allow(host: &impl Operations) {
    let id = worker(host, "base").await;
    let echo = ComponentRef::Builtin(name("echo"));
    let turn_id = begin(host, id, "spin").await;
    assert_eq!(host.upgrade(id, echo.clone()).await, Err(RuntimeError::Busy { turn_id }));
    host.cancel(id, None).await.expect("cancelled");
    let nobody = ComponentRef::Digest(ComponentDigest::from_sha256([7; 32]));
    let refused = host.upgrade(id, nobody).await;
    assert!(matches!(refused, Err(RuntimeError::UnknownComponent { .. })), "{refused:?}");

    let upgraded = host.upgrade(id, echo).await.expect("upgraded");
    assert_ne!(upgraded.from, upgraded.to);
    assert_eq!(host.worker(id).await.expect("it").component, upgraded.to);
    assert_eq!(run(host, id, "spin").await, Outcome::Completed, "it echoes now");
    assert_eq!(said(host, id).await, ["spin"]);
    sound(host, id).await;
}

/// What a profile or a Worker goes by stays.
pub async fn a_component_is_kept_until_nothing_goes_by_it_and_somebody_removes_it(
    host: &impl Operations,
) {
    let id = worker(host, "base").await;
    let base = host.worker(id).await.expect("it").component;
    let in_use = |refused| matches!(refused, Err(RuntimeError::ComponentInUse { .. }));
    assert!(in_use(host.remove_component(base).await), "the profile goes by it");

    // The same guest, with a section that means nothing.
    let section: &[u8] = b"\0\x05\x04note";
    let bytes = Bytes::from([test_guests::HOSTILE_BASE, section].concat());
    let other = host.add_component(bytes.clone()).await.expect("it is kept");
    assert_ne!(other, base);
    host.upgrade(id, ComponentRef::Digest(other)).await.expect("upgraded");
    assert!(in_use(host.remove_component(other).await), "the Worker goes by it");

    host.upgrade(id, ComponentRef::Digest(base)).await.expect("and back");
    // Whichever comes first: a Worker never goes by what is gone.
    for _ in 0..10 {
        let to = ComponentRef::Digest(other);
        let (upgraded, removed) = tokio::join!(host.upgrade(id, to), host.remove_component(other));
        assert_ne!(upgraded.is_ok(), removed.is_ok(), "{upgraded:?}, {removed:?}");
        host.upgrade(id, ComponentRef::Digest(base)).await.expect("and back");
        host.add_component(bytes.clone()).await.expect("it is kept");
    }
    host.remove_component(other).await.expect("nothing goes by it");
    let unknown = |refused| matches!(refused, Err(RuntimeError::UnknownComponent { .. }));
    assert!(unknown(host.remove_component(other).await), "it is gone");
    let refused = host.upgrade(id, ComponentRef::Digest(other)).await.map(drop);
    assert!(unknown(refused), "it is gone");
    sound(host, id).await;
}

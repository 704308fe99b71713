//! What changes of a Worker's authority after its creation: it shrinks, and never grows.

use std::{fs, path::Path, time::Duration};

use bytes::Bytes;
use llm_engine::{Gate, Models, ScriptedModel, Step};
use worker_runtime::{Root, Runtime, Store};
use worker_types::{
    Access, Capability, ComponentRef, CreateWorker, EventBody, FailureKind, Grant, Grants, Input,
    InputOptions, Outcome, RuntimeError, StopReason, WorkerId,
};

use crate::{files::preopen, harness::*};

const REVOKED: Outcome = Outcome::Cancelled { reason: StopReason::GrantRevoked };

fn grant(text: &str) -> Grant {
    text.parse().expect("a grant")
}

/// A Runtime whose Workers may be granted a model and a directory, kept in `dir`.
async fn open(dir: &Path) -> Runtime {
    fs::create_dir_all(dir.join("project")).expect("a directory");
    let root = Root::new(dir.join("project")).access(Access::ReadWrite);
    builder_of(["hostile", "base"])
        .root("project".parse().expect("a name"), root)
        .store(Store::sqlite(dir.join("log")).expect("a store"))
        .ceiling(everything())
        .build()
        .await
        .expect("a Runtime")
}

fn everything() -> Grants {
    llm_grant().with_preopen(preopen("project", "/project", Access::ReadWrite))
}

async fn create(runtime: &Runtime, profile: &str, grants: Grants) -> WorkerId {
    let request = CreateWorker::profile(name(profile)).grants(grants);
    runtime.create(request).await.expect("a Worker").worker_id
}

#[tokio::test]
async fn a_revoked_grant_ends_the_turn_that_began_with_it_and_later_turns_find_it_revoked() {
    let gate = Gate::closed();
    let model = ScriptedModel::new().call([Step::Open(gate.clone()), Step::Hang]);
    let models = Models::none().with("default", std::sync::Arc::new(model));
    let runtime = builder().models(models).build().await.expect("a Runtime");
    let id = llm_worker(&runtime, "hostile").await;
    let turn_id = send(&runtime, id, "llm: hi").await;
    let queued = InputOptions::if_busy(worker_types::IfBusy::Queue);
    let next = runtime.input(id, Input::text("llm: again"), queued).await.expect("queued").turn_id;
    tokio::time::timeout(PATIENCE, gate.passed()).await.expect("the model is asked");

    runtime.revoke(id, vec![grant("llm")]).await.expect("revoked");
    assert_eq!(runtime.outcome(id, turn_id).await, Ok(REVOKED));
    let outcome = tokio::time::timeout(PATIENCE, runtime.outcome(id, next)).await.expect("an end");
    let Ok(Outcome::Failed { kind: FailureKind::Guest, message }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(message.contains("withdrawn"), "{message}");
    let view = runtime.worker(id).expect("it");
    assert_eq!((view.grants, view.revoked), (Grants::none(), vec![grant("llm")]));
    let revocations = log(&runtime, id).await;
    let revocations = revocations.iter().filter(|event| event.body.name() == "grant.revoked");
    assert_eq!(revocations.count(), 1);
    // Taking it away again is no error and no event.
    let before = runtime.worker(id).expect("it").last_seq;
    runtime.revoke(id, vec![grant("llm")]).await.expect("it is gone already");
    assert_eq!(runtime.worker(id).expect("it").last_seq, before);
}

#[tokio::test]
async fn a_revoked_directory_is_gone_and_stays_gone_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = open(dir.path()).await;
    let id = create(&runtime, "base", everything()).await;
    assert_eq!(turn(&runtime, id, "files: preopens").await, Outcome::Completed);
    let request = || CreateWorker::profile(name("base")).grants(everything());
    let taken = runtime.create(request()).await.expect_err("a refusal");
    assert_eq!(taken.code(), "scope_conflict");
    runtime.revoke(id, vec![grant("preopen:/project")]).await.expect("revoked");
    runtime.create(request()).await.expect("nobody writes there any more");
    assert_eq!(turn(&runtime, id, "files: preopens").await, Outcome::Completed);
    runtime.shutdown(Duration::ZERO).await;
    drop(runtime);

    let runtime = open(dir.path()).await;
    let view = runtime.worker(id).expect("it");
    assert_eq!((view.grants, view.revoked), (llm_grant(), vec![grant("preopen:/project")]));
    assert_eq!(turn(&runtime, id, "files: preopens").await, Outcome::Completed);
    assert_eq!(said(&runtime, id).await, ["ok /project", "ok", "ok"]);
}

#[tokio::test]
async fn what_was_revoked_stays_so_whatever_the_ceiling_becomes() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(dir.path().join("project/sub/deep")).expect("a directory");
    let below = |path: &str| {
        let preopen = preopen("project", &format!("/{path}"), Access::ReadWrite);
        preopen.path(path.parse().expect("a path"))
    };
    let narrow = Grants::none().with_preopen(below("sub")).with_preopen(below("sub/deep"));
    let overlapping = narrow.preopens.iter().cloned().fold(everything(), Grants::with_preopen);
    let open = async |ceiling: &Grants| {
        let root = Root::new(dir.path().join("project")).access(Access::ReadWrite);
        builder_of(["base"])
            .root("project".parse().expect("a name"), root)
            .store(Store::sqlite(dir.path().join("log")).expect("a store"))
            .ceiling(ceiling.clone())
            .build()
            .await
            .expect("a Runtime")
    };
    let work = || Grants::none().with_preopen(preopen("project", "/project", Access::ReadWrite));

    let runtime = open(&overlapping).await;
    let revoked = create(&runtime, "base", work()).await;
    runtime.revoke(revoked, vec![grant("preopen:/project")]).await.expect("revoked");
    let kept = create(&runtime, "base", work()).await;
    let seen = async |ceiling: &Grants| {
        let runtime = open(ceiling).await;
        let grants = |id| runtime.worker(id).expect("it").grants;
        let seen = (grants(revoked), grants(kept));
        runtime.shutdown(Duration::ZERO).await;
        seen
    };
    runtime.shutdown(Duration::ZERO).await;
    drop(runtime);
    // A ceiling with parts of what it has anyway changes nothing.
    assert_eq!(seen(&overlapping).await, (Grants::none(), work()));
    let (left, cut) = seen(&narrow).await;
    assert_eq!(left, Grants::none());
    let [cut] = cut.preopens.try_into().expect("one directory");
    assert_eq!((cut.guest_path.as_str(), cut.path.as_str()), ("/project/sub", "sub"));

    // What is revoked while it is cut is all of it.
    let runtime = open(&narrow).await;
    runtime.revoke(kept, vec![grant("preopen:/project/sub")]).await.expect("revoked");
    runtime.shutdown(Duration::ZERO).await;
    drop(runtime);
    assert_eq!(seen(&overlapping).await, (Grants::none(), Grants::none()));
}

#[tokio::test]
async fn what_was_never_granted_cannot_be_revoked() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    for grants in [vec![], vec![grant("llm")], vec![grant("preopen:/project")]] {
        let refused = runtime.revoke(id, grants).await.expect_err("a refusal");
        assert_eq!(refused.code(), "invalid_input");
    }
    let unknown = runtime.revoke(WorkerId::generate(), vec![grant("llm")]).await;
    assert_eq!(unknown.expect_err("a refusal").code(), "unknown_worker");
}

#[tokio::test]
async fn an_upgrade_moves_a_worker_between_turns_and_survives_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = open(dir.path()).await;
    let id = create(&runtime, "base", llm_grant()).await;
    assert_eq!(turn(&runtime, id, "state-set: k=v").await, Outcome::Completed);
    let spinning = send(&runtime, id, "spin").await;
    let hostile = ComponentRef::Builtin(name("hostile"));
    let busy = runtime.upgrade(id, &hostile).await.expect_err("a refusal");
    assert_eq!(busy, RuntimeError::Busy { turn_id: spinning });
    runtime.cancel(id, None).await.expect("cancelled");

    let upgraded = runtime.upgrade(id, &hostile).await.expect("upgraded");
    assert_eq!((upgraded.gained, upgraded.lost), (vec!["yoi:worker/llm@0.1.0".into()], vec![]));
    assert_eq!(runtime.worker(id).expect("it").component, upgraded.to);
    assert_ne!(upgraded.from, upgraded.to);
    assert_eq!(turn(&runtime, id, "capabilities").await, Outcome::Completed);
    runtime.shutdown(Duration::ZERO).await;
    drop(runtime);

    let runtime = open(dir.path()).await;
    let view = runtime.worker(id).expect("it");
    assert_eq!((view.component, view.profile.as_str()), (upgraded.to, "base"));
    assert_eq!(turn(&runtime, id, "state-get: k").await, Outcome::Completed);
    assert_eq!(said(&runtime, id).await.last().map(String::as_str), Some("v"));
}

#[tokio::test]
async fn invariant_1_an_upgrade_that_asks_for_more_is_refused_with_the_difference() {
    let runtime = runtime().await;
    let id = worker(&runtime, "base").await;
    let refused = runtime.upgrade(id, &ComponentRef::Builtin(name("hostile"))).await;
    let Err(RuntimeError::MissingGrant { interface, capability, also }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(interface, "yoi:worker/llm@0.1.0");
    assert_eq!((capability, also), (Some(Capability::Llm), vec![]));
    let network = runtime.upgrade(id, &ComponentRef::Builtin(name("network"))).await;
    assert!(matches!(network, Err(RuntimeError::MissingGrant { capability: None, .. })));
    assert_eq!(turn(&runtime, id, "print: still the old one").await, Outcome::Completed);
    let upgrades = log(&runtime, id).await;
    let is_upgrade = |body: &EventBody| matches!(body, EventBody::WorkerUpgraded { .. });
    assert!(!upgrades.iter().any(|event| is_upgrade(&event.body)));
}

#[tokio::test]
async fn a_component_is_added_and_a_worker_upgraded_to_it_by_its_digest() {
    let runtime = builder_of(["base"]).build().await.expect("a Runtime");
    let id = worker(&runtime, "base").await;
    let unknown = ComponentRef::Digest(worker_types::ComponentDigest::from_sha256([7; 32]));
    let refused = runtime.upgrade(id, &unknown).await.expect_err("a refusal");
    assert_eq!(refused.code(), "unknown_component");
    let refused = runtime.add_component(Bytes::from_static(b"junk")).await.expect_err("a refusal");
    assert_eq!(refused.code(), "invalid_component");
    let echo = Bytes::from_static(builtin_workers::ECHO);
    let kept = runtime.add_component(echo).await.expect("added");
    runtime.upgrade(id, &ComponentRef::Digest(kept.digest)).await.expect("upgraded");
    assert_eq!(turn(&runtime, id, "spin").await, Outcome::Completed, "it echoes now");
    assert_eq!(said(&runtime, id).await, ["spin"]);
}

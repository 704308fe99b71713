//! Invariant 1: nothing without a grant.

use std::collections::BTreeSet;

use worker_types::{Capability, CreateWorker, Grants, Outcome, Profile, RuntimeError};

use crate::harness::*;

#[tokio::test]
async fn invariant_1_a_companion_without_llm_is_refused_by_the_name_of_its_import() {
    let runtime = runtime().await;
    let refused = runtime.create(CreateWorker::profile(name("companion"))).await;
    let Err(RuntimeError::MissingGrant { interface, capability, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(interface, "yoi:worker/llm@0.1.0");
    assert_eq!(capability, Some(Capability::Llm));
    assert_eq!(runtime.overview().idle, 0, "nothing was created");
}

#[tokio::test]
async fn invariant_1_a_guest_that_wants_sockets_is_refused_whatever_is_granted() {
    let runtime = runtime().await;
    let request = CreateWorker::profile(name("network")).grants(llm_grant());
    let refused = runtime.create(request).await;
    let Err(RuntimeError::MissingGrant { interface, capability: None, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(interface.starts_with("wasi:sockets/"), "{interface}");
}

#[tokio::test]
async fn an_optional_import_is_linked_and_answers_not_granted() {
    let optional = Profile { optional: BTreeSet::from([Capability::Llm]), ..profile("hostile") };
    let runtime = builder().profiles([optional]).build().await.expect("a Runtime");
    let id = worker(&runtime, "hostile").await;
    for command in ["llm: hi", "llm-history"] {
        let outcome = turn(&runtime, id, command).await;
        let Outcome::Failed { message, .. } = &outcome else { panic!("{command}: {outcome:?}") };
        assert!(message.contains("grant"), "{message}");
    }
    turn(&runtime, id, "capabilities").await;
    assert_eq!(said(&runtime, id).await, [""]);
}

#[tokio::test]
async fn a_grant_beyond_the_ceiling_is_refused_with_the_first_thing_that_exceeds() {
    let runtime = runtime().await;
    let grants = Grants::none().with_llm([alias("default"), alias("dear")]);
    let refused = runtime.create(CreateWorker::profile(name("echo")).grants(grants)).await;
    let Err(RuntimeError::GrantExceedsCeiling { exceeds }) = refused else { panic!("{refused:?}") };
    assert!(exceeds.contains("`dear`"), "{exceeds}");
}

#[tokio::test]
async fn a_model_that_is_not_granted_cannot_be_asked() {
    let model = llm_engine::ScriptedModel::new().answer("never heard");
    let runtime = runtime_with_model(model.clone()).await;
    let id = llm_worker(&runtime, "hostile").await;
    let outcome = turn(&runtime, id, "llm-model: other").await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    assert!(model.requests().is_empty());
}

#[tokio::test]
async fn invariants_2_and_3_a_guest_sees_no_file_and_no_environment() {
    let runtime = runtime().await;
    let files = answer(&runtime, "base", "fs").await;
    assert!(!files.contains("root:"), "{files}");
    for line in files.lines() {
        assert!(
            line.contains("rror") || line.contains("failed") || line.contains("o such"),
            "{line}"
        );
    }
    let environment = answer(&runtime, "base", "env").await;
    assert!(!environment.contains("PATH"), "{environment}");
    assert!(!environment.contains("HOME"), "{environment}");
}

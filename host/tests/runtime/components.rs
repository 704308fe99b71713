//! Bytes that are no Worker component, and components that do not fit the pool.

use std::borrow::Cow;

use worker_runtime::RuntimeBuildError;
use worker_types::{ComponentRef, CreateWorker, Limits, Outcome, RuntimeError};

use crate::harness::*;

async fn build(bytes: Vec<u8>, limits: Limits) -> Result<worker_runtime::Runtime, RuntimeError> {
    let bad = ComponentRef::Builtin(name("bad"));
    let built = builder()
        .components([(bad, Cow::Owned(bytes))])
        .profiles([profile("bad")])
        .limits(limits)
        .build()
        .await;
    built.map_err(|error| match error {
        RuntimeBuildError::Profile { profile, error } if profile == name("bad") => error,
        other => panic!("{other:?}"),
    })
}

async fn check(bytes: impl Into<Vec<u8>>, reason: &str) {
    match build(bytes.into(), Limits::default()).await {
        Err(RuntimeError::InvalidComponent { reason: given }) => {
            assert!(given.contains(reason), "{given}");
        }
        other => panic!("{other:?}"),
    }
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("valid text format")
}

#[tokio::test]
async fn bytes_that_are_no_component_are_refused_with_what_they_are() {
    check(b"", "not WebAssembly").await;
    check(b"#!/bin/sh\necho hi\n", "not WebAssembly").await;
    check(wat("(module)"), "core WebAssembly module").await;
    check(wat("(component)"), "does not export `yoi:worker/worker@0.1.0`").await;
    let truncated = &builtin_workers::ECHO[..builtin_workers::ECHO.len() / 2];
    check(truncated, "it is malformed").await;
}

#[tokio::test]
async fn a_component_of_another_world_is_refused() {
    // What a WASI command exports.
    let command = r#"(component
        (core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $exports (export "run" (func $run)))
        (export "wasi:cli/run@0.2.6" (instance $exports)))"#;
    check(wat(command), "does not export `yoi:worker/worker@0.1.0`").await;
}

#[tokio::test]
async fn an_import_of_another_type_is_refused() {
    let wrong = r#"(component
        (import "yoi:worker/session@0.1.0" (instance (export "turn-id" (func (result string))))))"#;
    check(wat(wrong), "another type").await;
}

#[tokio::test]
async fn an_import_that_no_grant_provides_is_refused_by_name_at_creation() {
    let foreign = r#"(component (import "evil:corp/exfiltrate@1.0.0" (instance)))"#;
    let runtime = build(wat(foreign), Limits::default()).await.expect("it compiles");
    let refused = runtime.create(CreateWorker::profile(name("bad"))).await;
    let interface = "evil:corp/exfiltrate@1.0.0".to_owned();
    assert_eq!(
        refused,
        Err(RuntimeError::MissingGrant { interface, capability: None, also: vec![] })
    );
}

#[tokio::test]
pub(crate) async fn component_bytes_bounds_what_is_compiled() {
    let limits = Limits { component_bytes: 1_000_000_000, ..Limits::default() };
    assert!(build(builtin_workers::ECHO.to_vec(), limits).await.is_ok());
    let mut large = builtin_workers::ECHO.to_vec();
    large.resize(usize::try_from(Limits::default().component_bytes).expect("fits") + 1, 0);
    check(large, "more than the limit").await;
}

#[tokio::test]
async fn a_profile_whose_component_was_not_given_is_refused() {
    let built = builder().profiles([profile("nowhere")]).build().await;
    let Err(RuntimeBuildError::Profile { error, .. }) = built else { panic!("{built:?}") };
    assert_eq!(error, RuntimeError::UnknownComponent { component: "builtin:nowhere".into() });
}

/// A Worker that does nothing, with `memories` memories and a table of `elements` elements.
pub(crate) fn worker_with(memories: usize, elements: u64) -> Vec<u8> {
    let module = "(core module $m (memory 1) (table 1 funcref))";
    let instances = "(core instance (instantiate $m))".repeat(memories);
    wat(&format!(
        r#"(component
            {module} {instances}
            (core module $run (table {elements} funcref) (memory (export "mem") 1)
                (func (export "run") (result i32) i32.const 1024))
            (core instance $i (instantiate $run))
            (type $failure' (record (field "message" string)))
            (component $shim
                (type $failure' (record (field "message" string)))
                (import "failure" (type $failure (eq $failure')))
                (import "run" (func $run (result (result (error $failure)))))
                (export $exported "failure" (type $failure))
                (export "run" (func $run) (func (result (result (error $exported))))))
            (func $run (result (result (error $failure')))
                (canon lift (core func $i "run") (memory (core memory $i "mem"))))
            (instance $exports (instantiate $shim
                (with "failure" (type $failure')) (with "run" (func $run))))
            (export "yoi:worker/worker@0.1.0" (instance $exports)))"#
    ))
}

#[tokio::test]
async fn a_component_that_does_not_fit_the_pool_runs_on_demand() {
    let runtime = build(worker_with(9, 10), Limits::default()).await.expect("nine memories run");
    let id = worker(&runtime, "bad").await;
    assert_eq!(turn(&runtime, id, "x").await, Outcome::Completed);
}

#[tokio::test]
pub(crate) async fn memories_count_together_and_instances_and_tables_are_bounded() {
    // Each memory is one page of 64 KiB.
    let limits = Limits { turn_memory_bytes: 9 * 65_536, ..Limits::default() };
    for (component, limits) in [
        (worker_with(9, 10), limits),
        (worker_with(9, 10), Limits { turn_instances: 9, ..Limits::default() }),
        (worker_with(1, 1_001), Limits { turn_table_elements: 1_000, ..Limits::default() }),
    ] {
        let runtime = build(component, limits).await.expect("it compiles");
        let id = worker(&runtime, "bad").await;
        let outcome = turn(&runtime, id, "x").await;
        assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    }
}

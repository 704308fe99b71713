//! Creating and listing Workers.

use worker_types::{
    EventBody, Implementation, Input, Outcome, RuntimeError, Seq, TurnId, WorkerQuery, WorkerStatus,
};

use super::{
    Setting,
    guest::{log, of, said, sound},
};
use crate::operations::Operations;

/// The host of these tests.
#[must_use]
pub fn setting() -> Setting {
    Setting::default()
}

/// What was asked for is what is there.
pub async fn a_worker_is_as_it_was_asked_for(host: &impl Operations) {
    let request = of("base").display_name("Fred").label("user", "42");
    let created = host.create(request).await.expect("a Worker");
    assert_eq!(created, host.worker(created.worker_id).await.expect("the Worker"));
    assert_eq!(created.display_name.as_deref(), Some("Fred"));
    assert_eq!(created.profile.as_str(), "base");
    assert_eq!(created.labels.get("user").map(String::as_str), Some("42"));
    assert_eq!(created.status, WorkerStatus::Idle);
    assert_eq!(created.implementation, Implementation::Component);
    assert_eq!(created.last_seq, Seq::new(1));
    assert_eq!(created.usage, Default::default());
    let log = log(host, created.worker_id).await;
    let EventBody::WorkerCreated { profile, component, labels, .. } = &log[0].body else {
        panic!("{log:?}")
    };
    assert_eq!((&profile.name, *component), (&created.profile, created.component));
    assert_eq!(*labels, created.labels);
    assert_eq!(log[0].at, created.created_at);
}

/// Nobody sees the Worker without its input.
pub async fn a_first_input_is_in_the_commit_that_creates_its_worker(host: &impl Operations) {
    let created = host.create(of("echo").input(Input::text("hello"))).await.expect("a Worker");
    assert!(created.last_seq >= Seq::new(2), "{created:?}");
    let id = created.worker_id;
    assert_eq!(host.outcome(id, TurnId::new(1)).await, Ok(Outcome::Completed));
    let report = sound(host, id).await;
    assert_eq!(report.inputs[0].seq, Seq::new(2));
    assert_eq!(said(host, id).await, ["hello"]);
}

/// Limits of names and labels, each with a typed refusal.
pub async fn names_and_labels_out_of_bounds_are_refused_and_create_nothing(host: &impl Operations) {
    let many = (0..33).fold(of("echo"), |request, n| request.label(format!("k{n}"), "v"));
    let bad = [
        of("echo").label("", "v"),
        of("echo").label("k".repeat(64), "v"),
        of("echo").label("k", "v".repeat(257)),
        of("echo").label("k", "a\u{1b}[2J"),
        of("echo").display_name("a\nb"),
        of("echo").display_name("x".repeat(257)),
        many,
    ];
    for request in bad {
        let refused = host.create(request).await;
        assert!(matches!(refused, Err(RuntimeError::InvalidInput { .. })), "{refused:?}");
    }
    let empty = host.workers(WorkerQuery::default()).await.expect("a page");
    assert!(empty.workers.is_empty(), "{empty:?}");
}

/// Filters hold on every page.
pub async fn workers_are_listed_in_pages_by_label_and_status(host: &impl Operations) {
    let mut ids = Vec::new();
    for n in 0..7 {
        let request = of("echo").label("even", (n % 2 == 0).to_string());
        ids.push(host.create(request).await.expect("a Worker").worker_id);
    }
    host.stop(ids[1]).await.expect("stopped");
    let mut listed = Vec::new();
    let mut query = WorkerQuery { limit: Some(3), ..Default::default() };
    loop {
        let page = host.workers(query.clone()).await.expect("a page");
        listed.extend(page.workers.iter().map(|worker| worker.worker_id));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(listed, ids, "in the order of creation");

    let labels = [("even".to_owned(), "true".to_owned())].into();
    let even = WorkerQuery { labels, ..Default::default() };
    assert_eq!(host.workers(even).await.expect("a page").workers.len(), 4);
    let stopped = WorkerQuery { status: Some("stopped".into()), ..Default::default() };
    let stopped = host.workers(stopped).await.expect("a page").workers;
    assert_eq!(stopped.iter().map(|view| view.worker_id).collect::<Vec<_>>(), [ids[1]]);
    let nonsense = WorkerQuery { status: Some("tired".into()), ..Default::default() };
    let refused = host.workers(nonsense).await;
    assert!(matches!(refused, Err(RuntimeError::InvalidInput { .. })), "{refused:?}");
    let overview = host.summary().await.expect("a summary").overview;
    assert_eq!((overview.idle, overview.running, overview.stopped), (6, 0, 1));
}

use std::borrow::Cow;

use worker_types::{ComponentRef, CreateWorker, Input, Profile};

use super::*;

#[tokio::test]
async fn a_search_that_finds_little_gives_short_pages_that_lead_to_the_end() {
    let runtime = Runtime::builder("test".parse().expect("a valid id"))
        .components(builtin_workers::components())
        .profiles(builtin_workers::profiles())
        .build()
        .await
        .expect("a Runtime");
    let echo: ProfileName = "echo".parse().expect("a valid name");
    let mut rare = Vec::new();
    for n in 0..10 {
        let request = CreateWorker::profile(echo.clone()).label("rare", (n % 5 == 4).to_string());
        let created = runtime.create(request).await.expect("a Worker").worker_id;
        if n % 5 == 4 {
            rare.push(created);
        }
    }
    let labels = [("rare".to_owned(), "true".to_owned())].into();
    let mut query = WorkerQuery { labels, limit: Some(2), ..WorkerQuery::default() };
    let mut pages = Vec::new();
    loop {
        let page = runtime.0.worker_page(&query, 3);
        pages.push(page.workers.iter().map(|view| view.worker_id).collect::<Vec<_>>());
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(pages.concat(), rare);
    let found: Vec<_> = pages.iter().map(Vec::len).collect();
    assert_eq!(found, [0, 1, 0, 1], "each looks at three Workers, and the last at one");
}

#[tokio::test]
async fn the_load_tells_turns_that_run_from_turns_that_wait() {
    let component = ComponentRef::Builtin("base".parse().expect("a valid name"));
    let profile = Profile {
        name: "base".parse().expect("a valid name"),
        description: String::new(),
        component: component.clone(),
        optional: Default::default(),
        resume: false,
        commands: Default::default(),
        config: Default::default(),
    };
    let limits = Limits { live_turns: 1, ..Limits::default() };
    let (turn_memory_bytes, max_memory_bytes) = (limits.turn_memory_bytes, limits.memory_total);
    let runtime = Runtime::builder("test".parse().expect("a valid id"))
        .components([(component, Cow::Borrowed(test_guests::HOSTILE_BASE))])
        .profiles([profile])
        .limits(limits)
        .build()
        .await
        .expect("a Runtime");
    let of = |live_turns, waiting_turns| RuntimeLoad {
        live_turns,
        max_live_turns: 1,
        waiting_turns,
        admitted_memory_bytes: live_turns * turn_memory_bytes,
        max_memory_bytes,
    };
    assert_eq!(runtime.load(), of(0, 0));
    let mut workers = Vec::new();
    for _ in 0..3 {
        let spin =
            CreateWorker::profile("base".parse().expect("a name")).input(Input::text("spin"));
        workers.push(runtime.create(spin).await.expect("a Worker"));
    }
    assert_eq!(runtime.load(), of(1, 2));
    for worker in &workers {
        runtime.cancel(worker.worker_id, None).await.expect("cancelled");
    }
    // The right to run goes with the guest, a moment after the end of its turn is in the log.
    while runtime.load() != of(0, 0) {
        tokio::task::yield_now().await;
    }
}

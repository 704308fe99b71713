//! What the tests share: Runtimes with the product's and the hostile guests.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use llm_engine::{ModelProvider, Models};
use worker_runtime::{Events, Runtime, RuntimeBuilder, Shell};
use worker_types::{
    ComponentRef, CreateWorker, Cursor, Event, Grants, Input, InputOptions, ItemBody, Limits,
    LiveEvent, ModelAlias, Outcome, Profile, ProfileName, TranscriptQuery, WorkerId,
};

/// How long a test waits for something that happens within milliseconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn name(text: &str) -> ProfileName {
    text.parse().expect("a valid name")
}

pub(crate) fn alias(text: &str) -> ModelAlias {
    text.parse().expect("a valid alias")
}

pub(crate) fn llm_grant() -> Grants {
    Grants::none().with_llm([alias("default")])
}

pub(crate) fn profile(text: &str) -> Profile {
    Profile {
        name: name(text),
        description: String::new(),
        component: ComponentRef::Builtin(name(text)),
        optional: BTreeSet::new(),
        resume: false,
        commands: Default::default(),
        config: Default::default(),
    }
}

/// The product's profiles, and `hostile` (with models), `base` (without) and `network`.
pub(crate) fn builder() -> RuntimeBuilder {
    builder_of(["hostile", "base", "network"])
        .components(builtin_workers::components())
        .profiles(builtin_workers::profiles())
        .ceiling(llm_grant())
}

/// Only these guests of ours.
pub(crate) fn builder_of<const N: usize>(guests: [&str; N]) -> RuntimeBuilder {
    builder_called("test", guests)
}

/// The same for a Runtime with this id.
pub(crate) fn builder_called<const N: usize>(id: &str, guests: [&str; N]) -> RuntimeBuilder {
    let component = |guest| {
        let bytes = match guest {
            "hostile" => test_guests::HOSTILE,
            "base" => test_guests::HOSTILE_BASE,
            "network" => test_guests::NETWORK,
            "scripts" => test_guests::SCRIPTS,
            _ => panic!("there is no guest `{guest}`"),
        };
        (ComponentRef::Builtin(name(guest)), Cow::Borrowed(bytes))
    };
    Runtime::builder(id.parse().expect("a valid id"))
        .components(guests.map(component))
        .profiles(guests.map(profile))
}

/// Where the tests keep the compiled shell, which takes seconds to compile.
pub(crate) fn shell_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("components")
}

/// Compiles the shell, once for all tests of this build: each is a process.
pub(crate) async fn compiled_shell() {
    let lock = || {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("components.lock");
        let file = File::create(path).expect("a file");
        file.lock().expect("locked");
        file
    };
    let _lock = tokio::task::spawn_blocking(lock).await.expect("locked");
    let shell = Shell::new(builtin_workers::SHELL_COMPONENT, Limits::default());
    let session = shell.component_cache(shell_cache()).open(Grants::none(), Vec::new()).await;
    session.expect("a session").compile().await.expect("a shell that compiles");
}

pub(crate) async fn runtime() -> Runtime {
    builder().build().await.expect("a Runtime")
}

pub(crate) async fn runtime_with_limits(limits: Limits) -> Runtime {
    builder().limits(limits).build().await.expect("a Runtime")
}

pub(crate) async fn runtime_with_model(model: impl ModelProvider) -> Runtime {
    let models = Models::none().with("default", Arc::new(model));
    builder().models(models).build().await.expect("a Runtime")
}

/// A Worker without grants.
pub(crate) async fn worker(runtime: &Runtime, profile: &str) -> WorkerId {
    let request = CreateWorker::profile(name(profile));
    runtime.create(request).await.expect("a Worker").worker_id
}

/// A Worker that may call the model `default`.
pub(crate) async fn llm_worker(runtime: &Runtime, profile: &str) -> WorkerId {
    let request = CreateWorker::profile(name(profile)).grants(llm_grant());
    runtime.create(request).await.expect("a Worker").worker_id
}

/// Starts a turn and does not wait for its end.
pub(crate) async fn send(runtime: &Runtime, id: WorkerId, text: &str) -> worker_types::TurnId {
    let input = Input::text(text);
    runtime.input(id, input, InputOptions::default()).await.expect("an accepted input").turn_id
}

/// Runs a turn to its end.
pub(crate) async fn turn(runtime: &Runtime, id: WorkerId, text: &str) -> Outcome {
    let turn_id = send(runtime, id, text).await;
    let outcome = tokio::time::timeout(PATIENCE, runtime.outcome(id, turn_id)).await;
    outcome.expect("the turn ends").expect("an outcome")
}

/// Everything the Worker said so far.
pub(crate) async fn said(runtime: &Runtime, id: WorkerId) -> Vec<String> {
    let query = TranscriptQuery { limit: Some(1_000), ..Default::default() };
    let page = runtime.transcript(id, query).await.expect("a transcript");
    let texts = page.items.into_iter().filter_map(|item| match item.body {
        ItemBody::AssistantMessage { text, .. } => Some(text),
        _ => None,
    });
    texts.collect()
}

/// Runs a turn of a Worker without grants and returns the last thing it said.
pub(crate) async fn answer(runtime: &Runtime, profile: &str, text: &str) -> String {
    let id = worker(runtime, profile).await;
    assert_eq!(turn(runtime, id, text).await, Outcome::Completed, "{text}");
    said(runtime, id).await.pop().expect("an answer")
}

/// The whole log.
pub(crate) async fn log(runtime: &Runtime, id: WorkerId) -> Vec<Event> {
    runtime.event_page(id, Cursor::START, 1_000).await.expect("a page").events
}

/// The next event, which must come.
pub(crate) async fn next(events: &mut Events) -> LiveEvent {
    let event = tokio::time::timeout(PATIENCE, events.next()).await;
    event.expect("an event in time").expect("an open stream").expect("a readable log")
}

/// Reads on until `found` returns something.
pub(crate) async fn until<T>(
    events: &mut Events,
    mut found: impl FnMut(&LiveEvent) -> Option<T>,
) -> T {
    loop {
        if let Some(found) = found(&next(events).await) {
            return found;
        }
    }
}

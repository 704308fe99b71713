//! Faults injected into the host: a Worker pays for one, nobody else does. In a process of its own,
//! since a failpoint is the same for all that run in one.

use std::{borrow::Cow, sync::Arc, time::Duration};

use fail::FailScenario;
use llm_engine::{Models, ScriptedModel, Step};
use worker_runtime::{Runtime, RuntimeBuilder};
use worker_types::{
    ComponentRef, CreateWorker, FailureKind, Grants, Input, Outcome, Profile, TurnId, WorkerId,
};

/// Every function that a guest can call, and a command that makes the guest call it.
const HOST_FUNCTIONS: [(&str, &str); 19] = [
    ("session.turn-id", "turn"),
    ("session.input", "print: x"),
    ("session.resumes", "turn"),
    ("session.capabilities", "capabilities"),
    ("session.history", "history"),
    ("session.say", "say: 1"),
    ("session.take-steering", "steering"),
    ("session.state-get", "state-get: k"),
    ("session.state-set", "state-set: k=v"),
    ("session.config", "config: k"),
    ("session.utterance.open", "utter: a|b"),
    ("session.utterance.delta", "utter: a|b"),
    ("session.utterance.end", "utter: a|b"),
    ("session.tool-call.begin", "tool"),
    ("session.tool-call.take", "tool-take: c"),
    ("session.tool-call.id", "tool-id"),
    ("session.tool-call.end", "tool"),
    ("llm.complete", "llm: hi"),
    ("llm.completion.next", "llm: hi"),
];

async fn runtime() -> Runtime {
    builder().build().await.expect("a Runtime")
}

fn builder() -> RuntimeBuilder {
    let name = "hostile".parse::<worker_types::ProfileName>().expect("a valid name");
    let component = ComponentRef::Builtin(name.clone());
    let profile = Profile {
        name,
        description: String::new(),
        component: component.clone(),
        optional: Default::default(),
        resume: false,
        commands: Default::default(),
        config: Default::default(),
    };
    let calls = (0..99).map(|_| [Step::text("Hello"), Step::stop()]);
    let model = calls.fold(ScriptedModel::new(), ScriptedModel::call);
    Runtime::builder("test".parse().expect("a valid id"))
        .models(Models::none().with("default", Arc::new(model)))
        .components([(component, Cow::Borrowed(test_guests::HOSTILE))])
        .profiles([profile])
        .ceiling(grants())
}

fn grants() -> Grants {
    Grants::none().with_llm(["default".parse().expect("a valid alias")])
}

async fn turn(runtime: &Runtime, id: WorkerId, text: &str) -> Outcome {
    let accepted = runtime.input(id, Input::text(text), Default::default()).await;
    let turn_id = accepted.expect("an accepted input").turn_id;
    let outcome = tokio::time::timeout(Duration::from_secs(60), runtime.outcome(id, turn_id)).await;
    outcome.expect("the turn ends").expect("an outcome")
}

#[tokio::test]
async fn a_panic_in_any_host_function_fails_that_turn_and_nothing_else() {
    let scenario = FailScenario::setup();
    let runtime = runtime().await;
    let request = || CreateWorker::profile("hostile".parse().expect("a name")).grants(grants());
    let bystander = request().input(Input::text("spin"));
    let bystander = runtime.create(bystander).await.expect("a Worker").worker_id;
    let id = runtime.create(request()).await.expect("a Worker").worker_id;
    for (function, command) in HOST_FUNCTIONS {
        fail::cfg(function, "panic(injected)").expect("a failpoint");
        let outcome = turn(&runtime, id, command).await;
        fail::remove(function);
        let Outcome::Failed { kind: FailureKind::Internal, message } = &outcome else {
            panic!("{function}: {outcome:?}");
        };
        assert!(!message.contains("injected"), "the cause is for the operator: {message}");
        assert_eq!(turn(&runtime, id, command).await, Outcome::Completed, "{function}");
    }
    runtime.cancel(bystander, None).await.expect("cancelled");
    let outcome = runtime.outcome(bystander, TurnId::new(1)).await;
    assert!(matches!(outcome, Ok(Outcome::Cancelled { .. })), "the bystander ran on: {outcome:?}");
    scenario.teardown();
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn an_input_whose_component_could_not_be_loaded_runs_without_being_asked_for() {
    let scenario = FailScenario::setup();
    let dir = tempfile::tempdir().expect("a directory");
    let store = || worker_runtime::Store::sqlite(dir.path()).expect("a store");
    let (id, turn_id) = {
        // Somebody else has the only place, so that its turn is left for the next life.
        let limits = worker_types::Limits { live_turns: 1, ..Default::default() };
        let runtime = builder().limits(limits).store(store()).build().await.expect("a Runtime");
        let worker = async |text| {
            let request = CreateWorker::profile("hostile".parse().expect("a name"));
            let request = request.grants(grants()).input(Input::text(text));
            runtime.create(request).await.expect("a Worker").worker_id
        };
        worker("spin").await;
        let id = worker("print: x").await;
        runtime.shutdown(Duration::ZERO).await;
        (id, TurnId::ZERO.next())
    };
    // The store has the component; no profile does any more.
    let runtime = Runtime::builder("test".parse().expect("a valid id")).ceiling(grants());
    fail::cfg("profiles::load", "return").expect("a failpoint");
    let runtime = runtime.store(store()).build().await.expect("a Runtime");
    let refused = runtime.outcome(id, turn_id).await;
    assert_eq!(refused.expect_err("the fault fired").code(), "worker_unavailable");
    fail::cfg("profiles::load", "off").expect("a failpoint");
    let mut events = runtime.events(id, worker_types::Cursor::START).expect("the events");
    let ended = async {
        while let Some(event) = events.next().await {
            if let Ok(worker_types::LiveEvent::Durable(event)) = event
                && event.body.ends(turn_id)
            {
                return;
            }
        }
        panic!("the events ended before the turn")
    };
    // The task that could not load it may still be about to end: then there is another time.
    let retried = async {
        let mut times = tokio::time::interval(Duration::from_millis(10));
        loop {
            times.tick().await;
            runtime.retry_unavailable();
        }
    };
    let ended = async {
        tokio::select! { () = ended => {}, () = retried => {} }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the turn ends");
    assert_eq!(runtime.overview().unavailable, 0);
    scenario.teardown();
}

use worker_guest::{
    CompletionEvent, Context, Failure, LlmError,
    testing::{TestAnswer, TestTurn},
};

use crate::{Companion, PROMPT};

#[test]
fn hands_the_conversation_to_the_model_and_says_nothing_itself() {
    let outcome = TestTurn::text("hi").grant("llm").model_says(["Hel", "lo"]).run::<Companion>();
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(outcome.answers, [TestAnswer { text: "Hello".into(), complete: true }]);
    assert!(outcome.said.is_empty());

    let [request] = outcome.requests.as_slice() else { panic!("one call") };
    assert_eq!(request.model, "default");
    assert_eq!(request.system.as_deref(), Some(PROMPT));
    assert_eq!(request.context, Context::History);
}

#[test]
fn asks_the_model_that_the_profile_names() {
    let outcome = TestTurn::text("hi")
        .grant("llm")
        .config("model", "small")
        .model_says(["Hello"])
        .run::<Companion>();
    assert_eq!(outcome.requests[0].model, "small");
}

#[test]
fn fails_with_the_model() {
    let overloaded = TestTurn::text("hi").grant("llm").model_fails(LlmError::Overloaded);
    assert_eq!(overloaded.run::<Companion>().result, Err(Failure::from(LlmError::Overloaded)));

    let cut = TestTurn::text("hi")
        .grant("llm")
        .model_answers([Ok(CompletionEvent::Text("Hel".into())), Err(LlmError::Stalled)]);
    let outcome = cut.run::<Companion>();
    assert_eq!(outcome.result, Err(Failure::from(LlmError::Stalled)));
    assert_eq!(outcome.answers, [TestAnswer { text: "Hel".into(), complete: false }]);
}

#[test]
fn fails_without_the_grant() {
    let outcome = TestTurn::text("hi").run::<Companion>();
    assert_eq!(outcome.result, Err(Failure::from(LlmError::NotGranted)));
}

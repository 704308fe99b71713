//! What a Worker can do in a turn, on the scripted host.

use std::fmt::Write as _;

use worker_guest::{
    AssistantMessage, CompletionEvent, ConfigValue, Context, Error, Failure, FinishReason,
    LlmError, Message, Part, Request, ToolRequest, ToolRequestPiece, ToolSchema, Turn, Usage,
    Worker,
    testing::{TestAnswer, TestOutcome, TestToolCall, TestTurn},
    worker,
};

/// Defines a Worker with this body and runs it.
macro_rules! run {
    ($test:expr, |$turn:ident| $body:expr) => {{
        struct Tested;
        worker!(Tested);
        impl Worker for Tested {
            fn run($turn: Turn) -> Result<(), Failure> {
                $body
            }
        }
        let outcome: TestOutcome = $test.run::<Tested>();
        outcome
    }};
}

#[test]
fn the_input_is_its_parts_and_its_text_their_lines() {
    let parts =
        [Part::Text("one".into()), Part::Json(r#"{"k":1}"#.into()), Part::Text("two".into())];
    let outcome = run!(TestTurn::parts(parts).id(7).resumes(6), |turn| {
        assert_eq!(turn.parts().len(), 3);
        assert_eq!((turn.id(), turn.resumes()), (7, Some(6)));
        Ok(turn.say(&turn.text())?)
    });
    assert_eq!(outcome.said, ["one\ntwo"]);
}

#[test]
fn history_is_paged_from_the_newest_back() {
    let before = [Message::user("a"), Message::assistant("b")];
    let outcome = run!(TestTurn::text("c").history(before), |turn| {
        let newest = turn.history(2)?;
        assert!(newest.more);
        let texts: Vec<_> = newest.entries.iter().map(|entry| entry.message.text()).collect();
        assert_eq!(texts, ["b", "c"]);

        let older = turn.history_before(newest.entries[0].id, 2)?;
        assert!(!older.more);
        assert_eq!(older.entries.len(), 1);
        assert_eq!(older.entries[0].message, Message::user("a"));
        assert_eq!(turn.history_before(older.entries[0].id, 9)?.entries, []);
        Ok(())
    });
    assert_eq!(outcome.result, Ok(()));
}

#[test]
fn history_has_what_the_turn_itself_said_and_did_in_order() {
    let test = TestTurn::text("go")
        .grant("llm")
        .model_answers([
            Ok(CompletionEvent::Text("I look".into())),
            Ok(CompletionEvent::Other("{}".into())),
            Ok(CompletionEvent::ToolRequest(ToolRequestPiece {
                index: 0,
                call_id: Some("c1".into()),
                name: Some("lookup".into()),
                arguments: "{}".into(),
            })),
            Ok(CompletionEvent::Finish(FinishReason::ToolRequests)),
        ])
        .model_answers([Ok(CompletionEvent::Text("half".into())), Err(LlmError::Stalled)])
        .model_says(["whole"]);
    let outcome = run!(test, |turn| {
        turn.complete(Request::history("default"))?.text()?;
        turn.take_tool("c1")?.end(Ok("found"))?;
        assert!(turn.complete(Request::history("default"))?.text().is_err());
        drop(turn.begin_tool("lost", "{}")?);
        let mut opened_first = turn.utter()?;
        assert_eq!(turn.history(1)?.entries[0].message.text(), "interrupted: outcome unknown");
        turn.say("said second")?;
        opened_first.delta("ended last")?;
        opened_first.end()?;
        turn.utter()?.delta("cut")?;
        turn.complete(Request::history("default"))?.text()?;

        let page = turn.history(1000)?;
        assert!(!page.more);
        let told: Vec<String> = page.entries.iter().map(|entry| told(&entry.message)).collect();
        assert_eq!(
            told,
            [
                "user: go",
                "assistant: I look, c1 lookup",
                "tool: c1 found",
                "assistant: half, call-2 lost",
                "tool: call-2 interrupted: outcome unknown",
                "assistant: ended last",
                "assistant: said second",
                "assistant: cut",
                "assistant: whole",
            ]
        );
        Ok(())
    });
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(outcome.said, ["ended last", "said second"]);
    assert_eq!(outcome.incomplete, ["cut"]);
}

fn told(message: &Message) -> String {
    match message {
        Message::User(_) => format!("user: {}", message.text()),
        Message::Assistant(assistant) => {
            let requests = assistant.tool_requests.iter();
            let requests =
                requests.map(|request| format!(", {} {}", request.call_id, request.name));
            format!("assistant: {}{}", assistant.text, requests.collect::<String>())
        }
        Message::Tool(response) => format!("tool: {} {}", response.call_id, response.text),
        Message::Other(_) => String::new(),
    }
}

#[test]
fn a_page_of_history_has_1_to_1000_entries() {
    let outcome = run!(TestTurn::text("c"), |turn| {
        for limit in [0, 1001, u32::MAX] {
            for page in [turn.history(limit), turn.history_before(1, limit)] {
                let Err(Error::Other(message)) = page else { panic!("{limit}: {page:?}") };
                assert!(message.contains(&limit.to_string()), "{message}");
            }
        }
        assert_eq!(turn.history(1)?, turn.history(1000)?);
        Ok(())
    });
    assert_eq!(outcome.result, Ok(()));
}

#[test]
fn an_utterance_is_said_when_it_ends_and_incomplete_when_it_is_dropped() {
    let outcome = run!(TestTurn::text(""), |turn| {
        let mut whole = turn.utter()?;
        whole.delta("Hel")?;
        let name = "you";
        write!(whole, "lo, {name}")?;
        let mut dropped = turn.utter()?;
        dropped.delta("never")?;
        whole.end()?;
        Ok(())
    });
    assert_eq!(outcome.said, ["Hello, you"]);
    assert_eq!(outcome.incomplete, ["never"]);
}

#[test]
fn a_tool_call_has_the_result_it_ended_with_or_none() {
    let outcome = run!(TestTurn::text(""), |turn| {
        let first = turn.begin_tool("add", r#"{"a":1}"#)?;
        let second = turn.begin_tool("fail", "{}")?;
        assert_ne!(first.id(), second.id());
        second.end(Err("no"))?;
        first.end(Ok("2"))?;
        drop(turn.begin_tool("lost", "{}")?);
        Ok(())
    });
    let results: Vec<_> = outcome
        .tool_calls
        .iter()
        .map(|TestToolCall { name, result, .. }| (name.as_str(), result.clone()))
        .collect();
    assert_eq!(
        results,
        [("add", Some(Ok("2".to_owned()))), ("fail", Some(Err("no".to_owned()))), ("lost", None)]
    );
}

#[test]
fn a_call_that_the_model_asked_for_is_taken_up_once() {
    let test = TestTurn::text("").grant("llm").model_asks_for("c1", "lookup", r#"{"w":"x"}"#);
    let outcome = run!(test, |turn| {
        assert!(turn.take_tool("c1").is_err(), "the model has not asked for it yet");
        turn.complete(Request::history("default"))?.text()?;
        turn.take_tool("c1")?.end(Ok("found"))?;
        assert!(turn.take_tool("c1").is_err(), "it was taken up");
        let asked = turn.history_before(3, 1)?;
        assert_eq!(
            asked.entries[0].message,
            Message::Assistant(AssistantMessage {
                text: String::new(),
                tool_requests: vec![ToolRequest {
                    call_id: "c1".into(),
                    name: "lookup".into(),
                    arguments: r#"{"w":"x"}"#.into(),
                }],
            })
        );
        Ok(())
    });
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(outcome.tool_calls[0].result, Some(Ok("found".to_owned())));
}

#[test]
fn steering_is_given_once() {
    let outcome = run!(TestTurn::text("").steering("left").steering("right"), |turn| {
        let inputs = turn.take_steering()?;
        assert_eq!(inputs, [[Part::Text("left".into())], [Part::Text("right".into())]]);
        assert!(turn.take_steering()?.is_empty());
        Ok(())
    });
    assert_eq!(outcome.result, Ok(()));
}

#[test]
fn the_state_is_kept_forgotten_and_bounded() {
    let outcome = run!(TestTurn::text("").state("old", "1").state("gone", "1"), |turn| {
        assert_eq!(turn.state_get("old")?.as_deref(), Some("1"));
        turn.state_set("new", "2")?;
        turn.state_remove("gone")?;
        let big = "x".repeat(64 << 10);
        assert!(matches!(turn.state_set("big", &big), Err(Error::Other(_))));
        Ok(())
    });
    let state: Vec<_> =
        outcome.state.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(state, [("new", "2"), ("old", "1")]);
}

#[test]
fn settings_are_typed() {
    let test = TestTurn::text("")
        .config("flag", true)
        .config("count", 3)
        .config("ratio", 0.5)
        .config("name", "x");
    let outcome = run!(test, |turn| {
        assert_eq!(turn.config("flag")?, Some(true));
        assert_eq!(turn.config("count")?, Some(3_i64));
        assert_eq!(turn.config("count")?, Some(3.0), "a whole number is a number");
        assert_eq!(turn.config("ratio")?, Some(0.5));
        assert_eq!(turn.config("name")?, Some("x".to_owned()));
        assert_eq!(turn.config("name")?, Some(ConfigValue::Text("x".into())));
        assert_eq!(turn.config::<bool>("absent")?, None);
        turn.config::<i64>("name")?;
        Ok(())
    });
    assert_eq!(outcome.result, Err(Failure::new("the setting `name` is not a whole number")));
}

#[test]
fn a_model_that_is_not_granted_is_refused() {
    let outcome = run!(TestTurn::text("").model_says(["never"]), |turn| {
        assert!(!turn.has("llm"));
        turn.complete(Request::history("default"))?.text()?;
        Ok(())
    });
    assert_eq!(outcome.result, Err(Failure::from(LlmError::NotGranted)));
    assert_eq!(outcome.answers, []);
}

#[test]
fn an_answer_ends_after_its_finish() {
    let test = TestTurn::text("").grant("llm").model_answers([
        Ok(CompletionEvent::Reasoning("hm".into())),
        Ok(CompletionEvent::Text("yes".into())),
        Ok(CompletionEvent::Usage(Usage { output: Some(1), ..Usage::default() })),
        Ok(CompletionEvent::Finish(FinishReason::Length)),
        Ok(CompletionEvent::Text("never read".into())),
    ]);
    let outcome = run!(test, |turn| {
        assert!(turn.has("llm"));
        let events: Vec<_> = turn.complete(Request::history("default"))?.collect();
        assert_eq!(events.len(), 4);
        assert_eq!(events[3], Ok(CompletionEvent::Finish(FinishReason::Length)));
        Ok(())
    });
    assert_eq!(outcome.answers, [TestAnswer { text: "yes".into(), complete: true }]);
}

#[test]
fn an_answer_without_a_finish_is_an_error() {
    let test =
        TestTurn::text("").grant("llm").model_answers([Ok(CompletionEvent::Text("half".into()))]);
    let outcome = run!(test, |turn| {
        turn.complete(Request::history("default"))?.text()?;
        Ok(())
    });
    assert_eq!(outcome.result, Err(Failure::from(LlmError::Unfinished)));
    assert_eq!(outcome.answers, [TestAnswer { text: "half".into(), complete: false }]);
}

#[test]
fn a_failed_answer_ends_with_its_error() {
    let test = TestTurn::text("").grant("llm").model_fails(LlmError::Overloaded).model_says(["ok"]);
    let outcome = run!(test, |turn| {
        let mut failing = turn.complete(Request::history("default"))?;
        assert_eq!(failing.next(), Some(Err(LlmError::Overloaded)));
        assert_eq!(failing.next(), None);
        let answer = turn.complete(Request::history("default"))?.text()?;
        assert_eq!(answer, "ok");
        Ok(())
    });
    assert_eq!(outcome.result, Ok(()));
}

#[test]
fn a_request_carries_what_the_worker_built() {
    let test = TestTurn::text("").grant("llm").model_says(["ok"]);
    let outcome = run!(test, |turn| {
        let request = Request::messages("small", [Message::user("sum up")])
            .system("short")
            .tool(ToolSchema::new("t", "does", "{}"))
            .max_output_tokens(9)
            .temperature(0.5);
        turn.complete(request)?.text()?;
        Ok(())
    });
    let request = &outcome.requests[0];
    assert_eq!(request.model, "small");
    assert_eq!(request.system.as_deref(), Some("short"));
    assert_eq!(request.tools[0].name, "t");
    assert_eq!(request.context, Context::Messages(vec![Message::user("sum up")]));
    assert_eq!((request.max_output_tokens, request.temperature), (Some(9), Some(0.5)));
}

#[test]
fn a_request_with_a_kind_that_has_no_name_is_invalid() {
    let outcome = run!(TestTurn::text("").grant("llm"), |turn| {
        for message in
            [Message::Other("{}".into()), Message::User(vec![Part::Other(r#"{"k":1}"#.into())])]
        {
            assert_eq!(message.text(), "", "nobody can read it");
            let refused = turn.complete(Request::messages("default", [message])).map(drop);
            assert!(matches!(refused, Err(LlmError::Invalid(_))), "{refused:?}");
        }
        Ok(())
    });
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(outcome.answers, []);
}

#[test]
fn every_error_becomes_a_failure_with_its_words() {
    let outcome = run!(TestTurn::text("x"), |turn| {
        turn.text().parse::<u8>()?;
        Ok(())
    });
    assert_eq!(outcome.result, Err(Failure::new("invalid digit found in string")));
}

#[test]
#[should_panic(expected = "the test says what the model does in each call")]
fn a_call_that_the_test_did_not_foresee_panics() {
    let _ = run!(TestTurn::text("").grant("llm"), |turn| {
        turn.complete(Request::history("default"))?.text()?;
        Ok(())
    });
}

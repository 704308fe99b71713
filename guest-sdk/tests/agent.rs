//! An agent on the scripted host: tools that a model asks for, and what goes wrong with them.
#![cfg(feature = "tools")]

use worker_guest::{
    CompletionEvent, Failure, FinishReason, LlmError, Message, ToolRequestPiece, ToolSchema, Turn,
    Worker,
    agent::{Agent, AgentError, Ended},
    testing::TestTurn,
    tools::Toolbox,
};

struct Doubler;

impl Worker for Doubler {
    fn run(turn: Turn) -> Result<(), Failure> {
        let double = ToolSchema::new(
            "double",
            "Doubles a whole number.",
            r#"{"type":"object","properties":{"number":{"type":"integer"}},"required":["number"]}"#,
        );
        let toolbox = Toolbox::new("/workspace")
            .tool(double, |call| Ok((call.arguments.whole_number("number")? * 2).to_string()));
        let steps = turn.config::<i64>("steps")?.unwrap_or(10);
        let mut agent = Agent::new("default", toolbox)
            .system("Double what you are told.")
            .max_steps(u32::try_from(steps)?);
        match agent.run(&turn) {
            Ok(Ended::Answered) => Ok(()),
            Ok(ended) => Err(Failure::new(format!("{ended:?}"))),
            Err(error) => Err(error.into()),
        }
    }
}

fn piece(
    index: u32,
    first: Option<(&str, &str)>,
    arguments: &str,
) -> Result<CompletionEvent, LlmError> {
    Ok(CompletionEvent::ToolRequest(ToolRequestPiece {
        index,
        call_id: first.map(|(id, _)| id.to_owned()),
        name: first.map(|(_, name)| name.to_owned()),
        arguments: arguments.to_owned(),
    }))
}

fn finish(reason: FinishReason) -> Result<CompletionEvent, LlmError> {
    Ok(CompletionEvent::Finish(reason))
}

fn results(turn: TestTurn) -> Vec<Option<Result<String, String>>> {
    let outcome = turn.run::<Doubler>();
    assert_eq!(outcome.result, Ok(()));
    outcome.tool_calls.into_iter().map(|call| call.result).collect()
}

#[test]
fn what_the_model_asks_for_is_run_and_shown_to_it_until_it_asks_for_nothing() {
    let outcome = TestTurn::text("double 4, twice")
        .grant("llm")
        .model_asks_for("a", "double", r#"{"number":4}"#)
        .model_asks_for("b", "double", r#"{"number":8}"#)
        .model_says(["16"])
        .run::<Doubler>();
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(outcome.requests.len(), 3);
    for request in &outcome.requests {
        assert_eq!(request.system.as_deref(), Some("Double what you are told."));
        assert_eq!(request.tools.len(), 1);
    }
    let told: Vec<_> = outcome.tool_calls.iter().map(|call| call.result.clone()).collect();
    assert_eq!(told, [Some(Ok("8".to_owned())), Some(Ok("16".to_owned()))]);
}

#[test]
fn tools_of_one_answer_whose_pieces_alternate_are_run_in_its_order() {
    let turn = TestTurn::text("double")
        .grant("llm")
        .model_answers([
            piece(0, Some(("a", "double")), r#"{"num"#),
            piece(1, Some(("b", "double")), r#"{"number":"#),
            piece(0, None, r#"ber":1}"#),
            piece(1, None, "2}"),
            finish(FinishReason::ToolRequests),
        ])
        .model_says(["2 and 4"]);
    assert_eq!(results(turn), [Some(Ok("2".to_owned())), Some(Ok("4".to_owned()))]);
}

#[test]
fn arguments_that_make_no_sense_and_tools_that_are_none_are_answered_so_that_the_model_can_mend_them()
 {
    let turn = TestTurn::text("double")
        .grant("llm")
        .model_answers([
            piece(0, Some(("a", "double")), r#"{"number":"#),
            piece(1, Some(("b", "halve")), r#"{"number":2}"#),
            piece(2, Some(("c", "double")), r#"{"number":"two"}"#),
            finish(FinishReason::ToolRequests),
        ])
        .model_says(["I give up"]);
    let told: Vec<String> = results(turn)
        .into_iter()
        .map(|result| result.expect("a result").expect_err("refused"))
        .collect();
    assert!(told[0].contains("JSON"), "{told:?}");
    assert!(
        told[1].contains("there is no tool `halve`") && told[1].contains("`double`"),
        "{told:?}"
    );
    assert!(told[2].contains("number"), "{told:?}");
}

#[test]
fn nothing_of_an_answer_is_run_that_did_not_come_to_its_end() {
    for (end, told) in [
        (finish(FinishReason::Length), "Length"),
        (finish(FinishReason::ContentFilter), "ContentFilter"),
        (Err(LlmError::Stalled), "silent"),
    ] {
        let outcome = TestTurn::text("double")
            .grant("llm")
            .model_answers([piece(0, Some(("a", "double")), r#"{"number":1}"#), end])
            .run::<Doubler>();
        let failure = outcome.result.expect_err("no answer");
        assert!(failure.message().contains(told), "{failure}");
        assert!(
            outcome.tool_calls.iter().all(|call| call.result.is_none()),
            "{:?}",
            outcome.tool_calls
        );
    }
}

#[test]
fn a_model_that_never_comes_to_an_end_is_called_as_often_as_said() {
    let outcome = TestTurn::text("double")
        .grant("llm")
        .config("steps", 2)
        .model_asks_for("a", "double", r#"{"number":1}"#)
        .model_asks_for("b", "double", r#"{"number":1}"#)
        .run::<Doubler>();
    assert_eq!(outcome.result, Err(AgentError::MaxSteps(2).into()));
    assert!(outcome.tool_calls.iter().all(|call| call.result.is_some()), "each is answered");
}

#[test]
fn what_is_said_meanwhile_is_taken_in_and_answered() {
    let outcome = TestTurn::text("double 4")
        .grant("llm")
        .steering("no, 5")
        .model_says(["10"])
        .run::<Doubler>();
    assert_eq!((outcome.result, outcome.requests.len()), (Ok(()), 1));
}

#[test]
fn a_turn_goes_on_from_the_conversation_of_an_interrupted_one() {
    let asked = worker_guest::AssistantMessage {
        text: String::new(),
        tool_requests: vec![worker_guest::ToolRequest {
            call_id: "a".to_owned(),
            name: "double".to_owned(),
            arguments: r#"{"number":4}"#.to_owned(),
        }],
    };
    let answered = worker_guest::ToolResponse {
        call_id: "a".to_owned(),
        text: "8".to_owned(),
        is_error: false,
    };
    let outcome = TestTurn::text("double 4")
        .grant("llm")
        .id(2)
        .resumes(1)
        .history([Message::user("double 4"), Message::Assistant(asked), Message::Tool(answered)])
        .model_says(["8"])
        .run::<Doubler>();
    assert_eq!(outcome.result, Ok(()));
    assert!(outcome.tool_calls.is_empty(), "it was answered before");
}

#[test]
fn without_the_grant_the_model_is_not_asked() {
    let outcome = TestTurn::text("double 4").run::<Doubler>();
    assert_eq!(outcome.result, Err(AgentError::Model(LlmError::NotGranted).into()));
}

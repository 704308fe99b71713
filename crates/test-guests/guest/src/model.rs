//! Model calls.

use worker_guest::{Completion, CompletionEvent, Failure, Message, Request, ToolSchema, Turn};

use crate::Command;

/// The alias that all calls name.
const MODEL: &str = "default";

pub(crate) fn run(turn: &Turn, command: Command<'_>) -> Option<Result<(), Failure>> {
    Some(match command.name {
        "llm" => llm(turn, Request::messages(MODEL, [Message::user(command.argument)])),
        "llm-history" => llm(turn, Request::history(MODEL)),
        "llm-model" => llm(turn, Request::history(command.argument)),
        "llm-drop" => llm_drop(turn),
        "llm-hold" => llm_hold(turn),
        "llm-many" => llm_many(turn, command),
        "llm-tools" => llm_tools(turn, command),
        _ => return None,
    })
}

/// Says what the model said.
fn llm(turn: &Turn, request: Request) -> Result<(), Failure> {
    let answer = turn.complete(request)?.text()?;
    turn.say(&format!("model said: {answer}"))?;
    Ok(())
}

/// Drops the call after one piece.
fn llm_drop(turn: &Turn) -> Result<(), Failure> {
    let mut completion = turn.complete(Request::history(MODEL))?;
    completion.next().transpose()?;
    drop(completion);
    turn.say("dropped")?;
    Ok(())
}

/// Ends the turn with the call still open.
fn llm_hold(turn: &Turn) -> Result<(), Failure> {
    let mut completion = turn.complete(Request::history(MODEL))?;
    completion.next().transpose()?;
    std::mem::forget(completion);
    Ok(())
}

/// Starts so many calls before it reads any.
fn llm_many(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let open: Vec<Completion> = (0..command.number()?)
        .map(|_| turn.complete(Request::history(MODEL)))
        .collect::<Result<_, _>>()?;
    let count = open.len();
    for completion in open {
        completion.text()?;
    }
    turn.say(&format!("{count} answers"))?;
    Ok(())
}

/// Offers a tool, answers every call the model asks for, and asks again, until it asks for none.
fn llm_tools(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let tool = ToolSchema::new("lookup", "Looks a word up.", r#"{"type":"object"}"#);
    let request = Request::history(MODEL).tool(tool);
    loop {
        let mut calls = Vec::new();
        for event in turn.complete(request.clone())? {
            if let CompletionEvent::ToolRequest(piece) = event? {
                calls.extend(piece.call_id);
            }
        }
        if calls.is_empty() {
            return Ok(());
        }
        for call in calls {
            turn.take_tool(&call)?.end(Ok(command.argument))?;
        }
    }
}

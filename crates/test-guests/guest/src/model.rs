//! Model calls.

use worker_guest::{
    Completion, CompletionEvent, Failure, Message, Part, Request, ToolSchema, Turn,
};

use crate::{Command, session};

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
        "llm-take-twice" => llm_take_twice(turn),
        "llm-option" => llm_option(turn, command),
        "llm-other" => {
            let unknown = Message::Other(command.argument.to_owned());
            llm(turn, Request::messages(MODEL, [unknown]))
        }
        "llm-other-part" => {
            let unknown = Message::User(vec![Part::Other(command.argument.to_owned())]);
            llm(turn, Request::messages(MODEL, [unknown]))
        }
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

/// Takes up twice each call the model asks for.
fn llm_take_twice(turn: &Turn) -> Result<(), Failure> {
    for call in calls(turn, Request::history(MODEL).tool(lookup()))? {
        session::tool_take(turn, &call)?;
    }
    Ok(())
}

/// Asks with an option of this name, which the SDK has no way to.
#[cfg(target_arch = "wasm32")]
fn llm_option(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    use worker_guest::bindings::yoi::worker::llm;

    let request = llm::Request {
        model: MODEL.to_owned(),
        system: None,
        tools: Vec::new(),
        context: llm::Context::History,
        max_output_tokens: None,
        temperature: None,
        options: vec![(command.argument.to_owned(), "high".to_owned())],
    };
    let answer = match llm::complete(&request) {
        Ok(_) => "accepted".to_owned(),
        Err(llm::LlmError::Invalid(reason)) => format!("invalid: {reason}"),
        Err(error) => format!("{error:?}"),
    };
    turn.say(&answer)?;
    Ok(())
}

#[cfg(not(target_arch = "wasm32"))]
fn llm_option(_: &Turn, _: Command<'_>) -> Result<(), Failure> {
    Err(Failure::new("only a component has options"))
}

/// Offers a tool, answers every call the model asks for, and asks again, until it asks for none.
fn llm_tools(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let request = Request::history(MODEL).tool(lookup());
    loop {
        let calls = calls(turn, request.clone())?;
        if calls.is_empty() {
            return Ok(());
        }
        for call in calls {
            turn.take_tool(&call)?.end(Ok(command.argument))?;
        }
    }
}

fn lookup() -> ToolSchema {
    ToolSchema::new("lookup", "Looks a word up.", r#"{"type":"object"}"#)
}

/// The ids of the calls that the model asks for.
fn calls(turn: &Turn, request: Request) -> Result<Vec<String>, Failure> {
    let mut calls = Vec::new();
    for event in turn.complete(request)? {
        if let CompletionEvent::ToolRequest(piece) = event? {
            calls.extend(piece.call_id);
        }
    }
    Ok(calls)
}

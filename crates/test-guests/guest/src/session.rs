//! The turn, the transcript and the state.

use std::fmt::Write as _;

use worker_guest::{ConfigValue, Error, Failure, Message, Part, Turn};

use crate::Command;

pub(crate) fn run(turn: &Turn, command: Command<'_>) -> Option<Result<(), Failure>> {
    Some(match command.name {
        "say" => say(turn, command),
        "say-many" => say_many(turn, command),
        "utter" => utter(turn, command),
        "utter-drop" => utter_drop(turn, command),
        "utter-many" => utter_many(turn, command),
        "tool" => tool(turn, command),
        "tool-fail" => tool_fail(turn, command),
        "tool-id" => tool_id(turn),
        "tool-drop" => tool_drop(turn),
        "tool-big" => tool_big(turn, command),
        "tool-name" => tool_name(turn, command),
        "tool-take" => tool_take(turn, command.argument),
        "state-set" => state_set(turn, command),
        "state-remove" => turn.state_remove(command.argument).map_err(Into::into),
        "state-get" => state_get(turn, command),
        "state-get-big" => state_get_big(turn, command),
        "state-big" => state_big(turn, command),
        "history" => history(turn, command),
        "say-history" => say_history(turn, command),
        "steering" => steering(turn),
        "turn" => describe(turn),
        "config" => config(turn, command),
        "capabilities" => turn.say(&turn.capabilities().join(" ")).map_err(Into::into),
        _ => return None,
    })
}

/// Says so many bytes as one message.
fn say(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    turn.say(&"x".repeat(command.number()?))?;
    Ok(())
}

/// Says so many messages.
fn say_many(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    for number in 0..command.number()? {
        turn.say(&format!("message {number}"))?;
    }
    Ok(())
}

/// Says the pieces between the bars.
fn utter(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let mut utterance = turn.utter()?;
    for piece in command.argument.split('|') {
        utterance.delta(piece)?;
    }
    utterance.end()?;
    Ok(())
}

fn utter_drop(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    turn.utter()?.delta(command.argument)?;
    Ok(())
}

/// Says one message in so many pieces.
fn utter_many(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let mut utterance = turn.utter()?;
    for number in 0..command.number()? {
        utterance.delta(&format!("{number} "))?;
    }
    utterance.end()?;
    Ok(())
}

fn tool(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let arguments = if command.argument.is_empty() { "{}" } else { command.argument };
    turn.begin_tool("working", arguments)?.end(Ok("worked"))?;
    Ok(())
}

fn tool_fail(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    turn.begin_tool("failing", "{}")?.end(Err(command.argument))?;
    Ok(())
}

fn tool_id(turn: &Turn) -> Result<(), Failure> {
    let call = turn.begin_tool("named", "{}")?;
    let id = call.id();
    call.end(Ok(&id))?;
    Ok(())
}

fn tool_drop(turn: &Turn) -> Result<(), Failure> {
    drop(turn.begin_tool("dropped", "{}")?);
    Ok(())
}

/// Ends a call with a result of so many bytes, and says how that went.
fn tool_big(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let result = "x".repeat(command.number()?);
    let ended = turn.begin_tool("big", "{}")?.end(Ok(&result));
    turn.say(&told(ended))?;
    Ok(())
}

/// Calls a tool with a name of so many bytes, and says how that went.
fn tool_name(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let name = "x".repeat(command.number()?);
    let called = turn.begin_tool(&name, "{}").and_then(|call| call.end(Ok("worked")));
    turn.say(&told(called))?;
    Ok(())
}

/// Takes up the call with this id twice, whether or not a model asked for it, and says how both
/// went.
pub(crate) fn tool_take(turn: &Turn, call_id: &str) -> Result<(), Failure> {
    let take = || told(turn.take_tool(call_id).and_then(|call| call.end(Ok("taken"))));
    let (first, second) = (take(), take());
    turn.say(&format!("first: {first}\nsecond: {second}"))?;
    Ok(())
}

fn told(result: Result<(), Error>) -> String {
    result.map_or_else(|error| format!("error: {error}"), |()| "ok".to_owned())
}

fn state_set(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let (key, value) =
        command.argument.split_once('=').ok_or_else(|| Failure::new("expected `key=value`"))?;
    turn.state_set(key, value)?;
    Ok(())
}

fn state_get(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let value = turn.state_get(command.argument)?;
    turn.say(value.as_deref().unwrap_or("(none)"))?;
    Ok(())
}

/// Asks for a key of so many bytes.
fn state_get_big(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let value = turn.state_get(&"x".repeat(command.number()?))?;
    turn.say(value.as_deref().unwrap_or("(none)"))?;
    Ok(())
}

/// Keeps a value of so many bytes.
fn state_big(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    turn.state_set("big", &"x".repeat(command.number()?))?;
    Ok(())
}

/// Says the newest entries: as many as the argument says, or 1,000. What this turn said before is
/// among them; the message that says them is not yet.
fn history(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let limit = if command.argument.is_empty() { 1000 } else { u32::try_from(command.number()?)? };
    say_page(turn, limit)
}

/// Says the argument and runs a tool before it says the history.
fn say_history(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    turn.say(command.argument)?;
    turn.begin_tool("working", "{}")?.end(Ok("worked"))?;
    say_page(turn, 1000)
}

fn say_page(turn: &Turn, limit: u32) -> Result<(), Failure> {
    let page = turn.history(limit)?;
    let mut text = format!("{} entries, more: {}", page.entries.len(), page.more);
    for entry in &page.entries {
        let who = match &entry.message {
            Message::User(_) => "user",
            Message::Assistant(_) => "assistant",
            Message::Tool(_) => "tool",
            Message::Other(_) => "other",
        };
        write!(text, "\n{who}: {}", entry.message.text())?;
    }
    turn.say(&text)?;
    Ok(())
}

fn steering(turn: &Turn) -> Result<(), Failure> {
    let inputs = turn.take_steering()?;
    let mut text = format!("{} inputs", inputs.len());
    for input in inputs {
        for part in input {
            match part {
                Part::Text(part) | Part::Json(part) => write!(text, "\n{part}")?,
                Part::Image(image) => write!(text, "\n{}", image.media_type)?,
                Part::Other(_) => {}
            }
        }
    }
    turn.say(&text)?;
    Ok(())
}

fn describe(turn: &Turn) -> Result<(), Failure> {
    let resumes = turn.resumes().map_or_else(|| "nothing".to_owned(), |turn| turn.to_string());
    turn.say(&format!("turn {}, resumes {resumes}", turn.id()))?;
    Ok(())
}

fn config(turn: &Turn, command: Command<'_>) -> Result<(), Failure> {
    let text = match turn.config(command.argument)? {
        Some(ConfigValue::Boolean(value)) => format!("boolean {value}"),
        Some(ConfigValue::Integer(value)) => format!("integer {value}"),
        Some(ConfigValue::Number(value)) => format!("number {value}"),
        Some(ConfigValue::Text(value)) => format!("text {value}"),
        Some(ConfigValue::Other(value)) => format!("other {value}"),
        None => "(none)".to_owned(),
    };
    turn.say(&text)?;
    Ok(())
}

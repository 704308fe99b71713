//! A small rule-based model, so that everything works on a machine without a key.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use serde_json::{Value, json};

use crate::{
    FinishReason, Message, ModelError, ModelEvent, ModelInfo, ModelProvider, ModelRequest,
    ModelStream, Part, ToolRequestPiece, ToolSchema,
};

/// Stands before everything the offline model says, so that nobody takes it for a language model.
const LABEL: &str = "[offline model] ";

/// Between two words. Long enough to be seen as streaming, short enough to wait for.
const DEFAULT_DELAY: Duration = Duration::from_millis(15);

/// How much of a text is quoted back, in characters. Enough to recognise it, and an answer stays
/// an answer.
const QUOTE_CHARS: usize = 2_000;

const HOW_TO_CONFIGURE: &str = "To talk to a real model, set one in yoi.toml under \
     [models.default], or set OPENAI_API_KEY.";

/// A small rule-based model without a network. It says what it is in every answer, chats a
/// little, and requests a tool on a plain request: `run: ls -la` or `read: notes.txt`.
///
/// The same request gives the same answer. It counts no tokens, so it reports no usage.
#[derive(Debug, Clone)]
pub struct OfflineModel {
    delay: Duration,
}

impl OfflineModel {
    /// The model as people see it: word by word, with a short pause between words.
    pub fn new() -> Self {
        Self::with_delay(DEFAULT_DELAY)
    }

    /// The same without any pause.
    pub fn instant() -> Self {
        Self::with_delay(Duration::ZERO)
    }

    /// The same with `delay` between two words.
    pub fn with_delay(delay: Duration) -> Self {
        Self { delay }
    }
}

impl Default for OfflineModel {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl ModelProvider for OfflineModel {
    fn info(&self) -> ModelInfo {
        ModelInfo { provider: "offline".to_owned(), model: "rules".to_owned() }
    }

    async fn stream(&self, request: ModelRequest) -> Result<ModelStream, ModelError> {
        let events = answer(&request).into_events();
        let delay = self.delay;
        Ok(Box::pin(stream::unfold(events.into_iter(), move |mut events| async move {
            let event = events.next()?;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            Some((Ok(event), events))
        })))
    }
}

/// What the rules decided.
struct Answer {
    text: String,
    tool_request: Option<ToolRequestPiece>,
}

impl Answer {
    fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), tool_request: None }
    }

    fn into_events(self) -> Vec<ModelEvent> {
        let text = format!("{LABEL}{}", self.text);
        let mut events: Vec<ModelEvent> = text
            .split_inclusive(char::is_whitespace)
            .map(|word| ModelEvent::Text(word.to_owned()))
            .collect();
        let reason = if self.tool_request.is_some() {
            FinishReason::ToolRequests
        } else {
            FinishReason::Stop
        };
        events.extend(self.tool_request.map(ModelEvent::ToolRequest));
        events.push(ModelEvent::Finish(reason));
        events
    }
}

fn answer(request: &ModelRequest) -> Answer {
    if let Some(results) = last_tool_results(&request.messages) {
        return Answer::text(results);
    }
    let said: Vec<String> = request.messages.iter().filter_map(user_text).collect();
    let Some(last) = said.last().map(|text| text.trim()) else {
        return Answer::text(format!("You have not said anything yet. {HOW_TO_CONFIGURE}"));
    };
    if let Some(plain) = PlainRequest::parse(last) {
        return plain.answer(request);
    }
    Answer::text(chat(last, said.len(), &request.tools))
}

/// The results that stand at the end of the conversation; absent if it ends otherwise.
fn last_tool_results(messages: &[Message]) -> Option<String> {
    let mut results: Vec<String> = messages
        .iter()
        .rev()
        .map_while(|message| match message {
            Message::Tool(response) => Some(response),
            Message::User(_) | Message::Assistant(_) => None,
        })
        .map(|response| {
            let text = response.text.trim_end();
            match (response.is_error, text.is_empty()) {
                (true, _) => format!("The tool failed: {}", quote(text)),
                (false, true) => "The tool succeeded and said nothing.".to_owned(),
                (false, false) => format!("The tool answered:\n{}", quote(text)),
            }
        })
        .collect();
    results.reverse();
    (!results.is_empty()).then(|| results.join("\n"))
}

/// What a user's message says in words; absent for the other messages.
fn user_text(message: &Message) -> Option<String> {
    let Message::User(parts) = message else {
        return None;
    };
    let texts: Vec<String> = parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Json(value) => value.to_string(),
            Part::Image { media_type, .. } => format!("({media_type})"),
        })
        .collect();
    Some(texts.join("\n"))
}

fn chat(last: &str, said: usize, tools: &[ToolSchema]) -> String {
    let plain =
        last.trim_end_matches(|character: char| character.is_ascii_punctuation()).to_lowercase();
    let history = match said {
        1 => "You have said 1 thing so far.".to_owned(),
        said => format!("You have said {said} things so far."),
    };
    match plain.as_str() {
        "hi" | "hello" | "hey" | "good morning" | "good evening" => {
            format!("Hello! I follow a few fixed rules. {history} {HOW_TO_CONFIGURE}")
        }
        "help" | "what can you do" | "who are you" | "what are you" => {
            format!("{} {history} {HOW_TO_CONFIGURE}", abilities(tools))
        }
        _ => format!("You said: \"{}\". {history} {HOW_TO_CONFIGURE}", quote(last)),
    }
}

fn abilities(tools: &[ToolSchema]) -> String {
    let mut text = "I greet, repeat what you said, and count it.".to_owned();
    if tools.is_empty() {
        text.push_str(" No tools are granted to me.");
        return text;
    }
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    text.push_str(&format!(
        " I can call the tools granted to me ({}): say `NAME: ARGUMENT`, for example \
         `run: ls -la` or `read: notes.txt`, with JSON for more than one argument.",
        names.join(", ")
    ));
    text
}

/// `WORD: REST`, where the word names a tool or one of the two everyday requests.
struct PlainRequest<'a> {
    word: &'a str,
    rest: &'a str,
}

impl<'a> PlainRequest<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (word, rest) = text.split_once(':')?;
        let (word, rest) = (word.trim(), rest.trim());
        let is_name = !word.is_empty()
            && word
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character));
        (is_name && !rest.is_empty()).then_some(Self { word, rest })
    }

    /// The request in words if no granted tool fits, so that the user sees why nothing happened.
    fn answer(&self, request: &ModelRequest) -> Answer {
        let lower = self.word.to_lowercase();
        let name = if lower == "run" { "shell" } else { lower.as_str() };
        let Some(tool) = request.tools.iter().find(|tool| tool.name.to_lowercase() == name) else {
            if matches!(lower.as_str(), "run" | "read") {
                return Answer::text(format!(
                    "I would call the tool `{name}` for that, but it is not granted to me."
                ));
            }
            let said = request.messages.iter().filter_map(user_text).count();
            let text = format!("{}: {}", self.word, self.rest);
            return Answer::text(chat(&text, said, &request.tools));
        };
        let Some(arguments) = arguments(tool, self.rest) else {
            return Answer::text(format!(
                "The tool `{}` wants its arguments as a JSON object.",
                tool.name
            ));
        };
        // Counting the requests so far keeps ids of one conversation apart, and repeatable.
        let earlier: usize = request
            .messages
            .iter()
            .map(|message| match message {
                Message::Assistant(message) => message.tool_requests.len(),
                Message::User(_) | Message::Tool(_) => 0,
            })
            .sum();
        Answer {
            text: format!("Calling the tool `{}`.", tool.name),
            tool_request: Some(ToolRequestPiece {
                index: 0,
                call_id: Some(format!("offline-{}", earlier + 1)),
                name: Some(tool.name.clone()),
                arguments: arguments.to_string(),
            }),
        }
    }
}

/// The arguments of `tool`: `rest` itself if it is a JSON object, else the tool's one string
/// argument. Absent if the tool has no single obvious one.
fn arguments(tool: &ToolSchema, rest: &str) -> Option<Value> {
    if let Ok(object @ Value::Object(_)) = serde_json::from_str(rest) {
        return Some(object);
    }
    let properties = tool.parameters.get("properties")?.as_object()?;
    let required = tool.parameters.get("required").and_then(Value::as_array);
    let mut candidates = properties.iter().filter(|(name, schema)| {
        schema.get("type").and_then(Value::as_str) == Some("string")
            && required.is_none_or(|names| names.iter().any(|required| required == *name))
    });
    let (name, _schema) = candidates.next()?;
    let single = candidates.next().is_none();
    single.then(|| json!({ name.as_str(): rest }))
}

fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTE_CHARS).collect();
    if quoted.len() < text.len() {
        quoted.push_str("… (cut short)");
    }
    quoted
}

#[cfg(test)]
#[path = "offline_tests.rs"]
mod tests;

use super::*;
use std::sync::Arc;

use futures_util::StreamExt as _;

use crate::{AssistantMessage, Models, ToolRequest, ToolResponse};

fn user(text: &str) -> Message {
    Message::User(vec![Part::Text(text.to_owned())])
}

fn tool(name: &str, parameters: Value) -> ToolSchema {
    ToolSchema { name: name.to_owned(), description: String::new(), parameters }
}

/// The schema of a tool with one argument.
fn of_one_text(name: &str) -> Value {
    json!({"properties": {name: {"type": "string"}}, "required": [name]})
}

fn request(messages: Vec<Message>, tools: Vec<ToolSchema>) -> ModelRequest {
    ModelRequest { messages, tools, ..ModelRequest::default() }
}

async fn events(request: ModelRequest) -> Vec<ModelEvent> {
    let models = Models::none().with("default", Arc::new(OfflineModel::instant()));
    let model = models.get("default").unwrap();
    let stream = model.stream(request);
    stream.map(Result::unwrap).collect().await
}

async fn said(request: ModelRequest) -> String {
    let mut text = String::new();
    for event in events(request).await {
        if let ModelEvent::Text(piece) = event {
            text.push_str(&piece);
        }
    }
    assert!(text.starts_with("[offline model] "), "{text}");
    text
}

/// The name and arguments of the one tool requested.
async fn requested(message: &str, tools: Vec<ToolSchema>) -> Option<(String, Value)> {
    let events = events(request(vec![user(message)], tools)).await;
    let piece = events.iter().find_map(|event| match event {
        ModelEvent::ToolRequest(piece) => Some(piece.clone()),
        _ => None,
    })?;
    assert_eq!(events.last(), Some(&ModelEvent::Finish(FinishReason::ToolRequests)));
    let arguments = serde_json::from_str(&piece.arguments).unwrap();
    Some((piece.name?, arguments))
}

#[tokio::test]
async fn it_streams_word_by_word_and_finishes_without_usage() {
    let events = events(request(vec![user("hello")], vec![])).await;
    assert!(events.len() > 5);
    assert_eq!(events.last(), Some(&ModelEvent::Finish(FinishReason::Stop)));
    assert!(!events.iter().any(|event| matches!(event, ModelEvent::Usage(_))));
}

#[tokio::test]
async fn it_quotes_the_user_counts_the_turns_and_names_the_configuration() {
    let text = said(request(vec![user("one"), user("two apples")], vec![])).await;
    assert!(text.contains("\"two apples\""), "{text}");
    assert!(text.contains("2 things"), "{text}");
    assert!(text.contains("[models.default]"), "{text}");
    assert!(text.contains("OPENAI_API_KEY"), "{text}");
}

#[tokio::test]
async fn the_same_request_gives_the_same_answer() {
    let request = request(vec![user("What can you do?")], vec![tool("shell", json!({}))]);
    assert_eq!(events(request.clone()).await, events(request).await);
}

#[tokio::test]
async fn run_and_read_request_the_granted_tools() {
    let tools = || vec![tool("shell", of_one_text("script")), tool("read", of_one_text("path"))];
    assert_eq!(
        requested("run: ls -la", tools()).await,
        Some(("shell".to_owned(), json!({"script": "ls -la"})))
    );
    assert_eq!(
        requested("Read: notes/a.txt", tools()).await,
        Some(("read".to_owned(), json!({"path": "notes/a.txt"})))
    );
}

#[tokio::test]
async fn any_granted_tool_can_be_called_by_name() {
    let two_arguments = json!({"properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
    assert_eq!(
        requested("lookup-order: 42 b", vec![tool("lookup-order", of_one_text("order"))]).await,
        Some(("lookup-order".to_owned(), json!({"order": "42 b"})))
    );
    assert_eq!(
        requested(r#"add: {"a": 1}"#, vec![tool("add", two_arguments.clone())]).await,
        Some(("add".to_owned(), json!({"a": 1})))
    );
    assert_eq!(requested("add: 1", vec![tool("add", two_arguments)]).await, None);
}

#[tokio::test]
async fn a_tool_that_is_not_granted_is_named_and_not_called() {
    assert_eq!(requested("run: ls", vec![]).await, None);
    let text = said(request(vec![user("run: ls")], vec![])).await;
    assert!(text.contains("not granted"), "{text}");
}

#[tokio::test]
async fn it_reports_the_results_of_its_tools() {
    let messages = vec![
        user("run: ls"),
        Message::Assistant(AssistantMessage {
            text: String::new(),
            tool_requests: vec![ToolRequest {
                call_id: "offline-1".to_owned(),
                name: "shell".to_owned(),
                arguments: json!({"script": "ls"}),
            }],
        }),
        Message::Tool(ToolResponse {
            call_id: "offline-1".to_owned(),
            text: "a.txt\nb.txt\n".to_owned(),
            is_error: false,
        }),
    ];
    let text = said(request(messages.clone(), vec![])).await;
    assert!(text.ends_with("a.txt\nb.txt"), "{text}");

    let mut again = messages;
    again.push(user("run: pwd"));
    let events = events(request(again, vec![tool("shell", of_one_text("script"))])).await;
    assert!(events.iter().any(|event| matches!(
        event,
        ModelEvent::ToolRequest(piece) if piece.call_id.as_deref() == Some("offline-2")
    )));
}

#[tokio::test]
async fn a_failed_tool_is_reported_as_failed() {
    let failed = Message::Tool(ToolResponse {
        call_id: "offline-1".to_owned(),
        text: "no such file".to_owned(),
        is_error: true,
    });
    let text = said(request(vec![user("read: x"), failed], vec![])).await;
    assert!(text.contains("failed: no such file"), "{text}");
}

#[tokio::test]
async fn a_huge_message_is_quoted_in_part() {
    let text = said(request(vec![user(&"ä".repeat(1_000_000))], vec![])).await;
    assert!(text.len() < 3 * QUOTE_CHARS, "{}", text.len());
    assert!(text.contains("cut short"), "{text}");
}

#[tokio::test]
async fn an_empty_conversation_gets_an_answer() {
    said(request(vec![], vec![])).await;
}

#[tokio::test(start_paused = true)]
async fn the_default_pauses_between_words() {
    let started = tokio::time::Instant::now();
    let stream = OfflineModel::new().stream(request(vec![user("hello")], vec![])).await.unwrap();
    let count = u32::try_from(stream.count().await).unwrap();
    assert!(started.elapsed() >= DEFAULT_DELAY * count);
}

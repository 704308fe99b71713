//! The wire formats beside chat completions: text, two tool requests, usage, and an end cut off.

use super::tests::{KEY, MODEL, call, finished, first_piece, hello, piece, provider, server, sse};
use super::*;

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::{
    AssistantMessage, FinishReason, Message, ModelEvent, ModelUsage, ToolRequest, ToolResponse,
};

type Item = Result<ModelEvent, ModelError>;

/// What a caller sees of a server of `kind` that answers `body` at `path`, and the request's body.
async fn answered(kind: ProviderKind, path: &str, body: String) -> (Vec<Item>, Value) {
    let response = ResponseTemplate::new(200).set_body_raw(body, "text/event-stream");
    let server = server(path, response).await;
    let items = call(
        provider(kind, &format!("{}/v1", server.uri())),
        Duration::from_secs(20),
        parallel_results(),
    )
    .await;
    let requests = server.received_requests().await.unwrap();
    (items, requests[0].body_json().unwrap())
}

/// A conversation that ends with the results of two tool requests of one answer.
fn parallel_results() -> ModelRequest {
    let mut request = hello();
    let tool_requests = ["a", "b"].map(|call_id| ToolRequest {
        call_id: call_id.to_owned(),
        name: "read".to_owned(),
        arguments: json!({"path": call_id}),
    });
    request.messages.push(Message::Assistant(AssistantMessage {
        text: "Looking".to_owned(),
        tool_requests: tool_requests.to_vec(),
    }));
    request.messages.extend(["a", "b"].map(|call_id| {
        Message::Tool(ToolResponse {
            call_id: call_id.to_owned(),
            text: "content".to_owned(),
            is_error: false,
        })
    }));
    request
}

fn named(frames: &[Value]) -> String {
    frames
        .iter()
        .map(|frame| format!("event: {}\ndata: {frame}\n\n", frame["type"].as_str().unwrap()))
        .collect()
}

fn text(text: &str) -> Item {
    Ok(ModelEvent::Text(text.to_owned()))
}

fn usage(input: u64, output: u64) -> Item {
    Ok(ModelEvent::Usage(ModelUsage {
        input: Some(input),
        output: Some(output),
        ..ModelUsage::default()
    }))
}

#[tokio::test]
async fn anthropic_streams_deltas_and_takes_all_results_in_one_message() {
    let delta = |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let start = |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let stop = |index: u32| json!({"type": "content_block_stop", "index": index});
    let frames = [
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}),
        start(0, json!({"type": "text", "text": ""})),
        delta(0, json!({"type": "text_delta", "text": "Hi"})),
        stop(0),
        json!({"type": "ping"}),
        start(1, json!({"type": "tool_use", "id": "x", "name": "read", "input": {}})),
        delta(1, json!({"type": "input_json_delta", "partial_json": "{\"path\""})),
        delta(1, json!({"type": "input_json_delta", "partial_json": ":\"x\"}"})),
        stop(1),
        start(2, json!({"type": "tool_use", "id": "y", "name": "ls", "input": {}})),
        stop(2),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 4}}),
        json!({"type": "message_stop"}),
    ];
    let (items, body) = answered(ProviderKind::Anthropic, "/v1/messages", named(&frames)).await;
    assert_eq!(
        items,
        [
            text("Hi"),
            first_piece(0, "x", "read", ""),
            piece(0, "{\"path\""),
            piece(0, ":\"x\"}"),
            first_piece(1, "y", "ls", ""),
            usage(9, 4),
            finished(FinishReason::ToolRequests),
        ]
    );
    let messages = body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[2]["content"].as_array().unwrap().len(), 2);

    let (items, _) = answered(ProviderKind::Anthropic, "/v1/messages", named(&frames[..8])).await;
    assert_eq!(items.last(), Some(&Err(ModelError::Incomplete)));
}

#[tokio::test]
async fn an_error_event_of_anthropic_is_typed() {
    let frames = [json!({"type": "error", "error": {"type": "overloaded_error", "message": KEY}})];
    let (items, _) = answered(ProviderKind::Anthropic, "/v1/messages", named(&frames)).await;
    assert_eq!(items, [Err(ModelError::Overloaded)]);
}

#[tokio::test]
async fn openai_responses_streams_deltas_and_finds_requests_that_were_not_streamed() {
    let item = |id: &str, arguments: &str| json!({"type": "function_call", "call_id": id, "name": "read", "arguments": arguments});
    let frames = [
        json!({"type": "response.created", "response": {}}),
        json!({"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": item("x", "")}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{\"path\""}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": ":\"x\"}"}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": item("x", "{\"path\":\"x\"}")}),
        json!({"type": "response.output_item.added", "output_index": 2, "item": item("y", "")}),
        json!({"type": "response.output_item.done", "output_index": 2, "item": item("y", "{}")}),
        json!({"type": "response.completed", "response": {
            "id": "r", "model": "m", "status": "completed", "output": [], "error": null,
            "usage": {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13},
        }}),
    ];
    let (items, body) =
        answered(ProviderKind::OpenAiResponses, "/v1/responses", sse(&frames)).await;
    assert_eq!(
        items,
        [
            text("Hi"),
            first_piece(0, "x", "read", "{\"path\""),
            piece(0, ":\"x\"}"),
            first_piece(1, "y", "read", "{}"),
            usage(9, 4),
            finished(FinishReason::ToolRequests),
        ]
    );
    assert_eq!(body["model"], MODEL);
    assert_eq!(body.get("reasoning"), None);
    let (items, _) =
        answered(ProviderKind::OpenAiResponses, "/v1/responses", sse(&frames[..5])).await;
    assert_eq!(items.last(), Some(&Err(ModelError::Incomplete)));
}

#[tokio::test]
async fn a_broken_or_failed_response_of_openai_responses_is_no_shorter_answer() {
    let broken = format!(
        "{}data: {{broken\n\n{}",
        sse(&[json!({"type": "response.output_text.delta", "delta": "Do "})]),
        sse(&[json!({"type": "response.output_text.delta", "delta": "it"})]),
    );
    let (items, _) = answered(ProviderKind::OpenAiResponses, "/v1/responses", broken).await;
    assert!(matches!(items[..], [Ok(_), Err(ModelError::Invalid { .. })]), "{items:?}");

    let failed = sse(&[json!({"type": "response.failed", "response": {
        "id": "r", "model": "m", "status": "failed", "output": [],
        "error": {"code": "server_error", "message": KEY},
    }})]);
    let (items, _) = answered(ProviderKind::OpenAiResponses, "/v1/responses", failed).await;
    assert_eq!(items, [Err(ModelError::Overloaded)]);
}

#[tokio::test]
async fn gemini_sends_whole_tool_requests() {
    let parts =
        |parts: Value| json!({"candidates": [{"content": {"role": "model", "parts": parts}}]});
    let call = |path: &str| json!({"functionCall": {"name": "read", "args": {"path": path}}});
    let mut last = parts(json!([call("x"), call("y")]));
    last["candidates"][0]["finishReason"] = json!("STOP");
    last["usageMetadata"] =
        json!({"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13});
    let frames = [parts(json!([{"text": "Hi"}])), last];
    let path = "/v1/models/some-model:streamGenerateContent";
    let (items, _) = answered(ProviderKind::Gemini, path, sse(&frames)).await;
    assert_eq!(items.len(), 5, "{items:?}");
    assert_eq!(items[0], text("Hi"));
    for (position, expected) in [(1, "{\"path\":\"x\"}"), (2, "{\"path\":\"y\"}")] {
        let Ok(ModelEvent::ToolRequest(piece)) = &items[position] else {
            panic!("{items:?}");
        };
        assert_eq!(usize::try_from(piece.index).unwrap(), position - 1);
        assert_eq!(piece.name.as_deref(), Some("read"));
        assert_eq!(piece.arguments, expected);
    }
    assert_eq!(items[3..], [usage(9, 4), finished(FinishReason::ToolRequests)]);

    let (items, _) = answered(ProviderKind::Gemini, path, sse(&frames[..1])).await;
    assert_eq!(items, [text("Hi"), Err(ModelError::Incomplete)]);
}

#[tokio::test]
async fn ollama_sends_whole_tool_requests_and_takes_each_result() {
    let message = |message: Value| json!({"message": message, "done": false}).to_string();
    let done = json!({
        "message": {"content": ""}, "done": true, "done_reason": "stop",
        "prompt_eval_count": 9, "eval_count": 4,
    })
    .to_string();
    let function = json!({"name": "read", "arguments": {"path": "x"}});
    let lines = [
        message(json!({"content": "Hi"})),
        message(json!({"content": "", "tool_calls": [{"id": "x", "function": function}]})),
    ];
    let path = "/v1/api/chat";
    let body = format!("{}\n{done}\n", lines.join("\n"));
    let (items, request) = answered(ProviderKind::Ollama, path, body).await;
    assert_eq!(
        items,
        [
            text("Hi"),
            first_piece(0, "x", "read", "{\"path\":\"x\"}"),
            usage(9, 4),
            finished(FinishReason::ToolRequests),
        ]
    );
    assert_eq!(request["messages"].as_array().unwrap().len(), 4);

    let (items, _) = answered(ProviderKind::Ollama, path, lines.join("\n")).await;
    assert_eq!(items.last(), Some(&Err(ModelError::Incomplete)));

    let error = format!("{}\n{}\n", lines[0], json!({"error": "out of memory"}));
    let (items, _) = answered(ProviderKind::Ollama, path, error).await;
    let expected = ModelError::Other { message: "out of memory".to_owned() };
    assert_eq!(items, [text("Hi"), Err(expected)]);
}

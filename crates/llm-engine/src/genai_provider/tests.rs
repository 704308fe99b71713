use super::test_servers::{CHUNKED_HEAD, RawServer, STREAM_HEAD, Then, chunk};
use super::*;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{
    AssistantMessage, CallLimits, FinishReason, Message, ModelEvent, ModelUsage, Models, Part,
    ToolRequest, ToolRequestPiece, ToolResponse, ToolSchema,
};

type Item = Result<ModelEvent, ModelError>;

pub(super) const KEY: &str = "sk-test-4f9a8b7c6d5e";

pub(super) const MODEL: &str = "qwen3-max";

pub(super) fn provider(kind: ProviderKind, base_url: &str) -> GenaiProvider {
    let model = match kind {
        ProviderKind::OpenAi | ProviderKind::OpenAiResponses | ProviderKind::Ollama => MODEL,
        ProviderKind::Anthropic | ProviderKind::Gemini => "some-model",
    };
    GenaiProvider::new(GenaiSettings {
        kind,
        model: model.to_owned(),
        base_url: Some(base_url.to_owned()),
        api_key: ApiKey::new(KEY),
    })
    .unwrap()
}

pub(super) fn hello() -> ModelRequest {
    ModelRequest {
        messages: vec![Message::User(vec![Part::Text("hello".to_owned())])],
        ..ModelRequest::default()
    }
}

/// Everything a caller sees of one call, wherever it came up.
pub(super) async fn call(
    provider: GenaiProvider,
    idle_timeout: Duration,
    request: ModelRequest,
) -> Vec<Item> {
    let limits = CallLimits { idle_timeout, tries: 1, ..CallLimits::default() };
    let models = Models::none().with_limits("test", Arc::new(provider), limits);
    models.get("test").unwrap().stream(request).collect().await
}

async fn ask(base_url: &str) -> Vec<Item> {
    call(provider(ProviderKind::OpenAi, base_url), Duration::from_secs(20), hello()).await
}

pub(super) fn sse(frames: &[Value]) -> String {
    frames.iter().map(|frame| format!("data: {frame}\n\n")).collect()
}

fn delta(delta: &Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta}]})
}

fn finish(reason: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

fn complete(frames: &[Value]) -> String {
    format!("{}data: [DONE]\n\n", sse(frames))
}

pub(super) async fn server(at: &str, response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).and(path(at)).respond_with(response).mount(&server).await;
    server
}

/// What a caller sees of a server that answers with `body`.
async fn answered(body: String) -> Vec<Item> {
    let response = ResponseTemplate::new(200).set_body_raw(body, "text/event-stream");
    let server = server("/v1/chat/completions", response).await;
    ask(&format!("{}/v1", server.uri())).await
}

/// The one error a caller sees of a server that answers with `status`.
async fn refused(status: u16, body: Value) -> ModelError {
    only_error(&refused_with(ResponseTemplate::new(status).set_body_json(body)).await)
}

async fn refused_with(response: ResponseTemplate) -> Vec<Item> {
    let server = server("/v1/chat/completions", response).await;
    ask(&format!("{}/v1/", server.uri())).await
}

fn only_error(items: &[Item]) -> ModelError {
    let [Err(error)] = items else {
        panic!("expected one error, saw {items:?}");
    };
    for shown in [format!("{error}"), format!("{error:?}")] {
        assert!(!shown.contains(KEY), "{shown}");
    }
    error.clone()
}

fn text(text: &str) -> Item {
    Ok(ModelEvent::Text(text.to_owned()))
}

pub(super) fn first_piece(index: u32, id: &str, name: &str, arguments: &str) -> Item {
    Ok(ModelEvent::ToolRequest(ToolRequestPiece {
        index,
        call_id: Some(id.to_owned()),
        name: Some(name.to_owned()),
        arguments: arguments.to_owned(),
    }))
}

pub(super) fn piece(index: u32, arguments: &str) -> Item {
    Ok(ModelEvent::ToolRequest(ToolRequestPiece {
        index,
        call_id: None,
        name: None,
        arguments: arguments.to_owned(),
    }))
}

pub(super) fn finished(reason: FinishReason) -> Item {
    Ok(ModelEvent::Finish(reason))
}

#[tokio::test]
async fn text_reasoning_and_usage_stream_in_order() {
    let items = answered(complete(&[
        delta(&json!({"role": "assistant", "content": ""})),
        delta(&json!({"reasoning_content": "hm"})),
        delta(&json!({"content": "Good "})),
        delta(&json!({"content": "day"})),
        finish("stop"),
        json!({"choices": [], "usage": {
            "prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17,
            "prompt_tokens_details": {"cached_tokens": 8},
            "completion_tokens_details": {"reasoning_tokens": 2},
        }}),
    ]))
    .await;
    let usage =
        ModelUsage { input: Some(12), output: Some(5), cached_input: Some(8), reasoning: Some(2) };
    assert_eq!(
        items,
        [
            Ok(ModelEvent::Reasoning("hm".to_owned())),
            text("Good "),
            text("day"),
            Ok(ModelEvent::Usage(usage)),
            finished(FinishReason::Stop),
        ]
    );
}

#[tokio::test]
async fn parallel_tool_requests_arrive_as_deltas_however_they_are_split() {
    let tool_calls = |calls: Value| delta(&json!({ "tool_calls": calls }));
    let items = answered(complete(&[
        delta(&json!({"content": "Looking"})),
        tool_calls(json!([
            {"index": 0, "id": "a", "type": "function", "function": {"name": "read", "arguments": ""}},
            {"index": 1, "id": "b", "type": "function", "function": {"name": "shell", "arguments": "{\"com"}},
        ])),
        tool_calls(json!([{"index": 0, "function": {"arguments": "{\"path\":"}}])),
        tool_calls(json!([{"index": 1, "function": {"arguments": "mand\":\"ls\"}"}}])),
        tool_calls(json!([{"index": 0, "function": {"arguments": "\"x\"}"}}])),
        // Some servers name this reason although tools were requested.
        finish("stop"),
    ]))
    .await;
    assert_eq!(
        items,
        [
            text("Looking"),
            first_piece(0, "a", "read", ""),
            first_piece(1, "b", "shell", "{\"com"),
            piece(0, "{\"path\":"),
            piece(1, "mand\":\"ls\"}"),
            piece(0, "\"x\"}"),
            finished(FinishReason::ToolRequests),
        ]
    );
}

#[tokio::test]
async fn the_finish_reasons_are_told_apart() {
    for (word, reason) in [
        ("length", FinishReason::Length),
        ("content_filter", FinishReason::ContentFilter),
        ("odd", FinishReason::Other("odd".to_owned())),
    ] {
        let items = answered(complete(&[delta(&json!({"content": "a"})), finish(word)])).await;
        assert_eq!(items, [text("a"), finished(reason)]);
    }
}

#[tokio::test]
async fn the_request_says_everything_and_names_the_model_as_configured() {
    let response =
        ResponseTemplate::new(200).set_body_raw(complete(&[finish("stop")]), "text/event-stream");
    let server = server("/v1/chat/completions", response).await;
    let request = ModelRequest {
        system: Some("Be kind.".to_owned()),
        messages: vec![
            Message::User(vec![
                Part::Text("look".to_owned()),
                Part::Json(json!({"a": 1})),
                Part::Image { media_type: "image/png".to_owned(), base64: "AAAA".to_owned() },
            ]),
            Message::Assistant(AssistantMessage {
                text: String::new(),
                tool_requests: vec![ToolRequest {
                    call_id: "a".to_owned(),
                    name: "read".to_owned(),
                    arguments: json!({"path": "x"}),
                }],
            }),
            Message::Tool(ToolResponse {
                call_id: "a".to_owned(),
                text: "no such file".to_owned(),
                is_error: true,
            }),
        ],
        tools: vec![ToolSchema {
            name: "read".to_owned(),
            description: "Reads a file.".to_owned(),
            parameters: json!({"type": "object", "properties": {"path": {"type": "string"}}}),
        }],
        max_output_tokens: Some(77),
        temperature: Some(0.7),
    };
    let base_url = format!("{}/v1", server.uri());
    let provider = provider(ProviderKind::OpenAi, &base_url);
    call(provider, Duration::from_secs(20), request).await;

    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].headers["authorization"], format!("Bearer {KEY}").as_str());
    let body: Value = requests[0].body_json().unwrap();
    assert_eq!(body["model"], MODEL);
    assert_eq!(body.get("reasoning_effort"), None);
    assert_eq!(body["temperature"], 0.7);
    assert_eq!(body["max_tokens"], 77);
    assert_eq!(body["stream_options"]["include_usage"], true);
    assert_eq!(body["tools"][0]["function"]["name"], "read");
    assert_eq!(
        body["messages"],
        json!([
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "text", "text": "{\"a\":1}"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": "a", "type": "function",
                 "function": {"name": "read", "arguments": "{\"path\":\"x\"}"}},
            ]},
            {"role": "tool", "tool_call_id": "a", "content": "Error: no such file"},
        ])
    );
}

#[tokio::test]
async fn without_a_key_no_authorization_is_sent() {
    let response =
        ResponseTemplate::new(200).set_body_raw(complete(&[finish("stop")]), "text/event-stream");
    let server = server("/v1/chat/completions", response).await;
    let provider = GenaiProvider::new(GenaiSettings {
        kind: ProviderKind::OpenAi,
        model: "local".to_owned(),
        base_url: Some(format!("{}/v1?tenant=1", server.uri())),
        api_key: None,
    })
    .unwrap();
    let items = call(provider, Duration::from_secs(20), hello()).await;
    assert_eq!(items, [finished(FinishReason::Stop)]);
    let requests = server.received_requests().await.unwrap();
    assert!(!requests[0].headers.contains_key("authorization"));
    assert_eq!(requests[0].url.query(), Some("tenant=1"));
}

#[tokio::test]
async fn a_refused_key_is_an_auth_error() {
    let message = format!("Incorrect API key provided: {KEY}");
    let body = json!({"error": {"message": message, "code": "invalid_api_key"}});
    assert_eq!(refused(401, body.clone()).await, ModelError::Auth);
    assert_eq!(refused(403, body).await, ModelError::Auth);
}

#[tokio::test]
async fn a_rate_limit_says_how_long_to_wait() {
    for (header, value, expected) in [
        ("retry-after", "7", Some(Duration::from_secs(7))),
        ("retry-after", "0.5", Some(Duration::from_millis(500))),
        ("retry-after-ms", "1500", Some(Duration::from_millis(1500))),
        ("retry-after", "Thu, 01 Jan 2026 00:00:00 GMT", Some(Duration::ZERO)),
        ("retry-after", "1e300", None),
        ("retry-after", "-3", None),
        ("retry-after", "999999999", Some(Duration::from_secs(86_400))),
        ("x-other", "1", None),
    ] {
        let response = ResponseTemplate::new(429)
            .insert_header(header, value)
            .set_body_json(json!({"error": {"message": "slow down"}}));
        let error = only_error(&refused_with(response).await);
        assert_eq!(error, ModelError::RateLimited { retry_after: expected }, "{value}");
    }
}

#[tokio::test]
async fn an_empty_account_is_no_rate_limit() {
    let body =
        json!({"error": {"message": "You exceeded your quota.", "code": "insufficient_quota"}});
    let error = refused(429, body).await;
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("exceeded your quota"), "{error}");
}

#[tokio::test]
async fn a_failing_server_is_overloaded() {
    for status in [500, 502, 503, 529] {
        assert_eq!(refused(status, json!({})).await, ModelError::Overloaded);
    }
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_recognised_in_every_dialect() {
    for (status, error) in [
        (400, json!({"message": "x", "code": "context_length_exceeded"})),
        (400, json!({"message": "This model's maximum context length is 8192 tokens."})),
        (400, json!({"message": "x", "type": "exceed_context_size_error"})),
        (413, json!({"message": "prompt is too long: 9 tokens > 8 maximum"})),
        (500, json!({"message": "the request exceeds the context size"})),
    ] {
        let error = refused(status, json!({ "error": error })).await;
        assert_eq!(error, ModelError::ContextOverflow);
    }
}

#[tokio::test]
async fn another_refusal_carries_the_providers_words_bounded_and_without_the_key() {
    let message = format!("no such\nmodel, {KEY}, {}", "long ".repeat(1_000));
    let error = refused(404, json!({"error": {"message": message}})).await;
    let ModelError::Invalid { message } = error else {
        panic!("{error:?}");
    };
    assert!(message.starts_with("no such model, ***, long"), "{message}");
    assert!(message.ends_with("(HTTP 404)"), "{message}");
    assert!(message.chars().count() < 520, "{}", message.len());
}

#[tokio::test]
async fn a_page_of_html_is_not_repeated() {
    let response = ResponseTemplate::new(404).set_body_raw("<html>secret</html>", "text/html");
    let error = only_error(&refused_with(response).await);
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(error.to_string().contains("HTTP 404"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let response =
        ResponseTemplate::new(307).insert_header("location", "http://127.0.0.1:1/elsewhere");
    let error = only_error(&refused_with(response).await);
    assert!(matches!(&error, ModelError::Invalid { message } if message.contains("redirects")));
}

#[tokio::test]
async fn a_chunk_that_is_not_json_is_invalid() {
    let good = sse(&[delta(&json!({"content": "a"}))]);
    let items = answered(format!("{good}data: {{broken {KEY}}}\n\ndata: [DONE]\n\n")).await;
    assert_eq!(items[0], text("a"));
    let error = only_error(&items[1..]);
    assert!(matches!(error, ModelError::Invalid { .. }), "{error:?}");
}

#[tokio::test]
async fn text_that_is_not_utf8_is_invalid() {
    let mut bytes = STREAM_HEAD.as_bytes().to_vec();
    bytes.extend_from_slice(b"data: \xff\xff\n\n");
    let server = RawServer::start(bytes, Then::Close).await;
    let error = only_error(&ask(&server.base_url).await);
    assert!(matches!(error, ModelError::Invalid { .. }), "{error:?}");
}

#[tokio::test]
async fn an_error_inside_the_answer_is_typed() {
    for (report, expected) in [
        (json!({"code": 429, "message": "x"}), ModelError::RateLimited { retry_after: None }),
        (json!({"type": "overloaded_error", "message": "x"}), ModelError::Overloaded),
        (json!({"type": "server_error", "message": "x"}), ModelError::Overloaded),
        (json!({"code": 401, "message": KEY}), ModelError::Auth),
        (
            json!({"message": format!("bad thing {KEY}")}),
            ModelError::Other { message: "bad thing ***".to_owned() },
        ),
    ] {
        let frames = [delta(&json!({"content": "a"})), json!({ "error": report })];
        let items = answered(complete(&frames)).await;
        assert_eq!(items[0], text("a"));
        assert_eq!(only_error(&items[1..]), expected);
    }
}

#[tokio::test]
async fn a_refused_connection_is_unreachable_and_names_the_host_alone() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = only_error(&ask(&format!("http://{address}/private-token/v1")).await);
    let ModelError::Unreachable { message } = &error else {
        panic!("{error:?}");
    };
    assert!(message.starts_with(&address.to_string()), "{message}");
    assert!(!message.contains("private-token"), "{message}");
}

#[tokio::test]
async fn a_server_that_closes_without_a_word_is_unreachable() {
    let server = RawServer::start("", Then::Close).await;
    let error = only_error(&ask(&server.base_url).await);
    assert!(matches!(error, ModelError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_within_a_chunk_leaves_the_answer_incomplete() {
    let call = delta(&json!({"tool_calls": [
        {"index": 0, "id": "a", "function": {"name": "shell", "arguments": "{\"command\":\"rm -rf /tmp"}}
    ]}));
    let half = &chunk(&sse(&[finish("tool_calls")]))[..20];
    let bytes = format!("{CHUNKED_HEAD}{}{half}", chunk(&sse(&[call])));
    let server = RawServer::start(bytes, Then::Close).await;
    let items = ask(&server.base_url).await;
    assert_eq!(items.len(), 2, "{items:?}");
    assert_eq!(items[1], Err(ModelError::Incomplete));
}

#[tokio::test]
async fn a_clean_end_without_the_end_of_the_answer_is_incomplete() {
    let text_frame = sse(&[delta(&json!({"content": "a"}))]);
    let last = sse(&[finish("stop")]);
    for rest in [
        String::new(),
        // The reason, but not the end of the stream.
        last.clone(),
        // The end of the stream, but no reason.
        "data: [DONE]\n\n".to_owned(),
        // A frame cut short.
        last[..last.len() / 2].to_owned(),
    ] {
        let body = format!("{STREAM_HEAD}{text_frame}{rest}");
        let server = RawServer::start(body, Then::Close).await;
        let items = ask(&server.base_url).await;
        assert_eq!(items, [text("a"), Err(ModelError::Incomplete)], "{rest:?}");
    }
}

#[tokio::test]
async fn a_server_that_only_pings_stalls() {
    let pings = ": ping\n\n".repeat(100);
    let body = format!("{STREAM_HEAD}{}{pings}", sse(&[delta(&json!({"content": "a"}))]));
    let server = RawServer::start(body, Then::Hold).await;
    let provider = provider(ProviderKind::OpenAi, &server.base_url);
    let items = call(provider, Duration::from_secs(1), hello()).await;
    assert_eq!(items, [text("a"), Err(ModelError::Stalled)]);
    server.closed().await;
}

#[tokio::test]
async fn a_server_that_never_answers_stalls() {
    let server = RawServer::start("", Then::Hold).await;
    let provider = provider(ProviderKind::OpenAi, &server.base_url);
    let items = call(provider, Duration::from_millis(300), hello()).await;
    assert_eq!(items, [Err(ModelError::Stalled)]);
    server.closed().await;
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let body = format!("{STREAM_HEAD}{}", sse(&[delta(&json!({"content": "a"}))]));
    let server = RawServer::start(body, Then::Hold).await;
    let provider = provider(ProviderKind::OpenAi, &server.base_url);
    let models = Models::none().with("test", Arc::new(provider));
    let mut stream = models.get("test").unwrap().stream(hello());
    assert_eq!(stream.next().await, Some(text("a")));
    drop(stream);
    server.closed().await;
}

#[test]
fn neither_settings_nor_provider_show_the_key_or_the_path() {
    let settings = GenaiSettings {
        kind: ProviderKind::OpenAi,
        model: "m".to_owned(),
        base_url: Some("https://gateway.example:8443/private-token/v1".to_owned()),
        api_key: ApiKey::new(KEY),
    };
    let shown = format!("{settings:?}");
    assert!(!shown.contains(KEY) && !shown.contains("private-token"), "{shown}");
    let shown = format!("{:?}", GenaiProvider::new(settings).unwrap());
    assert!(!shown.contains(KEY) && !shown.contains("private-token"), "{shown}");
    assert!(shown.contains("gateway.example:8443"), "{shown}");
}

#[test]
fn base_urls_that_cannot_work_or_hold_credentials_are_refused_without_being_repeated() {
    for base_url in [
        "nonsense",
        "ftp://example.com/",
        "https://user:hunter2@example.com/v1/",
        "https://example.com/v1#part",
    ] {
        let error = GenaiProvider::new(GenaiSettings {
            kind: ProviderKind::OpenAi,
            model: "m".to_owned(),
            base_url: Some(base_url.to_owned()),
            api_key: None,
        })
        .unwrap_err();
        assert!(matches!(error, ProviderSetupError::BaseUrl { .. }));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[test]
fn kinds_are_read_by_the_names_they_are_written_with() {
    for kind in ProviderKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert_eq!("openai2".parse::<ProviderKind>(), Err(UnknownProviderKind));
}

#[tokio::test]
async fn nothing_of_a_failed_call_reaches_the_log() {
    let logs = Logs::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer({
            let logs = logs.clone();
            move || logs.clone()
        })
        .finish();
    let _capturing = tracing::subscriber::set_default(subscriber);
    tracing::info!("logging works");
    let body = json!({"error": {"message": format!("no such model, {KEY}")}});
    refused(404, body).await;
    let broken = format!("data: {{broken {KEY}}}\n\n");
    answered(broken).await;
    let logged = String::from_utf8_lossy(&logs.0.lock().unwrap()).into_owned();
    assert!(logged.contains("logging works"));
    assert!(!logged.contains(KEY), "{logged}");
}

/// What was logged.
#[derive(Debug, Clone, Default)]
struct Logs(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

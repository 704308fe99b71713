//! What a provider's failure means to the caller, without its secrets.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use genai::webc::Error as WebError;
use jiff::fmt::rfc2822;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::frames::FrameFailure;
use crate::{ApiKey, ModelError};

/// The longest message of a provider we pass on, in characters. Their explanations are one or two
/// sentences; what is longer is a page of HTML or a repetition of the request.
const MAX_MESSAGE_CHARS: usize = 500;

/// The longest wait a provider may ask for. More is a mistake in its header, not a rate.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How the providers say that the conversation is too long.
const CONTEXT_WORDS: [&str; 12] = [
    "context_length_exceeded",
    "context length",
    "context window",
    "context size",
    "maximum context",
    "exceed_context_size",
    "exceeds the context",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "too many input tokens",
    "input token count",
];

/// Turns failures of one provider into [`ModelError`]s.
#[derive(Debug, Clone)]
pub(super) struct Failures {
    pub(super) host: String,
    pub(super) api_key: Option<ApiKey>,
}

impl Failures {
    pub(super) fn invalid(message: &str) -> ModelError {
        ModelError::Invalid { message: message.to_owned() }
    }

    pub(super) fn of_frame(&self, failure: FrameFailure) -> ModelError {
        match failure {
            FrameFailure::Broken => Self::invalid("the provider sent a chunk that is not JSON"),
            FrameFailure::CutShort => ModelError::Incomplete,
            FrameFailure::StrayToolPiece => {
                Self::invalid("the provider sent a piece of a tool request that belongs to none")
            }
            FrameFailure::Reported(report) => self.of_report(&report),
        }
    }

    /// None of `genai`'s own messages are passed on: they hold whole bodies and URLs.
    pub(super) fn of_genai(&self, error: &genai::Error) -> ModelError {
        match error {
            genai::Error::HttpError { status, body, headers, .. } => {
                self.of_status(*status, body, headers)
            }
            genai::Error::WebStream { error, .. } => self.of_transport(error.as_ref()),
            genai::Error::WebModelCall { webc_error, .. }
            | genai::Error::WebAdapterCall { webc_error, .. } => match webc_error {
                WebError::ResponseFailedStatus { status, body, headers } => {
                    self.of_status(*status, body, headers)
                }
                WebError::Reqwest(error) => self.of_reqwest(error),
                _ => Self::invalid("the provider's answer cannot be read"),
            },
            genai::Error::ChatResponse { body, .. } => self.of_report(body),
            genai::Error::StreamParse { serde_error, .. } if serde_error.is_eof() => {
                ModelError::Incomplete
            }
            genai::Error::StreamParse { .. }
            | genai::Error::JsonValueExt(_)
            | genai::Error::SerdeJson(_)
            | genai::Error::InvalidJsonResponseElement { .. } => {
                Self::invalid("the provider sent a chunk that cannot be read")
            }
            genai::Error::MessageContentTypeNotSupported { cause, .. } => Self::invalid(cause),
            genai::Error::MessageRoleNotSupported { .. }
            | genai::Error::AdapterNotSupported { .. } => {
                Self::invalid("the provider does not support this request")
            }
            genai::Error::RequiresApiKey { .. }
            | genai::Error::NoAuthResolver { .. }
            | genai::Error::NoAuthData { .. } => ModelError::Auth,
            _ => ModelError::Other { message: "the request could not be made".to_owned() },
        }
    }

    fn of_transport(&self, error: &(dyn StdError + Send + Sync + 'static)) -> ModelError {
        if let Some(error) = error.downcast_ref::<genai::Error>() {
            return self.of_genai(error);
        }
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            return self.of_reqwest(error);
        }
        if error.is::<std::string::FromUtf8Error>() || error.is::<std::str::Utf8Error>() {
            return Self::invalid("the provider sent text that is not UTF-8");
        }
        ModelError::Incomplete
    }

    fn of_reqwest(&self, error: &reqwest::Error) -> ModelError {
        if error.is_connect() {
            return self.unreachable(&innermost(error));
        }
        if error.is_timeout() {
            return ModelError::Stalled;
        }
        if error.is_builder() {
            return Self::invalid("the key or the base URL cannot be sent in a request");
        }
        if error.is_request() {
            return self.unreachable("the connection closed before an answer");
        }
        ModelError::Incomplete
    }

    fn unreachable(&self, cause: &str) -> ModelError {
        let cause = self.presentable(cause);
        ModelError::Unreachable { message: format!("{}: {cause}", self.host) }
    }

    fn of_status(&self, status: StatusCode, body: &str, headers: &HeaderMap) -> ModelError {
        let body = Body::parse(body);
        match status.as_u16() {
            401 | 403 => ModelError::Auth,
            429 if body.quota_is_used_up() => {
                ModelError::Invalid { message: self.explain(status, &body) }
            }
            429 => ModelError::RateLimited { retry_after: retry_after(headers) },
            400.. if body.is_about_context() => ModelError::ContextOverflow,
            408 | 500.. => ModelError::Overloaded,
            300..=399 => ModelError::Invalid {
                message: format!(
                    "{} redirects (HTTP {}); check the base URL",
                    self.host,
                    status.as_u16()
                ),
            },
            _ => ModelError::Invalid { message: self.explain(status, &body) },
        }
    }

    /// An error that arrived inside an answer, after the status had already said that all is well.
    fn of_report(&self, report: &Value) -> ModelError {
        let body = Body::from_error(report);
        let status = report
            .get("code")
            .or_else(|| report.get("status"))
            .and_then(Value::as_u64)
            .and_then(|code| u16::try_from(code).ok())
            .and_then(|code| StatusCode::from_u16(code).ok())
            .filter(|status| status.is_client_error() || status.is_server_error());
        if let Some(status) = status {
            return self.of_reported_status(status, &body);
        }
        let word = body.words.as_str();
        if word.contains("rate_limit") || word.contains("resource_exhausted") {
            ModelError::RateLimited { retry_after: None }
        } else if word.contains("authentication") || word.contains("permission") {
            ModelError::Auth
        } else if body.is_about_context() {
            ModelError::ContextOverflow
        } else if ["overloaded", "server_error", "api_error", "unavailable", "timeout"]
            .iter()
            .any(|failing| word.contains(failing))
        {
            ModelError::Overloaded
        } else {
            ModelError::Other {
                message: self.message(&body).unwrap_or_else(|| {
                    "the provider reported an error without a message".to_owned()
                }),
            }
        }
    }

    fn of_reported_status(&self, status: StatusCode, body: &Body) -> ModelError {
        match status.as_u16() {
            401 | 403 => ModelError::Auth,
            429 => ModelError::RateLimited { retry_after: None },
            _ if body.is_about_context() => ModelError::ContextOverflow,
            408 | 500.. => ModelError::Overloaded,
            _ => ModelError::Invalid { message: self.explain(status, body) },
        }
    }

    fn explain(&self, status: StatusCode, body: &Body) -> String {
        let status = status.as_u16();
        match self.message(body) {
            Some(message) => format!("{message} (HTTP {status})"),
            None => format!("{} answered HTTP {status}", self.host),
        }
    }

    fn message(&self, body: &Body) -> Option<String> {
        let message = self.presentable(body.message.as_deref()?);
        (!message.is_empty()).then_some(message)
    }

    /// One line, bounded, without the key. The key goes first: what is cut short is no longer
    /// recognised.
    fn presentable(&self, text: &str) -> String {
        let text = match &self.api_key {
            Some(key) => key.redact(text),
            None => text.to_owned(),
        };
        let words: Vec<&str> = text
            .split(|character: char| character.is_whitespace() || character.is_control())
            .filter(|word| !word.is_empty())
            .collect();
        let line = words.join(" ");
        match line.char_indices().nth(MAX_MESSAGE_CHARS) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }
}

/// What the body of a failed response says.
struct Body {
    /// The provider's explanation, if it is recognisable as one.
    message: Option<String>,
    /// The kinds and codes the provider gives beside it, in lower case.
    words: String,
}

impl Body {
    fn parse(body: &str) -> Self {
        match serde_json::from_str::<Value>(body) {
            // Gemini wraps errors of a stream into an array.
            Ok(Value::Array(items)) => Self::from_root(items.first().unwrap_or(&Value::Null)),
            Ok(root) => Self::from_root(&root),
            // A proxy's page of HTML explains nothing.
            Err(_) if body.trim_start().starts_with('<') => Self::from_root(&Value::Null),
            Err(_) => Self { message: Some(body.to_owned()), words: String::new() },
        }
    }

    fn from_root(root: &Value) -> Self {
        Self::from_error(root.get("error").filter(|error| !error.is_null()).unwrap_or(root))
    }

    fn from_error(error: &Value) -> Self {
        let text = |key: &str| error.get(key).and_then(Value::as_str);
        let message = error
            .as_str()
            .or_else(|| text("message"))
            .or_else(|| text("detail"))
            .map(str::to_owned);
        let words: Vec<&str> = ["type", "code", "status"].into_iter().filter_map(text).collect();
        Self { message, words: words.join(" ").to_lowercase() }
    }

    fn is_about_context(&self) -> bool {
        let message = self.message.as_deref().unwrap_or_default().to_lowercase();
        CONTEXT_WORDS.iter().any(|words| message.contains(words) || self.words.contains(words))
    }

    /// OpenAI answers a rate limit and an empty account with the same status; waiting helps only
    /// in one of the two cases.
    fn quota_is_used_up(&self) -> bool {
        self.words.contains("insufficient_quota")
    }
}

/// The wait a provider asks for, in seconds, milliseconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(wait) = text("retry-after-ms").and_then(|text| seconds(text, 1_000.0)) {
        return Some(wait);
    }
    let text = text(RETRY_AFTER.as_str())?;
    seconds(text, 1.0).or_else(|| until(text))
}

fn seconds(text: &str, per_second: f64) -> Option<Duration> {
    let number: f64 = text.trim().parse().ok()?;
    let wait = Duration::try_from_secs_f64(number / per_second).ok()?;
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Rounded down to whole seconds, as the header is.
fn until(text: &str) -> Option<Duration> {
    let date = rfc2822::parse(text).ok()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let date = Duration::from_secs(u64::try_from(date.timestamp().as_second()).ok()?);
    Some(date.saturating_sub(now).min(MAX_RETRY_AFTER))
}

/// The innermost cause in words. The outer ones of `reqwest` repeat the URL.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn StdError> = error.source();
    while let Some(next) = cause.and_then(StdError::source) {
        cause = Some(next);
    }
    match cause {
        Some(cause) => cause.to_string(),
        None => "the connection failed".to_owned(),
    }
}

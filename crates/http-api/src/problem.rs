//! The one form of every error answer: `application/problem+json` (RFC 9457).

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};
use worker_types::RuntimeError;

/// When to ask again where a bound is reached, in seconds: turns and streams end all the time, and
/// whoever comes every second is no burden.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// What the domain refused, or what an extractor refused in its words.
    Refused(RuntimeError),
    /// There is nothing at this path.
    NotFound,
    /// The path knows no such method.
    MethodNotAllowed,
    /// The body is not JSON, or does not say so.
    UnsupportedMediaType,
    /// The client has failed too often lately.
    TooManyRequests {
        /// When it may try again, in seconds.
        retry_after_s: u64,
    },
}

/// The code of the problem that an answer is, for those who write down what came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemCode(pub &'static str);

/// What a client reads: `code` is for programs to decide on, `detail` for people.
#[derive(Debug, Serialize)]
struct ProblemBody {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: String,
    retryable: bool,
    /// What the error itself carries, such as the running turn of `busy`.
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Problem {
    /// The request makes no sense.
    pub fn invalid_input(reason: impl Into<String>) -> Self {
        RuntimeError::InvalidInput { reason: reason.into() }.into()
    }

    /// Valid credentials do not reach this far.
    #[must_use]
    pub fn forbidden(reason: &str) -> Self {
        RuntimeError::Forbidden { reason: reason.to_owned() }.into()
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Refused(error) => status_of(error),
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Refused(error) => error.code(),
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::TooManyRequests { .. } => "too_many_requests",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Refused(error) => error.to_string(),
            Self::NotFound => "there is nothing at this path".to_owned(),
            Self::MethodNotAllowed => {
                "this path does not take this method; the Allow header names those it takes"
                    .to_owned()
            }
            Self::UnsupportedMediaType => {
                "send the body as `content-type: application/json`".to_owned()
            }
            Self::TooManyRequests { .. } => {
                "too many wrong tokens or passwords came from this address: try again later"
                    .to_owned()
            }
        }
    }

    fn body(&self) -> ProblemBody {
        let status = self.status();
        let (retryable, fields) = match self {
            Self::Refused(error) => (error.is_retryable(), own_fields(error)),
            Self::NotFound | Self::MethodNotAllowed | Self::UnsupportedMediaType => {
                (false, Map::new())
            }
            Self::TooManyRequests { .. } => (true, Map::new()),
        };
        ProblemBody {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: self.code(),
            detail: self.detail(),
            retryable,
            fields,
        }
    }
}

fn own_fields(error: &RuntimeError) -> Map<String, Value> {
    let mut fields = match serde_json::to_value(error) {
        Ok(Value::Object(fields)) => fields,
        // Every error is an object with a code; without its fields it is still an answer.
        Ok(_) | Err(_) => Map::new(),
    };
    fields.remove("code");
    fields
}

impl From<RuntimeError> for Problem {
    fn from(error: RuntimeError) -> Self {
        Self::Refused(error)
    }
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.body().serialize(serializer)
    }
}

/// The table of status codes.
fn status_of(error: &RuntimeError) -> StatusCode {
    match error {
        RuntimeError::InvalidInput { .. } | RuntimeError::InvalidCursor { .. } => {
            StatusCode::BAD_REQUEST
        }
        RuntimeError::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
        RuntimeError::Forbidden { .. }
        | RuntimeError::GrantExceedsCeiling { .. }
        | RuntimeError::ExposesGitDir { .. } => StatusCode::FORBIDDEN,
        RuntimeError::UnknownWorker { .. }
        | RuntimeError::UnknownItem { .. }
        | RuntimeError::UnknownProfile { .. }
        | RuntimeError::UnknownComponent { .. }
        | RuntimeError::UnknownRuntime { .. } => StatusCode::NOT_FOUND,
        RuntimeError::Busy { .. }
        | RuntimeError::WorkerStopped
        | RuntimeError::WorkerNotStopped
        | RuntimeError::ComponentInUse { .. }
        | RuntimeError::PreopenUnavailable { .. }
        | RuntimeError::RuntimeExists { .. }
        | RuntimeError::RuntimeInUse { .. }
        | RuntimeError::ScopeConflict { .. }
        | RuntimeError::IdempotencyConflict => StatusCode::CONFLICT,
        RuntimeError::CursorGap { .. } => StatusCode::GONE,
        RuntimeError::PayloadTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        RuntimeError::MissingGrant { .. } | RuntimeError::InvalidComponent { .. } => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        RuntimeError::Internal { .. } | RuntimeError::StoreDamaged { .. } => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        RuntimeError::Unsupported { .. } => StatusCode::NOT_IMPLEMENTED,
        RuntimeError::RemoteAuthFailed { .. } | RuntimeError::RemoteIncompatible { .. } => {
            StatusCode::BAD_GATEWAY
        }
        RuntimeError::RemoteTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        RuntimeError::Capacity { .. }
        | RuntimeError::RuntimeUnavailable { .. }
        | RuntimeError::WorkerUnavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let retry_after = match self {
            Self::Refused(RuntimeError::Capacity { .. }) => Some(RETRY_AFTER_S),
            Self::TooManyRequests { retry_after_s } => Some(retry_after_s.into()),
            _ => None,
        };
        let code = ProblemCode(self.code());
        let mut response = (status, Json(self)).into_response();
        response.extensions_mut().insert(code);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(retry_after) = retry_after {
            headers.insert(header::RETRY_AFTER, retry_after);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use worker_types::{Cursor, ItemId, ScopeHolder, TurnId, WorkerId};

    use super::*;

    fn check(error: &RuntimeError, status: u16) {
        let code = error.code();
        let json = serde_json::to_value(Problem::from(error.clone())).expect("a problem");
        assert_eq!(json["status"], status, "{code}");
        assert_eq!(json["code"], code);
        let described = |(of, _, text): &(StatusCode, &str, &str)| {
            of.as_u16() == status && text.contains(&format!("`{code}`"))
        };
        assert!(crate::openapi::PROBLEMS.iter().any(described), "{code} is not described");
        assert_eq!(json["type"], "about:blank");
        assert_eq!(json["detail"], error.to_string());
        assert_eq!(json["retryable"], error.is_retryable());
        // A client reads the typed error back out of the answer.
        assert_eq!(serde_json::from_value::<RuntimeError>(json).expect("an error"), *error);
    }

    #[test]
    fn every_error_has_its_status_and_keeps_its_fields() {
        let text = || "why".to_owned();
        let name = || "name".parse().expect("a name");
        check(&RuntimeError::Busy { turn_id: TurnId::new(7) }, 409);
        check(&RuntimeError::WorkerStopped, 409);
        check(&RuntimeError::WorkerNotStopped, 409);
        check(&RuntimeError::IdempotencyConflict, 409);
        check(&RuntimeError::WorkerUnavailable { reason: text() }, 503);
        check(&RuntimeError::CursorGap { oldest: Cursor::START }, 410);
        check(&RuntimeError::UnknownWorker { worker_id: WorkerId::generate() }, 404);
        check(&RuntimeError::UnknownItem { item_id: ItemId::new(9) }, 404);
        check(
            &RuntimeError::UnknownProfile {
                profile: "name".parse().expect("a name"),
                known: vec![text()],
            },
            404,
        );
        check(&RuntimeError::UnknownComponent { component: text() }, 404);
        check(&RuntimeError::ComponentInUse { reason: text() }, 409);
        check(&RuntimeError::UnknownRuntime { runtime_id: name() }, 404);
        let also = Vec::new();
        check(&RuntimeError::MissingGrant { interface: text(), capability: None, also }, 422);
        check(&RuntimeError::GrantExceedsCeiling { exceeds: text() }, 403);
        let preopen = || "/workspace".parse().expect("a guest path");
        check(&RuntimeError::ExposesGitDir { preopen: preopen(), reason: text() }, 403);
        check(&RuntimeError::PreopenUnavailable { preopen: preopen(), reason: text() }, 409);
        let holder = ScopeHolder { runtime_id: name(), worker_id: WorkerId::generate() };
        check(&RuntimeError::ScopeConflict { preopen: preopen(), holder }, 409);
        check(&RuntimeError::InvalidComponent { reason: text() }, 422);
        check(&RuntimeError::InvalidInput { reason: text() }, 400);
        check(&RuntimeError::InvalidCursor { reason: text() }, 400);
        check(&RuntimeError::PayloadTooLarge { what: text(), limit_bytes: 8 }, 413);
        check(&RuntimeError::Unauthorized { reason: text() }, 401);
        check(&RuntimeError::Forbidden { reason: text() }, 403);
        check(&RuntimeError::Capacity { reason: text() }, 503);
        check(&RuntimeError::RuntimeUnavailable { reason: text() }, 503);
        check(&RuntimeError::StoreDamaged { reason: text() }, 500);
        check(&RuntimeError::Unsupported { what: text() }, 501);
        check(&RuntimeError::Internal { id: text() }, 500);
    }
}

//! What every answer carries, and what is logged of it.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

/// An answer that is no page has nothing to show and runs nothing.
const CONTENT_SECURITY_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Adds what every answer carries, and logs the request. The query is not logged: it may hold a
/// one-time token. The path is logged escaped: it may hold characters that move a terminal's cursor.
pub async fn finish_response(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let status = response.status();
    // What cannot be served for now (503) or at all (501) is told to who asked; whoever refused it
    // logs the cause, once, where an operator can mend it.
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(%method, ?path, status = status.as_u16(), "answered a request");
    } else {
        tracing::debug!(%method, ?path, status = status.as_u16(), "answered a request");
    }
    let headers = response.headers_mut();
    // Assets and pages bring their own; everything else is about one person and one moment.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(CONTENT_SECURITY_POLICY);
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Read as _},
        sync::Arc,
    };

    use axum::{Router, body::Body};
    use tower::ServiceExt as _;

    use super::*;

    /// What is logged, at `level` and above, when a request is answered with `status`.
    async fn logged(level: tracing::Level, uri: &str, status: StatusCode) -> String {
        let (mut log, writer) = io::pipe().expect("a pipe");
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(Arc::new(writer))
            .finish();
        let capturing = tracing::subscriber::set_default(subscriber);
        let app = Router::new()
            .fallback(async move || status)
            .layer(axum::middleware::from_fn(finish_response));
        let request = Request::builder().uri(uri).body(Body::empty());
        app.oneshot(request.expect("a request")).await.expect("an answer");
        drop(capturing);
        let mut text = String::new();
        log.read_to_string(&mut text).expect("text");
        text
    }

    #[tokio::test]
    async fn only_a_fault_of_ours_is_an_error_in_the_log() {
        let warned = async |status| logged(tracing::Level::WARN, "/x", status).await;
        assert!(warned(StatusCode::INTERNAL_SERVER_ERROR).await.contains("ERROR"));
        for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::NOT_IMPLEMENTED] {
            assert_eq!(warned(status).await, "");
            let all = logged(tracing::Level::DEBUG, "/x", status).await;
            assert!(all.contains("DEBUG"), "{all}");
        }
    }

    #[tokio::test]
    async fn a_path_cannot_move_the_cursor_of_who_reads_the_log() {
        let path = "/a\u{9b}2J\u{85}b";
        let line = logged(tracing::Level::DEBUG, path, StatusCode::NOT_FOUND).await;
        assert!(line.contains(r"/a\u{9b}2J\u{85}b"), "{line}");
        assert!(!line.trim_end().contains(char::is_control), "{line:?}");
    }
}

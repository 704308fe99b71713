//! What stands before every handler: whose request this is, and whether a foreign page made it.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority};
use worker_types::RuntimeError;

use crate::{auth::Principal, backend::AppState, problem::Problem};

/// The page runs its own scripts and talks to its own server, and nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The port that a `Host` without one means.
const HTTP_PORT: u16 = 80;

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The address the Backend is served on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnAddress(SocketAddr);

impl OwnAddress {
    pub(crate) const fn new(address: SocketAddr) -> Self {
        Self(address)
    }

    pub(crate) fn port(self) -> u16 {
        self.0.port()
    }

    /// Whether `host` names this server. A DNS name never does, whatever it resolves to: a page of
    /// that name could otherwise read the API (DNS rebinding).
    fn is_named_by(self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if host.contains('@') || authority.port_u16().unwrap_or(HTTP_PORT) != self.0.port() {
            return false;
        }
        let name = authority.host();
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        name.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|ip| self.is_reached_by(ip))
    }

    fn is_reached_by(self, ip: IpAddr) -> bool {
        ip == IpAddr::from([127, 0, 0, 1])
            || ip == IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])
            || ip == self.0.ip()
    }
}

/// Refuses requests that were meant for another host.
pub(crate) async fn check_host(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    match own_host(request.headers(), request.uri().authority(), state.own_address) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn own_host(
    headers: &HeaderMap,
    target: Option<&Authority>,
    own: OwnAddress,
) -> Result<(), Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let is_own = host.is_some_and(|host| own.is_named_by(host))
        && hosts.next().is_none()
        && target.is_none_or(|target| own.is_named_by(target.as_str()));
    if is_own {
        Ok(())
    } else {
        Err(forbidden("the Host header names another server than this one"))
    }
}

/// Lets a request through to the API if its sender has credentials, and if a browser made it, only
/// for our own page.
pub(crate) async fn check_principal(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let admitted = match state.auth.authenticate(request.headers()) {
        Ok(Principal::Bearer) => Ok(Principal::Bearer),
        Ok(Principal::Session) => {
            own_page(request.method(), request.headers()).map(|()| Principal::Session)
        }
        Err(error) => Err(error.into()),
    };
    match admitted {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Whether our own page made this request. A browser sends the cookie along whoever asks; pages on
/// other ports of this machine even count as the same site. `Origin` tells them apart.
fn own_page(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let site = headers.get(&SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    let is_own = if method.is_safe() {
        // A browser that asks for a page of its own accord says `none`.
        matches!(site, None | Some(b"same-origin" | b"none"))
    } else {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (Some(origin), None) => {
                matches!(site, None | Some(b"same-origin"))
                    && origin_is_host(origin, headers.get(header::HOST))
            }
            (None, _) => site == Some(b"same-origin"),
            (Some(_), Some(_)) => false,
        }
    };
    if is_own { Ok(()) } else { Err(forbidden("another page than this server's made the request")) }
}

fn origin_is_host(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let origin = origin.as_bytes().strip_prefix(b"http://");
    match (origin, host) {
        (Some(origin), Some(host)) => origin.eq_ignore_ascii_case(host.as_bytes()),
        (None, _) | (_, None) => false,
    }
}

/// The error for valid credentials that do not reach this far.
pub(crate) fn forbidden(reason: &str) -> Problem {
    RuntimeError::Forbidden { reason: reason.to_owned() }.into()
}

/// Adds what every answer carries, and logs the request. The query is not logged: it may hold a
/// one-time token. The path is logged escaped: it may hold characters that move a terminal's cursor.
pub(crate) async fn finish_response(request: Request, next: Next) -> Response {
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
    // Assets bring their own; everything else is about one person and one moment.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
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

    #[test]
    fn only_loopback_names_with_the_own_port_are_own_hosts() {
        let own = OwnAddress::new(([127, 0, 0, 1], 8080).into());
        for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080"] {
            assert!(own.is_named_by(host), "{host}");
        }
        for host in [
            "",
            ":8080",
            "127.0.0.1",
            "127.0.0.1:8081",
            "127.0.0.1:08080x",
            "127.0.0.2:8080",
            "localhost",
            "localhost.:8080",
            "localhost.evil.example:8080",
            "evil.example:8080",
            "user@127.0.0.1:8080",
            "::1:8080",
            "[::1]",
            "0.0.0.0:8080",
            "2130706433:8080",
            "127.0.0.1:8080/x",
        ] {
            assert!(!own.is_named_by(host), "{host:?}");
        }
    }

    #[test]
    fn a_host_without_a_port_means_port_80() {
        assert!(OwnAddress::new(([127, 0, 0, 1], 80).into()).is_named_by("localhost"));
    }

    #[test]
    fn a_request_with_two_hosts_or_none_is_refused() {
        let own = OwnAddress::new(([127, 0, 0, 1], 8080).into());
        let good = HeaderValue::from_static("127.0.0.1:8080");
        let mut headers = HeaderMap::new();
        assert!(own_host(&headers, None, own).is_err());
        headers.append(header::HOST, good.clone());
        assert!(own_host(&headers, None, own).is_ok());
        let foreign = Authority::from_static("evil.example:8080");
        assert!(own_host(&headers, Some(&foreign), own).is_err());
        headers.append(header::HOST, good);
        assert!(own_host(&headers, None, own).is_err());
    }

    fn from_page(method: &Method, pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
        for (name, value) in pairs {
            let name = HeaderName::from_static(name);
            headers.insert(name, HeaderValue::from_static(value));
        }
        own_page(method, &headers).is_ok()
    }

    #[test]
    fn a_change_needs_an_origin_that_is_this_server() {
        let own = ("origin", "http://127.0.0.1:8080");
        let same = ("sec-fetch-site", "same-origin");
        assert!(from_page(&Method::POST, &[own]));
        assert!(from_page(&Method::POST, &[same]));
        assert!(!from_page(&Method::POST, &[]));
        assert!(!from_page(&Method::DELETE, &[]));
        for origin in [
            "null",
            "",
            "https://127.0.0.1:8080",
            "http://127.0.0.1:8081",
            "http://127.0.0.1:8080.evil.example",
            "http://localhost:8080",
        ] {
            assert!(!from_page(&Method::POST, &[("origin", origin), same]), "{origin}");
        }
        assert!(!from_page(&Method::POST, &[("sec-fetch-site", "same-site")]));
        assert!(!from_page(&Method::POST, &[own, ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn a_read_is_for_our_page_or_for_no_page() {
        assert!(from_page(&Method::GET, &[]));
        assert!(from_page(&Method::GET, &[("sec-fetch-site", "none")]));
        for site in ["cross-site", "same-site"] {
            assert!(!from_page(&Method::GET, &[("sec-fetch-site", site)]), "{site}");
        }
    }
}

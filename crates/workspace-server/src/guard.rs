//! What stands before every handler: whose request this is, and whether a foreign page made it.

use std::time::Instant;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_api::{CallerName, Problem, let_in};

use crate::{auth::Principal, backend::AppState};

/// The page runs its own scripts and talks to its own server, and nothing else.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Gives the page its policy.
pub(crate) async fn page_policy(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    response
}

/// For a year, browsers that were here by a name encrypt what they ask of it. Not so where a host has only an
/// address, or is `localhost`, whose other ports are somebody else's.
const STRICT_TRANSPORT_SECURITY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Refuses requests that were meant for another host.
pub(crate) async fn check_host(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    if state.own_address.check(headers, request.uri().authority()).is_err() {
        return Problem::forbidden(
            "the Host header names another server than this one; `names` below [server] says what else this one \
             is called by",
        )
        .into_response();
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let by_name =
        host.is_some_and(|host| state.own_address.is_given_name(host) && !is_localhost(host));
    let mut response = next.run(request).await;
    if state.is_encrypted && by_name {
        let headers = response.headers_mut();
        headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_SECURITY);
    }
    response
}

/// Whether a `Host` is `localhost` or below it, with or without a port.
fn is_localhost(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Lets a request through to the API if its sender has credentials, and if a browser made it, only
/// for our own page.
pub(crate) async fn check_principal(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let admitted = match state.auth.authenticate(headers, &state.cookie, Instant::now()) {
        Ok((Principal::Session, stay)) => own_page(request.method(), headers, state.is_encrypted)
            .map(|()| (Principal::Session, stay)),
        Ok((Principal::Bearer, stay)) => Ok((Principal::Bearer, stay)),
        Err(error) => Err(error.into()),
    };
    match admitted {
        Ok((principal, stay)) => {
            let_in(&mut request, CallerName(principal.name().into()));
            request.extensions_mut().insert(principal);
            request.extensions_mut().insert(stay);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Whether our own page made this request. A browser sends the cookie along whoever asks; pages on
/// other ports of this machine even count as the same site. `Origin` tells them apart.
pub(crate) fn own_page(
    method: &Method,
    headers: &HeaderMap,
    is_encrypted: bool,
) -> Result<(), Problem> {
    let site = headers.get(&SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    let is_own = if method.is_safe() {
        // A browser that asks for a page of its own accord says `none`.
        matches!(site, None | Some(b"same-origin" | b"none"))
    } else {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (Some(origin), None) => {
                matches!(site, None | Some(b"same-origin"))
                    && origin_is_host(origin, headers.get(header::HOST), is_encrypted)
            }
            (None, _) => site == Some(b"same-origin"),
            (Some(_), Some(_)) => false,
        }
    };
    if is_own {
        Ok(())
    } else {
        Err(Problem::forbidden("another page than this server's made the request"))
    }
}

fn origin_is_host(origin: &HeaderValue, host: Option<&HeaderValue>, is_encrypted: bool) -> bool {
    let scheme: &[u8] = if is_encrypted { b"https://" } else { b"http://" };
    let origin = origin.as_bytes().strip_prefix(scheme);
    match (origin, host) {
        (Some(origin), Some(host)) => origin.eq_ignore_ascii_case(host.as_bytes()),
        (None, _) | (_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_what_it_is_called_with_or_without_a_port() {
        for host in ["localhost", "localhost:8900", "LOCALHOST.:8900", "app.localhost"] {
            assert!(is_localhost(host), "{host}");
        }
        for host in ["host.example", "localhost.example:8900", "127.0.0.1:8900", "[::1]:8900"] {
            assert!(!is_localhost(host), "{host}");
        }
    }

    fn from_page(method: &Method, pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
        for (name, value) in pairs {
            let name = HeaderName::from_static(name);
            headers.insert(name, HeaderValue::from_static(value));
        }
        own_page(method, &headers, false).is_ok()
    }

    #[test]
    fn a_page_of_plain_http_is_another_than_one_of_this_server_with_tls() {
        let allowed = |origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("far.example"));
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            own_page(&Method::POST, &headers, true).is_ok()
        };
        assert!(allowed("https://far.example"));
        assert!(!allowed("http://far.example") && !allowed("https://near.example"));
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

//! What stands before every handler: whose request this is, and whether a foreign page made it.

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

/// Refuses requests that were meant for another host.
pub(crate) async fn check_host(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    match state.own_address.check(request.headers(), request.uri().authority()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
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
            let_in(&mut request, CallerName(principal.name().into()));
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
    if is_own {
        Ok(())
    } else {
        Err(Problem::forbidden("another page than this server's made the request"))
    }
}

fn origin_is_host(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let origin = origin.as_bytes().strip_prefix(b"http://");
    match (origin, host) {
        (Some(origin), Some(host)) => origin.eq_ignore_ascii_case(host.as_bytes()),
        (None, _) | (_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

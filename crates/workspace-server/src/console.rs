//! The console page, its assets, and the ways in: a one-time link that becomes a cookie, and the page that asks
//! for the password.

use std::time::Instant;

use axum::{
    extract::{Path, RawQuery, State},
    response::{Html, IntoResponse as _, Redirect, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_api::{Problem, Secret};

use crate::backend::AppState;

const PAGE: &str = include_str!("../assets/index.html");
const SIGN_IN: &str = include_str!("../assets/sign-in.html");
/// Where the page says whether the browser is signed in, as far as was seen when it was asked for.
const SIGNED_IN: &str = r#"<div id="app">"#;
const SIGNED_OUT: &str = r#"<div id="app" data-signed-out>"#;

const ICON: &str = include_str!("../assets/icon.svg");

/// The path and query that sign a browser in.
pub(crate) fn login_path(token: &Secret) -> String {
    format!("/?token={}", token.reveal())
}

/// The page, or the spending of a one-time token for a session.
pub(crate) async fn page(
    State(state): State<AppState>,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    // Link checkers ask with HEAD; they must not use the link up.
    if state.takes_links
        && method == Method::GET
        && let Some(token) = query.as_deref().and_then(token)
        && let Some(session) = state.auth.redeem_link(token, Instant::now())
    {
        let cookie = [(header::SET_COOKIE, state.cookie.set(&session))];
        return (cookie, Redirect::to("/")).into_response();
    }
    match state.auth.authenticate(&headers, &state.cookie, Instant::now()) {
        // A used link in a browser that is signed in leads on to the clean address.
        Ok(_) if query.is_some() => Redirect::to("/").into_response(),
        Ok(_) => Html(PAGE).into_response(),
        // The same page asks for it. It finds out by itself whether the browser is signed in after all: one that
        // comes from a page elsewhere does not say so.
        Err(_) if state.auth.has_password() => {
            let page = PAGE.replace(SIGNED_IN, SIGNED_OUT);
            (StatusCode::UNAUTHORIZED, Html(page)).into_response()
        }
        Err(_) => (StatusCode::UNAUTHORIZED, Html(SIGN_IN)).into_response(),
    }
}

/// Tokens are hexadecimal, so there is nothing to decode.
fn token(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("token="))
}

/// A file of the page. They hold nothing secret, so they are open.
pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    let (content_type, text) = match name.as_str() {
        "console.css" => ("text/css; charset=utf-8", include_str!("../assets/console.css")),
        "console.js" => (JAVASCRIPT, include_str!("../assets/console.js")),
        "stream.js" => (JAVASCRIPT, include_str!("../assets/stream.js")),
        "icon.svg" => return icon().await,
        _ => return Problem::NotFound.into_response(),
    };
    asset_response(content_type, text)
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The icon, which browsers also look for at its old place.
pub(crate) async fn icon() -> Response {
    asset_response("image/svg+xml", ICON)
}

fn asset_response(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        // Asked for again each time: a new version of the program brings new files.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, text).into_response()
}

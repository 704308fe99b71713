//! How browsers get in: with links, which a program hands them, or with the password; and out again.

use std::time::Instant;

use axum::{
    Extension, Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header};
use http_api::{
    Peer, Problem,
    openapi::{ForeignRefusals, SignInRefusals, TokenRefusals},
    read_secret_json,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use worker_types::RuntimeError;

use crate::{
    Password,
    auth::{Principal, SignInError},
    backend::AppState,
    console, guard,
};

/// The longest body with a password: one of the longest, with each of its characters escaped.
const BODY_BYTES: u64 = 8 << 10;

/// A link that signs one browser in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LoginLink {
    /// Path and query of the address.
    url_path: String,
}

/// Makes a link that signs one browser in, once, within ten minutes.
///
/// Not at an address that other machines reach: there, browsers sign in with the password.
#[utoipa::path(
    post,
    path = "/login-links",
    operation_id = "create_login_link",
    tag = "Backend",
    responses(TokenRefusals, (status = 200, description = "The link.", body = LoginLink)),
    security(("token" = []))
)]
pub(super) async fn create_link(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<LoginLink>, Problem> {
    // A browser has a session already; letting it make links would let a stolen moment at the
    // keyboard become a session elsewhere.
    principal.must_be_bearer("sign-in links are made with the access token only")?;
    if !state.takes_links {
        return Err(Problem::forbidden(
            "other machines reach this Backend, so no link signs in to it: open its address, and sign in with \
             the password",
        ));
    }
    let token = state.auth.issue_link(Instant::now());
    Ok(Json(LoginLink { url_path: console::login_path(&token) }))
}

/// How a browser may sign in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SignInState {
    /// Whether the browser that asks is signed in.
    signed_in: bool,
    /// Whether there is a password to sign in with.
    password: bool,
}

/// Whether this browser is signed in, and whether it could be with a password.
#[utoipa::path(
    get,
    path = "/login",
    operation_id = "sign_in_state",
    tag = "Backend",
    responses(ForeignRefusals, (status = 200, description = "Whether and how.", body = SignInState)),
)]
pub(super) async fn state(State(state): State<AppState>, headers: HeaderMap) -> Json<SignInState> {
    let found = state.auth.authenticate(&headers, &state.cookie, Instant::now());
    Json(SignInState { signed_in: found.is_ok(), password: state.auth.has_password() })
}

/// The password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    #[schema(value_type = String, format = Password)]
    password: Password,
}

/// Signs a browser in with the password.
///
/// The answer to whatever is not the password is the same. Who tries too many has to wait longer each time, and
/// until then also the right one does not count. Only a page of this server may ask.
#[utoipa::path(
    post,
    path = "/login",
    operation_id = "sign_in",
    tag = "Backend",
    request_body = SignIn,
    responses(
        SignInRefusals,
        (
            status = 204,
            description = "The browser is signed in.",
            headers(("Set-Cookie" = String, description = "Its session.")),
        ),
    ),
)]
pub(super) async fn sign_in(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, Problem> {
    guard::own_page(request.method(), request.headers(), state.is_encrypted)?;
    let peer = request.extensions().get::<Peer>().map(|Peer(peer)| peer.ip());
    let SignIn { password } = read_secret_json(request, "the password", BODY_BYTES).await?;
    let shown = peer.map(tracing::field::display);
    match state.auth.sign_in(password, peer, Instant::now()).await {
        Ok(session) => {
            tracing::info!(target: "audit", peer = shown, "a browser signed in with the password");
            let cookie = [(header::SET_COOKIE, state.cookie.set(&session))];
            Ok((StatusCode::NO_CONTENT, cookie).into_response())
        }
        Err(error) => {
            if matches!(error, SignInError::Wrong) {
                tracing::warn!(target: "audit", peer = shown, "a password was refused");
            }
            Err(error.into())
        }
    }
}

/// Ends the session of the browser that asks, and its event streams.
#[utoipa::path(
    post,
    path = "/logout",
    operation_id = "sign_out",
    tag = "Backend",
    responses(
        TokenRefusals,
        (
            status = 204,
            description = "The browser is signed out.",
            headers(("Set-Cookie" = String, description = "That there is no session any more.")),
        ),
    ),
    security(("token" = []))
)]
pub(super) async fn sign_out(State(state): State<AppState>, headers: HeaderMap) -> Response {
    state.auth.sign_out(&headers, &state.cookie);
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, state.cookie.cleared())]).into_response()
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        let unavailable =
            |reason: &str| RuntimeError::RuntimeUnavailable { reason: reason.to_owned() }.into();
        match error {
            SignInError::Wrong => {
                RuntimeError::Unauthorized { reason: "this is not the password".to_owned() }.into()
            }
            SignInError::TooMany(pause) => Self::TooManyRequests {
                retry_after_s: pause.as_secs() + u64::from(pause.subsec_nanos() > 0),
            },
            SignInError::Full(error) => error.into(),
            SignInError::File(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "nobody can sign in with the password");
                unavailable("the file of its password cannot be used, and its log says why")
            }
            SignInError::Ending => unavailable("it ends"),
        }
    }
}

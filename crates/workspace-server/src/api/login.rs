//! New sign-in links, for a program that may hand them to a browser.

use std::time::Instant;

use axum::{Extension, Json, extract::State};
use http_api::{Problem, openapi::TokenRefusals};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::Principal, backend::AppState, console};

/// A link that signs one browser in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LoginLink {
    /// Path and query of the address.
    url_path: String,
}

/// Makes a link that signs one browser in, once, within ten minutes.
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
    let token = state.auth.issue_link(Instant::now());
    Ok(Json(LoginLink { url_path: console::login_path(&token) }))
}

//! New sign-in links, for a program that may hand them to a browser.

use std::time::Instant;

use axum::{Extension, Json, extract::State};
use http_api::Problem;
use serde::Serialize;

use crate::{auth::Principal, backend::AppState, console};

#[derive(Debug, Serialize)]
pub(super) struct LoginLink {
    url_path: String,
}

pub(super) async fn create_link(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<LoginLink>, Problem> {
    // A browser has a session already; letting it make links would let a stolen moment at the
    // keyboard become a session elsewhere.
    if principal != Principal::Bearer {
        return Err(Problem::forbidden("sign-in links are made with the access token only"));
    }
    let token = state.auth.issue_link(Instant::now());
    Ok(Json(LoginLink { url_path: console::login_path(&token) }))
}

//! What the launch policy grants, shown before it is given.

use axum::{Json, extract::State};
use http_api::{
    ApiQuery, Problem,
    openapi::{QueryRefusals, RegistryRefusals, TokenRefusals},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use worker_types::{Grants, ProfileName, WorkspaceName};

use super::{AtRuntime, RuntimePath};
use crate::backend::AppState;

/// The workspaces in which Workers can be created.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WorkspaceList {
    /// In the order of their names.
    workspaces: Vec<WorkspaceView>,
}

/// A workspace.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WorkspaceView {
    /// Its name.
    workspace: WorkspaceName,
}

/// The workspaces in which Workers can be created.
#[utoipa::path(
    get,
    path = "/workspaces",
    operation_id = "workspaces",
    tag = "Backend",
    responses(TokenRefusals, (status = 200, description = "All of them.", body = WorkspaceList)),
    security(("token" = []))
)]
pub(super) async fn workspaces(State(state): State<AppState>) -> Json<WorkspaceList> {
    let names = state.policy.workspaces().cloned();
    Json(WorkspaceList { workspaces: names.map(|workspace| WorkspaceView { workspace }).collect() })
}

/// What would be created.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct LaunchQuery {
    /// The profile.
    profile: ProfileName,
    /// The workspace; absent for none.
    workspace: Option<WorkspaceName>,
}

/// What a Worker would be granted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LaunchPreview {
    /// The profile.
    profile: ProfileName,
    /// The workspace, if it is in one.
    workspace: Option<WorkspaceName>,
    /// What it may do. The Runtime has a ceiling of its own, and refuses what exceeds it.
    grants: Grants,
    /// The same in plain words, a line for each grant; empty where it may do nothing.
    authority: Vec<String>,
}

/// What a Worker that is created now would be granted.
#[utoipa::path(
    get,
    path = "/runtimes/{runtime_id}/launch",
    operation_id = "preview_launch",
    tag = "Runtimes",
    params(RuntimePath, LaunchQuery),
    responses(
        TokenRefusals,
        RegistryRefusals,
        QueryRefusals,
        (status = 200, description = "What it would be granted.", body = LaunchPreview),
    ),
    security(("token" = []))
)]
pub(super) async fn preview(
    State(state): State<AppState>,
    AtRuntime(_): AtRuntime,
    ApiQuery(LaunchQuery { profile, workspace }): ApiQuery<LaunchQuery>,
) -> Result<Json<LaunchPreview>, Problem> {
    let grants = state.policy.launch(&profile, workspace.as_ref())?.grants;
    let authority = grants.in_plain_words();
    Ok(Json(LaunchPreview { profile, workspace, grants, authority }))
}

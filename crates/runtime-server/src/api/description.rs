//! The API in its own words, as OpenAPI.

use axum::Extension;
use http_api::openapi::{Document, ForeignRefusals, add_problems};
use utoipa::{
    OpenApi as _,
    openapi::{
        OpenApi,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use worker_types::{Cursor, FeedCursor, ItemId, LiveEvent, TurnId, WorkerId};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "A Runtime of yoi",
        description = "Runs Workers as WebAssembly components, with what they were granted and nothing \
                       else, and keeps a log of all they did. Clients skip fields, and kinds of events and \
                       of items, that they do not know: later versions add some.",
    ),
    // What only parameters and streams refer to.
    components(schemas(Cursor, FeedCursor, ItemId, LiveEvent, TurnId, WorkerId)),
)]
struct Beginning;

/// What stands in the document beside the routes.
pub(super) fn begun() -> OpenApi {
    let mut openapi = Beginning::openapi();
    let components = openapi.components.get_or_insert_default();
    add_problems(components);
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "A token of `yoi token new`. Each operation names the scope that it takes: `observe`, `command` or \
         `admin`, which is for everything. A token with labels reaches the Workers that have them.",
    ));
    components.add_security_scheme("token", SecurityScheme::Http(token.build()));
    openapi
}

/// This document.
///
/// It holds no secret, and is the same for everybody.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "Process",
    responses(
        ForeignRefusals,
        (status = 200, description = "OpenAPI 3.1.", content(("application/json"))),
    ),
)]
pub(super) async fn openapi(Extension(document): Extension<Document>) -> Document {
    document
}

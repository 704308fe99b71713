//! The API in its own words, as OpenAPI.

use axum::Extension;
use http_api::openapi::{Document, TokenRefusals, add_problems};
use utoipa::{
    OpenApi as _,
    openapi::{
        OpenApi,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use worker_types::{Cursor, FeedCursor, ItemId, LiveEvent, TurnId, WorkerId};

use crate::hints::{RuntimeChanged, WorkerChanged};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "A Backend of yoi",
        description = "The Runtimes that it knows, and their Workers. Clients skip fields, and kinds of events \
                       and of items, that they do not know: later versions add some.",
    ),
    // What only parameters and streams refer to.
    components(schemas(
        Cursor, FeedCursor, ItemId, LiveEvent, TurnId, WorkerId, RuntimeChanged, WorkerChanged
    )),
)]
struct Beginning;

/// What stands in the document beside the routes.
pub(super) fn begun() -> OpenApi {
    let mut openapi = Beginning::openapi();
    let components = openapi.components.get_or_insert_default();
    add_problems(components);
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "The access token of the Backend, which is in its data directory. A browser has a session instead, \
         which a link of `yoi url` opens.",
    ));
    components.add_security_scheme("token", SecurityScheme::Http(token.build()));
    openapi
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "Backend",
    responses(
        TokenRefusals,
        (status = 200, description = "OpenAPI 3.1.", content(("application/json"))),
    ),
    security(("token" = []))
)]
pub(super) async fn openapi(Extension(document): Extension<Document>) -> Document {
    document
}

//! The API in its own words, as OpenAPI.

use axum::Extension;
use http_api::openapi::{Document, TokenRefusals, add_problems};
use utoipa::{
    OpenApi as _,
    openapi::{
        Components, OpenApi, RefOr, Schema,
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
         which a link of `yoi url` opens, or the password.",
    ));
    components.add_security_scheme("token", SecurityScheme::Http(token.build()));
    openapi
}

/// The document of all routes.
pub(super) fn finished(mut openapi: OpenApi) -> Document {
    leave_out_details(openapi.components.get_or_insert_default());
    Document::of(&openapi)
}

/// A Runtime that does not answer is listed without each of its details. Of the flattened option the derive says
/// that the whole may be `null`.
fn leave_out_details(components: &mut Components) {
    let details = components.schemas.remove("RuntimeDetails");
    let listing = components.schemas.get_mut("RuntimeListing");
    if let Some(RefOr::T(Schema::Object(mut details))) = details
        && let Some(RefOr::T(Schema::AllOf(listing))) = listing
        && let Some(part) = listing.items.first_mut()
    {
        details.required.clear();
        *part = details.into();
    }
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

//! What both servers say of themselves in OpenAPI: the form of errors, and which of them a kind of route
//! answers.

use std::collections::BTreeMap;

use axum::{body::Bytes, response::IntoResponse};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};
use utoipa::{
    IntoResponses, PartialSchema, ToSchema,
    openapi::{
        Components, ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, Schema,
        header::HeaderBuilder,
        schema::{ObjectBuilder, RefBuilder, Type},
    },
};
use worker_types::RuntimeError;

use crate::Problem;

/// The answers that are problems: the status, the name in the document, and the codes.
pub(crate) const PROBLEMS: [(StatusCode, &str, &str); 15] = [
    (
        StatusCode::BAD_REQUEST,
        "BadRequest",
        "The request makes no sense: `invalid_input`, `invalid_cursor`.",
    ),
    (
        StatusCode::UNAUTHORIZED,
        "Unauthorized",
        "No credentials, or such that count for nothing: `unauthorized`.",
    ),
    (
        StatusCode::FORBIDDEN,
        "Forbidden",
        "The credentials do not reach this far, or nobody's do: `forbidden`, `grant_exceeds_ceiling`, \
         `exposes_git_dir`. Also where the `Host` is another server's, or a page in a browser asks.",
    ),
    (
        StatusCode::NOT_FOUND,
        "NotFound",
        "What is named is not there, or not for these credentials: `unknown_worker`, `unknown_item`, \
         `unknown_profile`, `unknown_component`, `unknown_runtime`, `not_found`.",
    ),
    (
        StatusCode::CONFLICT,
        "Conflict",
        "Not as things are: `busy`, `worker_stopped`, `worker_not_stopped`, `component_in_use`, \
         `preopen_unavailable`, `scope_conflict`, `idempotency_conflict`, `runtime_exists`, `runtime_in_use`.",
    ),
    (StatusCode::GONE, "Gone", "The events after the cursor were removed: `cursor_gap`."),
    (
        StatusCode::PAYLOAD_TOO_LARGE,
        "PayloadTooLarge",
        "Larger than a limit, which it names: `payload_too_large`.",
    ),
    (
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "UnsupportedMediaType",
        "The body does not say that it is JSON: `unsupported_media_type`.",
    ),
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        "UnprocessableEntity",
        "The component cannot be run, or not with these grants: `missing_grant`, `invalid_component`.",
    ),
    (
        StatusCode::TOO_MANY_REQUESTS,
        "TooManyRequests",
        "Too many wrong tokens or passwords came from this address: `too_many_requests`. Right tokens count \
         always.",
    ),
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalServerError",
        "The host failed: `internal`, with an id that finds the cause in the operator's log, or \
         `store_damaged`.",
    ),
    (
        StatusCode::BAD_GATEWAY,
        "BadGateway",
        "A remote Runtime does not take the Backend's token, or is not understood: `remote_auth_failed`, \
         `remote_incompatible`.",
    ),
    (
        StatusCode::GATEWAY_TIMEOUT,
        "GatewayTimeout",
        "A remote Runtime did not answer in time: `remote_timeout`.",
    ),
    (StatusCode::NOT_IMPLEMENTED, "NotImplemented", "Nothing here does that: `unsupported`."),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "ServiceUnavailable",
        "Not now: `capacity`, also where the caller has its share of what there is, `runtime_unavailable`, \
         `worker_unavailable`.",
    ),
];

/// Adds what refusals refer to: the schema of problems, and their answers.
pub fn add_problems(components: &mut Components) {
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    for (status, name, description) in PROBLEMS {
        components.responses.insert(name.to_owned(), answer(status, description).into());
    }
}

fn answer(status: StatusCode, description: &str) -> Response {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name())));
    let answer = ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", problem.build());
    let header = match status {
        StatusCode::UNAUTHORIZED => ("WWW-Authenticate", text("How to say who asks.")),
        StatusCode::TOO_MANY_REQUESTS => ("Retry-After", seconds("When it is worth a try again.")),
        StatusCode::SERVICE_UNAVAILABLE => {
            ("Retry-After", seconds("With `capacity`: when it is worth a try again."))
        }
        _ => return answer.build(),
    };
    answer.header(header.0, header.1.build()).build()
}

fn text(description: &str) -> HeaderBuilder {
    let schema = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new().schema(schema).description(Some(description))
}

fn seconds(description: &str) -> HeaderBuilder {
    let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
    HeaderBuilder::new().schema(schema).description(Some(format!("{description} In seconds.")))
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        let text = |description: &str| {
            ObjectBuilder::new().schema_type(Type::String).description(Some(description))
        };
        let code = text("What went wrong, for programs.").enum_values(Some(codes()));
        let status = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .description(Some("The status of the answer."));
        let retryable = ObjectBuilder::new().schema_type(Type::Boolean).description(Some(
            "Whether the same request may succeed later without anybody changing anything.",
        ));
        let mut problem = ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some(
                "An error (RFC 9457). Some codes have fields of their own; those that programs go by are named.",
            ))
            .property("type", text("What kind of error: always `about:blank`."))
            .property("title", text("What the status is called."))
            .property("status", status)
            .property("code", code)
            .property("detail", text("What went wrong, for people."))
            .property("retryable", retryable)
            .property("turn_id", refer_to("TurnId", "Of `busy`: the turn that runs."))
            .property("oldest", refer_to("Cursor", "Of `cursor_gap`: where the log begins now."));
        for field in ["type", "title", "status", "code", "detail", "retryable"] {
            problem = problem.required(field);
        }
        problem.into()
    }
}

impl ToSchema for Problem {}

fn refer_to(schema: &str, description: &str) -> RefBuilder {
    RefBuilder::new().ref_location_from_schema_name(schema).description(Some(description))
}

/// Every code there is.
fn codes() -> Vec<Value> {
    let domain = serde_json::to_value(RuntimeError::schema()).unwrap_or_default();
    let domain = domain["oneOf"].as_array().cloned().unwrap_or_default();
    let domain = domain.iter().map(|error| error["properties"]["code"]["enum"][0].clone());
    let own = [
        Problem::NotFound,
        Problem::MethodNotAllowed,
        Problem::UnsupportedMediaType,
        Problem::TooManyRequests { retry_after_s: 1 },
    ];
    domain.chain(own.iter().map(|problem| problem.code().into())).collect()
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident: $($status:ident),+;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                refer(&[$(StatusCode::$status),+])
            }
        }
    )+};
}

refusals! {
    /// Of who comes from elsewhere: any route.
    ForeignRefusals: FORBIDDEN;
    /// Of who has no token for this: any route that takes one.
    TokenRefusals: UNAUTHORIZED, FORBIDDEN, TOO_MANY_REQUESTS, SERVICE_UNAVAILABLE;
    /// Of who has no credentials yet, and shows some.
    SignInRefusals:
        BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, TOO_MANY_REQUESTS,
        SERVICE_UNAVAILABLE;
    /// Of a query that makes no sense.
    QueryRefusals: BAD_REQUEST;
    /// Of a name for what is not there.
    NameRefusals: BAD_REQUEST, NOT_FOUND;
    /// Of a body.
    BodyRefusals: BAD_REQUEST, PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE;
    /// Of bytes.
    UploadRefusals: BAD_REQUEST, PAYLOAD_TOO_LARGE, UNPROCESSABLE_ENTITY;
    /// Of what does not go with how things are.
    StateRefusals: CONFLICT;
    /// Of a component, by what it needs.
    ComponentRefusals: UNPROCESSABLE_ENTITY;
    /// Of a place in a log that is gone.
    CursorRefusals: GONE;
    /// Where the store is needed.
    StoreRefusals: INTERNAL_SERVER_ERROR, SERVICE_UNAVAILABLE;
    /// Of a Backend, where a Runtime is asked.
    RegistryRefusals:
        BAD_REQUEST, NOT_FOUND, INTERNAL_SERVER_ERROR, NOT_IMPLEMENTED, BAD_GATEWAY,
        SERVICE_UNAVAILABLE, GATEWAY_TIMEOUT;
    /// While no work is taken.
    ReadinessRefusals: SERVICE_UNAVAILABLE;
}

fn refer(statuses: &[StatusCode]) -> BTreeMap<String, RefOr<Response>> {
    let of = PROBLEMS.into_iter().filter(|(status, ..)| statuses.contains(status));
    of.map(|(status, name, _)| (status.as_u16().to_string(), Ref::from_response_name(name).into()))
        .collect()
}

/// The document, as it is served: written once.
#[derive(Debug, Clone)]
pub struct Document(Bytes);

impl Document {
    /// That of all routes.
    #[must_use]
    pub fn of(openapi: &OpenApi) -> Self {
        Self(document(openapi))
    }
}

impl IntoResponse for Document {
    fn into_response(self) -> axum::response::Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

/// What the derives cannot say is put right: what integers the types can hold,
/// that a parameter or a body which is absent is not `null`, which variants are strict, and which may hold at once.
fn document(openapi: &OpenApi) -> Bytes {
    // It is JSON by its nature; the test of each server reads it.
    let mut document = serde_json::to_value(openapi).unwrap_or_default();
    tidy(&mut document);
    for operation in objects(document.get_mut("paths"))
        .flat_map(|item| item.values_mut())
        .filter_map(Value::as_object_mut)
    {
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            parameter["schema"] = not_null(parameter["schema"].take());
        }
        let body = operation.get_mut("requestBody").and_then(|body| body.get_mut("content"));
        for body in objects(body) {
            if let Some(schema) = body.get_mut("schema") {
                *schema = not_null(schema.take());
            }
        }
    }
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    for (name, schema) in schemas.into_iter().flatten() {
        let Some(schema) = schema.as_object_mut() else { continue };
        match name.as_str() {
            "Input" | "InputBody" | "InputPart" | "TokenPlace" => {
                let variants = schema.get_mut("oneOf").and_then(Value::as_array_mut);
                for variant in variants.into_iter().flatten() {
                    variant["additionalProperties"] = false.into();
                }
            }
            // A whole number is a number, and a snapshot has what a delta has.
            "ConfigValue" | "LiveEvent" => {
                if let Some(variants) = schema.remove("oneOf") {
                    schema.insert("anyOf".to_owned(), variants);
                }
            }
            // Some are of the machine that wrote the document.
            "Limits" => objects(schema.get_mut("properties")).for_each(|limit| {
                limit.remove("default");
            }),
            _ => {}
        }
    }
    Bytes::from(format!("{document:#}\n"))
}

/// The values of an object that are objects.
fn objects(value: Option<&mut Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    value
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut)
}

/// Bounds unsigned integers by their types, and leaves out what says nothing.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let unsigned = match fields.get("format").and_then(Value::as_str) {
                Some("u-int32") => Some(("uint32", u64::from(u32::MAX))),
                Some("u-int64") => Some(("uint64", u64::MAX)),
                _ => None,
            };
            if let Some((format, most)) = unsigned {
                fields.insert("format".to_owned(), format.into());
                fields.entry("maximum").or_insert(most.into());
            }
            if fields.get("default").is_some_and(Value::is_null) {
                fields.remove("default");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(values) => values.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The same schema without `null`.
fn not_null(mut schema: Value) -> Value {
    let null = json!("null");
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| *kind != null);
        if let [one] = &types[..] {
            schema["type"] = one.clone();
        }
    }
    if let Some(Value::Array(schemas)) = schema.get_mut("oneOf") {
        schemas.retain(|schema| schema["type"] != null);
        if let [one] = &schemas[..] {
            return one.clone();
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_named_once_and_with_its_answer() {
        let codes = codes();
        assert!(codes.contains(&json!("busy")) && codes.contains(&json!("store_damaged")));
        assert!(codes.iter().all(Value::is_string), "{codes:?}");
        for code in codes.iter().filter_map(Value::as_str).filter(|c| *c != "method_not_allowed") {
            let quoted = format!("`{code}`");
            let answers = PROBLEMS.iter().filter(|(.., text)| text.contains(&quoted)).count();
            assert_eq!(answers, 1, "{code}");
        }
    }

    #[test]
    fn an_absent_parameter_is_not_null() {
        let optional = json!({ "oneOf": [{ "type": "null" }, { "$ref": "#/x" }] });
        assert_eq!(not_null(optional), json!({ "$ref": "#/x" }));
        let optional = json!({ "type": ["integer", "null"], "minimum": 0 });
        assert_eq!(not_null(optional), json!({ "type": "integer", "minimum": 0 }));
    }
}

//! What the server tells of its routes is what it has.

use std::collections::BTreeSet;

use axum::body::{Body, Bytes};
use http::{Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::support::{ADDRESS, Server, all_routes};

async fn document() -> Bytes {
    let server = Server::new().await;
    let request = Request::get("/openapi.json").header(header::HOST, ADDRESS).body(Body::empty());
    let answer = server.app.oneshot(request.expect("a request")).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
    axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("all of it")
}

async fn described() -> Value {
    serde_json::from_slice(&document().await).expect("JSON")
}

/// Read what has changed in the `.json`: it is what clients are made from.
#[tokio::test]
async fn the_document_changes_only_where_somebody_says_so() {
    insta::assert_binary_snapshot!("openapi.json", document().await.to_vec());
}

#[tokio::test]
async fn every_route_is_described_with_the_scope_it_takes_and_nothing_else_is() {
    let document = described().await;
    let paths = document["paths"].as_object().expect("paths");
    let described: BTreeSet<_> = paths
        .iter()
        .flat_map(|(path, item)| {
            let operations = item.as_object().expect("operations").iter();
            operations.map(move |(method, operation)| {
                let scope = operation["security"][0]["token"][0].as_str();
                (method.to_uppercase(), path.clone(), scope.map(str::to_owned))
            })
        })
        .collect();
    let open = ["/healthz", "/readyz", "/openapi.json"];
    let open = open.map(|path| ("GET".to_owned(), path.to_owned(), None));
    let worker = "{worker_id}";
    let routes = all_routes(worker).into_iter().map(|(method, path, scope, _)| {
        let path = path.replace("items/1", "items/{item_id}");
        let path = path.replace("turns/1", "turns/{turn_id}");
        let path = path.replace(&format!("sha256:{}", "7".repeat(64)), "{digest}");
        (method.to_string(), path, Some(scope.to_string()))
    });
    assert_eq!(described, routes.chain(open).collect());
}

/// Calls `visit` with every value below `value`.
fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    visit(value);
    match value {
        Value::Object(fields) => fields.values().for_each(|field| walk(field, visit)),
        Value::Array(values) => values.iter().for_each(|value| walk(value, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn whatever_the_document_refers_to_is_in_it() {
    let document = described().await;
    let mut references = 0;
    walk(&document, &mut |value| {
        let Some(reference) = value["$ref"].as_str() else { return };
        let pointer = reference.strip_prefix('#').expect("it is in this document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
        references += 1;
    });
    assert!(references > 100, "{references}");
}

#[tokio::test]
async fn descriptions_are_for_people_who_read_no_rust() {
    let document = described().await;
    walk(&document, &mut |value| {
        let text = value["description"].as_str().unwrap_or_default();
        assert!(!text.contains("[`") && !text.contains("::"), "{text}");
    });
}

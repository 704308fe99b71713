//! What the Backend tells of its routes is what it has.

use serde_json::Value;

use crate::support::Bench;

/// Read what has changed in the `.json`: the console's client is made from it.
#[tokio::test]
async fn the_document_changes_only_where_somebody_says_so() {
    let document = Bench::start().await.get("/api/openapi.json").await;
    insta::assert_binary_snapshot!("openapi.json", document.text.into_bytes());
}

#[tokio::test]
async fn every_route_that_is_described_is_there() {
    let bench = Bench::start().await;
    let document = bench.get("/api/openapi.json").await.ok();
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() > 20, "{}", paths.len());
    for (path, operations) in paths {
        let at = path
            .replace("{runtime_id}", "backend-internal")
            .replace("{worker_id}", crate::support::NOBODY)
            .replace("{item_id}", "1")
            .replace("{turn_id}", "1")
            .replace("{digest}", &format!("sha256:{}", "7".repeat(64)));
        for method in operations.as_object().expect("operations").keys() {
            let method: http::Method = method.to_uppercase().parse().expect("a method");
            let answer = bench.ask(crate::support::bare(bench.request(method, &at))).await;
            let code = serde_json::from_str::<Value>(&answer.text).unwrap_or_default();
            let code = code["code"].as_str().unwrap_or_default().to_owned();
            assert!(code != "not_found" && code != "method_not_allowed", "{path}: {}", answer.text);
        }
    }
}

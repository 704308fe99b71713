//! The Runtime that the conformance suite asks over HTTP: see `test_support::remote`.

#[tokio::main]
async fn main() {
    test_support::remote::serve().await;
}

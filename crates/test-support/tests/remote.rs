//! The conformance suite against a Runtime in another process, through `runtime-client`.

use test_support::{
    conformance::Setting,
    remote::{self, Remote},
};

async fn host(setting: Setting) -> Remote {
    let start = move || remote::start(env!("CARGO_BIN_EXE_runtime-process"), &setting);
    tokio::task::spawn_blocking(start).await.expect("it starts")
}

test_support::conformance_tests!(crate::host);

//! The conformance suite over HTTP, through `runtime-client`: against a Runtime in another process, and against
//! Backends that know a Runtime of either kind.

use test_support::{
    conformance::Setting,
    remote::{self, Remote},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_runtime-process");

async fn process(setting: Setting) -> Remote {
    let start = move || remote::start(PROGRAM, &setting);
    tokio::task::spawn_blocking(start).await.expect("it starts")
}

async fn remote_backend(setting: Setting) -> Remote {
    remote::remote_backend(PROGRAM, setting).await
}

mod of_a_process {
    test_support::conformance_tests!(crate::process);
}

mod of_a_backend_that_embeds {
    test_support::conformance_tests!(test_support::remote::embedding_backend);
}

mod of_a_backend_with_a_remote {
    test_support::conformance_tests!(crate::remote_backend);
}

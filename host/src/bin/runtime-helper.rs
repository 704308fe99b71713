//! What the tests and benches of this crate start as a process: the compile helper, and the launcher of
//! helpers. The programs for people are those of the package `yoi`.

use std::{env, process::ExitCode};

use worker_runtime::compile_helper;

/// The argument that makes this program the compile helper of another process of it.
const COMPILE: &str = "compile";

/// The argument that makes this program the launcher of another process of it.
#[cfg(target_os = "linux")]
const LAUNCHER: &str = "launcher";

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    match arguments.next() {
        Some(command) if command == COMPILE => compile_helper(arguments),
        #[cfg(target_os = "linux")]
        Some(command) if command == LAUNCHER => worker_runtime::serve_launcher([COMPILE]),
        _ => ExitCode::from(2),
    }
}

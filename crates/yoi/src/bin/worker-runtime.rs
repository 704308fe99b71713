//! The Runtime process: `yoi serve`, by itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    yoi::worker_runtime()
}

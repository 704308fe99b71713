//! The `yoi` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    yoi::yoi()
}

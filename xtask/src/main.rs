//! `cargo xtask`: start yoi from a checkout, test it, measure it, install it.
//!
//! Whatever a task needs and does not find (the pinned toolchain, a test runner, a browser) it
//! installs, or it fails with the one line that would. A task never leaves a check out in silence.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool prints")]

mod arguments;
mod arrows;
mod bench;
mod chromium;
mod console;
mod crash;
mod debian;
mod file_length;
mod gates;
mod install;
mod process;
mod python;
mod schemathesis;
mod shell_compat;
mod test;
mod toolchain;
mod tools;
mod up;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

use crate::arguments::{HELP, Task};

fn main() -> ExitCode {
    let task = match arguments::parse(std::env::args().skip(1)) {
        Ok(task) => task,
        Err(error) => {
            eprintln!("error: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match run(task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Help => {
            println!("{HELP}");
            Ok(())
        }
        Task::Up(up) => up::run(&up),
        Task::Test(test) => test::run(&test),
        Task::Bench { arguments } => bench::run(&arguments),
        Task::Api { arguments } => schemathesis::run(&arguments),
        Task::Console => console::run(),
        Task::Crash { arguments } => crash::run(&arguments),
        Task::ShellCompat(compat) => shell_compat::run(&compat),
        Task::Install { root } => install::run(root),
    }
}

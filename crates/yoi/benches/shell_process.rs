//! How long `yoi shell -c 'echo hi'` takes as a whole process, with warm caches, beside bash.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// Runs of each, in turn.
const RUNS: usize = 50;
/// The longest that it may take at p50.
const BOUND: Duration = Duration::from_millis(60);

fn timed(command: &mut Command) -> Duration {
    let begun = Instant::now();
    let output = command.output().expect("it starts");
    let time = begun.elapsed();
    assert_eq!(output.stdout, b"hi\n", "{}", String::from_utf8_lossy(&output.stderr));
    time
}

fn yoi(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_yoi"));
    command.env_clear().env("HOME", home).args(["shell", "-c", "echo hi"]);
    command
}

fn main() {
    let home = tempfile::tempdir().expect("a directory");
    let (mut ours, mut natives) = (Vec::new(), Vec::new());
    // The first compiles the shell.
    timed(&mut yoi(home.path()));
    for _ in 0..RUNS {
        ours.push(timed(&mut yoi(home.path())));
        natives.push(timed(Command::new("bash").args(["-c", "echo hi"])));
    }
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let (ours, native) = (median(ours), median(natives));
    println!("yoi shell -c 'echo hi': p50 {ours:.1?} (at most {BOUND:.0?}); bash {native:.1?}");
    assert!(ours <= BOUND, "too slow");
}

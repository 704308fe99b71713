//! What can be asked for on the command line.

use std::path::PathBuf;

use anyhow::{Result, bail};

/// What `cargo xtask` says of itself.
pub(crate) const HELP: &str = "\
Tasks of this repository.

  cargo xtask up [--release] [ARGS]     build yoi and run `yoi up ARGS`, for example:
                                          cargo xtask up --listen 127.0.0.1:8080
  cargo xtask test                      every check there is; what CI runs
  cargo xtask test --quick              the fast ones: format, clippy, tests without a browser
  cargo xtask test FILTER...            only the tests whose names contain a FILTER
  cargo xtask bench [FILTER]            the benchmarks (release build); options for them after `--`
  cargo xtask crash [--kills N] [--seed S]  kill a Runtime again and again, and check what it leaves
  cargo xtask install [--root DIR]      put `yoi` and `worker-runtime` into DIR/bin (~/.cargo/bin)

The toolchain, cargo-nextest, cargo-deny and, for root on Debian, Chromium are installed where they
are missing.";

/// A task and its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Print [`HELP`].
    Help,
    /// Build and start yoi.
    Up(Up),
    /// Run checks.
    Test(Test),
    /// Run benchmarks, with these arguments for the benchmark programs.
    Bench { arguments: Vec<String> },
    /// Kill a Runtime again and again, with these arguments for the program that does.
    Crash { arguments: Vec<String> },
    /// Install the binaries, below `root` or where cargo puts them.
    Install { root: Option<PathBuf> },
}

/// The arguments of `up`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Up {
    /// Build with optimisations.
    pub(crate) release: bool,
    /// Passed on to `yoi up`.
    pub(crate) arguments: Vec<String>,
}

/// The arguments of `test`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Test {
    /// Leave the slow checks out.
    pub(crate) quick: bool,
    /// If not empty: run only the tests whose names contain one of these.
    pub(crate) filters: Vec<String>,
}

/// Reads the arguments that follow `cargo xtask`.
pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Task> {
    let Some(task) = arguments.next() else { return Ok(Task::Help) };
    let rest: Vec<String> = arguments.collect();
    // Not for `up`, whose `--help` is that of `yoi up`.
    let asks_for_help = rest.first().is_some_and(|first| is_help(first));
    match task.as_str() {
        task if is_help(task) => Ok(Task::Help),
        "up" => Ok(Task::Up(parse_up(rest))),
        "test" | "bench" | "crash" | "install" if asks_for_help => Ok(Task::Help),
        "test" => parse_test(rest).map(Task::Test),
        "bench" => parse_bench(rest),
        "crash" => parse_crash(rest),
        "install" => parse_install(rest),
        other => bail!("there is no task `{other}`"),
    }
}

fn is_help(argument: &str) -> bool {
    matches!(argument, "help" | "-h" | "--help")
}

fn parse_up(arguments: Vec<String>) -> Up {
    let mut arguments = arguments.into_iter().peekable();
    let release = arguments.next_if(|argument| argument == "--release").is_some();
    // Everything else belongs to yoi, with or without the usual separator.
    let _ = arguments.next_if(|argument| argument == "--");
    Up { release, arguments: arguments.collect() }
}

fn parse_test(arguments: Vec<String>) -> Result<Test> {
    let mut test = Test::default();
    for argument in arguments {
        match argument.as_str() {
            "--quick" => test.quick = true,
            option if option.starts_with('-') => bail!("`test` has no option `{option}`"),
            _ => test.filters.push(argument),
        }
    }
    Ok(test)
}

fn parse_bench(arguments: Vec<String>) -> Result<Task> {
    let mut passed_on = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--" => passed_on.extend(arguments.by_ref()),
            option if option.starts_with('-') => {
                bail!("`bench` has no option `{option}`; options of the benchmarks follow `--`")
            }
            _ => passed_on.push(argument),
        }
    }
    Ok(Task::Bench { arguments: passed_on })
}

fn parse_crash(arguments: Vec<String>) -> Result<Task> {
    for pair in arguments.chunks(2) {
        match pair {
            [name, value] if name == "--kills" || name == "--seed" => {
                if value.parse::<u64>().is_err() {
                    bail!("`{name}` needs a number, not `{value}`");
                }
            }
            [name, _] if name == "--keep" => {}
            [name, ..] => {
                bail!("`crash` takes `--kills N`, `--seed S` and `--keep DIR`, not `{name}`")
            }
            [] => {}
        }
    }
    Ok(Task::Crash { arguments })
}

fn parse_install(arguments: Vec<String>) -> Result<Task> {
    let mut root = None;
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--root" => match arguments.next() {
                Some(directory) => root = Some(PathBuf::from(directory)),
                None => bail!("`--root` needs a directory"),
            },
            other => match other.strip_prefix("--root=") {
                Some(directory) => root = Some(PathBuf::from(directory)),
                None => bail!("`install` takes only `--root DIR`, not `{other}`"),
            },
        }
    }
    Ok(Task::Install { root })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    fn strings(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn no_task_and_help_teach() {
        for line in ["", "help", "--help", "-h", "test --help", "install -h"] {
            assert_eq!(parsed(line).unwrap(), Task::Help, "{line}");
        }
    }

    #[test]
    fn up_passes_everything_but_its_own_option_on() {
        for line in ["up --release -- --listen 127.0.0.1:0", "up --release --listen 127.0.0.1:0"] {
            let arguments = strings(&["--listen", "127.0.0.1:0"]);
            assert_eq!(parsed(line).unwrap(), Task::Up(Up { release: true, arguments }));
        }
        let arguments = strings(&["--release"]);
        assert_eq!(parsed("up -- --release").unwrap(), Task::Up(Up { release: false, arguments }));
        let arguments = strings(&["--help"]);
        assert_eq!(parsed("up --help").unwrap(), Task::Up(Up { release: false, arguments }));
    }

    #[test]
    fn test_takes_filters_and_refuses_unknown_options() {
        let filters = strings(&["grants", "cursor"]);
        assert_eq!(
            parsed("test grants --quick cursor").unwrap(),
            Task::Test(Test { quick: true, filters })
        );
        assert!(parsed("test --fast").is_err());
    }

    #[test]
    fn bench_passes_options_on_only_after_the_separator() {
        let arguments = strings(&["turn", "--save-baseline", "main"]);
        assert_eq!(
            parsed("bench turn -- --save-baseline main").unwrap(),
            Task::Bench { arguments }
        );
        assert!(parsed("bench --save-baseline main").is_err());
    }

    #[test]
    fn crash_takes_numbers_of_kills_and_a_seed() {
        let arguments = strings(&["--kills", "200", "--seed", "7"]);
        assert_eq!(parsed("crash --kills 200 --seed 7").unwrap(), Task::Crash { arguments });
        assert!(parsed("crash --kills").is_err());
        assert!(parsed("crash --kills many").is_err());
        assert!(parsed("crash gently").is_err());
    }

    #[test]
    fn install_takes_a_root_in_both_spellings() {
        for line in ["install --root /opt/yoi", "install --root=/opt/yoi"] {
            assert_eq!(
                parsed(line).unwrap(),
                Task::Install { root: Some(PathBuf::from("/opt/yoi")) }
            );
        }
        assert_eq!(parsed("install").unwrap(), Task::Install { root: None });
        assert!(parsed("install --root").is_err());
        assert!(parsed("install yoi").is_err());
    }

    #[test]
    fn an_unknown_task_is_an_error() {
        assert!(parsed("deploy").is_err());
    }
}

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
  cargo xtask api [-- ARGS]             ask a served Runtime and a Backend whether they do what their
                                          OpenAPI says; ARGS are for `schemathesis run`
  cargo xtask console                   build the console into the assets of the Backend; commit them
  cargo xtask crash [--kills N] [--seed S]  kill a Runtime again and again, and check what it leaves
  cargo xtask shell-compat [CATEGORY...]    compare the shell inside WebAssembly with bash 5.2
    -v                                    show the scripts that differ, and how
    --shell PATH | --native               run this `yoi`, or the shell's engine without WebAssembly
    --list [--write]                      the known differences, or put them into docs/shell.md
    --record                              ask this machine's bash 5.2 again
  cargo xtask install [--root DIR]      put `yoi` and `worker-runtime` into DIR/bin (~/.cargo/bin)

The toolchain, cargo-nextest, cargo-deny, schemathesis and Node (with python3) and, for root on Debian,
Chromium are installed where they are missing.";

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
    /// Ask a served Runtime by its OpenAPI, with these arguments for schemathesis.
    Api { arguments: Vec<String> },
    /// Build the console.
    Console,
    /// Kill a Runtime again and again, with these arguments for the program that does.
    Crash { arguments: Vec<String> },
    /// Compare the shell with bash.
    ShellCompat(ShellCompat),
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

/// The arguments of `shell-compat`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ShellCompat {
    /// What to do.
    pub(crate) what: ShellCompatTask,
    /// If not empty: only these categories.
    pub(crate) categories: Vec<String>,
    /// Show the failures.
    pub(crate) verbose: bool,
}

/// What `shell-compat` does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum ShellCompatTask {
    /// Build `yoi` with optimisations, and compare its shell.
    #[default]
    Compare,
    /// Compare the shell of this `yoi`.
    ComparePath(PathBuf),
    /// Compare the engine, natively.
    CompareNative,
    /// Record the answers of bash.
    Record,
    /// Print the known differences.
    List,
    /// Write them into the documentation.
    WriteList,
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
        "api" | "test" | "bench" | "console" | "crash" | "install" | "shell-compat"
            if asks_for_help =>
        {
            Ok(Task::Help)
        }
        "test" => parse_test(rest).map(Task::Test),
        "api" => parse_api(rest),
        "bench" => parse_bench(rest),
        "console" => match rest.first() {
            None => Ok(Task::Console),
            Some(first) => bail!("`console` takes no `{first}`"),
        },
        "crash" => parse_crash(rest),
        "install" => parse_install(rest),
        "shell-compat" => parse_shell_compat(rest).map(Task::ShellCompat),
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

fn parse_api(arguments: Vec<String>) -> Result<Task> {
    let mut arguments = arguments.into_iter();
    match arguments.next() {
        Some(first) if first != "--" => {
            bail!("`api` takes no `{first}`; arguments of schemathesis follow `--`")
        }
        _ => Ok(Task::Api { arguments: arguments.collect() }),
    }
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

fn parse_shell_compat(arguments: Vec<String>) -> Result<ShellCompat> {
    let mut compat = ShellCompat::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let what = match argument.as_str() {
            "-v" => {
                compat.verbose = true;
                continue;
            }
            "--native" => ShellCompatTask::CompareNative,
            "--record" => ShellCompatTask::Record,
            "--list" => ShellCompatTask::List,
            "--write" if compat.what == ShellCompatTask::List => {
                compat.what = ShellCompatTask::WriteList;
                continue;
            }
            "--shell" => match arguments.next() {
                Some(path) => ShellCompatTask::ComparePath(PathBuf::from(path)),
                None => bail!("`--shell` needs the path of a `yoi`"),
            },
            option if option.starts_with('-') => {
                bail!("`shell-compat` has no option `{option}` here")
            }
            _ => {
                compat.categories.push(argument);
                continue;
            }
        };
        if compat.what != ShellCompatTask::Compare {
            bail!("`{argument}` does not go with what precedes it");
        }
        compat.what = what;
    }
    Ok(compat)
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
    fn console_takes_nothing() {
        assert_eq!(parsed("console").unwrap(), Task::Console);
        assert!(parsed("console --watch").is_err());
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
    fn api_passes_on_what_follows_the_separator() {
        let arguments = strings(&["--include-path", "/metrics"]);
        assert_eq!(parsed("api -- --include-path /metrics").unwrap(), Task::Api { arguments });
        assert_eq!(parsed("api").unwrap(), Task::Api { arguments: Vec::new() });
        assert!(parsed("api /metrics").is_err());
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
    fn shell_compat_does_one_thing_to_some_categories() {
        let categories = strings(&["sed", "awk"]);
        let what = ShellCompatTask::CompareNative;
        assert_eq!(
            parsed("shell-compat sed --native -v awk").unwrap(),
            Task::ShellCompat(ShellCompat { what, categories, verbose: true })
        );
        let what = ShellCompatTask::WriteList;
        assert_eq!(
            parsed("shell-compat --list --write").unwrap(),
            Task::ShellCompat(ShellCompat { what, ..ShellCompat::default() })
        );
        for wrong in ["--native --record", "--shell", "--write", "--fast"] {
            assert!(parsed(&format!("shell-compat {wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_task_is_an_error() {
        assert!(parsed("deploy").is_err());
    }
}

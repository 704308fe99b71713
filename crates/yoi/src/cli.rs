//! The command line: what can be written, and the help that teaches it.

mod component;
mod password;
mod runtime;
mod serve;
mod store;
mod worker;

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use runtime_server::Scope;
use worker_types::{IdempotencyKey, ItemId, ProfileName, TurnId};

use crate::{dir_arg::DirArgs, logging::LogFormat};

use self::serve::{LogArgs, serve_help};
pub(crate) use self::{
    component::{ComponentCommand, PushArgs, RemoveArgs},
    password::PasswordCommand,
    runtime::{AddRuntimeArgs, DrainArgs, RuntimeCommand},
    serve::{RuntimeCli, ServeArgs},
    store::StoreCommand,
    worker::{BeginArgs, HostArgs, RuntimeArg, WhenBusy, WorkerArgs, WorkerCommand},
};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    refused or failed
  2    the command line makes no sense
  3    no Backend, or no Runtime process, can be reached
  4    logs are damaged
  130  interrupted";

const EXAMPLES: &str = "\
Examples:
  yoi up                           start the Backend and its console
  yoi run companion \"hello\"        ask once, keep nothing
  yoi exec --dir . tool.wasm       any WASI command, with this directory to read and no more
  yoi shell --dir .:rw             a bash that has this directory, and nothing else
  yoi worker create companion      a Worker that stays
  yoi worker send 1f8a3c02 \"hi\"    talk to it: any end or beginning of its id will do
  yoi serve                        a Runtime for Backends elsewhere, over HTTP
  yoi doctor                       what this machine can do, and what is missing

Models: [models.default] in yoi.toml, else the usual environment variables (OPENAI_API_KEY, …),
else a local Ollama, else a small rule-based model that says what it is.";

/// Runs AI workers that nobody has to trust.
#[derive(Debug, Parser)]
#[command(name = "yoi", version)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Cli {
    /// The configuration [default: yoi/yoi.toml in $XDG_CONFIG_HOME or ~/.config, if there is one]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the Backend: an embedded Runtime, the Browser API and the console
    Up(UpArgs),
    /// Start a Runtime process: the same Runtime, over HTTP
    #[command(after_help = serve_help())]
    Serve(ServeArgs),
    /// List and add the Runtimes of a running Backend, and operate a Runtime process
    #[command(subcommand)]
    Runtime(RuntimeCommand),
    /// Make, list and remove the tokens that let in to a Runtime process
    #[command(subcommand)]
    Token(TokenCommand),
    /// Set or remove the password of the console
    #[command(subcommand)]
    Password(PasswordCommand),
    /// Print a fresh one-time link to the running Backend's console
    Url(BackendArgs),
    /// Run one Worker for one turn in this process, and keep nothing
    Run(RunArgs),
    /// Run any WASI command, with only the directories it is given
    Exec(ExecArgs),
    /// Run scripts, or a session, of a bash-compatible shell that has only the directories it is given
    #[cfg(unix)]
    Shell(ShellArgs),
    /// Look into components
    #[command(subcommand)]
    Component(ComponentCommand),
    /// List, create and talk to the Workers of a running Backend, or of a Runtime process
    #[command(subcommand, visible_alias = "workers")]
    Worker(WorkerCommand),
    /// Check and back up the logs in a data directory, also while it is in use
    #[command(subcommand)]
    Store(StoreCommand),
    /// Check what this machine can do, and say what would mend what it cannot
    #[command(after_help = "Exits with 1 if anything fails. A warning is no failure.")]
    Doctor(DoctorArgs),
    /// Compile a component for a Runtime, as it asks for on the command line
    #[command(hide = true)]
    Compile {
        /// What the Runtime adds
        job: Vec<OsString>,
    },
    /// Start the other processes of a Backend, as it asks for on standard input
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Launcher,
    /// Try whether a process can be confined, from inside one
    #[command(hide = true)]
    ConfineProbe {
        /// What it may use
        inside: PathBuf,
        /// What it may not
        outside: PathBuf,
        /// Files that it may read
        files: Vec<PathBuf>,
    },
    /// Print the completions of a shell
    #[command(
        after_help = "Example:\n  yoi completions bash > ~/.local/share/bash-completion/completions/yoi"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// What is logged unless RUST_LOG says otherwise. Only who runs a Backend is its operator; to
    /// everybody else, what goes wrong is told in the answer.
    pub(crate) fn log_filter(&self) -> &'static str {
        match self {
            // Who commanded what, and who signed in, is for the operator, too.
            Self::Serve(_) | Self::Up(_) => "warn,audit=info",
            // What they find is what they print.
            Self::Store(_) => "off",
            #[cfg(target_os = "linux")]
            Self::Launcher => "error",
            Self::Url(_)
            | Self::Runtime(_)
            | Self::Token(_)
            | Self::Password(_)
            | Self::Run(_)
            | Self::Exec(_)
            | Self::Component(_)
            | Self::Worker(_)
            | Self::Doctor(_)
            | Self::Compile { .. }
            | Self::ConfineProbe { .. }
            | Self::Completions { .. } => "error",
            #[cfg(unix)]
            Self::Shell(_) => "error",
        }
    }

    /// How that is written.
    pub(crate) fn log_format(&self) -> LogFormat {
        match self {
            Self::Up(UpArgs { log, .. }) | Self::Serve(ServeArgs { log, .. }) => log.log_format,
            _ => LogFormat::Text,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  yoi up
  yoi up --listen 127.0.0.1:0      take any free port
  yoi url                          another link, while it runs
  yoi password set                 for other machines, with [server] tls

Once it is ready, standard output gets one line with a link, which signs one browser in, once; what
else there is to say goes to standard error. Where other machines reach it, the line has the address,
and browsers sign in with the password. Ctrl-C ends it: running turns get a few seconds, a
second Ctrl-C ends it at once.")]
pub(crate) struct UpArgs {
    /// Where to listen; other machines reach it only with [server] tls and `yoi password set`. Port 0 takes a free one [default: 127.0.0.1:8900]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) data_dir: DataDirArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, and print it: it is kept nowhere
    New(TokenNewArgs),
    /// List the tokens: what they are called, and what they are good for
    Ls {
        #[command(flatten)]
        data_dir: DataDirArgs,
    },
    /// Remove a token. It is good for nothing from then on
    Rm {
        /// What `ls` calls it
        id: String,
        #[command(flatten)]
        data_dir: DataDirArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TokenNewArgs {
    /// What it may be used for; may be repeated, and `admin` includes the others
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    pub(crate) scopes: Vec<Scope>,
    /// Only for Workers with this label, which those it creates get; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,
    /// How long it is good for, such as `12h` or `30d` [default: for ever]
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<jiff::Span>,
    /// The Workers it creates may be granted no more than [policy.PROFILE] grants
    #[arg(long, value_name = "PROFILE")]
    pub(crate) ceiling: Option<ProfileName>,
    /// A name for eyes
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) data_dir: DataDirArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DataDirArgs {
    /// The directory of the Backend or Runtime process [default: $XDG_DATA_HOME/yoi or ~/.local/share/yoi]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// How to find the Backend.
#[derive(Debug, Args)]
pub(crate) struct BackendArgs {
    /// The Backend's address, its token in YOI_TOKEN [default: the one of the data directory]
    #[arg(long, value_name = "URL")]
    pub(crate) backend: Option<String>,
    #[command(flatten)]
    pub(crate) data_dir: DataDirArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  yoi run companion \"Why is the sky blue?\"
  git log -5 | yoi run companion -
  yoi run --dir . --dir out:/out:rw mine \"Summarise it in /out\"
  yoi --json run echo \"hi\"         the Worker's events, one JSON object a line

The answer goes to standard output; what is granted, and how a turn failed, to standard error. The
exit code is 0 only if the turn completed. Ctrl-C cancels the turn.")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) dirs: DirArgs,
    /// The profile: how the Worker behaves. What it may do is in [policy.PROFILE], and in --dir
    pub(crate) profile: ProfileName,
    /// What to say to it; `-` reads standard input
    pub(crate) input: String,
}

#[derive(Debug, Args)]
#[command(override_usage = "yoi exec [OPTIONS] <COMPONENT> [ARGUMENTS]...")]
#[command(after_help = "\
Examples:
  yoi exec --dir src rg.wasm fn /workspace     a search that can read src, and nothing else
  yoi exec --dir .:/in --dir out:/out:rw convert.wasm /in/a.png /out/a.jpg
  yoi exec --env LANG --env MODE=fast tool.wasm < input > output

It runs a component of WASI 0.2 that exports wasi:cli/run, or a core module of WASI 0.1, within the
[limits] of a turn, however long it waits. It has the standard streams, and no network: one that
imports sockets is refused, by the import's name. Of the environment it has only what --env names. What
stands after COMPONENT is for the command.

The exit code is the command's own where it uses exit-with-code of WASI 0.2.12; without, WASI tells
only whether it is 0, and any other is 1. Or
  1    it was refused
  130  interrupted
  134  it trapped, or went over a limit
  141  nobody reads what it writes")]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub(crate) dirs: DirArgs,
    /// Give it a variable; without a value, the one that is set here. May be repeated
    #[arg(long = "env", value_name = "NAME[=VALUE]", value_parser = variable)]
    pub(crate) env: Vec<(String, Option<String>)>,
    /// The command's file, and its arguments
    #[arg(value_name = "COMPONENT", required = true, trailing_var_arg = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(override_usage = "yoi shell [OPTIONS] [-c SCRIPT | FILE] [ARGUMENTS]...")]
#[command(after_help = "\
Examples:
  yoi shell --dir .:rw                     a session in this directory
  yoi shell --dir . -c 'grep -rn TODO . | wc -l'
  yoi shell --dir in --dir out:/out:rw build.sh release
  curl -s https://example.com/x.sh | yoi shell

It is a bash with grep, sed, awk, jq, find, tar and the rest, all of it inside WebAssembly: no native
process, no network, none of this machine's files but those of --dir, and of its variables only what
--env names. $HOME and /tmp are a directory that goes with it. [commands] in yoi.toml adds WASI commands
of your own. Each script, or line of a session, runs within the [limits] of a turn, however long it waits.

The exit code is the script's. Or
  1    it was refused
  130  interrupted: in a session, Ctrl-C ends the command, and Ctrl-D the session
  134  the shell failed
  137  it went over a limit, which is said
  141  nobody reads what it writes")]
#[cfg(unix)]
pub(crate) struct ShellArgs {
    #[command(flatten)]
    pub(crate) dirs: DirArgs,
    /// Give it a variable; without a value, the one that is set here. May be repeated
    #[arg(long = "env", value_name = "NAME[=VALUE]", value_parser = variable)]
    pub(crate) env: Vec<(String, Option<String>)>,
    /// Run this script; what follows is $0, $1 and so on
    #[arg(short = 'c', value_name = "SCRIPT")]
    pub(crate) script: Option<String>,
    /// A file to run, unless there is -c, and its arguments. Without either, a script is read from
    /// standard input, or from you
    #[arg(value_name = "FILE", trailing_var_arg = true)]
    pub(crate) operands: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) data_dir: DataDirArgs,
}

/// What to write to run `yoi`: its path if this program was started by one, which need not be where a shell
/// looks. `worker-runtime` lies beside it.
pub(crate) fn own_name() -> String {
    called(std::env::args_os().next())
}

fn called(argument: Option<OsString>) -> String {
    let path = argument.map(PathBuf::from).unwrap_or_default();
    let path = match path.file_name() {
        Some(name) if name == "worker-runtime" => path.with_file_name("yoi"),
        _ => path,
    };
    let path = path.to_string_lossy().into_owned();
    if path.contains('/') { path } else { "yoi".to_owned() }
}

fn idempotency_key(text: &str) -> Result<IdempotencyKey, String> {
    IdempotencyKey::new(text).map_err(|error| error.to_string())
}

fn item(text: &str) -> Result<ItemId, String> {
    text.parse().map_err(|_| {
        "expected the number of an item, such as 3: a transcript has it where an item is cut, and \
         with --json for all of them, as `id`"
            .to_owned()
    })
}

fn turn(text: &str) -> Result<TurnId, String> {
    text.parse()
        .map_err(|_| "expected the number of a turn, such as 3: `show` lists them".to_owned())
}

fn variable(text: &str) -> Result<(String, Option<String>), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    if name.is_empty() {
        Err("expected NAME or NAME=VALUE".to_owned())
    } else {
        Ok((name.to_owned(), value))
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_subcommand() {
        for line in [["yoi", "--json", "doctor"], ["yoi", "doctor", "--json"]] {
            assert!(Cli::try_parse_from(line).expect("a valid line").json);
        }
    }

    #[test]
    fn who_was_started_by_its_path_is_called_by_it() {
        assert_eq!(called(Some("target/debug/yoi".into())), "target/debug/yoi");
        assert_eq!(called(Some("target/debug/worker-runtime".into())), "target/debug/yoi");
        assert_eq!(called(Some("yoi".into())), "yoi");
        assert_eq!(called(None), "yoi");
    }

    #[test]
    fn what_is_no_number_of_an_item_or_turn_is_told_where_to_find_one() {
        assert_eq!(item("3"), Ok(ItemId::new(3)));
        for text in ["x", "", "-1", "[3]"] {
            assert!(item(text).expect_err(text).contains("--json"), "{text}");
            assert!(turn(text).expect_err(text).contains("`show`"), "{text}");
        }
    }

    #[test]
    fn a_label_is_a_key_and_a_value() {
        assert_eq!(label("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(label("a").is_err() && label("=b").is_err());
    }
}

//! `yoi serve`, and the program `worker-runtime`, which is the same by itself.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use super::{Cli, Command, DataDirArgs};
use crate::logging::LogFormat;

/// What both programs say of a Runtime process.
const ENDING: &str = "\
Once it is ready, standard output gets one line with its address; what else there is to say, and a line
for each command that somebody gives, goes to standard error. SIGTERM ends it: no new work is taken, and
running turns get [server] shutdown_grace_s to end (30 seconds); a second one ends it at once.";

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen; other machines reach it only with [server] tls. Port 0 takes a free one [default: 127.0.0.1:38800]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) data_dir: DataDirArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// How a process that stays tells what happens.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// How standard error is written: lines for people, or one JSON object a line
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
}

/// What `yoi serve --help` ends with.
pub(super) fn serve_help() -> String {
    format!(
        "\
Examples:
  yoi serve
  yoi serve --listen 127.0.0.1:0 --data-dir /srv/yoi
  yoi token new --scope observe --scope command --label team=web --expires 30d
  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:38800/v1/runtime

{ENDING}"
    )
}

/// Runs AI workers that nobody has to trust, for Backends and programs elsewhere, over HTTP: `yoi serve` by itself.
#[derive(Debug, Parser)]
#[command(name = "worker-runtime", version, disable_help_subcommand = true)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = format!("\
Examples:
  worker-runtime
  worker-runtime --config /etc/yoi/yoi.toml --data-dir /var/lib/yoi --log-format json

{ENDING}

`yoi token` says who is let in; `yoi runtime drain` lets it end without losing a turn.

Exit codes:
  0    it was asked to end, and did
  1    refused or failed
  2    the command line makes no sense
  130  ended at once, by a second signal"))]
pub(crate) struct RuntimeCli {
    /// The configuration [default: yoi/yoi.toml in $XDG_CONFIG_HOME or ~/.config, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(subcommand)]
    helper: Option<Helper>,
}

/// What the process starts of itself.
#[derive(Debug, Subcommand)]
enum Helper {
    /// Compile a component
    #[command(hide = true)]
    Compile {
        /// What the Runtime adds
        job: Vec<OsString>,
    },
    /// Start compile helpers
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Launcher,
}

impl From<RuntimeCli> for Cli {
    fn from(written: RuntimeCli) -> Self {
        let RuntimeCli { config, json, serve, helper } = written;
        let command = match helper {
            None => Command::Serve(serve),
            Some(Helper::Compile { job }) => Command::Compile { job },
            #[cfg(target_os = "linux")]
            Some(Helper::Launcher) => Command::Launcher,
        };
        Self { config, json, command }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        RuntimeCli::command().debug_assert();
    }

    #[test]
    fn the_program_takes_what_yoi_serve_takes() {
        let options = ["--config", "yoi.toml", "--json", "--listen", "127.0.0.1:0"];
        let options = [&options[..], &["--data-dir", "data", "--log-format", "json"]].concat();
        let alone = RuntimeCli::try_parse_from([&["worker-runtime"], &options[..]].concat());
        let serve = Cli::try_parse_from([&["yoi", "serve"], &options[..]].concat());
        let alone = Cli::from(alone.expect("a valid line"));
        assert_eq!(format!("{alone:?}"), format!("{:?}", serve.expect("a valid line")));
        assert!(matches!(alone.command, Command::Serve(_)));
    }

    #[test]
    fn the_program_starts_itself_as_its_helper() {
        let line = ["worker-runtime", "compile", "1", "2"];
        let helper = Cli::from(RuntimeCli::try_parse_from(line).expect("a valid line"));
        assert!(matches!(helper.command, Command::Compile { job } if job.len() == 2));
    }
}

//! `yoi runtime`: the Runtimes of a Backend, and what an operator does with a Runtime process that runs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use worker_types::RuntimeId;

use super::BackendArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum RuntimeCommand {
    /// List the Runtimes of the running Backend
    Ls(BackendArgs),
    /// Show one of them: what it can grant, and why not the rest
    Show(RuntimeIdArgs),
    /// Add a Runtime process to those of the running Backend
    #[command(after_help = "\
Examples:
  yoi runtime add far https://host.example:38800 --token-file far.token
  yoi runtime add far http://127.0.0.1:38800 --token-env YOI_TOKEN_FAR

The token crosses no API. The Backend reads it from tokens/FILE in its data directory, which others must not
be able to read (`chmod 600`), or from a variable of its own environment whose name begins with YOI_TOKEN_.")]
    Add(AddRuntimeArgs),
    /// Try whether a remote Runtime answers, and takes the Backend's token
    Test(RuntimeIdArgs),
    /// Remove a Runtime that was added; its Workers stay where they are
    Rm {
        #[command(flatten)]
        runtime: RuntimeIdArgs,
        /// Also where it has Workers that are not stopped, or does not answer
        #[arg(long)]
        force: bool,
    },
    /// Let a Runtime process take no new work, and wait until none is left
    #[command(after_help = "\
Examples:
  yoi runtime drain && systemctl restart worker-runtime
  yoi runtime drain --runtime https://host.example:38800 --no-wait

New Workers and inputs are refused as `runtime_unavailable` from then on, and /readyz says 503. Turns that run
or wait are finished; everything can still be looked at. A Runtime that drains takes work again only after a
restart. The token in YOI_TOKEN needs the scope `admin`.")]
    Drain(DrainArgs),
}

/// One Runtime of a Backend.
#[derive(Debug, Args)]
pub(crate) struct RuntimeIdArgs {
    /// What it is called at the Backend
    pub(crate) id: RuntimeId,
    #[command(flatten)]
    pub(crate) backend: BackendArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AddRuntimeArgs {
    #[command(flatten)]
    pub(crate) runtime: RuntimeIdArgs,
    /// Where it is, such as https://host:38800
    pub(crate) endpoint: String,
    #[command(flatten)]
    pub(crate) token: TokenPlaceArgs,
    /// A PEM file of certificates to trust besides those of the system, for a Runtime that made its own
    #[arg(long, value_name = "FILE")]
    pub(crate) certificates: Option<PathBuf>,
    /// It was added before, and is reached so from now on; the token is read anew
    #[arg(long)]
    pub(crate) replace: bool,
}

/// Where the Backend finds the token.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct TokenPlaceArgs {
    /// A variable of the Backend's environment
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) token_env: Option<String>,
    /// A file in tokens/ of the Backend's data directory
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    pub(crate) runtime: RuntimeUrl,
    /// Do not wait until nothing is left to do
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// Which Runtime process is meant.
#[derive(Debug, Args)]
pub(crate) struct RuntimeUrl {
    /// The address of the Runtime process, its token in YOI_TOKEN
    #[arg(long = "runtime", value_name = "URL", default_value = "http://127.0.0.1:38800")]
    pub(crate) url: String,
}

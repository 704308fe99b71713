//! `yoi runtime`: what an operator does with a Runtime process that runs.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum RuntimeCommand {
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

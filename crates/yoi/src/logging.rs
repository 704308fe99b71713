//! What this process logs, and how it is written. It goes to standard error.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How lines of the log are written: for people, or each as one JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// What it logs as an error its caller is told, and says in words of its own.
const REPEATED: &str = "rustls_platform_verifier=off";

/// Logs what `RUST_LOG` says, or where it is not set, what passes `filter`.
pub(crate) fn start(format: LogFormat, filter: &str) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| format!("{filter},{REPEATED}").into());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
        // A turn's span has all there is to know of where a line comes from.
        LogFormat::Json => lines.json().with_span_list(false).init(),
    }
}

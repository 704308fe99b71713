//! `yoi component …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use worker_types::ComponentDigest;

use super::runtime::RuntimeUrl;

#[derive(Debug, Subcommand)]
pub(crate) enum ComponentCommand {
    /// Say what a component is, and what it could ask for, without running it
    Inspect {
        /// A file of WebAssembly
        file: PathBuf,
    },
    /// Let a Runtime process keep a component, and print its digest: Workers can be upgraded to that
    #[command(after_help = "\
Examples:
  yoi component push tutor.wasm
  yoi worker upgrade ID sha256:… --runtime http://127.0.0.1:38800

The token in YOI_TOKEN needs the scope `admin`.")]
    Push(PushArgs),
    /// Let a Runtime process forget a component that no profile and no Worker goes by
    #[command(after_help = "The token in YOI_TOKEN needs the scope `admin`.")]
    Rm(RemoveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// A file of WebAssembly
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) runtime: RuntimeUrl,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// What `push` printed: sha256: and 64 hexadecimal digits
    pub(crate) digest: ComponentDigest,
    #[command(flatten)]
    pub(crate) runtime: RuntimeUrl,
}

//! `yoi password`.

use clap::Subcommand;

use super::DataDirArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum PasswordCommand {
    /// Set the password, which is asked for twice, or is the first line of standard input. All browsers are signed out
    #[command(after_help = "\
Examples:
  yoi password set
  pass show yoi | yoi password set

It has at least 12 characters. A hash of it (Argon2id) is kept in the data directory, for its owner alone; it
counts at once, also for a Backend that runs.")]
    Set {
        #[command(flatten)]
        data_dir: DataDirArgs,
    },
    /// Remove the password. All browsers are signed out, and none signs in with it from then on
    Rm {
        #[command(flatten)]
        data_dir: DataDirArgs,
    },
}

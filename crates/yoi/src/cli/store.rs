//! `yoi store …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::DataDirArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Read all logs, and say which are damaged. Nothing is changed
    Check(StoreCheckArgs),
    /// Copy all logs, with the components that Workers need, into a directory that can take their place
    Backup(StoreBackupArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  yoi store check
  yoi store check --data-dir /srv/yoi
  yoi --json store check           a line for each Worker, then one for what they share

Exits with 0 if all of it can be read and makes sense, with 4 if something is damaged, and with 1 if
nothing can be said. A Runtime that uses the directory goes on meanwhile.")]
pub(crate) struct StoreCheckArgs {
    #[command(flatten)]
    pub(crate) data_dir: DataDirArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  yoi store backup /backups/yoi-2026-08-01
  yoi serve --data-dir /backups/yoi-2026-08-01

The backup is of the moment at which it begins; a Runtime that uses the directory goes on meanwhile. It is
checked before it gets its name: exits with 0 if all is well, with 4 if it has damage, which the original has,
too, and with 1 where it cannot be checked, and then there is none. Neither tokens nor the Workers' private directories are in it.")]
pub(crate) struct StoreBackupArgs {
    /// Where the backup is to be: a directory that is not there, or is empty
    #[arg(value_name = "DEST")]
    pub(crate) destination: PathBuf,
    #[command(flatten)]
    pub(crate) data_dir: DataDirArgs,
}

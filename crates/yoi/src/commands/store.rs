//! `yoi store`: whether the logs in a data directory are whole, and copies of them.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::json;
use worker_runtime::{BackupStoreError, CheckProgress, ReadStoreError, Store, StoreCheck};
use yoi_config::Config;

use crate::{
    cli::{StoreCommand, own_name},
    data_dir::{data_dir, log_dir},
    exit::Exit,
    output::Output,
};

/// Bytes of a database that are not gone through at once.
const LARGE: u64 = 256 << 20;

/// Between two words on how far something is.
const PROGRESS: Duration = Duration::from_secs(2);

pub(super) fn run(command: &StoreCommand, config: &Config, output: Output) -> anyhow::Result<Exit> {
    let ended = match command {
        StoreCommand::Check(args) => {
            let dir = data_dir(args.data_dir.data_dir.as_deref(), config)?;
            checked(&log_dir(&dir), output).and_then(|found| report(&found, output))
        }
        StoreCommand::Backup(args) => {
            let dir = data_dir(args.data_dir.data_dir.as_deref(), config)?;
            // `link/` is a link as well: what is looked at, and renamed, has no slash at its end.
            let destination: PathBuf = args.destination.components().collect();
            backup(&dir, &destination, output)
        }
    };
    match ended {
        // There is nothing else left to say.
        Err(error) if is_damage(&error) => {
            output.error(&format!("{error:#}"), None);
            Ok(Exit::Damaged)
        }
        ended => ended,
    }
}

fn is_damage(error: &anyhow::Error) -> bool {
    match error.downcast_ref() {
        Some(BackupStoreError::Read(error)) => error.is_damage(),
        _ => error.downcast_ref().is_some_and(ReadStoreError::is_damage),
    }
}

fn checked(logs: &Path, output: Output) -> anyhow::Result<StoreCheck> {
    let mut progress = Progress::new(output);
    let found = Store::check(logs, |at| match at {
        CheckProgress::Database { bytes } if bytes >= LARGE => {
            output.note(&format!("{bytes} bytes of the database are checked first"));
        }
        CheckProgress::Workers { done } => {
            progress.say(|| format!("{done} Workers are checked so far"));
        }
        _ => {}
    });
    Ok(found?)
}

/// Says what was found.
fn report(found: &StoreCheck, output: Output) -> anyhow::Result<Exit> {
    let (workers, damaged) = (found.workers.len(), found.damaged_workers().count());
    let exit = if found.is_damaged() { Exit::Damaged } else { Exit::Done };
    if output.is_json() {
        for worker in &found.workers {
            output.json(worker)?;
        }
        output.json(&json!({ "workers": workers, "damaged": damaged, "damage": found.damage }))?;
        return Ok(exit);
    }
    for damage in &found.damage {
        output.line(&format!("DAMAGED  {:32}  {}: {}", "the store", damage.part, damage.reason))?;
    }
    for worker in found.damaged_workers() {
        for damage in &worker.damage {
            let id = worker.worker_id;
            output.line(&format!("DAMAGED  {id:32}  {}: {}", damage.part, damage.reason))?;
        }
    }
    let events: u64 = found.workers.iter().map(|worker| worker.events).sum();
    if exit == Exit::Done {
        output.line(&format!("{workers} Workers with {events} events: nothing is damaged"))?;
        return Ok(exit);
    }
    output.line(&format!("{damaged} of {workers} Workers are damaged"))?;
    output.line("  -> restore a backup in place of the whole data directory")?;
    if damaged > 0 {
        let yoi = own_name();
        output.line(&format!(
            "  -> or go on without these Workers: the others are not affected, and `{yoi} worker rm ID` \
             deletes one"
        ))?;
    }
    Ok(exit)
}

/// Makes a data directory with a copy of the logs in `from`. It is made beside `to` and renamed when it
/// is whole: half a backup is none, and would look like a place where nothing was ever said.
fn backup(from: &Path, to: &Path, output: Output) -> anyhow::Result<Exit> {
    refuse_taken(to)?;
    let beside = parent(to);
    let within =
        |dir: &Path| Ok::<_, io::Error>(beside.canonicalize()?.starts_with(dir.canonicalize()?));
    anyhow::ensure!(
        !within(from).unwrap_or(false),
        "{} is in the data directory, and would go with it: name another place",
        to.display()
    );
    let mut named = tempfile::Builder::new();
    named.prefix(".yoi-backup-");
    #[cfg(unix)]
    named.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let unfinished = named
        .tempdir_in(&beside)
        .with_context(|| format!("failed to make a directory in {}", beside.display()))?;
    let logs = log_dir(unfinished.path());
    let mut progress = Progress::new(output);
    Store::backup(log_dir(from), &logs, |at| {
        progress.say(|| format!("{} of {} bytes are copied", at.copied, at.total));
    })?;
    let found = checked(&logs, output)?;
    let moved = fs::rename(unfinished.path(), to).and_then(|()| File::open(&beside)?.sync_all());
    moved.with_context(|| {
        format!("failed to move the backup to {}: name a directory that is not there", to.display())
    })?;
    // It is where it was to be, and not to be removed.
    let _ = unfinished.keep();
    output.note(&format!("the backup is in {0}: `--data-dir {0}` uses it", to.display()));
    report(&found, output)
}

fn refuse_taken(to: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(!to.is_symlink(), "{} is a link: name a directory", to.display());
    let is_empty = match fs::read_dir(to) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            return Err(error).with_context(|| format!("failed to look into {}", to.display()));
        }
    };
    anyhow::ensure!(
        is_empty,
        "{} is not empty: name a directory that is not there yet",
        to.display()
    );
    Ok(())
}

/// The directory that `path` is in.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Says now and then how far something is that takes long.
struct Progress {
    output: Output,
    last: Instant,
}

impl Progress {
    fn new(output: Output) -> Self {
        Self { output, last: Instant::now() }
    }

    fn say(&mut self, words: impl FnOnce() -> String) {
        if self.last.elapsed() >= PROGRESS {
            self.output.note(&words());
            self.last = Instant::now();
        }
    }
}

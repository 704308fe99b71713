//! `yoi token`: who may use the Runtime of a data directory.

use std::path::PathBuf;
#[cfg(unix)]
use std::{fs, path::Path};

use anyhow::Context as _;
use jiff::{Span, Timestamp, Zoned, tz::TimeZone};
use runtime_server::{NewToken, TokenFile, TokenRecord};
use serde_json::json;
use yoi_config::Config;

use crate::{
    cli::{DataDirArgs, TokenCommand, TokenNewArgs, own_name},
    commands::serve::token_file,
    data_dir::{create_private_dir, data_dir},
    exit::Exit,
    output::Output,
    runtime_setup::Setup,
};

pub(super) fn run(command: TokenCommand, config: &Config, output: Output) -> anyhow::Result<Exit> {
    match command {
        TokenCommand::New(args) => {
            // First of all: what is refused leaves no directory behind either.
            let new = new(&args, config)?;
            let file = file(&args.data_dir, config)?;
            let (record, secret) = file.add(new).context("failed to keep it")?;
            if output.is_json() {
                output.json(&json!({ "id": record.id, "token": secret.reveal() }))?;
            } else {
                output.note(&format!("{}: {}", record.id, words(&record)));
                output.note("it is shown once, and counts at once");
                output.line(secret.reveal())?;
            }
        }
        TokenCommand::Ls { data_dir } => {
            for record in file(&data_dir, config)?.list()? {
                if output.is_json() {
                    output.json(&json!({
                        "id": record.id,
                        "name": record.name,
                        "scopes": record.scopes,
                        "labels": record.labels,
                        "created_at": record.created_at,
                        "expires_at": record.expires_at,
                        "ceiling": record.ceiling,
                    }))?;
                } else {
                    output.line(&format!("{}  {}", record.id, words(&record)))?;
                }
            }
        }
        TokenCommand::Rm { id, data_dir } => {
            anyhow::ensure!(
                file(&data_dir, config)?.remove(&id)?,
                "there is no token `{id}`: `yoi token ls` lists those there are"
            );
        }
    }
    Ok(Exit::Done)
}

fn file(args: &DataDirArgs, config: &Config) -> anyhow::Result<TokenFile> {
    Ok(token_file(&own_dir(args, config, "token …")?))
}

/// The data directory, which is this user's and is made where it is missing, for `command`.
pub(super) fn own_dir(
    args: &DataDirArgs,
    config: &Config,
    command: &str,
) -> anyhow::Result<PathBuf> {
    let dir = data_dir(args.data_dir.as_deref(), config)?;
    create_private_dir(&dir)
        .with_context(|| format!("failed to make the data directory {}", dir.display()))?;
    #[cfg(unix)]
    refuse_of_others(&dir, command)?;
    Ok(dir)
}

/// What root writes into the directory of another user, that user's process cannot read: nobody would be let
/// in any more.
#[cfg(unix)]
fn refuse_of_others(dir: &Path, command: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let owner = fs::metadata(dir)?.uid();
    anyhow::ensure!(
        owner == rustix::process::geteuid().as_raw(),
        "{} belongs to another user: `sudo -u '#{owner}' {} {command}`",
        dir.display(),
        own_name()
    );
    Ok(())
}

fn new(args: &TokenNewArgs, config: &Config) -> anyhow::Result<NewToken> {
    let ceiling = args.ceiling.as_ref().map(|profile| {
        let setup = Setup::new(config)?;
        let known = setup.policy();
        anyhow::ensure!(
            known.contains_key(profile),
            "there is no policy of `{profile}`; there are: {}",
            known.keys().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
        );
        anyhow::Ok(setup.grants(profile))
    });
    Ok(NewToken {
        name: args.name.clone().unwrap_or_default(),
        scopes: args.scopes.iter().copied().collect(),
        labels: args.labels.iter().cloned().collect(),
        expires_at: args.expires.map(from_now).transpose()?,
        ceiling: ceiling.transpose()?,
    })
}

fn from_now(span: Span) -> anyhow::Result<Timestamp> {
    let now = Zoned::now().with_time_zone(TimeZone::UTC);
    let end = now.checked_add(span).context("--expires is beyond the end of time")?;
    anyhow::ensure!(end > now, "--expires is not in the future");
    Ok(end.timestamp())
}

/// What it is good for.
fn words(record: &TokenRecord) -> String {
    let scopes: Vec<&str> = record.scopes.iter().map(|scope| scope.name()).collect();
    let mut words = scopes.join(", ");
    for (key, value) in &record.labels {
        words.push_str(&format!(", for {key}={value}"));
    }
    if record.ceiling.is_some() {
        words.push_str(", with a ceiling");
    }
    if let Some(end) = record.expires_at {
        let word = if record.is_expired(Timestamp::now()) { "expired" } else { "until" };
        words.push_str(&format!(", {word} {end:.0}"));
    }
    if !record.name.is_empty() {
        words.push_str(&format!("  {}", record.name));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_ends_in_the_future_or_is_refused() {
        assert!(from_now("30d".parse().expect("a span")).expect("a time") > Timestamp::now());
        for bad in ["-1h", "0s"] {
            assert!(from_now(bad.parse().expect("a span")).is_err(), "{bad}");
        }
    }
}

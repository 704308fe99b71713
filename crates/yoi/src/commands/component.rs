//! `yoi component`: what is in a file, without running it, and what a Runtime process keeps.

use std::path::Path;

use anyhow::Context as _;
use serde_json::json;
use worker_runtime::{Import, Inspection, Takes, inspect_component};
use yoi_config::Config;

use crate::{
    cli::{ComponentCommand, PushArgs, RemoveArgs},
    commands::runtime::client,
    exit::Exit,
    output::Output,
    runtime_setup::read_component,
};

pub(crate) async fn run(
    command: ComponentCommand,
    config: &Config,
    output: Output,
) -> anyhow::Result<Exit> {
    match command {
        ComponentCommand::Inspect { file } => inspect(&file, config, output),
        ComponentCommand::Push(args) => push(&args, output).await,
        ComponentCommand::Rm(args) => remove(&args, output).await,
    }
}

async fn push(args: &PushArgs, output: Output) -> anyhow::Result<Exit> {
    let (client, asked) = client("`yoi component push`", &args.runtime.url, output)?;
    let limits = asked.wait(client.summary()).await?.limits;
    let bytes = read_component(&args.file, limits.component_bytes)
        .with_context(|| format!("failed to read {}", args.file.display()))?;
    let kept = asked.command(client.add_component(bytes.into())).await?;
    if output.is_json() {
        output.json(&kept)?;
    } else {
        for capability in &kept.capabilities {
            output.note(&format!("a Worker that goes by it has to be granted `{capability}`"));
        }
        output.line(&kept.digest.to_string())?;
    }
    Ok(Exit::Done)
}

async fn remove(args: &RemoveArgs, output: Output) -> anyhow::Result<Exit> {
    let (client, asked) = client("`yoi component rm`", &args.runtime.url, output)?;
    asked.command(client.remove_component(args.digest)).await?;
    if output.is_json() {
        output.json(&json!({ "digest": args.digest, "removed": true }))?;
    } else {
        output.note("it is gone");
    }
    Ok(Exit::Done)
}

fn inspect(file: &Path, config: &Config, output: Output) -> anyhow::Result<Exit> {
    let read = || -> anyhow::Result<Inspection> {
        let bytes = read_component(file, config.limits.component_bytes)?;
        Ok(inspect_component(&bytes, &config.limits)?)
    };
    let found = read().with_context(|| format!("nothing can be said of {}", file.display()))?;
    if output.is_json() {
        output.json(&found)?;
        return Ok(Exit::Done);
    }
    let Inspection { size, digest, kind, imports } = &found;
    output.line(&format!("it is    {}", kind.words()))?;
    output.line(&format!("size     {size} bytes"))?;
    output.line(&format!("digest   {digest}"))?;
    if imports.is_empty() {
        output.line("it imports nothing: it can only compute")?;
        return Ok(Exit::Done);
    }
    output.line("")?;
    // What it takes somebody to decide about stands first.
    let mut imports: Vec<&Import> = imports.iter().collect();
    imports.sort_by_key(|import| match import.takes {
        Takes::Refused => 0,
        Takes::Grant(_) => 1,
        Takes::Preopens => 2,
        _ => 3,
    });
    let rows: Vec<[String; 3]> = imports.into_iter().map(row).collect();
    output.table(["IT COULD", "IF IT IS GRANTED", "IMPORT"], &rows)?;
    Ok(Exit::Done)
}

fn row(import: &Import) -> [String; 3] {
    let takes = match import.takes {
        Takes::Preopens => "preopens".to_owned(),
        Takes::Grant(capability) => capability.to_string(),
        Takes::Refused => "never: it is refused".to_owned(),
        _ => "-".to_owned(),
    };
    [import.could.to_owned(), takes, import.name.clone()]
}

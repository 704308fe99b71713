//! `yoi runtime`: the Runtimes of a Backend, and what an operator does with a Runtime process that runs.

use std::{fs, time::Duration};

use anyhow::Context as _;
use runtime_client::RuntimeClient;
use serde_json::json;
use worker_types::{DrainProgress, ModelStatus, Overview, ProfileName, RuntimeStatus};
use yoi_config::Config;
use yoi_workspace_server::{
    ConnectionTest, ManagedBy, RemoteDefinition, RuntimeListing, SourceKind, TokenPlace,
};

use crate::{
    asked::Asked,
    backend_client::{BackendClient, token_from_environment},
    cli::{AddRuntimeArgs, DrainArgs, RuntimeCommand},
    exit::Exit,
    output::Output,
};

/// How long one question waits for the end of all work. The next one goes on.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn run(
    command: RuntimeCommand,
    config: &Config,
    output: Output,
) -> anyhow::Result<Exit> {
    let find = |args| BackendClient::find(args, config, output);
    match command {
        RuntimeCommand::Ls(args) => ls(&find(&args)?.runtimes().await?, output)?,
        RuntimeCommand::Show(args) => {
            show(&find(&args.backend)?.show_runtime(&args.id).await?, output)?;
        }
        RuntimeCommand::Add(args) => {
            let backend = find(&args.runtime.backend)?;
            let replace = args.replace;
            let definition = definition(args)?;
            if replace {
                told(&backend.replace_runtime(&definition).await?, "replaced", output)?;
            } else {
                let added = backend.add_runtime(&definition).await.map_err(|error| {
                    error.with_advice("runtime_exists", "`--replace` has it reached in this way")
                })?;
                told(&added, "added", output)?;
            }
        }
        RuntimeCommand::Test(args) => {
            tested(&find(&args.backend)?.test_runtime(&args.id).await?, output)?;
        }
        RuntimeCommand::Rm { runtime, force } => {
            find(&runtime.backend)?.remove_runtime(&runtime.id, force).await?;
            if output.is_json() {
                output.json(&json!({ "runtime_id": runtime.id, "removed": true }))?;
            } else {
                output.note(&format!("removed {}; its Workers stay where they are", runtime.id));
            }
        }
        RuntimeCommand::Drain(args) => return drain(args, output).await,
    }
    Ok(Exit::Done)
}

fn ls(runtimes: &[RuntimeListing], output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        return runtimes.iter().try_for_each(|runtime| Ok(output.json(runtime)?));
    }
    let row = |runtime: &RuntimeListing| {
        let known = runtime.details.as_ref();
        let reason = runtime.diagnostics.first().map(|found| found.message.clone());
        [
            runtime.runtime_id.to_string(),
            kind(runtime.source_kind).to_owned(),
            runtime.status.name().to_owned(),
            known.map_or_else(String::new, |details| details.version.clone()),
            known.map(|details| details.display_name.clone()).or(reason).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = runtimes.iter().map(row).collect();
    output.table(["ID", "SOURCE", "STATUS", "VERSION", "NAME"], &rows)?;
    Ok(())
}

fn show(runtime: &RuntimeListing, output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        return Ok(output.json(runtime)?);
    }
    let mut rows = vec![
        ["runtime".to_owned(), runtime.runtime_id.to_string()],
        [
            "source".to_owned(),
            format!("{}, {}", kind(runtime.source_kind), managed(runtime.managed_by)),
        ],
        ["status".to_owned(), runtime.status.name().to_owned()],
    ];
    if let Some(details) = &runtime.details {
        let profiles: Vec<&str> = details.profiles.iter().map(ProfileName::as_str).collect();
        rows.push(["name".to_owned(), details.display_name.clone()]);
        rows.push(["version".to_owned(), details.version.clone()]);
        // Not told where only some of them are to be seen.
        rows.extend(details.overview.as_ref().map(|overview| {
            let Overview { idle, running, stopped, unavailable, .. } = overview;
            let counts = format!(
                "{idle} idle, {running} running, {stopped} stopped, {unavailable} unavailable"
            );
            ["workers".to_owned(), counts]
        }));
        rows.push(["profiles".to_owned(), profiles.join(", ")]);
        rows.extend(details.models.iter().map(|known| {
            let ModelStatus { alias, provider, model } = known;
            [format!("model {alias}"), format!("{provider}: {model}")]
        }));
        rows.extend(details.roots.iter().map(|root| {
            let at_most = format!(
                "{} at most, {}",
                root.access,
                state(root.available, root.reason.as_deref())
            );
            [format!("root {}", root.name), at_most]
        }));
        rows.extend(details.capabilities.iter().map(|capability| {
            let state = state(capability.available, capability.reason.as_deref());
            [capability.name.clone(), state]
        }));
    }
    for found in &runtime.diagnostics {
        rows.push(["look at".to_owned(), found.message.clone()]);
    }
    let width = rows.iter().map(|[name, _]| name.chars().count()).max().unwrap_or(0);
    rows.iter().try_for_each(|[name, value]| Ok(output.line(&format!("{name:width$}  {value}"))?))
}

fn kind(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Embedded => "embedded",
        SourceKind::Remote => "remote",
        SourceKind::Unknown => "unknown",
    }
}

fn managed(by: ManagedBy) -> &'static str {
    match by {
        ManagedBy::Config => "of the configuration",
        ManagedBy::Api => "added with `yoi runtime add`, or in the console",
        ManagedBy::Unknown => "added in a way that this version does not know",
    }
}

fn state(is_available: bool, reason: Option<&str>) -> String {
    let state = if is_available { "available" } else { "missing" };
    reason.map_or_else(|| state.to_owned(), |reason| format!("{state}: {reason}"))
}

fn definition(args: AddRuntimeArgs) -> anyhow::Result<RemoteDefinition> {
    let AddRuntimeArgs { runtime, endpoint, token, certificates, replace: _ } = args;
    let token = match (token.token_env, token.token_file) {
        (Some(name), None) => TokenPlace::Env(name),
        (None, Some(name)) => TokenPlace::File(name),
        _ => anyhow::bail!("give either --token-env or --token-file"),
    };
    let certificates = certificates
        .map(|file| {
            fs::read_to_string(&file)
                .with_context(|| format!("failed to read the certificates in {}", file.display()))
        })
        .transpose()?;
    Ok(RemoteDefinition { runtime_id: runtime.id, endpoint, token, certificates })
}

fn told(runtime: &RuntimeListing, done: &str, output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        return Ok(output.json(runtime)?);
    }
    output.line(&format!("{} is {done}: {}", runtime.runtime_id, runtime.status.name()))?;
    // What else there is to say of one that is well, `show` says.
    if runtime.status != RuntimeStatus::Ready {
        for found in &runtime.diagnostics {
            output.note(&found.message);
        }
    }
    Ok(())
}

fn tested(found: &ConnectionTest, output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        return Ok(output.json(found)?);
    }
    let ConnectionTest { runtime_id, display_name, version, latency_ms } = found;
    Ok(output.line(&format!(
        "it answers after {latency_ms} ms: {display_name}, version {version}, which calls itself {runtime_id}"
    ))?)
}

/// The Runtime process at `url`, for `command`, with the token of the environment.
pub(super) fn client(
    command: &str,
    url: &str,
    output: Output,
) -> anyhow::Result<(RuntimeClient, Asked)> {
    let token = token_from_environment(command, "the Runtime's")?;
    Ok((RuntimeClient::new(url, token)?, Asked::runtime(url, output)))
}

async fn drain(args: DrainArgs, output: Output) -> anyhow::Result<Exit> {
    let (client, asked) = client("`yoi runtime drain`", &args.runtime.url, output)?;
    // It may take its time: that is what is asked for.
    let ask = async |wait| client.drain(wait).await.map_err(|error| asked.error(error));
    let mut progress = ask(Duration::ZERO).await?;
    let mut told = None;
    while !progress.drained && !args.no_wait {
        if told.replace(progress.busy) != Some(progress.busy) {
            output.note(&words(progress));
        }
        progress = ask(PATIENCE).await?;
    }
    if output.is_json() {
        output.json(&progress)?;
    } else {
        output.line(&words(progress))?;
    }
    Ok(Exit::Done)
}

fn words(progress: DrainProgress) -> String {
    match progress {
        DrainProgress { drained: true, .. } => "drained: no turn runs or waits".to_owned(),
        DrainProgress { busy, .. } => {
            format!("no new work is taken; Workers with something left to do: {busy}")
        }
    }
}

//! Whom the CLI asks about Workers: a Backend, or a Runtime process without one.

use std::collections::BTreeMap;

use runtime_client::{RemoteEvents, RuntimeClient};
use serde::Serialize;
use worker_types::{
    ComponentRef, CreateWorker, Cursor, Diagnostic, Grant, Grants, Input, InputAccepted,
    InputOptions, Item, ItemId, Labels, LiveEvent, LogPage, MAX_WORKERS, Outcome, ProfileName,
    RuntimeId, TranscriptPage, TranscriptQuery, TurnId, Upgraded, WorkerId, WorkerQuery,
    WorkerUsage, WorkerView, WorkspaceName,
};
use yoi_config::Config;

use crate::{
    asked::Asked,
    backend_client::{BackendClient, token_from_environment},
    backend_error::{BackendError, Refusal},
    cli::{HostArgs, RuntimeArg},
    output::Output,
};

/// Turns on a page when all of them are read: what a Runtime gives at most.
pub(crate) const ALL_TURNS: usize = 1_000;

/// How often in a row a broken stream is taken up again: for some three seconds.
const STREAM_TRIES: u32 = 5;

/// Who has the Workers.
#[derive(Debug, Clone)]
pub(crate) enum WorkerHost {
    Backend(BackendClient),
    /// Asked by itself. What new Workers may do is this configuration's policy.
    Runtime(RuntimeClient, Asked),
}

/// Where a Worker is.
#[derive(Debug, Clone)]
pub(crate) struct WorkerAddress {
    pub(crate) runtime: RuntimeId,
    pub(crate) worker: WorkerId,
}

/// A request for a Worker. What it may do is the Backend's decision.
#[derive(Debug, Serialize)]
pub(crate) struct NewWorker {
    pub(crate) profile: ProfileName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workspace: Option<WorkspaceName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) display_name: Option<String>,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub(crate) labels: Labels,
}

/// The Workers of all Runtimes that answered.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct FoundWorkers {
    pub(crate) workers: Vec<WorkerView>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// A Worker's events, from whoever has it.
#[derive(Debug)]
pub(crate) struct HostEvents {
    events: RemoteEvents,
    asked: Asked,
}

impl From<&WorkerView> for WorkerAddress {
    fn from(view: &WorkerView) -> Self {
        Self { runtime: view.runtime_id.clone(), worker: view.worker_id }
    }
}

impl WorkerAddress {
    /// A Worker of a Runtime process that is asked by itself: it has no others, so nobody looks at the name.
    pub(crate) fn of_asked_runtime(worker: WorkerId) -> anyhow::Result<Self> {
        Ok(Self { runtime: "runtime".parse()?, worker })
    }
}

impl WorkerHost {
    /// Whom `args` mean.
    pub(crate) fn find(args: &HostArgs, config: &Config, output: Output) -> anyhow::Result<Self> {
        let Some(RuntimeArg::Url(url)) = &args.runtime else {
            return Ok(Self::Backend(BackendClient::find(&args.backend, config, output)?));
        };
        let token = token_from_environment("--runtime with an address", "the Runtime's")?;
        Ok(Self::Runtime(RuntimeClient::new(url, token)?, Asked::runtime(url, output)))
    }

    /// All Workers that match, oldest first, and what is missing among them: of this Runtime alone, where a
    /// Backend has several.
    pub(crate) async fn workers(
        &self,
        runtime: Option<&RuntimeId>,
        status: Option<&str>,
        labels: &[(String, String)],
    ) -> Result<FoundWorkers, BackendError> {
        let mut query = WorkerQuery {
            status: status.map(str::to_owned),
            labels: labels.iter().cloned().collect(),
            after: None,
            limit: Some(MAX_WORKERS),
        };
        let mut found = FoundWorkers::default();
        loop {
            let page = self.asked().wait(async {
                match self {
                    Self::Backend(backend) => match runtime {
                        Some(id) => backend.client.runtime(id).workers(&query).await,
                        None => backend.client.workers(&query).await,
                    },
                    Self::Runtime(client, _) => client.workers(&query).await,
                }
            });
            let page = page.await?;
            found.workers.extend(page.workers);
            // Every page says what it lacks; once is enough.
            for diagnostic in page.diagnostics {
                if !found.diagnostics.contains(&diagnostic) {
                    found.diagnostics.push(diagnostic);
                }
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Creates a Worker in the Runtime that `args` mean. A Backend grants it what its own policy says, a Runtime
    /// is asked for `grants`.
    pub(crate) async fn create(
        &self,
        args: &HostArgs,
        new: NewWorker,
        grants: Grants,
    ) -> Result<WorkerView, BackendError> {
        match self {
            Self::Backend(backend) => {
                let runtime = match &args.runtime {
                    Some(RuntimeArg::Id(id)) => id.clone(),
                    _ => only_runtime(backend).await?,
                };
                let path = ["runtimes", runtime.as_str(), "workers"];
                backend.asked.command(backend.client.post(&path, &new)).await
            }
            Self::Runtime(client, asked) => {
                let NewWorker { profile, workspace: _, display_name, labels } = new;
                let request = CreateWorker::profile(profile).grants(grants);
                let request = CreateWorker { display_name, labels, ..request };
                asked.command(client.create(request)).await
            }
        }
    }

    /// One Worker.
    pub(crate) async fn worker(&self, at: &WorkerAddress) -> Result<WorkerView, BackendError> {
        self.asked().wait(self.of(at).worker(at.worker)).await
    }

    /// Gives a Worker an input.
    pub(crate) async fn input(
        &self,
        at: &WorkerAddress,
        input: &Input,
        options: &InputOptions,
    ) -> Result<InputAccepted, BackendError> {
        let client = self.of(at);
        self.asked().command(client.input(at.worker, input.clone(), options.clone())).await
    }

    /// Cancels a turn of a Worker, or whichever runs.
    pub(crate) async fn cancel(
        &self,
        at: &WorkerAddress,
        turn: Option<TurnId>,
    ) -> Result<(), BackendError> {
        self.asked().command(self.of(at).cancel(at.worker, turn)).await
    }

    /// Stops a Worker.
    pub(crate) async fn stop(&self, at: &WorkerAddress) -> Result<(), BackendError> {
        self.asked().command(self.of(at).stop(at.worker)).await
    }

    /// Takes grants away from a Worker.
    pub(crate) async fn revoke(
        &self,
        at: &WorkerAddress,
        grants: &[Grant],
    ) -> Result<(), BackendError> {
        self.asked().command(self.of(at).revoke(at.worker, grants.to_vec())).await
    }

    /// Moves a Worker to another component.
    pub(crate) async fn upgrade(
        &self,
        at: &WorkerAddress,
        component: &ComponentRef,
    ) -> Result<Upgraded, BackendError> {
        self.asked().command(self.of(at).upgrade(at.worker, component)).await
    }

    /// Starts a stopped Worker.
    pub(crate) async fn start(&self, at: &WorkerAddress) -> Result<(), BackendError> {
        self.asked().command(self.of(at).start(at.worker)).await
    }

    /// Deletes a stopped Worker.
    pub(crate) async fn delete(&self, at: &WorkerAddress) -> Result<(), BackendError> {
        self.asked().command(self.of(at).delete(at.worker)).await
    }

    /// A piece of a Worker's transcript.
    pub(crate) async fn transcript(
        &self,
        at: &WorkerAddress,
        query: TranscriptQuery,
    ) -> Result<TranscriptPage, BackendError> {
        self.asked().wait(self.of(at).transcript(at.worker, query)).await
    }

    /// One item of a Worker's transcript, all of it.
    pub(crate) async fn item(
        &self,
        at: &WorkerAddress,
        item: ItemId,
    ) -> Result<Item, BackendError> {
        self.asked().wait(self.of(at).item(at.worker, item)).await
    }

    /// What the newest turns of a Worker before `before` took, at most `limit` of them.
    pub(crate) async fn usage(
        &self,
        at: &WorkerAddress,
        before: Option<TurnId>,
        limit: usize,
    ) -> Result<WorkerUsage, BackendError> {
        self.asked().wait(self.of(at).usage(at.worker, before, limit)).await
    }

    /// How the turns of a Worker ended that did not complete, as far as that is kept.
    pub(crate) async fn broken_turns(
        &self,
        at: &WorkerAddress,
    ) -> Result<BTreeMap<TurnId, Outcome>, BackendError> {
        let mut outcomes = BTreeMap::new();
        let mut before = None;
        loop {
            let page = self.usage(at, before, ALL_TURNS).await?;
            before = page.turns.first().map(|turn| turn.turn_id);
            let broken = page.turns.into_iter().filter(|turn| !turn.outcome.is_completed());
            outcomes.extend(broken.map(|turn| (turn.turn_id, turn.outcome)));
            if !page.more_before || before.is_none() {
                return Ok(outcomes);
            }
        }
    }

    /// What a Worker's guest printed.
    pub(crate) async fn logs(
        &self,
        at: &WorkerAddress,
        turn: Option<TurnId>,
    ) -> Result<LogPage, BackendError> {
        self.asked().wait(self.of(at).logs(at.worker, turn)).await
    }

    /// A Worker's events after `after`, as they come. A stream that breaks is taken up again for a few seconds.
    pub(crate) async fn events(
        &self,
        at: &WorkerAddress,
        after: Cursor,
    ) -> Result<HostEvents, BackendError> {
        self.events_of(self.of(at).stream_tries(STREAM_TRIES), at, after).await
    }

    /// The same, and the stream is not taken up again: whoever asks wants to know.
    pub(crate) async fn events_once(
        &self,
        at: &WorkerAddress,
        after: Cursor,
    ) -> Result<HostEvents, BackendError> {
        self.events_of(self.of(at).stream_tries(0), at, after).await
    }

    async fn events_of(
        &self,
        client: RuntimeClient,
        at: &WorkerAddress,
        after: Cursor,
    ) -> Result<HostEvents, BackendError> {
        let asked = self.asked().clone();
        let events = asked.wait(client.events(at.worker, after)).await?;
        Ok(HostEvents { events, asked })
    }

    fn asked(&self) -> &Asked {
        match self {
            Self::Backend(backend) => &backend.asked,
            Self::Runtime(_, asked) => asked,
        }
    }

    /// Whoever answers for the Runtime that has the Worker.
    fn of(&self, at: &WorkerAddress) -> RuntimeClient {
        match self {
            Self::Backend(backend) => backend.client.runtime(&at.runtime),
            Self::Runtime(client, _) => client.clone(),
        }
    }
}

/// The Runtime that new Workers go to where none is named: the only one.
async fn only_runtime(backend: &BackendClient) -> Result<RuntimeId, BackendError> {
    match backend.runtimes().await?.as_slice() {
        [only] => Ok(only.runtime_id.clone()),
        many => {
            let names: Vec<&str> = many.iter().map(|known| known.runtime_id.as_str()).collect();
            let names = names.join(", ");
            let detail = format!("name one of the Runtimes with --runtime: {names}");
            Err(Refusal::of_ours(detail).into())
        }
    }
}

impl HostEvents {
    /// Waits for the next event; `None` after that of the Worker's deletion. May be dropped at any time without
    /// losing one.
    pub(crate) async fn next(&mut self) -> Option<Result<LiveEvent, BackendError>> {
        Some(self.events.next().await?.map_err(|error| self.asked.error(error)))
    }

    /// The place after the last durable event that `next` gave.
    pub(crate) fn cursor(&self) -> Cursor {
        self.events.cursor()
    }
}

/// The Worker among `workers` that `id` means: a whole id, or a beginning or end of just one.
pub(crate) fn pick<'a>(workers: &'a [WorkerView], id: &str) -> anyhow::Result<&'a WorkerView> {
    let wanted = id.trim().to_lowercase();
    let mut found = workers.iter().filter(|view| {
        let id = view.worker_id.to_string();
        !wanted.is_empty() && (id.starts_with(&wanted) || id.ends_with(&wanted))
    });
    match (found.next(), found.next()) {
        (Some(worker), None) => Ok(worker),
        (None, _) => {
            Err(anyhow::anyhow!("there is no Worker `{id}`: `yoi worker ls` lists those there are"))
        }
        (Some(_), Some(_)) => Err(anyhow::anyhow!(
            "more than one Worker's id begins or ends with `{id}`: write more of it, or name its Runtime with \
             --runtime"
        )),
    }
}

#[cfg(test)]
#[path = "worker_host_tests.rs"]
mod tests;

//! Whom the CLI asks about Workers: a Backend, or a Runtime process without one.

use std::collections::BTreeMap;

use runtime_client::{AuthToken, RemoteEvents, RuntimeClient};
use worker_types::{
    ComponentRef, CreateWorker, Cursor, Grant, Grants, Input, InputAccepted, InputOptions, Item,
    ItemId, LiveEvent, LogPage, MAX_WORKERS, Outcome, TranscriptPage, TranscriptQuery, TurnId,
    Upgraded, WorkerQuery, WorkerUsage, WorkerView,
};
use yoi_config::Config;

use crate::{
    backend_client::{
        BackendClient, EventStream, FoundWorkers, NewWorker, WorkerAddress, token_from_environment,
    },
    backend_error::BackendError,
    cli::{HostArgs, RuntimeArg},
    output::Output,
};

/// Turns on a page when all of them are read: what a Runtime gives at most.
const ALL_TURNS: usize = 1_000;

/// Who has the Workers.
#[derive(Debug)]
pub(crate) enum WorkerHost {
    Backend(BackendClient),
    /// Asked by itself. What new Workers may do is this configuration's policy.
    Runtime(RuntimeClient),
}

/// A Worker's events, from whoever has it.
#[derive(Debug)]
pub(crate) enum HostEvents {
    Backend(EventStream),
    Runtime(RemoteEvents),
}

impl WorkerHost {
    /// Whom `args` mean.
    pub(crate) fn find(args: &HostArgs, config: &Config, output: Output) -> anyhow::Result<Self> {
        let Some(RuntimeArg::Url(url)) = &args.runtime else {
            return Ok(Self::Backend(BackendClient::find(&args.backend, config, output)?));
        };
        let token = token_from_environment("--runtime with an address", "the Runtime's")?;
        Ok(Self::Runtime(RuntimeClient::new(url, AuthToken::new(token.reveal()))?))
    }

    /// All Workers that match, oldest first, and what is missing among them.
    pub(crate) async fn workers(
        &self,
        status: Option<&str>,
        labels: &[(String, String)],
    ) -> Result<FoundWorkers, BackendError> {
        let client = match self {
            Self::Backend(client) => return client.workers(status, labels).await,
            Self::Runtime(client) => client,
        };
        let mut query = WorkerQuery {
            status: status.map(str::to_owned),
            labels: labels.iter().cloned().collect(),
            after: None,
            limit: Some(MAX_WORKERS),
        };
        let mut found = FoundWorkers::default();
        loop {
            let page = client.workers(&query).await?;
            found.workers.extend(page.workers);
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
            Self::Backend(client) => {
                let wanted = match &args.runtime {
                    Some(RuntimeArg::Id(id)) => Some(id),
                    _ => None,
                };
                client.create(&client.runtime(wanted).await?, &new).await
            }
            Self::Runtime(client) => {
                let NewWorker { profile, display_name, labels } = new;
                let request = CreateWorker::profile(profile).grants(grants);
                let request = CreateWorker { display_name, labels, ..request };
                client.create(request).await.map_err(BackendError::in_doubt_of)
            }
        }
    }

    /// One Worker.
    pub(crate) async fn worker(&self, at: &WorkerAddress) -> Result<WorkerView, BackendError> {
        match self {
            Self::Backend(client) => client.worker(at).await,
            Self::Runtime(client) => Ok(client.worker(at.worker).await?),
        }
    }

    /// Gives a Worker an input.
    pub(crate) async fn input(
        &self,
        at: &WorkerAddress,
        input: &Input,
        options: &InputOptions,
    ) -> Result<InputAccepted, BackendError> {
        match self {
            Self::Backend(client) => client.input(at, input, options).await,
            Self::Runtime(client) => {
                let accepted = client.input(at.worker, input.clone(), options.clone()).await;
                accepted.map_err(BackendError::in_doubt_of)
            }
        }
    }

    /// Cancels a turn of a Worker, or whichever runs.
    pub(crate) async fn cancel(
        &self,
        at: &WorkerAddress,
        turn: Option<TurnId>,
    ) -> Result<(), BackendError> {
        match self {
            Self::Backend(client) => client.cancel(at, turn).await,
            Self::Runtime(client) => {
                client.cancel(at.worker, turn).await.map_err(BackendError::in_doubt_of)
            }
        }
    }

    /// Stops a Worker.
    pub(crate) async fn stop(&self, at: &WorkerAddress) -> Result<(), BackendError> {
        match self {
            Self::Backend(client) => client.stop(at).await,
            Self::Runtime(client) => {
                client.stop(at.worker).await.map_err(BackendError::in_doubt_of)
            }
        }
    }

    /// Takes grants away from a Worker.
    pub(crate) async fn revoke(
        &self,
        at: &WorkerAddress,
        grants: &[Grant],
    ) -> Result<(), BackendError> {
        match self {
            Self::Backend(client) => client.revoke(at, grants).await,
            Self::Runtime(client) => {
                let revoked = client.revoke(at.worker, grants.to_vec()).await;
                revoked.map_err(BackendError::in_doubt_of)
            }
        }
    }

    /// Moves a Worker to another component.
    pub(crate) async fn upgrade(
        &self,
        at: &WorkerAddress,
        component: &ComponentRef,
    ) -> Result<Upgraded, BackendError> {
        match self {
            Self::Backend(client) => client.upgrade(at, component).await,
            Self::Runtime(client) => {
                client.upgrade(at.worker, component).await.map_err(BackendError::in_doubt_of)
            }
        }
    }

    /// Starts a stopped Worker.
    pub(crate) async fn start(&self, at: &WorkerAddress) -> Result<(), BackendError> {
        match self {
            Self::Backend(client) => client.start(at).await,
            Self::Runtime(client) => {
                client.start(at.worker).await.map_err(BackendError::in_doubt_of)
            }
        }
    }

    /// Deletes a stopped Worker.
    pub(crate) async fn delete(&self, at: &WorkerAddress) -> Result<(), BackendError> {
        match self {
            Self::Backend(client) => client.delete(at).await,
            Self::Runtime(client) => {
                client.delete(at.worker).await.map_err(BackendError::in_doubt_of)
            }
        }
    }

    /// The piece of a Worker's transcript after `after`.
    pub(crate) async fn transcript(
        &self,
        at: &WorkerAddress,
        after: ItemId,
    ) -> Result<TranscriptPage, BackendError> {
        match self {
            Self::Backend(client) => client.transcript(at, after).await,
            Self::Runtime(client) => {
                let query = TranscriptQuery { after: Some(after), ..TranscriptQuery::default() };
                Ok(client.transcript(at.worker, query).await?)
            }
        }
    }

    /// One item of a Worker's transcript, all of it.
    pub(crate) async fn item(
        &self,
        at: &WorkerAddress,
        item: ItemId,
    ) -> Result<Item, BackendError> {
        match self {
            Self::Backend(client) => client.item(at, item).await,
            Self::Runtime(client) => Ok(client.item(at.worker, item).await?),
        }
    }

    /// What the newest turns of a Worker before `before` took, at most `limit` of them.
    pub(crate) async fn usage(
        &self,
        at: &WorkerAddress,
        before: Option<TurnId>,
        limit: usize,
    ) -> Result<WorkerUsage, BackendError> {
        match self {
            Self::Backend(client) => client.usage(at, before, limit).await,
            Self::Runtime(client) => Ok(client.usage(at.worker, before, limit).await?),
        }
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
        match self {
            Self::Backend(client) => client.logs(at, turn).await,
            Self::Runtime(client) => Ok(client.logs(at.worker, turn).await?),
        }
    }

    /// A Worker's events after `after`, as they come.
    pub(crate) async fn events(
        &self,
        at: &WorkerAddress,
        after: Cursor,
    ) -> Result<HostEvents, BackendError> {
        Ok(match self {
            Self::Backend(client) => HostEvents::Backend(client.events(at.clone(), after)),
            Self::Runtime(client) => HostEvents::Runtime(client.events(at.worker, after).await?),
        })
    }
}

impl HostEvents {
    /// Waits for the next event. May be dropped at any time without losing one.
    pub(crate) async fn next(&mut self) -> Result<LiveEvent, BackendError> {
        match self {
            Self::Backend(events) => events.next().await,
            Self::Runtime(events) => match events.next().await {
                Some(event) => Ok(event?),
                None => Err(BackendError::Answer { what: "the Worker's events ended".into() }),
            },
        }
    }
}

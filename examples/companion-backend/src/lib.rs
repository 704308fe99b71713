//! A Companion for each user of a backend: a Worker that reaches a model, and nothing else.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use llm_engine::Models;
use worker_runtime::worker_types::{
    CreateWorker, Grants, IdempotencyKey, IfBusy, Input, InputOptions, ItemBody, Outcome,
    TranscriptQuery, WorkerId, WorkerQuery,
};
use worker_runtime::{Runtime, Store};

/// The Companions of all users.
#[derive(Debug, Clone)]
pub struct Companions {
    runtime: Runtime,
    grants: Grants,
}

impl Companions {
    /// Those whose conversations are kept in the directory `data`.
    pub async fn open(data: &Path, models: Models) -> Result<Self> {
        let grants = Grants::none().with_llm(["default".parse()?]);
        let runtime = Runtime::builder("backend-internal".parse()?)
            .store(Store::sqlite(data)?)
            .models(models)
            .components(builtin_workers::components())
            .profiles(builtin_workers::profiles())
            .ceiling(grants.clone());
        Ok(Self { runtime: runtime.build().await?, grants })
    }

    /// The Companion of `user`, a name without spaces. It is created when it is first wanted.
    pub async fn of(&self, user: &str) -> Result<WorkerId> {
        let labels = [("user".to_owned(), user.to_owned())].into();
        let known = self.runtime.workers(&WorkerQuery { labels, ..WorkerQuery::default() })?;
        if let Some(companion) = known.workers.first() {
            return Ok(companion.worker_id);
        }
        let new = CreateWorker::profile("companion".parse()?)
            .grants(self.grants.clone())
            .label("user", user)
            // Whoever wants it at the same time gets the same one.
            .idempotency_key(IdempotencyKey::new(format!("companion-of-{user}"))?);
        Ok(self.runtime.create(new).await?.worker_id)
    }

    /// Says `text` to the Companion of `user`, and waits for its answer.
    pub async fn say(&self, user: &str, text: &str) -> Result<String> {
        let id = self.of(user).await?;
        let options = InputOptions::if_busy(IfBusy::Queue);
        let turn = self.runtime.input(id, Input::text(text), options).await?.turn_id;
        match self.runtime.outcome(id, turn).await? {
            Outcome::Completed => {}
            other => bail!("the Companion did not answer: {other:?}"),
        }
        let page = self.runtime.transcript(id, TranscriptQuery::default()).await?;
        let answer = page.items.into_iter().rev().find_map(|item| match item.body {
            ItemBody::AssistantMessage { text, .. } if item.turn_id == turn => Some(text),
            _ => None,
        });
        answer.context("the Companion said nothing")
    }

    /// The Runtime that they are Workers of.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}

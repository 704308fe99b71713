//! The operations of a Runtime. Each is the one of the same name of `worker_runtime::Runtime`, and refuses
//! what that refuses.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, header};
use serde::{Deserialize, Serialize};
use worker_types::{
    ComponentDigest, ComponentRef, CreateWorker, Cursor, DrainProgress, EventPage, FeedCursor,
    FeedPage, Grant, IdempotencyKey, IfBusy, Input, InputAccepted, InputOptions, Item, ItemId,
    KeptComponent, LogPage, Outcome, RuntimeSummary, TranscriptPage, TranscriptQuery, TurnId,
    Upgraded, Usage, WorkerId, WorkerPage, WorkerQuery, WorkerUsage, WorkerView,
};

use crate::{ClientError, RemoteEvents, RemoteFeed, RuntimeClient, client::MAX_SUMMARY_BYTES};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The longest that an upgrade may compile: two components, by the Runtime's default limits.
const COMPILES: Duration = Duration::from_secs(120);

/// How long one question for an outcome waits there. The next one goes on.
const OUTCOME_WAIT: Duration = Duration::from_secs(30);

/// A query, as pairs of texts.
#[derive(Default)]
struct Query(Vec<(&'static str, String)>);

impl Query {
    fn with<T: ToString>(mut self, name: &'static str, value: Option<T>) -> Self {
        self.0.extend(value.map(|value| (name, value.to_string())));
        self
    }

    fn pairs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

impl RuntimeClient {
    /// What the Runtime is and how it fares.
    pub async fn summary(&self) -> Result<RuntimeSummary, ClientError> {
        self.ask_within(self.summary_request(), MAX_SUMMARY_BYTES).await
    }

    /// Takes no new work there from now on, and waits at most `wait`, or a minute, until nothing is left to do.
    pub async fn drain(&self, wait: Duration) -> Result<DrainProgress, ClientError> {
        let wait_ms = wait.as_millis().to_string();
        let asked = self.request(Method::POST, &["runtime", "drain"], &[("wait_ms", &wait_ms)]);
        self.ask(self.patient(asked, wait)).await
    }

    /// What the turns of all Workers took that are there for this token.
    pub async fn total_usage(&self) -> Result<Usage, ClientError> {
        self.ask(self.request(Method::GET, &["usage"], &[])).await
    }

    /// Creates a Worker.
    pub async fn create(&self, request: CreateWorker) -> Result<WorkerView, ClientError> {
        let key = request.idempotency_key.clone();
        let asked = self.request(Method::POST, &["workers"], &[]).json(&request);
        self.ask(keyed(asked, key.as_ref())).await
    }

    /// Gives a Worker an input.
    pub async fn input(
        &self,
        id: WorkerId,
        input: Input,
        options: InputOptions,
    ) -> Result<InputAccepted, ClientError> {
        #[derive(Serialize)]
        struct Body {
            #[serde(flatten)]
            input: Input,
            if_busy: IfBusy,
        }
        let InputOptions { if_busy, idempotency_key } = options;
        let asked = self.of_worker(Method::POST, id, "input", &Query::default());
        let asked = asked.json(&Body { input, if_busy });
        self.ask(keyed(asked, idempotency_key.as_ref())).await
    }

    /// Waits for the end of a turn.
    pub async fn outcome(&self, id: WorkerId, turn_id: TurnId) -> Result<Outcome, ClientError> {
        loop {
            if let Some(outcome) = self.turn(id, turn_id, OUTCOME_WAIT).await? {
                return Ok(outcome);
            }
        }
    }

    /// How a turn ended, if it has within `wait`, which the Runtime takes as a minute where it is more.
    pub async fn turn(
        &self,
        id: WorkerId,
        turn_id: TurnId,
        wait: Duration,
    ) -> Result<Option<Outcome>, ClientError> {
        #[derive(Deserialize)]
        struct Turn {
            outcome: Option<Outcome>,
        }
        let wait_ms = Query::default().with("wait_ms", Some(wait.as_millis()));
        let asked = self.of_worker(Method::GET, id, &format!("turns/{turn_id}"), &wait_ms);
        Ok(self.ask::<Turn>(self.patient(asked, wait)).await?.outcome)
    }

    /// Cancels the running turn; with `turn_id`, only if it is that one.
    pub async fn cancel(&self, id: WorkerId, turn_id: Option<TurnId>) -> Result<(), ClientError> {
        let body = match turn_id {
            Some(turn_id) => serde_json::json!({ "turn_id": turn_id }),
            None => serde_json::json!({}),
        };
        self.command(self.of_worker(Method::POST, id, "cancel", &Query::default()).json(&body))
            .await
    }

    /// Stops a Worker.
    pub async fn stop(&self, id: WorkerId) -> Result<(), ClientError> {
        self.command(self.of_worker(Method::POST, id, "stop", &Query::default())).await
    }

    /// Starts a stopped Worker.
    pub async fn start(&self, id: WorkerId) -> Result<(), ClientError> {
        self.command(self.of_worker(Method::POST, id, "start", &Query::default())).await
    }

    /// Deletes a stopped Worker.
    pub async fn delete(&self, id: WorkerId) -> Result<(), ClientError> {
        self.command(self.of_worker(Method::DELETE, id, "", &Query::default())).await
    }

    /// Takes grants away from a Worker.
    pub async fn revoke(&self, id: WorkerId, grants: Vec<Grant>) -> Result<(), ClientError> {
        let body = serde_json::json!({ "grants": grants });
        self.command(self.of_worker(Method::POST, id, "revoke", &Query::default()).json(&body))
            .await
    }

    /// Moves a Worker to another component.
    pub async fn upgrade(
        &self,
        id: WorkerId,
        component: &ComponentRef,
    ) -> Result<Upgraded, ClientError> {
        let body = serde_json::json!({ "component": component });
        let asked = self.of_worker(Method::POST, id, "upgrade", &Query::default()).json(&body);
        self.ask(self.patient(asked, COMPILES)).await
    }

    /// Keeps a component, so that Workers can be upgraded to it.
    pub async fn add_component(&self, bytes: Bytes) -> Result<KeptComponent, ClientError> {
        let limits = self.summary().await?.limits;
        let asked = self.request(Method::POST, &["components"], &[]);
        let asked = asked.header(header::CONTENT_TYPE, "application/wasm").body(bytes);
        // It is compiled before it is kept.
        self.ask(self.patient(asked, Duration::from_millis(limits.compile_ms))).await
    }

    /// Removes a component that nothing goes by.
    pub async fn remove_component(&self, digest: ComponentDigest) -> Result<(), ClientError> {
        let digest = digest.to_string();
        self.command(self.request(Method::DELETE, &["components", &digest], &[])).await
    }

    /// One Worker.
    pub async fn worker(&self, id: WorkerId) -> Result<WorkerView, ClientError> {
        self.ask(self.of_worker(Method::GET, id, "", &Query::default())).await
    }

    /// A page of Workers.
    pub async fn workers(&self, query: &WorkerQuery) -> Result<WorkerPage, ClientError> {
        let WorkerQuery { status, labels, after, limit } = query;
        let mut asked = Query::default()
            .with("status", status.as_ref())
            .with("after", after.as_ref())
            .with("limit", limit.as_ref());
        for (key, value) in labels {
            asked = asked.with("label", Some(format!("{key}:{value}")));
        }
        self.ask(self.request(Method::GET, &["workers"], &asked.pairs())).await
    }

    /// A page of a transcript.
    pub async fn transcript(
        &self,
        id: WorkerId,
        query: TranscriptQuery,
    ) -> Result<TranscriptPage, ClientError> {
        let TranscriptQuery { before, after, limit, max_bytes, max_item_bytes } = query;
        let asked = Query::default()
            .with("before", before)
            .with("after", after)
            .with("limit", limit)
            .with("max_bytes", max_bytes)
            .with("max_item_bytes", max_item_bytes);
        self.ask(self.of_worker(Method::GET, id, "transcript", &asked)).await
    }

    /// One item, whole.
    pub async fn item(&self, id: WorkerId, item_id: ItemId) -> Result<Item, ClientError> {
        let item = format!("items/{item_id}");
        self.ask(self.of_worker(Method::GET, id, &item, &Query::default())).await
    }

    /// What a Worker's turns took: all of them, and each of the newest before `before`.
    pub async fn usage(
        &self,
        id: WorkerId,
        before: Option<TurnId>,
        limit: usize,
    ) -> Result<WorkerUsage, ClientError> {
        let asked = Query::default().with("before", before).with("limit", Some(limit));
        self.ask(self.of_worker(Method::GET, id, "usage", &asked)).await
    }

    /// What a Worker's guest printed.
    pub async fn logs(
        &self,
        id: WorkerId,
        turn_id: Option<TurnId>,
    ) -> Result<LogPage, ClientError> {
        let asked = Query::default().with("turn", turn_id);
        self.ask(self.of_worker(Method::GET, id, "logs", &asked)).await
    }

    /// A page of a Worker's durable events.
    pub async fn event_page(
        &self,
        id: WorkerId,
        after: Cursor,
        limit: usize,
    ) -> Result<EventPage, ClientError> {
        let asked = Query::default().with("after", Some(after)).with("limit", Some(limit));
        self.ask(self.of_worker(Method::GET, id, "events", &asked)).await
    }

    /// A page of the feed.
    pub async fn feed_page(
        &self,
        after: FeedCursor,
        limit: usize,
    ) -> Result<FeedPage, ClientError> {
        let asked = Query::default().with("after", Some(after)).with("limit", Some(limit));
        self.ask(self.request(Method::GET, &["events"], &asked.pairs())).await
    }

    /// A Worker's events from `after` on, then live ones.
    pub async fn events(&self, id: WorkerId, after: Cursor) -> Result<RemoteEvents, ClientError> {
        RemoteEvents::open(self.clone(), id, after).await
    }

    /// The feed from `after` on.
    pub async fn feed(&self, after: FeedCursor) -> Result<RemoteFeed, ClientError> {
        RemoteFeed::open(self.clone(), after).await
    }

    fn of_worker(&self, method: Method, id: WorkerId, what: &str, query: &Query) -> RequestBuilder {
        let id = id.to_string();
        let mut path = vec!["workers", id.as_str()];
        if !what.is_empty() {
            path.push(what);
        }
        self.request(method, &path, &query.pairs())
    }
}

/// The key goes in the head: it is no part of what is asked.
fn keyed(request: RequestBuilder, key: Option<&IdempotencyKey>) -> RequestBuilder {
    match key {
        Some(key) => request.header(IDEMPOTENCY_KEY, key.as_str()),
        None => request,
    }
}

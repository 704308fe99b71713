//! A Runtime in another process, as the Backend sees it: its answers under the name that it has here, and
//! whether it was reached when it was last asked.

use std::time::Duration;

use runtime_client::{ClientError, RuntimeClient};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::{sync::watch, time::Instant};
use utoipa::ToSchema;
use worker_types::{
    CreateWorker, Cursor, DEFAULT_WORKERS, FeedCursor, IdempotencyKey, Input, InputAccepted,
    InputOptions, MAX_WORKERS, Outcome, RuntimeError, RuntimeId, RuntimeStatus, RuntimeSummary,
    WorkerId, WorkerPage, WorkerQuery, WorkerView,
};

use crate::{OutcomeWait, RuntimeFeed, WorkerEvents};

/// What a list waits for a Runtime at least, and at most: a Runtime answers from memory, so one that is well
/// takes little more than its network does.
const LEAST_PATIENCE: Duration = Duration::from_millis(250);
const MOST_PATIENCE: Duration = Duration::from_secs(2);

/// A Runtime that was as far away lately as this says takes longer now and then.
const TIMES_ITS_LATENCY: u32 = 4;

/// The longest name for eyes.
const MOST_NAME_BYTES: usize = 1_024;

/// Pages without any Worker that are asked for one after the other. A Runtime looks at 10,000 Workers for each.
const MOST_EMPTY_PAGES: usize = 16;

/// A Runtime in another process.
#[derive(Debug)]
pub struct RemoteRuntime {
    id: RuntimeId,
    client: RuntimeClient,
    /// Why there is no token to ask it with.
    without_token: Option<String>,
    health: watch::Sender<Health>,
}

/// How it fared when it was last asked how it fares.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Health {
    /// It was not asked yet.
    Unknown,
    /// It answered, and took this long.
    Reached(Duration),
    /// It did not.
    Lost(RuntimeError),
}

/// What a connection test found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionTest {
    /// What the Runtime calls itself.
    pub runtime_id: RuntimeId,
    /// Its name for eyes.
    pub display_name: String,
    /// Its version.
    pub version: String,
    /// How long its answer took, in milliseconds.
    pub latency_ms: u64,
}

impl RemoteRuntime {
    /// The Runtime that `client` reaches, which is called `id` here whatever it calls itself.
    #[must_use]
    pub fn new(id: RuntimeId, client: RuntimeClient) -> Self {
        Self { id, client, without_token: None, health: watch::Sender::new(Health::Unknown) }
    }

    /// The same, which is not asked anything, since there is no token.
    pub(crate) fn without_token(mut self, reason: String) -> Self {
        self.without_token = Some(reason);
        self
    }

    /// Whether it is not asked anything, since there is no token.
    pub(crate) fn lacks_token(&self) -> bool {
        self.without_token.is_some()
    }

    /// What it is called here.
    #[must_use]
    pub fn id(&self) -> &RuntimeId {
        &self.id
    }

    pub(crate) fn client(&self) -> &RuntimeClient {
        &self.client
    }

    /// Whether it answers, knows the Backend's token, and speaks a version that the Backend understands.
    ///
    /// # Errors
    ///
    /// `RuntimeUnavailable`, `RemoteTimeout`, `RemoteAuthFailed`, `RemoteIncompatible`.
    pub async fn test(&self) -> Result<ConnectionTest, RuntimeError> {
        let begun = Instant::now();
        let RuntimeSummary { runtime_id, display_name, version, .. } = self.own_summary().await?;
        let latency_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(ConnectionTest { runtime_id, display_name, version, latency_ms })
    }

    /// Asks how it fares, and remembers that. Gives whether it takes work, and where its feed ends.
    pub(crate) async fn probe(&self) -> Result<(RuntimeStatus, FeedCursor), RuntimeError> {
        let begun = Instant::now();
        let asked = tokio::time::timeout(MOST_PATIENCE, self.summary()).await;
        let answer = asked
            .unwrap_or_else(|_| Err(RuntimeError::RemoteTimeout { runtime_id: self.id.clone() }));
        let health = match &answer {
            Ok(_) => Health::Reached(begun.elapsed()),
            Err(error) => Health::Lost(error.clone()),
        };
        self.health.send_replace(health);
        answer.map(|summary| (summary.status, summary.feed_cursor))
    }

    /// Why it was not reached when it was last asked.
    pub(crate) fn known_failure(&self) -> Option<RuntimeError> {
        match &*self.health.borrow() {
            Health::Lost(error) => Some(error.clone()),
            Health::Unknown | Health::Reached(_) => None,
        }
    }

    /// How long a list waits for it.
    pub(crate) fn patience(&self) -> Duration {
        match &*self.health.borrow() {
            Health::Reached(latency) => {
                (*latency * TIMES_ITS_LATENCY).clamp(LEAST_PATIENCE, MOST_PATIENCE)
            }
            Health::Unknown | Health::Lost(_) => LEAST_PATIENCE,
        }
    }

    /// Its answer, in the words of this Backend.
    pub(crate) async fn ask<T>(
        &self,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, RuntimeError> {
        if let Some(reason) = &self.without_token {
            let (runtime_id, reason) = (self.id.clone(), reason.clone());
            return Err(RuntimeError::RemoteAuthFailed { runtime_id, reason });
        }
        answer.await.map_err(|error| translated(&self.id, error))
    }

    pub(crate) async fn summary(&self) -> Result<RuntimeSummary, RuntimeError> {
        let mut summary = self.own_summary().await?;
        self.id.clone_into(&mut summary.runtime_id);
        Ok(summary)
    }

    /// The same under the name that it has there. One of another release is none that can be relied upon.
    async fn own_summary(&self) -> Result<RuntimeSummary, RuntimeError> {
        let summary = self.ask(self.client.summary()).await?;
        // What it says is shown, and quoted in logs.
        if !is_version(&summary.version) || summary.display_name.len() > MOST_NAME_BYTES {
            return Err(no_answer(&self.id));
        }
        if is_understood(&summary.version) {
            return Ok(summary);
        }
        let (theirs, ours) = (&summary.version, env!("CARGO_PKG_VERSION"));
        let reason = format!("it is of version {theirs}, and this Backend is of {ours}");
        Err(RuntimeError::RemoteIncompatible { runtime_id: self.id.clone(), reason })
    }

    pub(crate) async fn workers(&self, query: &WorkerQuery) -> Result<WorkerPage, RuntimeError> {
        let mut query = query.clone();
        for _ in 0..MOST_EMPTY_PAGES {
            let mut page = self.ask(self.client.workers(&query)).await?;
            if !follows(&page, &query) {
                break;
            }
            // Nothing matched among those that it looked at.
            if page.workers.is_empty() && page.next.is_some() {
                query.after = page.next;
                continue;
            }
            for worker in &mut page.workers {
                self.id.clone_into(&mut worker.runtime_id);
            }
            return Ok(page);
        }
        Err(no_answer(&self.id))
    }

    pub(crate) async fn worker(&self, id: WorkerId) -> Result<WorkerView, RuntimeError> {
        let worker = self.ask(self.client.worker(id)).await?;
        if worker.worker_id == id { Ok(self.named(worker)) } else { Err(no_answer(&self.id)) }
    }

    pub(crate) async fn create(
        &self,
        mut request: CreateWorker,
    ) -> Result<WorkerView, RuntimeError> {
        request.idempotency_key = request.idempotency_key.as_ref().map(own_key);
        self.ask(self.client.create(request)).await.map(|worker| self.named(worker))
    }

    pub(crate) async fn input(
        &self,
        id: WorkerId,
        input: Input,
        mut options: InputOptions,
        wait: Option<OutcomeWait>,
    ) -> Result<(InputAccepted, Option<Outcome>), RuntimeError> {
        options.idempotency_key = options.idempotency_key.as_ref().map(own_key);
        let accepted = self.ask(self.client.input(id, input, options)).await?;
        let Some(wait) = wait else { return Ok((accepted, None)) };
        let asked = self.ask(self.client.turn(id, accepted.turn_id, wait.at_most));
        let outcome = wait.on(asked).await.and_then(Result::ok).flatten();
        Ok((accepted, outcome))
    }

    pub(crate) async fn events(
        &self,
        id: WorkerId,
        after: Cursor,
    ) -> Result<WorkerEvents, RuntimeError> {
        let events = self.ask(self.client.events(id, after)).await?;
        Ok(WorkerEvents::Remote(self.id.clone(), Box::new(events)))
    }

    pub(crate) async fn feed(&self, after: FeedCursor) -> Result<RuntimeFeed, RuntimeError> {
        let feed = self.ask(self.client.feed(after)).await?;
        Ok(RuntimeFeed::Remote(self.id.clone(), Box::new(feed)))
    }

    fn named(&self, mut worker: WorkerView) -> WorkerView {
        self.id.clone_into(&mut worker.runtime_id);
        worker
    }
}

/// Whether a page of Workers answers the query: the pages of several Runtimes become one, so one that goes back
/// would hide the Workers of all others.
fn follows(page: &WorkerPage, query: &WorkerQuery) -> bool {
    let limit = query.limit.unwrap_or(DEFAULT_WORKERS).clamp(1, MAX_WORKERS);
    let mut last = query.after;
    for worker in &page.workers {
        if last.is_some_and(|last| worker.worker_id <= last) {
            return false;
        }
        last = Some(worker.worker_id);
    }
    page.workers.len() <= limit as usize
        && page.next.is_none_or(|next| last <= Some(next) && query.after != Some(next))
}

fn no_answer(runtime_id: &RuntimeId) -> RuntimeError {
    let reason = "its answer is none of a Runtime of this version".to_owned();
    RuntimeError::RemoteIncompatible { runtime_id: runtime_id.clone(), reason }
}

/// Whether it could be the version of anything.
fn is_version(text: &str) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b".-+".contains(&byte);
    text.len() <= 64 && text.bytes().all(is_usual)
}

/// While the first number of a version is 0, the second one tells of changes that others must know.
fn is_understood(version: &str) -> bool {
    let release = |version: &str| {
        let mut numbers = version.split('.').map(str::to_owned);
        Some((numbers.next()?, numbers.next()?))
    };
    release(version).is_some_and(|theirs| Some(theirs) == release(env!("CARGO_PKG_VERSION")))
}

/// The Runtime sees one principal, the Backend; the keys of the Backend's own callers are told apart here.
fn own_key(key: &IdempotencyKey) -> IdempotencyKey {
    // A digest, since both together may be longer than a key. No principal's name has a line break.
    let both = Sha256::digest(format!("{}\n{}", key.principal(), key.as_str()));
    IdempotencyKey::new(format!("{both:x}")).expect("a hexadecimal digest is a key")
}

/// What a client of the Backend is told. What it must not know, such as where the Runtime is, is for the
/// operator's log.
pub(crate) fn translated(runtime_id: &RuntimeId, error: ClientError) -> RuntimeError {
    let unavailable = |reason: &str| RuntimeError::RuntimeUnavailable { reason: reason.to_owned() };
    let runtime_id = runtime_id.clone();
    if let ClientError::Refused(error) = error {
        // In this Backend's words: whoever is refused here is the Backend, and what speaks of Runtimes by their
        // ids is said by nobody but the Backend.
        let reason = match error {
            RuntimeError::Unauthorized { .. } => "it is none of its tokens, or has expired",
            RuntimeError::Forbidden { .. } => "the token is not for this",
            RuntimeError::UnknownRuntime { .. }
            | RuntimeError::RemoteAuthFailed { .. }
            | RuntimeError::RemoteTimeout { .. }
            | RuntimeError::RemoteIncompatible { .. }
            | RuntimeError::RuntimeExists { .. }
            | RuntimeError::RuntimeInUse { .. } => return no_answer(&runtime_id),
            other => return other,
        };
        return RuntimeError::RemoteAuthFailed { runtime_id, reason: reason.to_owned() };
    }
    let cause: &dyn std::error::Error = &error;
    tracing::warn!(%runtime_id, error = cause, "a Runtime was not reached");
    match error {
        ClientError::Unreachable(cause) | ClientError::Broken(cause) if cause.is_timeout() => {
            RuntimeError::RemoteTimeout { runtime_id }
        }
        ClientError::Unreachable(_) => unavailable("it cannot be reached"),
        ClientError::Broken(_) => {
            unavailable("the connection broke off; a command may have been carried out")
        }
        ClientError::Silent => unavailable("its stream of events broke off"),
        ClientError::Tls(_) => RuntimeError::RemoteIncompatible {
            runtime_id,
            reason: "no encrypted connection can be had: its certificate is not trusted here, has \
                     expired, or is for another name; or nothing there speaks TLS"
                .to_owned(),
        },
        ClientError::Problem { retryable: true, .. } => unavailable("it takes no requests now"),
        _ => no_answer(&runtime_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_understood_where_it_is_of_the_same_release() {
        assert!(is_understood(env!("CARGO_PKG_VERSION")));
        assert!(is_understood("0.1.99"));
        for other in ["", "0", "0.2.0", "1.1.0", "zero.one"] {
            assert!(!is_understood(other), "{other}");
        }
        assert!(is_version("0.2.0-rc.1+a5"));
        for other in ["0.2.0\n", "\u{1b}[31m", "0 1", &"0.".repeat(40)] {
            assert!(!is_version(other), "{other:?}");
        }
    }

    #[test]
    fn a_page_of_workers_goes_on_where_the_last_one_ended() {
        let ids: Vec<WorkerId> = (0..3).map(|_| WorkerId::generate()).collect();
        let page = |next| WorkerPage { workers: vec![], next, diagnostics: vec![] };
        let after = |after| WorkerQuery { after, ..WorkerQuery::default() };
        assert!(follows(&page(None), &after(None)));
        assert!(follows(&page(Some(ids[1])), &after(Some(ids[0]))));
        assert!(!follows(&page(Some(ids[1])), &after(Some(ids[1]))));
        assert!(!follows(&page(Some(ids[0])), &after(Some(ids[1]))));
    }

    #[test]
    fn the_keys_of_two_principals_do_not_meet() {
        let key = |principal: &str, key: &str| {
            own_key(&IdempotencyKey::new(key).expect("a key").of(principal))
        };
        let longest = "k".repeat(IdempotencyKey::MAX_BYTES);
        assert_eq!(key("bearer", &longest), key("bearer", &longest));
        assert_ne!(key("bearer", "k"), key("session", "k"));
        assert_ne!(key("bearer", "k"), key("bearer", "l"));
        assert_eq!(key("bearer", "k").principal(), "");
    }

    #[test]
    fn what_refuses_the_backend_is_told_apart_from_what_refuses_a_request() {
        let id: RuntimeId = "far".parse().expect("an id");
        let refused = |error| translated(&id, ClientError::Refused(error));
        let reason = || "no".to_owned();
        assert_eq!(refused(RuntimeError::WorkerStopped), RuntimeError::WorkerStopped);
        for error in [
            RuntimeError::Unauthorized { reason: reason() },
            RuntimeError::Forbidden { reason: reason() },
        ] {
            let told = refused(error);
            assert!(matches!(told, RuntimeError::RemoteAuthFailed { .. }), "{told:?}");
        }
        let other: RuntimeId = "backend-internal".parse().expect("an id");
        let of_another = RuntimeError::RuntimeInUse { runtime_id: other, reason: reason() };
        assert_eq!(refused(of_another), no_answer(&id));
        let answer = || ClientError::Answer { what: "the password is sesame".to_owned() };
        let told = translated(&id, answer()).to_string();
        assert!(!told.contains("sesame"), "{told}");
        // Without that it would be there to be found.
        assert!(RuntimeError::from(answer()).to_string().contains("sesame"));
    }
}

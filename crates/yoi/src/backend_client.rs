//! A client of a running Backend.

mod runtimes;

use std::{collections::VecDeque, net::IpAddr, path::Path, pin::pin, time::Duration};

use reqwest::{Method, RequestBuilder, Response, Url, header};
use runtime_client::{SseEvent, SseParser};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use worker_types::{
    ComponentRef, Cursor, Diagnostic, Grant, IfBusy, Input, InputAccepted, InputOptions, Item,
    ItemId, Labels, LiveEvent, LogPage, ProfileName, RuntimeId, TranscriptPage, TurnId, Upgraded,
    WorkerId, WorkerPage, WorkerUsage, WorkerView,
};
use yoi_config::Config;

use crate::{
    backend_error::{BackendError, Refusal},
    cli::BackendArgs,
    data_dir::{BackendFile, Token, data_dir},
    output::Output,
};

/// The variable with the token of what is named on the command line.
const TOKEN_VARIABLE: &str = "YOI_TOKEN";

/// A Backend on this machine accepts at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Every answer but a stream of events is there soon.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// When a person is told that there is no answer yet: later than all that is as it should be.
const PATIENCE: Duration = Duration::from_secs(3);

/// The same for a stream of events: the Backend sends a heartbeat every 15 seconds.
const STREAM_PATIENCE: Duration = Duration::from_secs(40);

/// How often in a row a broken stream is taken up again, and after what pause.
const STREAM_TRIES: u32 = 5;
const STREAM_PAUSE: Duration = Duration::from_millis(200);

/// A Runtime, as far as the CLI looks at it.
#[derive(Debug, Deserialize)]
struct RuntimeEntry {
    runtime_id: RuntimeId,
}

/// A request for a Worker. What it may do is the Backend's decision.
#[derive(Debug, Serialize)]
pub(crate) struct NewWorker {
    pub(crate) profile: ProfileName,
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

/// A client of one Backend.
#[derive(Debug, Clone)]
pub(crate) struct BackendClient {
    base: Url,
    token: Token,
    /// Whether the Backend said itself where it is; then silence means that it is gone.
    from_file: bool,
    http: reqwest::Client,
    output: Output,
}

impl BackendClient {
    /// A client of the Backend that `args` mean.
    pub(crate) fn find(
        args: &BackendArgs,
        config: &Config,
        output: Output,
    ) -> anyhow::Result<Self> {
        match &args.backend {
            Some(url) => {
                let token = token_from_environment("--backend", "the Backend's")?;
                Self::new(url, token, false, output)
            }
            None => {
                Self::of_data_dir(&data_dir(args.data_dir.data_dir.as_deref(), config)?, output)
            }
        }
    }

    fn of_data_dir(dir: &Path, output: Output) -> anyhow::Result<Self> {
        let file = BackendFile::read(dir)?.ok_or(BackendError::NotRunning)?;
        Self::new(&file.url, file.token, true, output)
    }

    fn new(url: &str, token: Token, from_file: bool, output: Output) -> anyhow::Result<Self> {
        let base = loopback_url(url)?;
        let http = reqwest::Client::builder()
            // A proxy or a redirection would hand the token to somebody else.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .build()?;
        Ok(Self { base, token, from_file, http, output })
    }

    /// A fresh one-time link to the console.
    pub(crate) async fn login_link(&self) -> Result<String, BackendError> {
        #[derive(Deserialize)]
        struct Link {
            url_path: String,
        }
        let link: Link = self.ask(self.request(Method::POST, &["login-links"], &[])).await?;
        let url = self.base.join(&link.url_path);
        url.map(String::from).map_err(|error| BackendError::Answer { what: error.to_string() })
    }

    /// All Workers that match, oldest first, and what is missing among them.
    pub(crate) async fn workers(
        &self,
        status: Option<&str>,
        labels: &[(String, String)],
    ) -> Result<FoundWorkers, BackendError> {
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        let mut found = FoundWorkers::default();
        let mut after: Option<String> = None;
        loop {
            let mut query = vec![("limit", "1000")];
            query.extend(status.map(|status| ("status", status)));
            query.extend(labels.iter().map(|label| ("label", label.as_str())));
            query.extend(after.as_deref().map(|after| ("after", after)));
            let page: WorkerPage =
                self.ask(self.request(Method::GET, &["workers"], &query)).await?;
            found.workers.extend(page.workers);
            // Every page says what it lacks; once is enough.
            for diagnostic in page.diagnostics {
                if !found.diagnostics.contains(&diagnostic) {
                    found.diagnostics.push(diagnostic);
                }
            }
            match page.next {
                Some(next) => after = Some(next.to_string()),
                None => return Ok(found),
            }
        }
    }

    /// The Runtime that new Workers go to: the only one, or the one called `wanted`.
    pub(crate) async fn runtime(
        &self,
        wanted: Option<&RuntimeId>,
    ) -> Result<RuntimeId, BackendError> {
        #[derive(Deserialize)]
        struct Runtimes {
            runtimes: Vec<RuntimeEntry>,
        }
        if let Some(wanted) = wanted {
            return Ok(wanted.clone());
        }
        let known: Runtimes = self.ask(self.request(Method::GET, &["runtimes"], &[])).await?;
        match known.runtimes.as_slice() {
            [only] => Ok(only.runtime_id.clone()),
            many => {
                let names: Vec<&str> = many.iter().map(|entry| entry.runtime_id.as_str()).collect();
                let detail =
                    format!("name one of the Runtimes with --runtime: {}", names.join(", "));
                Err(Refusal::of_ours(detail).into())
            }
        }
    }

    /// Creates a Worker.
    pub(crate) async fn create(
        &self,
        runtime: &RuntimeId,
        worker: &NewWorker,
    ) -> Result<WorkerView, BackendError> {
        let path = ["runtimes", runtime.as_str(), "workers"];
        let request = self.request(Method::POST, &path, &[]).json(worker);
        self.ask(request).await.map_err(BackendError::in_doubt)
    }

    /// One Worker.
    pub(crate) async fn worker(&self, at: &WorkerAddress) -> Result<WorkerView, BackendError> {
        self.ask(self.of_worker(Method::GET, at, "", &[])).await
    }

    /// Gives a Worker an input.
    pub(crate) async fn input(
        &self,
        at: &WorkerAddress,
        input: &Input,
        options: &InputOptions,
    ) -> Result<InputAccepted, BackendError> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(flatten)]
            input: &'a Input,
            if_busy: IfBusy,
        }
        let body = Body { input, if_busy: options.if_busy };
        let mut request = self.of_worker(Method::POST, at, "input", &[]).json(&body);
        if let Some(key) = &options.idempotency_key {
            request = request.header("idempotency-key", key.as_str());
        }
        self.ask(request).await.map_err(BackendError::in_doubt)
    }

    /// Cancels a turn of a Worker, or whichever runs.
    pub(crate) async fn cancel(
        &self,
        at: &WorkerAddress,
        turn: Option<TurnId>,
    ) -> Result<(), BackendError> {
        let body = match turn {
            Some(turn) => serde_json::json!({ "turn_id": turn }),
            None => serde_json::json!({}),
        };
        self.command(self.of_worker(Method::POST, at, "cancel", &[]).json(&body)).await
    }

    /// Stops a Worker.
    pub(crate) async fn stop(&self, at: &WorkerAddress) -> Result<(), BackendError> {
        self.command(self.of_worker(Method::POST, at, "stop", &[])).await
    }

    /// Takes grants away from a Worker.
    pub(crate) async fn revoke(
        &self,
        at: &WorkerAddress,
        grants: &[Grant],
    ) -> Result<(), BackendError> {
        let body = serde_json::json!({ "grants": grants });
        self.command(self.of_worker(Method::POST, at, "revoke", &[]).json(&body)).await
    }

    /// Moves a Worker to another component.
    pub(crate) async fn upgrade(
        &self,
        at: &WorkerAddress,
        component: &ComponentRef,
    ) -> Result<Upgraded, BackendError> {
        let body = serde_json::json!({ "component": component });
        let request = self.of_worker(Method::POST, at, "upgrade", &[]).json(&body);
        self.ask(request).await.map_err(BackendError::in_doubt)
    }

    /// Starts a stopped Worker.
    pub(crate) async fn start(&self, at: &WorkerAddress) -> Result<(), BackendError> {
        self.command(self.of_worker(Method::POST, at, "start", &[])).await
    }

    /// Deletes a stopped Worker.
    pub(crate) async fn delete(&self, at: &WorkerAddress) -> Result<(), BackendError> {
        self.command(self.of_worker(Method::DELETE, at, "", &[])).await
    }

    /// The piece of a Worker's transcript after `after`.
    pub(crate) async fn transcript(
        &self,
        at: &WorkerAddress,
        after: ItemId,
    ) -> Result<TranscriptPage, BackendError> {
        let after = after.to_string();
        self.ask(self.of_worker(Method::GET, at, "transcript", &[("after", &after)])).await
    }

    /// One item of a Worker's transcript, all of it.
    pub(crate) async fn item(
        &self,
        at: &WorkerAddress,
        item: ItemId,
    ) -> Result<Item, BackendError> {
        self.ask(self.of_worker(Method::GET, at, &format!("items/{item}"), &[])).await
    }

    /// What the newest turns of a Worker before `before` took, at most `limit` of them.
    pub(crate) async fn usage(
        &self,
        at: &WorkerAddress,
        before: Option<TurnId>,
        limit: usize,
    ) -> Result<WorkerUsage, BackendError> {
        let limit = limit.to_string();
        let before = before.map(|turn| turn.to_string());
        let mut query = vec![("limit", limit.as_str())];
        query.extend(before.as_deref().map(|before| ("before", before)));
        self.ask(self.of_worker(Method::GET, at, "usage", &query)).await
    }

    /// What a Worker's guest printed.
    pub(crate) async fn logs(
        &self,
        at: &WorkerAddress,
        turn: Option<TurnId>,
    ) -> Result<LogPage, BackendError> {
        let turn = turn.map(|turn| turn.to_string());
        let query: Vec<(&str, &str)> = turn.iter().map(|turn| ("turn", turn.as_str())).collect();
        self.ask(self.of_worker(Method::GET, at, "logs", &query)).await
    }

    /// A Worker's events after `after`, as they come.
    pub(crate) fn events(&self, at: WorkerAddress, after: Cursor) -> EventStream {
        EventStream {
            client: self.clone(),
            at,
            cursor: after.to_string(),
            response: None,
            parser: SseParser::default(),
            ready: VecDeque::new(),
            failures: 0,
        }
    }

    fn of_worker(
        &self,
        method: Method,
        at: &WorkerAddress,
        what: &str,
        query: &[(&str, &str)],
    ) -> RequestBuilder {
        let worker = at.worker.to_string();
        let mut path = vec!["runtimes", at.runtime.as_str(), "workers", &worker];
        if !what.is_empty() {
            path.push(what);
        }
        self.request(method, &path, query)
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(&format!("/api/{}", path.join("/")));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.http.request(method, url).bearer_auth(self.token.reveal()).timeout(ANSWER_TIMEOUT)
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, BackendError> {
        let response = self.send(request).await?;
        let body = response.bytes().await.map_err(|source| self.unreachable(source))?;
        serde_json::from_slice(&body)
            .map_err(|error| BackendError::Answer { what: error.to_string() })
    }

    async fn command(&self, request: RequestBuilder) -> Result<(), BackendError> {
        self.send(request).await.map(drop).map_err(BackendError::in_doubt)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, BackendError> {
        let answered = patiently(PATIENCE, request.send(), || self.note_silence()).await;
        let response = answered.map_err(|source| self.unreachable(source))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|source| self.unreachable(source))?;
        Err(Refusal::read(status.as_u16(), &body).into())
    }

    fn unreachable(&self, source: reqwest::Error) -> BackendError {
        if self.from_file && source.is_connect() {
            return BackendError::NotRunning;
        }
        let url = self.base.to_string();
        if source.is_timeout() && !source.is_connect() {
            return BackendError::Silent { url };
        }
        BackendError::Unreachable { url, source: source.without_url() }
    }

    /// Tells a person that the Backend takes its time. A program has patience.
    fn note_silence(&self) {
        if !self.output.is_json() {
            self.output.note(&format!("no answer from the Backend at {} yet: waiting", self.base));
        }
    }
}

/// The token that an option needs, which is `whose`.
pub(crate) fn token_from_environment(option: &str, whose: &str) -> anyhow::Result<Token> {
    let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
    let token =
        token.ok_or_else(|| anyhow::anyhow!("{option} needs {whose} token in {TOKEN_VARIABLE}"))?;
    Ok(Token::new(token))
}

/// Where a Worker is.
#[derive(Debug, Clone)]
pub(crate) struct WorkerAddress {
    pub(crate) runtime: RuntimeId,
    pub(crate) worker: WorkerId,
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

/// A Worker's events. A connection that breaks is taken up again at the last event that came.
#[derive(Debug)]
pub(crate) struct EventStream {
    client: BackendClient,
    at: WorkerAddress,
    cursor: String,
    response: Option<Response>,
    parser: SseParser,
    ready: VecDeque<SseEvent>,
    failures: u32,
}

impl EventStream {
    /// Waits for the next event. May be dropped at any time without losing one.
    pub(crate) async fn next(&mut self) -> Result<LiveEvent, BackendError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                if let Some(id) = event.id {
                    self.cursor = id;
                }
                if event.name.as_deref() == Some("problem") {
                    return Err(Refusal::read(200, event.data.as_bytes()).into());
                }
                return serde_json::from_str(&event.data)
                    .map_err(|error| BackendError::Answer { what: error.to_string() });
            }
            let chunk = match &mut self.response {
                Some(response) => {
                    let silence = || self.client.note_silence();
                    patiently(STREAM_PATIENCE, response.chunk(), silence).await
                }
                None => {
                    let request = self.client.of_worker(
                        Method::GET,
                        &self.at,
                        "events",
                        &[("after", &self.cursor)],
                    );
                    // A stream lasts as long as it has something to say.
                    let request =
                        request.timeout(Duration::MAX).header(header::ACCEPT, "text/event-stream");
                    self.response = Some(self.client.send(request).await?);
                    self.parser = SseParser::default();
                    continue;
                }
            };
            match chunk {
                Ok(Some(piece)) => {
                    self.failures = 0;
                    let mut events = Vec::new();
                    self.parser
                        .push(&piece, &mut events)
                        .map_err(|error| BackendError::Answer { what: error.to_string() })?;
                    self.ready.extend(events);
                }
                Ok(None) => self.broken(None).await?,
                Err(error) => self.broken(Some(error)).await?,
            }
        }
    }

    async fn broken(&mut self, error: Option<reqwest::Error>) -> Result<(), BackendError> {
        self.response = None;
        self.failures += 1;
        if self.failures > STREAM_TRIES {
            return Err(error.map_or_else(
                || BackendError::Answer {
                    what: "the stream of events ends again and again".into(),
                },
                |source| self.client.unreachable(source),
            ));
        }
        tokio::time::sleep(STREAM_PAUSE).await;
        Ok(())
    }
}

/// Does `work`, and calls `notice` once if that takes longer than `patience`.
async fn patiently<T>(
    patience: Duration,
    work: impl Future<Output = T>,
    notice: impl FnOnce(),
) -> T {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(patience) => notice(),
    }
    work.await
}

/// The address in `url`, which has to be one of this machine: the CLI speaks plain HTTP, and a
/// token is not to cross a network in it.
fn loopback_url(url: &str) -> anyhow::Result<Url> {
    let parsed: Url = url.parse().map_err(|error| {
        anyhow::anyhow!("`{url}` is no address of a Backend: {error}; expected one such as http://127.0.0.1:8900")
    })?;
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    anyhow::ensure!(
        parsed.scheme() == "http" && is_loopback,
        "the Backend has to be at an address of this machine, such as http://127.0.0.1:8900: reach \
         one elsewhere through `ssh -L 8900:127.0.0.1:8900 HOST`"
    );
    Ok(parsed)
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
            "more than one Worker's id begins or ends with `{id}`: write more of it"
        )),
    }
}

#[cfg(test)]
#[path = "backend_client_tests.rs"]
mod tests;

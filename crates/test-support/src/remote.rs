//! A Runtime behind HTTP as a host under test: in a process of its own, or behind a Backend.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use runtime_client::{AuthToken, RemoteEvents, RemoteFeed, RuntimeClient};
use runtime_server::{NewToken, RuntimeServer, Scope, TokenFile};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use worker_types::{
    ComponentDigest, ComponentRef, CreateWorker, Cursor, Event, EventPage, FeedCursor, FeedPage,
    Grant, IdempotencyKey, Input, InputAccepted, InputOptions, Item, ItemId, LiveEvent, LogPage,
    Outcome, RuntimeError, RuntimeId, RuntimeSummary, TranscriptPage, TranscriptQuery, TurnId,
    Upgraded, WorkerId, WorkerPage, WorkerQuery, WorkerUsage, WorkerView,
};

use yoi_workspace_server::{
    AccessToken, Backend, LaunchPolicy, Registration, RemoteRuntime, RuntimeRegistry, RuntimeSource,
};

use crate::{
    conformance::Setting,
    embedded::{self, Embedded},
    operations::{Answer, EventStream, FeedStream, Operations},
};

/// What the process says once it serves.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {
    url: String,
    /// The file of its tokens.
    tokens: std::path::PathBuf,
}

/// The process itself: a Runtime on disk, served on a free port of this machine, until its standard input ends.
/// The first line there is its setting, and each line after it asks to remove what is old.
///
/// # Panics
///
/// Where it cannot serve.
pub async fn serve() {
    let mut lines = std::io::stdin().lock().lines();
    let setting = lines.next().expect("a setting").expect("text");
    let setting: Setting = serde_json::from_str(&setting).expect("a setting");
    let host = embedded::in_sqlite(setting).await;
    let directory = tempfile::tempdir().expect("a directory");
    let tokens = directory.path().join("tokens.json");
    let server = RuntimeServer::new(host.runtime.clone(), TokenFile::new(&tokens));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    say(&Ready { url, tokens });
    drop(lines);
    let asked = tokio::task::spawn_blocking(move || {
        let handle = tokio::runtime::Handle::current();
        for _ in std::io::stdin().lock().lines() {
            say(&handle.block_on(host.runtime.enforce_retention()).err());
        }
    });
    tokio::select! {
        served = server.serve(listener, CancellationToken::new()) => served.expect("it serves"),
        asked = asked => asked.expect("no panic"),
    }
}

fn say(what: &impl Serialize) {
    let line = serde_json::to_string(what).expect("JSON");
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).expect("somebody listens");
}

/// A Runtime that is reached over HTTP. It ends with this.
#[derive(Debug)]
pub struct Remote {
    client: RuntimeClient,
    others: Others,
    behind: Behind,
}

/// How the client of another principal is told apart from the one that does most.
#[derive(Debug)]
enum Others {
    /// By a token of its own.
    Tokens(Mutex<HashMap<String, RuntimeClient>>),
    /// A Backend has one token: a program with several callers tells them apart in its keys.
    Keys,
}

/// What is behind the API.
#[derive(Debug)]
enum Behind {
    Process(Box<Process>),
    EmbeddingBackend(Box<Embedded>, #[expect(dead_code, reason = "it ends with this")] JoinSet<()>),
    RemoteBackend(Box<Process>, #[expect(dead_code, reason = "it ends with this")] JoinSet<()>),
}

/// A Runtime in another process. It ends with this.
#[derive(Debug)]
struct Process {
    url: String,
    tokens: TokenFile,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `program`, which is to do what [`serve`] does.
///
/// # Panics
///
/// Where it does not.
pub fn start(program: &str, setting: &Setting) -> Remote {
    let process = Process::start(program, setting);
    let client = process.client();
    let others = Others::Tokens(Mutex::default());
    Remote { client, others, behind: Behind::Process(Box::new(process)) }
}

/// A Backend that embeds the Runtime.
///
/// # Panics
///
/// Where it does not serve.
pub async fn embedding_backend(setting: Setting) -> Remote {
    let host = embedded::in_sqlite(setting).await;
    let source = RuntimeSource::embedded(host.runtime.clone());
    let (client, tasks) = backend(source).await;
    let behind = Behind::EmbeddingBackend(Box::new(host), tasks);
    Remote { client, others: Others::Keys, behind }
}

/// A Backend that knows the Runtime of another process.
///
/// # Panics
///
/// Where one of them does not serve.
pub async fn remote_backend(program: &'static str, setting: Setting) -> Remote {
    let start = move || Process::start(program, &setting);
    let process = tokio::task::spawn_blocking(start).await.expect("it starts");
    let remote = RemoteRuntime::new("far".parse().expect("an id"), process.client());
    let (client, tasks) = backend(RuntimeSource::remote(remote)).await;
    let behind = Behind::RemoteBackend(Box::new(process), tasks);
    Remote { client, others: Others::Keys, behind }
}

/// A Backend of one Runtime, and a client of that Runtime behind it.
async fn backend(source: RuntimeSource) -> (RuntimeClient, JoinSet<()>) {
    let runtime_id = source.id().clone();
    let registry = RuntimeRegistry::new();
    registry.register(Registration::new(source)).expect("the only one");
    let token = AccessToken::generate();
    let backend = Backend::new(registry, LaunchPolicy::default(), &token);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        backend.serve(listener, CancellationToken::new()).await.expect("it serves");
    });
    let client = RuntimeClient::new(&url, AuthToken::new(token.reveal())).expect("a client");
    (client.behind_backend(&runtime_id), tasks)
}

impl Process {
    fn start(program: &str, setting: &Setting) -> Self {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        writeln!(stdin, "{}", serde_json::to_string(setting).expect("JSON")).expect("it listens");
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        let Ready { url, tokens } = serde_json::from_str(&line).expect("it serves");
        let tokens = TokenFile::new(tokens);
        let pipes = Mutex::new((stdin, stdout));
        Self { url, tokens, pipes, child }
    }

    /// A client with a token of its own.
    fn client(&self) -> RuntimeClient {
        let token = NewToken { scopes: [Scope::Admin].into(), ..NewToken::default() };
        let (_, secret) = self.tokens.add(token).expect("a token");
        RuntimeClient::new(&self.url, AuthToken::new(secret.reveal())).expect("a client")
    }

    fn enforce_retention(&self) -> Answer<()> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let (stdin, stdout) = &mut *pipes;
        writeln!(stdin, "retention").expect("it listens");
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        let failed: Option<RuntimeError> = serde_json::from_str(&line).expect("an answer");
        failed.map_or(Ok(()), Err)
    }
}

impl Remote {
    /// What a Backend registers to reach the same, under a name of its own.
    #[must_use]
    pub fn source(&self, id: RuntimeId) -> RuntimeSource {
        RuntimeSource::remote(RemoteRuntime::new(id, self.client.clone()))
    }

    /// The client of whoever made the key.
    fn of(&self, key: &mut Option<IdempotencyKey>) -> RuntimeClient {
        let principal = key.as_ref().map(IdempotencyKey::principal).unwrap_or_default().to_owned();
        match (&self.others, &self.behind) {
            _ if principal.is_empty() => self.client.clone(),
            (Others::Tokens(others), Behind::Process(process)) => {
                let mut others = others.lock().unwrap_or_else(PoisonError::into_inner);
                others.entry(principal).or_insert_with(|| process.client()).clone()
            }
            _ => {
                let theirs = |key: IdempotencyKey| format!("{principal}.{}", key.as_str());
                *key = key.take().and_then(|key| IdempotencyKey::new(theirs(key)).ok());
                self.client.clone()
            }
        }
    }
}

impl Operations for Remote {
    type Events = RemoteEvents;
    type Feed = RemoteFeed;

    async fn summary(&self) -> Answer<RuntimeSummary> {
        Ok(self.client.summary().await?)
    }

    async fn create(&self, mut request: CreateWorker) -> Answer<WorkerView> {
        Ok(self.of(&mut request.idempotency_key).create(request).await?)
    }

    async fn input(
        &self,
        id: WorkerId,
        input: Input,
        mut options: InputOptions,
    ) -> Answer<InputAccepted> {
        Ok(self.of(&mut options.idempotency_key).input(id, input, options).await?)
    }

    async fn outcome(&self, id: WorkerId, turn_id: TurnId) -> Answer<Outcome> {
        Ok(self.client.outcome(id, turn_id).await?)
    }

    async fn cancel(&self, id: WorkerId, turn_id: Option<TurnId>) -> Answer<()> {
        Ok(self.client.cancel(id, turn_id).await?)
    }

    async fn stop(&self, id: WorkerId) -> Answer<()> {
        Ok(self.client.stop(id).await?)
    }

    async fn revoke(&self, id: WorkerId, grants: Vec<Grant>) -> Answer<()> {
        Ok(self.client.revoke(id, grants).await?)
    }

    async fn upgrade(&self, id: WorkerId, component: ComponentRef) -> Answer<Upgraded> {
        Ok(self.client.upgrade(id, &component).await?)
    }

    async fn add_component(&self, bytes: Bytes) -> Answer<ComponentDigest> {
        Ok(self.client.add_component(bytes).await?.digest)
    }

    async fn remove_component(&self, digest: ComponentDigest) -> Answer<()> {
        Ok(self.client.remove_component(digest).await?)
    }

    async fn start(&self, id: WorkerId) -> Answer<()> {
        Ok(self.client.start(id).await?)
    }

    async fn delete(&self, id: WorkerId) -> Answer<()> {
        Ok(self.client.delete(id).await?)
    }

    async fn worker(&self, id: WorkerId) -> Answer<WorkerView> {
        Ok(self.client.worker(id).await?)
    }

    async fn workers(&self, query: WorkerQuery) -> Answer<WorkerPage> {
        Ok(self.client.workers(&query).await?)
    }

    async fn transcript(&self, id: WorkerId, query: TranscriptQuery) -> Answer<TranscriptPage> {
        Ok(self.client.transcript(id, query).await?)
    }

    async fn item(&self, id: WorkerId, item_id: ItemId) -> Answer<Item> {
        Ok(self.client.item(id, item_id).await?)
    }

    async fn event_page(&self, id: WorkerId, after: Cursor, limit: usize) -> Answer<EventPage> {
        Ok(self.client.event_page(id, after, limit).await?)
    }

    async fn events(&self, id: WorkerId, after: Cursor) -> Answer<RemoteEvents> {
        Ok(self.client.events(id, after).await?)
    }

    async fn logs(&self, id: WorkerId, turn_id: Option<TurnId>) -> Answer<LogPage> {
        Ok(self.client.logs(id, turn_id).await?)
    }

    async fn usage(
        &self,
        id: WorkerId,
        before: Option<TurnId>,
        limit: usize,
    ) -> Answer<WorkerUsage> {
        Ok(self.client.usage(id, before, limit).await?)
    }

    async fn feed_page(&self, after: FeedCursor, limit: usize) -> Answer<FeedPage> {
        Ok(self.client.feed_page(after, limit).await?)
    }

    async fn feed(&self, after: FeedCursor) -> Answer<RemoteFeed> {
        Ok(self.client.feed(after).await?)
    }

    async fn enforce_retention(&self) -> Answer<()> {
        match &self.behind {
            Behind::Process(process) | Behind::RemoteBackend(process, _) => {
                process.enforce_retention()
            }
            Behind::EmbeddingBackend(host, _) => host.runtime.enforce_retention().await,
        }
    }
}

impl EventStream for RemoteEvents {
    async fn next(&mut self) -> Option<Answer<LiveEvent>> {
        Some(Self::next(self).await?.map_err(RuntimeError::from))
    }

    fn cursor(&self) -> Cursor {
        Self::cursor(self)
    }
}

impl FeedStream for RemoteFeed {
    async fn next(&mut self) -> Option<Answer<Event>> {
        Some(Self::next(self).await?.map_err(RuntimeError::from))
    }

    fn cursor(&self) -> FeedCursor {
        Self::cursor(self)
    }
}

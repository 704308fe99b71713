//! A Runtime in a process of its own, behind HTTP, as a host under test.

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
use tokio_util::sync::CancellationToken;
use worker_types::{
    ComponentDigest, ComponentRef, CreateWorker, Cursor, Event, EventPage, FeedCursor, FeedPage,
    Grant, IdempotencyKey, Input, InputAccepted, InputOptions, Item, ItemId, LiveEvent, LogPage,
    Outcome, RuntimeError, RuntimeSummary, TranscriptPage, TranscriptQuery, TurnId, Upgraded,
    WorkerId, WorkerPage, WorkerQuery, WorkerUsage, WorkerView,
};

use crate::{
    conformance::Setting,
    embedded,
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

/// A Runtime in another process. It ends with this.
#[derive(Debug)]
pub struct Remote {
    client: RuntimeClient,
    url: String,
    tokens: TokenFile,
    /// Others than the one that does most, by what they call themselves.
    others: Mutex<HashMap<String, RuntimeClient>>,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    child: Child,
}

impl Drop for Remote {
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
    let client = client(&url, &tokens);
    let pipes = Mutex::new((stdin, stdout));
    Remote { client, url, tokens, others: Mutex::default(), pipes, child }
}

fn client(url: &str, tokens: &TokenFile) -> RuntimeClient {
    let token = NewToken { scopes: [Scope::Admin].into(), ..NewToken::default() };
    let (_, secret) = tokens.add(token).expect("a token");
    RuntimeClient::new(url, AuthToken::new(secret.reveal())).expect("a client")
}

impl Remote {
    /// The client of whoever made the key: another principal has another token.
    fn of(&self, key: Option<&IdempotencyKey>) -> RuntimeClient {
        let Some(principal) = key.map(IdempotencyKey::principal).filter(|name| !name.is_empty())
        else {
            return self.client.clone();
        };
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || client(&self.url, &self.tokens);
        others.entry(principal.to_owned()).or_insert_with(new).clone()
    }
}

impl Operations for Remote {
    type Events = RemoteEvents;
    type Feed = RemoteFeed;

    async fn summary(&self) -> Answer<RuntimeSummary> {
        Ok(self.client.summary().await?)
    }

    async fn create(&self, request: CreateWorker) -> Answer<WorkerView> {
        Ok(self.of(request.idempotency_key.as_ref()).create(request).await?)
    }

    async fn input(
        &self,
        id: WorkerId,
        input: Input,
        options: InputOptions,
    ) -> Answer<InputAccepted> {
        Ok(self.of(options.idempotency_key.as_ref()).input(id, input, options).await?)
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
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let (stdin, stdout) = &mut *pipes;
        writeln!(stdin, "retention").expect("it listens");
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        let failed: Option<RuntimeError> = serde_json::from_str(&line).expect("an answer");
        failed.map_or(Ok(()), Err)
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

//! What changes in the Runtimes, for who shows them: hints, of which none is repeated. The truth is what a
//! Runtime answers, and of a Worker its own events.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{
    sync::{broadcast, watch},
    task::{AbortHandle, JoinSet},
    time::{self, Instant},
};
use utoipa::ToSchema;
use worker_runtime::Runtime;
use worker_types::{
    Event, EventBody, FeedCursor, RuntimeError, RuntimeId, RuntimeStatus, Seq, WorkerId,
};

use crate::{Registration, RemoteRuntime, RuntimeFeed, RuntimeRegistry, RuntimeSource};

/// How often a Runtime is asked how it fares that answers.
const PROBES: Duration = Duration::from_secs(10);

/// How long nobody asks one that did not answer, and at most: each pause is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Workers of which it is remembered whether callers see them, of a Runtime that shows only some.
const MOST_REMEMBERED: usize = 10_000;

/// That something is to be looked at anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hint {
    Worker(WorkerChanged),
    Runtime(RuntimeChanged),
}

/// A Worker has a new event in its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct WorkerChanged {
    pub(crate) runtime_id: RuntimeId,
    pub(crate) worker_id: WorkerId,
    /// The event's place.
    pub(crate) seq: Seq,
    /// What kind of event it is.
    pub(crate) r#type: &'static str,
}

/// A Runtime was added or removed, is reached again or not any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct RuntimeChanged {
    pub(crate) runtime_id: RuntimeId,
    /// Whether it takes work; absent where it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<RuntimeStatus>,
}

/// Watches each Runtime of the registry for as long as it is in it.
pub(crate) async fn watch(
    registry: &RuntimeRegistry,
    mut generation: watch::Receiver<u64>,
    hints: &broadcast::Sender<Hint>,
) {
    let mut tasks = JoinSet::new();
    let mut watched: HashMap<RuntimeId, (Arc<RuntimeSource>, AbortHandle)> = HashMap::new();
    loop {
        generation.mark_unchanged();
        let mut before = std::mem::take(&mut watched);
        for runtime in registry.runtimes() {
            let source = runtime.source();
            let known = before.remove(source.id()).filter(|(known, task)| {
                let is_same = Arc::ptr_eq(known, source);
                if !is_same {
                    task.abort();
                }
                is_same
            });
            let entry = known.unwrap_or_else(|| {
                let task = tasks.spawn(watch_one(runtime.clone(), hints.clone()));
                (Arc::clone(source), task)
            });
            watched.insert(source.id().clone(), entry);
        }
        for (runtime_id, (_, task)) in before {
            task.abort();
            send(hints, Hint::Runtime(RuntimeChanged { runtime_id, status: None }));
        }
        if generation.changed().await.is_err() {
            return;
        }
        while tasks.try_join_next().is_some() {}
    }
}

async fn watch_one(runtime: Registration, hints: broadcast::Sender<Hint>) {
    let seen = Seen { runtime: &runtime, known: HashMap::new() };
    match &**runtime.source() {
        RuntimeSource::Embedded(runtime) => watch_embedded(runtime, seen, &hints).await,
        RuntimeSource::Remote(remote) => watch_remote(remote, seen, &hints).await,
    }
}

/// Which Workers of a Runtime callers of the Backend see.
struct Seen<'a> {
    runtime: &'a Registration,
    /// The labels of a Worker never change.
    known: HashMap<WorkerId, bool>,
}

impl Seen<'_> {
    async fn shows(&mut self, event: &Event) -> bool {
        let worker_id = event.worker_id;
        if let Some(shows) = self.known.get(&worker_id) {
            return *shows;
        }
        let shows = match &event.body {
            // The event may be here before the Runtime knows its Worker.
            EventBody::WorkerCreated { labels, .. } => self.runtime.shows_labelled(labels),
            // Of one that does not say which labels it has nothing is told.
            _ => match self.runtime.shows(worker_id).await {
                Ok(shows) => shows,
                Err(_) => return false,
            },
        };
        if self.known.len() >= MOST_REMEMBERED {
            self.known.clear();
        }
        self.known.insert(worker_id, shows);
        shows
    }
}

/// It is always reached, and its feed ends with it.
async fn watch_embedded(runtime: &Runtime, mut seen: Seen<'_>, hints: &broadcast::Sender<Hint>) {
    tell(hints, runtime.id(), runtime.status());
    let Ok(feed) = runtime.feed(runtime.summary().feed_cursor) else { return };
    follow(&mut seen, RuntimeFeed::Embedded(feed), hints).await;
}

async fn watch_remote(remote: &RemoteRuntime, mut seen: Seen<'_>, hints: &broadcast::Sender<Hint>) {
    let mut told = Told { runtime_id: remote.id(), status: None, hints };
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        match remote.probe().await {
            Ok((status, end)) => {
                told.tell(status);
                match while_reached(remote, end, &mut seen, &mut told).await {
                    Ending::Lost => told.tell(RuntimeStatus::Unavailable),
                    // Who looks anew sees what the feed did not tell.
                    Ending::Feed => told.status = None,
                }
            }
            Err(error) => {
                tracing::warn!(runtime_id = %remote.id(), %error, "a Runtime is lost");
                told.tell(RuntimeStatus::Unavailable);
            }
        }
        // One whose feed breaks off at once is not asked without end.
        if begun.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What was told of a Runtime last.
struct Told<'a> {
    runtime_id: &'a RuntimeId,
    status: Option<RuntimeStatus>,
    hints: &'a broadcast::Sender<Hint>,
}

impl Told<'_> {
    /// Tells it, where that is new.
    fn tell(&mut self, status: RuntimeStatus) {
        if self.status != Some(status) {
            self.status = Some(status);
            tell(self.hints, self.runtime_id, status);
        }
    }
}

/// Why nothing more comes of a Runtime that was reached.
enum Ending {
    /// It did not answer.
    Lost,
    /// Its feed broke off.
    Feed,
}

/// Passes on what comes, until the Runtime does not answer, or its feed ends.
async fn while_reached(
    remote: &RemoteRuntime,
    end: FeedCursor,
    seen: &mut Seen<'_>,
    told: &mut Told<'_>,
) -> Ending {
    let hints = told.hints;
    let probes = async {
        loop {
            time::sleep(PROBES).await;
            match remote.probe().await {
                Ok((status, _)) => told.tell(status),
                Err(_) => return,
            }
        }
    };
    let feed = async {
        match remote.feed(end).await {
            Ok(feed) => follow(seen, feed, hints).await,
            // Not for this token: then there are no hints of its Workers.
            Err(RuntimeError::RemoteAuthFailed { .. }) => std::future::pending().await,
            Err(_) => {}
        }
    };
    tokio::select! {
        () = probes => Ending::Lost,
        () = feed => Ending::Feed,
    }
}

/// Passes on the events of a feed until it ends.
async fn follow(seen: &mut Seen<'_>, mut feed: RuntimeFeed, hints: &broadcast::Sender<Hint>) {
    while let Some(event) = feed.next().await {
        let Ok(event) = event else {
            // Of what is damaged the feed of this process tells, and goes on.
            if matches!(feed, RuntimeFeed::Embedded(_)) {
                continue;
            }
            return;
        };
        if !seen.shows(&event).await {
            continue;
        }
        send(
            hints,
            Hint::Worker(WorkerChanged {
                runtime_id: seen.runtime.source().id().clone(),
                worker_id: event.worker_id,
                seq: event.seq,
                r#type: event.body.name(),
            }),
        );
    }
}

fn tell(hints: &broadcast::Sender<Hint>, runtime_id: &RuntimeId, status: RuntimeStatus) {
    let runtime_id = runtime_id.clone();
    send(hints, Hint::Runtime(RuntimeChanged { runtime_id, status: Some(status) }));
}

/// Nobody has to listen.
fn send(hints: &broadcast::Sender<Hint>, hint: Hint) {
    let _ = hints.send(hint);
}

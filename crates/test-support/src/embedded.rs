//! The Runtime of this process as a host under test.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tempfile::TempDir;
use worker_runtime::{Events, Feed, Runtime, RuntimeBuilder, Store};
use worker_types::{
    Access, ComponentDigest, ComponentRef, CreateWorker, Cursor, Event, EventPage, FeedCursor,
    FeedPage, Grant, Grants, Input, InputAccepted, InputOptions, Item, ItemId, LiveEvent, LogPage,
    Outcome, Preopen, Profile, ProfileName, RootName, RuntimeSummary, ShellGrant, TranscriptPage,
    TranscriptQuery, TurnId, Upgraded, WorkerId, WorkerPage, WorkerQuery, WorkerUsage, WorkerView,
};

use crate::{
    conformance::Setting,
    operations::{Answer, EventStream, FeedStream, Operations},
};

/// A Runtime, and the directory of what it keeps, which goes with it.
#[derive(Debug)]
pub struct Embedded {
    /// The Runtime.
    pub runtime: Runtime,
    _directory: TempDir,
}

fn name(text: &str) -> ProfileName {
    text.parse().expect("a valid name")
}

fn profile(text: &str, component: &str, resume: bool) -> Profile {
    Profile {
        name: name(text),
        description: String::new(),
        component: ComponentRef::Builtin(name(component)),
        optional: BTreeSet::new(),
        resume,
        commands: Default::default(),
        config: Default::default(),
    }
}

/// The same directory for the tests and the programs of one build.
fn component_cache() -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    let directory = program.parent().expect("a program lies in a directory");
    let build = if directory.ends_with("deps") { directory.parent() } else { None };
    build.unwrap_or(directory).join("test-support-components")
}

/// A Runtime with the profiles that tests use: `base` and `resumable` run
/// [`test_guests::HOSTILE_BASE`], and the second goes on from turns that were interrupted.
///
/// What was compiled is kept beside the program: a start takes milliseconds then, and it is starts
/// that these tests are about.
#[must_use]
pub fn builder(store: Store) -> RuntimeBuilder {
    let base = Cow::Borrowed(test_guests::HOSTILE_BASE);
    Runtime::builder("test".parse().expect("a valid id"))
        .store(store)
        .component_cache(component_cache())
        .components([(ComponentRef::Builtin(name("base")), base)])
        .profiles([profile("base", "base", false), profile("resumable", "base", true)])
}

/// The same with the built-in `echo` and, where a test wants it, `companion`.
#[must_use]
pub fn builder_for(setting: Setting, store: Store) -> RuntimeBuilder {
    let wanted = |known: &str| match known {
        "echo" => true,
        "companion" => setting.companion,
        "shell" => setting.shell,
        _ => false,
    };
    let components = builtin_workers::components().into_iter().filter(|(component, _)| {
        matches!(component, ComponentRef::Builtin(known) if wanted(known.as_str()))
    });
    let profiles = builtin_workers::profiles();
    let profiles = profiles.into_iter().filter(|profile| wanted(profile.name.as_str()));
    let builder = match setting.shell {
        true => builder(store).shell(builtin_workers::SHELL_COMPONENT),
        false => builder(store),
    };
    builder
        .components(components.collect::<Vec<_>>())
        .profiles(profiles.collect::<Vec<_>>())
        .limits(setting.limits)
        .retention(setting.retention)
}

/// A host that keeps everything in memory.
pub async fn in_memory(setting: Setting) -> Embedded {
    build(setting, tempfile::tempdir().expect("a directory"), |_| Store::memory()).await
}

/// A host that keeps everything in a directory of its own.
pub async fn in_sqlite(setting: Setting) -> Embedded {
    let sqlite = |at: &Path| Store::sqlite(at.join("log")).expect("a store");
    build(setting, tempfile::tempdir().expect("a directory"), sqlite).await
}

async fn build(
    setting: Setting,
    directory: TempDir,
    store: impl FnOnce(&Path) -> Store,
) -> Embedded {
    let scratch = Preopen::new(RootName::scratch(), "/".parse().expect("a guest path"));
    let ceiling = Grants {
        shell: setting.shell.then(ShellGrant::default),
        ..Grants::none().with_preopen(scratch.access(Access::ReadWrite))
    };
    let runtime = builder_for(setting, store(directory.path()))
        .scratch(directory.path().join("scratch"))
        .ceiling(ceiling);
    let runtime = runtime.build().await.expect("a Runtime");
    Embedded { runtime, _directory: directory }
}

impl Operations for Embedded {
    type Events = Events;
    type Feed = Feed;

    async fn summary(&self) -> Answer<RuntimeSummary> {
        Ok(self.runtime.summary())
    }

    async fn create(&self, request: CreateWorker) -> Answer<WorkerView> {
        self.runtime.create(request).await
    }

    async fn input(
        &self,
        id: WorkerId,
        input: Input,
        options: InputOptions,
    ) -> Answer<InputAccepted> {
        self.runtime.input(id, input, options).await
    }

    async fn outcome(&self, id: WorkerId, turn_id: TurnId) -> Answer<Outcome> {
        self.runtime.outcome(id, turn_id).await
    }

    async fn cancel(&self, id: WorkerId, turn_id: Option<TurnId>) -> Answer<()> {
        self.runtime.cancel(id, turn_id).await
    }

    async fn stop(&self, id: WorkerId) -> Answer<()> {
        self.runtime.stop(id).await
    }

    async fn revoke(&self, id: WorkerId, grants: Vec<Grant>) -> Answer<()> {
        self.runtime.revoke(id, grants).await
    }

    async fn upgrade(&self, id: WorkerId, component: ComponentRef) -> Answer<Upgraded> {
        self.runtime.upgrade(id, &component).await
    }

    async fn add_component(&self, bytes: Bytes) -> Answer<ComponentDigest> {
        self.runtime.add_component(bytes).await.map(|kept| kept.digest)
    }

    async fn remove_component(&self, digest: ComponentDigest) -> Answer<()> {
        self.runtime.remove_component(digest).await
    }

    async fn start(&self, id: WorkerId) -> Answer<()> {
        self.runtime.start(id).await
    }

    async fn delete(&self, id: WorkerId) -> Answer<()> {
        self.runtime.delete(id).await
    }

    async fn worker(&self, id: WorkerId) -> Answer<WorkerView> {
        self.runtime.worker(id)
    }

    async fn workers(&self, query: WorkerQuery) -> Answer<WorkerPage> {
        self.runtime.workers(&query)
    }

    async fn transcript(&self, id: WorkerId, query: TranscriptQuery) -> Answer<TranscriptPage> {
        self.runtime.transcript(id, query).await
    }

    async fn item(&self, id: WorkerId, item_id: ItemId) -> Answer<Item> {
        self.runtime.item(id, item_id).await
    }

    async fn event_page(&self, id: WorkerId, after: Cursor, limit: usize) -> Answer<EventPage> {
        self.runtime.event_page(id, after, limit).await
    }

    async fn events(&self, id: WorkerId, after: Cursor) -> Answer<Events> {
        self.runtime.events(id, after)
    }

    async fn logs(&self, id: WorkerId, turn_id: Option<TurnId>) -> Answer<LogPage> {
        self.runtime.logs(id, turn_id).await
    }

    async fn usage(
        &self,
        id: WorkerId,
        before: Option<TurnId>,
        limit: usize,
    ) -> Answer<WorkerUsage> {
        self.runtime.usage(id, before, limit).await
    }

    async fn feed_page(&self, after: FeedCursor, limit: usize) -> Answer<FeedPage> {
        self.runtime.feed_page(after, limit).await
    }

    async fn feed(&self, after: FeedCursor) -> Answer<Feed> {
        self.runtime.feed(after)
    }

    async fn enforce_retention(&self) -> Answer<()> {
        self.runtime.enforce_retention().await
    }
}

impl EventStream for Events {
    async fn next(&mut self) -> Option<Answer<LiveEvent>> {
        Self::next(self).await
    }

    fn cursor(&self) -> Cursor {
        Self::cursor(self)
    }
}

impl FeedStream for Feed {
    async fn next(&mut self) -> Option<Answer<Event>> {
        Self::next(self).await
    }

    fn cursor(&self) -> FeedCursor {
        Self::cursor(self)
    }
}

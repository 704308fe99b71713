//! The handle of a Runtime: what can be asked of it, and what it shows of itself.

mod components;
pub(crate) mod damage;
mod directories;
mod idempotency;
mod observe;
mod profiles;
mod restart;
mod retention;
mod scopes;
mod table;
mod threads;
mod upgrade;
mod validate;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use llm_engine::Models;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;
use worker_types::{
    ComponentRef, ConfigDigest, CreateWorker, DrainProgress, Event, EventBody, Grants, IfBusy,
    Input, InputAccepted, InputOptions, Labels, Limits, Outcome, Overview, Profile, ProfileName,
    Retention, RuntimeError, RuntimeId, TurnId, Usage, WorkerId, WorkerStatus, WorkerView,
};

use crate::{
    RuntimeBuilder, Store,
    allocation::Allocations,
    cell::{Authority, Change, Head, WorkerCell},
    confinement::Confinement,
    engine::Engines,
    grants::Roots,
    journal,
    logs::KeptLogs,
    shell::{CommandSet, RegisteredCommand, ShellHost},
    store::{KeyedOperation, StoreError},
    supervisor::{Creation, Reply, Request, Supervisor},
    worker::Command,
};

pub(crate) use components::{ComponentRemoval, ComponentsStay};
pub(crate) use damage::Damage;
pub(crate) use directories::TurnPreopens;
pub(crate) use idempotency::{KeyLocks, PendingKey};
use idempotency::{Keyed, accepted};
pub use observe::RuntimeLoad;
pub(crate) use profiles::{InstalledProfile, Snapshots};
use table::Workers;
pub(crate) use table::{CreationPlace, shutting_down};
pub(crate) use threads::{GuestThreads, Turnstile, WorkerThreads};
pub(crate) use upgrade::difference;

/// A Runtime: it creates Workers, runs their turns, and keeps their logs. Clones are handles of the
/// same Runtime.
///
/// No method needs to be polled to its end: what was accepted happens, also when the caller goes
/// away.
#[derive(Clone)]
pub struct Runtime(pub(crate) Arc<Inner>);

/// What the handles and tasks of a Runtime share. Each field has one owner: this.
pub(crate) struct Inner {
    pub(crate) id: RuntimeId,
    pub(crate) display_name: String,
    pub(crate) config_digest: Option<ConfigDigest>,
    pub(crate) models: Models,
    /// Within what the roots allow.
    pub(crate) ceiling: Grants,
    pub(crate) roots: Arc<Roots>,
    pub(crate) allocations: Arc<Allocations>,
    /// What turns may have open together.
    pub(crate) open_files: Arc<Semaphore>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) retention: Retention,
    pub(crate) profiles: BTreeMap<ProfileName, Arc<InstalledProfile>>,
    /// Those, and the others that Workers go by.
    pub(crate) snapshots: Mutex<Snapshots>,
    pub(crate) default_profile: Option<ProfileName>,
    pub(crate) store: Store,
    pub(crate) engines: Arc<Engines>,
    /// Runs scripts, where the embedder gave it a shell.
    pub(crate) shell: Option<Arc<ShellHost>>,
    /// What scripts of all Workers find.
    pub(crate) commands: CommandSet,
    /// What profiles may name besides.
    pub(crate) profile_commands: HashMap<ComponentRef, Arc<RegisteredCommand>>,
    /// What the process around it says of itself.
    pub(crate) confinement: Option<Confinement>,
    pub(crate) component_removal: ComponentRemoval,
    pub(crate) workers: Workers,
    pub(crate) damage: Damage,
    pub(crate) keys: KeyLocks,
    pub(crate) logs: KeptLogs,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) overview: Mutex<Overview>,
    pub(crate) threads: WorkerThreads,
    /// The embedder's tokio runtime: model calls are made there.
    pub(crate) host: Handle,
    pub(crate) tasks: TaskTracker,
    /// Ends running turns as interrupted.
    pub(crate) interrupt: CancellationToken,
    /// Ends the event streams.
    pub(crate) closing: CancellationToken,
}

/// What a Worker was created with and keeps for ever. Most Workers have no name and no labels.
#[derive(Debug)]
pub(crate) struct WorkerMeta {
    named: Option<Box<Named>>,
    /// In microseconds since 1970, as the store keeps it.
    created_us: i64,
}

#[derive(Debug)]
struct Named {
    display_name: Option<String>,
    labels: Labels,
}

impl WorkerMeta {
    pub(crate) fn new(display_name: Option<String>, labels: Labels, created_at: Timestamp) -> Self {
        let is_named = display_name.is_some() || !labels.is_empty();
        let named = is_named.then(|| Box::new(Named { display_name, labels }));
        Self { named, created_us: created_at.as_microsecond() }
    }

    pub(crate) fn display_name(&self) -> Option<&str> {
        self.named.as_ref()?.display_name.as_deref()
    }

    pub(crate) fn labels(&self) -> Option<&Labels> {
        Some(&self.named.as_ref()?.labels)
    }

    pub(crate) fn created_at(&self) -> Timestamp {
        Timestamp::from_microsecond(self.created_us).unwrap_or_default()
    }
}

impl Runtime {
    /// Starts building a Runtime with this id.
    #[must_use]
    pub fn builder(id: RuntimeId) -> RuntimeBuilder {
        RuntimeBuilder::new(id)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &RuntimeId {
        &self.0.id
    }

    /// Creates a Worker. With a first input, both are in one commit, and its turn runs.
    ///
    /// # Errors
    ///
    /// `UnknownProfile`, `GrantExceedsCeiling`, `PreopenUnavailable`, `ExposesGitDir`, `ScopeConflict`
    /// where another Worker may write there, `MissingGrant` where the component imports what is not
    /// granted, `InvalidInput`, `PayloadTooLarge`, `Capacity`, `IdempotencyConflict`,
    /// `RuntimeUnavailable` where the store fails.
    pub async fn create(&self, request: CreateWorker) -> Result<WorkerView, RuntimeError> {
        let runtime = &self.0;
        runtime.check_accepting()?;
        validate::creation(&request, &runtime.limits)?;
        let key = match &request.idempotency_key {
            Some(key) => match runtime.keyed(key, KeyedOperation::Create, None, &request).await? {
                Keyed::Accepted(answer) => return self.worker(accepted(&answer)?),
                Keyed::New(key) => Some(key),
            },
            None => None,
        };
        let profile = runtime.profile(request.profile.as_ref())?;
        request.grants.within(&runtime.ceiling).map_err(|exceeds| {
            RuntimeError::GrantExceedsCeiling { exceeds: exceeds.to_string() }
        })?;
        if let Some(component) = profile.loaded() {
            let grants = Arc::new(request.grants.clone());
            component.admit(&Authority::new(Arc::clone(profile), grants))?;
        }
        let runs_scripts = request.grants.shell.is_some();
        let id = WorkerId::generate();
        let permit = request.input.as_ref().and_then(|_| runtime.try_permit());
        let created = EventBody::WorkerCreated {
            display_name: request.display_name.clone(),
            profile: Box::new(profile.profile.clone()),
            component: profile.digest,
            grants: request.grants.clone(),
            labels: request.labels.clone(),
        };
        let mut commands = vec![Command::Create { created: Box::new(created) }];
        if let Some(input) = request.input {
            commands.push(Command::Input {
                parts: input.parts,
                if_busy: IfBusy::Reject,
                begin: permit.is_some(),
                queue: 0,
            });
        }
        let meta = WorkerMeta::new(request.display_name, request.labels, journal::now());
        let authority = Authority::new(Arc::clone(profile), runtime.share(request.grants));
        let cell = Arc::new(WorkerCell::new(id, meta, authority));
        let (reply, created) = oneshot::channel();
        let supervisor = Supervisor::new(Arc::clone(runtime), cell);
        runtime.workers.spawn_creation(runtime, id, |place| {
            supervisor.create(Creation { commands, permit, key }, place, reply)
        })?;
        let created = created.await.map_err(|_| task_failed())??;
        if let (true, Some(shell)) = (runs_scripts, &runtime.shell) {
            shell.prepare();
        }
        Ok(created)
    }

    /// Gives a Worker an input, which starts a turn, or waits for one as `options` say. It is in the
    /// log when this returns.
    ///
    /// # Errors
    ///
    /// `Busy` with the running turn's id, `WorkerStopped`, `UnknownWorker`, `InvalidInput`,
    /// `PayloadTooLarge`, `Capacity` where too many inputs wait, `IdempotencyConflict`,
    /// `WorkerUnavailable`, `RuntimeUnavailable` where the store fails.
    pub async fn input(
        &self,
        id: WorkerId,
        input: Input,
        options: InputOptions,
    ) -> Result<InputAccepted, RuntimeError> {
        self.0.check_accepting()?;
        validate::input(&input, &self.0.limits)?;
        let InputOptions { if_busy, idempotency_key } = options;
        let key = match &idempotency_key {
            Some(key) => {
                self.0.workers.cell(id)?;
                let operation = KeyedOperation::Input;
                match self.0.keyed(key, operation, Some(id), &(&input, if_busy)).await? {
                    Keyed::Accepted(answer) => return accepted(&answer),
                    Keyed::New(key) => Some(key),
                }
            }
            None => None,
        };
        let parts = input.parts;
        self.ask(id, |reply| Request::Input { parts, if_busy, key, reply }).await
    }

    /// Waits for the end of a turn, and says how it ended; at once where it has ended already.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the Worker has no such turn or its end is not kept any more,
    /// `UnknownWorker`, `WorkerUnavailable`, `RuntimeUnavailable`.
    pub async fn outcome(&self, id: WorkerId, turn_id: TurnId) -> Result<Outcome, RuntimeError> {
        let cell = self.0.workers.cell(id)?;
        let mut waited = false;
        loop {
            let (busy, known, available) = {
                let cell = cell.lock();
                if let Some(outcome) = cell.end_of(turn_id) {
                    return Ok(outcome);
                }
                let known = turn_id <= cell.head.last_turn;
                (cell.busy_turn(), known, cell.unavailable().is_none())
            };
            if busy != Some(turn_id) && available {
                let end = self
                    .0
                    .store
                    .turn_end(id, turn_id)
                    .await
                    .map_err(|error| store_error(&error))?;
                if let Some(EventBody::TurnEnded { outcome, .. }) = end.map(|event| event.body) {
                    return Ok(outcome);
                }
                // It may wait in the queue.
                if !known || busy.is_none() || waited {
                    let reason = "the Worker has no such turn".to_owned();
                    return Err(RuntimeError::InvalidInput { reason });
                }
            }
            self.ask(id, |reply| Request::End { turn_id, reply }).await?;
            waited = busy != Some(turn_id);
        }
    }

    /// Cancels the running turn. With a `turn_id` only that one, which may also wait in the queue: if
    /// it is over, nothing happens. The end of the turn is in the log when this returns.
    ///
    /// # Errors
    ///
    /// `UnknownWorker`, `WorkerUnavailable`, `Capacity` where too many requests wait for the Worker,
    /// `RuntimeUnavailable` where the store fails.
    pub async fn cancel(&self, id: WorkerId, turn_id: Option<TurnId>) -> Result<(), RuntimeError> {
        self.ask(id, |reply| Request::Cancel { turn_id, reply }).await
    }

    /// Stops a Worker: its running turn is cancelled, and inputs are refused until it is started. The
    /// directories that it might have written to are free when this returns: it waits for the guest,
    /// and for calls that the system has not ended.
    ///
    /// # Errors
    ///
    /// `UnknownWorker`, `WorkerUnavailable`, `Capacity` where too many requests wait for the Worker,
    /// `RuntimeUnavailable` where the store fails.
    pub async fn stop(&self, id: WorkerId) -> Result<(), RuntimeError> {
        self.ask(id, |reply| Request::Stop { reply }).await
    }

    /// Lets a stopped Worker take inputs again. What it may write to is held against the same rules as
    /// at its creation; where it breaks one, the Worker stays stopped.
    ///
    /// # Errors
    ///
    /// `ScopeConflict` where another Worker may write to its directories now, `PreopenUnavailable`,
    /// `ExposesGitDir`, `UnknownWorker`, `WorkerUnavailable`, `Capacity`, `RuntimeUnavailable` while the
    /// Runtime shuts down or the store fails.
    pub async fn start(&self, id: WorkerId) -> Result<(), RuntimeError> {
        self.0.check_accepting()?;
        self.ask(id, |reply| Request::Start { reply }).await
    }

    /// Deletes a stopped Worker, with its log and all it had. What the feed keeps of it is that it was
    /// deleted. One whose log cannot be read need not be stopped, and cannot be.
    ///
    /// # Errors
    ///
    /// `WorkerNotStopped`, `UnknownWorker`, `WorkerUnavailable`, `RuntimeUnavailable`.
    pub async fn delete(&self, id: WorkerId) -> Result<(), RuntimeError> {
        self.ask(id, |reply| Request::Delete { reply }).await
    }

    /// Takes no new work from now on: Workers, inputs, starts, upgrades and components are refused as unavailable.
    /// Turns that run or wait are finished; whoever looks, cancels or stops is served as before. Waits at most
    /// `wait` until nothing is left to do, and says how far that is. May be called again; there is no way
    /// back but another Runtime.
    pub async fn drain(&self, wait: Duration) -> DrainProgress {
        self.0.workers.drain();
        self.0.tasks.close();
        let drained = tokio::time::timeout(wait, self.0.tasks.wait()).await.is_ok();
        DrainProgress { drained, busy: self.0.workers.busy() }
    }

    /// Takes no more work, gives running turns `grace` to end, then ends them as interrupted. When
    /// this returns, everything is in the log and the event streams have ended. Commands for Workers
    /// without a running turn are refused as unavailable from the start. The store is closed, and its
    /// directory free, once the last handle is gone; readers are no handles.
    pub async fn shutdown(&self, grace: Duration) {
        self.0.workers.close();
        self.0.tasks.close();
        // Also where the caller goes away meanwhile.
        let _interrupt = self.0.interrupt.clone().drop_guard();
        let ended = tokio::time::timeout(grace, self.0.tasks.wait()).await;
        self.0.interrupt.cancel();
        if ended.is_err() {
            self.0.tasks.wait().await;
        }
        self.0.closing.cancel();
    }

    /// Hands a request to the Worker's task and waits for the answer.
    async fn ask<T>(
        &self,
        id: WorkerId,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<T, RuntimeError> {
        let (reply, answer) = oneshot::channel();
        self.0.workers.send(&self.0, id, request(reply))?;
        // The task answers everything it takes, unless it panics.
        answer.await.map_err(|_| task_failed())?
    }
}

impl Inner {
    /// What the scripts of a Worker with this profile find.
    pub(crate) fn commands(&self, profile: &Profile) -> CommandSet {
        if profile.commands.is_empty() {
            return Arc::clone(&self.commands);
        }
        let mut commands = BTreeMap::clone(&self.commands);
        // One whose component is not given any more is not found.
        let own = profile.commands.iter().filter_map(|(name, component)| {
            Some((name.clone(), Arc::clone(self.profile_commands.get(component)?)))
        });
        commands.extend(own);
        Arc::new(commands)
    }

    fn check_accepting(&self) -> Result<(), RuntimeError> {
        self.workers.check_accepting()
    }

    fn profile(&self, name: Option<&ProfileName>) -> Result<&Arc<InstalledProfile>, RuntimeError> {
        let Some(name) = name.or(self.default_profile.as_ref()) else {
            let reason = "name a profile: this Runtime has no default".to_owned();
            return Err(RuntimeError::InvalidInput { reason });
        };
        self.profiles.get(name).ok_or_else(|| RuntimeError::UnknownProfile {
            profile: name.clone(),
            known: self.profiles.keys().map(ProfileName::to_string).collect(),
        })
    }

    /// The grants, shared with those who have the same: idle Workers are many and alike.
    fn share(&self, grants: Grants) -> Arc<Grants> {
        let newest = self.workers.newest().map(|cell| cell.authority());
        let known = newest.into_iter().flat_map(|newest| [newest.granted, newest.grants]);
        known.into_iter().find(|known| **known == grants).unwrap_or_else(|| Arc::new(grants))
    }

    /// The right to run a turn, if it can be had at once.
    pub(crate) fn try_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// Waits for the right to run a turn.
    pub(crate) async fn permit(&self) -> OwnedSemaphorePermit {
        match Arc::clone(&self.permits).acquire_owned().await {
            Ok(permit) => permit,
            // Nobody closes the semaphore.
            Err(_) => std::future::pending().await,
        }
    }

    /// Shows committed events, after which the Worker is as in `head`.
    pub(crate) fn publish(&self, cell: &WorkerCell, events: &[Event], head: Head) {
        self.count(cell.publish(events, head));
    }

    /// Keeps the overview true.
    pub(crate) fn count(&self, change: Change) {
        let Change { before, after, used } = change;
        if before == after && used == Usage::default() {
            return;
        }
        let mut overview = self.overview.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = before {
            *slot(&mut overview, before) -= 1;
        }
        if let Some(after) = after {
            *slot(&mut overview, after) += 1;
        }
        overview.usage.add(used);
    }
}

fn slot(overview: &mut Overview, status: WorkerStatus) -> &mut u64 {
    match status {
        WorkerStatus::Idle => &mut overview.idle,
        WorkerStatus::Running { .. } | WorkerStatus::Unknown => &mut overview.running,
        WorkerStatus::Stopped => &mut overview.stopped,
        WorkerStatus::Unavailable => &mut overview.unavailable,
    }
}

fn task_failed() -> RuntimeError {
    let reason = "the Worker's task failed: try again".to_owned();
    RuntimeError::RuntimeUnavailable { reason }
}

/// What a caller is told of a failure of the store.
pub(crate) fn store_error(error: &StoreError) -> RuntimeError {
    match error {
        StoreError::InDoubt { reason } => RuntimeError::RuntimeUnavailable {
            reason: format!(
                "the store failed ({reason}), and whether this was recorded is not known: ask \
                 again with an idempotency key, or look"
            ),
        },
        StoreError::Unavailable { reason } => RuntimeError::RuntimeUnavailable {
            reason: format!("the store takes nothing at present ({reason})"),
        },
        StoreError::Unreadable { reason } => RuntimeError::RuntimeUnavailable {
            reason: format!("the store cannot be read at present ({reason})"),
        },
        StoreError::Damaged { reason, .. } | StoreError::FeedDamaged { reason, .. } => {
            RuntimeError::WorkerUnavailable { reason: reason.clone() }
        }
        StoreError::Gap { .. } => RuntimeError::WorkerUnavailable { reason: error.to_string() },
        StoreError::TableDamaged { reason } => {
            RuntimeError::StoreDamaged { reason: reason.clone() }
        }
        StoreError::Full { .. } => {
            RuntimeError::Capacity { reason: "the Worker's log is full".to_owned() }
        }
        StoreError::Defect { .. } | StoreError::Trimmed { .. } => internal(error),
    }
}

/// Hides the cause of a failure from the caller, and gives both the same id to find it by.
pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> RuntimeError {
    let id = Uuid::now_v7().simple().to_string();
    let at = Timestamp::now();
    tracing::error!(%id, %at, error, "internal error");
    RuntimeError::Internal { id }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A Runtime that nobody shut down: readers that wait are not to wait for ever.
        self.closing.cancel();
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("id", &self.id)
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

//! The handle of a Runtime: what can be asked of it, and what it shows of itself.

mod guest_threads;
mod observe;
mod table;
mod validate;

use std::{
    collections::BTreeMap,
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
    CreateWorker, Event, EventBody, Grants, IfBusy, Input, InputAccepted, InputOptions, Labels,
    Limits, Outcome, Overview, Profile, ProfileName, RuntimeError, RuntimeId, TurnId, Usage,
    WorkerId, WorkerStatus, WorkerView,
};

use crate::{
    RuntimeBuilder, Store,
    cell::{Change, WorkerCell},
    engine::{Engines, LoadedComponent},
    projection,
    supervisor::{Reply, Request, Supervisor},
    worker::{self, Command, WorkerState},
};

pub(crate) use guest_threads::GuestThreads;
use table::{Workers, shutting_down};

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
    pub(crate) models: Models,
    pub(crate) ceiling: Grants,
    pub(crate) limits: Limits,
    pub(crate) profiles: BTreeMap<ProfileName, Arc<InstalledProfile>>,
    pub(crate) default_profile: Option<ProfileName>,
    pub(crate) store: Store,
    pub(crate) engines: Engines,
    pub(crate) workers: Workers,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) overview: Mutex<Overview>,
    pub(crate) guests: GuestThreads,
    /// The embedder's tokio runtime: model calls are made there.
    pub(crate) host: Handle,
    pub(crate) tasks: TaskTracker,
    /// Ends running turns as interrupted.
    pub(crate) interrupt: CancellationToken,
    /// Ends the event streams.
    pub(crate) closing: CancellationToken,
}

/// A profile and its component, ready to run.
#[derive(Debug)]
pub(crate) struct InstalledProfile {
    pub(crate) profile: Profile,
    pub(crate) component: Arc<LoadedComponent>,
}

/// What a Worker was created with.
#[derive(Debug)]
pub(crate) struct WorkerMeta {
    pub(crate) display_name: Option<Box<str>>,
    pub(crate) profile: Arc<InstalledProfile>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) labels: Labels,
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
    /// `UnknownProfile`, `GrantExceedsCeiling`, `MissingGrant` where the component imports what is
    /// not granted, `InvalidInput`, `PayloadTooLarge`, `Capacity`.
    pub async fn create(&self, request: CreateWorker) -> Result<WorkerView, RuntimeError> {
        let runtime = &self.0;
        runtime.check_accepting()?;
        validate::creation(&request, &runtime.limits)?;
        let profile = runtime.profile(request.profile.as_ref())?;
        request.grants.within(&runtime.ceiling).map_err(|exceeds| {
            RuntimeError::GrantExceedsCeiling { exceeds: exceeds.to_string() }
        })?;
        profile.component.admit(&request.grants, &profile.profile.optional)?;

        let permit = request.input.as_ref().and_then(|_| runtime.try_permit());
        let mut bodies = vec![EventBody::WorkerCreated {
            display_name: request.display_name.clone(),
            profile: profile.profile.name.clone(),
            component: profile.component.digest,
            grants: request.grants.clone(),
            labels: request.labels.clone(),
        }];
        if let Some(input) = request.input {
            let command = Command::Input { parts: input.parts, begin: permit.is_some() };
            bodies.extend(worker::decide(&WorkerState::default(), command)?);
        }
        let meta = WorkerMeta {
            display_name: request.display_name.map(Into::into),
            profile: Arc::clone(profile),
            grants: runtime.share(request.grants),
            labels: request.labels,
        };
        let cell = Arc::new(WorkerCell::new(WorkerId::generate(), meta));
        let (reply, created) = oneshot::channel();
        let supervisor = Supervisor::new(Arc::clone(runtime), cell);
        runtime.workers.spawn_creation(runtime, supervisor.create(bodies, permit, reply))?;
        created.await.map_err(|_| shutting_down())?
    }

    /// Gives a Worker an input, which starts a turn. It is in the log when this returns.
    ///
    /// # Errors
    ///
    /// `Busy` with the running turn's id, `WorkerStopped`, `UnknownWorker`, `InvalidInput`,
    /// `PayloadTooLarge`.
    pub async fn input(
        &self,
        id: WorkerId,
        input: Input,
        options: InputOptions,
    ) -> Result<InputAccepted, RuntimeError> {
        self.0.check_accepting()?;
        validate::input(&input, &self.0.limits)?;
        let IfBusy::Reject = options.if_busy;
        self.ask(id, |reply| Request::Input { parts: input.parts, reply }).await
    }

    /// Waits for the end of a turn, and says how it ended; at once where it has ended already.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the Worker has no such turn, `UnknownWorker`.
    pub async fn outcome(&self, id: WorkerId, turn_id: TurnId) -> Result<Outcome, RuntimeError> {
        let cell = self.0.workers.cell(id)?;
        loop {
            let until = {
                let cell = cell.lock();
                let running = cell.state.unfinished_turn().map(|(turn_id, _)| turn_id);
                match cell.state.last_outcome() {
                    Some(outcome) if cell.state.last_turn() == turn_id => {
                        return Ok(outcome.clone());
                    }
                    _ if running == Some(turn_id) => None,
                    _ => Some(cell.state.last_seq),
                }
            };
            if let Some(until) = until {
                let outcome = projection::outcome(&self.0.store, id, turn_id, until).await;
                return outcome.map_err(internal)?.ok_or_else(|| RuntimeError::InvalidInput {
                    reason: "the Worker has no such turn".to_owned(),
                });
            }
            self.ask(id, |reply| Request::End { turn_id, reply }).await?;
        }
    }

    /// Cancels the running turn. With a `turn_id` only that one: if it is over, nothing happens.
    /// The end of the turn is in the log when this returns.
    ///
    /// # Errors
    ///
    /// `UnknownWorker`.
    pub async fn cancel(&self, id: WorkerId, turn_id: Option<TurnId>) -> Result<(), RuntimeError> {
        self.ask(id, |reply| Request::Cancel { turn_id, reply }).await
    }

    /// Stops a Worker: its running turn is cancelled, and inputs are refused until it is started.
    ///
    /// # Errors
    ///
    /// `UnknownWorker`.
    pub async fn stop(&self, id: WorkerId) -> Result<(), RuntimeError> {
        self.ask(id, |reply| Request::Stop { reply }).await
    }

    /// Lets a stopped Worker take inputs again.
    ///
    /// # Errors
    ///
    /// `UnknownWorker`, `RuntimeUnavailable` while the Runtime shuts down.
    pub async fn start(&self, id: WorkerId) -> Result<(), RuntimeError> {
        self.0.check_accepting()?;
        self.ask(id, |reply| Request::Start { reply }).await
    }

    /// Takes no more work, gives running turns `grace` to end, then ends them as interrupted. When
    /// this returns, everything is in the log and the event streams have ended. Commands for Workers
    /// without a running turn are refused as unavailable from the start.
    pub async fn shutdown(&self, grace: Duration) {
        self.0.workers.close();
        self.0.tasks.close();
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
        answer.await.map_err(|_| RuntimeError::RuntimeUnavailable {
            reason: "the Worker's task failed: try again".to_owned(),
        })?
    }
}

impl Inner {
    fn check_accepting(&self) -> Result<(), RuntimeError> {
        if self.workers.is_closed() { Err(shutting_down()) } else { Ok(()) }
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
        let newest = self.workers.newest();
        match newest {
            Some(cell) if *cell.meta.grants == grants => Arc::clone(&cell.meta.grants),
            _ => Arc::new(grants),
        }
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

    /// Folds committed events into what readers see.
    pub(crate) fn publish(&self, cell: &WorkerCell, events: &[Event]) {
        let Change { before, after } = cell.publish(events);
        let ended = |event: &Event| matches!(event.body, EventBody::TurnEnded { .. });
        if before == Some(after) && !events.iter().any(ended) {
            return;
        }
        let mut overview = self.overview.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = before {
            *slot(&mut overview, before) -= 1;
        }
        *slot(&mut overview, after) += 1;
        for event in events {
            if let EventBody::TurnEnded { receipt, .. } = &event.body {
                overview.usage.add(Usage::of(receipt));
            }
        }
    }
}

fn slot(overview: &mut Overview, status: WorkerStatus) -> &mut u64 {
    match status {
        WorkerStatus::Idle => &mut overview.idle,
        WorkerStatus::Running { .. } | WorkerStatus::Unknown => &mut overview.running,
        WorkerStatus::Stopped => &mut overview.stopped,
    }
}

/// Hides the cause of a failure from the caller, and gives both the same id to find it by.
pub(crate) fn internal(error: impl std::error::Error + 'static) -> RuntimeError {
    let id = Uuid::now_v7().simple().to_string();
    let at = Timestamp::now();
    tracing::error!(%id, %at, error = &error as &dyn std::error::Error, "internal error");
    RuntimeError::Internal { id }
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

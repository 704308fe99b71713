//! The task of an active Worker: it alone writes the Worker's log, and it attends the Worker's turn.
//! It exists while there is something to do; an idle Worker has none.

mod component;
mod request;
mod scopes;
mod trouble;
mod turn_loop;

use std::{collections::VecDeque, sync::Arc};

use fail::fail_point;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use worker_types::{
    Event, EventBody, FailureKind, InputAccepted, InputDisposition, Outcome, Receipt, RuntimeError,
    Seq, TurnId, WorkerStatus, WorkerView,
};

use crate::{
    capability::filesystem::Handles,
    cell::WorkerCell,
    journal::{Journal, Lost},
    runtime::{CreationPlace, Inner, PendingKey, shutting_down, store_error},
    spans,
    store::StoreError,
    turn::TurnMeter,
    worker::Command,
};
pub(crate) use request::{REQUEST_BACKLOG, Reply, Request, backlog_is_full};
use scopes::is_gone;
use turn_loop::{Ran, gone};

#[cfg(test)]
mod tests;

/// What a new Worker begins with.
#[derive(Debug)]
pub(crate) struct Creation {
    pub(crate) commands: Vec<Command>,
    /// The right to run the turn that `commands` start, if they do.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
    pub(crate) key: Option<PendingKey>,
}

/// The task.
#[derive(Debug)]
pub(crate) struct Supervisor {
    runtime: Arc<Inner>,
    cell: Arc<WorkerCell>,
    /// Where requests come from; `sender` is for the table.
    requests: mpsc::Receiver<Request>,
    sender: mpsc::Sender<Request>,
    /// The guest of the turn, until its Store is gone: that may be after the end of the turn is in the
    /// log. The next turn does not begin before, unless this task panics.
    guest: Option<AbortOnDropHandle<Outcome>>,
    /// The files that guests have, or a call of theirs that the system has not ended yet.
    files: Handles,
    /// Who waits for the end of which turn.
    waiting: Vec<(TurnId, Reply<()>)>,
    /// Requests that came while something else had to be waited for.
    held: VecDeque<Request>,
    /// Whether the log has no room but for ends: no turn begins any more.
    is_full: bool,
    /// What model calls cost whose turn lost its journal.
    uncounted: Vec<Command>,
    /// Keys of requests of which is unknown whether they are in the log: whoever asks with one of
    /// them again waits until that is known.
    in_doubt: Vec<PendingKey>,
}

impl Supervisor {
    pub(crate) fn new(runtime: Arc<Inner>, cell: Arc<WorkerCell>) -> Self {
        let (sender, requests) = mpsc::channel(REQUEST_BACKLOG);
        Self {
            runtime,
            cell,
            requests,
            sender,
            guest: None,
            files: Handles::default(),
            waiting: Vec::new(),
            held: VecDeque::new(),
            is_full: false,
            uncounted: Vec::new(),
            in_doubt: Vec::new(),
        }
    }

    /// The way to this task.
    pub(crate) fn sender(&self) -> mpsc::Sender<Request> {
        self.sender.clone()
    }

    /// Commits the first events of a new Worker, puts it into the table, and runs its first turn,
    /// if it has one. A caller that goes away changes nothing of this.
    pub(crate) async fn create(
        mut self,
        creation: Creation,
        place: CreationPlace,
        reply: Reply<WorkerView>,
    ) {
        let Creation { commands, permit, key } = creation;
        // What it may write to is given back unless it is created.
        let scopes = match self.runtime.admit_directories(&self.cell) {
            Ok(scopes) => scopes,
            Err(error) => {
                drop(place);
                return drop(reply.send(Err(error)));
            }
        };
        let mut journal = Journal::new(&self.runtime, &self.cell);
        if let Err(error) = journal.stage(commands) {
            // Whoever asks again at once finds its place free.
            drop((place, scopes));
            return drop(reply.send(Err(error)));
        }
        let record = key.as_ref().map(|key| key.record(&self.cell.id));
        match journal.flush(record.as_ref()).await {
            Ok(()) => {
                fail_point!("supervisor::before_reply");
                if let Some(scopes) = scopes {
                    scopes.keep();
                }
                place.take(&self.cell, self.sender());
                let _ = reply.send(Ok(self.runtime.view(&self.cell)));
                drop(key);
                if self.work(journal, permit).await.is_err() {
                    self.run().await;
                }
            }
            Err(Lost(error)) => {
                if !matches!(error, StoreError::InDoubt { .. }) {
                    drop((place, scopes));
                    return drop(reply.send(Err(store_error(&error))));
                }
                let _ = reply.send(Err(store_error(&error)));
                // The Worker may be in the store all the same: then it is one.
                while self.healthy_again().await {
                    match self.runtime.store.last_seq(self.cell.id).await {
                        Ok(Seq::ZERO) => return,
                        Ok(_) => {
                            if let Some(scopes) = scopes {
                                scopes.keep();
                            }
                            place.take(&self.cell, self.sender());
                            drop(key);
                            return self.run().await;
                        }
                        Err(error) => {
                            if !self.pause(&error).await {
                                return;
                            }
                        }
                    }
                }
            }
        }
    }

    /// Reads what the log has, ends what another task or another life of the Runtime left, and
    /// works until there is nothing to do.
    pub(crate) async fn run(mut self) {
        // What a failing store shows may not be what it has.
        while self.healthy_again().await {
            let worked = match Journal::load(&self.runtime, &self.cell).await {
                Ok(journal) => self.resume_work(journal).await,
                Err(error) => Err(Lost(error)),
            };
            match worked {
                Ok(()) => return,
                // A key that cannot be kept was its request's trouble, who was told.
                Err(Lost(
                    StoreError::InDoubt { .. }
                    | StoreError::Unavailable { .. }
                    | StoreError::TableDamaged { .. },
                )) => {}
                Err(Lost(StoreError::Full { .. })) if !self.is_full => self.is_full = true,
                Err(Lost(error @ StoreError::Unreadable { .. })) => {
                    if !self.pause(&error).await {
                        return;
                    }
                }
                Err(Lost(error)) => return self.give_up(&error).await,
            }
        }
    }

    /// The same for a Worker whose log was just read.
    pub(crate) async fn run_with(mut self, journal: Journal) {
        if self.resume_work(journal).await.is_err() {
            self.run().await;
        }
    }

    /// Ends a turn that started under another task, which is gone, and works on.
    async fn resume_work(&mut self, mut journal: Journal) -> Result<(), Lost> {
        self.in_doubt.clear();
        for command in std::mem::take(&mut self.uncounted) {
            // Refused where the turn is over: then its end was committed, and this with it.
            let _ = journal.stage(vec![command]);
        }
        let is_open = journal.state().open_turn_id().is_some();
        let outcome = match (journal.state().turn_has_started(), self.is_full) {
            (true, false) => Some(Outcome::Interrupted),
            (_, true) if is_open => {
                let message = "the log of the Worker is full".to_owned();
                Some(Outcome::Failed { kind: FailureKind::Limit, message })
            }
            _ => None,
        };
        if let Some(outcome) = outcome {
            // What else it took went with whoever counted it.
            let meter = TurnMeter::start();
            meter.add_tokens(journal.state().turn_tokens());
            let end = turn_loop::TurnEnd::Outcome(outcome);
            self.end_turn(&mut journal, end, &meter).await?;
        }
        self.settle_scopes(&journal).await;
        self.settle(&journal);
        self.work(journal, None).await
    }

    /// Serves requests and runs turns until there is neither. With `permit` a turn that has started
    /// may run.
    async fn work(
        &mut self,
        mut journal: Journal,
        mut permit: Option<OwnedSemaphorePermit>,
    ) -> Result<(), Lost> {
        loop {
            let state = journal.state();
            if state.is_deleted() {
                self.runtime.workers.remove(self.cell.id);
                self.runtime.logs.forget(self.cell.id);
                self.refuse_all(&RuntimeError::UnknownWorker { worker_id: self.cell.id });
                return Ok(());
            }
            if !state.is_at_rest() && self.component_is_ready(&mut journal).await? {
                if let Some(turn_id) = journal.state().open_turn_id() {
                    let span = spans::of_turn(self.cell.id, turn_id);
                    let ran = self.run_turn(&mut journal, turn_id, permit.take()).instrument(span);
                    if ran.await? == Ran::Ended {
                        continue;
                    }
                } else if !self.is_full && !self.runtime.workers.is_closed() {
                    self.commit(&mut journal, Command::Next).await?;
                    continue;
                }
            }
            match self.next_request().await {
                Some(request) => permit = self.serve(&mut journal, request).await?,
                None => {
                    // Who waits still waits for what this task will not do.
                    self.refuse_all(&self.refusal(&journal));
                    return Ok(());
                }
            }
        }
    }

    /// The next request; `None` once the task has been retired.
    async fn next_request(&mut self) -> Option<Request> {
        if let Some(request) = self.held.pop_front() {
            return Some(request);
        }
        let Self { runtime, requests, guest, files, .. } = self;
        tokio::select! {
            biased;
            Some(request) = requests.recv() => Some(request),
            // Another task would not know of calls that the system has not ended yet.
            _ = is_gone(guest, files, runtime) => {
                runtime.workers.next_or_retire(self.cell.id, requests)
            }
        }
    }

    /// Serves a request while no guest runs. Returns the right to run the turn that an input started,
    /// where it could be had at once.
    async fn serve(
        &mut self,
        journal: &mut Journal,
        request: Request,
    ) -> Result<Option<OwnedSemaphorePermit>, Lost> {
        let Request::Input { parts, if_busy, key, reply } = request else {
            self.dispatch(journal, request).await?;
            return Ok(None);
        };
        if self.is_full || !self.component_is_ready(journal).await? {
            let _ = reply.send(Err(self.refusal(journal)));
            return Ok(None);
        }
        // A turn that cannot begin at once has not started.
        let permit = if self.guest.is_none() { self.runtime.try_permit() } else { None };
        let command = Command::Input {
            parts,
            if_busy,
            begin: permit.is_some(),
            queue: self.runtime.limits.queue,
        };
        self.accept(journal, command, key, reply).await?;
        Ok(permit.filter(|_| journal.state().turn_has_started()))
    }

    async fn serve_without_turn(
        &mut self,
        journal: &mut Journal,
        request: Request,
    ) -> Result<(), Lost> {
        let (command, reply) = match request {
            Request::Cancel { turn_id, reply } => match turn_id {
                Some(turn_id) => (Command::CancelQueued { turn_id }, reply),
                // Nothing runs, so there is nothing to cancel.
                None => {
                    let _ = reply.send(Ok(()));
                    return Ok(());
                }
            },
            Request::Stop { reply } => {
                (Command::Stop { receipt: Receipt::default(), texts: Default::default() }, reply)
            }
            Request::Revoke { grants, reply } => {
                let (receipt, texts) = Default::default();
                (Command::Revoke { grants, receipt, texts }, reply)
            }
            Request::Upgrade { profile, stay, reply } => {
                let upgraded = self.upgrade(journal, profile, reply).await;
                drop(stay);
                return upgraded;
            }
            Request::Start { reply } => match self.take_scopes_to_start().await {
                Ok(()) => (Command::Start, reply),
                Err(taken) => {
                    let _ = reply.send(Err(taken));
                    return Ok(());
                }
            },
            Request::Delete { reply } => {
                // Nothing of it is to be there afterwards.
                if journal.state().status() == WorkerStatus::Stopped && !self.guest_is_gone().await
                {
                    let _ = reply.send(Err(shutting_down()));
                    return Ok(());
                }
                (Command::Delete, reply)
            }
            Request::Trim { through, reply } => (Command::Trim { through }, reply),
            Request::End { turn_id, reply } => {
                self.waiting.push((turn_id, reply));
                self.settle(journal);
                return Ok(());
            }
            input @ Request::Input { .. } => {
                if self.held.len() < REQUEST_BACKLOG {
                    self.held.push_back(input);
                } else {
                    input.refuse(backlog_is_full());
                }
                return Ok(());
            }
            #[cfg(test)]
            Request::Panic => panic!("asked to"),
        };
        self.commit_for(journal, command, reply).await
    }

    /// Accepts an input, or refuses it.
    async fn accept(
        &mut self,
        journal: &mut Journal,
        command: Command,
        key: Option<PendingKey>,
        reply: Reply<InputAccepted>,
    ) -> Result<(), Lost> {
        let accepted = match journal.stage(vec![command]) {
            Ok(events) => acceptance(events),
            Err(refused) => {
                let _ = reply.send(Err(refused));
                return Ok(());
            }
        };
        let Some(accepted) = accepted else {
            // A defect: nothing is acknowledged that nothing was decided for.
            let reason = "an input was accepted without a place".to_owned();
            return Err(Lost(StoreError::Defect { reason }));
        };
        let record = key.as_ref().map(|key| key.record(&accepted));
        match journal.flush(record.as_ref()).await {
            Ok(()) => {
                fail_point!("supervisor::before_reply");
                let _ = reply.send(Ok(accepted));
                Ok(())
            }
            Err(Lost(error)) => {
                if let StoreError::InDoubt { .. } = error {
                    self.in_doubt.extend(key);
                }
                let _ = reply.send(Err(store_error(&error)));
                Err(Lost(error))
            }
        }
    }

    /// Commits a command and tells whoever asked for it.
    async fn commit_for(
        &mut self,
        journal: &mut Journal,
        command: Command,
        reply: Reply<()>,
    ) -> Result<(), Lost> {
        let committed = journal.commit(vec![command]).await;
        if committed.is_ok() && journal.state().is_deleted() {
            // Whoever is answered finds it gone.
            self.runtime.workers.remove(self.cell.id);
            self.runtime.remove_scratch(self.cell.id).await;
        }
        if committed.is_ok() {
            self.release_scopes(journal).await;
        }
        let _ = reply.send(match &committed {
            Ok(decided) => decided.clone(),
            Err(Lost(error)) => Err(store_error(error)),
        });
        if committed?.is_ok() {
            self.settle(journal);
        }
        Ok(())
    }

    /// Commits a command that the state allows.
    async fn commit(&mut self, journal: &mut Journal, command: Command) -> Result<(), Lost> {
        if let Err(refused) = journal.commit(vec![command]).await? {
            // A defect: the Worker would go round in circles.
            return Err(Lost(StoreError::Defect { reason: refused.to_string() }));
        }
        self.settle(journal);
        Ok(())
    }

    /// Answers those who wait for turns that are over.
    fn settle(&mut self, journal: &Journal) {
        let state = journal.state();
        let over = |turn_id| state.open_turn_id() != Some(turn_id) && !state.queued(turn_id);
        for (_, reply) in self.waiting.extract_if(.., |(turn_id, _)| over(*turn_id)) {
            let _ = reply.send(Ok(()));
        }
        self.waiting.retain(|(_, reply)| !reply.is_closed());
    }

    /// Serves a request while no guest runs; an input that would begin a turn has to wait.
    async fn dispatch(&mut self, journal: &mut Journal, request: Request) -> Result<(), Lost> {
        let Some(turn_id) = journal.state().open_turn_id() else {
            return self.serve_without_turn(journal, request).await;
        };
        match self.serve_during_turn(journal, turn_id, request).await? {
            Some(end) => self.end_turn(journal, end, &TurnMeter::start()).await,
            None => Ok(()),
        }
    }

    /// Why no turn begins any more.
    fn refusal(&self, journal: &Journal) -> RuntimeError {
        let worker_id = self.cell.id;
        if journal.state().is_deleted() {
            RuntimeError::UnknownWorker { worker_id }
        } else if self.runtime.workers.is_closed() {
            shutting_down()
        } else if self.is_full {
            store_error(&StoreError::Full { worker_id })
        } else {
            self.unavailable()
        }
    }
}

/// What an input's events say to whoever sent it.
fn acceptance(events: &[Event]) -> Option<InputAccepted> {
    events.iter().find_map(|event| {
        let (turn_id, status) = match &event.body {
            EventBody::InputAccepted { turn_id, .. } => (*turn_id, InputDisposition::Running),
            EventBody::InputQueued { turn_id, .. } => (*turn_id, InputDisposition::Queued),
            EventBody::InputSteered { turn_id, .. } => (*turn_id, InputDisposition::Steered),
            _ => return None,
        };
        Some(InputAccepted { turn_id, seq: event.seq, status })
    })
}

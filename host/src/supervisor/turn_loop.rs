//! Running one turn: the permit, the guest, what it records, and who wants its end.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use worker_types::{
    Event, EventBody, FailureKind, Grant, InputPart, ItemBody, Outcome, RuntimeError, StopReason,
    TurnId,
};

use super::{Reply, Request, Supervisor};
use crate::{
    capability::{
        ledger::{Ledger, LedgerRequest, Outbox, Recorded},
        session::SessionCtx,
    },
    journal::{Journal, Lost},
    logs::OutputCapture,
    turn::{self, TurnMeter},
    worker::Command,
};

/// How far a text that is being written may be ahead of the store: a crash costs no more of it.
const TEXT_INTERVAL: Duration = Duration::from_millis(200);

/// Why a turn is over, and who waits to hear that this is in the log.
#[derive(Debug)]
pub(super) enum TurnEnd {
    Outcome(Outcome),
    Cancel(Reply<()>),
    Stop(Reply<()>),
    Revoke(Vec<Grant>, Reply<()>),
}

/// What became of a turn that was to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ran {
    /// Its end is in the log.
    Ended,
    /// The Runtime ends before the turn has started: it will run in the next life.
    Left,
}

/// What came of waiting for the right to run.
#[derive(Debug)]
enum Waited {
    Granted(OwnedSemaphorePermit),
    /// The turn is over before it got it.
    Over(TurnEnd),
    /// The Runtime ends.
    Left,
}

impl Supervisor {
    pub(super) async fn run_turn(
        &mut self,
        journal: &mut Journal,
        turn_id: TurnId,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Ran, Lost> {
        match self.wait_to_run(journal, turn_id, permit).await? {
            Waited::Granted(permit) => {
                let meter = Arc::new(TurnMeter::start());
                let end = self.drive(journal, turn_id, permit, &meter).await?;
                self.end_turn(journal, end, &meter).await?;
            }
            Waited::Over(end) => self.end_turn(journal, end, &TurnMeter::start()).await?,
            Waited::Left => return Ok(Ran::Left),
        }
        Ok(Ran::Ended)
    }

    /// Waits until the guest of the turn before is gone and this one has the right to run, and starts
    /// it, unless it was accepted as started.
    async fn wait_to_run(
        &mut self,
        journal: &mut Journal,
        turn_id: TurnId,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Waited, Lost> {
        // Inputs that came while the component was loaded.
        while let Some(request) = self.held.pop_front() {
            if let Some(end) = self.serve_during_turn(journal, turn_id, request).await? {
                return Ok(Waited::Over(end));
            }
        }
        let has_started = journal.state().turn_has_started();
        let runtime = Arc::clone(&self.runtime);
        let mut permit = pin!(async {
            match permit {
                Some(permit) => permit,
                None => runtime.permit().await,
            }
        });
        // A call of the guest before that the system has not ended yet: so all calls of a Worker are those
        // of one turn.
        let files = self.files.clone();
        let mut closed = pin!(files.closed());
        let mut are_closed = false;
        let permit = loop {
            tokio::select! {
                biased;
                () = runtime.interrupt.cancelled() => {
                    return Ok(match has_started {
                        true => Waited::Over(TurnEnd::Outcome(Outcome::Interrupted)),
                        false => Waited::Left,
                    });
                }
                Some(request) = self.requests.recv() => {
                    if let Some(end) = self.serve_during_turn(journal, turn_id, request).await? {
                        return Ok(Waited::Over(end));
                    }
                }
                () = gone(&mut self.guest), if self.guest.is_some() => {}
                () = &mut closed, if self.guest.is_none() && !are_closed => are_closed = true,
                permit = &mut permit, if are_closed => break permit,
            }
        };
        if !has_started {
            self.commit(journal, Command::Begin).await?;
        }
        Ok(Waited::Granted(permit))
    }

    /// Runs the guest until it ends or is ended. It may still be there when this returns, in the
    /// middle of an instruction that fills all of its memory; the host does nothing more for it.
    async fn drive(
        &mut self,
        journal: &mut Journal,
        turn_id: TurnId,
        permit: OwnedSemaphorePermit,
        meter: &Arc<TurnMeter>,
    ) -> Result<TurnEnd, Lost> {
        let outbox = Arc::new(Outbox::new());
        let ledger = Ledger::new(
            Arc::clone(&outbox),
            Arc::clone(&self.cell),
            Arc::clone(meter),
            &self.runtime.limits,
        );
        let session = SessionCtx {
            runtime: Arc::clone(&self.runtime),
            cell: Arc::clone(&self.cell),
            authority: self.cell.authority(),
            files: self.files.clone(),
            turn_id,
            input: journal.state().input(),
            resumes: journal.state().resumes(),
            ledger,
            meter: Arc::clone(meter),
            requested_calls: Vec::new(),
            utterances: 0,
            calls: 0,
        };
        self.guest = Some(self.start_guest(session, permit));
        let end = self.attend(journal, turn_id, &outbox).await;
        if let Some(guest) = &self.guest {
            guest.abort();
        }
        // What the guest had said before its end is part of the turn; what it still wanted is not.
        let said = outbox.close(meter);
        if end.is_err() {
            // What was said is lost; what it cost is to be counted when the log can be written again.
            let is_cost = |command: &Command| matches!(command, Command::RecordUsage { .. });
            self.uncounted = said.into_iter().filter(is_cost).collect();
            return end;
        }
        let end = end?;
        said.into_iter().for_each(|command| self.stage(journal, command));
        Ok(end)
    }

    /// Starts the guest in a task of its own. It has the right to run for as long as it has its Store.
    fn start_guest(
        &self,
        session: SessionCtx,
        permit: OwnedSemaphorePermit,
    ) -> AbortOnDropHandle<Outcome> {
        let runtime = &self.runtime;
        let output = Arc::new(OutputCapture::new(session.turn_id, runtime.limits.turn_log_bytes));
        self.cell.lock().output = Some(Arc::clone(&output));
        let guest = async move {
            let _permit = permit;
            turn::run(session, output).await
        };
        let guest = guest.in_current_span();
        AbortOnDropHandle::new(runtime.tasks.spawn_on(guest, runtime.threads.handle()))
    }

    /// Serves the guest, and whoever wants something of the Worker meanwhile, until the turn is over.
    async fn attend(
        &mut self,
        journal: &mut Journal,
        turn_id: TurnId,
        outbox: &Outbox,
    ) -> Result<TurnEnd, Lost> {
        let runtime = Arc::clone(&self.runtime);
        let wall_ms = runtime.limits.turn_wall_ms;
        let mut deadline = pin!(tokio::time::sleep(Duration::from_millis(wall_ms)));
        let mut texts = tokio::time::interval_at(Instant::now() + TEXT_INTERVAL, TEXT_INTERVAL);
        texts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Whoever wants the end comes first: a guest that floods is always ready.
            tokio::select! {
                biased;
                () = runtime.interrupt.cancelled() => {
                    return Ok(TurnEnd::Outcome(Outcome::Interrupted));
                }
                () = &mut deadline => {
                    let message = format!("the turn took longer than its limit of {wall_ms} ms");
                    let outcome = Outcome::Failed { kind: FailureKind::Limit, message };
                    return Ok(TurnEnd::Outcome(outcome));
                }
                Some(request) = self.requests.recv() => {
                    let end = self.serve_during_turn(journal, turn_id, request).await?;
                    if let Some(end) = end {
                        return Ok(end);
                    }
                }
                requests = outbox.take() => self.record(journal, requests).await?,
                outcome = ended(&mut self.guest) => return Ok(TurnEnd::Outcome(outcome)),
                _ = texts.tick(), if self.cell.has_open_texts() => journal.keep_texts().await?,
            }
        }
    }

    /// Serves a request while `turn_id` runs; some end the turn.
    pub(super) async fn serve_during_turn(
        &mut self,
        journal: &mut Journal,
        turn_id: TurnId,
        request: Request,
    ) -> Result<Option<TurnEnd>, Lost> {
        match request {
            Request::Input { parts, if_busy, key, reply } => {
                let queue = self.runtime.limits.queue;
                let command = Command::Input { parts, if_busy, begin: false, queue };
                self.accept(journal, command, key, reply).await?;
            }
            Request::Cancel { turn_id: named, reply } => match named {
                Some(named) if named != turn_id => {
                    // One that waits, or a turn that is over.
                    let command = Command::CancelQueued { turn_id: named };
                    self.commit_for(journal, command, reply).await?;
                }
                _ => return Ok(Some(TurnEnd::Cancel(reply))),
            },
            Request::Stop { reply } => return Ok(Some(TurnEnd::Stop(reply))),
            // What was taken away before is no reason to end what runs without it.
            Request::Revoke { grants, reply }
                if grants.iter().all(|grant| journal.state().revoked().contains(grant)) =>
            {
                drop(reply.send(Ok(())));
            }
            Request::Revoke { grants, reply } => return Ok(Some(TurnEnd::Revoke(grants, reply))),
            Request::Upgrade { reply, .. } => {
                drop(reply.send(Err(RuntimeError::Busy { turn_id })));
            }
            Request::Start { reply } => drop(reply.send(Ok(()))),
            Request::Delete { reply } => drop(reply.send(Err(RuntimeError::WorkerNotStopped))),
            // There will be another time.
            Request::Trim { reply, .. } => drop(reply.send(Ok(()))),
            Request::End { turn_id, reply } => {
                self.waiting.push((turn_id, reply));
                self.settle(journal);
            }
            #[cfg(test)]
            Request::Panic => panic!("asked to"),
        }
        Ok(None)
    }

    /// Does what host functions want of the log. Everything is committed when this returns.
    async fn record(
        &mut self,
        journal: &mut Journal,
        requests: Vec<LedgerRequest>,
    ) -> Result<(), Lost> {
        // A host call that was dropped meanwhile does not need the answer.
        for request in requests {
            match request {
                LedgerRequest::Stage(command) => self.stage(journal, command),
                LedgerRequest::Commit { commands, reply } => {
                    let committed = journal.commit(commands).await?;
                    let state = journal.state();
                    let recorded =
                        Recorded { last_item: state.last_item(), last_seq: state.last_seq };
                    let _ = reply.send(committed.map(|()| recorded));
                }
                LedgerRequest::TakeSteering { reply } => {
                    let taken = journal.stage(vec![Command::TakeSteering]).map(steering);
                    journal.flush(None).await?;
                    let _ = reply.send(taken);
                }
                LedgerRequest::Value { key, reply } => {
                    let _ = reply.send(Ok(journal.state().value(&key).map(str::to_owned)));
                }
            }
        }
        journal.flush(None).await
    }

    fn stage(&self, journal: &mut Journal, command: Command) {
        if let Err(error) = journal.stage(vec![command]) {
            // The ledger hands over only what cannot be refused while the turn runs.
            tracing::error!(%error, "a record was refused");
        }
    }

    pub(super) async fn end_turn(
        &mut self,
        journal: &mut Journal,
        end: TurnEnd,
        meter: &TurnMeter,
    ) -> Result<(), Lost> {
        if let TurnEnd::Outcome(Outcome::Failed { kind, .. }) = &end {
            tracing::debug!(?kind, "a turn failed");
        }
        let receipt = meter.receipt();
        let texts = self.cell.lock().open_texts();
        let (command, reply) = match end {
            TurnEnd::Outcome(outcome) => (Command::EndTurn { outcome, receipt, texts }, None),
            TurnEnd::Cancel(reply) => {
                let outcome = Outcome::Cancelled { reason: StopReason::Cancel };
                (Command::EndTurn { outcome, receipt, texts }, Some(reply))
            }
            TurnEnd::Stop(reply) => (Command::Stop { receipt, texts }, Some(reply)),
            TurnEnd::Revoke(grants, reply) => {
                (Command::Revoke { grants, receipt, texts }, Some(reply))
            }
        };
        self.keep_output();
        match reply {
            Some(reply) => self.commit_for(journal, command, reply).await,
            None => self.commit(journal, command).await,
        }
    }

    /// Moves what the turn printed to the logs, under the lock: readers find it in one or the other.
    fn keep_output(&self) {
        let mut cell = self.cell.lock();
        if let Some(output) = cell.output.take() {
            self.runtime.logs.keep(self.cell.id, output.lines());
        }
    }
}

/// Waits for the end of the guest.
async fn ended(guest: &mut Option<AbortOnDropHandle<Outcome>>) -> Outcome {
    let Some(handle) = guest else {
        return std::future::pending().await;
    };
    let joined = handle.await;
    *guest = None;
    joined.unwrap_or_else(|_| {
        let message = "the task of the turn failed".to_owned();
        Outcome::Failed { kind: FailureKind::Internal, message }
    })
}

/// Waits until no guest is there any more.
pub(super) async fn gone(guest: &mut Option<AbortOnDropHandle<Outcome>>) {
    if guest.is_some() {
        ended(guest).await;
    }
}

/// What was said to a turn, of events that took it in.
fn steering(events: &[Event]) -> Vec<Vec<InputPart>> {
    let parts = events.iter().filter_map(|event| match &event.body {
        EventBody::ItemCompleted { item, .. } => match &item.body {
            ItemBody::UserMessage { parts } => Some(parts.clone()),
            _ => None,
        },
        _ => None,
    });
    parts.collect()
}

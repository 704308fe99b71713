//! Running one turn: the permit, the guest, what it records, and who wants its end.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, MissedTickBehavior},
};
use worker_types::{EventBody, FailureKind, ItemBody, Outcome, RuntimeError, StopReason, TurnId};

use super::{Reply, Request, Supervisor};
use crate::{
    capability::{
        ledger::{LEDGER_BACKLOG, Ledger, LedgerRequest, Recorded},
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
        let waited = match permit {
            Some(permit) => Waited::Granted(permit),
            None => self.wait_for_permit(journal, turn_id).await?,
        };
        let meter = Arc::new(TurnMeter::start());
        // The permit is held until the end is in the log.
        let (end, _permit) = match waited {
            Waited::Granted(permit) => (self.drive(journal, turn_id, &meter).await?, Some(permit)),
            Waited::Over(end) => (end, None),
            Waited::Left => return Ok(Ran::Left),
        };
        self.end_turn(journal, end, &meter).await?;
        Ok(Ran::Ended)
    }

    /// Waits for the right to run, and starts the turn.
    async fn wait_for_permit(
        &mut self,
        journal: &mut Journal,
        turn_id: TurnId,
    ) -> Result<Waited, Lost> {
        let runtime = Arc::clone(&self.runtime);
        let mut permit = pin!(runtime.permit());
        let permit = loop {
            tokio::select! {
                biased;
                () = runtime.interrupt.cancelled() => return Ok(Waited::Left),
                Some(request) = self.requests.recv() => {
                    if let Some(end) = self.serve_during_turn(journal, turn_id, request).await? {
                        return Ok(Waited::Over(end));
                    }
                }
                permit = &mut permit => break permit,
            }
        };
        self.commit(journal, Command::Begin).await?;
        Ok(Waited::Granted(permit))
    }

    /// Polls the guest until it ends or is ended. When this returns its Store is gone.
    async fn drive(
        &mut self,
        journal: &mut Journal,
        turn_id: TurnId,
        meter: &Arc<TurnMeter>,
    ) -> Result<TurnEnd, Lost> {
        let runtime = Arc::clone(&self.runtime);
        let limits = &runtime.limits;
        let output = Arc::new(OutputCapture::new(turn_id, limits.turn_log_bytes));
        self.cell.lock().output = Some(Arc::clone(&output));
        let (ledger, mut records) = mpsc::channel(LEDGER_BACKLOG);
        let session = SessionCtx {
            runtime: Arc::clone(&runtime),
            cell: Arc::clone(&self.cell),
            turn_id,
            input: journal.state().input(),
            resumes: journal.state().resumes(),
            ledger: Ledger::new(ledger, Arc::clone(&self.cell), Arc::clone(meter), limits),
            meter: Arc::clone(meter),
            requested_calls: Vec::new(),
            utterances: 0,
            calls: 0,
        };
        let end = {
            let mut guest = pin!(turn::run(session, output));
            let mut deadline = pin!(tokio::time::sleep(Duration::from_millis(limits.turn_wall_ms)));
            let mut texts = tokio::time::interval_at(Instant::now() + TEXT_INTERVAL, TEXT_INTERVAL);
            texts.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                // Whoever wants the end comes first: a guest that spins or floods is always ready.
                // What was staged is committed when the guest has nothing more to say at once.
                tokio::select! {
                    biased;
                    () = runtime.interrupt.cancelled() => {
                        break TurnEnd::Outcome(Outcome::Interrupted);
                    }
                    () = &mut deadline => {
                        let message = format!(
                            "the turn took longer than its limit of {} ms",
                            limits.turn_wall_ms
                        );
                        let outcome = Outcome::Failed { kind: FailureKind::Limit, message };
                        break TurnEnd::Outcome(outcome);
                    }
                    Some(request) = self.requests.recv() => {
                        let end = self.serve_during_turn(journal, turn_id, request).await?;
                        if let Some(end) = end {
                            break end;
                        }
                    }
                    Some(record) = records.recv() => self.record(journal, record).await?,
                    outcome = &mut guest => break TurnEnd::Outcome(outcome),
                    _ = texts.tick() => {
                        journal.keep_texts().await?;
                    }
                    () = std::future::ready(()), if journal.has_staged() => {
                        journal.flush(None).await?;
                    }
                }
            }
        };
        // What the guest had said before its end is part of the turn; what it still wanted is not.
        while let Ok(record) = records.try_recv() {
            if let LedgerRequest::Stage(_) = record {
                self.record(journal, record).await?;
            }
        }
        Ok(end)
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

    /// Does what a host function wants of the log.
    async fn record(&mut self, journal: &mut Journal, request: LedgerRequest) -> Result<(), Lost> {
        // A host call that was dropped meanwhile does not need the answer.
        match request {
            LedgerRequest::Stage(command) => {
                if let Err(error) = journal.stage(vec![command]) {
                    // The ledger hands over only what cannot be refused while the turn runs.
                    tracing::error!(worker_id = %self.cell.id, %error, "a record was refused");
                }
            }
            LedgerRequest::Commit { commands, reply } => {
                let committed = journal.commit(commands).await?;
                let state = journal.state();
                let recorded = Recorded { last_item: state.last_item(), last_seq: state.last_seq };
                let _ = reply.send(committed.map(|()| recorded));
            }
            LedgerRequest::TakeSteering { reply } => {
                let taken = journal.stage(vec![Command::TakeSteering]).map(|events| {
                    let parts = events.iter().filter_map(|event| match &event.body {
                        EventBody::ItemCompleted { item, .. } => match &item.body {
                            ItemBody::UserMessage { parts } => Some(parts.clone()),
                            _ => None,
                        },
                        _ => None,
                    });
                    parts.collect()
                });
                journal.flush(None).await?;
                let _ = reply.send(taken);
            }
            LedgerRequest::Value { key, reply } => {
                let _ = reply.send(journal.state().value(&key).map(str::to_owned));
            }
        }
        Ok(())
    }

    pub(super) async fn end_turn(
        &mut self,
        journal: &mut Journal,
        end: TurnEnd,
        meter: &TurnMeter,
    ) -> Result<(), Lost> {
        let receipt = meter.receipt();
        let texts = self.cell.lock().open_texts();
        let (command, reply) = match end {
            TurnEnd::Outcome(outcome) => (Command::EndTurn { outcome, receipt, texts }, None),
            TurnEnd::Cancel(reply) => {
                let outcome = Outcome::Cancelled { reason: StopReason::Cancel };
                (Command::EndTurn { outcome, receipt, texts }, Some(reply))
            }
            TurnEnd::Stop(reply) => (Command::Stop { receipt, texts }, Some(reply)),
        };
        self.keep_output();
        match reply {
            Some(reply) => self.commit_for(journal, command, reply).await,
            None => self.commit(journal, command).await,
        }
    }

    /// Moves what the turn printed to the Worker's logs.
    fn keep_output(&self) {
        let mut cell = self.cell.lock();
        if let Some(output) = cell.output.take() {
            let lines = output.lines();
            if !lines.is_empty() {
                cell.logs.get_or_insert_default().extend(lines);
            }
        }
    }
}

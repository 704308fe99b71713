//! The task of an active Worker: it alone writes the Worker's log, and it polls the Worker's turn.
//! It exists while there is something to do; an idle Worker has none.

use std::{pin::pin, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use worker_types::{
    Event, EventBody, FailureKind, InputAccepted, InputDisposition, InputPart, Outcome, Receipt,
    RuntimeError, Seq, StopReason, TurnId, WorkerView,
};

use crate::{
    capability::{
        ledger::{Ledger, LedgerRequest, Recorded},
        session::SessionCtx,
    },
    cell::WorkerCell,
    logs::OutputCapture,
    runtime::{Inner, internal},
    turn::{self, TurnMeter},
    worker::{self, Command},
};

#[cfg(test)]
mod tests;

/// Requests that may wait for one Worker. Each is answered within microseconds, unless the Worker's
/// store is slow: then the callers wait rather than pile up.
pub(crate) const REQUEST_BACKLOG: usize = 64;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, RuntimeError>>;

/// What somebody wants of an active Worker.
#[derive(Debug)]
pub(crate) enum Request {
    Input {
        parts: Vec<InputPart>,
        reply: Reply<InputAccepted>,
    },
    Cancel {
        turn_id: Option<TurnId>,
        reply: Reply<()>,
    },
    Stop {
        reply: Reply<()>,
    },
    Start {
        reply: Reply<()>,
    },
    /// Answered once this turn does not run, or not any more.
    End {
        turn_id: TurnId,
        reply: Reply<()>,
    },
    /// Makes the task panic, as a defect would.
    #[cfg(test)]
    Panic,
}

/// Why a turn is over, and who waits to hear that this is in the log.
enum TurnEnd {
    Outcome(Outcome),
    Cancel(Reply<()>),
    Stop(Reply<()>),
}

/// The task.
#[derive(Debug)]
pub(crate) struct Supervisor {
    runtime: Arc<Inner>,
    cell: Arc<WorkerCell>,
    /// Where requests come from; `sender` is for the table.
    requests: mpsc::Receiver<Request>,
    sender: mpsc::Sender<Request>,
    /// Who waits for the end of the running turn.
    waiting: Vec<Reply<()>>,
}

impl Supervisor {
    pub(crate) fn new(runtime: Arc<Inner>, cell: Arc<WorkerCell>) -> Self {
        let (sender, requests) = mpsc::channel(REQUEST_BACKLOG);
        Self { runtime, cell, requests, sender, waiting: Vec::new() }
    }

    /// The way to this task.
    pub(crate) fn sender(&self) -> mpsc::Sender<Request> {
        self.sender.clone()
    }

    /// Commits the first events of a new Worker, puts it into the table, and runs its first turn,
    /// if it has one. A caller that goes away changes nothing of this.
    pub(crate) async fn create(
        self,
        bodies: Vec<EventBody>,
        permit: Option<OwnedSemaphorePermit>,
        reply: Reply<WorkerView>,
    ) {
        let events = number(&self.cell, Seq::ZERO, bodies);
        if let Err(error) = self.runtime.store.append(&events).await {
            self.runtime.workers.created(None);
            let _ = reply.send(Err(internal(error)));
            return;
        }
        self.runtime.publish(&self.cell, &events);
        self.runtime.workers.created(Some((Arc::clone(&self.cell), self.sender())));
        let _ = reply.send(Ok(self.runtime.view(&self.cell)));
        self.run(permit).await;
    }

    /// Finishes what the log says is unfinished and serves requests, until there is neither. With
    /// `permit` a turn that has started may run.
    pub(crate) async fn run(mut self, mut permit: Option<OwnedSemaphorePermit>) {
        loop {
            let unfinished = self.cell.lock().state.unfinished_turn();
            if let Some((turn_id, started)) = unfinished {
                let ended = match permit.take() {
                    // It started under another task, which is gone.
                    None if started => {
                        let end = TurnEnd::Outcome(Outcome::Interrupted);
                        self.end_turn(end, &TurnMeter::start()).await
                    }
                    permit => self.run_turn(turn_id, permit).await,
                };
                if ended.is_ok() {
                    continue;
                }
                // The store did not take the end. The next request is the occasion to try again.
            }
            match self.runtime.workers.next_or_retire(self.cell.id, &mut self.requests) {
                Some(request) => permit = self.serve(request).await,
                None => return,
            }
        }
    }

    /// Serves a request while no turn runs. Returns the right to run the turn that an input started,
    /// where it could be had at once.
    async fn serve(&mut self, request: Request) -> Option<OwnedSemaphorePermit> {
        // A caller that went away does not need the answer.
        match request {
            Request::Input { parts, reply } => {
                let permit = self.runtime.try_permit();
                let command = Command::Input { parts, begin: permit.is_some() };
                match self.commit(vec![command]).await {
                    Ok(events) => {
                        let turn_id = self.cell.lock().state.last_turn();
                        let seq = events.first().map_or(Seq::ZERO, |event| event.seq);
                        let status = InputDisposition::Running;
                        let _ = reply.send(Ok(InputAccepted { turn_id, seq, status }));
                        return permit;
                    }
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            // Nothing runs, so there is nothing to cancel.
            Request::Cancel { reply, .. } => drop(reply.send(Ok(()))),
            Request::Stop { reply } => {
                let command =
                    Command::Stop { receipt: Receipt::default(), texts: Default::default() };
                drop(reply.send(self.commit(vec![command]).await.map(drop)));
            }
            Request::Start { reply } => {
                drop(reply.send(self.commit(vec![Command::Start]).await.map(drop)));
            }
            Request::End { reply, .. } => drop(reply.send(Ok(()))),
            #[cfg(test)]
            Request::Panic => panic!("asked to"),
        }
        None
    }

    async fn run_turn(
        &mut self,
        turn_id: TurnId,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<(), RuntimeError> {
        let permit = match permit {
            Some(permit) => Ok(permit),
            None => self.wait_for_permit(turn_id).await,
        };
        let meter = Arc::new(TurnMeter::start());
        // Held until the end is in the log.
        let (end, _permit) = match permit {
            Ok(permit) => (self.drive(turn_id, &meter).await, Some(permit)),
            Err(end) => (end, None),
        };
        self.end_turn(end, &meter).await
    }

    /// Waits for the right to run. The turn may be over before it got it.
    async fn wait_for_permit(&mut self, turn_id: TurnId) -> Result<OwnedSemaphorePermit, TurnEnd> {
        let runtime = Arc::clone(&self.runtime);
        let mut permit = pin!(runtime.permit());
        let permit = loop {
            tokio::select! {
                biased;
                () = runtime.interrupt.cancelled() => {
                    return Err(TurnEnd::Outcome(Outcome::Interrupted));
                }
                Some(request) = self.requests.recv() => {
                    if let Some(end) = self.serve_during_turn(turn_id, request).await {
                        return Err(end);
                    }
                }
                permit = &mut permit => break permit,
            }
        };
        match self.commit(vec![Command::Begin]).await {
            Ok(_) => Ok(permit),
            Err(error) => Err(TurnEnd::Outcome(internal_failure(&error))),
        }
    }

    /// Polls the guest until it ends or is ended. When this returns its Store is gone.
    async fn drive(&mut self, turn_id: TurnId, meter: &Arc<TurnMeter>) -> TurnEnd {
        let runtime = Arc::clone(&self.runtime);
        let limits = &runtime.limits;
        let output = Arc::new(OutputCapture::new(turn_id, limits.turn_log_bytes));
        let input = {
            let mut cell = self.cell.lock();
            cell.output = Some(Arc::clone(&output));
            cell.state.input()
        };
        // One place: a guest waits for each of its records.
        let (ledger, mut records) = mpsc::channel(1);
        let session = SessionCtx {
            runtime: Arc::clone(&runtime),
            cell: Arc::clone(&self.cell),
            turn_id,
            input,
            ledger: Ledger::new(ledger, Arc::clone(&self.cell), Arc::clone(meter), limits),
            meter: Arc::clone(meter),
            requested_calls: Vec::new(),
            utterances: 0,
            calls: 0,
        };
        let mut guest = pin!(turn::run(session, output));
        let mut deadline = pin!(tokio::time::sleep(Duration::from_millis(limits.turn_wall_ms)));
        loop {
            // Whoever wants the end comes first: a guest that spins or floods is always ready.
            tokio::select! {
                biased;
                () = runtime.interrupt.cancelled() => {
                    return TurnEnd::Outcome(Outcome::Interrupted);
                }
                () = &mut deadline => {
                    let message = format!(
                        "the turn took longer than its limit of {} ms",
                        limits.turn_wall_ms
                    );
                    let outcome = Outcome::Failed { kind: FailureKind::Limit, message };
                    return TurnEnd::Outcome(outcome);
                }
                Some(request) = self.requests.recv() => {
                    if let Some(end) = self.serve_during_turn(turn_id, request).await {
                        return end;
                    }
                }
                Some(record) = records.recv() => self.record(record).await,
                outcome = &mut guest => return TurnEnd::Outcome(outcome),
            }
        }
    }

    /// Serves a request while `turn_id` runs; some end the turn.
    async fn serve_during_turn(&mut self, turn_id: TurnId, request: Request) -> Option<TurnEnd> {
        match request {
            Request::Input { reply, .. } => {
                let _ = reply.send(Err(RuntimeError::Busy { turn_id }));
            }
            Request::Cancel { turn_id: named, reply } => {
                if named.is_none_or(|named| named == turn_id) {
                    return Some(TurnEnd::Cancel(reply));
                }
                // The turn that was meant is over.
                let _ = reply.send(Ok(()));
            }
            Request::Stop { reply } => return Some(TurnEnd::Stop(reply)),
            Request::Start { reply } => drop(reply.send(Ok(()))),
            Request::End { turn_id: asked, reply } if asked == turn_id => {
                self.waiting.retain(|waiting| !waiting.is_closed());
                self.waiting.push(reply);
            }
            Request::End { reply, .. } => drop(reply.send(Ok(()))),
            #[cfg(test)]
            Request::Panic => panic!("asked to"),
        }
        None
    }

    /// Puts what a host function wants to record into the log.
    async fn record(&mut self, request: LedgerRequest) {
        let recorded = self.commit(request.commands).await.map(|_| {
            let cell = self.cell.lock();
            Recorded { last_item: cell.state.last_item() }
        });
        // A host call that was dropped meanwhile does not need the answer.
        let _ = request.reply.send(recorded);
    }

    async fn end_turn(&mut self, end: TurnEnd, meter: &TurnMeter) -> Result<(), RuntimeError> {
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
        let committed = self.commit(vec![command]).await.map(drop);
        for waiting in std::mem::take(&mut self.waiting) {
            let _ = waiting.send(committed.clone());
        }
        if let Some(reply) = reply {
            let _ = reply.send(committed.clone());
        }
        committed
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

    /// Decides, commits, and only then folds and publishes.
    async fn commit(&self, commands: Vec<Command>) -> Result<Vec<Event>, RuntimeError> {
        let (bodies, last_seq) = {
            let cell = self.cell.lock();
            (worker::decide_all(&cell.state, commands)?, cell.state.last_seq)
        };
        let events = number(&self.cell, last_seq, bodies);
        self.runtime.store.append(&events).await.map_err(internal)?;
        self.runtime.publish(&self.cell, &events);
        Ok(events)
    }
}

/// Makes the next events of a Worker's log of what was decided.
fn number(cell: &WorkerCell, last_seq: Seq, bodies: Vec<EventBody>) -> Vec<Event> {
    // As precise as every store keeps it, so that a fold of the log is the fold of what was read.
    let now = Timestamp::now();
    let at = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
    let mut seq = last_seq;
    let number = |body| {
        seq = seq.next();
        Event { seq, at, worker_id: cell.id, body }
    };
    bodies.into_iter().map(number).collect()
}

fn internal_failure(error: &RuntimeError) -> Outcome {
    Outcome::Failed { kind: FailureKind::Internal, message: error.to_string() }
}

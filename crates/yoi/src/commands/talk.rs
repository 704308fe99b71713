//! Gives a Worker an input, and prints the answer.

use std::cell::Cell;

use worker_types::{
    Cursor, EventBody, Input, InputAccepted, InputDisposition, InputOptions, InputPart, ItemBody,
    LiveEvent, Outcome, Seq, TurnId, WorkerId,
};

use crate::{
    answer::{self, AnswerPrinter},
    backend_error::BackendError,
    cli::own_name,
    exit::Exit,
    output::Output,
    signals::EndSignals,
    worker_host::{WorkerAddress, WorkerHost},
};

/// How an input is given.
#[derive(Debug, Default)]
pub(super) struct Sending {
    pub(super) options: InputOptions,
    pub(super) no_wait: bool,
    /// The last event of the Worker's log before the input; absent for a new Worker.
    pub(super) last_seq: Option<Seq>,
}

/// Why there is no answer, although there may be an input.
#[derive(Debug, thiserror::Error)]
enum TalkError {
    /// The input was sent, and nothing came back.
    #[error(
        "the connection was lost before the Backend answered: the input may have been accepted. \
         `{yoi} worker show {worker}` and `{yoi} worker transcript {worker}` tell; {again}",
        yoi = own_name()
    )]
    InDoubt {
        worker: WorkerId,
        /// How to send it again.
        again: &'static str,
        #[source]
        source: BackendError,
    },
    /// It was accepted, and who gave it may not look.
    #[error(
        "the input was accepted as turn {turn}, and the answer is not shown. \
         `{yoi} worker transcript {worker}` has it, with a token that may observe",
        yoi = own_name()
    )]
    Unseen {
        worker: WorkerId,
        turn: TurnId,
        #[source]
        source: BackendError,
    },
    /// It was accepted.
    #[error(
        "the connection was lost. The input was accepted as turn {turn}: once a Backend runs, \
         `{yoi} worker show {worker}` tells how it ended, and `{yoi} worker transcript {worker}` \
         has the answer",
        yoi = own_name()
    )]
    Lost {
        worker: WorkerId,
        turn: TurnId,
        #[source]
        source: BackendError,
    },
}

impl TalkError {
    /// Why an input was not acknowledged.
    fn unacknowledged(
        error: BackendError,
        worker: WorkerId,
        options: &InputOptions,
    ) -> anyhow::Error {
        match error.with_way_out(worker) {
            BackendError::InDoubt { source } => {
                let again = match options.idempotency_key {
                    Some(_) => "the same line again, with its key, gives it once",
                    None => "with --idempotency-key, a line can be run again and gives it once",
                };
                Self::InDoubt { worker, again, source: *source }.into()
            }
            error => error.into(),
        }
    }
}

/// Gives an input, and prints the answer unless nobody waits for it.
pub(super) async fn talk(
    client: &WorkerHost,
    at: WorkerAddress,
    input: Input,
    Sending { options, no_wait, last_seq }: Sending,
    output: Output,
) -> anyhow::Result<Exit> {
    // Before the input: from then on an interruption means the turn.
    let mut signals = EndSignals::listen()?;
    let accepted = client
        .input(&at, &input, &options)
        .await
        .map_err(|error| TalkError::unacknowledged(error, at.worker, &options))?;
    let turn = accepted.turn_id;
    // What is in the log from before was not accepted just now.
    let is_first = last_seq.is_none_or(|last| accepted.seq > last);
    let disposition = match accepted.status {
        _ if !is_first => {
            Some(format!("accepted earlier with this key, as turn {turn}: given once, not again"))
        }
        InputDisposition::Queued => Some(format!("queued: it will be turn {turn}")),
        InputDisposition::Steered => Some(format!("given to turn {turn}, which runs")),
        InputDisposition::Running | InputDisposition::Unknown => None,
    };
    if no_wait {
        if output.is_json() {
            output.json(&accepted)?;
        } else {
            output.note(&disposition.unwrap_or_else(|| format!("turn {turn} is accepted")));
        }
        return Ok(Exit::Done);
    }
    if let Some(disposition) = disposition {
        output.note(&disposition);
    }
    let answer = Answer {
        client,
        at: &at,
        input: &input.parts,
        turn: Cell::new(turn),
        interrupted: Cell::new(false),
        output,
    };
    let mut printed = std::pin::pin!(answer.print(accepted));
    loop {
        tokio::select! {
            ended = &mut printed => {
                return Ok(answer::report(output, &ended?, answer.interrupted.get()));
            }
            () = signals.next() => {
                if answer.interrupted.replace(true) {
                    return Ok(Exit::Interrupted);
                }
                client.cancel(&at, Some(answer.turn.get())).await?;
            }
        }
    }
}

/// What is waited for after an input.
struct Answer<'a> {
    client: &'a WorkerHost,
    at: &'a WorkerAddress,
    input: &'a [InputPart],
    /// The turn that has the input.
    turn: Cell<TurnId>,
    /// Whether somebody wants no answer any more.
    interrupted: Cell<bool>,
    output: Output,
}

impl Answer<'_> {
    /// Prints the turn that has the input to its end. Where a turn was given the input and ended
    /// without taking it in, the input has another one.
    async fn print(&self, accepted: InputAccepted) -> anyhow::Result<Outcome> {
        let after = Cursor { log_id: None, seq: accepted.seq };
        let events = self.client.events(self.at, after).await;
        let mut events = events.map_err(|error| self.lost(error))?;
        let mut printer = AnswerPrinter::new(self.output, accepted.turn_id);
        let mut is_steering = accepted.status == InputDisposition::Steered;
        let mut next = None;
        loop {
            let event = match events.next().await {
                Some(Ok(event)) => event,
                Some(Err(error)) => {
                    printer.end_line()?;
                    return Err(self.lost(error));
                }
                None => {
                    printer.end_line()?;
                    anyhow::bail!("the Worker was deleted");
                }
            };
            if is_steering && let LiveEvent::Durable(event) = &event {
                match &event.body {
                    EventBody::ItemCompleted { turn_id, item } if *turn_id == self.turn.get() => {
                        is_steering = !self.is_input(&item.body);
                    }
                    EventBody::InputQueued { turn_id, parts } if parts == self.input => {
                        next = Some(*turn_id);
                    }
                    _ => {}
                }
            }
            if let Some(outcome) = printer.event(&event)? {
                let Some(turn) = next.filter(|_| std::mem::take(&mut is_steering)) else {
                    return Ok(outcome);
                };
                self.output.note(&format!("that turn ended without it: it is turn {turn} now"));
                self.turn.set(turn);
                if self.interrupted.get() {
                    self.client.cancel(self.at, Some(turn)).await?;
                }
                printer = AnswerPrinter::new(self.output, turn);
            }
        }
    }

    fn is_input(&self, body: &ItemBody) -> bool {
        matches!(body, ItemBody::UserMessage { parts } if parts == self.input)
    }

    /// Why the answer cannot be printed any more, and where it is if it is that old.
    fn lost(&self, error: BackendError) -> anyhow::Error {
        let worker = self.at.worker;
        if error.has_code("cursor_gap") {
            let look =
                format!("look for the answer with `{} worker transcript {worker}`", own_name());
            return anyhow::Error::new(error).context(look);
        }
        if error.is_forbidden() {
            return TalkError::Unseen { worker, turn: self.turn.get(), source: error }.into();
        }
        match error.with_way_out(worker) {
            source if source.is_of_the_connection() || source.is_of_another() => {
                TalkError::Lost { worker, turn: self.turn.get(), source }.into()
            }
            error => error.into(),
        }
    }
}

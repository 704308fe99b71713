//! `yoi worker attach`: follows a Worker as it works, and gives it what somebody types.

mod lines;
mod view;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{self, IsTerminal as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use worker_runtime::error_chain;
use worker_types::{
    Cursor, EventBody, IdempotencyKey, Input, InputDisposition, InputOptions, ItemId, LiveEvent,
    Seq, TranscriptQuery, TurnId, TurnUsage, WorkerId, WorkerStatus, WorkerView,
};
use yoi_config::Config;

use self::view::View;
use super::STRAGGLERS_GRACE;
use crate::{
    backend_error::BackendError,
    cli::{BeginArgs, HostArgs, RuntimeArg, WhenBusy, own_name},
    exit::Exit,
    output::{Output, one_line},
    signals::{EndSignal, EndSignals},
    worker_host::{ALL_TURNS, HostEvents, WorkerAddress, WorkerHost},
};

/// Entries of the transcript to begin with: about a page of a terminal.
const LAST: u32 = 20;

/// How long the first pause is after the connection broke, and the longest: each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What somebody wants who attaches.
#[derive(Debug)]
pub(super) struct Attaching {
    pub(super) host: HostArgs,
    pub(super) begin: BeginArgs,
    pub(super) if_busy: WhenBusy,
}

/// Why nothing more is shown.
#[derive(Debug, Clone, Copy)]
enum Ended {
    Stopped,
    Deleted,
    Detached,
}

/// How it stands with the Worker, as far as is known.
#[derive(Debug, Default)]
struct State {
    running: Option<TurnId>,
    is_connected: bool,
}

/// The pauses between tries, each twice as long as the one before.
#[derive(Debug, PartialEq)]
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Pauses {
    async fn next(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}

/// How far somebody has seen.
#[derive(Debug)]
struct Place {
    cursor: Cursor,
    /// The last event of a Worker that is stopped.
    end: Option<Seq>,
}

impl Place {
    fn is_at_the_end(&self) -> bool {
        self.end.is_some_and(|end| self.cursor.seq >= end)
    }
}

/// Somebody who looks at a Worker.
#[derive(Debug)]
struct Session {
    wanted: Attaching,
    config: Config,
    output: Output,
    at: WorkerAddress,
    /// Whom to ask: another one after a Backend was started anew.
    client: Mutex<WorkerHost>,
    view: Mutex<View>,
    state: watch::Sender<State>,
}

/// Shows a Worker until somebody leaves, or it is stopped.
pub(super) async fn attach(
    client: WorkerHost,
    worker: WorkerView,
    wanted: Attaching,
    config: &Config,
    output: Output,
) -> anyhow::Result<Exit> {
    let BeginArgs { last, all, .. } = &wanted.begin;
    anyhow::ensure!(
        !output.is_json() || (last.is_none() && !all),
        "--json prints events: --from says after which of them to begin, and 0 is before the first"
    );
    // Before anything is shown: from then on Ctrl-C means the turn.
    let mut signals = EndSignals::listen()?;
    let session = Arc::new(Session {
        wanted,
        config: config.clone(),
        output,
        at: (&worker).into(),
        client: Mutex::new(client),
        view: Mutex::new(View::new(worker.worker_id, output)),
        state: watch::Sender::default(),
    });
    let leave = CancellationToken::new();
    let (looker, left) = (Arc::clone(&session), leave.clone());
    let look = async move { left.run_until_cancelled(looker.look(&worker)).await };
    // Where nobody reads, printing waits, and a signal is not to.
    let looking = tokio::task::spawn_blocking(move || Handle::current().block_on(look));
    session.until_the_end(looking, &leave, &mut signals).await
}

impl Session {
    async fn until_the_end(
        &self,
        mut looking: JoinHandle<Option<anyhow::Result<Ended>>>,
        leave: &CancellationToken,
        signals: &mut EndSignals,
    ) -> anyhow::Result<Exit> {
        let (yoi, worker) = (own_name(), self.at.worker);
        let (ended, exit) = tokio::select! {
            ended = &mut looking => (ended?.unwrap_or(Ok(Ended::Detached))?, Exit::Done),
            signal = self.obey(signals) => {
                leave.cancel();
                // Unless it still prints for nobody, the last word is the next one.
                let _ = tokio::time::timeout(STRAGGLERS_GRACE, &mut looking).await;
                match signal {
                    EndSignal::Interrupt => (Ended::Detached, Exit::Done),
                    EndSignal::Terminate => (Ended::Detached, Exit::Interrupted),
                }
            }
        };
        self.note(&match ended {
            Ended::Detached => {
                format!("detached: the Worker goes on; `{}` attaches again", self.again())
            }
            Ended::Stopped => {
                format!("the Worker is stopped: `{yoi} worker start {worker}` starts it")
            }
            Ended::Deleted => "the Worker is deleted".to_owned(),
        });
        Ok(exit)
    }

    /// Cancels a turn where somebody interrupts one; the signal that means this program.
    async fn obey(&self, signals: &mut EndSignals) -> EndSignal {
        let mut cancelled = None;
        loop {
            let signal = signals.next_kind().await;
            let running = {
                let state = self.state.borrow();
                state.running.filter(|_| state.is_connected)
            };
            let turn = match (signal, running) {
                (EndSignal::Interrupt, Some(turn)) if cancelled != Some(turn) => turn,
                _ => return signal,
            };
            cancelled = Some(turn);
            self.note(&format!("cancelling turn {turn}; Ctrl-C once more detaches"));
            let client = self.client();
            tokio::select! {
                done = client.cancel(&self.at, Some(turn)) => if let Err(error) = done {
                    self.note(&format!("turn {turn} is not cancelled: {}", error_chain(&error)));
                },
                signal = signals.next_kind() => return signal,
            }
        }
    }

    /// Shows what the Worker does, and gives it what is typed.
    async fn look(&self, worker: &WorkerView) -> anyhow::Result<Ended> {
        let cursor = self.begin(worker).await?;
        let place = Place { cursor, end: self.state_of_it(&self.client()).await? };
        if place.is_at_the_end() {
            return Ok(Ended::Stopped);
        }
        self.welcome(worker);
        let lines = lines::typed()?;
        tokio::select! {
            ended = self.follow(place) => ended,
            ended = self.speak(lines) => Ok(ended),
        }
    }

    /// Shows what was before; the place from which on to follow.
    async fn begin(&self, worker: &WorkerView) -> anyhow::Result<Cursor> {
        let BeginArgs { last, all, from } = self.wanted.begin;
        if let Some(from) = from {
            return Ok(from);
        }
        if self.output.is_json() {
            return Ok(Cursor { log_id: None, seq: worker.last_seq });
        }
        let client = self.client();
        let usage = client.usage(&self.at, None, ALL_TURNS).await?;
        let mut ended: BTreeMap<TurnId, TurnUsage> =
            usage.turns.into_iter().map(|turn| (turn.turn_id, turn)).collect();
        let mut query = match last {
            _ if all => TranscriptQuery { after: Some(ItemId::ZERO), ..TranscriptQuery::default() },
            // A page has one item at least.
            last => TranscriptQuery {
                limit: Some(last.unwrap_or(LAST).max(1)),
                ..TranscriptQuery::default()
            },
        };
        loop {
            let page = client.transcript(&self.at, query).await?;
            if last == Some(0) {
                return Ok(page.cursor);
            }
            let mut view = self.view();
            if !all && page.more_before {
                view.aside("… there is more before: --all shows it")?;
            }
            let mut turn = None;
            for item in &page.items {
                if let Some(before) = turn.replace(item.turn_id)
                    && before != item.turn_id
                    && let Some(end) = ended.remove(&before)
                {
                    view.turn_ended(before, &end.outcome, &end.receipt)?;
                }
                view.item(item, page.cut.iter().find(|cut| cut.item_id == item.id))?;
            }
            match page.last_item {
                Some(last) if page.more_after && all => query.after = Some(last),
                _ => {
                    if let Some((turn, end)) = turn.and_then(|turn| ended.remove_entry(&turn)) {
                        view.turn_ended(turn, &end.outcome, &end.receipt)?;
                    }
                    return Ok(page.cursor);
                }
            }
        }
    }

    fn welcome(&self, worker: &WorkerView) {
        let name = worker.display_name.as_deref().map(|name| format!(" ({})", one_line(name)));
        let name = name.unwrap_or_default();
        let how = match io::stdin().is_terminal() {
            true => "a line is an input; Ctrl-C cancels a turn, or detaches, and Ctrl-D detaches",
            false => "Ctrl-C cancels a turn, or detaches",
        };
        self.note(&format!("attached to {}{name}: {how}", worker.worker_id));
    }

    /// Asks how it stands with the Worker. Of one that is stopped, the end of its log.
    async fn state_of_it(&self, client: &WorkerHost) -> Result<Option<Seq>, BackendError> {
        let worker = client.worker(&self.at).await?;
        let running = match worker.status {
            WorkerStatus::Running { turn_id } => Some(turn_id),
            _ => None,
        };
        self.state.send_modify(|state| state.running = running);
        Ok((worker.status == WorkerStatus::Stopped).then_some(worker.last_seq))
    }

    /// Shows what comes after `place`, also where the connection breaks meanwhile.
    async fn follow(&self, mut place: Place) -> anyhow::Result<Ended> {
        let mut events = self.client().events_once(&self.at, place.cursor).await?;
        loop {
            self.state.send_modify(|state| state.is_connected = true);
            let error = match self.show(&mut events, &mut place).await? {
                Ok(ended) => return Ok(ended),
                Err(error) if error.is_retryable() => error,
                Err(error) => return Err(explained(error)),
            };
            self.state.send_modify(|state| state.is_connected = false);
            self.note(&format!("disconnected: {}; waiting, Ctrl-C detaches", error_chain(&error)));
            events = self.connect(&mut place).await?;
            self.note("connected again");
        }
    }

    /// Shows events as long as they come.
    async fn show(
        &self,
        events: &mut HostEvents,
        place: &mut Place,
    ) -> io::Result<Result<Ended, BackendError>> {
        while !place.is_at_the_end() {
            let event = match events.next().await {
                Some(Ok(event)) => event,
                Some(Err(error)) => return Ok(Err(error)),
                None => return Ok(Ok(Ended::Deleted)),
            };
            self.view().event(&event)?;
            place.cursor = events.cursor();
            let LiveEvent::Durable(event) = event else { continue };
            match event.body {
                EventBody::InputAccepted { turn_id, .. }
                | EventBody::TurnStarted { turn_id, .. } => {
                    self.state.send_modify(|state| state.running = Some(turn_id));
                }
                EventBody::TurnEnded { turn_id, .. } => self.state.send_modify(|state| {
                    state.running = state.running.filter(|running| *running != turn_id);
                }),
                // It may be one of long ago.
                EventBody::WorkerStopped => match self.state_of_it(&self.client()).await {
                    Ok(end) => place.end = end,
                    Err(error) => return Ok(Err(error)),
                },
                _ => {}
            }
        }
        Ok(Ok(Ended::Stopped))
    }

    /// Waits until the Worker's events can be had again.
    async fn connect(&self, place: &mut Place) -> anyhow::Result<HostEvents> {
        let mut pauses = Pauses::default();
        loop {
            pauses.next().await;
            // A Backend that was started anew is somewhere else, and takes another token. Where none runs,
            // nobody is asked: who has its address now is not to see the token.
            let Ok(client) = WorkerHost::find(&self.wanted.host, &self.config, self.output) else {
                continue;
            };
            let connected = async {
                place.end = self.state_of_it(&client).await?;
                client.events_once(&self.at, place.cursor).await
            };
            match connected.await {
                Ok(events) => {
                    *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
                    return Ok(events);
                }
                Err(error) if error.is_retryable() || self.is_between(&error) => {}
                Err(error) => return Err(explained(error)),
            }
        }
    }

    /// Whether the next Backend has the directory, and has not said yet where it is: what the last one left there
    /// is refused.
    fn is_between(&self, error: &BackendError) -> bool {
        let HostArgs { runtime, backend } = &self.wanted.host;
        let is_named = backend.backend.is_some() || matches!(runtime, Some(RuntimeArg::Url(_)));
        !is_named && error.is_of_another()
    }

    /// Gives the Worker each line, until there are no more. Where nobody types, that is never.
    async fn speak(&self, lines: Option<mpsc::Receiver<String>>) -> Ended {
        let Some(mut lines) = lines else { return std::future::pending().await };
        while let Some(line) = lines.recv().await {
            if !line.trim().is_empty() {
                self.say(line).await;
            }
        }
        Ended::Detached
    }

    /// Gives the Worker a line once, however often it takes to send it.
    async fn say(&self, line: String) {
        let input = Input::text(line);
        let mut options = InputOptions::if_busy(self.wanted.if_busy.into());
        // A name that nobody else has.
        options.idempotency_key = IdempotencyKey::new(WorkerId::generate().to_string()).ok();
        let mut state = self.state.subscribe();
        let mut pauses = Pauses::default();
        loop {
            // The sender is this session's own.
            let _ = state.wait_for(|state| state.is_connected).await;
            match self.client().input(&self.at, &input, &options).await {
                Ok(accepted) => return self.accepted(accepted.status, accepted.turn_id),
                Err(error) if error.is_of_the_connection() => {
                    if pauses == Pauses::default() {
                        self.note(&format!("not sent yet: {}", error_chain(&error)));
                    }
                    pauses.next().await;
                }
                Err(error) => {
                    let error = error.with_way_out(self.at.worker);
                    return self.note(&format!("not sent: {}", error_chain(&error)));
                }
            }
        }
    }

    fn accepted(&self, status: InputDisposition, turn: TurnId) {
        match status {
            InputDisposition::Queued => self.note(&format!("queued: it will be turn {turn}")),
            InputDisposition::Steered => self.note(&format!("given to turn {turn}, which runs")),
            // It is shown next.
            InputDisposition::Running | InputDisposition::Unknown => {}
        }
    }

    /// A remark on a line of its own.
    fn note(&self, text: &str) {
        // Who prints may wait for a reader, and a remark is for somebody else.
        if let Ok(mut view) = self.view.try_lock() {
            let _ = view.end_line();
        }
        self.output.note(text);
    }

    /// What to write to attach again.
    fn again(&self) -> String {
        let HostArgs { runtime, backend } = &self.wanted.host;
        let mut line = format!("{} worker attach {}", own_name(), self.at.worker);
        if let Some(RuntimeArg::Url(url)) = runtime {
            line.push_str(&format!(" --runtime {}", quoted(url)));
        } else if let Some(url) = &backend.backend {
            line.push_str(&format!(" --backend {}", quoted(url)));
        // As the configuration has it, which nobody has to name then.
        } else if let Some(dir) =
            backend.data_dir.data_dir.as_ref().or(self.config.server.data_dir.as_ref())
        {
            line.push_str(&format!(" --data-dir {}", quoted(&dir.to_string_lossy())));
        }
        line
    }

    fn client(&self) -> WorkerHost {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> Cow<'_, str> {
    // What holds a NUL byte came from no command line.
    shlex::try_quote(word).unwrap_or(Cow::Borrowed(word))
}

/// Why nothing more can be shown, and where what is missing can be seen.
fn explained(error: BackendError) -> anyhow::Error {
    let is_gap = error.has_code("cursor_gap");
    let error = anyhow::Error::new(error);
    if is_gap { error.context("to go on from the transcript, attach again") } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_hint_is_one_word_for_a_shell() {
        for plain in ["data", "/srv/yoi-1.0", "https://host.example:38800"] {
            assert_eq!(quoted(plain), plain);
        }
        for odd in ["a b", "it's", "$(reboot)", "", "a\nb"] {
            assert_ne!(quoted(odd), odd);
            assert_eq!(shlex::split(&quoted(odd)), Some(vec![odd.to_owned()]));
        }
    }
}

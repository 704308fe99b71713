//! What a Runtime shows: of itself, and of its Workers.

use std::sync::PoisonError;

use worker_types::{
    CapabilityStatus, Cursor, DEFAULT_WORKERS, Diagnostic, Event, EventBody, EventPage, FeedCursor,
    FeedPage, Implementation, Item, ItemId, Limits, LogId, LogPage, MAX_WORKERS, ModelStatus,
    Overview, ProfileName, RuntimeError, RuntimeStatus, RuntimeSummary, Seq, TranscriptPage,
    TranscriptQuery, TurnId, TurnUsage, WorkerId, WorkerPage, WorkerQuery, WorkerUsage, WorkerView,
};

use super::{Inner, Runtime, store_error};
use crate::{
    cell::WorkerCell,
    confinement::{self, Confinement},
    engine::live_turns,
    events::{Events, Feed},
    projection::Transcript,
    store::{StoreError, StoreHealth},
};

/// The most events of a page.
const MAX_EVENTS: usize = 1_000;

/// Workers looked at under one lock while a filter searches.
const SCAN: usize = 1_000;

/// Workers looked at for one page: a few milliseconds, during which the caller's thread serves
/// nobody else.
const SCAN_PER_PAGE: usize = 10_000;

/// How much is taken of what all turns share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeLoad {
    /// Turns that run, those included that wait for a model.
    pub live_turns: u64,
    /// Turns that may run at once: what the limits on turns and on their memory say.
    pub max_live_turns: u64,
    /// Workers with an input whose turn waits until one of those ends.
    pub waiting_turns: u64,
    /// The memory that the turns that run may take together, in bytes. What they do take is less.
    pub admitted_memory_bytes: u64,
    /// The memory that all turns may take together, in bytes: `memory_total` of the limits.
    pub max_memory_bytes: u64,
}

impl Runtime {
    /// What it is and how it fares.
    #[must_use]
    pub fn summary(&self) -> RuntimeSummary {
        let runtime = &self.0;
        // Before the rest: what comes meanwhile is in the feed from here on, and may be in the numbers too.
        let feed_cursor =
            FeedCursor::new(runtime.store.log_id(), *runtime.store.feed_head().borrow());
        let models = runtime.models.iter().filter_map(|model| {
            let info = model.info();
            // An alias that is no valid name can be granted to nobody.
            let alias = model.alias().parse().ok()?;
            Some(ModelStatus { alias, provider: info.provider, model: info.model })
        });
        RuntimeSummary {
            runtime_id: runtime.id.clone(),
            display_name: runtime.display_name.clone(),
            status: self.status(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_digest: runtime.config_digest,
            capabilities: self.capabilities(),
            profiles: runtime.profiles.keys().cloned().collect::<Vec<ProfileName>>(),
            models: models.collect(),
            roots: runtime.roots.status().collect(),
            limits: Limits::clone(&runtime.limits),
            retention: runtime.retention,
            diagnostics: self.diagnostics(),
            overview: self.overview(),
            feed_cursor,
        }
    }

    /// Whether it takes work.
    #[must_use]
    pub fn status(&self) -> RuntimeStatus {
        if self.0.workers.check_accepting().is_err() {
            RuntimeStatus::Draining
        } else if *self.0.store.health().borrow() == StoreHealth::Healthy {
            RuntimeStatus::Ready
        } else {
            RuntimeStatus::Unavailable
        }
    }

    /// What it can grant, and why not the rest.
    #[must_use]
    pub fn capabilities(&self) -> Vec<CapabilityStatus> {
        let llm_reason = match self.0.models.iter().next() {
            Some(_) => None,
            None => Some("no model is configured".to_owned()),
        };
        let filesystem =
            CapabilityStatus {
                name: "filesystem".to_owned(),
                available: !self.0.roots.ceiling().is_empty(),
                reason: self.0.roots.ceiling().is_empty().then(|| {
                    "no root and no place for private directories is configured".to_owned()
                }),
            };
        let shell = CapabilityStatus {
            name: "shell".to_owned(),
            available: self.0.shell.is_some(),
            reason: self.0.shell.is_none().then(|| "no shell component is configured".to_owned()),
        };
        let not_yet = ["git", "programs", "tools", "network", "workers"];
        let not_yet = not_yet.into_iter().map(|name| CapabilityStatus {
            name: name.to_owned(),
            available: false,
            reason: Some("this version does not have it".to_owned()),
        });
        let llm = CapabilityStatus {
            name: "llm".to_owned(),
            available: llm_reason.is_none(),
            reason: llm_reason,
        };
        let confinement = confinement::capability(self.0.confinement.as_ref());
        [llm, filesystem, shell, confinement].into_iter().chain(not_yet).collect()
    }

    /// What an operator should look at.
    #[must_use]
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let diagnostic = |code: &str, message| Diagnostic { code: code.to_owned(), message };
        let mut diagnostics = Vec::new();
        if let StoreHealth::Failed { reason } = &*self.0.store.health().borrow() {
            let message = format!("the store takes nothing: {reason}; it is tried again by itself");
            diagnostics.push(diagnostic("store_unavailable", message));
        }
        diagnostics.extend(self.0.damage.diagnostics());
        for root in self.0.roots.status() {
            if let Some(reason) = root.reason {
                let message = format!("the root `{}` cannot be had: {reason}", root.name);
                diagnostics.push(diagnostic("root_unavailable", message));
            }
        }
        diagnostics.extend(self.0.confinement.iter().flat_map(Confinement::diagnostics));
        for model in self.0.models.iter().filter(|model| model.info().provider == "offline") {
            let message = format!(
                "the model `{}` is the built-in offline model: configure a provider to get real \
                 answers",
                model.alias()
            );
            diagnostics.push(diagnostic("offline_model", message));
        }
        diagnostics
    }

    /// Its Workers in numbers.
    #[must_use]
    pub fn overview(&self) -> Overview {
        *self.0.overview.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much is taken of what all turns share. The numbers are of about the same moment.
    #[must_use]
    pub fn load(&self) -> RuntimeLoad {
        let max_live_turns = live_turns(&self.0.limits);
        let free = u32::try_from(self.0.permits.available_permits()).unwrap_or(u32::MAX);
        let live_turns = u64::from(max_live_turns.saturating_sub(free));
        RuntimeLoad {
            live_turns,
            max_live_turns: max_live_turns.into(),
            waiting_turns: self.overview().running.saturating_sub(live_turns),
            admitted_memory_bytes: live_turns.saturating_mul(self.0.limits.turn_memory_bytes),
            max_memory_bytes: self.0.limits.memory_total,
        }
    }

    /// A page of its Workers, oldest first. One call looks at 10,000 Workers at most: where few match,
    /// the page is short or empty, and its `next` says where to go on.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a status that does not exist.
    pub fn workers(&self, query: &WorkerQuery) -> Result<WorkerPage, RuntimeError> {
        if let Some(status) = &query.status
            && !["idle", "running", "stopped", "unavailable"].contains(&status.as_str())
        {
            let reason =
                format!("`{status}` is no status: use idle, running, stopped or unavailable");
            return Err(RuntimeError::InvalidInput { reason });
        }
        Ok(self.0.worker_page(query, SCAN_PER_PAGE))
    }

    /// One Worker.
    ///
    /// # Errors
    ///
    /// `UnknownWorker`.
    pub fn worker(&self, id: WorkerId) -> Result<WorkerView, RuntimeError> {
        Ok(self.0.view(&*self.0.workers.cell(id)?))
    }

    /// A bounded piece of a Worker's transcript; the newest, unless the query says otherwise.
    /// Unfinished items have their text so far, and long ones are cut: the page says which.
    ///
    /// # Errors
    ///
    /// `UnknownWorker`, `WorkerUnavailable`.
    pub async fn transcript(
        &self,
        id: WorkerId,
        query: TranscriptQuery,
    ) -> Result<TranscriptPage, RuntimeError> {
        let cell = self.0.workers.cell(id)?;
        let page = self.0.transcript_of(&cell)?.page(query).await;
        self.0.of_log(id, page).await
    }

    /// One item of a Worker's transcript, whole.
    ///
    /// # Errors
    ///
    /// `UnknownItem`, `UnknownWorker`, `WorkerUnavailable`.
    pub async fn item(&self, id: WorkerId, item_id: ItemId) -> Result<Item, RuntimeError> {
        let cell = self.0.workers.cell(id)?;
        let item = self.0.transcript_of(&cell)?.item(item_id).await;
        self.0.of_log(id, item).await?.ok_or(RuntimeError::UnknownItem { item_id })
    }

    /// What a Worker's turns took: all together, and each of the newest that ended before `before`;
    /// at most `limit`, and at most 1,000. Retention removes the ends of old turns; the total is
    /// kept.
    ///
    /// # Errors
    ///
    /// `UnknownWorker`, `WorkerUnavailable`.
    pub async fn usage(
        &self,
        id: WorkerId,
        before: Option<TurnId>,
        limit: usize,
    ) -> Result<WorkerUsage, RuntimeError> {
        let cell = self.0.workers.cell(id)?;
        let total = cell.lock().readable()?.usage;
        let limit = limit.clamp(1, MAX_EVENTS);
        let ends = self
            .0
            .store
            .turn_ends(id, before, limit + 1)
            .await
            .map_err(|error| store_error(&error))?;
        let more_before = ends.len() > limit;
        let skipped = ends.len().saturating_sub(limit);
        let turns = ends.into_iter().skip(skipped).filter_map(|event| match event.body {
            EventBody::TurnEnded { turn_id, outcome, receipt } => {
                Some(TurnUsage { turn_id, ended_at: event.at, outcome, receipt })
            }
            _ => None,
        });
        Ok(WorkerUsage { total, turns: turns.collect(), more_before })
    }

    /// A page of a Worker's durable events after `after`, oldest first: at most `limit`, and at
    /// most 1,000.
    ///
    /// # Errors
    ///
    /// `UnknownWorker`, `InvalidCursor`, `CursorGap`, `WorkerUnavailable`.
    pub async fn event_page(
        &self,
        id: WorkerId,
        after: Cursor,
        limit: usize,
    ) -> Result<EventPage, RuntimeError> {
        let cell = self.0.workers.cell(id)?;
        let after = self.0.check_cursor(&cell, after)?;
        let until = cell.lock().head.last_seq;
        let limit = limit.clamp(1, MAX_EVENTS);
        let events = self.0.read(id, after, until, limit).await?;
        let last = events.last().map_or(after, |event| event.seq);
        Ok(EventPage { events, next: Cursor::new(self.0.store.log_id().of_worker(id), last) })
    }

    /// A Worker's events from `after` on: first those in the log, then live, with deltas.
    ///
    /// # Errors
    ///
    /// `UnknownWorker`, `InvalidCursor`, `CursorGap`, `WorkerUnavailable`.
    pub fn events(&self, id: WorkerId, after: Cursor) -> Result<Events, RuntimeError> {
        let cell = self.0.workers.cell(id)?;
        let after = self.0.check_cursor(&cell, after)?;
        Ok(Events::new(&self.0, cell, after))
    }

    /// A page of the feed: the durable events of all Workers after `after`, in the order in which
    /// they were committed; at most `limit`, and at most 1,000. What was removed is not in it; that
    /// it was is.
    ///
    /// # Errors
    ///
    /// `InvalidCursor`, `RuntimeUnavailable`.
    pub async fn feed_page(
        &self,
        after: FeedCursor,
        limit: usize,
    ) -> Result<FeedPage, RuntimeError> {
        let after = self.0.check_feed_cursor(after)?;
        let limit = limit.clamp(1, MAX_EVENTS);
        let (events, last, diagnostics) = match self.0.store.feed(after, limit).await {
            Ok(events) => {
                let last = events.last().map_or(after, |event| event.position);
                (events, last, Vec::new())
            }
            Err(error @ StoreError::FeedDamaged { through, .. }) => {
                let code = "feed_damaged".to_owned();
                (Vec::new(), through, vec![Diagnostic { code, message: error.to_string() }])
            }
            Err(error) => return Err(store_error(&error)),
        };
        let events = events.into_iter().map(|event| event.event).collect();
        let next = FeedCursor::new(self.0.store.log_id(), last);
        Ok(FeedPage { events, next, diagnostics })
    }

    /// The feed from `after` on: what was committed, then what is being committed. It tells what
    /// changed; of each Worker its own events are the truth.
    ///
    /// # Errors
    ///
    /// `InvalidCursor`.
    pub fn feed(&self, after: FeedCursor) -> Result<Feed, RuntimeError> {
        let after = self.0.check_feed_cursor(after)?;
        Ok(Feed::new(&self.0, after))
    }

    /// What a Worker's guest printed, of one turn or of all that are kept. Where lines are missing, a
    /// line of the host's says how many.
    ///
    /// # Errors
    ///
    /// `UnknownWorker`.
    #[expect(clippy::unused_async, reason = "reads are asynchronous, wherever they read")]
    pub async fn logs(
        &self,
        id: WorkerId,
        turn_id: Option<TurnId>,
    ) -> Result<LogPage, RuntimeError> {
        let cell = self.0.workers.cell(id)?;
        let cell = cell.lock();
        let mut lines = self.0.logs.lines(id, turn_id);
        let running = cell.output.iter().flat_map(|output| output.lines());
        lines.extend(running.filter(|line| turn_id.is_none_or(|turn| turn == line.turn_id)));
        Ok(LogPage { lines })
    }
}

impl Inner {
    pub(crate) fn view(&self, cell: &WorkerCell) -> WorkerView {
        let state = cell.lock();
        let (meta, authority) = (&cell.meta, &state.authority);
        let unavailable = state.unavailable().map(|reason| Diagnostic {
            code: if state.lacks_scopes() { "scope_conflict" } else { "worker_unavailable" }
                .to_owned(),
            message: reason.to_owned(),
        });
        WorkerView {
            runtime_id: self.id.clone(),
            worker_id: cell.id,
            display_name: meta.display_name().map(str::to_owned),
            implementation: Implementation::Component,
            profile: authority.profile.profile.name.clone(),
            component: authority.profile.digest,
            labels: meta.labels().cloned().unwrap_or_default(),
            status: state.status(),
            grants: (*authority.grants).clone(),
            revoked: authority.revoked.iter().flat_map(|revoked| (**revoked).clone()).collect(),
            last_seq: state.head.last_seq,
            usage: state.head.usage,
            created_at: meta.created_at(),
            diagnostics: unavailable.into_iter().collect(),
        }
    }

    /// A page for which up to `scan` Workers are looked at.
    fn worker_page(&self, query: &WorkerQuery, mut scan: usize) -> WorkerPage {
        let page = |workers, next| WorkerPage { workers, next, diagnostics: Vec::new() };
        let limit = query.limit.unwrap_or(DEFAULT_WORKERS).clamp(1, MAX_WORKERS) as usize;
        let mut workers: Vec<WorkerView> = Vec::new();
        let mut after = query.after;
        while scan > 0 {
            let count = scan.min(SCAN);
            let scanned = self.workers.page(after, count);
            let last_page = scanned.len() < count;
            for cell in scanned {
                if matches(query, &cell) {
                    if workers.len() == limit {
                        let next = workers.last().map(|view| view.worker_id);
                        return page(workers, next);
                    }
                    workers.push(self.view(&cell));
                }
                after = Some(cell.id);
            }
            if last_page {
                return page(workers, None);
            }
            scan -= count;
        }
        page(workers, after)
    }

    fn transcript_of<'a>(&'a self, cell: &'a WorkerCell) -> Result<Transcript<'a>, RuntimeError> {
        let head = cell.lock().readable()?;
        Ok(Transcript {
            store: &self.store,
            worker_id: cell.id,
            until: head.last_seq,
            last_item: head.last_item,
            cell,
        })
    }

    fn check_cursor(&self, cell: &WorkerCell, cursor: Cursor) -> Result<Seq, RuntimeError> {
        check_log(cursor.log_id, self.store.log_id().of_worker(cell.id))?;
        let head = cell.lock().readable()?;
        if cursor.seq > head.last_seq {
            let reason = "it is ahead of the Worker's log".to_owned();
            return Err(RuntimeError::InvalidCursor { reason });
        }
        if cursor.seq < head.trimmed {
            return Err(self.cursor_gap(cell.id, head.trimmed));
        }
        Ok(cursor.seq)
    }

    fn check_feed_cursor(&self, cursor: FeedCursor) -> Result<u64, RuntimeError> {
        check_log(cursor.log_id, self.store.log_id())?;
        if cursor.position > *self.store.feed_head().borrow() {
            let reason = "it is ahead of the feed".to_owned();
            return Err(RuntimeError::InvalidCursor { reason });
        }
        Ok(cursor.position)
    }

    /// Reads events, or says where the log begins, or that the Worker was deleted.
    pub(crate) async fn read(
        &self,
        id: WorkerId,
        after: Seq,
        until: Seq,
        limit: usize,
    ) -> Result<Vec<Event>, RuntimeError> {
        let page = self.store.read(id, after, until, limit).await;
        let page = self.of_log(id, page).await?;
        let reached = page.last().map_or(after, |event| event.seq);
        // A page is short where its bytes are many, or the end of the log is missing.
        if page.len() < limit
            && reached < until
            && let Ok([]) = self.store.read(id, reached, until, 1).await.as_deref()
        {
            let reason = format!("the log ends at event {reached}, not at {until}");
            return Err(store_error(&StoreError::Damaged { worker_id: id, reason }));
        }
        Ok(page)
    }

    /// What to tell a reader of what its read came to.
    async fn of_log<T>(
        &self,
        id: WorkerId,
        read: Result<T, StoreError>,
    ) -> Result<T, RuntimeError> {
        match read {
            Err(StoreError::Trimmed { through }) => Err(self.gone(id, through).await),
            read => read.map_err(|error| store_error(&error)),
        }
    }

    /// What to tell a reader whose events are gone: retention removed them, or went with their
    /// Worker, of which only the last event is left.
    async fn gone(&self, id: WorkerId, through: Seq) -> RuntimeError {
        match self.store.read(id, through, through.next(), 1).await.as_deref() {
            Ok([Event { body: EventBody::WorkerDeleted, .. }]) => {
                RuntimeError::UnknownWorker { worker_id: id }
            }
            Ok(_) => self.cursor_gap(id, through),
            Err(error) => store_error(error),
        }
    }

    fn cursor_gap(&self, id: WorkerId, through: Seq) -> RuntimeError {
        let log_id = self.store.log_id().of_worker(id);
        RuntimeError::CursorGap { oldest: Cursor::new(log_id, through) }
    }
}

fn check_log(found: Option<LogId>, own: LogId) -> Result<(), RuntimeError> {
    if found.is_none_or(|found| found == own) {
        return Ok(());
    }
    let reason = "it is from another log: another Worker's, or of a Runtime that was started anew"
        .to_owned();
    Err(RuntimeError::InvalidCursor { reason })
}

fn matches(query: &WorkerQuery, cell: &WorkerCell) -> bool {
    let labels = cell.meta.labels();
    let status = || cell.lock().status().name();
    query.labels.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
        && query.status.as_deref().is_none_or(|wanted| wanted == status())
}

#[cfg(test)]
mod tests;

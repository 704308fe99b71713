//! What a Runtime shows: of itself, and of its Workers.

use std::sync::{Arc, PoisonError};

use worker_types::{
    CapabilityStatus, Cursor, DEFAULT_WORKERS, Diagnostic, EventPage, Implementation, LogPage,
    MAX_WORKERS, ModelStatus, Overview, ProfileName, RuntimeError, RuntimeStatus, RuntimeSummary,
    Seq, TranscriptPage, TranscriptQuery, TurnId, WorkerId, WorkerPage, WorkerQuery, WorkerView,
};

use super::{Inner, Runtime, internal};
use crate::{cell::WorkerCell, events::Events, projection::Transcript};

/// The most events of a page.
const MAX_EVENTS: usize = 1_000;

/// Workers looked at under one lock while a filter searches.
const SCAN: usize = 1_000;

impl Runtime {
    /// What it is and how it fares.
    #[must_use]
    pub fn summary(&self) -> RuntimeSummary {
        let runtime = &self.0;
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
            capabilities: self.capabilities(),
            profiles: runtime.profiles.keys().cloned().collect::<Vec<ProfileName>>(),
            models: models.collect(),
            limits: runtime.limits.clone(),
            diagnostics: self.diagnostics(),
            overview: self.overview(),
        }
    }

    /// Whether it takes work.
    #[must_use]
    pub fn status(&self) -> RuntimeStatus {
        if self.0.workers.is_closed() { RuntimeStatus::Draining } else { RuntimeStatus::Ready }
    }

    /// What it can grant, and why not the rest.
    #[must_use]
    pub fn capabilities(&self) -> Vec<CapabilityStatus> {
        let llm_reason = match self.0.models.iter().next() {
            Some(_) => None,
            None => Some("no model is configured".to_owned()),
        };
        let not_yet = ["filesystem", "shell", "git", "programs", "tools", "network", "workers"];
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
        std::iter::once(llm).chain(not_yet).collect()
    }

    /// What an operator should look at.
    #[must_use]
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        for model in self.0.models.iter().filter(|model| model.info().provider == "offline") {
            diagnostics.push(Diagnostic {
                code: "offline_model".to_owned(),
                message: format!(
                    "the model `{}` is the built-in offline model: configure a provider to get \
                     real answers",
                    model.alias()
                ),
            });
        }
        diagnostics
    }

    /// Its Workers in numbers.
    #[must_use]
    pub fn overview(&self) -> Overview {
        *self.0.overview.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page of its Workers, oldest first.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a status that does not exist.
    pub fn workers(&self, query: &WorkerQuery) -> Result<WorkerPage, RuntimeError> {
        if let Some(status) = &query.status
            && !["idle", "running", "stopped"].contains(&status.as_str())
        {
            let reason = format!("`{status}` is no status: use idle, running or stopped");
            return Err(RuntimeError::InvalidInput { reason });
        }
        let limit = query.limit.unwrap_or(DEFAULT_WORKERS).clamp(1, MAX_WORKERS) as usize;
        let mut workers = Vec::new();
        let mut after = query.after;
        loop {
            let scanned = self.0.workers.page(after, SCAN);
            let last_page = scanned.len() < SCAN;
            for cell in scanned {
                after = Some(cell.id);
                if !matches(query, &cell) {
                    continue;
                }
                if workers.len() == limit {
                    let next = workers.last().map(|view: &WorkerView| view.worker_id);
                    return Ok(WorkerPage { workers, next, diagnostics: Vec::new() });
                }
                workers.push(self.0.view(&cell));
            }
            if last_page {
                return Ok(WorkerPage { workers, next: None, diagnostics: Vec::new() });
            }
        }
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
    /// Unfinished items have their text so far.
    ///
    /// # Errors
    ///
    /// `UnknownWorker`.
    pub async fn transcript(
        &self,
        id: WorkerId,
        query: TranscriptQuery,
    ) -> Result<TranscriptPage, RuntimeError> {
        let cell = self.0.workers.cell(id)?;
        let (until, texts) = {
            let cell = cell.lock();
            (cell.state.last_seq, cell.open_texts())
        };
        let transcript = Transcript::load(&self.0.store, id, until).await.map_err(internal)?;
        let cursor = Cursor::new(self.0.store.log_id(), until);
        Ok(transcript.with_open_texts(texts).page(query, cursor))
    }

    /// A page of a Worker's durable events after `after`, oldest first: at most `limit`, and at
    /// most 1,000.
    ///
    /// # Errors
    ///
    /// `UnknownWorker`, `InvalidCursor`.
    pub async fn event_page(
        &self,
        id: WorkerId,
        after: Cursor,
        limit: usize,
    ) -> Result<EventPage, RuntimeError> {
        let cell = self.0.workers.cell(id)?;
        let after = self.0.check_cursor(&cell, after)?;
        let until = cell.lock().state.last_seq;
        let limit = limit.clamp(1, MAX_EVENTS);
        let events = self.0.store.read(id, after, until, limit).await.map_err(internal)?;
        let last = events.last().map_or(after, |event| event.seq);
        Ok(EventPage { events, next: Cursor::new(self.0.store.log_id(), last) })
    }

    /// A Worker's events from `after` on: first those in the log, then live, with deltas.
    ///
    /// # Errors
    ///
    /// `UnknownWorker`, `InvalidCursor`.
    pub fn events(&self, id: WorkerId, after: Cursor) -> Result<Events, RuntimeError> {
        let cell = self.0.workers.cell(id)?;
        let after = self.0.check_cursor(&cell, after)?;
        Ok(Events::new(Arc::clone(&self.0), cell, after))
    }

    /// What a Worker's guest printed, of one turn or of all that are kept.
    ///
    /// # Errors
    ///
    /// `UnknownWorker`.
    #[expect(clippy::unused_async, reason = "a store on disk will read them")]
    pub async fn logs(
        &self,
        id: WorkerId,
        turn_id: Option<TurnId>,
    ) -> Result<LogPage, RuntimeError> {
        let cell = self.0.workers.cell(id)?;
        let cell = cell.lock();
        let kept = cell.logs.iter().flat_map(|logs| logs.lines(turn_id));
        let mut lines: Vec<_> = kept.cloned().collect();
        let running = cell.output.iter().flat_map(|output| output.lines());
        lines.extend(running.filter(|line| turn_id.is_none_or(|turn| turn == line.turn_id)));
        Ok(LogPage { lines })
    }
}

impl Inner {
    pub(crate) fn view(&self, cell: &WorkerCell) -> WorkerView {
        let state = cell.lock();
        let state = &state.state;
        let meta = &cell.meta;
        WorkerView {
            runtime_id: self.id.clone(),
            worker_id: cell.id,
            display_name: meta.display_name.as_deref().map(str::to_owned),
            implementation: Implementation::Component,
            profile: meta.profile.profile.name.clone(),
            component: meta.profile.component.digest,
            labels: meta.labels.clone(),
            status: state.status(),
            grants: (*meta.grants).clone(),
            last_seq: state.last_seq,
            usage: state.usage,
            created_at: state.created_at,
            diagnostics: Vec::new(),
        }
    }

    fn check_cursor(&self, cell: &WorkerCell, cursor: Cursor) -> Result<Seq, RuntimeError> {
        let invalid = |reason: &str| RuntimeError::InvalidCursor { reason: reason.to_owned() };
        if cursor.log_id.is_some_and(|log_id| log_id != self.store.log_id()) {
            return Err(invalid("it is from another log: this Runtime was started anew"));
        }
        if cursor.seq > cell.lock().state.last_seq {
            return Err(invalid("it is ahead of the Worker's log"));
        }
        Ok(cursor.seq)
    }
}

fn matches(query: &WorkerQuery, cell: &WorkerCell) -> bool {
    let labels = &cell.meta.labels;
    let status = || cell.lock().state.status().name();
    query.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && query.status.as_deref().is_none_or(|wanted| wanted == status())
}

//! Workers: created once, stopped while they are stopped, gone when they are deleted; and their logs.

use std::collections::{BTreeMap, BTreeSet};

use worker_types::{EventBody, Outcome, StopReason, Usage, WorkerId, WorkerStatus};

use super::{Check, Kind};
use crate::crash::{
    history::Exchange,
    record::{Reply, Request, TOKEN, WITH_INPUT, token_of},
};

/// What is known to have been asked of a Worker's life.
#[derive(Debug, Default)]
struct Asked {
    /// Where the last stop and the last start were sent, and where they were answered as done.
    stop: Option<(usize, Option<usize>)>,
    start: Option<(usize, Option<usize>)>,
    stops: u64,
    cancels: u64,
    delete_sent: bool,
    deleted: bool,
}

impl Check<'_> {
    pub(super) fn workers(&mut self) {
        self.creations();
        self.lives();
        self.logs();
    }

    /// Each creation that was acknowledged is there, and none is there twice.
    fn creations(&mut self) {
        let mut by_token: BTreeMap<String, Vec<WorkerId>> = BTreeMap::new();
        let mut half = Vec::new();
        for (id, found) in &self.found {
            let labels = &found.worker.view.labels;
            let token = labels.get(TOKEN).cloned().unwrap_or_default();
            if labels.get(WITH_INPUT).is_some_and(|with| with == "true") {
                let second = found.log.get(1).map(|event| &event.body);
                let begun = matches!(
                    second,
                    Some(EventBody::InputAccepted { item, .. })
                        if matches!(&item.body, worker_types::ItemBody::UserMessage { parts }
                            if token_of(parts) == Some(token.as_str()))
                );
                if !begun {
                    half.push(format!("Worker {id} is there, its first input is not"));
                }
            }
            by_token.entry(token).or_default().push(*id);
        }
        for detail in half {
            self.complain(Kind::Lost, detail);
        }
        for (token, ids) in by_token.iter().filter(|(_, ids)| ids.len() > 1) {
            self.complain(Kind::Repeated, format!("creation {token} made {ids:?}"));
        }

        let deletes = self.asked();
        let mut answers: BTreeMap<String, BTreeSet<WorkerId>> = BTreeMap::new();
        let mut asked: BTreeMap<String, Vec<bool>> = BTreeMap::new();
        for exchange in self.exchanges.clone() {
            let Request::Create { token, .. } = &exchange.request else { continue };
            asked.entry(token.clone()).or_default().push(exchange.was_refused());
            if let Some((_, Reply::Created(id))) = exchange.answered {
                self.extent.acknowledged += 1;
                answers.entry(token.clone()).or_default().insert(id);
                let gone = deletes.get(&id).is_some_and(|asked| asked.delete_sent);
                let is_there = self.found.contains_key(&id) || self.half_known.contains_key(&id);
                if !is_there && !gone {
                    self.complain(Kind::Lost, format!("Worker {id} of creation {token}"));
                }
            }
        }
        for (token, ids) in answers.iter().filter(|(_, ids)| ids.len() > 1) {
            self.complain(Kind::Repeated, format!("creation {token} was answered {ids:?}"));
        }
        for (token, ids) in &by_token {
            match asked.get(token) {
                None => self.complain(Kind::Repeated, format!("nobody asked for {ids:?}")),
                Some(refused) if refused.iter().all(|refused| *refused) => {
                    self.complain(Kind::Repeated, format!("{ids:?} is there, and was refused"));
                }
                Some(_) => {}
            }
        }
    }

    /// What was asked of each Worker's life.
    fn asked(&self) -> BTreeMap<WorkerId, Asked> {
        let mut all: BTreeMap<WorkerId, Asked> = BTreeMap::new();
        for exchange in &self.exchanges {
            let Some(id) = exchange.request.worker_id() else { continue };
            let asked = all.entry(id).or_default();
            let Exchange { request, sent, .. } = exchange;
            match request {
                Request::Stop { .. } => {
                    asked.stop = Some((*sent, exchange.done()));
                    asked.stops += 1;
                }
                Request::Start { .. } => asked.start = Some((*sent, exchange.done())),
                Request::Cancel { .. } => asked.cancels += 1,
                Request::Delete { .. } => {
                    asked.delete_sent |= !exchange.was_refused();
                    asked.deleted |= exchange.done().is_some();
                }
                Request::Create { .. } | Request::Input { .. } => {}
            }
        }
        all
    }

    /// Stopped stays stopped, started stays started, deleted stays deleted.
    fn lives(&mut self) {
        let mut wrong = Vec::new();
        for (id, asked) in self.asked() {
            let Some(found) = self.found.get(&id) else { continue };
            if asked.deleted {
                wrong.push((Kind::Lost, format!("Worker {id} was deleted, and is there")));
            }
            let stopped = found.worker.view.status == WorkerStatus::Stopped;
            let (stop, start) = (asked.stop, asked.start);
            // The other command came later, or at the same time, or may have been done all the same.
            let newest = |done: usize, other: Option<(usize, Option<usize>)>| {
                other.is_none_or(|(_, answered)| answered.is_some_and(|answered| answered < done))
            };
            if let Some((sent, Some(_))) = stop
                && newest(sent, start)
                && !stopped
            {
                wrong.push((Kind::Lost, format!("Worker {id} was stopped, and is not")));
            }
            if let Some((sent, Some(_))) = start
                && newest(sent, stop)
                && stopped
            {
                wrong.push((Kind::Lost, format!("Worker {id} was started, and is stopped")));
            }
            if asked.stops == 0 && stopped {
                wrong.push((Kind::Repeated, format!("nobody stopped Worker {id}")));
            }
            for (turn_id, record) in &found.report.turns {
                let unasked = match record.ended.as_ref().map(|(_, outcome, _)| outcome) {
                    Some(Outcome::Cancelled { reason: StopReason::Stop }) => asked.stops == 0,
                    Some(Outcome::Cancelled { .. }) => asked.cancels == 0,
                    _ => false,
                };
                if unasked {
                    wrong.push((Kind::Lost, format!("nobody ended turn {turn_id} of {id}")));
                }
            }
        }
        for (kind, detail) in wrong {
            self.complain(kind, detail);
        }
    }

    /// Every log keeps the rules, and what else is shown agrees with it.
    fn logs(&mut self) {
        let lives = self.history.lives.len() as u64;
        let mut broken = Vec::new();
        for (id, found) in &self.found {
            let (report, view) = (&found.report, &found.worker.view);
            self.extent.events += found.log.len() as u64;
            let mut complain = |what: String| broken.push(format!("Worker {id}: {what}"));
            if view.status == WorkerStatus::Unavailable {
                complain(format!("unavailable: {:?}", view.diagnostics));
                continue;
            }
            report.violations.iter().for_each(|violation| complain(violation.to_string()));
            if report.deleted {
                complain("it is deleted, and is there".to_owned());
            }
            let interrupted = report
                .turns
                .values()
                .filter(|record| matches!(record.ended, Some((_, Outcome::Interrupted, _))));
            let interrupted = interrupted.count() as u64;
            self.extent.interrupted += interrupted;
            // The last life has interrupted nothing yet.
            if interrupted >= lives {
                complain(format!("{interrupted} turns were interrupted in {lives} lives"));
            }
            let Some((transcript, usage)) = &found.worker.at_rest else { continue };
            report.unfinished.iter().for_each(|open| complain(format!("at rest, and {open}")));
            if report.stopped != (view.status == WorkerStatus::Stopped) {
                complain(format!("its log ends otherwise than {:?}", view.status));
            }
            if view.last_seq != report.last_seq {
                complain(format!("its last event is {}, not {}", report.last_seq, view.last_seq));
            }
            if !transcript.iter().eq(report.items.values()) {
                complain("its transcript is not the fold of its log".to_owned());
            }
            if report.usage != view.usage || usage.total != view.usage {
                complain("its usage is not the fold of its log".to_owned());
            }
            // Retention removes the ends of turns, and keeps the total.
            let (mut shown, mut left) = (Usage::default(), Usage::default());
            usage.turns.iter().for_each(|turn| shown.add(Usage::of(&turn.receipt)));
            let ends = report.turns.values().filter_map(|record| record.ended.as_ref());
            ends.filter(|(seq, ..)| *seq > found.worker.trimmed)
                .for_each(|(.., receipt)| left.add(Usage::of(receipt)));
            if !usage.more_before && shown != left {
                complain("its turns do not add up".to_owned());
            }
            let resumes = view.profile.as_str() == "resumable";
            resumptions(found, resumes).into_iter().for_each(complain);
        }
        for detail in broken {
            self.complain(Kind::Broken, detail);
        }
    }
}

/// What was interrupted is gone on from where the profile says so, and only there.
fn resumptions(found: &super::Found<'_>, resumes: bool) -> Vec<String> {
    let report = &found.report;
    let mut wrong = Vec::new();
    let mut in_a_row = BTreeMap::new();
    for (turn_id, record) in &report.turns {
        let before = record.resumes.and_then(|of| in_a_row.get(&of)).copied();
        let chain: u32 = match record.resumes {
            Some(_) => before.unwrap_or(0) + 1,
            None => 0,
        };
        in_a_row.insert(*turn_id, chain);
        let Some((ended, Outcome::Interrupted, _)) = &record.ended else { continue };
        let gone_on = report.turns.values().any(|other| other.resumes == Some(*turn_id));
        let stopped = found
            .log
            .iter()
            .any(|event| event.seq > *ended && event.body == EventBody::WorkerStopped);
        if gone_on && !resumes {
            wrong.push(format!("turn {turn_id} was gone on from"));
        }
        if !gone_on && resumes && chain < 3 && !stopped {
            wrong.push(format!("turn {turn_id} was not gone on from"));
        }
    }
    wrong
}

//! Inputs: each that was acknowledged is there once, as it was acknowledged, and in order.

use std::collections::BTreeMap;

use worker_types::{InputAccepted, RuntimeError, WorkerId};

use super::{Check, Kind};
use crate::{
    crash::{
        history::Exchange,
        record::{Reply, Request, token_of},
    },
    invariants::{AcceptedInput, Fate},
};

/// All requests for one input.
#[derive(Debug, Default)]
struct Asked<'a> {
    exchanges: Vec<&'a Exchange>,
}

impl Asked<'_> {
    fn acceptances(&self) -> impl Iterator<Item = (usize, usize, InputAccepted)> {
        self.exchanges.iter().filter_map(|exchange| {
            let (at, accepted) = exchange.accepted()?;
            Some((exchange.sent, at, accepted))
        })
    }

    /// Where it was first sent, and where it was first acknowledged.
    fn span(&self) -> Option<(usize, usize)> {
        let sent = self.exchanges.iter().map(|exchange| exchange.sent).min()?;
        let acknowledged = self.acceptances().map(|(_, at, _)| at).min()?;
        Some((sent, acknowledged))
    }
}

impl Check<'_> {
    pub(super) fn inputs(&mut self) {
        let exchanges = std::mem::take(&mut self.exchanges);
        let mut asked: BTreeMap<(WorkerId, &str), Asked<'_>> = BTreeMap::new();
        for exchange in &exchanges {
            if let Request::Input { worker_id, token, .. } = &exchange.request {
                asked.entry((*worker_id, token)).or_default().exchanges.push(exchange);
            }
        }
        self.extent.acknowledged +=
            asked.values().filter(|asked| asked.acceptances().next().is_some()).count() as u64;
        let deleted: Vec<WorkerId> = exchanges
            .iter()
            .filter_map(|exchange| match exchange.request {
                Request::Delete { worker_id } if !exchange.was_refused() => Some(worker_id),
                _ => None,
            })
            .collect();
        let mut complaints = Vec::new();
        for ((id, token), asked) in &asked {
            let found = self.found.get(id);
            if found.is_none() && !deleted.contains(id) {
                // Another complaint says so, if it was ever acknowledged.
                continue;
            }
            let inputs: &[AcceptedInput] = found.map_or(&[], |found| &found.report.inputs);
            let there: Vec<&AcceptedInput> =
                inputs.iter().filter(|input| token_of(&input.parts) == Some(token)).collect();
            let here = format!("input {token} of Worker {id}");
            answers(asked, &deleted, &here, &mut complaints);
            if found.is_some() {
                presence(asked, &there, &here, &mut complaints);
            }
        }
        for (id, found) in &self.found {
            order(*id, &found.report.inputs, &asked, &mut complaints);
            for input in &found.report.inputs {
                let token = token_of(&input.parts).unwrap_or("");
                let created = found.worker.view.labels.get(super::super::record::TOKEN);
                let is_first = created.is_some_and(|created| created == token);
                if !is_first && !asked.contains_key(&(*id, token)) {
                    complaints.push((Kind::Repeated, format!("nobody sent {token:?} to {id}")));
                }
                if self.at_rest && input.fate == Fate::Waiting {
                    complaints.push((Kind::Lost, format!("input {token} of {id} waits for ever")));
                }
            }
        }
        for (kind, detail) in complaints {
            self.complain(kind, detail);
        }
        drop(asked);
        self.exchanges = exchanges;
    }
}

/// The same request has the same answer, and another with its key is a conflict.
fn answers(
    asked: &Asked<'_>,
    deleted: &[WorkerId],
    here: &str,
    complaints: &mut Vec<(Kind, String)>,
) {
    let mut first: Option<(&Request, usize, InputAccepted)> = None;
    for exchange in &asked.exchanges {
        if let Some((at, accepted)) = exchange.accepted() {
            match first {
                Some((request, ..)) if *request != exchange.request => {
                    complaints.push((Kind::Repeated, format!("{here} was accepted, altered")));
                }
                Some((_, _, before)) if before != accepted => complaints.push((
                    Kind::Repeated,
                    format!("{here} was answered {before:?} and {accepted:?}"),
                )),
                Some(_) => {}
                None => first = Some((&exchange.request, at, accepted)),
            }
        }
        let Some((_, Reply::Refused(error))) = &exchange.answered else { continue };
        let same = first
            .is_some_and(|(request, at, _)| at < exchange.sent && *request == exchange.request);
        let other = first
            .is_some_and(|(request, at, _)| at < exchange.sent && *request != exchange.request);
        let gone = exchange.request.worker_id().is_some_and(|id| deleted.contains(&id));
        match error {
            RuntimeError::RuntimeUnavailable { .. } => {}
            RuntimeError::UnknownWorker { .. } if gone => {}
            RuntimeError::UnknownWorker { .. } | RuntimeError::Internal { .. } => {
                complaints.push((Kind::Lost, format!("{here} was answered {error:?}")));
            }
            RuntimeError::IdempotencyConflict if same => {
                complaints.push((Kind::Lost, format!("{here} conflicts with itself")));
            }
            RuntimeError::IdempotencyConflict => {}
            _ if same || other => {
                complaints.push((Kind::Lost, format!("the key of {here} is forgotten: {error:?}")));
            }
            _ => {}
        }
    }
}

/// As often as it was acknowledged, and as it was acknowledged.
fn presence(
    asked: &Asked<'_>,
    there: &[&AcceptedInput],
    here: &str,
    complaints: &mut Vec<(Kind, String)>,
) {
    if there.len() > 1 {
        complaints.push((Kind::Repeated, format!("{here} is there {} times", there.len())));
    }
    if !there.is_empty() && asked.exchanges.iter().all(|exchange| exchange.was_refused()) {
        complaints.push((Kind::Repeated, format!("{here} was refused, and is there")));
    }
    let Some((_, _, accepted)) = asked.acceptances().next() else { return };
    let Some(input) = there.first() else {
        return complaints.push((Kind::Lost, format!("{here}, acknowledged as {accepted:?}")));
    };
    if (input.seq, input.turn_id, input.status) != (accepted.seq, accepted.turn_id, accepted.status)
    {
        complaints.push((Kind::Lost, format!("{here} is {input:?}, and was {accepted:?}")));
    }
}

/// What was acknowledged before another was sent stands before it.
fn order(
    id: WorkerId,
    inputs: &[AcceptedInput],
    asked: &BTreeMap<(WorkerId, &str), Asked<'_>>,
    complaints: &mut Vec<(Kind, String)>,
) {
    let mut sent_latest = (0, "");
    for input in inputs {
        let token = token_of(&input.parts).unwrap_or("");
        let Some((sent, acknowledged)) = asked.get(&(id, token)).and_then(Asked::span) else {
            continue;
        };
        if acknowledged < sent_latest.0 {
            let detail = format!(
                "input {token} of Worker {id} was acknowledged before {} was sent, and stands \
                 after it",
                sent_latest.1
            );
            complaints.push((Kind::Reordered, detail));
        }
        sent_latest = sent_latest.max((sent, token));
    }
}

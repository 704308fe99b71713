//! The bodies and queries that both APIs take, and the answers that no domain type is.

use std::{fmt::Display, str::FromStr, time::Duration};

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use worker_types::{
    ComponentRef, Grant, IdempotencyKey, IfBusy, Input, InputAccepted, InputOptions, InputPart,
    Outcome, Seq, TurnId, WorkerQuery,
};

use crate::{ApiQuery, Problem};

/// The longest a request is held for the end of a turn. Proxies and clients give up soon after.
const LONGEST_WAIT_MS: u64 = 60_000;

/// Turns on a page of usage that names no limit.
const DEFAULT_TURNS: usize = 100;

/// Events on a page that names no limit.
const DEFAULT_EVENTS: usize = 100;

/// A query for Workers, whose `label` may be given more than once.
#[derive(Debug)]
pub struct WorkerFilter(pub WorkerQuery);

impl<S: Send + Sync> FromRequestParts<S> for WorkerFilter {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let ApiQuery(pairs) = ApiQuery::from_request_parts(parts, state).await?;
        worker_query(pairs).map(Self)
    }
}

fn worker_query(pairs: Vec<(String, String)>) -> Result<WorkerQuery, Problem> {
    let mut query = WorkerQuery::default();
    for (name, value) in pairs {
        let first = match name.as_str() {
            "status" => query.status.replace(value).is_none(),
            "after" => query.after.replace(parameter(&name, &value)?).is_none(),
            "limit" => query.limit.replace(parameter(&name, &value)?).is_none(),
            "label" => {
                let (key, value) = value.split_once(':').ok_or_else(|| {
                    Problem::invalid_input("a `label` filter is written `key:value`")
                })?;
                query.labels.insert(key.to_owned(), value.to_owned()).is_none()
            }
            _ => {
                return Err(Problem::invalid_input(format!(
                    "unknown parameter `{name}`: expected `status`, `label`, `after` or `limit`"
                )));
            }
        };
        if !first {
            return Err(Problem::invalid_input(format!("the parameter `{name}` is given twice")));
        }
    }
    Ok(query)
}

fn parameter<T>(name: &str, value: &str) -> Result<T, Problem>
where
    T: FromStr<Err: Display>,
{
    value.parse().map_err(|error| {
        Problem::invalid_input(format!("the parameter `{name}` is wrong: {error}"))
    })
}

/// An input, and how it is to be taken.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputBody {
    text: Option<String>,
    parts: Option<Vec<InputPart>>,
    #[serde(default)]
    if_busy: IfBusy,
}

impl InputBody {
    /// The input that it is, under the caller's `key`.
    ///
    /// # Errors
    ///
    /// Where it has neither `text` nor `parts`, or both.
    pub fn into_input(self, key: Option<IdempotencyKey>) -> Result<(Input, InputOptions), Problem> {
        let input = match (self.text, self.parts) {
            (Some(text), None) => Input::text(text),
            (None, Some(parts)) => Input { parts },
            (Some(_), Some(_)) | (None, None) => {
                return Err(Problem::invalid_input("give either `text` or `parts`"));
            }
        };
        Ok((input, InputOptions { if_busy: self.if_busy, idempotency_key: key }))
    }
}

/// How long to hold the answer for the end of a turn.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitQuery {
    #[serde(default)]
    wait_ms: u64,
}

impl WaitQuery {
    /// The time; none where the answer is not to wait. More than a minute is taken as a minute.
    #[must_use]
    pub fn at_most(&self) -> Option<Duration> {
        (self.wait_ms > 0).then(|| Duration::from_millis(self.wait_ms.min(LONGEST_WAIT_MS)))
    }
}

/// The end of a turn that the request was held for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnResult {
    /// The turn.
    pub turn_id: TurnId,
    /// The place of its input in the log.
    pub seq: Seq,
    /// How it ended.
    pub outcome: Outcome,
}

impl TurnResult {
    /// That of an input.
    #[must_use]
    pub fn new(accepted: &InputAccepted, outcome: Outcome) -> Self {
        Self { turn_id: accepted.turn_id, seq: accepted.seq, outcome }
    }
}

/// Which turn to cancel; none means whichever runs.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CancelBody {
    /// The turn.
    pub turn_id: Option<TurnId>,
}

/// What to take away of a Worker's grants.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {
    /// All of it.
    pub grants: Vec<Grant>,
}

/// What a Worker is to go by.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradeBody {
    /// The component.
    pub component: ComponentRef,
}

/// Which turns to show the cost of: the newest before `before`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageQuery {
    /// Absent for the newest of all.
    pub before: Option<TurnId>,
    limit: Option<usize>,
}

impl UsageQuery {
    /// How many; the Runtime bounds it.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_TURNS)
    }
}

/// Which lines to show of what a guest printed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Those of one turn; absent, all that are kept.
    pub turn: Option<TurnId>,
}

/// Which events to show.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// A cursor, or a bare sequence number; absent for the start.
    pub after: Option<String>,
    limit: Option<usize>,
}

impl EventsQuery {
    /// How many on a page; the Runtime bounds it, and a stream has no end.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_EVENTS)
    }
}

#[cfg(test)]
mod tests {
    use worker_types::Labels;

    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Result<WorkerQuery, Problem> {
        worker_query(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn labels_may_be_given_more_than_once_and_hold_colons() {
        let query =
            query(&[("label", "a:1"), ("limit", "5"), ("label", "b:x:y")]).expect("a query");
        assert_eq!(
            query.labels,
            Labels::from([("a".into(), "1".into()), ("b".into(), "x:y".into())])
        );
        assert_eq!(query.limit, Some(5));
    }

    #[test]
    fn unknown_repeated_and_malformed_parameters_are_refused() {
        for pairs in [
            &[("colour", "red")][..],
            &[("status", "idle"), ("status", "running")],
            &[("label", "a:1"), ("label", "a:2")],
            &[("label", "a")],
            &[("limit", "-1")],
            &[("after", "x")],
        ] {
            assert!(query(pairs).is_err(), "{pairs:?}");
        }
    }

    #[test]
    fn an_input_is_either_text_or_parts() {
        for body in ["{}", r#"{"text":"a","parts":[]}"#] {
            let body: InputBody = serde_json::from_str(body).expect("a body");
            assert!(body.into_input(None).is_err());
        }
        let body: InputBody = serde_json::from_str(r#"{"text":"a"}"#).expect("a body");
        assert_eq!(body.into_input(None).expect("an input").0, Input::text("a"));
    }
}

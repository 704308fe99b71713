//! The bodies and queries that both APIs take, and the answers that no domain type is.

use std::{fmt::Display, str::FromStr, time::Duration};

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr, Required, Schema,
        path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle},
        schema::{ArrayBuilder, ObjectBuilder, Type},
    },
};
use worker_types::{
    ComponentRef, Grant, IdempotencyKey, IfBusy, Input, InputAccepted, InputOptions, InputPart,
    Outcome, Seq, TurnId, WorkerId, WorkerQuery,
};

use crate::{ApiQuery, Keyed, Problem};

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

impl IntoParams for WorkerFilter {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let limit = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
        let parameter = |name, description| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .description(Some(description))
        };
        let states = ["idle", "running", "stopped", "unavailable"];
        let label = text().pattern(Some("^[^:]*:")).description(Some("`key:value`"));
        vec![
            parameter("status", "Only Workers in this state.")
                .schema(Some(text().enum_values(Some(states))))
                .build(),
            parameter("label", "Only Workers with this label; may be given for several.")
                .schema(Some(ArrayBuilder::new().items(label)))
                .style(Some(ParameterStyle::Form))
                .explode(Some(true))
                .build(),
            parameter("after", "Only Workers created after this one.")
                .schema(Some(Ref::from_schema_name(WorkerId::name())))
                .build(),
            parameter("limit", "At most this many; 100 by default, and never more than 1,000.")
                .schema(Some(limit.maximum(Some(u32::MAX))))
                .build(),
        ]
    }
}

impl IntoParams for Keyed {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let key = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[!-~]{1,255}$"));
        let parameter = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "The caller's name for this request: again with the same key, it is carried out once.",
            ))
            .schema(Some(key));
        vec![parameter.build()]
    }
}

/// An input, and how it is to be taken.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputBody {
    #[serde(default, deserialize_with = "present")]
    text: Option<String>,
    #[serde(default, deserialize_with = "present")]
    parts: Option<Vec<InputPart>>,
    #[serde(default)]
    if_busy: IfBusy,
}

/// What is given: `null` is not.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// An input, and how it is to be taken.
// What `InputBody` reads, which tells better what is wrong.
#[derive(ToSchema)]
#[schema(example = json!({ "text": "hello" }))]
#[serde(untagged)]
#[expect(dead_code, reason = "it is a schema")]
enum InputBodyForm {
    /// One text.
    Text {
        /// The text.
        #[schema(min_length = 1)]
        text: String,
        /// What to do while another turn runs.
        #[serde(default)]
        if_busy: IfBusy,
    },
    /// A message in parts.
    Parts {
        /// The message, in order; at least one part says something.
        #[schema(min_items = 1, max_items = 256)]
        parts: Vec<InputPart>,
        /// What to do while another turn runs.
        #[serde(default)]
        if_busy: IfBusy,
    },
}

impl PartialSchema for InputBody {
    fn schema() -> RefOr<Schema> {
        InputBodyForm::schema()
    }
}

impl ToSchema for InputBody {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        InputBodyForm::schemas(schemas);
    }
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
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WaitQuery {
    /// At most this long, in milliseconds; more than a minute is taken as a minute.
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
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

/// A turn, and its outcome once it has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TurnView {
    /// The turn.
    pub turn_id: TurnId,
    /// How it ended; absent while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// Which turn to cancel; none means whichever runs.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CancelBody {
    /// The turn.
    pub turn_id: Option<TurnId>,
}

/// What to take away of a Worker's grants.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {
    /// All of it.
    pub grants: Vec<Grant>,
}

/// What a Worker is to go by.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpgradeBody {
    /// The component.
    pub component: ComponentRef,
}

/// Which turns to show the cost of: the newest before `before`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UsageQuery {
    /// Only turns before this one; absent for the newest of all.
    pub before: Option<TurnId>,
    /// At most this many; 100 by default, and never more than 1,000.
    #[param(value_type = Option<u64>)]
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
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
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

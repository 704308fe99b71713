//! Figures for Prometheus, in its text format, version 0.0.4.

use std::fmt::Write as _;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::header;
use http_api::{Problem, openapi::TokenRefusals};
use worker_types::{Overview, RuntimeStatus};

use crate::{access::Observer, server::ServerState};

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

const US_PER_S: f64 = 1_000_000.0;

/// Figures for Prometheus.
///
/// Of all Workers: not for a token with labels. What is counted is counted since the process began.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "Process",
    responses(
        TokenRefusals,
        (status = 200, description = "Figures.", body = String, content_type = "text/plain"),
    ),
    security(("token" = ["observe"]))
)]
pub(super) async fn metrics(
    State(state): State<ServerState>,
    Observer(caller): Observer,
) -> Result<Response, Problem> {
    if caller.is_bound() {
        return Err(Problem::forbidden(
            "the figures are of all Workers, and the token is for those with certain labels",
        ));
    }
    let mut overview = state.runtime.overview();
    // The usage of the Runtime is that of the Workers it found when it began, and less after each restart
    // that follows a deletion.
    overview.usage = overview.usage.since(state.usage_before);
    let is_ready = state.runtime.status() == RuntimeStatus::Ready;
    let text = written(&overview, is_ready, state.event_streams.open());
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
}

fn written(overview: &Overview, is_ready: bool, event_streams: usize) -> String {
    let Overview { idle, running, stopped, unavailable, usage } = overview;
    let mut text = Metrics(String::new());
    text.metric("yoi_ready", "gauge", "Whether new work is taken.");
    text.value("yoi_ready", "", f64::from(u8::from(is_ready)));
    text.metric("yoi_workers", "gauge", "Workers, by what they are doing.");
    for (state, count) in
        [("idle", idle), ("running", running), ("stopped", stopped), ("unavailable", unavailable)]
    {
        text.value("yoi_workers", &format!("{{state=\"{state}\"}}"), *count as f64);
    }
    let seconds = |us: u64| us as f64 / US_PER_S;
    for (name, help, value) in [
        ("yoi_turns_total", "Turns that ended.", usage.turns as f64),
        ("yoi_turn_wall_seconds_total", "Time of those turns.", seconds(usage.wall_us)),
        ("yoi_turn_cpu_seconds_total", "Time that they computed.", seconds(usage.cpu_us)),
        ("yoi_model_calls_total", "Model calls that reached a provider.", usage.model_calls as f64),
    ] {
        text.metric(name, "counter", help);
        text.value(name, "", value);
    }
    text.metric("yoi_event_streams", "gauge", "Event streams that are open.");
    text.value("yoi_event_streams", "", event_streams as f64);
    text.0
}

struct Metrics(String);

impl Metrics {
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to memory does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &str, value: f64) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

#[cfg(test)]
mod tests {
    use worker_types::Usage;

    use super::*;

    #[test]
    fn figures_have_units_in_their_names() {
        let usage = Usage { turns: 3, wall_us: 1_500_000, cpu_us: 250_000, ..Usage::default() };
        let text = written(&Overview { idle: 2, usage, ..Overview::default() }, true, 1);
        for line in [
            "yoi_workers{state=\"idle\"} 2",
            "yoi_turns_total 3",
            "yoi_turn_wall_seconds_total 1.5",
            "yoi_turn_cpu_seconds_total 0.25",
            "# TYPE yoi_event_streams gauge",
            "yoi_event_streams 1",
            "yoi_ready 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}

//! Figures for Prometheus, in its text format, version 0.0.4.

use std::fmt::Write as _;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::header;
use http_api::{Problem, openapi::TokenRefusals};
use worker_runtime::RuntimeLoad;
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
    let figures = Figures {
        overview,
        is_ready: state.runtime.status() == RuntimeStatus::Ready,
        load: state.runtime.load(),
        taken: [state.connections.taken(), state.event_streams.open(), state.held.taken()],
        refused: state.failures.refused(),
    };
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], figures.written()).into_response())
}

/// What is told.
struct Figures {
    overview: Overview,
    is_ready: bool,
    load: RuntimeLoad,
    /// Connections, event streams and answers that are held.
    taken: [usize; 3],
    refused: u64,
}

impl Figures {
    fn written(&self) -> String {
        let Overview { idle, running, stopped, unavailable, usage } = &self.overview;
        let mut text = Metrics(String::new());
        text.metric("yoi_build_info", "gauge", "Always 1; the label has the version.");
        let version = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        text.value("yoi_build_info", &version, 1.0);
        text.gauge("yoi_ready", "Whether new work is taken.", f64::from(u8::from(self.is_ready)));
        text.metric("yoi_workers", "gauge", "Workers, by what they are doing.");
        for (state, count) in [
            ("idle", idle),
            ("running", running),
            ("stopped", stopped),
            ("unavailable", unavailable),
        ] {
            text.value("yoi_workers", &format!("{{state=\"{state}\"}}"), *count as f64);
        }
        let load = self.load;
        let [connections, event_streams, held] = self.taken;
        for (name, help, value) in [
            ("yoi_turns_live", "Turns that run.", load.live_turns),
            ("yoi_turns_live_limit", "Turns that may run at once.", load.max_live_turns),
            (
                "yoi_turns_waiting",
                "Workers whose turn waits until another Worker's ends.",
                load.waiting_turns,
            ),
            (
                "yoi_memory_admitted_bytes",
                "Memory that the turns that run may take together.",
                load.admitted_memory_bytes,
            ),
            (
                "yoi_memory_limit_bytes",
                "Memory that turns may take together, by the limits.",
                load.max_memory_bytes,
            ),
            ("yoi_connections", "Open connections of callers with a token.", connections as u64),
            ("yoi_event_streams", "Event streams that are open.", event_streams as u64),
            ("yoi_held_answers", "Answers that are held until a turn ends.", held as u64),
        ] {
            text.gauge(name, help, value as f64);
        }
        let seconds = |us: u64| us as f64 / US_PER_S;
        for (name, help, value) in [
            ("yoi_turns_total", "Turns that ended.", usage.turns as f64),
            ("yoi_turn_wall_seconds_total", "Time of those turns.", seconds(usage.wall_us)),
            ("yoi_turn_cpu_seconds_total", "Time that they computed.", seconds(usage.cpu_us)),
            (
                "yoi_model_calls_total",
                "Model calls that reached a provider.",
                usage.model_calls as f64,
            ),
            (
                "yoi_refused_authentications_total",
                "Requests without a token that counts.",
                self.refused as f64,
            ),
        ] {
            text.metric(name, "counter", help);
            text.value(name, "", value);
        }
        // What no provider told is unknown, and not zero.
        let tokens = [("input", usage.tokens.input), ("output", usage.tokens.output)];
        text.metric("yoi_model_tokens_total", "counter", "Tokens, as providers tell them.");
        for (direction, count) in tokens {
            let Some(count) = count else { continue };
            let labels = format!("{{direction=\"{direction}\"}}");
            text.value("yoi_model_tokens_total", &labels, count as f64);
        }
        text.0
    }
}

struct Metrics(String);

impl Metrics {
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to memory does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.metric(name, "gauge", help);
        self.value(name, "", value);
    }

    fn value(&mut self, name: &str, labels: &str, value: f64) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

#[cfg(test)]
mod tests {
    use worker_types::{TokenUsage, Usage};

    use super::*;

    #[test]
    fn figures_have_units_in_their_names() {
        let tokens = TokenUsage { input: Some(70), ..TokenUsage::default() };
        let usage =
            Usage { turns: 3, wall_us: 1_500_000, cpu_us: 250_000, tokens, ..Usage::default() };
        let load = RuntimeLoad {
            live_turns: 4,
            max_live_turns: 5,
            waiting_turns: 6,
            admitted_memory_bytes: 7_000_000,
            max_memory_bytes: 8_000_000,
        };
        let figures = Figures {
            overview: Overview { idle: 2, usage, ..Overview::default() },
            is_ready: true,
            load,
            taken: [10, 11, 12],
            refused: 13,
        };
        let text = figures.written();
        for line in [
            concat!("yoi_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "yoi_ready 1",
            "yoi_workers{state=\"idle\"} 2",
            "yoi_turns_live 4",
            "yoi_turns_live_limit 5",
            "yoi_turns_waiting 6",
            "yoi_memory_admitted_bytes 7000000",
            "yoi_memory_limit_bytes 8000000",
            "yoi_connections 10",
            "# TYPE yoi_event_streams gauge",
            "yoi_event_streams 11",
            "yoi_held_answers 12",
            "yoi_turns_total 3",
            "yoi_turn_wall_seconds_total 1.5",
            "yoi_turn_cpu_seconds_total 0.25",
            "yoi_refused_authentications_total 13",
            "yoi_model_tokens_total{direction=\"input\"} 70",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("output"), "what is unknown is not zero\n{text}");
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').expect("a name and a kind");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        }
    }

    #[test]
    fn every_figure_has_its_help_and_kind_before_it_and_once() {
        let load = RuntimeLoad {
            live_turns: 0,
            max_live_turns: 1,
            waiting_turns: 0,
            admitted_memory_bytes: 0,
            max_memory_bytes: 0,
        };
        let overview = Overview::default();
        let text = Figures { overview, is_ready: false, load, taken: [0; 3], refused: 0 }.written();
        let mut described = Vec::new();
        for line in text.lines() {
            match line.strip_prefix("# ") {
                Some(comment) => {
                    let (word, rest) = comment.split_once(' ').expect("a word");
                    let name = rest.split(' ').next().expect("a name");
                    match word {
                        "HELP" => assert!(!described.contains(&name), "{name} comes twice"),
                        _ => assert_eq!(word, "TYPE"),
                    }
                    if word == "TYPE" {
                        described.push(name);
                    }
                }
                None => {
                    let name = line.split(['{', ' ']).next();
                    assert_eq!(described.last().copied(), name, "{line}");
                }
            }
        }
    }
}

//! `yoi worker show`: one Worker, for people and for programs.

use serde::Serialize;
use worker_types::{
    FailureKind, Outcome, Receipt, StopReason, TokenUsage, TurnUsage, WorkerStatus, WorkerView,
};

use crate::{
    backend_error::BackendError, cli::own_name, commands::worker::turns as turns_of,
    output::Output, worker_host::WorkerHost,
};

/// Prints a Worker, and how its newest turns ended.
pub(super) async fn show(
    client: &WorkerHost,
    view: &WorkerView,
    shown_turns: usize,
    output: Output,
) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Shown<'a> {
        #[serde(flatten)]
        view: &'a WorkerView,
        /// The newest turns that ended.
        turns: &'a [TurnUsage],
    }
    let (turns, more) = match client.usage(&view.into(), None, shown_turns).await {
        Ok(usage) => (usage.turns, usage.more_before),
        // What cannot be read is what the Worker's diagnostics are about.
        Err(BackendError::Refused(_)) if !view.diagnostics.is_empty() => (Vec::new(), false),
        Err(error) => return Err(error.into()),
    };
    if output.is_json() {
        return Ok(output.json(&Shown { view, turns: &turns })?);
    }
    let labels: Vec<String> =
        view.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let usage = &view.usage;
    let took_all = took(usage.wall_us, usage.cpu_us, usage.model_calls, usage.tokens);
    let all_turns = match (turns_of(view), took_all) {
        (None, _) => "unknown".to_owned(),
        (Some(count), None) => count.to_string(),
        (Some(count), Some(took)) => format!("{count} in {took}"),
    };
    let mut rows = vec![
        ("worker".to_owned(), view.worker_id.to_string()),
        ("runtime".to_owned(), view.runtime_id.to_string()),
        ("status".to_owned(), view.status.name().to_owned()),
        ("profile".to_owned(), view.profile.to_string()),
        ("component".to_owned(), view.component.to_string()),
    ];
    let mut granted = view.grants.in_plain_words().into_iter();
    let first = granted.next().unwrap_or_else(|| "none".to_owned());
    rows.push(("grants".to_owned(), first));
    rows.extend(granted.map(|line| (String::new(), line)));
    rows.extend([
        ("created".to_owned(), view.created_at.to_string()),
        ("turns".to_owned(), all_turns),
    ]);
    if let Some(name) = &view.display_name {
        rows.insert(1, ("name".to_owned(), name.clone()));
    }
    if !view.revoked.is_empty() {
        let revoked: Vec<String> = view.revoked.iter().map(ToString::to_string).collect();
        rows.push(("revoked".to_owned(), revoked.join(", ")));
    }
    if !labels.is_empty() {
        rows.push(("labels".to_owned(), labels.join(", ")));
    }
    if more {
        let (shown, all, yoi) = (turns.len(), usage.turns, own_name());
        let how = format!("`{yoi} worker show {} --turns N`", view.worker_id);
        rows.push(("of these".to_owned(), format!("the last {shown} of {all}; {how} shows more")));
    }
    rows.extend(
        turns
            .iter()
            .map(|turn| (format!("turn {}", turn.turn_id), ended_in(&turn.outcome, &turn.receipt))),
    );
    for diagnostic in &view.diagnostics {
        rows.push(("look at".to_owned(), diagnostic.message.clone()));
    }
    if view.status == WorkerStatus::Unavailable {
        let (yoi, id) = (own_name(), view.worker_id);
        let way_out = match view.diagnostics.iter().any(|found| found.code == "scope_conflict") {
            true => format!("it asks again at its next input; `{yoi} worker stop {id}` lets it be"),
            false => format!("`{yoi} worker rm {id}` deletes it"),
        };
        rows.push(("way out".to_owned(), way_out));
    }
    for (name, value) in rows {
        output.line(&format!("{name:12} {value}"))?;
    }
    Ok(())
}

/// How a turn ended, and what it took.
pub(super) fn ended_in(outcome: &Outcome, receipt: &Receipt) -> String {
    let took = took(receipt.wall_us, receipt.cpu_us, receipt.model_calls, receipt.tokens);
    match (ended(outcome), took) {
        (ended, Some(took)) => format!("{ended} in {took}"),
        // What a turn took that a crash ended is not known; what never began took nothing.
        (ended, None) if *outcome == Outcome::Interrupted => {
            format!("{ended}; what it took is unknown")
        }
        (ended, None) => ended.to_owned(),
    }
}

/// What turns took, in a few words; nothing where no guest is known to have run. A turn that a crash
/// ended has a receipt of the moment in which that was noticed, and no computing in it.
fn took(wall_us: u64, cpu_us: u64, model_calls: u64, tokens: TokenUsage) -> Option<String> {
    let count = |count: Option<u64>| count.map_or("unknown".to_owned(), |count| count.to_string());
    let mut took = match cpu_us {
        0 if model_calls == 0 => return None,
        0 => "an unknown time".to_owned(),
        _ => format!("{} ms, {} ms of them computing", wall_us / 1_000, cpu_us / 1_000),
    };
    if model_calls > 0 {
        let (input, output) = (count(tokens.input), count(tokens.output));
        took += &format!("; model calls {model_calls}, tokens in {input}, out {output}");
    }
    Some(took)
}

/// How a turn ended, in a few words.
fn ended(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Failed { kind: FailureKind::PreopenUnavailable, .. } => {
            "failed (a directory could not be had)"
        }
        Outcome::Failed { kind: FailureKind::MissingGrant, .. } => "failed (a grant is missing)",
        Outcome::Failed { kind: FailureKind::Limit, .. } => "failed (it ran into a limit)",
        Outcome::Failed { .. } => "failed",
        Outcome::Cancelled { reason: StopReason::Stop } => "cancelled by the stop",
        Outcome::Cancelled { reason: StopReason::GrantRevoked } => "cancelled by a revocation",
        Outcome::Cancelled { reason: StopReason::Cancel | StopReason::Unknown } => "cancelled",
        Outcome::Interrupted => "interrupted",
        Outcome::Unknown => "ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_of_a_turn_is_left_out_and_never_zero() {
        let none = TokenUsage::default();
        let some = TokenUsage { input: Some(7), ..none };
        assert_eq!(took(0, 0, 0, none), None);
        assert_eq!(took(12, 0, 0, none), None);
        let crashed = took(12, 0, 1, some).expect("a model call");
        assert_eq!(crashed, "an unknown time; model calls 1, tokens in 7, out unknown");
        let known = took(2_500, 1_000, 0, none).expect("a time");
        assert_eq!(known, "2 ms, 1 ms of them computing");
    }
}

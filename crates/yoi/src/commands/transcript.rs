//! `yoi worker transcript`: what was said and done, for people and for programs.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;
use worker_types::{
    CutItem, InputPart, Item, ItemBody, ItemId, ItemStatus, Outcome, ToolOutcome, TranscriptQuery,
    TurnId, WorkerId, WorkerView,
};

use crate::{answer::cancelled, cli::own_name, output::Output, worker_host::WorkerHost};

/// Prints all of a Worker's transcript. Items that the Backend cuts say so.
pub(super) async fn print(
    client: &WorkerHost,
    view: &WorkerView,
    output: Output,
) -> anyhow::Result<()> {
    let at = view.into();
    let mut outcomes = client.broken_turns(&at).await?;
    let mut after = ItemId::new(0);
    let mut begun = BTreeSet::new();
    loop {
        let query = TranscriptQuery { after: Some(after), ..TranscriptQuery::default() };
        let page = client.transcript(&at, query).await?;
        for item in &page.items {
            // A Worker's turns follow one another: what came before this one is over.
            while let Some(ended) = outcomes.first_entry()
                && *ended.key() < item.turn_id
            {
                let (turn, outcome) = ended.remove_entry();
                print_outcome(turn, &outcome, begun.contains(&turn), output)?;
            }
            begun.insert(item.turn_id);
            let cut = page.cut.iter().find(|cut| cut.item_id == item.id);
            print_item(item, cut, output)?;
            if let Some(cut) = cut.filter(|_| !output.is_json()) {
                note_cut(view, cut, output)?;
            }
        }
        match page.last_item {
            Some(last) if page.more_after => after = last,
            _ => break,
        }
    }
    for (turn, outcome) in outcomes {
        print_outcome(turn, &outcome, begun.contains(&turn), output)?;
    }
    Ok(())
}

/// Prints one item, all of it.
pub(super) async fn print_whole(
    client: &WorkerHost,
    view: &WorkerView,
    item: ItemId,
    output: Output,
) -> anyhow::Result<()> {
    Ok(print_item(&client.item(&view.into(), item).await?, None, output)?)
}

/// Says where the item above is cut, and how to see all of it.
fn note_cut(view: &WorkerView, cut: &CutItem, output: Output) -> std::io::Result<()> {
    output.line(&format!("    … cut: {}", size(view.worker_id, cut)))
}

/// How long an item is that is not shown whole, and how to see all of it.
pub(super) fn size(worker: WorkerId, cut: &CutItem) -> String {
    let (CutItem { item_id, bytes }, yoi) = (cut, own_name());
    format!(
        "it has {bytes} bytes; `{yoi} worker transcript {worker} --item {item_id}` prints all of it"
    )
}

/// Prints how a turn ended that did not complete. One that never began has no item that it could
/// stand below.
fn print_outcome(
    turn: TurnId,
    outcome: &Outcome,
    has_begun: bool,
    output: Output,
) -> std::io::Result<()> {
    if output.is_json() {
        let ended = json!({ "type": "turn.ended", "turn_id": turn, "outcome": outcome });
        return output.json(&ended);
    }
    match outcome {
        Outcome::Completed => Ok(()),
        Outcome::Failed { message, .. } => print_block("turn failed: ", message, output),
        Outcome::Cancelled { .. } if !has_begun => {
            output.line(&format!("turn {turn} cancelled before it did anything"))
        }
        Outcome::Cancelled { reason } => output.line(&format!("turn {}", cancelled(*reason))),
        Outcome::Interrupted => output.line("turn interrupted"),
        Outcome::Unknown => output.line("turn ended in a way that this version does not know"),
    }
}

/// Prints an item: who, then what, with every further line indented so that nobody's text looks
/// like somebody else's.
fn print_item(item: &Item, cut: Option<&CutItem>, output: Output) -> std::io::Result<()> {
    /// For programs, an item that is not whole says how many bytes all of it has.
    #[derive(Serialize)]
    struct Shown<'a> {
        #[serde(flatten)]
        item: &'a Item,
        #[serde(skip_serializing_if = "Option::is_none")]
        cut_of_bytes: Option<u64>,
    }
    if output.is_json() {
        return output.json(&Shown { item, cut_of_bytes: cut.map(|cut| cut.bytes) });
    }
    let (who, text) = words(&item.body);
    let unfinished = match item.status {
        ItemStatus::Completed => "",
        ItemStatus::InProgress => " (not finished)",
        ItemStatus::Incomplete => " (cut off)",
    };
    print_block(&format!("{who}{unfinished}: "), &text, output)
}

/// Who says what in an item.
pub(super) fn words(body: &ItemBody) -> (String, String) {
    match body {
        ItemBody::UserMessage { parts } => ("you".to_owned(), input_text(parts)),
        ItemBody::AssistantMessage { text, model } => {
            let who =
                model.as_ref().map_or("worker".to_owned(), |model| format!("worker ({model})"));
            (who, text.clone())
        }
        ItemBody::Reasoning { text } => ("reasoning".to_owned(), text.clone()),
        ItemBody::ToolCall { name, arguments, .. } => {
            ("tool call".to_owned(), format!("{name} {arguments}"))
        }
        ItemBody::ToolResult { outcome, text, .. } => {
            let who = match outcome {
                ToolOutcome::Ok => "tool result",
                ToolOutcome::Error => "tool error",
                ToolOutcome::Interrupted => "tool interrupted",
            };
            (who.to_owned(), text.clone())
        }
        ItemBody::Notice { text, .. } => ("notice".to_owned(), text.clone()),
        ItemBody::Unknown => {
            ("unknown".to_owned(), "an item of a kind that this version does not know".to_owned())
        }
    }
}

fn print_block(head: &str, text: &str, output: Output) -> std::io::Result<()> {
    let mut lines = text.lines();
    output.line(&format!("{head}{}", lines.next().unwrap_or_default()))?;
    lines.try_for_each(|line| output.line(&format!("    {line}")))
}

fn input_text(parts: &[InputPart]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .map(|part| match part {
            InputPart::Text { text } => text.clone(),
            InputPart::Json { json } => json.to_string(),
            InputPart::Image { media_type, .. } => format!("[{media_type}]"),
        })
        .collect();
    parts.join("\n")
}

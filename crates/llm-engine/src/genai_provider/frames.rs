//! The raw frames of an answer, read beside `genai` for what it drops.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use genai::chat::{ChatFrameSink, FrameCtx, RawFrameRef};
use serde_json::Value;

use super::ProviderKind;
use crate::ToolRequestPiece;

/// What went wrong inside an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FrameFailure {
    /// A frame is not JSON.
    Broken,
    /// The last frame was cut short.
    CutShort,
    /// A piece of a tool request says neither which request it is for nor starts one.
    StrayToolPiece,
    /// The provider reported a failure in the middle of its answer.
    Reported(Value),
}

/// Watches the frames of one answer.
///
/// `genai` skips some frames it cannot read and some in which a provider reports an error; both
/// would make an answer that is silently not the one that was sent. And its pieces of tool
/// requests in the chat completions format carry no index, take a missing or repeated index for
/// another request's, and cost memory in proportion to whatever index a server names; so those
/// are read here.
#[derive(Debug)]
pub(super) struct FrameWatch {
    kind: ProviderKind,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    failure: Option<FrameFailure>,
    /// The tool requests begun so far; the position is our index.
    calls: Vec<WireCall>,
    pieces: VecDeque<ToolRequestPiece>,
}

#[derive(Debug)]
struct WireCall {
    /// Absent where the server sends none.
    index: Option<u64>,
    /// As sent; empty where the server sends none.
    id: String,
}

impl FrameWatch {
    pub(super) fn new(kind: ProviderKind) -> Self {
        Self { kind, seen: Mutex::default() }
    }

    /// The first failure seen, if any.
    pub(super) fn failure(&self) -> Option<FrameFailure> {
        self.seen().failure.clone()
    }

    /// The next piece of a tool request; only for the chat completions format.
    pub(super) fn next_piece(&self) -> Option<ToolRequestPiece> {
        self.seen().pieces.pop_front()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChatFrameSink for FrameWatch {
    fn on_frame(&self, _context: &FrameCtx, frame: RawFrameRef<'_>) {
        let data = frame.data.trim();
        if data.is_empty() || data == "[DONE]" {
            return;
        }
        let mut seen = self.seen();
        match serde_json::from_str::<Value>(data) {
            Ok(frame) => {
                if let Some(report) = reported(&frame) {
                    seen.fail(FrameFailure::Reported(report.clone()));
                }
                if self.kind == ProviderKind::OpenAi {
                    seen.tool_pieces(&frame);
                }
            }
            Err(error) if error.is_eof() => seen.fail(FrameFailure::CutShort),
            Err(_) => seen.fail(FrameFailure::Broken),
        }
    }
}

impl Seen {
    fn fail(&mut self, failure: FrameFailure) {
        self.failure.get_or_insert(failure);
    }

    fn tool_pieces(&mut self, frame: &Value) {
        let entries = frame.pointer("/choices/0/delta/tool_calls");
        for entry in entries.and_then(Value::as_array).into_iter().flatten() {
            match self.tool_piece(entry) {
                Some(piece) => self.pieces.push_back(piece),
                None => self.fail(FrameFailure::StrayToolPiece),
            }
        }
    }

    fn tool_piece(&mut self, entry: &Value) -> Option<ToolRequestPiece> {
        let index = entry.get("index").and_then(Value::as_u64);
        let id = entry.get("id").and_then(Value::as_str).unwrap_or_default();
        let name = entry.pointer("/function/name").and_then(Value::as_str).unwrap_or_default();
        let arguments = match entry.pointer("/function/arguments") {
            Some(Value::String(piece)) => piece.clone(),
            // Some servers send the arguments as they are instead of as text.
            Some(whole @ Value::Object(_)) => whole.to_string(),
            _ => String::new(),
        };
        if let Some(position) = self.begun(index, id, name) {
            return Some(ToolRequestPiece {
                index: u32::try_from(position).ok()?,
                call_id: None,
                name: None,
                arguments,
            });
        }
        if name.is_empty() {
            return None;
        }
        let position = self.calls.len();
        self.calls.push(WireCall { index, id: id.to_owned() });
        let call_id = if id.is_empty() { format!("call_{position}") } else { id.to_owned() };
        Some(ToolRequestPiece {
            index: u32::try_from(position).ok()?,
            call_id: Some(call_id),
            name: Some(name.to_owned()),
            arguments,
        })
    }

    /// Where the request that a piece continues stands; absent if the piece begins one.
    ///
    /// A piece with an id continues only a request of that id: some servers give every request
    /// the index 0, and some repeat id and name on every piece.
    fn begun(&self, index: Option<u64>, id: &str, name: &str) -> Option<usize> {
        let same_index = |call: &WireCall| index.is_none() || call.index == index;
        if !id.is_empty() {
            return self.calls.iter().rposition(|call| call.id == id && same_index(call));
        }
        if index.is_none() && !name.is_empty() {
            return None;
        }
        self.calls.iter().rposition(same_index)
    }
}

/// What a frame reports as an error, in one of the shapes of the providers.
fn reported(frame: &Value) -> Option<&Value> {
    if frame.get("type").and_then(Value::as_str) == Some("error") {
        return Some(frame.get("error").filter(|error| !error.is_null()).unwrap_or(frame));
    }
    [frame.get("error"), frame.pointer("/response/error")]
        .into_iter()
        .flatten()
        .find(|error| !error.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Index, id if it is the first piece, and arguments.
    type Piece = (u32, Option<String>, String);

    fn pieces(frames: &[Value]) -> (Vec<Piece>, Option<FrameFailure>) {
        let mut seen = Seen::default();
        for entries in frames {
            seen.tool_pieces(&json!({"choices": [{"delta": {"tool_calls": entries}}]}));
        }
        let pieces = seen
            .pieces
            .into_iter()
            .map(|piece| (piece.index, piece.call_id, piece.arguments))
            .collect();
        (pieces, seen.failure)
    }

    fn id(id: &str) -> Option<String> {
        Some(id.to_owned())
    }

    #[test]
    fn requests_that_share_an_index_are_told_apart_by_their_ids() {
        let (pieces, failure) = pieces(&[
            json!([{"index": 0, "id": "a", "function": {"name": "read", "arguments": "{}"}}]),
            json!([{"index": 0, "id": "b", "function": {"name": "read", "arguments": "{"}}]),
            json!([{"index": 0, "function": {"arguments": "}"}}]),
        ]);
        assert_eq!(
            pieces,
            [
                (0, id("a"), "{}".to_owned()),
                (1, id("b"), "{".to_owned()),
                (1, None, "}".to_owned()),
            ]
        );
        assert_eq!(failure, None);
    }

    #[test]
    fn an_id_and_name_repeated_on_every_piece_continue_the_same_request() {
        let (pieces, _) = pieces(&[
            json!([{"index": 0, "id": "a", "function": {"name": "read", "arguments": "{"}}]),
            json!([{"index": 0, "id": "a", "function": {"name": "read", "arguments": "}"}}]),
        ]);
        assert_eq!(pieces, [(0, id("a"), "{".to_owned()), (0, None, "}".to_owned())]);
    }

    #[test]
    fn a_huge_index_costs_nothing() {
        let (pieces, _) = pieces(&[
            json!([{"index": 4_294_967_295_u32, "id": "a", "function": {"name": "read", "arguments": "{}"}}]),
        ]);
        assert_eq!(pieces, [(0, id("a"), "{}".to_owned())]);
    }

    #[test]
    fn whole_requests_without_index_or_id_are_separate_requests() {
        let (pieces, _) = pieces(&[
            json!([{"function": {"name": "read", "arguments": "{}"}}]),
            json!([{"function": {"name": "read", "arguments": {"path": "x"}}}]),
        ]);
        assert_eq!(
            pieces,
            [(0, id("call_0"), "{}".to_owned()), (1, id("call_1"), r#"{"path":"x"}"#.to_owned()),]
        );
    }

    #[test]
    fn a_piece_that_belongs_to_nothing_is_a_failure() {
        let (pieces, failure) = pieces(&[json!([{"index": 3, "function": {"arguments": "{}"}}])]);
        assert_eq!(pieces, []);
        assert_eq!(failure, Some(FrameFailure::StrayToolPiece));
    }

    #[test]
    fn errors_are_found_in_every_provider_s_shape() {
        let error = json!({"message": "no"});
        for frame in [
            json!({"error": error}),
            json!({"type": "error", "error": error}),
            json!({"type": "response.failed", "response": {"error": error}}),
        ] {
            assert_eq!(reported(&frame), Some(&error));
        }
        let flat = json!({"type": "error", "message": "no"});
        assert_eq!(reported(&flat), Some(&flat));
        assert_eq!(reported(&json!({"error": null, "response": {"error": null}})), None);
    }
}

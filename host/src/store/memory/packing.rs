//! Makes the JSON of events and states small. Most Workers of a Runtime are idle, and what their logs
//! repeat is the names of fields: a byte stands for each of the frequent ones.
//!
//! JSON text never contains a raw control character (they are escaped), so those bytes are free to
//! stand for fragments, and unpacking needs no escapes.

/// Fragments of JSON as `serde_json` writes it; the byte for one is its index plus one, and there are
/// 31 of them at most. Each begins with a brace, a comma or a quotation mark. Their order is part of
/// the format only while the process lives.
#[derive(Debug)]
pub(super) struct Fragments(&'static [&'static [u8]]);

/// Those of states.
pub(super) const STATES: Fragments = Fragments(&[
    br#"{"last_seq":"#,
    br#","trimmed":0,"usage":{"turns":"#,
    br#","trimmed":"#,
    br#","usage":{"turns":"#,
    br#","wall_us":"#,
    br#","cpu_us":"#,
    br#","model_calls":"#,
    br#","input":"#,
    br#","output":"#,
    br#","cached_input":"#,
    br#","reasoning":"#,
    br#","last_turn":"#,
    br#","last_item":"#,
    br#","phase":"Idle","resume":false}"#,
    br#","phase":"Stopped","resume":false}"#,
    br#","phase":"#,
    br#","resume":"#,
    br#","values":{""#,
    br#"":""#,
    br#"","#,
]);

/// Those of events.
pub(super) const EVENTS: Fragments = Fragments(&[
    br#"{"at":"#,
    br#","type":"worker.created","profile":{"name":""#,
    br#"","component":"builtin:"#,
    br#"","description":""#,
    br#""},"component":"sha256:"#,
    br#"","grants":{"#,
    br#"","component":"sha256:"#,
    br#","type":"input.accepted","turn_id":"#,
    br#","type":"item.started","turn_id":"#,
    br#","type":"item.completed","turn_id":"#,
    br#","type":"turn.started""#,
    br#","type":"turn.ended""#,
    br#","type":"usage.recorded""#,
    br#","turn_id":"#,
    br#","item":{"id":"#,
    br#","origin":"host""#,
    br#","origin":"guest""#,
    br#","status":"completed","kind":"#,
    br#","status":"in_progress","kind":"#,
    br#""user_message","parts":[{"type":"text","text":""#,
    br#""assistant_message","text":""#,
    br#","model":""#,
    br#""}]}}"#,
    br#","outcome":{"status":"completed"},"receipt":{"wall_us":"#,
    br#","cpu_us":"#,
    br#","peak_memory_bytes":"#,
    br#","host_calls":"#,
    br#","model_calls":"#,
    br#","tokens":{"#,
    br#","output":"#,
]);

impl Fragments {
    /// Appends `json` to `packed`.
    pub(super) fn pack(&self, json: &[u8], packed: &mut Vec<u8>) {
        let mut rest = json;
        while let Some((&first, tail)) = rest.split_first() {
            let found = matches!(first, b'{' | b',' | b'"')
                .then(|| self.0.iter().position(|fragment| rest.starts_with(fragment)))
                .flatten();
            if let Some(index) = found {
                packed.push(index as u8 + 1);
                rest = &rest[self.0[index].len()..];
            } else {
                packed.push(first);
                rest = tail;
            }
        }
    }

    /// The JSON that was packed.
    pub(super) fn unpack(&self, packed: &[u8]) -> Vec<u8> {
        let mut json = Vec::with_capacity(packed.len() * 4);
        for &byte in packed {
            match self.0.get(usize::from(byte).wrapping_sub(1)) {
                Some(fragment) => json.extend_from_slice(fragment),
                None => json.push(byte),
            }
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(fragments: &Fragments, json: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        fragments.pack(json, &mut packed);
        packed
    }

    proptest! {
        #[test]
        fn any_json_survives(text: String, indexes in prop::collection::vec(0..20_usize, 0..9)) {
            for fragments in [EVENTS, STATES] {
                // As serde_json writes it, with control characters escaped.
                let mut json = serde_json::to_vec(&text).expect("a string is JSON");
                for index in &indexes {
                    json.extend_from_slice(fragments.0[*index]);
                    json.extend_from_slice(&fragments.0[*index][1..]);
                }
                prop_assert_eq!(fragments.unpack(&packed(&fragments, &json)), json);
            }
        }
    }

    #[test]
    fn fragments_are_few_and_can_be_found() {
        for Fragments(fragments) in [EVENTS, STATES] {
            assert!(fragments.len() < 32);
            let can_be_found = |fragment: &&[u8]| matches!(fragment[0], b'{' | b',' | b'"');
            assert!(fragments.iter().all(can_be_found));
        }
    }

    #[test]
    fn control_characters_in_a_text_are_kept() {
        let json = serde_json::to_vec("\u{1}\n\u{1f}").expect("a string is JSON");
        assert_eq!(EVENTS.unpack(&packed(&EVENTS, &json)), json);
    }

    #[test]
    fn the_common_events_shrink_to_a_third() {
        let json = br#"{"at":1,"type":"item.completed","turn_id":1,"item":{"id":2,"turn_id":1,"origin":"guest","status":"completed","kind":"assistant_message","text":"hello"}}"#;
        let packed = packed(&EVENTS, json);
        assert!(packed.len() * 3 < json.len(), "{}", packed.len());
    }

    #[test]
    fn the_state_of_a_new_worker_shrinks_to_a_seventh() {
        let json = serde_json::to_vec(&crate::worker::WorkerState::default()).expect("JSON");
        let packed = packed(&STATES, &json);
        assert!(packed.len() * 7 < json.len(), "{}: {json:?}", packed.len());
    }
}

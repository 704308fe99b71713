//! Makes the JSON of events small. Most Workers of a Runtime are idle, and what their logs repeat
//! is the names of fields: a byte stands for each of the frequent ones.
//!
//! JSON text never contains a raw control character (they are escaped), so those bytes are free to
//! stand for fragments, and unpacking needs no escapes.

/// Fragments of events as `serde_json` writes them; the byte for one is its index plus one. Their
/// order is part of the format only while the process lives.
const FRAGMENTS: [&[u8]; 30] = [
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
];

/// Appends `json` to `packed`.
pub(super) fn pack(json: &[u8], packed: &mut Vec<u8>) {
    let mut rest = json;
    while let Some((&first, tail)) = rest.split_first() {
        // Every fragment starts with one of these.
        let found = matches!(first, b'{' | b',' | b'"')
            .then(|| FRAGMENTS.iter().position(|fragment| rest.starts_with(fragment)))
            .flatten();
        if let Some(index) = found {
            packed.push(index as u8 + 1);
            rest = &rest[FRAGMENTS[index].len()..];
        } else {
            packed.push(first);
            rest = tail;
        }
    }
}

/// The JSON that was packed.
pub(super) fn unpack(packed: &[u8]) -> Vec<u8> {
    let mut json = Vec::with_capacity(packed.len() * 4);
    for &byte in packed {
        match FRAGMENTS.get(usize::from(byte).wrapping_sub(1)) {
            Some(fragment) => json.extend_from_slice(fragment),
            None => json.push(byte),
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(json: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        pack(json, &mut packed);
        packed
    }

    proptest! {
        #[test]
        fn any_json_survives(text: String, fragments in prop::collection::vec(0..FRAGMENTS.len(), 0..9)) {
            // As serde_json writes it, with control characters escaped.
            let mut json = serde_json::to_vec(&text).expect("a string is JSON");
            for index in fragments {
                json.extend_from_slice(FRAGMENTS[index]);
                json.extend_from_slice(&FRAGMENTS[index][1..]);
            }
            prop_assert_eq!(unpack(&packed(&json)), json);
        }
    }

    #[test]
    fn control_characters_in_a_text_are_kept() {
        let json = serde_json::to_vec("\u{1}\n\u{1f}").expect("a string is JSON");
        assert_eq!(unpack(&packed(&json)), json);
    }

    #[test]
    fn the_common_events_shrink_to_a_third() {
        let json = br#"{"at":1,"type":"item.completed","turn_id":1,"item":{"id":2,"turn_id":1,"origin":"guest","status":"completed","kind":"assistant_message","text":"hello"}}"#;
        assert!(packed(json).len() * 3 < json.len(), "{}", packed(json).len());
    }
}

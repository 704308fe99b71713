//! JSON that nests too deep is not kept: a parser with a bound on depth, which ours is, could not
//! read it back from the log.

use serde_json::Value;

/// The deepest nesting of JSON that is kept. `serde_json` reads 128, the log adds some, and nobody
/// nests by hand beyond a dozen.
const MAX_DEPTH: usize = 64;

/// Whether `value` nests no deeper than what is kept.
pub(crate) fn is_shallow(value: &Value) -> bool {
    depth_within(value, MAX_DEPTH)
}

fn depth_within(value: &Value, depth: usize) -> bool {
    let Some(inner) = depth.checked_sub(1) else { return false };
    match value {
        Value::Array(values) => values.iter().all(|value| depth_within(value, inner)),
        Value::Object(values) => values.values().all(|value| depth_within(value, inner)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Value {
        (1..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]))
    }

    #[test]
    fn depth_is_counted_from_one() {
        assert!(is_shallow(&nested(MAX_DEPTH)));
        assert!(!is_shallow(&nested(MAX_DEPTH + 1)));
    }
}

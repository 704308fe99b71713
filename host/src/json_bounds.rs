//! JSON that is kept is of modest shape. What nests too deep a parser with a bound on depth, which
//! ours is, could not read back from the log; and many small values take dozens of times the memory
//! of their text.

use serde_json::Value;

/// The deepest nesting of JSON that is kept. `serde_json` reads 128, the log adds some, and nobody
/// nests by hand beyond a dozen.
const MAX_DEPTH: usize = 64;

/// The most values of one JSON document that is kept: half a mebibyte of memory, about.
const MAX_VALUES: usize = 10_000;

/// Whether `value` nests no deeper, and has no more values in it, than what is kept.
pub(crate) fn is_modest(value: &Value) -> bool {
    let mut left = MAX_VALUES;
    within(value, MAX_DEPTH, &mut left)
}

fn within(value: &Value, depth: usize, left: &mut usize) -> bool {
    let (Some(inner), Some(rest)) = (depth.checked_sub(1), left.checked_sub(1)) else {
        return false;
    };
    *left = rest;
    match value {
        Value::Array(values) => values.iter().all(|value| within(value, inner, left)),
        Value::Object(values) => values.values().all(|value| within(value, inner, left)),
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
        assert!(is_modest(&nested(MAX_DEPTH)));
        assert!(!is_modest(&nested(MAX_DEPTH + 1)));
    }

    #[test]
    fn all_values_count_wherever_they_are() {
        let values = |count| Value::Array(vec![Value::Array(vec![Value::Null]); count]);
        assert!(is_modest(&values((MAX_VALUES - 1) / 2)));
        assert!(!is_modest(&values(MAX_VALUES / 2)));
    }
}

//! Numbers as `head` and `tail` take them.

/// A count, and which end of the file it is counted from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    /// Whether it leaves out as many at the end (`head -n -3`), or begins with that one (`tail -n +3`).
    pub(super) from_end: bool,
    /// How many.
    pub(super) count: u64,
}

/// Reads a count with a sign, which does not matter here, and a unit (`k`, `KiB`, `kB`, `b`, …).
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let (count, unit) = text.split_at(digits);
    if count.is_empty() && unit.is_empty() {
        return None;
    }
    let count: u64 = match count {
        "" => 1,
        // More than there can be of anything is as good as all.
        count => count.parse().unwrap_or(u64::MAX),
    };
    Some(count.saturating_mul(unit_size(unit)?))
}

/// How much a unit is.
pub(super) fn unit_size(unit: &str) -> Option<u64> {
    let power =
        |letter: char| "KMGTPEZYRQ".find(letter.to_ascii_uppercase()).map(|at| at as u32 + 1);
    let mut letters = unit.chars();
    let Some(first) = letters.next() else { return Some(1) };
    if unit == "b" {
        return Some(512);
    }
    let base: u64 = match letters.as_str() {
        "" | "iB" => 1024,
        "B" => 1000,
        _ => return None,
    };
    Some(base.checked_pow(power(first)?).unwrap_or(u64::MAX))
}

/// `-5` as first argument is an old form of `-n 5`, `-5c` of `-c 5`.
pub(super) fn modern(arguments: &[String]) -> Vec<String> {
    let mut arguments = arguments.to_vec();
    let Some(first) = arguments.first_mut() else { return arguments };
    let Some(rest) = first.strip_prefix('-') else { return arguments };
    let digits = rest.len() - rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    if digits == 0 {
        return arguments;
    }
    let (count, letters) = rest.split_at(digits);
    let option = match letters {
        "" => format!("-n{count}"),
        "c" => format!("-c{count}"),
        "q" => format!("-qn{count}"),
        "v" => format!("-vn{count}"),
        _ => return arguments,
    };
    *first = option;
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024_or_of_1000() {
        for (text, count) in [
            ("5", 5),
            ("+5", 5),
            ("-2k", 2048),
            ("1kB", 1000),
            ("3MiB", 3 << 20),
            ("2b", 1024),
            ("k", 1024),
        ] {
            assert_eq!(parse(text), Some(count), "{text}");
        }
        for text in ["", "-", "x", "5x", "5kk"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("99999999999999999999"), Some(u64::MAX));
    }
}

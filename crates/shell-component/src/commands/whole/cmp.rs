//! `cmp`: the first byte that differs.

use super::{
    buffered::{Buffered, Call},
    gnu_options::Known,
};

/// `cmp`.
pub(crate) const CMP: Buffered = Buffered {
    wants_input: |arguments| {
        KNOWN.parse(arguments).is_ok_and(|given| {
            given.operands.len() == 1 || given.operands.iter().any(|operand| operand == "-")
        })
    },
    run,
};

const KNOWN: Known = Known {
    short: "bi:ln:sv",
    long: &[
        ("print-bytes", 'b'),
        ("ignore-initial=", 'i'),
        ("verbose", 'l'),
        ("bytes=", 'n'),
        ("quiet", 's'),
        ("silent", 's'),
        ("version", 'v'),
    ],
};

const TROUBLE: u8 = 2;

fn run(call: &mut Call<'_>) -> u8 {
    let given = match KNOWN.parse(call.arguments) {
        Ok(given) => given,
        Err(message) => {
            call.complain(message);
            return TROUBLE;
        }
    };
    let Some(one) = given.operands.first() else {
        call.complain("missing operand after 'cmp'");
        return TROUBLE;
    };
    let other = given.operands.get(1).map_or("-", String::as_str);
    // Bytes to pass over: of both files, or of each.
    let skips = given.value('i').unwrap_or("0");
    let (first, second) = skips.split_once(':').unwrap_or((skips, skips));
    let skip = |index: usize| given.operands.get(index + 2).map(String::as_str);
    let (first, second) = (skip(0).unwrap_or(first), skip(1).unwrap_or(second));
    let limit = given.value('n').and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
    let mut contents = Vec::new();
    for (name, skip) in [(one.as_str(), first), (other, second)] {
        match call.read(name) {
            Ok(bytes) => {
                let skip = skip.parse::<usize>().unwrap_or(0).min(bytes.len());
                let end = skip.saturating_add(limit).min(bytes.len());
                contents.push(bytes[skip..end].to_vec());
            }
            Err(reason) => {
                if !given.has('s') {
                    call.complain(format_args!("{name}: {reason}"));
                }
                return TROUBLE;
            }
        }
    }
    let [left, right] = contents.as_slice() else { return TROUBLE };
    if left == right {
        return 0;
    }
    if given.has('s') {
        return 1;
    }
    let common = left.len().min(right.len());
    let different = (0..common).filter(|at| left[*at] != right[*at]);
    if given.has('l') {
        let width = common.to_string().len();
        let lines: Vec<_> = different
            .map(|at| format!("{:>width$} {:>3o} {:>3o}\n", at + 1, left[at], right[at]))
            .collect();
        call.output.extend(lines.concat().into_bytes());
    } else if let Some(at) = different.into_iter().next() {
        let line = left[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let bytes = if given.has('b') {
            let shown = |byte: u8| format!("{byte:>3o} {}", char::from(byte).escape_default());
            format!(" is {} {}", shown(left[at]), shown(right[at]))
        } else {
            String::new()
        };
        call.say(format_args!("{one} {other} differ: byte {}, line {line}{bytes}", at + 1));
        return 1;
    }
    if left.len() != right.len() {
        let (shorter, bytes) =
            if left.len() < right.len() { (one.as_str(), left) } else { (other, right) };
        if bytes.is_empty() {
            call.complain(format_args!("EOF on {shorter} which is empty"));
        } else {
            let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
            let line = if bytes.last() == Some(&b'\n') {
                format!("line {ends}")
            } else {
                format!("in line {}", ends + 1)
            };
            let message = if given.has('l') {
                format!("EOF on {shorter} after byte {}", bytes.len())
            } else {
                format!("EOF on {shorter} after byte {}, {line}", bytes.len())
            };
            call.complain(message);
        }
    }
    1
}

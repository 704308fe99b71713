//! What bashkit reads differently than bash, said in words that it reads the same.

use bashkit::parser::{Command, CompoundCommand, ParameterOp, WordPart};

use super::stages::PLAIN;

/// How many words bashkit makes of a range at most.
const LONGEST_RANGE: i64 = 10_000;

/// What makes the words of a range like `{1..100000}`, if it is so long that bashkit leaves it as it
/// is.
pub(super) fn long_range(word: &str) -> Option<String> {
    let (before, rest) = word.split_once('{')?;
    let (inside, after) = rest.split_once('}')?;
    let is_plain = |text: &str| {
        text.chars().all(|letter| letter.is_alphanumeric() || "_./:=@+-".contains(letter))
    };
    if !is_plain(before) || !is_plain(after) {
        return None;
    }
    let ends: Vec<&str> = inside.split("..").collect();
    let (first, last, step) = match ends.as_slice() {
        [first, last] => (*first, *last, "1"),
        [first, last, step] => (*first, *last, *step),
        _ => return None,
    };
    // Leading zeros mean a width.
    let padded = |text: &str| text.trim_start_matches('-').starts_with('0') && text.len() > 1;
    let width = if padded(first) || padded(last) { first.len().max(last.len()) } else { 0 };
    let (first, last): (i64, i64) = (first.parse().ok()?, last.parse().ok()?);
    let step = step.parse::<i64>().ok()?.checked_abs()?.max(1);
    if last.checked_sub(first)?.checked_abs()? / step < LONGEST_RANGE {
        return None;
    }
    let step = if last < first { -step } else { step };
    let format = match (width, before, after) {
        (0, "", "") => String::new(),
        (0, ..) => format!("-f '{before}%.0f{after}' "),
        _ => format!("-f '{before}%0{width}.0f{after}' "),
    };
    Some(format!("$({PLAIN}seq {format}{first} {step} {last})"))
}

/// Where a word of plain text stands by itself, outside of quotes.
pub(super) fn find_word(text: &str, word: &str) -> Option<usize> {
    let mut quote = None;
    let mut begins = true;
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        if quote.is_none() && begins && text[at..].starts_with(word) {
            let next = text[at + word.len()..].chars().next();
            if next.is_none_or(|next| next.is_whitespace() || ";|&)<>".contains(next)) {
                return Some(at);
            }
        }
        begins = letter.is_whitespace();
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None | Some('"'), '\\') => {
                letters.next();
            }
            (None, '\'' | '"') => quote = Some(letter),
            _ => {}
        }
    }
    None
}

/// Where `wanted` stands in `text`, but not within these quotes.
fn unquoted<'a>(
    text: &'a str,
    wanted: &'a str,
    quotes: &'a [char],
) -> impl Iterator<Item = usize> + 'a {
    let mut quote = None;
    let mut letters = text.char_indices();
    std::iter::from_fn(move || {
        loop {
            let (at, letter) = letters.next()?;
            let is_hidden = quote.is_some_and(|quote| quotes.contains(&quote));
            match (quote, letter) {
                (Some(open), letter) if letter == open => quote = None,
                (None, '\'' | '"') => quote = Some(letter),
                (None | Some('"'), '\\') => {
                    letters.next();
                }
                _ => {}
            }
            if !is_hidden && text[at..].starts_with(wanted) {
                return Some(at);
            }
        }
    })
}

/// A piece of text to put into another one's place: where, how long it is, and what to put there.
pub(super) type Change = (usize, usize, String);

/// The replacement of `${v/pattern/replacement}` as bashkit takes it: `&` is what was found, and two
/// backslashes are one.
pub(super) fn replacement(part: &WordPart, text: &str) -> Option<Change> {
    let WordPart::ParameterExpansion { operator, .. } = part else { return None };
    let (ParameterOp::ReplaceFirst { pattern, replacement }
    | ParameterOp::ReplaceAll { pattern, replacement }) = operator
    else {
        return None;
    };
    if replacement.contains(['\'', '"', '$', '`']) {
        return None;
    }
    // Where it is as it was written, bashkit has read none of its backslashes.
    let once = format!("/{pattern}/{replacement}}}");
    let twice = format!("/{pattern}/{}}}", replacement.replace('\\', "\\\\"));
    let find = |written: &str| unquoted(text, written, &['\'']).next();
    let (at, written) = match (find(&once), find(&twice)) {
        (Some(at), other) if other.is_none_or(|other| at <= other) => (at, once),
        (_, Some(at)) => (at, twice),
        _ => return None,
    };
    let before = pattern.len() + 2;
    let written = &written[before..written.len() - 1];
    // What another pattern finds is known too late.
    let is_plain = !pattern.is_empty()
        && pattern.chars().all(|letter| letter.is_alphanumeric() || " _.,:;=@+-".contains(letter));
    let mut changed = String::new();
    let mut letters = written.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '&' if is_plain => changed.push_str(pattern),
            '\\' => match letters.next() {
                Some('\\') => changed.push_str("\\\\\\\\"),
                next => {
                    changed.push('\\');
                    changed.extend(next);
                }
            },
            letter => changed.push(letter),
        }
    }
    (changed != written).then(|| (at + before, written.len(), changed))
}

/// `(( $(…) … ))` as arithmetic that bashkit gets right: as a command, it reads quotes within the
/// substitution as no quotes. `text` begins where the command does, or before; what is `taken` is another
/// command that reads the same.
pub(super) fn arithmetic(
    command: &Command,
    text: &str,
    taken: impl Fn(usize) -> bool,
) -> Option<Change> {
    let Command::Compound(CompoundCommand::Arithmetic(inside), _) = command else { return None };
    if !inside.contains("$(") {
        return None;
    }
    let written = format!("(({inside}))");
    let mut found = unquoted(text, &written, &['\'', '"']);
    let at = found.find(|at| !text[..*at].ends_with('$') && !taken(*at))?;
    Some((at, written.len(), format!("[ $(({inside})) -ne 0 ]")))
}

/// Whether a command reads the script that it runs from its standard input.
pub(super) fn runs_input(name: &str, first: Option<&str>) -> bool {
    matches!(
        (name, first),
        ("source" | ".", Some("/dev/stdin" | "/dev/fd/0")) | ("bash" | "sh", Some("-s"))
    )
}

//! What is compared with what: files, a file with a directory, and directories.

use std::collections::BTreeSet;

use super::{Request, Style, Text, compare_texts, joined};
use crate::{
    commands::whole::{buffered::Call, timestamp},
    filesystem::Kind,
};

/// The exit code if files differ.
const DIFFER: u8 = 1;

/// The exit code if something cannot be read.
const TROUBLE: u8 = 2;

/// Compares two names from the command line.
pub(super) fn compare(call: &mut Call<'_>, request: &Request, old: &str, new: &str) -> u8 {
    match (kind(call, old), kind(call, new)) {
        (Some(Kind::Directory), Some(Kind::Directory)) => directories(call, request, old, new),
        (Some(Kind::Directory), Some(_)) if new != "-" => {
            let old = joined(old, base(new));
            files(call, request, &old, new, false)
        }
        (Some(_), Some(Kind::Directory)) if old != "-" => {
            let new = joined(new, base(old));
            files(call, request, old, &new, false)
        }
        _ => files(call, request, old, new, false),
    }
}

fn base(name: &str) -> &str {
    name.trim_end_matches('/').rsplit('/').next().unwrap_or(name)
}

fn kind(call: &Call<'_>, name: &str) -> Option<Kind> {
    if name == "-" {
        return Some(Kind::File);
    }
    call.facts(name).ok().map(|facts| facts.kind)
}

fn directories(call: &mut Call<'_>, request: &Request, old: &str, new: &str) -> u8 {
    let mut code = 0;
    let old_names = names(call, request, old, &mut code);
    let new_names = names(call, request, new, &mut code);
    for name in old_names.union(&new_names) {
        let (one, other) = (joined(old, name), joined(new, name));
        let either = match (old_names.contains(name), new_names.contains(name)) {
            (true, true) => pair(call, request, &one, &other),
            (in_old, _) => {
                alone(call, request, (old, new), name, if in_old { Side::Old } else { Side::New })
            }
        };
        code = code.max(either);
    }
    code
}

fn names(
    call: &mut Call<'_>,
    request: &Request,
    directory: &str,
    code: &mut u8,
) -> BTreeSet<String> {
    let path = call.path(directory);
    let Ok(entries) = call.world.list(&path) else {
        // With -N, a missing directory is an empty one.
        if call.world.facts(&path).is_ok() {
            call.complain(format_args!("{directory}: Permission denied"));
            *code = TROUBLE;
        }
        return BTreeSet::new();
    };
    let patterns: Vec<_> = request
        .given
        .options
        .iter()
        .filter(|(option, _)| *option == 'x')
        .filter_map(|(_, pattern)| pattern.as_deref())
        .collect();
    entries
        .into_iter()
        .map(|entry| entry.name)
        .filter(|name| !patterns.iter().any(|pattern| matches_pattern(pattern, name)))
        .collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Old,
    New,
}

/// Something that only one of the directories has.
fn alone(
    call: &mut Call<'_>,
    request: &Request,
    (old, new): (&str, &str),
    name: &str,
    side: Side,
) -> u8 {
    let given = &request.given;
    let shown = given.has('N') || (given.has('P') && side == Side::New);
    let here = if side == Side::Old { old } else { new };
    if !shown {
        call.say(format_args!("Only in {here}: {name}"));
        return DIFFER;
    }
    let (one, other) = (joined(old, name), joined(new, name));
    if kind(call, &joined(here, name)) == Some(Kind::Directory) {
        if given.has('r') {
            return directories(call, request, &one, &other);
        }
        call.say(format_args!("Common subdirectories: {one} and {other}"));
        return 0;
    }
    files(call, request, &one, &other, true)
}

/// Something that both directories have.
fn pair(call: &mut Call<'_>, request: &Request, old: &str, new: &str) -> u8 {
    match (kind(call, old), kind(call, new)) {
        (Some(Kind::Directory), Some(Kind::Directory)) if request.given.has('r') => {
            directories(call, request, old, new)
        }
        (Some(Kind::Directory), Some(Kind::Directory)) => {
            call.say(format_args!("Common subdirectories: {old} and {new}"));
            0
        }
        (Some(Kind::File), Some(Kind::File)) | (None, _) | (_, None) => {
            files(call, request, old, new, true)
        }
        (Some(one), Some(other)) => {
            let (one, other) = (described(one), described(other));
            call.say(format_args!("File {old} is a {one} while file {new} is a {other}"));
            DIFFER
        }
    }
}

fn described(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "regular file",
        Kind::Directory => "directory",
        Kind::Link => "symbolic link",
        Kind::Device => "character special file",
    }
}

fn files(
    call: &mut Call<'_>,
    request: &Request,
    old: &str,
    new: &str,
    within_directories: bool,
) -> u8 {
    let Some(old) = text(call, request, old, 0) else { return TROUBLE };
    let Some(new) = text(call, request, new, 1) else { return TROUBLE };
    let before = call.output.len();
    let differ = compare_texts(call, request, &old, &new);
    let written = call.output.split_off(before);
    // What belongs to which files is said where the output does not say it by itself.
    let said = written.starts_with(b"Files ") || written.starts_with(b"Binary files ");
    if within_directories && !written.is_empty() && !said && request.style != Style::Brief {
        let line = command_line(call, &old.name, &new.name);
        call.say(line);
    }
    call.output.extend(written);
    if differ { DIFFER } else { 0 }
}

fn command_line(call: &Call<'_>, old: &str, new: &str) -> String {
    let mut line = "diff".to_owned();
    let mut value_follows = false;
    for argument in call.arguments {
        let is_option = argument.starts_with('-') && argument.len() > 1;
        if is_option || value_follows {
            line.push(' ');
            line.push_str(&quoted(argument));
        }
        let takes_value = ["-x", "-X", "-U", "-C", "-W", "-I", "-L", "--exclude", "--label"];
        value_follows = takes_value.contains(&argument.as_str());
    }
    format!("{line} {} {}", quoted(old), quoted(new))
}

/// As GNU programs quote for a shell: only what needs it.
fn quoted(word: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || "-_./+,:@%^".contains(char);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Reads a file; complains and returns nothing if that fails.
fn text(call: &mut Call<'_>, request: &Request, name: &str, which: usize) -> Option<Text> {
    let labels = request.given.options.iter().filter(|(option, _)| *option == 'L');
    let label = labels.filter_map(|(_, label)| label.clone()).nth(which);
    let modified = call.facts(name).ok().map(|facts| facts.modified);
    match call.read(name) {
        Ok(bytes) => {
            let label = label.unwrap_or_else(|| {
                let when = modified.unwrap_or_else(std::time::SystemTime::now);
                format!("{name}\t{}", timestamp::full(when, call.environment))
            });
            Some(Text { name: name.to_owned(), label, bytes })
        }
        Err(_) if modified.is_none() && request.given.has('N') => {
            let when = timestamp::full(std::time::SystemTime::UNIX_EPOCH, call.environment);
            let label = label.unwrap_or_else(|| format!("{name}\t{when}"));
            Some(Text { name: name.to_owned(), label, bytes: Vec::new() })
        }
        Err(reason) => {
            call.complain(format_args!("{name}: {reason}"));
            None
        }
    }
}

/// Whether a name matches a pattern with `*`, `?` and `[…]`.
pub(crate) fn matches_pattern(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<_>, Vec<_>) = (pattern.chars().collect(), name.chars().collect());
    matches_from(&pattern, &name)
}

fn matches_from(pattern: &[char], name: &[char]) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return name.is_empty() };
    match first {
        '*' => (0..=name.len()).any(|skipped| matches_from(rest, &name[skipped..])),
        '?' => !name.is_empty() && matches_from(rest, &name[1..]),
        '[' => {
            let end = rest.iter().skip(1).position(|char| *char == ']').map(|at| at + 1);
            let (Some(end), Some(char)) = (end, name.first()) else { return false };
            let (negated, set) = match rest[..end].split_first() {
                Some(('!' | '^', set)) => (true, set),
                _ => (false, &rest[..end]),
            };
            let within = set.contains(char)
                || set
                    .windows(3)
                    .any(|range| range[1] == '-' && (range[0]..=range[2]).contains(char));
            within != negated && matches_from(&rest[end + 1..], &name[1..])
        }
        '\\' if !rest.is_empty() => {
            name.first() == Some(&rest[0]) && matches_from(&rest[1..], &name[1..])
        }
        plain => name.first() == Some(plain) && matches_from(rest, &name[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_those_of_a_shell() {
        for (pattern, name) in [("*.o", "a.o"), ("a?c", "abc"), ("[a-c]x", "bx"), ("[!a]", "b")] {
            assert!(matches_pattern(pattern, name), "{pattern} {name}");
        }
        assert!(!matches_pattern("*.o", "a.c"));
        assert!(!matches_pattern("[!a]", "a"));
    }
}

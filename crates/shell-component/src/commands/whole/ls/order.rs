//! The order of names.

use std::cmp::Ordering;

use super::Item;
use crate::{commands::whole::gnu_options::Given, filesystem::Kind};

pub(super) fn sort(given: &Given, items: &mut [Item]) {
    let key = key(given);
    if key != Key::None {
        items.sort_by(|one, other| {
            let order = match key {
                Key::Name | Key::None => Ordering::Equal,
                Key::Size => other.facts.size.cmp(&one.facts.size),
                Key::Time => other.facts.modified.cmp(&one.facts.modified),
                Key::Version => by_version(&one.name, &other.name),
                Key::Extension => extension(&one.name).cmp(extension(&other.name)),
                Key::Width => one.name.chars().count().cmp(&other.name.chars().count()),
            };
            order.then_with(|| one.name.cmp(&other.name))
        });
    }
    if given.has('r') {
        items.reverse();
    }
    if given.has('/') {
        let is_directory = |item: &Item| {
            item.facts.kind == Kind::Directory
                || item.target_facts.is_some_and(|facts| facts.kind == Kind::Directory)
        };
        items.sort_by_key(|item| !is_directory(item));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    None,
    Name,
    Size,
    Time,
    Version,
    Extension,
    Width,
}

fn key(given: &Given) -> Key {
    let mut key = Key::Name;
    for (option, value) in &given.options {
        key = match (option, value.as_deref()) {
            ('S', _) | ('(', Some("size")) => Key::Size,
            ('t', _) | ('(', Some("time")) => Key::Time,
            ('v', _) | ('(', Some("version")) => Key::Version,
            ('X', _) | ('(', Some("extension")) => Key::Extension,
            ('U' | 'f', _) | ('(', Some("none")) => Key::None,
            ('(', Some("width")) => Key::Width,
            ('(', Some("name")) => Key::Name,
            _ => key,
        };
    }
    key
}

fn extension(name: &str) -> &str {
    name.rfind('.').map_or("", |at| &name[at..])
}

/// Numbers within names by their value.
pub(super) fn by_version(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    loop {
        let text = |bytes: &[u8]| bytes.iter().take_while(|byte| !byte.is_ascii_digit()).count();
        let (first, second) = (text(one), text(other));
        let order = letters(&one[..first], &other[..second]);
        if order != Ordering::Equal {
            return order;
        }
        (one, other) = (&one[first..], &other[second..]);
        let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (first, second) = (digits(one), digits(other));
        let value = |bytes: &[u8]| {
            let zeros = bytes.iter().take_while(|byte| **byte == b'0').count();
            bytes[zeros..].to_vec()
        };
        let (left, right) = (value(&one[..first]), value(&other[..second]));
        let order = left.len().cmp(&right.len()).then_with(|| left.cmp(&right));
        if order != Ordering::Equal || (first == 0 && second == 0) {
            return order;
        }
        (one, other) = (&one[first..], &other[second..]);
    }
}

/// `~` comes before the end, and letters before everything else.
fn letters(one: &[u8], other: &[u8]) -> Ordering {
    let rank = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    (0..one.len().max(other.len()))
        .map(|at| rank(one.get(at)).cmp(&rank(other.get(at))))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        for (one, other) in
            [("file9", "file10"), ("a1.2", "a1.10"), ("1.0~rc1", "1.0"), ("a", "a1")]
        {
            assert_eq!(by_version(one, other), Ordering::Less, "{one} {other}");
        }
    }
}

//! `echo`. bashkit has one too; what this one writes comes in order with what others complain.

use std::io;

use crate::command::{Command, Invocation, Pending};

/// Writes its arguments.
#[derive(Debug)]
pub(super) struct Echo;

impl Command for Echo {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let (mut newline, mut escapes) = (true, false);
            let mut words = call.arguments;
            while let [first, rest @ ..] = words
                && let Some(letters) = first.strip_prefix('-').filter(|letters| !letters.is_empty())
                && letters.chars().all(|letter| "neE".contains(letter))
            {
                for letter in letters.chars() {
                    match letter {
                        'n' => newline = false,
                        letter => escapes = letter == 'e',
                    }
                }
                words = rest;
            }
            let text = words.join(" ");
            let mut bytes = Vec::new();
            if !escapes {
                bytes.extend_from_slice(text.as_bytes());
            } else if !expand(&text, &mut bytes) {
                newline = false;
            }
            if newline {
                bytes.push(b'\n');
            }
            call.output.write(&bytes).await?;
            Ok(0)
        })
    }
}

/// Expands escapes; whether the end was not cut off by `\c`.
fn expand(text: &str, out: &mut Vec<u8>) -> bool {
    let mut letters = text.chars().peekable();
    let number = |letters: &mut std::iter::Peekable<std::str::Chars<'_>>, radix, most| {
        let mut value = None;
        for _ in 0..most {
            let Some(digit) = letters.peek().and_then(|letter| letter.to_digit(radix)) else {
                break;
            };
            letters.next();
            value = Some(value.unwrap_or(0u32) * radix + digit);
        }
        value
    };
    let mut buffer = [0; 4];
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes());
            continue;
        }
        let byte = |value: u32| (value & 0xff) as u8;
        match letters.next() {
            None => out.push(b'\\'),
            Some('a') => out.push(7),
            Some('b') => out.push(8),
            Some('c') => return false,
            Some('e' | 'E') => out.push(27),
            Some('f') => out.push(12),
            Some('n') => out.push(b'\n'),
            Some('r') => out.push(b'\r'),
            Some('t') => out.push(b'\t'),
            Some('v') => out.push(11),
            Some('\\') => out.push(b'\\'),
            Some('0') => out.push(byte(number(&mut letters, 8, 3).unwrap_or(0))),
            Some('x') => match number(&mut letters, 16, 2) {
                Some(value) => out.push(byte(value)),
                None => out.extend_from_slice(b"\\x"),
            },
            Some(kind @ ('u' | 'U')) => {
                let value = number(&mut letters, 16, if kind == 'u' { 4 } else { 8 });
                match value.map(char::from_u32) {
                    Some(Some(letter)) => {
                        out.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes());
                    }
                    Some(None) => {}
                    None => out.extend_from_slice(&[b'\\', kind as u8]),
                }
            }
            Some(other) => {
                out.push(b'\\');
                out.extend_from_slice(other.encode_utf8(&mut buffer).as_bytes());
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_bashs() {
        for (text, wanted, whole) in [
            (r"a\tb\n", "a\tb\n", true),
            (r"\x41\0102\u00e4", "ABä", true),
            (r"a\cb", "a", false),
            (r"\q\\", "\\q\\", true),
            ("\\", "\\", true),
        ] {
            let mut bytes = Vec::new();
            assert_eq!(expand(text, &mut bytes), whole);
            assert_eq!(String::from_utf8(bytes).unwrap(), wanted);
        }
    }
}

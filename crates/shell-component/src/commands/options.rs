//! Command lines as GNU programs read them.

use std::{io, slice};

use crate::command::Invocation;

/// Whether an option takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// Never.
    None,
    /// Always.
    Required,
    /// Only as `--name=value`.
    Optional,
}

/// The options of a command: the letter each is known by, its long name, and its value. A letter that
/// is no ASCII letter or digit has no short form.
pub(super) type Options = [(char, &'static str, Value)];

/// What stands on a command line, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Argument<'a> {
    /// An option, by its letter.
    Option(char, Option<&'a str>),
    /// An operand.
    Operand(&'a str),
}

/// `--help` and `--version`, which every command has.
const HELP: char = '\u{1}';
const VERSION: char = '\u{2}';

/// Reads a command line. The error is what to say, without the command's name.
pub(super) fn parse<'a>(
    options: &Options,
    arguments: &'a [String],
) -> Result<Vec<Argument<'a>>, String> {
    let mut parsed = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            parsed.extend(rest.map(|operand| Argument::Operand(operand)));
            break;
        }
        if let Some(long) = argument.strip_prefix("--") {
            parsed.push(long_option(options, long, &mut rest)?);
        } else if argument.len() > 1 && argument.starts_with('-') {
            short_options(options, &argument[1..], &mut rest, &mut parsed)?;
        } else {
            parsed.push(Argument::Operand(argument));
        }
    }
    Ok(parsed)
}

fn long_option<'a>(
    options: &Options,
    long: &'a str,
    rest: &mut slice::Iter<'a, String>,
) -> Result<Argument<'a>, String> {
    let (name, value) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (long, None),
    };
    let known = options
        .iter()
        .copied()
        .chain([(HELP, "help", Value::None), (VERSION, "version", Value::None)]);
    let mut candidates: Vec<_> = known.filter(|(_, known, _)| known.starts_with(name)).collect();
    if let Some(exact) = candidates.iter().position(|(_, known, _)| *known == name) {
        candidates = vec![candidates[exact]];
    }
    // Several names of one option are no ambiguity.
    candidates.dedup_by_key(|(letter, _, _)| *letter);
    let &[(letter, full, takes)] = candidates.as_slice() else {
        return Err(if candidates.is_empty() || name.is_empty() {
            format!("unrecognized option '--{name}'")
        } else {
            let names: Vec<_> =
                candidates.iter().map(|(_, name, _)| format!(" '--{name}'")).collect();
            format!("option '--{name}' is ambiguous; possibilities:{}", names.concat())
        });
    };
    let value = match (takes, value) {
        (Value::None, Some(_)) => {
            return Err(format!("option '--{full}' doesn't allow an argument"));
        }
        (Value::Required, None) => Some(
            rest.next().ok_or_else(|| format!("option '--{full}' requires an argument"))?.as_str(),
        ),
        (_, value) => value,
    };
    Ok(Argument::Option(letter, value))
}

fn short_options<'a>(
    options: &Options,
    letters: &'a str,
    rest: &mut slice::Iter<'a, String>,
    parsed: &mut Vec<Argument<'a>>,
) -> Result<(), String> {
    for (position, letter) in letters.char_indices() {
        let Some((_, _, takes)) =
            options.iter().find(|(known, _, _)| *known == letter && letter.is_ascii_alphanumeric())
        else {
            return Err(format!("invalid option -- '{letter}'"));
        };
        if *takes != Value::Required {
            parsed.push(Argument::Option(letter, None));
            continue;
        }
        let attached = &letters[position + letter.len_utf8()..];
        let value = if attached.is_empty() {
            rest.next()
                .ok_or_else(|| format!("option requires an argument -- '{letter}'"))?
                .as_str()
        } else {
            attached
        };
        parsed.push(Argument::Option(letter, Some(value)));
        break;
    }
    Ok(())
}

/// What a command line was good for.
pub(super) enum Line<'a> {
    /// To run.
    Run(Vec<Argument<'a>>),
    /// For nothing else: this is the code.
    Done(u8),
}

impl<'a> Invocation<'a> {
    /// Reads the command line. Complains where it is wrong, and then ends with `failure`.
    pub(super) async fn line(&mut self, options: &Options, failure: u8) -> io::Result<Line<'a>> {
        self.line_of(options, self.arguments, failure).await
    }

    /// The same for other `arguments` than those it was called with.
    pub(super) async fn line_of<'b>(
        &mut self,
        options: &Options,
        arguments: &'b [String],
        failure: u8,
    ) -> io::Result<Line<'b>> {
        match parse(options, arguments) {
            Ok(arguments) => {
                let text = if arguments.contains(&Argument::Option(HELP, None)) {
                    usage(self.name, options)
                } else if arguments.contains(&Argument::Option(VERSION, None)) {
                    format!("{} (yoi shell)\n", self.name)
                } else {
                    return Ok(Line::Run(arguments));
                };
                self.output.write(text.as_bytes()).await?;
                Ok(Line::Done(0))
            }
            Err(message) => self.misused(&message, failure).await.map(Line::Done),
        }
    }

    /// Complains about the command line, and ends with `failure`.
    pub(super) async fn misused(&mut self, message: &str, failure: u8) -> io::Result<u8> {
        let hint = format!("{message}\nTry '{} --help' for more information.", self.name);
        self.complain(hint).await?;
        Ok(failure)
    }
}

fn usage(name: &str, options: &Options) -> String {
    let mut text = format!("Usage: {name} [OPTION]... [ARGUMENT]...\n\n");
    for (letter, long, value) in options {
        let short =
            if letter.is_ascii_alphanumeric() { format!("-{letter}") } else { "  ".to_owned() };
        let long = match value {
            Value::None => format!("--{long}"),
            Value::Required => format!("--{long}=VALUE"),
            Value::Optional => format!("--{long}[=VALUE]"),
        };
        text.push_str(&format!("  {short}  {long}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &Options = &[
        ('n', "lines", Value::Required),
        ('q', "quiet", Value::None),
        ('q', "silent", Value::None),
        ('\u{3}', "color", Value::Optional),
    ];

    fn arguments(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn options_stand_anywhere_until_two_dashes() {
        let line = arguments("a -qn5 b -n 6 --lines=7 --li 8 --color -- -q");
        let parsed = parse(OPTIONS, &line).unwrap();
        let n = |value| Argument::Option('n', Some(value));
        assert_eq!(
            parsed,
            [
                Argument::Operand("a"),
                Argument::Option('q', None),
                n("5"),
                Argument::Operand("b"),
                n("6"),
                n("7"),
                n("8"),
                Argument::Option('\u{3}', None),
                Argument::Operand("-q"),
            ]
        );
    }

    #[test]
    fn complains_in_the_words_of_getopt() {
        for (line, words) in [
            ("-x", "invalid option -- 'x'"),
            ("-n", "option requires an argument -- 'n'"),
            ("--lines", "option '--lines' requires an argument"),
            ("--quiet=1", "option '--quiet' doesn't allow an argument"),
            ("--nope", "unrecognized option '--nope'"),
        ] {
            assert_eq!(parse(OPTIONS, &arguments(line)), Err(words.to_owned()));
        }
    }
}

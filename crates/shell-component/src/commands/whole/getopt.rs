//! `getopt`: takes the arguments of a script apart.

use super::{
    buffered::{Buffered, Call, never},
    gnu_options::Known,
};

/// `getopt`.
pub(crate) const GETOPT: Buffered = Buffered { wants_input: never, run };

/// The exit code for arguments that the script does not know.
const UNKNOWN: u8 = 1;

/// The exit code for arguments of its own that it does not know.
const USAGE: u8 = 2;

/// The exit code of `-T`, by which scripts tell this getopt from older ones.
const ENHANCED: u8 = 4;

struct Wanted {
    /// As for `getopts`.
    short: String,
    /// Names, with `:` or `::` behind those that take a value.
    long: Vec<String>,
    name: String,
    quiet: bool,
    alternative: bool,
}

fn run(call: &mut Call<'_>) -> u8 {
    const KNOWN: Known = Known {
        short: "ao:l:n:qQs:TuhV",
        long: &[
            ("alternative", 'a'),
            ("options=", 'o'),
            ("longoptions=", 'l'),
            ("name=", 'n'),
            ("quiet", 'q'),
            ("quiet-output", 'Q'),
            ("shell=", 's'),
            ("test", 'T'),
            ("unquoted", 'u'),
            ("version", 'V'),
        ],
    };
    // Its own options end where the first operand stands.
    let own = own_arguments(call.arguments);
    let (own, rest) = call.arguments.split_at(own);
    let given = match KNOWN.parse(own) {
        Ok(given) => given,
        Err(message) => {
            call.complain(message);
            return USAGE;
        }
    };
    if given.has('T') {
        return ENHANCED;
    }
    let rest = rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest);
    let (short, rest) = match (given.value('o'), rest.split_first()) {
        (Some(short), _) => (short.to_owned(), rest),
        (None, Some((short, rest))) => (short.clone(), rest),
        (None, None) => {
            call.complain("missing optstring argument");
            return USAGE;
        }
    };
    let long = given.options.iter().filter(|(option, _)| *option == 'l');
    let long = long.filter_map(|(_, names)| names.as_deref());
    let wanted = Wanted {
        short: short.trim_start_matches(['+', '-']).to_owned(),
        long: long.flat_map(|names| names.split([',', ' ', '\t'])).map(str::to_owned).collect(),
        name: given.value('n').unwrap_or("getopt").to_owned(),
        quiet: given.has('q'),
        alternative: given.has('a'),
    };
    let stops = short.starts_with('+') || call.environment.contains_key("POSIXLY_CORRECT");
    let (words, code) = wanted.words(call, rest, stops);
    if !given.has('Q') {
        let mut line = String::new();
        for word in words {
            let plain = given.has('u') || matches!(&word, Word::Option(_));
            let (Word::Option(text) | Word::Value(text)) = word;
            line.push(' ');
            line.push_str(&if plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) });
        }
        call.say(line);
    }
    code
}

fn own_arguments(arguments: &[String]) -> usize {
    let mut at = 0;
    while let Some(argument) = arguments.get(at) {
        if argument == "--" || !argument.starts_with('-') {
            break;
        }
        let takes_next = match argument.strip_prefix("--") {
            Some(long) => {
                !long.contains('=')
                    && ["options", "longoptions", "name", "shell"]
                        .iter()
                        .any(|name| name.starts_with(long))
            }
            None => argument.ends_with(['o', 'l', 'n', 's']),
        };
        at += 1 + usize::from(takes_next);
    }
    at.min(arguments.len())
}

enum Word {
    Option(String),
    Value(String),
}

impl Wanted {
    fn words(&self, call: &mut Call<'_>, arguments: &[String], stops: bool) -> (Vec<Word>, u8) {
        let mut words = Vec::new();
        let mut operands = Vec::new();
        let mut code = 0;
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--" || (stops && !argument.starts_with('-')) {
                if argument != "--" {
                    operands.push(argument.clone());
                }
                operands.extend(rest.by_ref().cloned());
                break;
            }
            let long = argument.strip_prefix("--").or_else(|| {
                argument.strip_prefix('-').filter(|it| self.alternative && it.len() > 1)
            });
            let result = if let Some(long) = long {
                self.long(long, &mut rest, &mut words)
            } else if let Some(letters) = argument.strip_prefix('-').filter(|it| !it.is_empty()) {
                self.letters(letters, &mut rest, &mut words)
            } else {
                operands.push(argument.clone());
                Ok(())
            };
            if let Err(message) = result {
                code = UNKNOWN;
                if !self.quiet {
                    let text = format!("{}: {message}\n", self.name);
                    call.errors.extend_from_slice(text.as_bytes());
                }
            }
        }
        words.push(Word::Option("--".to_owned()));
        words.extend(operands.into_iter().map(Word::Value));
        (words, code)
    }

    fn letters<'a>(
        &self,
        letters: &str,
        rest: &mut impl Iterator<Item = &'a String>,
        words: &mut Vec<Word>,
    ) -> Result<(), String> {
        for (at, letter) in letters.char_indices() {
            let known = self.short.find(letter).filter(|_| letter != ':');
            let Some(known) = known else { return Err(format!("invalid option -- '{letter}'")) };
            words.push(Word::Option(format!("-{letter}")));
            let after = &self.short[known + letter.len_utf8()..];
            if !after.starts_with(':') {
                continue;
            }
            let attached = &letters[at + letter.len_utf8()..];
            if after.starts_with("::") || !attached.is_empty() {
                words.push(Word::Value(attached.to_owned()));
            } else if let Some(value) = rest.next() {
                words.push(Word::Value(value.clone()));
            } else {
                words.pop();
                return Err(format!("option requires an argument -- '{letter}'"));
            }
            return Ok(());
        }
        Ok(())
    }

    fn long<'a>(
        &self,
        argument: &str,
        rest: &mut impl Iterator<Item = &'a String>,
        words: &mut Vec<Word>,
    ) -> Result<(), String> {
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument, None),
        };
        let exact = self.long.iter().find(|known| known.trim_end_matches(':') == name);
        let mut beginning = self.long.iter().filter(|known| known.starts_with(name));
        let known = match (exact, beginning.next(), beginning.next()) {
            (Some(exact), ..) => exact,
            (None, Some(only), None) => only,
            (None, None, _) => return Err(format!("unrecognized option '--{name}'")),
            (None, Some(_), Some(_)) => return Err(format!("option '--{name}' is ambiguous")),
        };
        let bare = known.trim_end_matches(':');
        let takes = known.len() - bare.len();
        let value = match (takes, attached) {
            (0, Some(_)) => return Err(format!("option '--{bare}' doesn't allow an argument")),
            (0, None) => None,
            (1, None) => {
                let next = rest.next().cloned();
                Some(next.ok_or_else(|| format!("option '--{bare}' requires an argument"))?)
            }
            (_, attached) => Some(attached.unwrap_or_default()),
        };
        words.push(Word::Option(format!("--{bare}")));
        words.extend(value.map(Word::Value));
        Ok(())
    }
}

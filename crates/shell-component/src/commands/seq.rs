//! `seq`.

use std::io;

use super::options::{Line, Options, Value};
use crate::command::{Command, Invocation, Pending};

const OPTIONS: &Options = &[
    ('f', "format", Value::Required),
    ('s', "separator", Value::Required),
    ('w', "equal-width", Value::None),
];

/// Counts.
#[derive(Debug)]
pub(super) struct Seq;

#[derive(Debug)]
struct Count {
    first: f64,
    step: f64,
    last: f64,
    /// Digits behind the point.
    precision: usize,
    /// Of all three, without an exponent: then whole numbers are exact.
    whole: Option<(i64, i64, i64)>,
    width: usize,
}

impl Command for Seq {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            // A negative number is no option.
            let mut options = Vec::new();
            let mut numbers = Vec::new();
            let mut words = call.arguments.iter();
            while let Some(word) = words.next() {
                let rest = word.strip_prefix('-').unwrap_or("");
                let is_option = !numbers.is_empty() && !rest.is_empty() || !rest.is_empty();
                if is_option && !rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
                    options.push(word.clone());
                    if matches!(word.as_str(), "-s" | "-f" | "--separator" | "--format") {
                        options.extend(words.next().cloned());
                    } else if word == "--" {
                        numbers.extend(words.by_ref().map(String::as_str));
                    }
                } else {
                    numbers.push(word.as_str());
                }
            }
            let parsed = match call.line_of(OPTIONS, &options, 1).await? {
                Line::Run(parsed) => parsed,
                Line::Done(code) => return Ok(code),
            };
            let (mut format, mut separator, mut equal) = (None, "\n".to_owned(), false);
            for argument in &parsed {
                match argument {
                    super::options::Argument::Option('f', value) => {
                        format = value.map(str::to_owned)
                    }
                    super::options::Argument::Option('s', Some(value)) => {
                        separator = (*value).to_owned()
                    }
                    super::options::Argument::Option('w', _) => equal = true,
                    _ => {}
                }
            }
            let count = match count(&numbers, equal) {
                Ok(count) => count,
                Err(message) => return call.misused(&message, 1).await,
            };
            let format = match format.as_deref().map(Format::parse).transpose() {
                Ok(format) => format,
                Err(message) => {
                    call.complain(message).await?;
                    return Ok(1);
                }
            };
            run(&mut call, &count, format.as_ref(), &separator).await
        })
    }
}

async fn run(
    call: &mut Invocation<'_>,
    count: &Count,
    format: Option<&Format>,
    separator: &str,
) -> io::Result<u8> {
    let mut index: u64 = 0;
    let mut any = false;
    loop {
        let text = match (count.whole, format) {
            (Some((first, step, last)), None) => {
                let Some(value) = i64::try_from(index)
                    .ok()
                    .and_then(|index| step.checked_mul(index)?.checked_add(first))
                else {
                    break;
                };
                if (step > 0 && value > last) || (step < 0 && value < last) {
                    break;
                }
                let width = count.width;
                format!("{value:0width$}")
            }
            (_, format) => {
                #[expect(clippy::cast_precision_loss, reason = "so many are never written")]
                let value = count.first + index as f64 * count.step;
                // What is shown decides: 0.1 + 0.2 is not less than 0.3.
                let slack = count.step.abs() * 1e-9;
                if (count.step > 0.0 && value > count.last + slack)
                    || (count.step < 0.0 && value < count.last - slack)
                {
                    break;
                }
                let (width, precision) = (count.width, count.precision);
                match format {
                    Some(format) => format.show(value),
                    None => format!("{value:0width$.precision$}"),
                }
            }
        };
        if any {
            call.output.buffer().extend_from_slice(separator.as_bytes());
        }
        any = true;
        call.output.buffer().extend_from_slice(text.as_bytes());
        call.output.relieve().await?;
        index += 1;
    }
    if any {
        call.output.buffer().push(b'\n');
    }
    call.output.flush().await?;
    Ok(0)
}

fn count(numbers: &[&str], equal: bool) -> Result<Count, String> {
    let (first, step, last) = match numbers {
        [] => return Err("missing operand".to_owned()),
        [last] => ("1", "1", *last),
        [first, last] => (*first, "1", *last),
        [first, step, last] => (*first, *step, *last),
        [_, _, _, extra, ..] => return Err(format!("extra operand '{extra}'")),
    };
    let read = |text: &str| {
        let value: f64 = text
            .trim_start()
            .parse()
            .map_err(|_| format!("invalid floating point argument: '{text}'"))?;
        if value.is_nan() {
            return Err(format!("invalid 'not-a-number' argument: '{text}'"));
        }
        Ok(value)
    };
    let decimals = |text: &str| text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let precision = decimals(first).max(decimals(step));
    let values = (read(first)?, read(step)?, read(last)?);
    if values.1 == 0.0 {
        return Err(format!("invalid Zero increment value: '{step}'"));
    }
    let whole = match (first.parse(), step.parse(), last.parse()) {
        (Ok(first), Ok(step), Ok(last)) => Some((first, step, last)),
        _ => None,
    };
    let width = if equal {
        let shown = |value: f64| format!("{value:.precision$}").len();
        shown(values.0).max(shown(values.2))
    } else {
        0
    };
    Ok(Count { first: values.0, step: values.1, last: values.2, precision, whole, width })
}

/// A `printf` format with one `%f`, `%g` or `%e`.
#[derive(Debug)]
struct Format {
    before: String,
    after: String,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

impl Format {
    fn parse(text: &str) -> Result<Self, String> {
        let Some((before, rest)) =
            text.replace("%%", "\0").split_once('%').map(|(a, b)| (a.to_owned(), b.to_owned()))
        else {
            return Err(format!("format '{text}' has no % directive"));
        };
        let flags = rest.trim_start_matches(['0', '-', '+', ' ', '#', '\'']);
        let zero = rest[..rest.len() - flags.len()].contains('0');
        let end = flags.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(flags.len());
        let (size, tail) = flags.split_at(end);
        let letter = tail.chars().next().unwrap_or(' ');
        if !"fgeFGEaA".contains(letter) {
            return Err(format!("format '{text}' has unknown %{letter} directive"));
        }
        let (width, precision) = match size.split_once('.') {
            Some((width, precision)) => (width, Some(precision.parse().unwrap_or(0))),
            None => (size, None),
        };
        let restore = |text: &str| text.replace('\0', "%");
        Ok(Self {
            before: restore(&before),
            after: restore(&tail[letter.len_utf8()..]),
            zero,
            // Wider than this is a mistake, and would fill the memory.
            width: width.parse().unwrap_or(0).min(10_000),
            precision: precision.map(|precision: usize| precision.min(1_000)),
            letter,
        })
    }

    fn show(&self, value: f64) -> String {
        let number = match self.letter {
            'f' | 'F' => format!("{value:.*}", self.precision.unwrap_or(6)),
            'e' | 'E' => format!("{value:.*e}", self.precision.unwrap_or(6)),
            _ => format!("{value}"),
        };
        let width = self.width;
        let padded =
            if self.zero { format!("{number:0>width$}") } else { format!("{number:>width$}") };
        format!("{}{padded}{}", self.before, self.after)
    }
}

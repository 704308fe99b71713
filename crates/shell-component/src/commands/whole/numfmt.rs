//! `numfmt`: numbers with units, for people and back.

use super::{
    buffered::{Buffered, Call},
    gnu_options::{Given, Known},
};

/// `numfmt`.
pub(crate) const NUMFMT: Buffered = Buffered {
    wants_input: |arguments| KNOWN.parse(arguments).is_ok_and(|given| given.operands.is_empty()),
    run,
};

const KNOWN: Known = Known {
    short: "d:z",
    long: &[
        ("from=", 'f'),
        ("from-unit=", 'F'),
        ("to=", 't'),
        ("to-unit=", 'T'),
        ("delimiter=", 'd'),
        ("field=", 'k'),
        ("format=", '%'),
        ("grouping", 'g'),
        ("header[=]", 'h'),
        ("invalid=", 'i'),
        ("padding=", 'p'),
        ("round=", 'r'),
        ("suffix=", 's'),
        ("zero-terminated", 'z'),
        ("debug", '!'),
    ],
};

const INVALID: u8 = 2;

fn run(call: &mut Call<'_>) -> u8 {
    let given = match KNOWN.parse(call.arguments) {
        Ok(given) => given,
        Err(message) => {
            call.complain(message);
            return 1;
        }
    };
    let end = if given.has('z') { '\0' } else { '\n' };
    let lines: Vec<String> = if given.operands.is_empty() {
        let text = String::from_utf8_lossy(&call.input).into_owned();
        text.split_terminator(end).map(str::to_owned).collect()
    } else {
        given.operands.clone()
    };
    let header = match given.has('h') {
        true => given.value('h').and_then(|lines| lines.parse().ok()).unwrap_or(1),
        false => 0,
    };
    let mut code = 0;
    for (index, line) in lines.iter().enumerate() {
        let shown = if index < header { Ok(line.clone()) } else { converted_line(&given, line) };
        let shown = match shown {
            Ok(shown) => shown,
            Err(message) => {
                let policy = given.value('i').unwrap_or("abort");
                if policy != "ignore" {
                    call.complain(message);
                    code = if policy == "warn" { code } else { INVALID };
                }
                if policy == "abort" {
                    return INVALID;
                }
                line.clone()
            }
        };
        call.output.extend_from_slice(format!("{shown}{end}").as_bytes());
    }
    code
}

/// Whether a field, counted from 1, is among `1,3-5`.
fn is_wanted(fields: &str, field: usize) -> bool {
    fields.split(',').any(|range| match range.split_once('-') {
        Some((first, last)) => {
            field >= first.parse().unwrap_or(1) && field <= last.parse().unwrap_or(usize::MAX)
        }
        None => range.parse() == Ok(field),
    })
}

fn converted_line(given: &Given, line: &str) -> Result<String, String> {
    let fields = given.value('k').unwrap_or("1");
    if let Some(delimiter) = given.value('d') {
        let mut parts = Vec::new();
        for (index, field) in line.split(delimiter).enumerate() {
            let wanted = is_wanted(fields, index + 1);
            parts.push(if wanted { converted(given, field, 0)? } else { field.to_owned() });
        }
        return Ok(parts.join(delimiter));
    }
    let mut shown = String::new();
    let mut rest = line;
    let mut field = 0;
    while !rest.is_empty() {
        let spaces = rest.len() - rest.trim_start().len();
        let text = &rest[spaces..];
        let length = text.find(char::is_whitespace).unwrap_or(text.len());
        if length == 0 {
            shown.push_str(rest);
            break;
        }
        field += 1;
        if is_wanted(fields, field) {
            // Numbers keep the width that they had.
            let width = if spaces > 0 { spaces - usize::from(field > 1) + length } else { 0 };
            if field > 1 {
                shown.push(' ');
            }
            shown.push_str(&converted(given, &text[..length], width)?);
        } else {
            shown.push_str(&rest[..spaces + length]);
        }
        rest = &text[length..];
    }
    Ok(shown)
}

fn converted(given: &Given, text: &str, width: usize) -> Result<String, String> {
    let value = parsed(given, text)?;
    let unit =
        |option| given.value(option).and_then(|unit| unit.parse::<f64>().ok()).unwrap_or(1.0);
    let value = value * unit('F') / unit('T');
    let (flags, digits) = format_of(given)?;
    let suffix = given.value('s').unwrap_or_default();
    let number = shown(given, value, digits);
    let number = format!("{}{number}{suffix}{}", flags.before, flags.after);
    let padding = given.value('p').and_then(|padding| padding.parse::<isize>().ok());
    Ok(match padding.or(flags.width) {
        Some(padding) if padding < 0 => format!("{number:<width$}", width = padding.unsigned_abs()),
        Some(padding) => format!("{number:>width$}", width = padding.unsigned_abs()),
        None => format!("{number:>width$}"),
    })
}

fn parsed(given: &Given, text: &str) -> Result<f64, String> {
    let from = given.value('f').unwrap_or("none");
    let text = given.value('s').and_then(|suffix| text.strip_suffix(suffix)).unwrap_or(text);
    let end = text.find(|char: char| !(char.is_ascii_digit() || "+-.".contains(char)));
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let invalid = || format!("invalid number: '{text}'");
    let value: f64 = digits.parse().map_err(|_| invalid())?;
    if unit.is_empty() {
        return Ok(value);
    }
    let letter = unit.chars().next().unwrap_or_default();
    let power = "KMGTPEZY"
        .find(letter.to_ascii_uppercase())
        .ok_or_else(|| format!("invalid suffix in input: '{text}'"))?;
    let power = i32::try_from(power + 1).unwrap_or(0);
    let base: f64 = match (from, &unit[1..]) {
        ("none", _) => {
            return Err(format!("rejecting suffix in input: '{text}' (consider using --from)"));
        }
        ("si", "") | ("auto", "") => 1000.0,
        ("iec", "") | ("auto" | "iec-i", "i") => 1024.0,
        ("iec-i", _) => {
            return Err(format!("missing 'i' suffix in input: '{text}' (e.g Ki/Mi/Gi)"));
        }
        _ => return Err(format!("invalid suffix in input '{text}': '{}'", &unit[1..])),
    };
    Ok(value * base.powi(power))
}

#[derive(Default)]
struct Flags {
    before: String,
    after: String,
    width: Option<isize>,
}

/// `%'-10.2f` taken apart, with the digits behind the point.
fn format_of(given: &Given) -> Result<(Flags, Option<usize>), String> {
    let Some(format) = given.value('%') else { return Ok((Flags::default(), None)) };
    let invalid = || format!("invalid format '{format}', directive must be %[0]['][-][N][.][N]f");
    let (before, rest) = format.split_once('%').ok_or_else(invalid)?;
    let (spec, after) = rest.split_once('f').ok_or_else(invalid)?;
    let spec = spec.trim_start_matches(['\'', '0']);
    let (width, digits) = match spec.split_once('.') {
        Some((width, digits)) => (width, Some(digits.parse().map_err(|_| invalid())?)),
        None => (spec, None),
    };
    let width = if width.is_empty() { None } else { Some(width.parse().map_err(|_| invalid())?) };
    Ok((Flags { before: before.to_owned(), after: after.to_owned(), width }, digits))
}

fn shown(given: &Given, value: f64, digits: Option<usize>) -> String {
    let to = given.value('t').unwrap_or("none");
    let rounded = |value: f64| match given.value('r').unwrap_or("from-zero") {
        "up" => value.ceil(),
        "down" => value.floor(),
        "towards-zero" => value.trunc(),
        "nearest" => value.round(),
        _ if value < 0.0 => value.floor(),
        _ => value.ceil(),
    };
    let at = |value: f64, digits: usize| {
        let power = 10_f64.powi(i32::try_from(digits).unwrap_or(0));
        // What stands behind so many digits comes of the binary form, and not of the number.
        let exact = (value * power * 1e6).round() / 1e6;
        rounded(exact) / power
    };
    if to == "none" {
        let digits = digits.unwrap_or(if value.fract() == 0.0 { 0 } else { 1 });
        return format!("{:.digits$}", at(value, digits));
    }
    let base: f64 = if to == "si" { 1000.0 } else { 1024.0 };
    let mut scaled = value;
    let mut power = 0;
    while scaled.abs() >= base && power < 8 {
        scaled /= base;
        power += 1;
    }
    let places = |scaled: f64| digits.unwrap_or(usize::from(power > 0 && scaled.abs() < 9.95));
    let mut shown = at(scaled, places(scaled));
    if digits.is_none() && power > 0 && scaled.abs() < 10.0 && shown.abs() >= 10.0 {
        shown = at(scaled, 0);
    }
    // Rounding may reach the next unit.
    if shown.abs() >= base && power < 8 {
        shown /= base;
        power += 1;
    }
    let places = digits.unwrap_or(usize::from(power > 0 && shown.abs() < 10.0));
    let unit = if power == 0 { "" } else { &"KMGTPEZY"[power - 1..power] };
    let binary = if to == "iec-i" && power > 0 { "i" } else { "" };
    format!("{shown:.places$}{unit}{binary}")
}

//! `date`: the time, or another one, as one wants it written.

pub(crate) mod format;
pub(crate) mod parse;
mod words;

use std::time::SystemTime;

use chrono::{DateTime, Utc};

use super::{
    buffered::{Buffered, Call},
    gnu_options::{Given, Known},
    timestamp::{self, Zone},
};
use crate::engine::reason;

/// `date`.
pub(crate) const DATE: Buffered = Buffered {
    wants_input: |arguments| {
        arguments.windows(2).any(|pair| pair[0] == "-f" && pair[1] == "-")
            || arguments.iter().any(|argument| argument == "-f-" || argument == "--file=-")
    },
    run,
};

const KNOWN: Known = Known {
    short: "d:f:I::Rr:s:u",
    long: &[
        ("date=", 'd'),
        ("file=", 'f'),
        ("iso-8601[=]", 'I'),
        ("rfc-email", 'R'),
        ("rfc-822", 'R'),
        ("rfc-2822", 'R'),
        ("rfc-3339=", '3'),
        ("reference=", 'r'),
        ("set=", 's'),
        ("utc", 'u'),
        ("universal", 'u'),
        ("debug", 'D'),
        ("resolution", 'S'),
        ("version", 'v'),
    ],
};

/// As the C locale has it.
const DEFAULT: &str = "%a %b %e %H:%M:%S %Z %Y";

fn run(call: &mut Call<'_>) -> u8 {
    match KNOWN.parse(call.arguments).and_then(|given| written(call, &given)) {
        Ok(code) => code,
        Err(message) => {
            call.complain(message);
            1
        }
    }
}

fn written(call: &mut Call<'_>, given: &Given) -> Result<u8, String> {
    if given.has('v') {
        call.say("date (GNU coreutils) 9.1");
        return Ok(0);
    }
    if given.has('s') {
        return Err("cannot set date: Operation not permitted".to_owned());
    }
    let zone = if given.has('u') { Zone::utc() } else { Zone::of(call.environment) };
    let format = wanted_format(given)?;
    let now = timestamp::of_file(SystemTime::now());
    if let Some(file) = given.value('f') {
        let text = call.read(file).map_err(|reason| format!("{file}: {reason}"))?;
        let mut code = 0;
        for line in String::from_utf8_lossy(&text).lines() {
            match parse::parse(line, now, &zone) {
                Some(time) => call.say(format::format(&format, &zone.at(time))),
                None => {
                    call.complain(format_args!("invalid date '{line}'"));
                    code = 1;
                }
            }
        }
        return Ok(code);
    }
    let time = wanted_time(call, given, now, &zone)?;
    call.say(format::format(&format, &zone.at(time)));
    Ok(0)
}

fn wanted_time(
    call: &Call<'_>,
    given: &Given,
    now: DateTime<Utc>,
    zone: &Zone,
) -> Result<DateTime<Utc>, String> {
    if let Some(text) = given.value('d') {
        return parse::parse(text, now, zone).ok_or_else(|| format!("invalid date '{text}'"));
    }
    if let Some(file) = given.value('r') {
        let facts = call.world.facts(&call.path(file));
        let facts = facts.map_err(|error| format!("{file}: {}", reason(&error)))?;
        return Ok(timestamp::of_file(facts.modified));
    }
    Ok(now)
}

fn wanted_format(given: &Given) -> Result<String, String> {
    if let Some(operand) = given.operands.first() {
        let Some(format) = operand.strip_prefix('+') else {
            return Err(format!("invalid date '{operand}'"));
        };
        if let Some(extra) = given.operands.get(1) {
            return Err(format!("extra operand '{extra}'"));
        }
        return Ok(format.to_owned());
    }
    let option = given.last(&['I', 'R', '3']);
    let value = option.and_then(|option| given.value(option));
    let format = match (option, value) {
        (Some('R'), _) => "%a, %d %b %Y %H:%M:%S %z",
        (Some('3'), Some("date")) | (Some('I'), None | Some("date")) => "%Y-%m-%d",
        (Some('3'), Some("seconds" | "second")) => "%Y-%m-%d %H:%M:%S%:z",
        (Some('3'), Some("ns")) => "%Y-%m-%d %H:%M:%S.%N%:z",
        (Some('I'), Some("hours" | "hour")) => "%Y-%m-%dT%H%:z",
        (Some('I'), Some("minutes" | "minute")) => "%Y-%m-%dT%H:%M%:z",
        (Some('I'), Some("seconds" | "second")) => "%Y-%m-%dT%H:%M:%S%:z",
        (Some('I'), Some("ns")) => "%Y-%m-%dT%H:%M:%S,%N%:z",
        (Some(_), Some(value)) => {
            return Err(format!("invalid argument '{value}' for '--iso-8601'"));
        }
        _ => DEFAULT,
    };
    Ok(format.to_owned())
}

//! Names and what is known about them, arranged.

use super::{Arrangement, Item, arrangement};
use crate::{
    commands::whole::{buffered::Call, gnu_options::Given, owner, timestamp},
    filesystem::{Facts, Kind},
};

/// A terminal that nobody asked about.
const WIDTH: usize = 80;

/// A block, as sizes of files are counted in.
const BLOCK: u64 = 1024;

/// How much of a disk is given to a file at once.
const ALLOCATED: u64 = 4096;

pub(super) fn write(call: &mut Call<'_>, given: &Given, items: &[Item], is_directory: bool) {
    let arrangement = arrangement(given);
    let blocks = |item: &Item| allocated(&item.facts);
    if is_directory && (arrangement == Arrangement::Long || given.has('s')) {
        let total = items.iter().map(blocks).sum();
        call.say(format_args!("total {}", block_count(given, total)));
    }
    if items.is_empty() {
        return;
    }
    if arrangement == Arrangement::Long {
        return long(call, given, items);
    }
    let names: Vec<_> = prefixes(given, items)
        .into_iter()
        .zip(items)
        .map(|(prefix, item)| format!("{prefix}{}", shown(given, item)))
        .collect();
    match arrangement {
        Arrangement::Commas => commas(call, given, &names),
        Arrangement::Columns | Arrangement::Across => {
            columns(call, given, &names, arrangement == Arrangement::Columns);
        }
        Arrangement::OneEach | Arrangement::Long => {
            let end = if given.has('0') { '\0' } else { '\n' };
            for name in names {
                call.output.extend_from_slice(format!("{name}{end}").as_bytes());
            }
        }
    }
}

fn allocated(facts: &Facts) -> u64 {
    match facts.kind {
        Kind::File => facts.size.div_ceil(ALLOCATED) * ALLOCATED,
        Kind::Directory => ALLOCATED,
        Kind::Link | Kind::Device => 0,
    }
}

fn block_count(given: &Given, bytes: u64) -> String {
    if given.has('h') || given.has('$') {
        human(bytes, given.has('$'))
    } else {
        bytes.div_ceil(BLOCK).to_string()
    }
}

/// A size with one letter for its unit, rounded up.
fn human(bytes: u64, decimal: bool) -> String {
    let base = if decimal { 1000 } else { 1024 };
    if bytes < base {
        return bytes.to_string();
    }
    let units = if decimal { "kMGTPE" } else { "KMGTPE" };
    let mut unit = base;
    for letter in units.chars() {
        let tenths = (u128::from(bytes) * 10).div_ceil(unit.into());
        if tenths < 100 {
            return format!("{}.{}{letter}", tenths / 10, tenths % 10);
        }
        let whole = bytes.div_ceil(unit);
        if whole < base {
            return format!("{whole}{letter}");
        }
        unit = unit.saturating_mul(base);
    }
    bytes.to_string()
}

/// Numbers in front of the names, as wide as the widest.
fn prefixes(given: &Given, items: &[Item]) -> Vec<String> {
    let column = |values: Vec<String>| -> Vec<String> {
        let width = values.iter().map(String::len).max().unwrap_or(0);
        values.into_iter().map(|value| format!("{value:>width$} ")).collect()
    };
    let mut prefixes = vec![String::new(); items.len()];
    let mut add = |values: Vec<String>| {
        for (prefix, value) in prefixes.iter_mut().zip(column(values)) {
            prefix.push_str(&value);
        }
    };
    if given.has('i') {
        // WASI tells no numbers of files; a question mark is what ls writes then.
        add(items.iter().map(|_| "?".to_owned()).collect());
    }
    if given.has('s') {
        add(items.iter().map(|item| block_count(given, allocated(&item.facts))).collect());
    }
    prefixes
}

/// The name as it is shown, with a mark for what it is.
fn shown(given: &Given, item: &Item) -> String {
    let name = quoted(given, &item.name);
    format!("{}{}", colored(given, item, name), mark(given, &item.facts))
}

fn mark(given: &Given, facts: &Facts) -> &'static str {
    let style =
        given.options.iter().rev().find_map(|(option, value)| match (option, value.as_deref()) {
            ('F', None | Some("always")) => Some("classify"),
            ('p', _) => Some("slash"),
            ('!', _) => Some("file-type"),
            ('"', Some(style)) => Some(match style {
                "slash" => "slash",
                "file-type" => "file-type",
                "classify" => "classify",
                _ => "none",
            }),
            _ => None,
        });
    match (style, facts.kind) {
        (Some("slash" | "file-type" | "classify"), Kind::Directory) => "/",
        (Some("file-type" | "classify"), Kind::Link) => "@",
        (Some("classify"), Kind::File) if facts.mode & 0o111 != 0 => "*",
        _ => "",
    }
}

fn colored(given: &Given, item: &Item, name: String) -> String {
    let wanted = given.options.iter().rev().find(|(option, _)| *option == '-');
    let always = wanted.is_some_and(|(_, when)| {
        matches!(when.as_deref(), None | Some("always" | "yes" | "force"))
    });
    let color = match item.facts.kind {
        Kind::Directory => "01;34",
        Kind::Link => "01;36",
        Kind::Device => "40;33;01",
        Kind::File if item.facts.mode & 0o111 != 0 => "01;32",
        Kind::File => return name,
    };
    if always { format!("\x1b[0m\x1b[{color}m{name}\x1b[0m") } else { name }
}

fn quoted(given: &Given, name: &str) -> String {
    let style =
        given.options.iter().rev().find_map(|(option, value)| match (option, value.as_deref()) {
            ('Q', _) => Some("c"),
            ('b', _) => Some("escape"),
            ('N', _) => Some("literal"),
            ('%', Some(style)) => Some(style),
            _ => None,
        });
    match style {
        Some("c") => format!("\"{}\"", escaped(name).replace('"', "\\\"")),
        Some("escape") => escaped(name).replace(' ', "\\ "),
        Some("shell" | "shell-escape")
            if !name.chars().all(|char| char.is_alphanumeric() || "-_./+,:@%^".contains(char)) =>
        {
            format!("'{}'", name.replace('\'', "'\\''"))
        }
        Some("shell-always" | "shell-escape-always") => format!("'{name}'"),
        _ if given.has('q') => {
            name.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
        }
        _ => name.to_owned(),
    }
}

fn escaped(name: &str) -> String {
    let mut text = String::new();
    for char in name.chars() {
        match char {
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\\' => text.push_str("\\\\"),
            char if char.is_control() => text.push_str(&format!("\\{:03o}", u32::from(char))),
            char => text.push(char),
        }
    }
    text
}

fn long(call: &mut Call<'_>, given: &Given, items: &[Item]) {
    let zone = timestamp::Zone::of(call.environment);
    let owner = if given.has('n') {
        owner::ID.to_string()
    } else {
        owner::name(call.environment).to_owned()
    };
    let format = time_format(call, given);
    let sizes: Vec<_> = items
        .iter()
        .map(|item| match given.has('h') || given.has('$') {
            true => human(item.facts.size, given.has('$')),
            false => item.facts.size.to_string(),
        })
        .collect();
    let size_width = sizes.iter().map(String::len).max().unwrap_or(0);
    let times: Vec<_> = items
        .iter()
        .map(|item| {
            let time = timestamp::of_file(item.facts.modified);
            crate::commands::whole::date::format::format(format.of(time), &zone.at(time))
        })
        .collect();
    let time_width = times.iter().map(|time| time.chars().count()).max().unwrap_or(0);
    let prefixes = prefixes(given, items);
    let names_width = items.iter().map(|item| item.names.to_string().len()).max().unwrap_or(1);
    for (index, item) in items.iter().enumerate() {
        let kind = match item.facts.kind {
            Kind::File => '-',
            Kind::Directory => 'd',
            Kind::Link => 'l',
            Kind::Device => 'c',
        };
        let mode = if item.facts.kind == Kind::Link { 0o777 } else { item.facts.mode };
        let mut line = format!(
            "{}{kind}{} {:names_width$} ",
            prefixes[index],
            owner::permissions(mode),
            item.names
        );
        if !given.has('g') {
            line.push_str(&format!("{owner} "));
        }
        if !given.has('o') && !given.has('G') {
            line.push_str(&format!("{owner} "));
        }
        line.push_str(&format!("{:>size_width$} {:<time_width$} ", sizes[index], times[index]));
        line.push_str(&shown_long(given, item));
        call.say(line);
    }
}

fn shown_long(given: &Given, item: &Item) -> String {
    let name = colored(given, item, quoted(given, &item.name));
    match &item.target {
        Some(target) => {
            let mark = item.target_facts.map_or("", |facts| mark(given, &facts));
            format!("{name} -> {}{mark}", quoted(given, target))
        }
        None => format!("{name}{}", mark(given, &item.facts)),
    }
}

/// How times are written: those of the last half year, and others.
struct TimeFormat {
    recent: String,
    other: String,
    now: chrono::DateTime<chrono::Utc>,
}

impl TimeFormat {
    fn of(&self, time: chrono::DateTime<chrono::Utc>) -> &str {
        // Half of a year of 365.2425 days, as ls has it.
        const HALF_A_YEAR: i64 = 31_556_952 / 2;
        let age = (self.now - time).num_seconds();
        if (0..HALF_A_YEAR).contains(&age) { &self.recent } else { &self.other }
    }
}

fn time_format(call: &Call<'_>, given: &Given) -> TimeFormat {
    let style = given.options.iter().rev().find_map(|(option, value)| match option {
        '+' => Some("full-iso".to_owned()),
        '*' => value.clone(),
        _ => None,
    });
    let style = style.or_else(|| call.environment.get("TIME_STYLE").cloned());
    let (recent, other) = match style.as_deref().map(|style| style.trim_start_matches("posix-")) {
        Some("full-iso") => ("%Y-%m-%d %H:%M:%S.%N %z", "%Y-%m-%d %H:%M:%S.%N %z"),
        Some("long-iso") => ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M"),
        Some("iso") => ("%m-%d %H:%M", "%Y-%m-%d "),
        Some(style) if style.starts_with('+') => {
            let mut formats = style[1..].splitn(2, '\n');
            let other = formats.next().unwrap_or_default();
            (formats.next().unwrap_or(other), other)
        }
        _ => ("%b %e %H:%M", "%b %e  %Y"),
    };
    TimeFormat {
        recent: recent.to_owned(),
        other: other.to_owned(),
        now: timestamp::of_file(std::time::SystemTime::now()),
    }
}

fn width(given: &Given) -> usize {
    let width = given.value('w').and_then(|width| width.parse().ok()).unwrap_or(WIDTH);
    if width == 0 { usize::MAX } else { width }
}

fn commas(call: &mut Call<'_>, given: &Given, names: &[String]) {
    let width = width(given);
    let (mut text, mut column) = (String::new(), 0);
    for (index, name) in names.iter().enumerate() {
        let length = name.chars().count();
        if index > 0 {
            text.push(',');
            column += 1;
            if column + length + 2 > width {
                text.push('\n');
                column = 0;
            } else {
                text.push(' ');
                column += 1;
            }
        }
        text.push_str(name);
        column += length;
    }
    call.say(text);
}

/// As many columns as there is room for.
fn columns(call: &mut Call<'_>, given: &Given, names: &[String], down: bool) {
    const BETWEEN: usize = 2;
    let width = width(given);
    let lengths: Vec<_> = names.iter().map(|name| name.chars().count() + BETWEEN).collect();
    let mut count = names.len().min(width / (BETWEEN + 1)).max(1);
    let widths = loop {
        let rows = names.len().div_ceil(count);
        let mut widths = vec![BETWEEN + 1; count];
        for (index, length) in lengths.iter().enumerate() {
            let column = if down { index / rows } else { index % count };
            // The last of a row has nothing behind it.
            let length = if column + 1 == count { length - BETWEEN } else { *length };
            widths[column] = widths[column].max(length);
        }
        if count == 1 || widths.iter().sum::<usize>() < width {
            break widths;
        }
        count -= 1;
    };
    let rows = names.len().div_ceil(count);
    for row in 0..rows {
        let mut line = String::new();
        let (mut at, mut target) = (0, 0);
        for (column, width) in widths.iter().enumerate() {
            let index = if down { column * rows + row } else { row * count + column };
            let Some(name) = names.get(index) else { continue };
            push_to_column(&mut line, &mut at, target);
            line.push_str(name);
            at += name.chars().count();
            target += width;
        }
        call.say(line);
    }
}

/// Tabs and spaces from one column to another.
fn push_to_column(line: &mut String, at: &mut usize, target: usize) {
    const TAB: usize = 8;
    while *at < target {
        if target / TAB > (*at + 1) / TAB {
            line.push('\t');
            *at += TAB - *at % TAB;
        } else {
            line.push(' ');
            *at += 1;
        }
    }
}

//! `ls`: what a directory has.

mod order;
mod write;

use super::{
    buffered::{Buffered, Call, never},
    diff::matches_pattern,
    gnu_options::{Given, Known},
};
use crate::{
    engine::reason,
    filesystem::{Device, Facts, Kind},
};

/// `ls`.
pub(crate) const LS: Buffered = Buffered { wants_input: never, run };

/// `dir`, which differs in nothing that shows here.
const KNOWN: Known = Known {
    short: "1aAlghoGdFpiskmQCxXSUtrRvLHNqbnuchBw:I:fT:Z",
    long: &[
        ("all", 'a'),
        ("almost-all", 'A'),
        ("directory", 'd'),
        ("classify[=]", 'F'),
        ("file-type", '!'),
        ("indicator-style=", '"'),
        ("human-readable", 'h'),
        ("si", '$'),
        ("inode", 'i'),
        ("size", 's'),
        ("kibibytes", 'k'),
        ("quote-name", 'Q'),
        ("quoting-style=", '%'),
        ("literal", 'N'),
        ("escape", 'b'),
        ("hide-control-chars", 'q'),
        ("show-control-chars", '&'),
        ("numeric-uid-gid", 'n'),
        ("no-group", 'G'),
        ("reverse", 'r'),
        ("recursive", 'R'),
        ("dereference", 'L'),
        ("dereference-command-line", 'H'),
        ("sort=", '('),
        ("time=", ')'),
        ("time-style=", '*'),
        ("full-time", '+'),
        ("format=", ','),
        ("color[=]", '-'),
        ("hyperlink[=]", '.'),
        ("group-directories-first", '/'),
        ("hide=", ':'),
        ("ignore=", 'I'),
        ("ignore-backups", 'B'),
        ("block-size=", ';'),
        ("width=", 'w'),
        ("tabsize=", 'T'),
        ("zero", '0'),
        ("author", '<'),
        ("version", '='),
    ],
};

/// The exit code if something below a directory cannot be seen.
const MINOR: u8 = 1;

/// The exit code if an operand is missing.
const SERIOUS: u8 = 2;

/// How names are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrangement {
    OneEach,
    Long,
    Commas,
    /// Down and then across.
    Columns,
    Across,
}

/// A name to show.
struct Item {
    name: String,
    /// What it leads to, if it is a link.
    target: Option<String>,
    facts: Facts,
    /// What the link leads to, if it leads somewhere.
    target_facts: Option<Facts>,
    /// How many names it has, if that is shown.
    names: u64,
}

fn run(call: &mut Call<'_>) -> u8 {
    let given = match KNOWN.parse(call.arguments) {
        Ok(given) => given,
        Err(message) => {
            call.complain(message);
            let hint = "Try 'ls --help' for more information.\n";
            call.errors.extend_from_slice(hint.as_bytes());
            return SERIOUS;
        }
    };
    if given.has('=') {
        call.say("ls (GNU coreutils) 9.1");
        return 0;
    }
    let mut code = 0;
    let operands =
        if given.operands.is_empty() { vec![".".to_owned()] } else { given.operands.clone() };
    let several = operands.len() > 1 || given.has('R');
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    for operand in &operands {
        match item(call, &given, operand, operand, true) {
            Ok(found) => {
                if leads_to_directory(&given, &found, operand) && !given.has('d') {
                    directories.push(found);
                } else {
                    files.push(found);
                }
            }
            Err(reason) => {
                call.complain(format_args!("cannot access '{operand}': {reason}"));
                code = SERIOUS;
            }
        }
    }
    order::sort(&given, &mut files);
    order::sort(&given, &mut directories);
    let mut written = !files.is_empty();
    write::write(call, &given, &files, false);
    for directory in directories {
        let shown = several.then_some(directory.name.as_str());
        code = code.max(list(call, &given, &directory.name, shown, &mut written));
    }
    code
}

fn leads_to_directory(given: &Given, item: &Item, operand: &str) -> bool {
    let follows = !(arrangement(given) == Arrangement::Long || given.has('F') || given.has('d'))
        || given.has('H')
        || given.has('L')
        || operand.ends_with('/');
    match item.facts.kind {
        Kind::Directory => true,
        Kind::Link => {
            follows && item.target_facts.is_some_and(|facts| facts.kind == Kind::Directory)
        }
        Kind::File | Kind::Device => false,
    }
}

fn item(
    call: &Call<'_>,
    given: &Given,
    path: &str,
    name: &str,
    is_operand: bool,
) -> Result<Item, String> {
    let full = call.path(path);
    let follows = given.has('L') || (is_operand && (given.has('H') || path.ends_with('/')));
    let link = call.facts_of_link(path).map_err(|error| reason(&error))?;
    let target_facts = match link.kind {
        Kind::Link => call.world.facts(&full).ok(),
        _ => None,
    };
    let facts = if follows {
        match (link.kind, target_facts) {
            (Kind::Link, Some(facts)) => facts,
            // A link that leads nowhere cannot be shown as what it leads to.
            (Kind::Link, None) if is_operand => return Err("No such file or directory".to_owned()),
            _ => link,
        }
    } else {
        link
    };
    let target = if facts.kind == Kind::Link {
        call.world.read_link(&full).ok().map(|target| target.to_string_lossy().into_owned())
    } else {
        None
    };
    let names = match facts.kind {
        Kind::Directory => 2,
        Kind::File if arrangement(given) == Arrangement::Long => {
            call.world.names_of(&full).map_or(1, |names| names.max(1))
        }
        _ => 1,
    };
    Ok(Item { name: name.to_owned(), target, facts, target_facts, names })
}

/// Whether nothing of a file is shown but its name.
fn shows_names_only(given: &Given) -> bool {
    arrangement(given) != Arrangement::Long && !given.has('s') && !given.has('i')
}

/// Lists a directory, and with `-R` those below it.
fn list(
    call: &mut Call<'_>,
    given: &Given,
    directory: &str,
    heading: Option<&str>,
    written: &mut bool,
) -> u8 {
    let entries = match call.world.list(&call.path(directory)) {
        Ok(entries) => entries,
        Err(error) => {
            call.complain(format_args!("cannot open directory '{directory}': {}", reason(&error)));
            return if heading.is_some() { MINOR } else { SERIOUS };
        }
    };
    let mut code = 0;
    let mut items = Vec::new();
    let hidden = given.last(&['a', 'A', 'f']);
    if matches!(hidden, Some('a' | 'f')) {
        for name in [".", ".."] {
            items.extend(item(call, given, &below(directory, name), name, false));
        }
    }
    for entry in entries {
        if (hidden.is_none() && entry.name.starts_with('.'))
            || is_ignored(given, &entry.name, hidden)
        {
            continue;
        }
        match item(call, given, &below(directory, &entry.name), &entry.name, false) {
            Ok(found) => items.push(found),
            // A name that is not UTF-8 is seen, and is all that is known.
            Err(_) if shows_names_only(given) => items.push(Item {
                name: entry.name,
                target: None,
                facts: Facts { kind: entry.kind, ..Device::Null.facts() },
                target_facts: None,
                names: 1,
            }),
            Err(reason) => {
                call.complain(format_args!(
                    "cannot access '{}': {reason}",
                    below(directory, &entry.name)
                ));
                code = MINOR;
            }
        }
    }
    order::sort(given, &mut items);
    if let Some(heading) = heading {
        if *written {
            call.say("");
        }
        call.say(format_args!("{heading}:"));
    }
    *written = true;
    write::write(call, given, &items, true);
    if given.has('R') {
        for item in items {
            if item.facts.kind == Kind::Directory && item.name != "." && item.name != ".." {
                let path = below(directory, &item.name);
                code = code.max(list(call, given, &path, Some(&path), written));
            }
        }
    }
    code
}

fn is_ignored(given: &Given, name: &str, hidden: Option<char>) -> bool {
    if given.has('B') && name.ends_with('~') {
        return true;
    }
    given.options.iter().any(|(option, pattern)| {
        let counts = *option == 'I' || (*option == ':' && hidden.is_none());
        counts && pattern.as_deref().is_some_and(|pattern| matches_pattern(pattern, name))
    })
}

fn below(directory: &str, name: &str) -> String {
    if directory.ends_with('/') {
        format!("{directory}{name}")
    } else {
        format!("{directory}/{name}")
    }
}

fn arrangement(given: &Given) -> Arrangement {
    let mut arrangement = Arrangement::OneEach;
    for (option, value) in &given.options {
        match (option, value.as_deref()) {
            ('l' | 'g' | 'o' | 'n' | '+', _) | (',', Some("long" | "verbose")) => {
                arrangement = Arrangement::Long;
            }
            // `-1` does not take `-l` back.
            ('1', _) if arrangement != Arrangement::Long => arrangement = Arrangement::OneEach,
            ('m', _) | (',', Some("commas")) => arrangement = Arrangement::Commas,
            ('C', _) | (',', Some("vertical")) => arrangement = Arrangement::Columns,
            ('x', _) | (',', Some("across" | "horizontal")) => arrangement = Arrangement::Across,
            (',', Some("single-column")) => arrangement = Arrangement::OneEach,
            _ => {}
        }
    }
    arrangement
}

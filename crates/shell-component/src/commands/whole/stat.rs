//! `stat` and `realpath`.

use super::{
    buffered::{Buffered, Call, never},
    gnu_options::{Given, Known},
    owner, timestamp,
};
use crate::{
    engine::reason,
    filesystem::{Facts, Kind, normalize},
};

/// `stat`.
pub(crate) const STAT: Buffered = Buffered { wants_input: never, run };

/// `realpath`.
pub(crate) const REALPATH: Buffered = Buffered { wants_input: never, run: realpath };

const KNOWN: Known = Known {
    short: "Lfc:t",
    long: &[
        ("dereference", 'L'),
        ("file-system", 'f'),
        ("format=", 'c'),
        ("printf=", 'p'),
        ("terse", 't'),
        ("cached=", '!'),
        ("version", 'v'),
    ],
};

fn run(call: &mut Call<'_>) -> u8 {
    let given = match KNOWN.parse(call.arguments) {
        Ok(given) => given,
        Err(message) => {
            call.complain(message);
            return 1;
        }
    };
    if given.has('v') {
        call.say("stat (GNU coreutils) 9.1");
        return 0;
    }
    if given.operands.is_empty() {
        call.complain("missing operand");
        return 1;
    }
    let mut code = 0;
    for operand in &given.operands {
        let path = call.path(operand);
        let facts =
            if given.has('L') { call.world.facts(&path) } else { call.world.facts_of_link(&path) };
        match facts {
            Ok(facts) => shown(call, &given, operand, &facts),
            Err(error) => {
                call.complain(format_args!("cannot statx '{operand}': {}", reason(&error)));
                code = 1;
            }
        }
    }
    code
}

/// Without a format, as `stat` shows it to people.
const DEFAULT: &str = "  File: %N\n  Size: %-10s\tBlocks: %-10b IO Block: %-6o %F\nDevice: 0,0\tInode: %-11i Links: %h\nAccess: (%04a/%A)  Uid: (%5u/%8U)   Gid: (%5g/%8G)\nAccess: %x\nModify: %y\nChange: %z\n Birth: %w\n";

fn shown(call: &mut Call<'_>, given: &Given, name: &str, facts: &Facts) {
    let format = match given.last(&['c', 'p', 't']) {
        Some('c') => format!("{}\n", given.value('c').unwrap_or_default()),
        Some('p') => unescaped(given.value('p').unwrap_or_default()),
        Some(_) => "%n %s %b %f %u %g %D %i %h %t %T %X %Y %Z %W %o\n".to_owned(),
        None => DEFAULT.to_owned(),
    };
    let text = formatted(call, &format, name, facts);
    call.output.extend_from_slice(text.as_bytes());
}

fn formatted(call: &Call<'_>, format: &str, name: &str, facts: &Facts) -> String {
    let mut text = String::new();
    let mut chars = format.chars().peekable();
    while let Some(char) = chars.next() {
        if char != '%' {
            text.push(char);
            continue;
        }
        let mut flags = String::new();
        while let Some(flag) = chars.next_if(|char| "-0 #+'".contains(*char)) {
            flags.push(flag);
        }
        let mut width = String::new();
        while let Some(digit) = chars.next_if(|char| char.is_ascii_digit() || *char == '.') {
            width.push(digit);
        }
        let Some(letter) = chars.next() else {
            text.push('%');
            break;
        };
        let value = field(call, letter, name, facts);
        let width: usize =
            width.split('.').next().and_then(|width| width.parse().ok()).unwrap_or(0);
        // More than a formatter can do is no width that anybody means.
        let width = width.min(u16::MAX.into());
        if flags.contains('-') {
            text.push_str(&format!("{value:<width$}"));
        } else if flags.contains('0') {
            text.push_str(&format!("{value:0>width$}"));
        } else {
            text.push_str(&format!("{value:>width$}"));
        }
    }
    text
}

fn field(call: &Call<'_>, letter: char, name: &str, facts: &Facts) -> String {
    const BLOCK: u64 = 512;
    const ALLOCATED: u64 = 4096;
    let kind_bits = match facts.kind {
        Kind::File => 0o100_000,
        Kind::Directory => 0o040_000,
        Kind::Link => 0o120_000,
        Kind::Device => 0o020_000,
    };
    let mode = if facts.kind == Kind::Link { 0o777 } else { facts.mode };
    let owner_name = || owner::name(call.environment).to_owned();
    let blocks = if facts.kind == Kind::File {
        facts.size.div_ceil(ALLOCATED) * (ALLOCATED / BLOCK)
    } else {
        0
    };
    let full = |time| timestamp::full(time, call.environment);
    let seconds = |time| timestamp::of_file(time).timestamp().to_string();
    match letter {
        'a' => format!("{mode:o}"),
        'A' => {
            let kind = match facts.kind {
                Kind::File => '-',
                Kind::Directory => 'd',
                Kind::Link => 'l',
                Kind::Device => 'c',
            };
            format!("{kind}{}", owner::permissions(mode))
        }
        'b' => blocks.to_string(),
        'B' => BLOCK.to_string(),
        'f' => format!("{:x}", mode | kind_bits),
        'F' => match facts.kind {
            Kind::File if facts.size == 0 => "regular empty file",
            Kind::File => "regular file",
            Kind::Directory => "directory",
            Kind::Link => "symbolic link",
            Kind::Device => "character special file",
        }
        .to_owned(),
        'g' | 'u' => owner::ID.to_string(),
        'G' | 'U' => owner_name(),
        'h' => match facts.kind {
            Kind::Directory => 2,
            _ => call.world.names_of(&call.path(name)).map_or(1, |names| names.max(1)),
        }
        .to_string(),
        'n' => name.to_owned(),
        'N' => {
            let target = call.world.read_link(&call.path(name)).ok();
            match target.filter(|_| facts.kind == Kind::Link) {
                Some(target) => format!("'{name}' -> '{}'", target.display()),
                None => format!("'{name}'"),
            }
        }
        'o' => ALLOCATED.to_string(),
        's' => facts.size.to_string(),
        'x' | 'y' | 'z' => full(facts.modified),
        'w' => full(facts.created),
        'X' | 'Y' | 'Z' => seconds(facts.modified),
        'W' => seconds(facts.created),
        'd' | 'D' | 'i' | 't' | 'T' => "0".to_owned(),
        'm' => "/".to_owned(),
        '%' => "%".to_owned(),
        other => format!("%{other}"),
    }
}

fn unescaped(format: &str) -> String {
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        match (char, char == '\\') {
            (_, true) => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('0') => text.push('\0'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            _ => text.push(char),
        }
    }
    text
}

fn realpath(call: &mut Call<'_>) -> u8 {
    const KNOWN: Known = Known {
        short: "emLPqsz",
        long: &[
            ("canonicalize-existing", 'e'),
            ("canonicalize-missing", 'm'),
            ("logical", 'L'),
            ("physical", 'P'),
            ("quiet", 'q'),
            ("relative-to=", 'r'),
            ("relative-base=", 'b'),
            ("strip", 's'),
            ("no-symlinks", 's'),
            ("zero", 'z'),
        ],
    };
    let given = match KNOWN.parse(call.arguments) {
        Ok(given) => given,
        Err(message) => {
            call.complain(message);
            return 1;
        }
    };
    if given.operands.is_empty() {
        call.complain("missing operand");
        return 1;
    }
    let mut code = 0;
    let base = given.value('r').map(|base| resolved(call, &given, base).unwrap_or_default());
    let within = given.value('b').map(|base| resolved(call, &given, base).unwrap_or_default());
    for operand in &given.operands {
        match resolved(call, &given, operand) {
            Ok(path) => {
                let relative = match (&base, &within) {
                    (Some(base), None) => Some(base),
                    (None, Some(within)) => {
                        std::path::Path::new(&path).starts_with(within).then_some(within)
                    }
                    (Some(base), Some(within)) => {
                        std::path::Path::new(&path).starts_with(within).then_some(base)
                    }
                    (None, None) => None,
                };
                let shown = relative.map_or_else(|| path.clone(), |base| relative_to(&path, base));
                let end = if given.has('z') { '\0' } else { '\n' };
                call.output.extend_from_slice(format!("{shown}{end}").as_bytes());
            }
            Err(reason) => {
                if !given.has('q') {
                    call.complain(format_args!("{operand}: {reason}"));
                }
                code = 1;
            }
        }
    }
    code
}

fn resolved(call: &Call<'_>, given: &Given, name: &str) -> Result<String, String> {
    let full = call.path(name);
    if !given.has('s') && given.last(&['e', 'm']) != Some('m') {
        // What is left by `..` has to exist all the same.
        let mut before = std::path::PathBuf::new();
        for part in full.components() {
            let leaves = part == std::path::Component::ParentDir;
            if leaves && call.world.facts(&before).is_err() {
                return Err("No such file or directory".to_owned());
            }
            before.push(part);
        }
    }
    let path = if given.has('s') {
        normalize(&full)
    } else {
        call.world.follow(&full, true).map_err(|error| reason(&error))?
    };
    if given.last(&['e', 'm']) != Some('m') {
        let exists = |path: &std::path::Path| call.world.facts(path).is_ok();
        // The last name alone may be missing.
        let needed = if given.has('e') { Some(path.as_path()) } else { path.parent() };
        if needed.is_some_and(|needed| !exists(needed)) {
            return Err("No such file or directory".to_owned());
        }
    }
    Ok(path.to_string_lossy().into_owned())
}

pub(super) fn relative_to(path: &str, base: &str) -> String {
    let parts = |path: &str| -> Vec<String> {
        path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let (path, base) = (parts(path), parts(base));
    let common = path.iter().zip(&base).take_while(|(one, other)| one == other).count();
    let mut relative = vec!["..".to_owned(); base.len() - common];
    relative.extend_from_slice(&path[common..]);
    if relative.is_empty() { ".".to_owned() } else { relative.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_from_another_one() {
        assert_eq!(relative_to("/a/b", "/a"), "b");
        assert_eq!(relative_to("/a/c", "/a/b"), "../c");
        assert_eq!(relative_to("/a", "/a"), ".");
        assert_eq!(relative_to("/x", "/a/b"), "../../x");
    }
}

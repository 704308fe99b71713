//! `rm`, `rmdir` and `mkdir`.

use super::{
    buffered::{Buffered, Call, never},
    gnu_options::{Given, Known},
};
use crate::{engine::reason, filesystem::Kind};

/// `rm`.
pub(crate) const RM: Buffered = Buffered {
    wants_input: |arguments| RM_KNOWN.parse(arguments).is_ok_and(|given| asks(&given).is_some()),
    run: rm,
};

/// `rmdir`.
pub(crate) const RMDIR: Buffered = Buffered { wants_input: never, run: rmdir };

/// `mkdir`.
pub(crate) const MKDIR: Buffered = Buffered { wants_input: never, run: mkdir };

const RM_KNOWN: Known = Known {
    short: "fiIrRdvx",
    long: &[
        ("force", 'f'),
        ("interactive[=]", '!'),
        ("one-file-system", 'x'),
        ("no-preserve-root", '"'),
        ("preserve-root[=]", '$'),
        ("recursive", 'r'),
        ("dir", 'd'),
        ("verbose", 'v'),
    ],
};

/// When there are questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// About everything.
    Always,
    /// About many files, or whole trees.
    Once,
}

fn asks(given: &Given) -> Option<Asks> {
    let mut asks = None;
    for (option, value) in &given.options {
        match (option, value.as_deref()) {
            ('i', _) | ('!', None | Some("always" | "yes")) => asks = Some(Asks::Always),
            ('I', _) | ('!', Some("once")) => asks = Some(Asks::Once),
            ('f', _) | ('!', Some("never" | "no" | "none")) => asks = None,
            _ => {}
        }
    }
    asks
}

fn refused(call: &mut Call<'_>, message: &str) -> u8 {
    call.complain(message);
    let hint = format!("Try '{} --help' for more information.\n", call.name);
    call.errors.extend_from_slice(hint.as_bytes());
    1
}

struct Removal {
    recursive: bool,
    empty_directories: bool,
    force: bool,
    verbose: bool,
    asks: Option<Asks>,
    answers: std::vec::IntoIter<String>,
}

fn rm(call: &mut Call<'_>) -> u8 {
    let given = match RM_KNOWN.parse(call.arguments) {
        Ok(given) => given,
        Err(message) => return refused(call, &message),
    };
    let force = given.last(&['f', 'i', 'I']) == Some('f');
    if given.operands.is_empty() {
        return if force { 0 } else { refused(call, "missing operand") };
    }
    let input = String::from_utf8_lossy(&call.input).into_owned();
    let answers: Vec<_> = input.lines().map(str::to_owned).collect();
    let recursive = given.has('r') || given.has('R');
    let mut removal = Removal {
        recursive,
        empty_directories: given.has('d'),
        force,
        verbose: given.has('v'),
        asks: asks(&given),
        answers: answers.into_iter(),
    };
    // Three is few enough to remember what one typed.
    if removal.asks == Some(Asks::Once) && (recursive || given.operands.len() > 3) {
        let count = given.operands.len();
        let plural = if count == 1 { "argument" } else { "arguments" };
        let how = if recursive { " recursively" } else { "" };
        if !removal.agreed(call, &format!("remove {count} {plural}{how}")) {
            return 0;
        }
    }
    let mut code = 0;
    for operand in &given.operands {
        code = code.max(removal.operand(call, operand));
    }
    code
}

impl Removal {
    fn agreed(&mut self, call: &mut Call<'_>, question: &str) -> bool {
        let question = format!("{}: {question}? ", call.name);
        call.errors.extend_from_slice(question.as_bytes());
        self.answers.next().is_some_and(|answer| answer.starts_with(['y', 'Y']))
    }

    fn operand(&mut self, call: &mut Call<'_>, operand: &str) -> u8 {
        let last = operand.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if last == "." || last == ".." {
            call.complain(format_args!(
                "refusing to remove '.' or '..' directory: skipping '{operand}'"
            ));
            return 1;
        }
        if crate::filesystem::normalize(&call.path(operand)).parent().is_none() {
            call.complain("it is dangerous to operate recursively on '/'");
            call.complain("use --no-preserve-root to override this failsafe");
            return 1;
        }
        self.remove(call, operand)
    }

    fn remove(&mut self, call: &mut Call<'_>, name: &str) -> u8 {
        let path = call.path(name);
        let facts = match call.world.facts_of_link(&path) {
            Ok(facts) => facts,
            Err(error) => {
                let missing = matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                );
                if self.force && missing {
                    return 0;
                }
                call.complain(format_args!("cannot remove '{name}': {}", reason(&error)));
                return 1;
            }
        };
        if facts.kind == Kind::Directory {
            return self.remove_directory(call, name);
        }
        let what = match facts.kind {
            Kind::Link => "symbolic link",
            Kind::File if facts.size == 0 => "regular empty file",
            Kind::File => "regular file",
            Kind::Directory | Kind::Device => "file",
        };
        if self.asks == Some(Asks::Always) && !self.agreed(call, &format!("remove {what} '{name}'"))
        {
            return 0;
        }
        self.removed(call, name, "removed")
    }

    fn remove_directory(&mut self, call: &mut Call<'_>, name: &str) -> u8 {
        if !self.recursive && !self.empty_directories {
            call.complain(format_args!("cannot remove '{name}': Is a directory"));
            return 1;
        }
        let path = call.path(name);
        let mut code = 0;
        if self.recursive && (self.verbose || self.asks == Some(Asks::Always)) {
            let entries = call.world.list(&path).unwrap_or_default();
            if self.asks == Some(Asks::Always)
                && !entries.is_empty()
                && !self.agreed(call, &format!("descend into directory '{name}'"))
            {
                return 0;
            }
            for entry in entries {
                let below = format!("{}/{}", name.trim_end_matches('/'), entry.name);
                code = code.max(self.remove(call, &below));
            }
            if self.asks == Some(Asks::Always)
                && !self.agreed(call, &format!("remove directory '{name}'"))
            {
                return code;
            }
        }
        if code != 0 {
            return code;
        }
        self.removed(call, name, "removed directory")
    }

    fn removed(&self, call: &mut Call<'_>, name: &str, what: &str) -> u8 {
        match call.world.remove(&call.path(name), self.recursive) {
            Ok(()) => {
                if self.verbose {
                    call.say(format_args!("{what} '{name}'"));
                }
                0
            }
            Err(error) => {
                call.complain(format_args!("cannot remove '{name}': {}", reason(&error)));
                1
            }
        }
    }
}

fn rmdir(call: &mut Call<'_>) -> u8 {
    const KNOWN: Known = Known {
        short: "pv",
        long: &[("parents", 'p'), ("verbose", 'v'), ("ignore-fail-on-non-empty", '!')],
    };
    let given = match KNOWN.parse(call.arguments) {
        Ok(given) => given,
        Err(message) => return refused(call, &message),
    };
    if given.operands.is_empty() {
        return refused(call, "missing operand");
    }
    let mut code = 0;
    for operand in &given.operands {
        let mut name = operand.trim_end_matches('/');
        loop {
            if given.has('v') {
                call.say(format_args!("rmdir: removing directory, '{name}'"));
            }
            if let Err(reason) = removed_empty(call, name) {
                if !(given.has('!') && reason == "Directory not empty") {
                    call.complain(format_args!("failed to remove '{name}': {reason}"));
                    code = 1;
                }
                break;
            }
            match name.rsplit_once('/') {
                Some((parent, _)) if given.has('p') && !parent.is_empty() => name = parent,
                _ => break,
            }
        }
    }
    code
}

fn removed_empty(call: &Call<'_>, name: &str) -> Result<(), String> {
    let path = call.path(name);
    let facts = call.world.facts_of_link(&path).map_err(|error| reason(&error))?;
    if facts.kind != Kind::Directory {
        return Err("Not a directory".to_owned());
    }
    call.world.remove(&path, false).map_err(|error| reason(&error))
}

fn mkdir(call: &mut Call<'_>) -> u8 {
    const KNOWN: Known = Known {
        short: "pvm:Z",
        long: &[("parents", 'p'), ("verbose", 'v'), ("mode=", 'm'), ("context[=]", 'Z')],
    };
    let given = match KNOWN.parse(call.arguments) {
        Ok(given) => given,
        Err(message) => return refused(call, &message),
    };
    if given.operands.is_empty() {
        return refused(call, "missing operand");
    }
    let mode = match given.value('m').map(mode) {
        Some(None) => {
            let message = format!("invalid mode '{}'", given.value('m').unwrap_or_default());
            call.complain(message);
            return 1;
        }
        mode => mode.flatten(),
    };
    let mut code = 0;
    for operand in &given.operands {
        code = code.max(made(call, &given, operand, mode));
    }
    code
}

/// Permission bits as a number, or as a change of those that directories have.
fn mode(text: &str) -> Option<u32> {
    if let Ok(mode) = u32::from_str_radix(text, 8) {
        return (mode <= 0o7777).then_some(mode);
    }
    let mut mode = 0o777;
    for clause in text.split(',') {
        let at = clause.find(['+', '-', '='])?;
        let (who, change) = clause.split_at(at);
        let mask = who.chars().try_fold(0, |mask, who| {
            Some(
                mask | match who {
                    'u' => 0o700,
                    'g' => 0o070,
                    'o' => 0o007,
                    'a' => 0o777,
                    _ => return None,
                },
            )
        })?;
        let mask = if who.is_empty() { 0o777 } else { mask };
        let bits = change[1..].chars().try_fold(0, |bits, bit| {
            Some(
                bits | match bit {
                    'r' => 0o444,
                    'w' => 0o222,
                    'x' | 'X' => 0o111,
                    _ => return None,
                },
            )
        })?;
        mode = match change.as_bytes()[0] {
            b'+' => mode | (bits & mask),
            b'-' => mode & !(bits & mask),
            _ => (mode & !mask) | (bits & mask),
        };
    }
    Some(mode)
}

fn made(call: &mut Call<'_>, given: &Given, name: &str, mode: Option<u32>) -> u8 {
    let path = call.path(name);
    if given.has('p') {
        let mut above = String::new();
        for part in name.trim_end_matches('/').split('/') {
            above.push_str(part);
            let exists = above.is_empty() || call.world.facts(&call.path(&above)).is_ok();
            if !exists {
                if let Err(error) = call.world.make_directory(&call.path(&above), false) {
                    call.complain(format_args!(
                        "cannot create directory '{name}': {}",
                        reason(&error)
                    ));
                    return 1;
                }
                if given.has('v') {
                    call.say(format_args!("mkdir: created directory '{above}'"));
                }
            }
            above.push('/');
        }
        let is_directory = call.world.facts(&path).is_ok_and(|facts| facts.kind == Kind::Directory);
        if !is_directory {
            call.complain(format_args!("cannot create directory '{name}': File exists"));
            return 1;
        }
    } else {
        if let Err(error) = call.world.make_directory(&path, false) {
            call.complain(format_args!("cannot create directory '{name}': {}", reason(&error)));
            return 1;
        }
        if given.has('v') {
            call.say(format_args!("mkdir: created directory '{name}'"));
        }
    }
    if let Some(mode) = mode
        && let Err(error) = call.world.set_mode(&path, mode)
    {
        call.complain(format_args!("cannot set permissions of '{name}': {}", reason(&error)));
        return 1;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_numbers_and_changes() {
        assert_eq!(mode("700"), Some(0o700));
        assert_eq!(mode("go-rwx"), Some(0o700));
        assert_eq!(mode("u=rwx,g=rx,o="), Some(0o750));
        assert_eq!(mode("q"), None);
    }
}

//! `cp` and `mv`.

use super::{
    buffered::{Buffered, Call},
    gnu_options::{Given, Known},
};
use crate::{
    engine::reason,
    filesystem::{Facts, Kind, normalize},
};

/// `cp`.
pub(crate) const CP: Buffered = Buffered { wants_input: asks, run: |call| run(call, Verb::Copy) };

/// `mv`.
pub(crate) const MV: Buffered = Buffered { wants_input: asks, run: |call| run(call, Verb::Move) };

/// With `-i`, answers are read.
fn asks(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| {
        argument == "--interactive"
            || (argument.starts_with('-') && !argument.starts_with("--") && argument.contains('i'))
    })
}

const KNOWN: Known = Known {
    short: "abdfHilLnPpRrsS:t:TuvxZ",
    long: &[
        ("archive", 'a'),
        ("backup[=]", 'b'),
        ("force", 'f'),
        ("interactive", 'i'),
        ("link", 'l'),
        ("dereference", 'L'),
        ("no-clobber", 'n'),
        ("no-dereference", 'P'),
        ("preserve[=]", 'p'),
        ("no-preserve=", '!'),
        ("parents", '"'),
        ("recursive", 'R'),
        ("reflink[=]", '$'),
        ("remove-destination", '%'),
        ("sparse=", '&'),
        ("strip-trailing-slashes", '('),
        ("symbolic-link", 's'),
        ("suffix=", 'S'),
        ("target-directory=", 't'),
        ("no-target-directory", 'T'),
        ("update[=]", 'u'),
        ("verbose", 'v'),
        ("attributes-only", ')'),
        ("one-file-system", 'x'),
        ("version", '='),
    ],
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Copy,
    Move,
}

struct Job {
    given: Given,
    verb: Verb,
    recursive: bool,
    /// Links are copied as links.
    keeps_links: bool,
    /// Times and permissions too.
    preserves: bool,
    /// Lines of standard input that answer questions.
    answers: std::vec::IntoIter<String>,
}

fn run(call: &mut Call<'_>, verb: Verb) -> u8 {
    let given = match KNOWN.parse(call.arguments) {
        Ok(given) => given,
        Err(message) => return usage(call, &message),
    };
    if given.has('=') {
        let line = format!("{} (GNU coreutils) 9.1", call.name);
        call.say(line);
        return 0;
    }
    let mut operands = given.operands.clone();
    if operands.is_empty() {
        return usage(call, "missing file operand");
    }
    let into = match given.value('t') {
        Some(directory) => Some(directory.to_owned()),
        None => {
            if operands.len() < 2 {
                let message = format!("missing destination file operand after '{}'", operands[0]);
                return usage(call, &message);
            }
            None
        }
    };
    let target = into.unwrap_or_else(|| operands.pop().unwrap_or_default());
    let is_directory = !given.has('T') && is_directory(call, &target);
    if !is_directory && (operands.len() > 1 || given.has('t')) {
        let reason = match call.world.facts(&call.path(&target)) {
            Ok(_) => "Not a directory",
            Err(_) if given.has('t') => "No such file or directory",
            Err(_) => "No such file or directory",
        };
        call.complain(format_args!("target '{target}': {reason}"));
        return 1;
    }
    let recursive = given.has('R') || given.has('r') || given.has('a');
    let keeps_links = match given.last(&['L', 'P', 'd', 'a', 'H']) {
        Some('L' | 'H') => false,
        Some(_) => true,
        None => recursive || verb == Verb::Move,
    };
    let input = String::from_utf8_lossy(&call.input).into_owned();
    let answers: Vec<_> = input.lines().map(str::to_owned).collect();
    let mut job = Job {
        preserves: given.has('p') || given.has('a') || verb == Verb::Move,
        given,
        verb,
        recursive,
        keeps_links,
        answers: answers.into_iter(),
    };
    let mut code = 0;
    for source in &operands {
        let destination = if is_directory {
            let name = if job.given.has('"') { source.as_str() } else { base(source) };
            if let (true, Some((parents, _))) = (job.given.has('"'), source.rsplit_once('/')) {
                // What follows says what is wrong, if this fails.
                let _ = call.world.make_directory(&call.path(&joined(&target, parents)), true);
            }
            joined(&target, name)
        } else {
            target.clone()
        };
        code = code.max(job.one(call, source, &destination));
    }
    code
}

fn usage(call: &mut Call<'_>, message: &str) -> u8 {
    call.complain(message);
    let hint = format!("Try '{} --help' for more information.\n", call.name);
    call.errors.extend_from_slice(hint.as_bytes());
    1
}

fn is_directory(call: &Call<'_>, path: &str) -> bool {
    call.world.facts(&call.path(path)).is_ok_and(|facts| facts.kind == Kind::Directory)
}

fn base(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

fn joined(directory: &str, name: &str) -> String {
    format!("{}/{name}", directory.trim_end_matches('/'))
}

impl Job {
    fn one(&mut self, call: &mut Call<'_>, source: &str, destination: &str) -> u8 {
        let facts = if self.keeps_links {
            call.world.facts_of_link(&call.path(source))
        } else {
            call.world.facts(&call.path(source))
        };
        let facts = match facts {
            Ok(facts) => facts,
            Err(error) => {
                call.complain(format_args!("cannot stat '{source}': {}", reason(&error)));
                return 1;
            }
        };
        if facts.kind == Kind::Directory && self.verb == Verb::Copy && !self.recursive {
            call.complain(format_args!("-r not specified; omitting directory '{source}'"));
            return 1;
        }
        let (from, to) = (normalize(&call.path(source)), normalize(&call.path(destination)));
        // Whoever opened the target to write would empty the source.
        let reaches_itself = self.verb == Verb::Copy && facts.kind == Kind::File;
        if from == to || (reaches_itself && call.world.is_same_file(&from, &to)) {
            call.complain(format_args!("'{source}' and '{destination}' are the same file"));
            return 1;
        }
        if facts.kind == Kind::Directory && to.starts_with(&from) {
            let what = match self.verb {
                Verb::Copy => {
                    format!("cannot copy a directory, '{source}', into itself, '{destination}'")
                }
                Verb::Move => {
                    format!("cannot move '{source}' to a subdirectory of itself, '{destination}'")
                }
            };
            call.complain(what);
            return 1;
        }
        match self.verb {
            Verb::Copy => self.copy(call, source, destination, &facts),
            Verb::Move => self.rename(call, source, destination, &facts),
        }
    }

    /// Whether there is something in the way that may be replaced; nothing if it may not.
    fn makes_room(
        &mut self,
        call: &mut Call<'_>,
        destination: &str,
        facts: &Facts,
    ) -> Result<Option<String>, u8> {
        let path = call.path(destination);
        let Ok(existing) = call.world.facts_of_link(&path) else { return Ok(None) };
        match self.given.last(&['n', 'i', 'f']) {
            Some('n') => return Err(0),
            Some('i') => {
                let question = format!("{}: overwrite '{destination}'? ", call.name);
                call.errors.extend_from_slice(question.as_bytes());
                if !self.answers.next().is_some_and(|answer| answer.starts_with(['y', 'Y'])) {
                    return Err(0);
                }
            }
            _ => {}
        }
        if self.given.has('u') && existing.modified >= facts.modified {
            return Err(0);
        }
        if existing.kind == Kind::Directory && facts.kind != Kind::Directory {
            let what = match self.verb {
                Verb::Copy => "cannot overwrite directory",
                Verb::Move => "cannot overwrite directory",
            };
            call.complain(format_args!("{what} '{destination}' with non-directory"));
            return Err(1);
        }
        if existing.kind != Kind::Directory && facts.kind == Kind::Directory {
            call.complain(format_args!(
                "cannot overwrite non-directory '{destination}' with directory"
            ));
            return Err(1);
        }
        if !self.given.has('b') || existing.kind == Kind::Directory {
            return Ok(None);
        }
        let backup = self.backup_name(call, destination);
        if let Err(error) = call.world.rename(&path, &call.path(&backup)) {
            call.complain(format_args!("cannot backup '{destination}': {}", reason(&error)));
            return Err(1);
        }
        Ok(Some(backup))
    }

    /// `file~`, or `file.~1~` for those who want to keep each.
    fn backup_name(&self, call: &Call<'_>, destination: &str) -> String {
        if matches!(self.given.value('b'), Some("numbered" | "t")) {
            let name = |number: u32| format!("{destination}.~{number}~");
            let free = (1..).find(|number| call.world.facts(&call.path(&name(*number))).is_err());
            return name(free.unwrap_or(1));
        }
        format!("{destination}{}", self.given.value('S').unwrap_or("~"))
    }

    fn says(
        &self,
        call: &mut Call<'_>,
        verb: &str,
        (source, destination): (&str, &str),
        backup: Option<&str>,
    ) {
        if self.given.has('v') {
            let backup = backup.map(|backup| format!(" (backup: '{backup}')")).unwrap_or_default();
            call.say(format_args!("{verb}'{source}' -> '{destination}'{backup}"));
        }
    }

    fn copy(&mut self, call: &mut Call<'_>, source: &str, destination: &str, facts: &Facts) -> u8 {
        match self.makes_room(call, destination, facts) {
            Ok(backup) => self.copy_into(call, (source, destination), facts, backup.as_deref()),
            Err(code) => code,
        }
    }

    /// Copies to where there is room.
    fn copy_into(
        &mut self,
        call: &mut Call<'_>,
        (source, destination): (&str, &str),
        facts: &Facts,
        backup: Option<&str>,
    ) -> u8 {
        if facts.kind == Kind::Directory {
            return self.copy_directory(call, source, destination, facts);
        }
        let (from, to) = (call.path(source), call.path(destination));
        let replaces_link =
            call.world.facts_of_link(&to).is_ok_and(|facts| facts.kind == Kind::Link);
        if self.given.has('%') || (replaces_link && facts.kind == Kind::Link) {
            // The copy says what is wrong, if this fails.
            let _ = call.world.remove(&to, false);
        }
        let result = match facts.kind {
            Kind::Link => {
                call.world.read_link(&from).and_then(|target| call.world.make_link(&target, &to))
            }
            _ if self.given.has('s') => call.world.make_link(&from, &to),
            _ => call.world.copy(&from, &to),
        };
        if let Err(error) = result {
            let what = match call.world.facts(&from) {
                Ok(_) => format!("cannot create regular file '{destination}'"),
                Err(_) => format!("cannot open '{source}' for reading"),
            };
            call.complain(format_args!("{what}: {}", reason(&error)));
            return 1;
        }
        if self.preserves && facts.kind == Kind::File {
            // Copied is copied, whatever becomes of its time.
            let _ = call.world.set_modified(&to, facts.modified);
        }
        self.says(call, "", (source, destination), backup);
        0
    }

    fn copy_directory(
        &mut self,
        call: &mut Call<'_>,
        source: &str,
        destination: &str,
        facts: &Facts,
    ) -> u8 {
        let to = call.path(destination);
        if call.world.facts(&to).is_err() {
            if let Err(error) = call.world.make_directory(&to, false) {
                call.complain(format_args!(
                    "cannot create directory '{destination}': {}",
                    reason(&error)
                ));
                return 1;
            }
            self.says(call, "", (source, destination), None);
        }
        let entries = match call.world.list(&call.path(source)) {
            Ok(entries) => entries,
            Err(error) => {
                call.complain(format_args!("cannot access '{source}': {}", reason(&error)));
                return 1;
            }
        };
        let mut code = 0;
        for entry in entries {
            let (from, to) = (joined(source, &entry.name), joined(destination, &entry.name));
            code = code.max(self.one(call, &from, &to));
        }
        if self.preserves {
            let _ = call.world.set_mode(&to, facts.mode);
            let _ = call.world.set_modified(&to, facts.modified);
        }
        code
    }

    fn rename(
        &mut self,
        call: &mut Call<'_>,
        source: &str,
        destination: &str,
        facts: &Facts,
    ) -> u8 {
        let backup = match self.makes_room(call, destination, facts) {
            Ok(backup) => backup,
            Err(code) => return code,
        };
        let (from, to) = (call.path(source), call.path(destination));
        match call.world.rename(&from, &to) {
            Ok(()) => {
                self.says(call, "renamed ", (source, destination), backup.as_deref());
                return 0;
            }
            // From one of the shell's directories to another one: by a copy.
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {}
            Err(error) => {
                call.complain(format_args!(
                    "cannot move '{source}' to '{destination}': {}",
                    reason(&error)
                ));
                return 1;
            }
        }
        // As a rename would refuse it: what is left out of a directory would go with it.
        if facts.kind == Kind::Directory
            && call.world.list(&to).is_ok_and(|entries| !entries.is_empty())
        {
            call.complain(format_args!("cannot overwrite '{destination}': Directory not empty"));
            return 1;
        }
        self.recursive = true;
        let code = self.copy_into(call, (source, destination), facts, backup.as_deref());
        if code != 0 {
            return code;
        }
        match call.world.remove(&from, true) {
            Ok(()) => 0,
            Err(error) => {
                call.complain(format_args!("cannot remove '{source}': {}", reason(&error)));
                1
            }
        }
    }
}

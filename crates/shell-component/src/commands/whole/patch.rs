//! `patch`: makes the changes that a `diff` describes.

mod apply;
mod read;

use super::{
    buffered::{Buffered, Call},
    gnu_options::{Given, Known},
};
use apply::{Applied, apply};
use read::{Hunk, Patch};

/// `patch`.
pub(crate) const PATCH: Buffered = Buffered {
    wants_input: |arguments| {
        !KNOWN.parse(arguments).is_ok_and(|given| {
            given.operands.len() > 1 || given.value('i').is_some_and(|file| file != "-")
        })
    },
    run,
};

const KNOWN: Known = Known {
    short: "p:i:o:d:Rr:bz:B:EfNnsucelF:tVvY:D:",
    long: &[
        ("strip=", 'p'),
        ("input=", 'i'),
        ("output=", 'o'),
        ("directory=", 'd'),
        ("reverse", 'R'),
        ("reject-file=", 'r'),
        ("backup", 'b'),
        ("suffix=", 'z'),
        ("remove-empty-files", 'E'),
        ("force", 'f'),
        ("forward", 'N'),
        ("silent", 's'),
        ("quiet", 's'),
        ("unified", 'u'),
        ("context", 'c'),
        ("normal", 'n'),
        ("ed", 'e'),
        ("ignore-whitespace", 'l'),
        ("fuzz=", 'F'),
        ("batch", 't'),
        ("dry-run", '0'),
        ("verbose", '1'),
        ("binary", '2'),
        ("no-backup-if-mismatch", '3'),
        ("backup-if-mismatch", '4'),
        ("posix", '5'),
        ("merge", '6'),
        ("version", 'v'),
    ],
};

/// The exit code if a hunk was rejected.
const REJECTED: u8 = 1;

/// The exit code if something cannot be read or understood.
const TROUBLE: u8 = 2;

/// How many lines at the ends of a hunk may differ, if nobody says.
const FUZZ: usize = 2;

fn run(call: &mut Call<'_>) -> u8 {
    let given = match KNOWN.parse(call.arguments) {
        Ok(given) => given,
        Err(message) => {
            call.complain(message);
            return TROUBLE;
        }
    };
    if given.has('v') {
        call.say("GNU patch 2.7.6");
        return 0;
    }
    let source = given.value('i').or(given.operands.get(1).map(String::as_str)).unwrap_or("-");
    let text = match call.read(source) {
        Ok(text) => text,
        Err(reason) => {
            call.complain(format_args!("**** Can't open patch file {source} : {reason}"));
            return TROUBLE;
        }
    };
    let patches = match read::patches(&text) {
        Ok(patches) => patches,
        Err(message) => {
            call.complain(format_args!("**** {message}"));
            return TROUBLE;
        }
    };
    if patches.is_empty() {
        if !text.is_empty() {
            call.complain("**** Only garbage was found in the patch input.");
            return TROUBLE;
        }
        return 0;
    }
    let mut code = 0;
    for patch in &patches {
        code = code.max(one_file(call, &given, patch));
    }
    code
}

/// A file, as `-d` has it.
fn located(given: &Given, name: &str) -> String {
    match given.value('d') {
        Some(directory) => format!("{directory}/{name}"),
        None => name.to_owned(),
    }
}

fn one_file(call: &mut Call<'_>, given: &Given, patch: &Patch) -> u8 {
    let reversed = given.has('R');
    let Some(name) = target(call, given, patch) else {
        call.say("can't find file to patch at input line 3");
        if given.value('p').is_none() {
            call.say("Perhaps you should have used the -p or --strip option?");
        } else {
            call.say("Perhaps you used the wrong -p or --strip option?");
        }
        return REJECTED;
    };
    let hunks: Vec<_> = patch
        .hunks
        .iter()
        .map(|hunk| if reversed { hunk.reversed() } else { hunk.clone() })
        .collect();
    let path = located(given, &name);
    let exists = call.world.facts(&call.path(&path)).is_ok();
    let old = if exists { call.read(&path) } else { Ok(Vec::new()) };
    let old = match old {
        Ok(old) => old,
        Err(reason) => {
            call.complain(format_args!("**** Can't open file {path} : {reason}"));
            return TROUBLE;
        }
    };
    announce(call, given, &name);
    let fuzz = given.value('F').and_then(|fuzz| fuzz.parse().ok()).unwrap_or(FUZZ);
    let mut applied = apply(&old, &hunks, fuzz, given.has('l'));
    if applied.hunks.iter().all(|hunk| hunk.is_none()) && !reversed && !patch.hunks.is_empty() {
        let back: Vec<_> = hunks.iter().map(Hunk::reversed).collect();
        let undone = apply(&old, &back, 0, given.has('l'));
        if undone.hunks.iter().all(Option::is_some) && !old.is_empty() {
            if given.has('t') {
                call.say("Reversed (or previously applied) patch detected!  Assuming -R.");
                applied = undone;
            } else {
                call.say(if given.has('N') {
                    "Reversed (or previously applied) patch detected!  Skipping patch."
                } else {
                    "Reversed (or previously applied) patch detected!  Assume -R? [n] \nApply anyway? [n] \nSkipping patch."
                });
            }
        }
    }
    report(call, given, &hunks, &applied);
    finish(call, given, patch, &Target { name, exists, old, hunks }, &applied)
}

fn announce(call: &mut Call<'_>, given: &Given, name: &str) {
    if given.has('s') {
        return;
    }
    let doing = if given.has('0') { "checking" } else { "patching" };
    let name = quoted(name);
    match given.value('o') {
        Some(output) => {
            call.say(format_args!("{doing} file {} (read from {name})", quoted(output)));
        }
        None => call.say(format_args!("{doing} file {name}")),
    }
}

fn quoted(name: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || "-_./+,:@%".contains(char);
    if name.chars().all(plain) { name.to_owned() } else { format!("'{name}'") }
}

/// Says which hunks went elsewhere than they said, or nowhere.
fn report(call: &mut Call<'_>, given: &Given, hunks: &[Hunk], applied: &Applied) {
    for (index, (hunk, place)) in hunks.iter().zip(&applied.hunks).enumerate() {
        let number = index + 1;
        match place {
            None => {
                call.say(format_args!("Hunk #{number} FAILED at {}.", hunk.old_start.max(1)));
            }
            Some(place) if (place.offset != 0 || place.fuzz > 0) && !given.has('s') => {
                let mut text = format!("Hunk #{number} succeeded at {}", place.line);
                if place.fuzz > 0 {
                    text.push_str(&format!(" with fuzz {}", place.fuzz));
                }
                if place.offset != 0 {
                    let lines = if place.offset.abs() == 1 { "line" } else { "lines" };
                    text.push_str(&format!(" (offset {} {lines})", place.offset));
                }
                call.say(format_args!("{text}."));
            }
            Some(_) => {}
        }
    }
}

/// A file that is patched.
struct Target {
    name: String,
    exists: bool,
    old: Vec<u8>,
    hunks: Vec<Hunk>,
}

/// Writes what came of a file, and what did not fit into it.
fn finish(
    call: &mut Call<'_>,
    given: &Given,
    patch: &Patch,
    target: &Target,
    applied: &Applied,
) -> u8 {
    let Target { name, exists, old, hunks } = target;
    let dry = given.has('0');
    let failed: Vec<_> =
        hunks.iter().zip(&applied.hunks).filter(|(_, place)| place.is_none()).collect();
    let path = located(given, name);
    let inexact = applied
        .hunks
        .iter()
        .any(|place| place.as_ref().is_none_or(|place| place.fuzz > 0 || place.offset != 0));
    let backup = given.has('b')
        || (inexact
            && *exists
            && given.value('o').is_none()
            && !given.has('3')
            && failed.len() < hunks.len());
    let mut code = 0;
    if !dry {
        if backup && *exists {
            let suffix = given.value('z').unwrap_or(".orig");
            code = code.max(written(call, &format!("{path}{suffix}"), old));
        }
        let output = given.value('o').map_or_else(|| path.clone(), str::to_owned);
        let removed = if given.has('R') { patch.creates } else { patch.deletes };
        if (removed || given.has('E')) && applied.text.is_empty() && failed.is_empty() {
            if let Err(error) = call.world.remove(&call.path(&path), false) {
                call.complain(format_args!("Can't remove file {path} : {error}"));
                code = TROUBLE;
            }
        } else if failed.len() < hunks.len() || given.value('o').is_some() {
            if let Some((directory, _)) = output.rsplit_once('/').filter(|_| !*exists) {
                // The write says what is wrong, if this fails.
                let _ = call.world.make_directory(&call.path(directory), true);
            }
            code = code.max(written(call, &output, &applied.text));
        }
    }
    if failed.is_empty() {
        return code;
    }
    let (count, all) = (failed.len(), hunks.len());
    let plural = if all == 1 { "hunk" } else { "hunks" };
    let summary = format!("{count} out of {all} {plural} FAILED");
    if dry {
        call.say(summary);
        return REJECTED.max(code);
    }
    let reject = given.value('r').map_or_else(|| format!("{path}.rej"), str::to_owned);
    call.say(format_args!("{summary} -- saving rejects to file {}", quoted(&reject)));
    let mut text = format!("--- {}\n+++ {}\n", patch.old_name, patch.new_name).into_bytes();
    for (hunk, _) in failed {
        text.extend(hunk.text());
    }
    REJECTED.max(code).max(written(call, &reject, &text))
}

fn written(call: &mut Call<'_>, path: &str, text: &[u8]) -> u8 {
    match call.write(path, text) {
        Ok(()) => 0,
        Err(reason) => {
            call.complain(format_args!("**** Can't create file {path} : {reason}"));
            TROUBLE
        }
    }
}

/// The file that a patch is for: the one of the command line, or that of its names which exists, and
/// the shortest of those.
fn target(call: &Call<'_>, given: &Given, patch: &Patch) -> Option<String> {
    if let Some(name) = given.operands.first() {
        return Some(name.clone());
    }
    let strip = given.value('p').and_then(|strip| strip.parse().ok());
    let names: Vec<_> = [&patch.old_name, &patch.new_name]
        .into_iter()
        .filter(|name| *name != "/dev/null")
        .filter_map(|name| stripped(name, strip))
        .chain(patch.index.clone())
        .collect();
    let exists = |name: &&String| call.world.facts(&call.path(&located(given, name))).is_ok();
    let shortest = |name: &&String| (name.matches('/').count(), name.len());
    let existing = names.iter().filter(exists).min_by_key(shortest).cloned();
    if existing.is_some() {
        return existing;
    }
    let creates = if given.has('R') { patch.deletes } else { patch.creates };
    let new = if given.has('R') { names.first() } else { names.last() };
    creates.then(|| new.cloned()).flatten()
}

/// A name without so many directories in front; without a number, the last part alone.
fn stripped(name: &str, strip: Option<usize>) -> Option<String> {
    let Some(strip) = strip else {
        return name.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned);
    };
    let mut rest = name;
    for _ in 0..strip {
        let (_, after) = rest.split_once('/')?;
        rest = after.trim_start_matches('/');
    }
    (!rest.is_empty()).then(|| rest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_taken_off_in_front() {
        assert_eq!(stripped("a/b/c", Some(1)).as_deref(), Some("b/c"));
        assert_eq!(stripped("a/b/c", Some(0)).as_deref(), Some("a/b/c"));
        assert_eq!(stripped("a/b/c", None).as_deref(), Some("c"));
        assert_eq!(stripped("a", Some(1)), None);
    }
}

//! `ln`.

use std::path::Path;

use super::{
    buffered::{Buffered, Call, never},
    gnu_options::{Given, Known},
    stat::relative_to,
};
use crate::{
    engine::reason,
    filesystem::{Kind, normalize},
};

/// `ln`.
pub(crate) const LN: Buffered = Buffered { wants_input: never, run };

const KNOWN: Known = Known {
    short: "bdFfiLnPrsS:t:Tv",
    long: &[
        ("backup[=]", 'b'),
        ("directory", 'd'),
        ("force", 'f'),
        ("interactive", 'i'),
        ("logical", 'L'),
        ("no-dereference", 'n'),
        ("physical", 'P'),
        ("relative", 'r'),
        ("symbolic", 's'),
        ("suffix=", 'S'),
        ("target-directory=", 't'),
        ("no-target-directory", 'T'),
        ("verbose", 'v'),
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
    let mut targets = given.operands.clone();
    let into = match given.value('t') {
        Some(directory) => directory.to_owned(),
        None if targets.len() > 1 => targets.pop().unwrap_or_default(),
        None if targets.is_empty() => {
            call.complain("missing file operand");
            return 1;
        }
        None => ".".to_owned(),
    };
    let path = call.path(&into);
    let is_link = call.world.facts_of_link(&path).is_ok_and(|facts| facts.kind == Kind::Link);
    let is_directory = call.world.facts(&path).is_ok_and(|facts| facts.kind == Kind::Directory)
        && !given.has('T')
        && !(given.has('n') && is_link);
    if !is_directory && targets.len() > 1 {
        call.complain(format_args!("target '{into}': Not a directory"));
        return 1;
    }
    let mut code = 0;
    for target in &targets {
        let name = if is_directory {
            let base = target.trim_end_matches('/').rsplit('/').next().unwrap_or(target);
            if into == "." {
                base.to_owned()
            } else {
                format!("{}/{base}", into.trim_end_matches('/'))
            }
        } else {
            into.clone()
        };
        code = code.max(linked(call, &given, target, &name));
    }
    code
}

fn linked(call: &mut Call<'_>, given: &Given, target: &str, name: &str) -> u8 {
    let path = call.path(name);
    let symbolic = given.has('s');
    if !symbolic && let Err(error) = call.world.facts_of_link(&call.path(target)) {
        call.complain(format_args!("failed to access '{target}': {}", reason(&error)));
        return 1;
    }
    if call.world.facts_of_link(&path).is_ok() {
        let kind = if symbolic { "symbolic" } else { "hard" };
        if given.has('b') {
            let backup = format!("{name}{}", given.value('S').unwrap_or("~"));
            // What follows says what is wrong, if this fails.
            let _ = call.world.rename(&path, &call.path(&backup));
        } else if !given.has('f') {
            call.complain(format_args!("failed to create {kind} link '{name}': File exists"));
            return 1;
        } else if normalize(&path) == normalize(&call.path(target)) {
            call.complain(format_args!("'{target}' and '{name}' are the same file"));
            return 1;
        } else if let Err(error) = call.world.remove(&path, false) {
            call.complain(format_args!("cannot remove '{name}': {}", reason(&error)));
            return 1;
        }
    }
    let shown = if symbolic && given.has('r') {
        let directory = normalize(&path).parent().unwrap_or(Path::new("/")).to_owned();
        relative_to(&normalize(&call.path(target)).to_string_lossy(), &directory.to_string_lossy())
    } else {
        target.to_owned()
    };
    let result = if symbolic {
        call.world.make_link(Path::new(&shown), &path)
    } else {
        call.world.make_hard_link(&call.path(target), &path)
    };
    if let Err(error) = result {
        let kind = if symbolic { "symbolic" } else { "hard" };
        call.complain(format_args!("failed to create {kind} link '{name}': {}", reason(&error)));
        return 1;
    }
    if given.has('v') {
        let arrow = if symbolic { "->" } else { "=>" };
        call.say(format_args!("'{name}' {arrow} '{shown}'"));
    }
    0
}

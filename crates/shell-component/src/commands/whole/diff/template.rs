//! `diff --changed-group-format` and its kin: output by templates.

use super::{Change, Lines, Request};
use crate::commands::whole::buffered::Call;

struct Templates<'a> {
    request: &'a Request,
    old: &'a Lines<'a>,
    new: &'a Lines<'a>,
}

/// Lines of both texts, as ranges counted from 0.
struct Group {
    old: std::ops::Range<usize>,
    new: std::ops::Range<usize>,
}

pub(super) fn write(
    call: &mut Call<'_>,
    request: &Request,
    old: &Lines<'_>,
    new: &Lines<'_>,
    changes: &[Change],
) {
    let templates = Templates { request, old, new };
    let (mut old_done, mut new_done) = (0, 0);
    let mut output = Vec::new();
    for change in changes {
        templates.unchanged(&mut output, old_done..change.old, new_done..change.new);
        let group = Group {
            old: change.old..change.old + change.deleted,
            new: change.new..change.new + change.inserted,
        };
        templates.changed(&mut output, &group);
        old_done = group.old.end;
        new_done = group.new.end;
    }
    templates.unchanged(&mut output, old_done..old.lines.len(), new_done..new.lines.len());
    call.output.extend(output);
}

impl Templates<'_> {
    fn unchanged(
        &self,
        output: &mut Vec<u8>,
        old: std::ops::Range<usize>,
        new: std::ops::Range<usize>,
    ) {
        if !old.is_empty() {
            let template = self.request.given.value('=').unwrap_or("%=");
            self.group(output, template, &Group { old, new });
        }
    }

    fn changed(&self, output: &mut Vec<u8>, group: &Group) {
        let given = &self.request.given;
        let changed = given.value('!');
        let template = match (group.old.is_empty(), group.new.is_empty()) {
            (false, true) => given.value('o').or(changed).unwrap_or("%<"),
            (true, false) => given.value('g').or(changed).unwrap_or("%>"),
            _ => match (changed, given.value('o'), given.value('g')) {
                (Some(changed), ..) => changed,
                (None, None, None) => "%<%>",
                (None, old, new) => {
                    let both = format!("{}{}", old.unwrap_or("%<"), new.unwrap_or("%>"));
                    return self.group(output, &both, group);
                }
            },
        };
        self.group(output, template, group);
    }

    fn group(&self, output: &mut Vec<u8>, template: &str, group: &Group) {
        let mut rest = template.chars();
        while let Some(char) = rest.next() {
            if char != '%' {
                output.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            match rest.next() {
                Some('<') => self.lines(output, self.old, group.old.clone(), 'O'),
                Some('>') => self.lines(output, self.new, group.new.clone(), 'G'),
                Some('=') => self.lines(output, self.old, group.old.clone(), '_'),
                Some('%') => output.push(b'%'),
                Some('c') => push_character(output, &mut rest),
                Some('d') => {
                    let number = match rest.next() {
                        Some('f') => group.old.start + 1,
                        Some('l') => group.old.end,
                        Some('n') => group.old.len(),
                        Some('F') => group.new.start + 1,
                        Some('L') => group.new.end,
                        Some('N') => group.new.len(),
                        Some('e') => group.old.start,
                        Some('E') => group.new.start,
                        Some('m') => group.old.end + 1,
                        Some('M') => group.new.end + 1,
                        _ => continue,
                    };
                    output.extend_from_slice(number.to_string().as_bytes());
                }
                Some(other) => {
                    output.extend_from_slice(format!("%{other}").as_bytes());
                }
                None => output.push(b'%'),
            }
        }
    }

    fn lines(
        &self,
        output: &mut Vec<u8>,
        lines: &Lines<'_>,
        range: std::ops::Range<usize>,
        option: char,
    ) {
        let given = &self.request.given;
        let template = given.value(option).or_else(|| given.value('%')).unwrap_or("%l\n");
        for index in range {
            let mut rest = template.chars();
            while let Some(char) = rest.next() {
                if char != '%' {
                    output.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
                match rest.next() {
                    Some('l') => output.extend_from_slice(lines.lines[index]),
                    Some('L') => {
                        output.extend_from_slice(lines.lines[index]);
                        if !lines.is_incomplete(index) {
                            output.push(b'\n');
                        }
                    }
                    Some('%') => output.push(b'%'),
                    Some('c') => push_character(output, &mut rest),
                    Some('d') => {
                        let _ = rest.next();
                        output.extend_from_slice((index + 1).to_string().as_bytes());
                    }
                    Some(other) => output.extend_from_slice(format!("%{other}").as_bytes()),
                    None => output.push(b'%'),
                }
            }
        }
    }
}

/// `%c'X'` and `%c'\012'`.
fn push_character(output: &mut Vec<u8>, rest: &mut std::str::Chars<'_>) {
    let quoted: String = rest.by_ref().skip(1).take_while(|char| *char != '\'').collect();
    match quoted.strip_prefix('\\').and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
        Some(byte) => output.push(byte),
        None => output.extend_from_slice(quoted.as_bytes()),
    }
}

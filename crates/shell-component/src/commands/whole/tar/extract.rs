//! What comes out of an archive.

use std::time::{Duration, UNIX_EPOCH};

use regex::Regex;

use super::{Entry, Given, Job, Kind, TROUBLE, joined};
use crate::{
    commands::whole::{
        buffered::Call,
        date,
        diff::matches_pattern,
        owner,
        pattern::basic,
        timestamp::{self, Zone},
    },
    engine::reason,
};

/// Whether an entry is a member, or below it.
pub(super) fn is_below(name: &str, member: &str) -> bool {
    let (name, member) = (name.trim_end_matches('/'), member.trim_end_matches('/'));
    name == member || name.strip_prefix(member).is_some_and(|rest| rest.starts_with('/'))
}

/// The name after `--transform`.
pub(super) fn transformed(given: &Given, name: &str) -> String {
    let mut name = name.to_owned();
    let transforms = given.options.iter().filter(|(option, _)| *option == '7');
    for transform in transforms.filter_map(|(_, transform)| transform.as_deref()) {
        name = substituted(transform, &name).unwrap_or(name);
    }
    name
}

/// Applies `s/pattern/replacement/flags`; nothing if it is none.
fn substituted(transform: &str, name: &str) -> Option<String> {
    let rest = transform.strip_prefix('s')?;
    let mark = rest.chars().next()?;
    let mut parts = rest[mark.len_utf8()..].split(mark);
    let (pattern, replacement) = (parts.next()?, parts.next()?);
    let flags = parts.next().unwrap_or_default();
    let pattern = if flags.contains('x') { pattern.to_owned() } else { basic(pattern) };
    let pattern = if flags.contains('i') { format!("(?i){pattern}") } else { pattern };
    let pattern = Regex::new(&pattern).ok()?;
    let mut with = String::new();
    let mut chars = replacement.chars();
    while let Some(char) = chars.next() {
        match char {
            '&' => with.push_str("${0}"),
            '$' => with.push_str("$$"),
            '\\' => match chars.next() {
                Some(digit) if digit.is_ascii_digit() => with.push_str(&format!("${{{digit}}}")),
                Some(other) => with.push(other),
                None => {}
            },
            other => with.push(other),
        }
    }
    let count = usize::from(!flags.contains('g'));
    Some(pattern.replacen(name, count, with.as_str()).into_owned())
}

impl Job {
    /// Extracts or lists what was asked for.
    pub(super) fn extract(&mut self, call: &mut Call<'_>, only_lists: bool) -> Result<(), String> {
        let entries = self.load(call)?;
        let members: Vec<_> = self.members.iter().map(|(_, member)| member.clone()).collect();
        let mut found = vec![false; members.len()];
        for entry in &entries {
            let mut wanted = members.is_empty();
            for (index, member) in members.iter().enumerate() {
                let matches = is_below(&entry.name, member)
                    || (self.given.has('*')
                        && matches_pattern(member, entry.name.trim_end_matches('/')));
                found[index] |= matches;
                wanted |= matches;
            }
            if !wanted || self.is_excluded(&entry.name) {
                continue;
            }
            if only_lists {
                list(call, &self.given, entry);
            } else {
                self.entry(call, entry);
            }
        }
        for (member, _) in members.iter().zip(found).filter(|(_, found)| !found) {
            call.complain(format_args!("{member}: Not found in archive"));
            self.code = TROUBLE;
        }
        Ok(())
    }

    fn entry(&mut self, call: &mut Call<'_>, entry: &Entry) {
        let Some(name) = self.target_name(call, &entry.name) else { return };
        if self.given.has('v') {
            let to = if self.given.has('O') { &mut call.errors } else { &mut call.output };
            to.extend_from_slice(format!("{}\n", entry.name).as_bytes());
        }
        if self.given.has('O') {
            call.output.extend_from_slice(&entry.content);
            return;
        }
        if let Err(message) = self.put(call, entry, &joined(&self.directory, &name)) {
            call.complain(format_args!("{name}: {message}"));
            self.code = TROUBLE;
        }
    }

    /// Where an entry goes, if anywhere: below the directory, and nowhere else.
    fn target_name(&self, call: &mut Call<'_>, name: &str) -> Option<String> {
        let name = transformed(&self.given, name);
        let strip = self.given.value('6').and_then(|strip| strip.parse().ok()).unwrap_or(0);
        let parts: Vec<_> =
            name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") {
            call.complain(format_args!("{name}: Member name contains '..'"));
            return None;
        }
        let absolute = name.starts_with('/') && self.given.has('P');
        let rest = parts.get(strip..).unwrap_or_default();
        if rest.is_empty() {
            return None;
        }
        Some(format!("{}{}", if absolute { "/" } else { "" }, rest.join("/")))
    }

    fn put(&self, call: &mut Call<'_>, entry: &Entry, name: &str) -> Result<(), String> {
        let path = call.path(name);
        let words = |error: std::io::Error| format!("Cannot open: {}", reason(&error));
        if entry.kind == Kind::Directory {
            call.world.make_directory(&path, true).map_err(words)?;
            return Ok(());
        }
        if let Ok(existing) = call.world.facts_of_link(&path) {
            let modified =
                existing.modified.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
            if self.given.has('k') {
                return Err("Cannot open: File exists".to_owned());
            }
            if self.given.has('3') || (self.given.has('4') && modified > entry.modified) {
                return Ok(());
            }
            if existing.kind != crate::filesystem::Kind::Directory {
                // Not through a link that stands there.
                call.world.remove(&path, false).map_err(words)?;
            }
        }
        if let Some(parent) = path.parent() {
            call.world.make_directory(parent, true).map_err(words)?;
        }
        match &entry.kind {
            Kind::Link(target) => {
                return call.world.make_link(std::path::Path::new(target), &path).map_err(words);
            }
            Kind::HardLink(target) => {
                let target = call.path(&joined(&self.directory, target));
                return call.world.make_hard_link(&target, &path).map_err(words);
            }
            Kind::File => call
                .write(name, &entry.content)
                .map_err(|reason| format!("Cannot open: {reason}"))?,
            Kind::Directory | Kind::Other => return Ok(()),
        }
        // Where the mode or the time cannot be kept, the content is there all the same.
        let _ = call.world.set_mode(&path, entry.mode);
        if !self.given.has('m') {
            let _ =
                call.world.set_modified(&path, UNIX_EPOCH + Duration::from_secs(entry.modified));
        }
        Ok(())
    }

    /// Says how the files differ from the archive.
    pub(super) fn compare(&mut self, call: &mut Call<'_>) -> Result<(), String> {
        for entry in self.load(call)? {
            let wanted = self.members.is_empty()
                || self.members.iter().any(|(_, member)| is_below(&entry.name, member));
            if !wanted || entry.kind != Kind::File {
                continue;
            }
            let name = joined(&self.directory, &entry.name);
            match call.read(&name) {
                Ok(content) if content == entry.content => {}
                Ok(content) => {
                    let what =
                        if content.len() == entry.content.len() { "Contents" } else { "Size" };
                    let line = format!(
                        "{}: {what} differ{}",
                        entry.name,
                        if what == "Size" { "s" } else { "" }
                    );
                    call.say(line);
                    self.code = self.code.max(1);
                }
                Err(reason) => {
                    call.complain(format_args!("{}: Warning: Cannot stat: {reason}", entry.name));
                    self.code = self.code.max(1);
                }
            }
        }
        Ok(())
    }
}

fn list(call: &mut Call<'_>, given: &Given, entry: &Entry) {
    if !given.has('v') {
        let name = entry.name.clone();
        call.say(name);
        return;
    }
    let kind = match entry.kind {
        Kind::File | Kind::Other => '-',
        Kind::Directory => 'd',
        Kind::Link(_) => 'l',
        Kind::HardLink(_) => 'h',
    };
    let link = match &entry.kind {
        Kind::Link(target) => format!(" -> {target}"),
        Kind::HardLink(target) => format!(" link to {target}"),
        Kind::File | Kind::Directory | Kind::Other => String::new(),
    };
    let time = timestamp::of_file(UNIX_EPOCH + Duration::from_secs(entry.modified));
    let time = date::format::format("%Y-%m-%d %H:%M", &Zone::of(call.environment).at(time));
    let owner = format!("{0}/{0}", entry.owner);
    // As wide as GNU tar makes the two together.
    const WIDTH: usize = 18;
    let width = (WIDTH - owner.len().min(WIDTH)).max(1);
    call.say(format_args!(
        "{kind}{} {owner} {:>width$} {time} {}{link}",
        owner::permissions(entry.mode),
        entry.content.len(),
        entry.name
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_transformed_as_sed_does() {
        assert_eq!(substituted("s/deep/shallow/", "deep/deep").unwrap(), "shallow/deep");
        assert_eq!(substituted("s,^\\(a\\)/,x&\\1/,", "a/b").unwrap(), "xa/a/b");
        assert_eq!(substituted("s/a/b/g", "aa").unwrap(), "bb");
        assert!(substituted("y/a/b/", "a").is_none());
    }

    #[test]
    fn members_are_below_directories_and_not_beside_them() {
        assert!(is_below("a/b", "a"));
        assert!(is_below("a/", "a"));
        assert!(!is_below("ab", "a"));
    }
}

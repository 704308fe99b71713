//! `tar`.

mod archive;
mod extract;

use std::{io::Read, time::UNIX_EPOCH};

use archive::{Entry, Kind};

use super::{
    buffered::{Buffered, Call},
    diff::matches_pattern,
    gnu_options::{Given, Known},
    gzip, owner,
};
use crate::{engine::reason, filesystem};

/// `tar`.
pub(crate) const TAR: Buffered = Buffered {
    wants_input: |arguments| {
        KNOWN.parse(&dashed(arguments)).is_ok_and(|given| {
            let archive = given.value('f').is_none_or(|file| file == "-");
            (archive && !given.has('c')) || given.value('T') == Some("-")
        })
    },
    run,
};

const KNOWN: Known = Known {
    short: "cxtruAdf:zjJZaC:T:X:vpmkOhPswWSb:UnN:",
    long: &[
        ("create", 'c'),
        ("extract", 'x'),
        ("get", 'x'),
        ("list", 't'),
        ("append", 'r'),
        ("update", 'u'),
        ("catenate", 'A'),
        ("concatenate", 'A'),
        ("diff", 'd'),
        ("compare", 'd'),
        ("delete", '1'),
        ("file=", 'f'),
        ("gzip", 'z'),
        ("gunzip", 'z'),
        ("bzip2", 'j'),
        ("xz", 'J'),
        ("auto-compress", 'a'),
        ("directory=", 'C'),
        ("files-from=", 'T'),
        ("exclude=", 'e'),
        ("exclude-from=", 'X'),
        ("exclude-vcs", '2'),
        ("verbose", 'v'),
        ("preserve-permissions", 'p'),
        ("same-permissions", 'p'),
        ("touch", 'm'),
        ("keep-old-files", 'k'),
        ("skip-old-files", '3'),
        ("keep-newer-files", '4'),
        ("overwrite", '5'),
        ("to-stdout", 'O'),
        ("dereference", 'h'),
        ("absolute-names", 'P'),
        ("strip-components=", '6'),
        ("transform=", '7'),
        ("xform=", '7'),
        ("remove-files", '8'),
        ("no-recursion", '9'),
        ("null", '0'),
        ("sort=", '!'),
        ("mtime=", '"'),
        ("owner=", '$'),
        ("group=", '%'),
        ("mode=", '&'),
        ("numeric-owner", '('),
        ("format=", ')'),
        ("wildcards", '*'),
        ("no-same-owner", '+'),
        ("same-owner", ','),
        ("no-same-permissions", '-'),
        ("one-file-system", '.'),
        ("totals", '/'),
        ("version", 'V'),
    ],
};

/// The exit code if something could not be done.
const TROUBLE: u8 = 2;

/// `tar czf …` as `tar -c -z -f …`: the old way has its values in the order of its letters.
fn dashed(arguments: &[String]) -> Vec<String> {
    let Some((first, rest)) = arguments.split_first() else { return Vec::new() };
    if first.starts_with('-') || first.is_empty() {
        return arguments.to_vec();
    }
    let mut rest = rest.iter();
    let mut words = Vec::new();
    for letter in first.chars() {
        words.push(format!("-{letter}"));
        if "fCTXbN".contains(letter) {
            words.extend(rest.next().cloned());
        }
    }
    words.extend(rest.cloned());
    words
}

/// A call of tar.
struct Job {
    given: Given,
    /// Each operand and the directory that it is looked for in.
    members: Vec<(String, String)>,
    /// The last directory.
    directory: String,
    excluded: Vec<String>,
    code: u8,
}

fn run(call: &mut Call<'_>) -> u8 {
    let words = dashed(call.arguments);
    let given = match KNOWN.parse(&words) {
        Ok(given) => given,
        Err(message) => {
            call.complain(message);
            call.complain("Try 'tar --help' or 'tar --usage' for more information.");
            return 64;
        }
    };
    if given.has('V') {
        call.say("tar (GNU tar) 1.34");
        return 0;
    }
    let operation = given.last(&['c', 'x', 't', 'r', 'u', 'A', 'd', '1']);
    let mut job =
        Job { members: Vec::new(), directory: String::new(), excluded: Vec::new(), code: 0, given };
    let result = job.prepare(call, &words).and_then(|()| match operation {
        Some('c') => job.create(call),
        Some('r' | 'u') => job.append(call, operation == Some('u')),
        Some('1') => job.delete(call),
        Some('x' | 't') => job.extract(call, operation == Some('t')),
        Some('d') => job.compare(call),
        _ => Err("You must specify one of the '-Acdtrux', '--delete' or '--test-label' options"
            .to_owned()),
    });
    if let Err(message) = result {
        call.complain(message);
        if operation.is_some() {
            call.complain("Error is not recoverable: exiting now");
        }
        return TROUBLE;
    }
    if job.code != 0 {
        call.complain("Exiting with failure status due to previous errors");
    }
    job.code
}

fn joined(directory: &str, name: &str) -> String {
    if directory.is_empty() || name.starts_with('/') {
        name.to_owned()
    } else {
        format!("{}/{name}", directory.trim_end_matches('/'))
    }
}

impl Job {
    /// Which operands are looked for where, and what is left out.
    fn prepare(&mut self, call: &mut Call<'_>, words: &[String]) -> Result<(), String> {
        // Only an order of words tells which directory an operand belongs to.
        let mut operands = self.given.operands.iter().peekable();
        let mut values = self.given.options.iter().filter(|(option, _)| *option == 'C');
        for word in words {
            let names_directory = word == "-C"
                || word.starts_with("--directory")
                || (word.starts_with('-') && !word.starts_with("--") && word.contains('C'));
            if names_directory {
                let next = values.next().and_then(|(_, value)| value.clone()).unwrap_or_default();
                self.directory = joined(&self.directory, &next);
            } else if operands.next_if(|operand| *operand == word).is_some() {
                self.members.push((self.directory.clone(), word.clone()));
            }
        }
        let lines = |bytes: Vec<u8>, end: char| -> Vec<String> {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            text.split(end).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        };
        let end = if self.given.has('0') { '\0' } else { '\n' };
        for (option, value) in &self.given.options {
            let value = value.clone().unwrap_or_default();
            let opened = |call: &Call<'_>| {
                call.read(&value).map_err(|reason| format!("{value}: Cannot open: {reason}"))
            };
            match option {
                'T' => {
                    let names = lines(opened(call)?, end);
                    self.members
                        .extend(names.into_iter().map(|name| (self.directory.clone(), name)));
                }
                'X' => self.excluded.extend(lines(opened(call)?, '\n')),
                'e' => self.excluded.push(value),
                '2' => {
                    self.excluded.extend([".git", ".svn", ".hg", ".gitignore"].map(str::to_owned))
                }
                _ => {}
            }
        }
        if self.directory.is_empty() {
            return Ok(());
        }
        match call.world.facts(&call.path(&self.directory)) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{}: Cannot open: {}", self.directory, reason(&error))),
        }
    }

    fn is_excluded(&self, name: &str) -> bool {
        let name = name.trim_end_matches('/');
        self.excluded.iter().any(|pattern| {
            let pattern = pattern.trim_end_matches('/');
            let tails = name.match_indices('/').map(|(at, _)| &name[at + 1..]);
            matches_pattern(pattern, name)
                || tails.into_iter().any(|tail| matches_pattern(pattern, tail))
        })
    }

    fn archive_name(&self) -> &str {
        self.given.value('f').unwrap_or("-")
    }

    fn load(&self, call: &Call<'_>) -> Result<Vec<Entry>, String> {
        let name = self.archive_name();
        let bytes = call.read(name).map_err(|reason| format!("{name}: Cannot open: {reason}"))?;
        if bytes.starts_with(b"\xfd7zXZ") || self.given.has('J') {
            return Err("this shell has no xz".to_owned());
        }
        let bytes = if self.given.has('j') || bytes.starts_with(b"BZh") {
            let mut expanded = Vec::new();
            bzip2::read::MultiBzDecoder::new(bytes.as_slice())
                .read_to_end(&mut expanded)
                .map_err(|error| format!("bzip2: {error}"))?;
            expanded
        } else if self.given.has('z') || bytes.starts_with(b"\x1f\x8b") {
            gzip::expanded(&bytes).map_err(|message| format!("gzip: {message}"))?
        } else {
            bytes
        };
        archive::read(&bytes).map_err(str::to_owned)
    }

    fn store(&self, call: &mut Call<'_>, entries: &[Entry]) -> Result<(), String> {
        let name = self.archive_name();
        let mut bytes = archive::write(entries);
        let ends = |endings: &[&str]| {
            self.given.has('a') && endings.iter().any(|ending| name.ends_with(ending))
        };
        if self.given.has('J') || ends(&[".xz", ".txz"]) {
            return Err("this shell has no xz".to_owned());
        }
        if self.given.has('j') || ends(&[".bz2", ".tbz", ".tbz2"]) {
            let mut compressed = Vec::new();
            bzip2::read::BzEncoder::new(bytes.as_slice(), bzip2::Compression::best())
                .read_to_end(&mut compressed)
                .map_err(|error| format!("bzip2: {error}"))?;
            bytes = compressed;
        } else if self.given.has('z') || ends(&[".gz", ".tgz"]) {
            bytes = gzip::compressed(&bytes, 6);
        }
        if name == "-" {
            call.output.extend(bytes);
            return Ok(());
        }
        call.write(name, &bytes).map_err(|reason| format!("{name}: Cannot open: {reason}"))
    }

    fn create(&mut self, call: &mut Call<'_>) -> Result<(), String> {
        if self.members.is_empty() && !self.given.has('T') {
            return Err("Cowardly refusing to create an empty archive".to_owned());
        }
        let entries = self.collected(call);
        self.store(call, &entries)?;
        self.remove_collected(call);
        Ok(())
    }

    fn append(&mut self, call: &mut Call<'_>, only_newer: bool) -> Result<(), String> {
        let exists = call.world.facts(&call.path(self.archive_name())).is_ok();
        let mut entries = if exists { self.load(call)? } else { Vec::new() };
        for entry in self.collected(call) {
            let old = entries.iter().rev().find(|old| old.name == entry.name);
            if !(only_newer && old.is_some_and(|old| old.modified >= entry.modified)) {
                entries.push(entry);
            }
        }
        self.store(call, &entries)?;
        self.remove_collected(call);
        Ok(())
    }

    fn delete(&mut self, call: &mut Call<'_>) -> Result<(), String> {
        let mut entries = self.load(call)?;
        for (_, member) in self.members.clone() {
            let before = entries.len();
            entries.retain(|entry| !extract::is_below(&entry.name, &member));
            if entries.len() == before {
                call.complain(format_args!("{member}: Not found in archive"));
                self.code = TROUBLE;
            }
        }
        self.store(call, &entries)
    }

    fn remove_collected(&mut self, call: &mut Call<'_>) {
        if !self.given.has('8') {
            return;
        }
        for (directory, member) in self.members.clone() {
            if let Err(error) = call.world.remove(&call.path(&joined(&directory, &member)), true) {
                call.complain(format_args!("{member}: Cannot unlink: {}", reason(&error)));
                self.code = TROUBLE;
            }
        }
    }

    fn collected(&mut self, call: &mut Call<'_>) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (directory, member) in self.members.clone() {
            self.collect(call, &directory, &member, &mut entries);
        }
        entries
    }

    fn collect(
        &mut self,
        call: &mut Call<'_>,
        directory: &str,
        name: &str,
        entries: &mut Vec<Entry>,
    ) {
        if self.is_excluded(name) {
            return;
        }
        let path = call.path(&joined(directory, name));
        let facts = if self.given.has('h') {
            call.world.facts(&path)
        } else {
            call.world.facts_of_link(&path)
        };
        let facts = match facts {
            Ok(facts) => facts,
            Err(error) => {
                call.complain(format_args!("{name}: Cannot stat: {}", reason(&error)));
                self.code = TROUBLE;
                return;
            }
        };
        let (kind, content) = match facts.kind {
            filesystem::Kind::Directory => (Kind::Directory, Vec::new()),
            filesystem::Kind::Link => {
                let target = call.world.read_link(&path).unwrap_or_default();
                (Kind::Link(target.to_string_lossy().into_owned()), Vec::new())
            }
            filesystem::Kind::File => match call.world.read(&path) {
                Ok(content) => (Kind::File, content),
                Err(error) => {
                    call.complain(format_args!("{name}: Cannot open: {}", reason(&error)));
                    self.code = TROUBLE;
                    return;
                }
            },
            filesystem::Kind::Device => return,
        };
        let mut stored = name.to_owned();
        if kind == Kind::Directory && !stored.ends_with('/') {
            stored.push('/');
        }
        if stored.starts_with('/') && !self.given.has('P') {
            if entries.is_empty() {
                call.complain("Removing leading `/' from member names");
            }
            stored = stored.trim_start_matches('/').to_owned();
        }
        let stored = extract::transformed(&self.given, &stored);
        if self.given.has('v') {
            let line = format!("{stored}\n");
            // The archive itself may go to standard output.
            let to = if self.archive_name() == "-" { &mut call.errors } else { &mut call.output };
            to.extend_from_slice(line.as_bytes());
        }
        let is_directory = kind == Kind::Directory;
        let modified = facts.modified.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let mode = if matches!(kind, Kind::Link(_)) { 0o777 } else { facts.mode };
        let owner = owner::name(call.environment).to_owned();
        entries.push(Entry { name: stored, kind, mode, modified, owner, content });
        if !is_directory || self.given.has('9') {
            return;
        }
        for entry in call.world.list(&path).unwrap_or_default() {
            let below = format!("{}/{}", name.trim_end_matches('/'), entry.name);
            self.collect(call, directory, &below, entries);
        }
    }
}

//! `grep`, `egrep` and `fgrep`.

mod glob;
mod matcher;
mod pattern;
mod search;

use std::{io, path::Path};

use self::{
    glob::Glob,
    matcher::{Matcher, Style},
    pattern::Syntax,
    search::{Binary, Found, Report, Search},
};
use super::options::{Argument, Line, Options, Value};
use crate::{
    command::{Command, Invocation, Pending},
    engine::{is_fatal, reason},
    filesystem::{Entry, Kind},
};

const OPTIONS: &Options = &[
    ('A', "after-context", Value::Required),
    ('B', "before-context", Value::Required),
    ('C', "context", Value::Required),
    ('E', "extended-regexp", Value::None),
    ('F', "fixed-strings", Value::None),
    ('G', "basic-regexp", Value::None),
    ('H', "with-filename", Value::None),
    ('I', "I", Value::None),
    ('L', "files-without-match", Value::None),
    ('P', "perl-regexp", Value::None),
    ('R', "dereference-recursive", Value::None),
    ('T', "initial-tab", Value::None),
    ('U', "binary", Value::None),
    ('Z', "null", Value::None),
    ('a', "text", Value::None),
    ('b', "byte-offset", Value::None),
    ('c', "count", Value::None),
    ('D', "devices", Value::Required),
    ('d', "directories", Value::Required),
    ('e', "regexp", Value::Required),
    ('f', "file", Value::Required),
    ('h', "no-filename", Value::None),
    ('i', "ignore-case", Value::None),
    ('y', "y", Value::None),
    ('l', "files-with-matches", Value::None),
    ('m', "max-count", Value::Required),
    ('n', "line-number", Value::None),
    ('o', "only-matching", Value::None),
    ('q', "quiet", Value::None),
    ('q', "silent", Value::None),
    ('r', "recursive", Value::None),
    ('s', "no-messages", Value::None),
    ('v', "invert-match", Value::None),
    ('w', "word-regexp", Value::None),
    ('x', "line-regexp", Value::None),
    ('z', "null-data", Value::None),
    ('\u{10}', "include", Value::Required),
    ('\u{11}', "exclude", Value::Required),
    ('\u{12}', "exclude-dir", Value::Required),
    ('\u{13}', "color", Value::Optional),
    ('\u{13}', "colour", Value::Optional),
    ('\u{14}', "label", Value::Required),
    ('\u{15}', "line-buffered", Value::None),
    ('\u{16}', "binary-files", Value::Required),
    ('\u{17}', "no-ignore-case", Value::None),
    ('\u{18}', "group-separator", Value::Required),
    ('\u{19}', "no-group-separator", Value::None),
];

/// Finds lines.
#[derive(Debug)]
pub(super) struct Grep;

/// Everything the command line says.
struct Request {
    patterns: Option<Vec<String>>,
    pattern_files: Vec<String>,
    syntax: Syntax,
    ignore_case: bool,
    words: bool,
    lines: bool,
    report: Report,
    names: Option<bool>,
    recursive: Option<Recursion>,
    skip_directories: bool,
    silent: bool,
    include: Vec<Glob>,
    exclude: Vec<Glob>,
    exclude_directories: Vec<Glob>,
    label: String,
    files: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recursion {
    /// Links are followed only where they are named.
    Named,
    /// All are.
    Links,
}

impl Command for Grep {
    fn run<'a>(&'a self, mut call: Invocation<'a>) -> Pending<'a, io::Result<u8>> {
        Box::pin(async move {
            let arguments = modern(call.arguments);
            let parsed = match call.line_of(OPTIONS, &arguments, 2).await? {
                Line::Run(parsed) => parsed,
                Line::Done(code) => return Ok(code),
            };
            let mut request = match request(call.name, &parsed) {
                Ok(request) => request,
                Err(message) => {
                    call.complain(message).await?;
                    return Ok(2);
                }
            };
            let matcher = match matcher(&mut call, &mut request).await? {
                Ok(matcher) => matcher,
                Err(message) if message.is_empty() => {
                    return call.misused("missing pattern", 2).await;
                }
                Err(message) => {
                    call.complain(message).await?;
                    return Ok(2);
                }
            };
            let many = request.files.len() > 1 || request.recursive.is_some();
            request.report.names = request.names.unwrap_or(many);
            if request.files.is_empty() {
                request.files.push(if request.recursive.is_some() {
                    String::new()
                } else {
                    "-".into()
                });
            }
            let files = std::mem::take(&mut request.files);
            let mut run = Run { request, matcher, selected: false, failed: false };
            for file in files {
                run.operand(&mut call, &file).await?;
                if run.selected && run.request.report.quiet {
                    return Ok(0);
                }
            }
            call.output.flush().await?;
            Ok(match (run.failed, run.selected) {
                (true, _) => 2,
                (false, true) => 0,
                (false, false) => 1,
            })
        })
    }
}

/// `-5` is an old form of `-C 5`.
fn modern(arguments: &[String]) -> Vec<String> {
    let number = |word: &str| {
        word.len() > 1
            && word.starts_with('-')
            && word[1..].bytes().all(|digit| digit.is_ascii_digit())
    };
    let mut operands = false;
    arguments
        .iter()
        .map(|word| {
            operands |= word == "--";
            if number(word) && !operands { format!("-C{}", &word[1..]) } else { word.clone() }
        })
        .collect()
}

fn request(name: &str, parsed: &[Argument<'_>]) -> Result<Request, String> {
    let mut request = Request {
        patterns: None,
        pattern_files: Vec::new(),
        syntax: match name {
            "egrep" => Syntax::Extended,
            "fgrep" => Syntax::Fixed,
            _ => Syntax::Basic,
        },
        ignore_case: false,
        words: false,
        lines: false,
        report: Report::default(),
        names: None,
        recursive: None,
        skip_directories: false,
        silent: false,
        include: Vec::new(),
        exclude: Vec::new(),
        exclude_directories: Vec::new(),
        label: "(standard input)".to_owned(),
        files: Vec::new(),
    };
    let (mut before, mut after, mut context) = (None, None, None);
    let length = |value: &str| {
        value.parse::<usize>().map_err(|_| format!("{value}: invalid context length argument"))
    };
    for argument in parsed {
        let (letter, value) = match argument {
            Argument::Operand(file) => {
                request.files.push((*file).to_owned());
                continue;
            }
            Argument::Option(letter, value) => (*letter, value.unwrap_or_default()),
        };
        match letter {
            'A' => after = Some(length(value)?),
            'B' => before = Some(length(value)?),
            'C' => context = Some(length(value)?),
            'E' => request.syntax = Syntax::Extended,
            'F' => request.syntax = Syntax::Fixed,
            'G' => request.syntax = Syntax::Basic,
            'P' => request.syntax = Syntax::Perl,
            'H' => request.names = Some(true),
            'h' => request.names = Some(false),
            'I' => request.report.binary = Binary::Skip,
            'a' => request.report.binary = Binary::Text,
            '\u{16}' => {
                request.report.binary = match value {
                    "text" => Binary::Text,
                    "without-match" => Binary::Skip,
                    "binary" => Binary::Say,
                    _ => return Err("unknown binary-files type".to_owned()),
                }
            }
            'L' => request.report.files_without = true,
            'l' => request.report.files_with = true,
            'R' => request.recursive = Some(Recursion::Links),
            'r' => request.recursive = Some(Recursion::Named),
            'd' => match value {
                "recurse" => request.recursive = Some(Recursion::Named),
                "skip" => request.skip_directories = true,
                "read" => {}
                _ => return Err(format!("invalid argument '{value}' for '--directories'")),
            },
            'T' => request.report.tab = true,
            'Z' => request.report.null = true,
            'b' => request.report.offsets = true,
            'c' => request.report.count = true,
            'e' => request.patterns.get_or_insert_default().push(value.to_owned()),
            'f' => request.pattern_files.push(value.to_owned()),
            'i' | 'y' => request.ignore_case = true,
            '\u{17}' => request.ignore_case = false,
            'm' => {
                let most: i64 = value.parse().map_err(|_| "invalid max count".to_owned())?;
                request.report.most = u64::try_from(most).ok();
            }
            'n' => request.report.numbers = true,
            'o' => request.report.only_matching = true,
            'q' => request.report.quiet = true,
            's' => request.silent = true,
            'v' => request.report.invert = true,
            'w' => request.words = true,
            'x' => request.lines = true,
            'z' => request.report.end = 0,
            '\u{10}' => request.include.push(Glob::new(value)),
            '\u{11}' => request.exclude.push(Glob::new(value)),
            '\u{12}' => request.exclude_directories.push(Glob::new(value.trim_end_matches('/'))),
            '\u{13}' => request.report.color = value == "always",
            '\u{14}' => request.label = value.to_owned(),
            '\u{18}' => request.report.separator = Some(value.to_owned()),
            '\u{19}' => request.report.separator = None,
            _ => {}
        }
    }
    request.report.before = before.or(context).unwrap_or(0);
    request.report.after = after.or(context).unwrap_or(0);
    Ok(request)
}

/// The error is what to say; nothing, where no pattern was given.
async fn matcher(
    call: &mut Invocation<'_>,
    request: &mut Request,
) -> io::Result<Result<Matcher, String>> {
    let mut patterns: Vec<String> = Vec::new();
    let mut given = false;
    for pattern in request.patterns.take().into_iter().flatten() {
        given = true;
        patterns.extend(pattern.split('\n').map(str::to_owned));
    }
    for file in &request.pattern_files {
        given = true;
        let mut feed =
            match if file == "-" { call.open("/dev/stdin").await } else { call.open(file).await } {
                Ok(feed) => feed,
                Err(error) => return Ok(Err(format!("{file}: {}", reason(&error)))),
            };
        while let Some(lines) = feed.lines(b'\n').await? {
            super::feed::each_line(lines, b'\n', |line, _| {
                patterns.push(String::from_utf8_lossy(line).into_owned());
            });
        }
    }
    if !given {
        if request.files.is_empty() {
            return Ok(Err(String::new()));
        }
        let pattern = request.files.remove(0);
        patterns.extend(pattern.split('\n').map(str::to_owned));
    }
    let style = Style {
        syntax: request.syntax,
        ignore_case: request.ignore_case,
        words: request.words,
        lines: request.lines,
        end: request.report.end,
    };
    Ok(Matcher::new(&patterns, style))
}

struct Run {
    request: Request,
    matcher: Matcher,
    selected: bool,
    failed: bool,
}

impl Run {
    /// A file or directory that was named.
    async fn operand(&mut self, call: &mut Invocation<'_>, name: &str) -> io::Result<()> {
        if name == "-" {
            return self.file(call, name, name).await;
        }
        let is_directory = match call.facts(if name.is_empty() { "." } else { name }) {
            Ok(facts) => facts.kind == Kind::Directory,
            Err(error) => return self.fail(call, name, &error).await,
        };
        if !is_directory {
            let base =
                Path::new(name).file_name().map_or(name.into(), |name| name.to_string_lossy());
            if self.request.recursive.is_some() && !self.wants(&base)
                || excluded(&self.request.exclude, name)
            {
                return Ok(());
            }
            return self.file(call, name, name).await;
        }
        if self.request.recursive.is_none() {
            if self.request.skip_directories {
                return Ok(());
            }
            return self.fail(call, name, &io::ErrorKind::IsADirectory.into()).await;
        }
        self.tree(call, name).await
    }

    /// A directory and what is below it, without recursion of this function: a tree may be deep.
    async fn tree(&mut self, call: &mut Invocation<'_>, name: &str) -> io::Result<()> {
        let mut waiting = vec![(name.to_owned(), Kind::Directory)];
        while let Some((name, kind)) = waiting.pop() {
            if kind != Kind::Directory {
                self.file(call, &name, &name).await?;
                if self.selected && self.request.report.quiet {
                    return Ok(());
                }
                continue;
            }
            let entries =
                match call.world.list(&call.path(if name.is_empty() { "." } else { &name })) {
                    Ok(entries) => entries,
                    Err(error) => {
                        self.fail(call, &name, &error).await?;
                        continue;
                    }
                };
            for Entry { name: entry, kind } in entries.into_iter().rev() {
                let path = match name.as_str() {
                    "" => entry.clone(),
                    name if name.ends_with('/') => format!("{name}{entry}"),
                    name => format!("{name}/{entry}"),
                };
                let kind = match (kind, self.request.recursive) {
                    (Kind::Link, Some(Recursion::Links)) => {
                        match call.world.facts(&call.path(&path)) {
                            Ok(facts) => facts.kind,
                            Err(error) => {
                                self.fail(call, &path, &error).await?;
                                continue;
                            }
                        }
                    }
                    (kind, _) => kind,
                };
                let wanted = match kind {
                    Kind::Directory => !excluded(&self.request.exclude_directories, &entry),
                    Kind::File => self.wants(&entry),
                    Kind::Link | Kind::Device => false,
                };
                if wanted {
                    waiting.push((path, kind));
                }
            }
        }
        Ok(())
    }

    fn wants(&self, name: &str) -> bool {
        let included = self.request.include.is_empty()
            || self.request.include.iter().any(|glob| glob.matches(name));
        included && !excluded(&self.request.exclude, name)
    }

    async fn fail(
        &mut self,
        call: &mut Invocation<'_>,
        name: &str,
        error: &io::Error,
    ) -> io::Result<()> {
        self.failed = true;
        if self.request.silent {
            return Ok(());
        }
        call.output.flush().await?;
        call.complain(format!("{name}: {}", reason(error))).await
    }

    async fn file(&mut self, call: &mut Invocation<'_>, name: &str, shown: &str) -> io::Result<()> {
        let opened =
            if name == "-" { call.open("/dev/stdin").await } else { call.open(name).await };
        let opened = match opened {
            Ok(feed) if call.name.starts_with('z') => feed.expanded().await,
            opened => opened,
        };
        let mut feed = match opened {
            Ok(feed) => feed,
            Err(error) => return self.fail(call, name, &error).await,
        };
        let shown = if name == "-" { self.request.label.clone() } else { shown.to_owned() };
        let mut search = Search::new(&self.matcher, &self.request.report, &shown);
        loop {
            match feed.lines(self.request.report.end).await {
                Ok(None) => break,
                Ok(Some(lines)) => {
                    let length = lines.len();
                    if let Found::Enough(read) = search.lines(lines, call.output.buffer()) {
                        feed.leave(length - read);
                        break;
                    }
                }
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) => {
                    self.failed = true;
                    call.complain_about(name, error).await?;
                    break;
                }
            }
            // What comes slowly is shown as it comes.
            if name == "-" { call.output.flush().await? } else { call.output.relieve().await? }
        }
        let mut said = Vec::new();
        self.selected |= search.finish(call.output.buffer(), &mut said);
        if !said.is_empty() {
            call.output.flush().await?;
            call.errors.write(&said).await?;
        }
        call.output.relieve().await
    }
}

fn excluded(globs: &[Glob], name: &str) -> bool {
    globs.iter().any(|glob| glob.matches(name))
}

//! Marks the names of commands by where they stand, since bashkit asks by the name alone whether a
//! command streams.
//!
//! What bashkit does by itself is either to run the stages of a pipeline one after another, each with
//! all of the output of the one before it, or to connect them with pipes that hold 4 KiB. Pipes are
//! right between commands. They are wrong in front of a loop or a group: bashkit takes the pipe away
//! from the whole group for each command within it that streams, so that the `read` behind it finds
//! the end (and, for the names that it knows itself to stream, even where the command has files to
//! read). So a command is marked to stream only if all stages behind it are commands.

use std::collections::{BTreeMap, HashSet};

use super::{bundled, files::LAZY, internal, rewrites};
use bashkit::parser::{
    Assignment, AssignmentValue, Command, CompoundCommand, Parser, Redirect, RedirectKind,
    SimpleCommand, Word, WordPart,
};

/// In front of a command's name: the first stage of a pipeline that streams. Word joiners are not
/// seen where a shell shows its own text (`set -x`, `declare -f`), and stand in no one's names.
pub(super) const FIRST: &str = "\u{2060}\u{2060}";

/// A stage behind the first.
pub(super) const LATER: &str = "\u{2060}";

/// No stage that streams. The plain name would do, but for those that bashkit knows.
pub(super) const PLAIN: &str = "\u{2060}\u{2060}\u{2060}";

/// Like [`PLAIN`], behind a pipe.
const BEHIND: &str = "|";

/// The name behind a mark.
pub(super) fn unmarked(name: &str) -> &str {
    name.trim_start_matches(LATER)
}

/// What shows the text of functions.
const SHOW_FUNCTIONS: [&str; 4] = ["declare -", "typeset -", "type ", "command -V"];

/// Commands that run other text of the script, or none.
const NOT_COMMANDS: [&str; 7] = [".", "bash", "builtin", "command", "eval", "sh", "source"];

/// Deeper text is run as it is.
const MAX_DEPTH: usize = 100;

/// More is not looked at.
const MAX_OPERATIONS: usize = 50_000_000;

/// The script with marks in front of the names of `commands`. Names of functions and aliases, those
/// of the session in `taken`, are nobody's commands.
pub(super) fn mark(text: &str, commands: &HashSet<String>, taken: &HashSet<String>) -> String {
    let (script, _) = Parser::with_limits(text, MAX_DEPTH, MAX_OPERATIONS).parse_recovering();
    let mut taken = taken.clone();
    defined(&script.commands, &mut taken);
    let mut marker = Marker {
        text,
        commands,
        taken: &taken,
        changes: BTreeMap::new(),
        plain_functions: SHOW_FUNCTIONS.iter().any(|shows| text.contains(shows)),
        is_plain: false,
    };
    marker.walk(&script.commands, 0);
    let mut changed = String::with_capacity(text.len() + marker.changes.len() * PLAIN.len());
    let mut done = 0;
    for (at, (length, replacement)) in marker.changes {
        if at >= done {
            changed.push_str(&text[done..at]);
            changed.push_str(&replacement);
            done = at + length;
        }
    }
    changed.push_str(&text[done..]);
    changed
}

/// The script with a command behind it that notes that it was reached, if that can be: not behind an
/// unfinished here-document, which it would become a part of.
pub(super) fn with_end(text: String) -> String {
    let ended = format!("{text}{}", internal::end_line());
    let (script, error) = Parser::with_limits(&ended, MAX_DEPTH, MAX_OPERATIONS).parse_recovering();
    let last = match script.commands.last() {
        Some(Command::Simple(simple)) => literal(&simple.name),
        _ => None,
    };
    if error.is_none() && last.is_some_and(internal::is_end) { ended } else { text }
}

/// The functions that the script defines, wherever.
fn defined(commands: &[Command], names: &mut HashSet<String>) {
    for command in commands {
        if let Command::Function(function) = command {
            names.insert(function.name.clone());
        }
        if let Command::Simple(simple) = command
            && literal(&simple.name) == Some("alias")
        {
            for word in &simple.args {
                let text: String = word
                    .parts
                    .iter()
                    .map_while(|part| match part {
                        WordPart::Literal(text) => Some(text.as_str()),
                        _ => None,
                    })
                    .collect();
                names.extend(text.split_once('=').map(|(name, _)| name.to_owned()));
            }
        }
        for part in parts(command) {
            defined(part, names);
        }
    }
}

struct Marker<'a> {
    text: &'a str,
    commands: &'a HashSet<String>,
    taken: &'a HashSet<String>,
    /// What to put where, instead of so many bytes.
    changes: BTreeMap<usize, (usize, String)>,
    /// Whether the script shows the text of functions, which then has to be their own.
    plain_functions: bool,
    /// Whether what is looked at is not to be marked.
    is_plain: bool,
}

impl Marker<'_> {
    /// Looks at commands whose positions count from `base` on.
    fn walk(&mut self, commands: &[Command], base: usize) {
        for command in commands {
            match command {
                Command::Simple(simple) => self.simple(simple, base, PLAIN),
                Command::Pipeline(pipeline) => self.pipeline(&pipeline.commands, base),
                Command::List(_) | Command::Function(_) => {}
                Command::Compound(compound, redirects) => {
                    if let Some(rest) = self.text.get(base..)
                        && let Some((at, length, text)) =
                            rewrites::arithmetic(command, rest, |at| {
                                self.changes.contains_key(&(base + at))
                            })
                    {
                        self.changes.insert(base + at, (length, text));
                    }
                    self.words_of(compound, base);
                    if let CompoundCommand::Coproc(command) = compound
                        && let Command::Simple(simple) = &*command.body
                    {
                        // It has a pipe of its own.
                        self.simple(simple, base, LATER);
                        continue;
                    }
                    let last = parts(command).into_iter().flatten().map(end).max();
                    let mut from = base + last.unwrap_or(0);
                    for redirect in redirects {
                        self.word(&redirect.target, &mut from);
                    }
                }
            }
            let outside = self.is_plain;
            self.is_plain |= self.plain_functions && matches!(command, Command::Function(_));
            if !matches!(command, Command::Pipeline(_)) {
                for part in parts(command) {
                    self.walk(part, base);
                }
            }
            self.is_plain = outside;
        }
    }

    fn pipeline(&mut self, stages: &[Command], base: usize) {
        let commands = stages.iter().rev().take_while(|stage| self.is_command(stage)).count();
        let streaming = stages.len() - commands;
        for (index, stage) in stages.iter().enumerate() {
            match stage {
                Command::Simple(simple) if index >= streaming && stages.len() > 1 => {
                    self.simple(simple, base, if index == 0 { FIRST } else { LATER });
                }
                // Behind a pipe, it is not the script's input that is read.
                Command::Simple(simple) if index > 0 => self.simple(simple, base, BEHIND),
                stage => self.walk(std::slice::from_ref(stage), base),
            }
        }
    }

    fn is_command(&self, stage: &Command) -> bool {
        let Command::Simple(simple) = stage else { return false };
        literal(&simple.name)
            .is_some_and(|name| !self.taken.contains(name) && !NOT_COMMANDS.contains(&name))
    }

    fn simple(&mut self, simple: &SimpleCommand, base: usize, mark: &'static str) {
        let start = base + simple.span.start.offset;
        if let Some(name) = literal(&simple.name).filter(|_| !self.is_plain)
            && self.commands.contains(name)
            && !self.taken.contains(name)
            && let Some(at) = self.name_at(simple, name, start)
        {
            let mark = if mark == BEHIND { PLAIN } else { mark };
            self.changes.insert(at, (0, mark.to_owned()));
            if let Some(at) = self.input_target(simple, start, base) {
                self.changes.insert(at, (0, LAZY.to_owned()));
            }
        }
        if let Some(name) = literal(&simple.name).filter(|_| !self.is_plain)
            && !matches!(mark, LATER | BEHIND)
            && bundled::is_filter(name)
            && !self.taken.contains(name)
            && simple.redirects.iter().all(|redirect| !reads(redirect))
            && let Some(at) = self.name_at(simple, name, start)
        {
            // It may be the script's input that it reads.
            self.changes.insert(at, (0, internal::MARK.to_owned()));
        }
        if let Some(name) = literal(&simple.name)
            && rewrites::runs_input(name, simple.args.first().and_then(literal))
            && !self.taken.contains(name)
            && let Some(at) = self.name_at(simple, name, start)
        {
            self.changes.insert(at, (0, internal::MARK.to_owned()));
        }
        for word in &simple.args {
            self.range(word, start);
        }
        let mut from = start;
        for Assignment { value, .. } in &simple.assignments {
            match value {
                AssignmentValue::Scalar(word) => self.word(word, &mut from),
                AssignmentValue::Array(words) => {
                    words.iter().for_each(|word| self.word(word, &mut from))
                }
            }
        }
        let targets = simple.redirects.iter().map(|redirect| &redirect.target);
        for word in std::iter::once(&simple.name).chain(&simple.args).chain(targets) {
            self.word(word, &mut from);
        }
    }

    /// Where the name stands, if that is certain: right at the beginning, or behind assignments of
    /// plain text.
    fn name_at(&self, simple: &SimpleCommand, name: &str, start: usize) -> Option<usize> {
        let mut at = start;
        if !simple.assignments.is_empty() {
            let rest = self.text.get(start..)?;
            let words = rest.split(' ').take(simple.assignments.len());
            for word in words {
                if !word.contains('=') || word.contains(['\'', '"', '\\', '$', '`', '(']) {
                    return None;
                }
                at += word.len() + 1;
            }
        }
        let rest = self.text.get(at..)?.strip_prefix(name)?;
        let ends =
            rest.chars().next().is_none_or(|next| next.is_whitespace() || "|;&()<>".contains(next));
        ends.then_some(at)
    }

    /// Where the target of `<` stands, if the command has just that one redirection of its input, and
    /// no text in which one could be mistaken for it. Its file is then read as the command reads.
    fn input_target(&self, simple: &SimpleCommand, start: usize, base: usize) -> Option<usize> {
        let mut inputs = simple.redirects.iter().filter(|redirect| reads(redirect));
        let (Some(input), None) = (inputs.next(), inputs.next()) else { return None };
        if input.kind != RedirectKind::Input || input.fd.unwrap_or(0) != 0 || input.fd_var.is_some()
        {
            return None;
        }
        let substitutes = |word: &Word| {
            word.parts.iter().any(|part| {
                matches!(
                    part,
                    WordPart::CommandSubstitution(_) | WordPart::ProcessSubstitution { .. }
                )
            })
        };
        let targets = simple.redirects.iter().map(|redirect| &redirect.target);
        if simple.args.iter().chain(targets).any(substitutes) {
            return None;
        }
        let end = (base + simple.span.end.offset).min(self.text.len());
        let at = start + unquoted(self.text.get(start..end)?, '<')? + 1;
        // Where there is another one, as in arithmetic, either may be the redirection's.
        if unquoted(self.text.get(at..end)?, '<').is_some() {
            return None;
        }
        let rest = self.text.get(at..)?;
        let at = at + rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let target = self.text.get(at..)?;
        // Of these, the shell itself knows what they are.
        let known = target.starts_with(['<', '&', '>', '(', '~', '\n', '\\'])
            || ["null", "std", "fd", "tcp", "udp"].iter().any(|name| {
                target.strip_prefix("/dev/").is_some_and(|rest| rest.starts_with(name))
            });
        (!known).then_some(at)
    }

    /// Looks into the substitutions of a word that begins at `from` or behind. The parser counts
    /// positions within a substitution from its own beginning, so that is looked for; what then stands
    /// elsewhere than it should is left alone.
    fn word(&mut self, word: &Word, from: &mut usize) {
        for part in &word.parts {
            if let Some(rest) = self.text.get(*from..)
                && let Some((at, length, text)) = rewrites::replacement(part, rest)
            {
                self.changes.insert(*from + at, (length, text));
                *from += at + length;
            }
            let (commands, openings): (_, &[&str]) = match part {
                WordPart::CommandSubstitution(commands) => (commands, &["$("]),
                WordPart::ProcessSubstitution { commands, .. } => (commands, &["<(", ">("]),
                _ => continue,
            };
            let Some(rest) = self.text.get(*from..) else { return };
            let Some(at) = openings.iter().filter_map(|opening| find(rest, opening)).min() else {
                return;
            };
            let base = *from + at + 2;
            self.walk(commands, base);
            *from = base + commands.iter().map(end).max().unwrap_or(0);
        }
    }

    fn words_of(&mut self, compound: &CompoundCommand, base: usize) {
        let (words, start) = match compound {
            CompoundCommand::For(command) => {
                (command.words.as_deref().unwrap_or_default(), command.span.start.offset)
            }
            CompoundCommand::Select(command) => {
                (command.words.as_slice(), command.span.start.offset)
            }
            CompoundCommand::Case(command) => {
                (std::slice::from_ref(&command.word), command.span.start.offset)
            }
            _ => return,
        };
        let mut from = base + start;
        for word in words {
            self.range(word, base + start);
            self.word(word, &mut from);
        }
    }

    /// bashkit leaves ranges like `{1..100000}` as they are when they are long: `seq` makes the same of
    /// them.
    fn range(&mut self, word: &Word, start: usize) {
        let Some(text) = literal(word) else { return };
        let Some(command) = rewrites::long_range(text) else { return };
        let rest = self.text.get(start..);
        let Some(at) = rest.and_then(|rest| rewrites::find_word(rest, text)) else { return };
        self.changes.insert(start + at, (text.len(), command));
    }
}

/// Where `opening` first stands, and is not the beginning of arithmetic.
fn find(text: &str, opening: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find(opening)?;
        if !text[at + opening.len()..].starts_with('(') || opening != "$(" {
            return Some(at);
        }
        from = at + opening.len();
    }
}

/// Whether it redirects what is read.
fn reads(redirect: &Redirect) -> bool {
    !matches!(
        redirect.kind,
        RedirectKind::Output
            | RedirectKind::Append
            | RedirectKind::Clobber
            | RedirectKind::DupOutput
            | RedirectKind::OutputBoth
    )
}

/// Where a character first stands outside of quotes.
fn unquoted(text: &str, wanted: char) -> Option<usize> {
    let mut quote = None;
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (None | Some('"'), '\\') => {
                letters.next();
            }
            (None, '\'' | '"') => quote = Some(letter),
            (None, letter) if letter == wanted => return Some(at),
            _ => {}
        }
    }
    None
}

fn end(command: &Command) -> usize {
    match command {
        Command::Simple(command) => command.span.end.offset,
        Command::Pipeline(command) => command.span.end.offset,
        Command::List(command) => command.span.end.offset,
        Command::Function(command) => command.span.end.offset,
        Command::Compound(..) => 0,
    }
}

/// The text of a word that has no expansions and no quotes.
fn literal(word: &Word) -> Option<&str> {
    match word.parts.as_slice() {
        [WordPart::Literal(text)] if !word.quoted => Some(text),
        _ => None,
    }
}

/// The commands within a command, but for those in its words.
fn parts(command: &Command) -> Vec<&[Command]> {
    use std::slice::from_ref;
    match command {
        Command::Simple(_) => Vec::new(),
        Command::Pipeline(pipeline) => vec![&pipeline.commands],
        Command::List(list) => {
            let rest = list.rest.iter().map(|(_, command)| from_ref(command));
            std::iter::once(from_ref(&*list.first)).chain(rest).collect()
        }
        Command::Function(function) => vec![from_ref(&*function.body)],
        Command::Compound(compound, _) => match compound {
            CompoundCommand::If(command) => {
                let mut parts: Vec<&[Command]> = vec![&command.condition, &command.then_branch];
                for (condition, branch) in &command.elif_branches {
                    parts.extend([condition.as_slice(), branch]);
                }
                parts.extend(command.else_branch.as_deref());
                parts
            }
            CompoundCommand::For(command) => vec![&command.body],
            CompoundCommand::ArithmeticFor(command) => vec![&command.body],
            CompoundCommand::While(command) => vec![&command.condition, &command.body],
            CompoundCommand::Until(command) => vec![&command.condition, &command.body],
            CompoundCommand::Case(command) => {
                command.cases.iter().map(|case| case.commands.as_slice()).collect()
            }
            CompoundCommand::Select(command) => vec![&command.body],
            CompoundCommand::Subshell(commands) | CompoundCommand::BraceGroup(commands) => {
                vec![commands]
            }
            CompoundCommand::Time(command) => {
                command.command.as_deref().map(from_ref).into_iter().collect()
            }
            CompoundCommand::Coproc(command) => vec![from_ref(&*command.body)],
            CompoundCommand::Arithmetic(_) | CompoundCommand::Conditional(_) => Vec::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marked(text: &str) -> String {
        let commands = ["cat", "grep", "tr", "wc", "head"].map(str::to_owned).into();
        mark(text, &commands, &HashSet::new())
            .replace(internal::MARK, "I")
            .replace(PLAIN, "0")
            .replace(FIRST, "1")
            .replace(LATER, "2")
            .replace(LAZY, "L")
    }

    #[test]
    fn stages_stream_that_have_only_commands_behind_them() {
        for (text, wanted) in [
            ("cat f", "0cat f"),
            ("cat f | tr a b | wc -l", "1cat f | 2tr a b | 2wc -l"),
            ("cat f | while read l; do cat $l; done", "0cat f | while read l; do 0cat $l; done"),
            ("while :; do cat x; done | head -1", "while :; do 0cat x; done | 2head -1"),
            ("cat f | sed s/a/b/ | wc", "1cat f | sed s/a/b/ | 2wc"),
            ("A=1 cat f | wc", "A=1 1cat f | 2wc"),
            ("x=$(cat f | wc -l)", "x=$(1cat f | 2wc -l)"),
            (
                "echo \"$(cat a) $(( 1 + 2 )) $(cat b)\"",
                "echo \"$(0cat a) $(( 1 + 2 )) $(0cat b)\"",
            ),
            ("cat() { :; }; cat f | wc", "cat() { :; }; cat f | 2wc"),
            ("cat f |\n  grep x && echo y", "1cat f |\n  2grep x && echo y"),
            ("for i in $(cat f); do cat $i; done", "for i in $(0cat f); do 0cat $i; done"),
            ("echo 'cat f | wc'", "echo 'cat f | wc'"),
            ("diff <(cat a) <(cat b)", "diff <(0cat a) <(0cat b)"),
            (
                "echo ${v/b/[&]} '{1..20000}' {1..20000}",
                "echo ${v/b/[b]} '{1..20000}' $(0seq 1 1 20000)",
            ),
            ("(( $(f \"1 > 2\") )) && x", "[ $(( $(f \"1 > 2\") )) -ne 0 ] && x"),
            ("f() { cat x; }; type f; cat x", "f() { cat x; }; type f; 0cat x"),
            ("f() { cat x; }; f | wc", "f() { 0cat x; }; f | 2wc"),
            (
                "sed p | sed p; sed p < f; cat f | sed p",
                "Ised p | sed p; sed p < f; 1cat f | sed p",
            ),
            ("coproc cat; coproc C { cat; }", "coproc 2cat; coproc C { 0cat; }"),
            ("wc -l < f", "0wc -l < Lf"),
            ("tr '<' x <\"$f\" | wc", "1tr '<' x <L\"$f\" | 2wc"),
            (
                "wc < /dev/null; wc <<< x; wc < <(cat f)",
                "0wc < /dev/null; 0wc <<< x; 0wc < <(0cat f)",
            ),
            ("while read l; do :; done < f", "while read l; do :; done < f"),
            ("while read l; do :; done < <(cat f)", "while read l; do :; done < <(0cat f)"),
            ("for i in {1..20000}; do :; done", "for i in $(0seq 1 1 20000); do :; done"),
            ("for i in {5..1} {1..3}; do :; done", "for i in {5..1} {1..3}; do :; done"),
        ] {
            assert_eq!(marked(text), wanted);
        }
    }

    proptest! {
        #[test]
        fn only_marks_are_added(text in r#"([a-z |;&(){}$"'<\n]|cat|wc|\$\(|\$\{x#|\$\(\(){0,40}"#) {
            let commands = HashSet::from(["cat".to_owned(), "wc".to_owned()]);
            let marked = mark(&text, &commands, &HashSet::new());
            prop_assert_eq!(marked.replace(LATER, "").replace(LAZY, ""), text);
        }
    }
}

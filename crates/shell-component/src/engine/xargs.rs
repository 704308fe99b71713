//! `xargs`. bashkit's ends with the code of its last command, and calls functions too.
//!
//! Who is not bashkit itself cannot see how the commands of a plan end, so what is planned is a script
//! that does.

use std::fmt::Write;

use bashkit::{
    Builtin, BuiltinContext, ExecResult, ExecutionPlan, Result, StreamData, SubCommand, async_trait,
};

/// How long a command line may become.
const MAX_CHARACTERS: usize = 128 * 1024;

/// `xargs`, which runs commands with what it reads as their arguments.
pub(super) struct Xargs;

#[async_trait]
impl Builtin for Xargs {
    async fn execution_plan(&self, context: &BuiltinContext<'_>) -> Result<Option<ExecutionPlan>> {
        let Ok(request) = Request::parse(context.args) else { return Ok(None) };
        let input = match request.file.as_deref().filter(|file| *file != "-") {
            None => context.stdin.map(StreamData::to_string).unwrap_or_default(),
            Some(file) => match context.fs.read_file(&context.cwd.join(file)).await {
                Ok(content) => String::from_utf8_lossy(&content).into_owned(),
                Err(_) => return Ok(None),
            },
        };
        let (items, unread) = items(&request, &input);
        let mut lines = Lines { request: &request, current: Vec::new(), done: Vec::new() };
        let error = lines.fill(items, unread.is_none()).err().or(unread);
        let script = script(&request, &lines.done, error.as_deref());
        let command = SubCommand {
            name: "eval".to_owned(),
            args: vec![script],
            stdin: Some(StreamData::new()),
            assignments: Vec::new(),
        };
        Ok(Some(ExecutionPlan::Batch { commands: vec![command] }))
    }

    /// Without a plan, there is something wrong.
    async fn execute(&self, context: BuiltinContext<'_>) -> Result<ExecResult> {
        let message = match Request::parse(context.args) {
            Err(message) => message,
            Ok(request) => {
                let file = request.file.unwrap_or_default();
                format!("Cannot open input file '{file}': No such file or directory")
            }
        };
        Ok(ExecResult::err(format!("xargs: {message}\n"), 1))
    }
}

/// Runs the lines one after another, and ends as `xargs` does.
fn script(request: &Request, lines: &[Vec<String>], error: Option<&str>) -> String {
    let mut script = "({ set +exu; _xargs_code=0; } 2> /dev/null\n".to_owned();
    for line in lines {
        let name = line.first().map_or("", String::as_str);
        let line = line.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        if request.verbose {
            let _ = writeln!(script, "printf '%s\\n' {} >&2", quoted(&line.replace('\'', "")));
        }
        if let Some(slot) = &request.slot {
            let _ = write!(script, "{slot}=0 ");
        }
        // Functions are none of its business. What a shell ends with says nothing about whether
        // there is one.
        let missing = match name {
            "sh" | "bash" => "",
            _ => "126|127) exit $?;; ",
        };
        let said = quoted(&format!("xargs: {name}: exited with status 255; aborting"));
        let _ = writeln!(
            script,
            "command {line} || case $? in {missing}255) echo {said} >&2; exit 124;; \
             *) _xargs_code=123;; esac"
        );
    }
    if let Some(error) = error {
        let said = quoted(&format!("xargs: {error}"));
        let _ = writeln!(script, "echo {said} >&2; [ $_xargs_code -ne 0 ] || _xargs_code=1");
    }
    script.push_str("exit $_xargs_code)");
    script
}

/// A word that the shell takes for itself.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// What was asked for.
#[derive(Debug, Default)]
struct Request {
    command: Vec<String>,
    replace: Option<String>,
    arguments: Option<usize>,
    lines: Option<usize>,
    characters: Option<usize>,
    delimiter: Option<char>,
    end: Option<String>,
    file: Option<String>,
    slot: Option<String>,
    verbose: bool,
    needs_input: bool,
    exits: bool,
}

const LONG: [(&str, char); 17] = [
    ("arg-file", 'a'),
    ("delimiter", 'd'),
    ("eof", 'e'),
    ("exit", 'x'),
    ("interactive", 'p'),
    ("max-args", 'n'),
    ("max-chars", 's'),
    ("max-lines", 'l'),
    ("max-procs", 'P'),
    ("no-run-if-empty", 'r'),
    ("null", '0'),
    ("open-tty", 'o'),
    ("process-slot-var", 'V'),
    ("replace", 'i'),
    ("show-limits", 'S'),
    ("verbose", 't'),
    ("version", 'W'),
];

impl Request {
    fn parse(arguments: &[String]) -> std::result::Result<Self, String> {
        let mut request = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.as_slice().first() {
            if argument == "-" || !argument.starts_with('-') {
                break;
            }
            rest.next();
            if argument == "--" {
                break;
            }
            if let Some(long) = argument.strip_prefix("--") {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (long, None),
                };
                let mut found = LONG.iter().filter(|(other, _)| other.starts_with(name));
                let option = match (LONG.iter().find(|(other, _)| *other == name), found.next()) {
                    (Some((_, option)), _) => *option,
                    (None, Some((_, option))) if found.next().is_none() => *option,
                    _ => return Err(format!("unrecognized option '--{name}'")),
                };
                let value = match value {
                    None if "adnsPV".contains(option) => rest.next().cloned(),
                    value => value,
                };
                request.set(option, value)?;
                continue;
            }
            for (at, option) in argument.char_indices().skip(1) {
                let attached = &argument[at + option.len_utf8()..];
                let attached = (!attached.is_empty()).then(|| attached.to_owned());
                if "eil".contains(option) {
                    request.set(option, attached)?;
                    break;
                }
                if "aEILnsPd".contains(option) {
                    request.set(option, attached.or_else(|| rest.next().cloned()))?;
                    break;
                }
                request.set(option, None)?;
            }
        }
        request.command = rest.cloned().collect();
        if request.command.is_empty() {
            request.command.push("echo".to_owned());
        }
        Ok(request)
    }

    fn set(&mut self, option: char, value: Option<String>) -> std::result::Result<(), String> {
        let required =
            || value.clone().ok_or_else(|| format!("option requires an argument -- '{option}'"));
        let number = || match required()?.parse::<usize>() {
            Ok(0) => Err(format!("value 0 for -{option} option should be >= 1")),
            Ok(number) => Ok(number),
            Err(_) => Err(format!("invalid number \"{}\" for -{option} option", required()?)),
        };
        match option {
            '0' => self.delimiter = Some('\0'),
            'a' => self.file = Some(required()?),
            'd' => self.delimiter = Some(delimiter(&required()?)?),
            'e' | 'E' => self.end = value.filter(|end| !end.is_empty()),
            'I' | 'i' => {
                let name = value.filter(|name| !name.is_empty());
                self.replace = Some(name.unwrap_or_else(|| "{}".to_owned()));
                (self.arguments, self.lines) = (None, None);
            }
            'L' | 'l' => {
                self.lines = Some(if option == 'l' && value.is_none() { 1 } else { number()? });
                (self.arguments, self.replace) = (None, None);
            }
            'n' => {
                let count = number()?;
                self.lines = None;
                if count != 1 || self.replace.is_none() {
                    (self.arguments, self.replace) = (Some(count), None);
                }
            }
            's' => self.characters = Some(number()?),
            'V' => self.slot = Some(required()?),
            'r' => self.needs_input = true,
            't' => self.verbose = true,
            'x' => self.exits = true,
            'p' => return Err("failed to open /dev/tty for reading".to_owned()),
            // Commands run one after another, without a terminal.
            'P' => drop(required()?),
            'o' | 'S' => {}
            other => return Err(format!("invalid option -- '{other}'")),
        }
        Ok(())
    }
}

fn delimiter(text: &str) -> std::result::Result<char, String> {
    let invalid = || format!("Invalid input delimiter specification {text}");
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => Ok(letter),
        (Some('\\'), Some(letter)) => match letter {
            'a' => Ok('\x07'),
            'b' => Ok('\x08'),
            'f' => Ok('\x0c'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\x0b'),
            '\\' => Ok('\\'),
            'x' => u8::from_str_radix(letters.as_str(), 16).map(char::from).map_err(|_| invalid()),
            '0'..='7' => u8::from_str_radix(&text[1..], 8).map(char::from).map_err(|_| invalid()),
            _ => Err(invalid()),
        },
        _ => Err(invalid()),
    }
}

/// An argument, and whether its line ends behind it.
struct Item {
    text: String,
    ends_line: bool,
}

/// What is read, and why no more is.
fn items(request: &Request, input: &str) -> (Vec<Item>, Option<String>) {
    let mut items = Vec::new();
    if let Some(delimiter) = request.delimiter {
        let mut parts: Vec<&str> = input.split(delimiter).collect();
        if parts.last().is_some_and(|last| last.is_empty()) {
            parts.pop();
        }
        items.extend(parts.into_iter().map(|text| Item { text: text.to_owned(), ends_line: true }));
        return (items, None);
    }
    for line in Splitter::new(input, request.replace.is_some()) {
        let (words, continued) = match line {
            Ok(line) => line,
            Err(message) => return (items, Some(message)),
        };
        let last = words.len().saturating_sub(1);
        for (index, text) in words.into_iter().enumerate() {
            if request.end.as_ref() == Some(&text) {
                return (items, None);
            }
            items.push(Item { text, ends_line: index == last && !continued });
        }
    }
    (items, None)
}

/// Lines of words, with quotes and backslashes.
struct Splitter<'a> {
    letters: std::iter::Peekable<std::str::Chars<'a>>,
    /// Only leading blanks are no part of a line's one word.
    whole: bool,
}

impl<'a> Splitter<'a> {
    fn new(input: &'a str, whole: bool) -> Self {
        Self { letters: input.chars().peekable(), whole }
    }
}

impl Iterator for Splitter<'_> {
    /// The words, and whether the next line continues this one, since it ends with a blank.
    type Item = std::result::Result<(Vec<String>, bool), String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.letters.peek()?;
        let mut words = Vec::new();
        let mut word: Option<String> = None;
        let mut blank = false;
        while let Some(letter) = self.letters.next() {
            match letter {
                '\n' => break,
                ' ' | '\t' if word.is_none() || !self.whole => {
                    words.extend(word.take());
                    blank = true;
                    continue;
                }
                '\\' => {
                    let next = self.letters.next();
                    word.get_or_insert_default().extend(next);
                }
                quote @ ('\'' | '"') => {
                    let word = word.get_or_insert_default();
                    loop {
                        match self.letters.next() {
                            Some(letter) if letter == quote => break,
                            Some(letter) if letter != '\n' => word.push(letter),
                            _ => {
                                let kind = if quote == '"' { "double" } else { "single" };
                                return Some(Err(format!(
                                    "unmatched {kind} quote; by default quotes are special to \
                                     xargs unless you use the -0 option"
                                )));
                            }
                        }
                    }
                }
                letter => word.get_or_insert_default().push(letter),
            }
            blank = false;
        }
        words.extend(word.take());
        Some(Ok((words, blank)))
    }
}

/// The command lines that are being made.
struct Lines<'a> {
    request: &'a Request,
    current: Vec<String>,
    done: Vec<Vec<String>>,
}

impl Lines<'_> {
    fn fill(&mut self, items: Vec<Item>, complete: bool) -> std::result::Result<(), String> {
        let request = self.request;
        let most = request.characters.unwrap_or(MAX_CHARACTERS);
        let length = |words: &[String]| words.iter().map(|word| word.len() + 1).sum::<usize>();
        if let Some(name) = &request.replace {
            for Item { text, .. } in items {
                let line: Vec<_> =
                    request.command.iter().map(|word| word.replace(name, &text)).collect();
                if length(&line) > most {
                    return Err("command too long".to_owned());
                }
                self.done.push(line);
            }
            return Ok(());
        }
        let base = length(&request.command);
        if base > most {
            return Err("argument list too long".to_owned());
        }
        let (mut size, mut lines) = (base, 0);
        for Item { text, ends_line } in items {
            if size + text.len() + 1 > most {
                if self.current.is_empty() || base + text.len() + 1 > most || request.exits {
                    return Err("argument line too long".to_owned());
                }
                self.finish();
                (size, lines) = (base, 0);
            }
            size += text.len() + 1;
            self.current.push(text);
            lines += usize::from(ends_line);
            if request.arguments == Some(self.current.len()) || request.lines == Some(lines) {
                self.finish();
                (size, lines) = (base, 0);
            }
        }
        if !self.current.is_empty() || (complete && self.done.is_empty() && !request.needs_input) {
            self.finish();
        }
        Ok(())
    }

    fn finish(&mut self) {
        let mut line = self.request.command.clone();
        line.append(&mut self.current);
        self.done.push(line);
    }
}

//! bashkit's own commands, with the script's standard input where nobody redirected theirs.
//!
//! bashkit takes a script's input whole, before it starts. So it is given none, and its commands that
//! read get it here, before they run. `read` and `mapfile` are hidden behind others of the same names,
//! which step aside for one call: the hook that bashkit calls before every command puts them back.
//! Filters have other names, which [`stages`](super::stages) puts where their input may be the
//! script's.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bashkit::{
    Builtin, BuiltinContext, BuiltinRegistry, ExecResult, ExecutionPlan, Result, StreamData,
    SubCommand, async_trait,
};

use super::{internal, script_input::ScriptInput};

/// Commands that read all of standard input where they are given at most so many operands. More would
/// be files.
const FILTERS: [(&str, usize); 55] = [
    ("awk", 1),
    ("b2sum", 0),
    ("base32", 0),
    ("base64", 0),
    ("basenc", 0),
    ("bc", 0),
    ("bunzip2", 0),
    ("bzcat", 0),
    ("bzip2", 0),
    ("cksum", 0),
    ("column", 0),
    ("csplit", 0),
    ("dd", 0),
    ("expand", 0),
    ("factor", 0),
    ("fmt", 0),
    ("fold", 0),
    ("gawk", 1),
    ("gunzip", 0),
    ("gzip", 0),
    ("hexdump", 0),
    ("iconv", 0),
    ("jq", 1),
    ("json", 0),
    ("csv", 0),
    ("less", 0),
    ("mawk", 1),
    ("md5sum", 0),
    ("more", 0),
    ("nawk", 1),
    ("numfmt", 0),
    ("od", 0),
    ("parallel", usize::MAX),
    ("paste", 0),
    ("patch", 0),
    ("pr", 0),
    ("sed", 1),
    ("sha1sum", 0),
    ("sha224sum", 0),
    ("sha256sum", 0),
    ("sha384sum", 0),
    ("sha512sum", 0),
    ("shasum", 0),
    ("shuf", 0),
    ("split", 0),
    ("strings", 0),
    ("sum", 0),
    ("tar", 0),
    ("tomlq", 1),
    ("tsort", 0),
    ("unexpand", 0),
    ("xargs", usize::MAX),
    ("xxd", 0),
    ("yq", 1),
    ("zcat", 0),
];

/// Builtins that read lines.
const READERS: [&str; 3] = ["mapfile", "read", "readarray"];

/// What stands aside, by name.
#[derive(Default)]
pub(super) struct Aside(Mutex<HashMap<String, Arc<dyn Builtin>>>);

impl Aside {
    /// Puts back what stood aside for this call of `name`.
    pub(super) fn restore(&self, name: &str, registry: &BuiltinRegistry) {
        let mut aside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(builtin) = aside.remove(name) {
            registry.insert(name, builtin);
        }
    }
}

/// Whether a command of this name may read all of its input.
pub(super) fn is_filter(name: &str) -> bool {
    FILTERS.iter().any(|(filter, _)| *filter == name)
}

/// Registers the commands that read.
pub(super) fn register(registry: &BuiltinRegistry, input: &ScriptInput, aside: &Arc<Aside>) {
    let filters = FILTERS.iter().map(|(name, operands)| (*name, Reads::All(*operands)));
    for (name, reads) in filters.chain(READERS.map(|name| (name, Reads::Lines))) {
        let builtin = Reader {
            name,
            reads,
            registry: registry.clone(),
            input: input.clone(),
            aside: Arc::clone(aside),
        };
        let mark = if matches!(reads, Reads::All(_)) { internal::MARK } else { "" };
        registry.insert(format!("{mark}{name}"), Arc::new(builtin));
    }
    for name in [".", "bash", "sh", "source"] {
        let runner = InputRunner { name, input: input.clone() };
        registry.insert(format!("{}{name}", internal::MARK), Arc::new(runner));
    }
}

/// `source /dev/stdin` and `sh -s`, which bashkit does not know.
struct InputRunner {
    name: &'static str,
    input: ScriptInput,
}

#[async_trait]
impl Builtin for InputRunner {
    async fn execution_plan(&self, context: &BuiltinContext<'_>) -> Result<Option<ExecutionPlan>> {
        let script = match context.stdin {
            Some(stdin) if stdin.as_bytes() != self.input.mark().as_bytes() => stdin.clone(),
            _ => self.input.read_all().await?,
        };
        let script = script.to_string();
        let command = if matches!(self.name, "." | "source") {
            SubCommand {
                name: "eval".to_owned(),
                args: vec![script],
                stdin: None,
                assignments: Vec::new(),
            }
        } else {
            let arguments = context.args.iter().skip(1);
            let mut arguments = arguments.skip_while(|argument| *argument == "--").cloned();
            let mut args = vec!["-c".to_owned(), script, self.name.to_owned()];
            args.extend(&mut arguments);
            SubCommand {
                name: self.name.to_owned(),
                args,
                stdin: Some(StreamData::new()),
                assignments: Vec::new(),
            }
        };
        Ok(Some(ExecutionPlan::Batch { commands: vec![command] }))
    }

    async fn execute(&self, _context: BuiltinContext<'_>) -> Result<ExecResult> {
        // The plan is always there.
        Ok(ExecResult::err(format!("{}: cannot run\n", self.name), 126))
    }
}

#[derive(Debug, Clone, Copy)]
enum Reads {
    All(usize),
    Lines,
}

struct Reader {
    name: &'static str,
    reads: Reads,
    registry: BuiltinRegistry,
    input: ScriptInput,
    aside: Arc<Aside>,
}

#[async_trait]
impl Builtin for Reader {
    async fn execution_plan(&self, context: &BuiltinContext<'_>) -> Result<Option<ExecutionPlan>> {
        let mut arguments = context.args.to_vec();
        if self.name == "read" {
            remove_option(&mut arguments, "-i");
        }
        let stdin = match (context.stdin, self.reads) {
            (Some(stdin), Reads::All(_)) => Some(stdin.clone()),
            (Some(stdin), Reads::Lines) => {
                // bashkit has read it from there, and would read again.
                remove_option(&mut arguments, "-u");
                Some(stdin.clone())
            }
            (None, Reads::All(operands)) => {
                if reads_input(self.name, &arguments, operands) {
                    Some(self.input.read_all().await?)
                } else {
                    None
                }
            }
            (None, Reads::Lines) => match self.record(&arguments).await? {
                Some(record) => Some(record),
                // In time, there was none: bash's code for that.
                None => return Ok(Some(internal::plan_status(142))),
            },
        };
        if matches!(self.reads, Reads::Lines) {
            let mut aside = self.aside.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(own) = self.registry.remove(self.name) {
                aside.insert(self.name.to_owned(), own);
            }
        }
        Ok(Some(ExecutionPlan::Batch {
            commands: vec![SubCommand {
                name: self.name.to_owned(),
                args: arguments,
                stdin,
                assignments: Vec::new(),
            }],
        }))
    }

    async fn execute(&self, _context: BuiltinContext<'_>) -> Result<ExecResult> {
        // The plan is always there.
        Ok(ExecResult::err(format!("{}: cannot run\n", self.name), 126))
    }
}

impl Reader {
    /// What one `read` with these arguments takes; nothing where that takes longer than it may.
    async fn record(&self, arguments: &[String]) -> io::Result<Option<StreamData>> {
        if self.name != "read" {
            return self.input.read_all().await.map(Some);
        }
        let wanted = Record::of(arguments);
        if wanted.timeout == Some(Duration::ZERO) {
            return Ok(Some(StreamData::new()));
        }
        let mut record = Vec::new();
        let gather = async {
            while !wanted.ends(&record) {
                let mut chunk = self.input.read().await?;
                if chunk.is_empty() {
                    break;
                }
                let taken = wanted.length(&record, &chunk);
                self.input.give_back(chunk.split_off(taken));
                record.extend_from_slice(&chunk);
            }
            Ok::<_, io::Error>(())
        };
        match wanted.timeout {
            None => gather.await?,
            Some(timeout) => match tokio::time::timeout(timeout, gather).await {
                Ok(result) => result?,
                Err(_) => {
                    self.input.give_back(record);
                    return Ok(None);
                }
            },
        }
        Ok(Some(record.into()))
    }
}

/// How much `read` takes.
#[derive(Debug, PartialEq)]
struct Record {
    /// No line ends it where it is exactly so many characters.
    end: Option<u8>,
    count: Option<usize>,
    raw: bool,
    timeout: Option<Duration>,
}

impl Record {
    fn of(arguments: &[String]) -> Self {
        let mut record = Self { end: Some(b'\n'), count: None, raw: false, timeout: None };
        let mut arguments = arguments.iter();
        while let Some(flags) = arguments.next().and_then(|argument| argument.strip_prefix('-')) {
            for (at, flag) in flags.char_indices() {
                if flag == 'r' {
                    record.raw = true;
                }
                if !"adinNptu".contains(flag) || flag == 'a' {
                    continue;
                }
                let attached = &flags[at + 1..];
                let value = match attached {
                    "" => arguments.next().map_or("", String::as_str),
                    attached => attached,
                };
                match flag {
                    'd' => record.end = Some(value.bytes().next().unwrap_or(0)),
                    'n' => record.count = value.parse().ok(),
                    'N' => (record.count, record.end) = (value.parse().ok(), None),
                    't' => {
                        let seconds: Option<f64> = value.parse().ok();
                        record.timeout =
                            seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                    }
                    _ => {}
                }
                break;
            }
        }
        record
    }

    fn ends(&self, record: &[u8]) -> bool {
        self.length(record, &[]) == 0 && self.complete(record)
    }

    fn complete(&self, record: &[u8]) -> bool {
        let ended = self
            .end
            .is_some_and(|end| record.last() == Some(&end) && (self.raw || !escaped(record)));
        ended || self.count.is_some_and(|count| characters(record) >= count)
    }

    /// How much of `chunk` follows `record`.
    fn length(&self, record: &[u8], chunk: &[u8]) -> usize {
        let mut sofar = record.to_vec();
        for (at, byte) in chunk.iter().enumerate() {
            // The rest of a character belongs to it.
            if self.complete(&sofar) && byte & 0xC0 != 0x80 {
                return at;
            }
            sofar.push(*byte);
            if self.end == Some(*byte) && self.complete(&sofar) {
                return at + 1;
            }
        }
        chunk.len()
    }
}

fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}

/// Whether the last byte has a backslash in front.
fn escaped(record: &[u8]) -> bool {
    let before = &record[..record.len().saturating_sub(1)];
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Removes `-u FD`.
fn remove_option(arguments: &mut Vec<String>, option: &str) {
    let at = arguments.iter().position(|argument| argument.starts_with(option));
    let Some(at) = at else { return };
    let has_value = arguments[at].len() == 2;
    arguments.remove(at);
    if has_value && at < arguments.len() {
        arguments.remove(at);
    }
}

/// Whether a command with these arguments reads standard input, as far as one can tell from outside:
/// `-` always means it, and operands beyond the first few are files.
fn reads_input(name: &str, arguments: &[String], operands: usize) -> bool {
    match name {
        "dd" => return !arguments.iter().any(|argument| argument.starts_with("if=")),
        "parallel" => return !arguments.iter().any(|argument| argument.starts_with(":::")),
        _ => {}
    }
    if arguments.iter().any(|argument| argument == "-" || argument == "/dev/stdin") {
        return true;
    }
    if arguments.iter().any(|argument| matches!(argument.as_str(), "--help" | "--version")) {
        return false;
    }
    let script_is_option = arguments.iter().any(|argument| {
        ["-e", "-f", "--expression", "--file", "--from-file"]
            .iter()
            .any(|option| argument.starts_with(option))
    });
    let given = arguments.iter().filter(|argument| !argument.starts_with('-')).count();
    // Values of options count as operands, but for the script's, so this errs towards files.
    let free = if script_is_option { operands.max(1) } else { operands };
    given <= free
        && !arguments.iter().any(|argument| argument == "-n" && operands == 1 && given == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn read_takes_what_it_is_told() {
        let take = |line: &str, input: &[u8]| Record::of(&arguments(line)).length(&[], input);
        assert_eq!(take("-r x", b"ab\ncd\n"), 3);
        assert_eq!(take("-d : x", b"ab:cd"), 3);
        assert_eq!(take("-n 2 x", b"abcd"), 2);
        assert_eq!(take("-n2 x", "äöü".as_bytes()), 4);
        assert_eq!(take("-N 4 x", b"a\nbcd"), 4);
        assert_eq!(take("x", b"a\\\nb\nc\n"), 5);
        assert_eq!(take("-r x", b"a\\\nb\nc\n"), 3);
    }

    #[test]
    fn commands_with_files_do_not_read_input() {
        for (line, operands, reads) in [
            ("s/a/b/", 1, true),
            ("s/a/b/ file", 1, false),
            ("-e s/a/b/", 1, true),
            ("-d", 0, true),
            ("file", 0, false),
            ("file -", 0, true),
        ] {
            assert_eq!(reads_input("x", &arguments(line), operands), reads, "{line}");
        }
    }
}

//! Commands that the engine puts into scripts itself.

use std::sync::{Arc, Mutex, PoisonError};

use bashkit::{
    Builtin, BuiltinContext, BuiltinRegistry, ExecResult, ExecutionPlan, Result, SubCommand,
    async_trait,
};

use super::{files::LAZY, stages::LATER};

/// In front of their names, which nobody else has.
pub(super) const MARK: &str = "\u{2060}\u{2060}\u{2060}\u{2060}";

const STATUS: &str = "\u{2060}\u{2060}\u{2060}\u{2060}status";
const END: &str = "\u{2060}\u{2060}\u{2060}\u{2060}end";

/// Whether the script's end was reached, and with which code.
#[derive(Debug, Clone, Default)]
pub(super) struct Reached(Arc<Mutex<Option<u8>>>);

impl Reached {
    pub(super) fn code(&self) -> Option<u8> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registers them; what it returns tells whether the script said `exit`.
pub(super) fn register(registry: &BuiltinRegistry) -> Reached {
    let reached = Reached::default();
    registry.insert(STATUS, Arc::new(Status(None)));
    registry.insert(END, Arc::new(Status(Some(reached.clone()))));
    reached
}

/// Does nothing but end with a code.
pub(super) fn plan_status(code: u8) -> ExecutionPlan {
    let command = SubCommand {
        name: STATUS.to_owned(),
        args: vec![code.to_string()],
        stdin: None,
        assignments: Vec::new(),
    };
    ExecutionPlan::Batch { commands: vec![command] }
}

/// A command line that ends with a code.
pub(super) fn status_line(code: i32) -> String {
    format!("{STATUS} {code}; ")
}

/// A command line that notes that the script reached it.
pub(super) fn end_line() -> String {
    format!("\n{END} $?")
}

/// The name of that command.
pub(super) fn is_end(name: &str) -> bool {
    name == END
}

/// Cleans what `set -x` and complaints show of what the engine does.
#[derive(Debug, Default)]
pub(super) struct Traces {
    /// A line about a command that says everything twice, since it runs another of its name.
    said: Option<Vec<u8>>,
}

impl Traces {
    /// Removes lines about the engine's own commands, second ones about those that say everything
    /// twice, and marks.
    pub(super) fn clean(&mut self, text: Vec<u8>) -> Vec<u8> {
        // The first two bytes of all marks.
        let marked = memchr::memmem::find(&text, &MARK.as_bytes()[..2]).is_some();
        if !marked && self.said.is_none() && !text.contains(&b'+') {
            return text;
        }
        let mut clean = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if memchr::memmem::find(line, MARK.as_bytes()).is_some() {
                continue;
            }
            if self.said.take().is_some_and(|said| said == line) {
                continue;
            }
            if says_twice(line) {
                self.said = Some(line.to_vec());
            }
            remove_marks(line, &mut clean);
        }
        clean
    }
}

fn says_twice(line: &[u8]) -> bool {
    let names: [&[u8]; 3] = [b"+ read", b"+ mapfile", b"+ readarray"];
    let command = &line[line.iter().take_while(|byte| **byte == b'+').count().saturating_sub(1)..];
    names.iter().any(|name| {
        command.strip_prefix(*name).is_some_and(|rest| matches!(rest.first(), Some(b' ' | b'\n')))
    })
}

fn remove_marks(line: &[u8], clean: &mut Vec<u8>) {
    let mut rest = line;
    while let Some(at) = memchr::memmem::find(rest, &MARK.as_bytes()[..2]) {
        clean.extend_from_slice(&rest[..at]);
        let letter = rest.get(at..at + 3).unwrap_or(&rest[at..]);
        if letter != LATER.as_bytes() && !LAZY.as_bytes().starts_with(letter) {
            clean.extend_from_slice(letter);
        }
        rest = &rest[at + letter.len()..];
    }
    clean.extend_from_slice(rest);
}

struct Status(Option<Reached>);

#[async_trait]
impl Builtin for Status {
    async fn execute(&self, context: BuiltinContext<'_>) -> Result<ExecResult> {
        let code: i32 = context.args.first().and_then(|code| code.parse().ok()).unwrap_or(0);
        if let Some(reached) = &self.0 {
            *reached.0.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(u8::try_from(code & 0xff).unwrap_or(0));
        }
        Ok(ExecResult::with_code("", code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_show_nothing_of_the_engine() {
        let text = format!(
            "+ {LATER}{LATER}cat x\n+ {STATUS} 1\nbash: {LAZY}f: „no“ \u{2062}\n\
             + read x\n+ read x\n+ read x\n+ read x\n"
        );
        let clean = Traces::default().clean(text.into_bytes());
        assert_eq!(
            String::from_utf8(clean).unwrap(),
            "+ cat x\nbash: f: „no“ \u{2062}\n+ read x\n+ read x\n"
        );
    }
}
